//! The audit logs, listed and checked: what the local API answers.
//!
//! Made from the records that this bolt holds, each time anew; nothing is kept between two calls.

use std::collections::BTreeMap;

use vigo_base::{PublicKey, Time, text};
use vigo_content::audit::{Anchor, KINDS, Kind, Row, Verified, rows, verify};
use vigo_crdt::{Record, Space};
use vigo_spanner::MemberState;

use super::watch::WARNING;
use crate::command::{AUDIT_ROWS, AuditDamage, AuditFilter, AuditLog, AuditRow, Refusal, RefusalKind};
use crate::node::Node;

/// How many entries are listed unless somebody says otherwise.
const ROWS: u32 = 50;

impl Node {
    fn only_bolts(&self) -> Result<(), Refusal> {
        if self.is_bolt() {
            return Ok(());
        }
        let what = "this node is no bolt, and only bolts hold audit logs".to_string();
        let hint = Some("ask on a bolt: `vigocli spanner members` lists them".to_string());
        Err(Refusal { kind: RefusalKind::NotFound, what, hint })
    }

    /// Every bolt there ever was, with its name.
    fn all_bolts(&self) -> BTreeMap<PublicKey, String> {
        let bolts = self.trust.iter().flat_map(|t| t.authority.bolts());
        let mut names: BTreeMap<PublicKey, String> = bolts.map(|b| (b.key, b.name.to_string())).collect();
        if let Some(me) = self.trust.as_ref().and_then(|t| t.member()) {
            names.insert(me.key, me.name.to_string());
        }
        names
    }

    /// The bolts whose logs are asked for.
    fn bolts_named(&self, name: &str) -> Result<BTreeMap<PublicKey, String>, Refusal> {
        let mut bolts = self.all_bolts();
        let key: Option<PublicKey> = name.parse().ok();
        let near = text::nearest(name, bolts.values().map(String::as_str)).map(str::to_string);
        bolts.retain(|bolt, known| Some(*bolt) == key || known.eq_ignore_ascii_case(name));
        if !bolts.is_empty() {
            return Ok(bolts);
        }
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "`vigocli audit verify` lists the logs".to_string(),
        };
        let what = format!("there is no bolt {:?}", text::escaped(name));
        Err(Refusal { kind: RefusalKind::NotFound, what, hint: Some(hint) })
    }

    /// The entries that a filter lets through, the newest last.
    pub(crate) fn audit_rows(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, Refusal> {
        self.only_bolts()?;
        if let Some(name) = filter.kind.as_deref().filter(|name| Kind::named(name).is_none()) {
            return Err(no_kind(name));
        }
        let bolts = match &filter.bolt {
            Some(name) => self.bolts_named(name)?,
            None => self.all_bolts(),
        };
        let names = self.all_bolts();
        let mut found: Vec<AuditRow> = Vec::new();
        for (bolt, name) in &bolts {
            let space = Space::audit(bolt);
            let all = rows(self.replica.by_author(&space, bolt)).map(|row| listed(name, row, &names));
            found.extend(all.filter(|row| wanted(filter, row)));
        }
        found.sort_by_key(|row| (row.at, row.bolt_key, row.number));
        let limit = filter.limit.unwrap_or(ROWS).min(AUDIT_ROWS) as usize;
        Ok(found.split_off(found.len().saturating_sub(limit)))
    }

    /// What each log comes to.
    pub(crate) fn audit_logs(&self, now: Time) -> Result<Vec<AuditLog>, Refusal> {
        self.only_bolts()?;
        let bolts = self.all_bolts();
        let spaces: Vec<(PublicKey, Space)> = bolts.keys().map(|bolt| (*bolt, Space::audit(bolt))).collect();
        let logs: BTreeMap<PublicKey, Vec<&Record>> = spaces
            .iter()
            .map(|(bolt, space)| (*bolt, self.replica.records(space).map(|(_, record, _)| record).collect()))
            .collect();
        let spanner = self.spanner().unwrap_or_default();
        let names = |key: &PublicKey| bolts.get(key).cloned().unwrap_or_else(|| key.short());
        let verified = verify(&spanner, &logs);
        let recent = |at: Time| self.wall(now).since(at) < WARNING;
        let mut out: Vec<AuditLog> = verified
            .into_iter()
            .map(|(key, verified)| self.checked(key, verified, &names, &recent))
            .collect();
        out.sort_by(|a, b| (&a.bolt, a.key).cmp(&(&b.bolt, b.key)));
        Ok(out)
    }

    fn checked(
        &self,
        key: PublicKey,
        verified: Verified,
        names: &dyn Fn(&PublicKey) -> String,
        recent: &dyn Fn(Time) -> bool,
    ) -> AuditLog {
        let state = match self.known_member(&key).map(|m| m.state) {
            Some(MemberState::Active) => "active",
            Some(MemberState::Suspended(_)) => "suspended",
            Some(MemberState::Revoked { .. }) => "revoked",
            None => "unknown",
        };
        let damage: Vec<AuditDamage> = verified
            .findings
            .iter()
            .map(|f| AuditDamage {
                number: f.damage.number(),
                what: f.damage.word().into(),
                text: f.damage.to_string(),
                by: f.seen_by.as_ref().map(names),
                at: None,
            })
            .collect();
        let alarms: Vec<AuditDamage> = verified
            .alarms
            .into_iter()
            .filter(|alarm| recent(alarm.at))
            .map(|alarm| AuditDamage {
                number: 0,
                what: "alarm".into(),
                text: alarm.text,
                by: Some(names(&alarm.by)),
                at: Some(alarm.at),
            })
            .collect();
        AuditLog {
            bolt: names(&key),
            key,
            state: state.into(),
            length: verified.length,
            entries: verified.entries,
            head: verified.head,
            anchors: verified.anchors,
            anchored: verified.anchored,
            intact: damage.is_empty() && alarms.is_empty(),
            damage,
            alarms,
        }
    }
}

