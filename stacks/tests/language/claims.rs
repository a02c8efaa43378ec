//! Claims and waivers as data: which control, from where, for whom.

use vigo_stacks::compliance::{Claim, FRAMEWORKS, bundles, provisions};

use crate::composition::{crates, people};
use crate::{compiled, said, tree};

fn lines(claims: &[Claim]) -> Vec<String> {
    claims.iter().map(|c| format!("{} {} ({}) {}", c.framework, c.control, c.via, c.origin)).collect()
}

/// B22, B34, B35, E19: every compliance.vgo above the file counts, those of other directories do not.
#[test]
fn claims_reach_every_configcrate_below_their_file() {
    let text = crates(&["plain"])
        + "=== configcrates/net/fw.vgo\nname: fw\nresources:\n  - {name: r, type: exec, command: x}\n"
        + &people(&["usercrates/dan"])
        + "=== compliance.vgo\ncompliance: {cis: [\"1.1.1\"], nist-800-53: [AC-1, AC-1]}\n"
        + "=== configcrates/net/compliance.vgo\ncompliance: {nist-800-53: [SC-7, AC-1]}\n"
        + "=== usercrates/compliance.vgo\ncompliance: {soc2: [CC6.1]}\n"
        + "=== s/h.vgo\nenvoys:\n  - {match: \"*\", configcrates: [plain, fw], usercrates: [dan]}\n";
    let compiled = compiled(&text);
    assert_eq!(
        lines(&compiled.claims.get("plain")),
        [
            "cis 1.1.1 (via compliance.vgo) compliance.vgo:1",
            "nist-800-53 AC-1 (via compliance.vgo) compliance.vgo:1"
        ]
    );
    assert_eq!(
        lines(&compiled.claims.get("fw")),
        [
            "cis 1.1.1 (via compliance.vgo) compliance.vgo:1",
            "nist-800-53 AC-1 (via compliance.vgo) compliance.vgo:1",
            "nist-800-53 AC-1 (via configcrates/net/compliance.vgo) configcrates/net/compliance.vgo:1",
            "nist-800-53 SC-7 (via configcrates/net/compliance.vgo) configcrates/net/compliance.vgo:1",
        ]
    );
    assert_eq!(lines(&compiled.claims.get("dan")).len(), 3);
}

/// B12, B13, B14, B15, B16, F7: tags stand for what the catalogues say, and both kinds are united.
#[test]
fn tags_claim_what_the_catalogues_say() {
    let text = "=== configcrates/chrony.vgo\nname: chrony\ncompliance: {provides: [time-sync]}\nresources: [{name: r, type: exec, command: x}]\n\
        === configcrates/sshd.vgo\nname: sshd\ncompliance:\n  provides: [ssh-hardening]\n  bundle: [cis-ubuntu-access]\nresources: [{name: r, type: exec, command: x}]\n\
        === s/h.vgo\nenvoys:\n  - {match: \"*\", configcrates: [chrony, sshd]}\n";
    let compiled = compiled(text);
    let chrony = lines(&compiled.claims.get("chrony"));
    for claim in [
        "cis-rhel 2.1.1.1",
        "cis-rhel 2.1.1.2",
        "cis-ubuntu 2.1.1.1",
        "cis-ubuntu 2.1.1.2",
        "iso-27001 A.12.4.4",
        "nist-800-53 AU-8",
        "pci-dss 10.6.1",
        "pci-dss 10.6.2",
        "pci-dss 10.6.3",
    ] {
        let line = format!("{claim} (via time-sync) configcrates/chrony.vgo:2");
        assert!(chrony.contains(&line), "{line} in {chrony:#?}");
    }
    let sshd = lines(&compiled.claims.get("sshd"));
    assert!(sshd.iter().any(|l| l.contains("(via ssh-hardening)")));
    assert!(sshd.iter().any(|l| l.contains("(via bundle:cis-ubuntu-access) configcrates/sshd.vgo:4")));
}

