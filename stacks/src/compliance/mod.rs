//! Compliance as data: which controls a configcrate claims and from where, and what is waived and by whom.
//!
//! Nothing is scored here and no clock is read: whether a claim counts on a machine, and whether a waiver has
//! run out, is for who knows the day and the machine. The invariant it keeps: every claim names what it comes
//! from, a tag of a catalogue or a line of a `compliance.vgo`.

mod catalogue;
mod claims;
mod day;

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

pub use catalogue::{Catalogue, Entry, bundles, provisions};
pub use claims::Claims;
pub(crate) use claims::{check_tags, review, waivers};
pub use day::Day;

/// The frameworks that claims and waivers name, with what people call them.
pub const FRAMEWORKS: [(&str, &str); 9] = [
    ("cis", "CIS Benchmarks"),
    ("cis-rhel", "CIS Red Hat Enterprise Linux Benchmark"),
    ("cis-ubuntu", "CIS Ubuntu Linux Benchmark"),
    ("hipaa", "HIPAA Security Rule"),
    ("hitrust", "HITRUST CSF"),
    ("iso-27001", "ISO/IEC 27001"),
    ("nist-800-53", "NIST SP 800-53 r5"),
    ("pci-dss", "PCI DSS 4"),
    ("soc2", "SOC 2"),
];

/// Whether there is a framework of that name.
pub fn is_framework(name: &str) -> bool {
    FRAMEWORKS.iter().any(|(known, _)| *known == name)
}

/// One control that a configcrate claims to satisfy, from one source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Claim {
    /// The framework.
    pub framework: Arc<str>,
    /// The control's id in it.
    pub control: Arc<str>,
    /// What says so.
    pub via: Via,
    /// Where that stands: `path:line`.
    pub origin: Arc<str>,
}

/// What says that a control is claimed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// A tag of the catalogue of provisions.
    Provision(Arc<str>),
    /// A tag of the catalogue of bundles.
    Bundle(Arc<str>),
    /// A `compliance.vgo`, by its path.
    File(Arc<str>),
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Via::Provision(tag) => write!(f, "via {tag}"),
            Via::Bundle(tag) => write!(f, "via bundle:{tag}"),
            Via::File(path) => write!(f, "via {path}"),
        }
    }
}

/// A control that somebody accepts as not satisfied, on the hosts of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Waiver {
    /// The framework.
    pub framework: String,
    /// The control's id in it.
    pub control: String,
    /// Why.
    pub reason: String,
    /// Who approved it.
    pub approved_by: String,
    /// The last day on which it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Day>,
    /// Where it stands: `path:line`.
    pub origin: String,
}

impl Waiver {
    /// Whether it counts on that day; it still does on the day on which it expires.
    pub fn counts_on(&self, today: Day) -> bool {
        self.expires.is_none_or(|last| today <= last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B27.
    #[test]
    fn a_waiver_counts_until_the_end_of_its_last_day() {
        let waiver = |expires: Option<&str>| Waiver {
            framework: "soc2".into(),
            control: "CC6.1".into(),
            reason: "r".into(),
            approved_by: "dan".into(),
            expires: expires.map(|day| day.parse().unwrap()),
            origin: "waivers.vgo:1".into(),
        };
        let day = |text: &str| text.parse::<Day>().unwrap();
        assert!(waiver(None).counts_on(day("9999-12-31")));
        assert!(waiver(Some("2027-01-01")).counts_on(day("2027-01-01")));
        assert!(!waiver(Some("2027-01-01")).counts_on(day("2027-01-02")));
        assert!(!waiver(Some("2026-12-31")).counts_on(day("2027-01-01")), "by the year first");
    }
}