fn no_kind(name: &str) -> Refusal {
    let names = || KINDS.iter().map(|(_, name, _)| *name);
    let hint = match text::nearest(name, names()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("the kinds are {}", names().collect::<Vec<_>>().join(", ")),
    };
    let what = format!("there is no kind of entry {:?}", text::escaped(name));
    Refusal { kind: RefusalKind::BadRequest, what, hint: Some(hint) }
}

fn listed(bolt: &str, row: Row, names: &BTreeMap<PublicKey, String>) -> AuditRow {
    let Row { bolt: bolt_key, number, id, entry } = row;
    let bolt = bolt.to_string();
    let anchor = |a: &Anchor| {
        let name = names.get(&a.bolt).cloned().unwrap_or_else(|| a.bolt.short());
        format!("{name} {}", a.number)
    };
    match entry {
        Ok(entry) => AuditRow {
            bolt,
            bolt_key,
            number,
            id,
            at: entry.at,
            kind: entry.kind_name(),
            who: entry.who.words(),
            key: entry.who.key(),
            target: entry.target,
            subject: entry.subject,
            text: match entry.anchors.as_slice() {
                [] => entry.text,
                anchors => anchors.iter().map(anchor).collect::<Vec<_>>().join(", "),
            },
            count: entry.count,
            anchors: entry.anchors,
        },
        Err(why) => AuditRow {
            bolt,
            bolt_key,
            number,
            id,
            at: Time(0),
            kind: "unreadable".into(),
            who: String::new(),
            key: None,
            target: String::new(),
            subject: None,
            text: text::escaped(&why),
            count: 1,
            anchors: Vec::new(),
        },
    }
}

fn wanted(filter: &AuditFilter, row: &AuditRow) -> bool {
    let by = |who: &String| {
        let key = row.key.is_some_and(|key| key.to_string() == *who);
        key || row.who.eq_ignore_ascii_case(who) || row.target.eq_ignore_ascii_case(who)
    };
    filter.kind.as_ref().is_none_or(|kind| row.kind == *kind)
        && filter.since.is_none_or(|since| row.at >= since)
        && filter.who.as_ref().is_none_or(by)
}