/// B25, B26, B28: the waivers of the directories above a hostcrate, never those of a sibling.
#[test]
fn waivers_reach_the_hosts_below_their_file() {
    let waiver = |control: &str, more: &str| {
        format!(
            "waivers:\n  cis-ubuntu:\n    - control: \"{control}\"\n      reason: it is a build host\n      approved_by: dan\n{more}"
        )
    };
    let text = crates(&["a"])
        + "=== waivers.vgo\n"
        + &waiver("6.1.10", "      expires: 2027-01-01\n")
        + "=== x/waivers.vgo\n"
        + &waiver("6.2.5", "")
        + "=== y/h.vgo\nenvoys:\n  - {match: \"y*\", configcrates: [a]}\n"
        + "=== x/deep/h.vgo\nenvoys:\n  - {match: \"x*\", configcrates: [a]}\n"
        + "=== h.vgo\nenvoys:\n  - {match: \"r*\", configcrates: [a]}\n";
    let compiled = compiled(&text);
    let waived = |host: &str| {
        let waivers = compiled.waived(compiled.route(host).unwrap());
        waivers.map(|w| format!("{} {}", w.control, w.origin)).collect::<Vec<_>>()
    };
    assert_eq!(waived("x1"), ["6.1.10 waivers.vgo:3", "6.2.5 x/waivers.vgo:3"]);
    assert_eq!(waived("y1"), ["6.1.10 waivers.vgo:3"]);
    assert_eq!(waived("r1"), ["6.1.10 waivers.vgo:3"], "the root's waivers are for the whole fleet");
    let first = compiled.waived(compiled.route("x1").unwrap()).next().unwrap();
    assert_eq!((first.reason.as_str(), first.approved_by.as_str()), ("it is a build host", "dan"));
    assert!(!first.counts_on("2027-01-02".parse().unwrap()));
}

/// B18, B19: the catalogues are sound, and know the frameworks.
#[test]
fn the_catalogues_are_sound() {
    let form = |framework: &str, id: &str| {
        let parts: Vec<&str> = id.split('.').collect();
        let numbers = |parts: &[&str]| !parts.is_empty() && parts.iter().all(|p| p.parse::<u16>().is_ok());
        match framework {
            "nist-800-53" => {
                let (family, rest) = id.split_once('-').unwrap_or_default();
                let (number, enhancement) = rest.split_once('(').unwrap_or((rest, "1)"));
                family.len() == 2
                    && family.bytes().all(|b| b.is_ascii_uppercase())
                    && number.parse::<u8>().is_ok()
                    && enhancement.strip_suffix(')').is_some_and(|e| e.parse::<u8>().is_ok())
            }
            "iso-27001" => parts[0] == "A" && parts.len() >= 3 && numbers(&parts[1..]),
            "soc2" => {
                let letters = parts[0].trim_end_matches(|c: char| c.is_ascii_digit());
                ["CC", "A", "C", "PI", "P"].contains(&letters) && parts.len() == 2 && numbers(&parts[1..])
            }
            "hipaa" => {
                let rest = id.strip_prefix("164.").unwrap_or("x");
                let (section, rest) = rest.split_once('(').unwrap_or((rest, ""));
                section.parse::<u16>().is_ok_and(|s| (302..=318).contains(&s))
                    && (rest.is_empty() || rest.ends_with(')'))
            }
            "pci-dss" => {
                parts.len() >= 2
                    && parts.len() <= 5
                    && numbers(&parts[..2])
                    && parts[0].parse::<u8>().is_ok_and(|r| (1..=12).contains(&r))
            }
            "cis-ubuntu" | "cis-rhel" => {
                parts.len() >= 2
                    && numbers(&parts)
                    && parts[0].parse::<u8>().is_ok_and(|r| (1..=7).contains(&r))
            }
            _ => false,
        }
    };
    let (provisions, bundles) = (provisions(), bundles());
    for (catalogue, kind) in [(&provisions, "provision"), (&bundles, "bundle")] {
        for (tag, entry) in &catalogue.entries {
            assert!(tag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{tag}");
            assert!(entry.about.ends_with('.') && entry.about.len() > 20, "{tag}");
            assert!(!entry.controls.is_empty(), "{tag}");
            for (framework, ids) in &entry.controls {
                assert!(!ids.is_empty(), "{tag} {framework}");
                for id in ids {
                    assert!(form(framework, id), "{kind} {tag}: {framework} {id}");
                    assert!(ids.iter().filter(|other| *other == id).count() == 1, "{tag}: {id} twice");
                }
            }
        }
    }
    for (tag, entry) in &bundles.entries {
        assert_eq!(entry.controls.len(), 1, "a bundle is a section of one framework: {tag}");
        let (framework, ids) = entry.controls.first_key_value().unwrap();
        assert!(tag.starts_with(&**framework) && ids.len() >= 3, "{tag}");
    }
    assert!(provisions.entries.len() + bundles.entries.len() >= 43);
    for framework in ["nist-800-53", "iso-27001", "pci-dss", "soc2", "hipaa", "cis-ubuntu", "cis-rhel"] {
        assert!(FRAMEWORKS.iter().any(|(name, _)| *name == framework));
        let of = |c: &vigo_stacks::compliance::Catalogue| {
            c.entries.values().filter(|e| e.controls.contains_key(framework)).count()
        };
        assert!(of(&provisions) >= 10, "{framework}");
        assert!(of(&bundles) >= 2, "{framework}");
    }
    assert!(provisions.tags().all(|tag| bundles.get(tag).is_none()), "one tag, one meaning");
}

/// B17: an unknown tag claims nothing, and the tree does not compile; the trace shows the rest.
#[test]
fn an_unknown_tag_claims_nothing() {
    let text = "=== configcrates/a.vgo\nname: a\ncompliance: {provides: [time-synk]}\nresources: [{name: r, type: exec, command: x}]\n\
        === s/h.vgo\nenvoys:\n  - {match: \"*\", configcrates: [a]}\n";
    let (none, diagnostics) = vigo_stacks::compile(&tree(text));
    assert!(none.is_none());
    assert!(said(&diagnostics).contains("did you mean `time-sync`?"), "{}", said(&diagnostics));
}

/// B17: one configcrate without a fleet is held to the catalogues too, and `compliance:` is no hindrance there.
#[test]
fn a_single_configcrate_is_held_to_the_catalogues() {
    let single = |tag: &str| {
        let text = format!(
            "name: a\ncompliance: {{provides: [{tag}]}}\nresources: [{{name: r, type: exec, command: x}}]\n"
        );
        vigo_stacks::compile_single("a.vgo", text.as_bytes(), &vigo_stacks::SourceTree::new())
    };
    assert!(single("time-sync").0.is_some());
    let (none, diagnostics) = single("time");
    assert!(none.is_none() && said(&diagnostics).contains("compliance-tag-unknown"));
}

/// Many tagged configcrates do not cost a reading of the catalogues each.
#[test]
fn a_thousand_tagged_configcrates_are_cheap() {
    let crates: String = (0..1_000)
        .map(|i| {
            format!(
                "=== configcrates/c{i}.vgo\nname: c{i}\ncompliance: {{provides: [time-sync, ssh-hardening], bundle: [cis-ubuntu-access]}}\nresources: [{{name: r, type: exec, command: x}}]\n"
            )
        })
        .collect();
    let source = tree(&(crates + "=== s/h.vgo\nenvoys: []\n"));
    let begun = std::time::Instant::now();
    let (compiled, _) = vigo_stacks::compile(&source);
    let took = begun.elapsed();
    let claims = compiled.unwrap().claims;
    assert_eq!(claims.names().count(), 1_000);
    assert!(claims.get("c999").len() > 50);
    assert!(took.as_secs() < 10, "{took:?}");
    println!("{took:?}");
}
