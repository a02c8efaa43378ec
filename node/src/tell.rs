//! What this node says of itself, and what it says of others: registers and listings.
//!
//! A register is written for the bolts; a listing is made from the registers a bolt holds. The three axes stay
//! apart. What others reported is data: whoever prints it escapes it.

use vigo_base::{PublicKey, Time, planted, text};
use vigo_content::status::{
    Drift, Failure, PRESENCE, Presence, RUN, Run, TRAITS, Traits, drift, failure, offline_after,
};
use vigo_crdt::{Record, Space, register};
use vigo_spanner::{Member, MemberState, NodeKind};
use vigo_swarm::ids::ConnId;

use crate::boot::meta;
use crate::command::{
    EnvoyDetail, EnvoyRow, MemberRow, PeerRow, PublishRow, Rollout, RolloutRow, SettingRow, Status,
};
use crate::node::{Node, Out};
use vigo_content::config::Published;

impl Node {
    fn tell(&mut self, now: Time, slot: register::Slot, value: &[u8], out: &mut Out) {
        self.write(now, Space::status(), register::REGISTER, register::payload(slot, value), out);
    }

    pub(crate) fn tell_presence(&mut self, now: Time, out: &mut Out) {
        let presence = Presence {
            version: self.options.version.clone(),
            addresses: self.options.addresses.clone(),
            started: self.started,
            cadence: self.interval(),
        };
        self.tell(now, PRESENCE, &presence.encode(), out);
    }

    pub(crate) fn tell_run(&mut self, now: Time, run: &Run, out: &mut Out) {
        let value = run.encode();
        if !planted!(5) {
            self.keep(meta::RUN, value.clone(), out);
        }
        self.tell(now, RUN, &value, out);
    }

    pub(crate) fn tell_traits(&mut self, now: Time, json: &str, out: &mut Out) {
        self.tell(now, TRAITS, &Traits { json: json.to_string() }.encode(), out);
    }

    /// Gives a bolt our own registers: it may have missed them.
    pub(crate) fn tell_bolt(&self, conn: ConnId, out: &mut Out) {
        let own: Vec<Record> = self.replica.by_author(&Space::status(), &self.me).cloned().collect();
        if !own.is_empty() {
            self.send_records(conn, own, out);
        }
    }

    /// The envoys (bolts among them) that this node knows: all on a bolt, only itself elsewhere.
    fn known_members(&self) -> Vec<Member> {
        let Some(trust) = &self.trust else { return Vec::new() };
        let mut members: Vec<Member> = trust.roster.members().cloned().collect();
        if let Some(me) = trust.member()
            && !members.iter().any(|m| m.key == me.key)
        {
            members.push(me.clone());
        }
        members.sort_by(|a, b| a.name.cmp(&b.name).then(a.key.cmp(&b.key)));
        members
    }

    pub(crate) fn run_of(&self, key: &PublicKey) -> Option<Run> {
        if *key == self.me && self.following.run.is_some() {
            return self.following.run.clone();
        }
        self.register_value(key, RUN).and_then(|value| Run::decode(value).ok())
    }

    fn presence_of(&self, key: &PublicKey) -> Option<Presence> {
        self.register_value(key, PRESENCE).and_then(|value| Presence::decode(value).ok())
    }

    fn threshold(&self) -> usize {
        self.settings.number("convergence.diverged_threshold") as usize
    }

    /// When a member was last heard of: on a connection, or by its latest record's own stamp.
    fn last_heard(&self, key: &PublicKey, now: Time) -> Option<Time> {
        if *key == self.me {
            return Some(now);
        }
        let live =
            self.sessions.values().filter(|s| s.key == *key && s.member().is_some()).map(|s| s.heard).max();
        let ahead = |at: &Time| at.since(now) <= vigo_base::limits::STAMP_AHEAD_MICROS;
        let status = Space::status();
        let stamps = self.replica.by_author(&status, key).map(|r| r.stamp().time());
        let stamped = stamps.filter(ahead).max();
        live.max(self.heard.get(key).copied()).or(stamped)
    }

    fn is_online(&self, key: &PublicKey, now: Time) -> bool {
        let connected = self.sessions.values().any(|s| s.key == *key && s.member().is_some());
        // What it says of itself is bounded: nobody is online for ever by its own word.
        let cadence = self.presence_of(key).map_or_else(|| self.interval(), |p| p.cadence.min(86_400));
        let recent =
            self.last_heard(key, now).is_some_and(|h| now.since(h) <= offline_after(cadence) * 1_000_000);
        connected || recent
    }

    fn envoy_row(&self, member: &Member, now: Time) -> EnvoyRow {
        let run = self.run_of(&member.key);
        let head = self.config.head();
        let table = head.and_then(|p| self.blobs.tables.get(&p.publish.routes.hash));
        let route = table.and_then(|table| table.route(&member.name));
        EnvoyRow {
            name: member.name.to_string(),
            uuid: member.key.uuid(),
            bolt: member.kind == NodeKind::Bolt,
            failure: failure(run.as_ref()),
            drift: drift(run.as_ref(), self.threshold()),
            online: self.is_online(&member.key, now),
            heard: self.last_heard(&member.key, now),
            epoch: run.map_or(0, |run| run.epoch),
            tags: route.map(|r| r.tags.iter().cloned().collect()).unwrap_or_default(),
        }
    }

    pub(crate) fn envoy_rows(&self, now: Time) -> Vec<EnvoyRow> {
        let live =
            self.known_members().into_iter().filter(|m| !matches!(m.state, MemberState::Revoked { .. }));
        live.map(|m| self.envoy_row(&m, now)).collect()
    }

    pub(crate) fn envoy_detail(&self, name: &str, now: Time) -> Option<EnvoyDetail> {
        let members = self.known_members();
        let named = |m: &&Member| m.name.as_str().eq_ignore_ascii_case(name) || m.key.uuid() == name;
        let member = members.iter().filter(named).min_by_key(|m| !m.is_active())?;
        let table = self.config.head().and_then(|p| self.blobs.tables.get(&p.publish.routes.hash));
        let traits = self.register_value(&member.key, TRAITS).and_then(|v| Traits::decode(v).ok());
        Some(EnvoyDetail {
            row: self.envoy_row(member, now),
            key: member.key,
            run: self.run_of(&member.key),
            presence: self.presence_of(&member.key),
            traits: traits.and_then(|t| serde_json::from_str(&t.json).ok()),
            origin: table.and_then(|t| t.route(&member.name)).map(|r| r.origin.clone()),
        })
    }

    pub(crate) fn member_rows(&self) -> Vec<MemberRow> {
        let Some(trust) = &self.trust else { return Vec::new() };
        let mut rows: Vec<MemberRow> = trust
            .authority
            .operators()
            .map(|o| MemberRow {
                name: o.name.clone(),
                kind: if o.depth == 0 { "recovery".into() } else { "operator".into() },
                key: o.key,
                state: if o.revoked_by.is_empty() { "active".into() } else { "revoked".into() },
                why: o
                    .revoked_by
                    .first()
                    .and_then(|id| trust.authority.revocation(id))
                    .map(|r| r.revoke.reason.clone()),
                depth: o.depth,
                rights: o.granted.iter().map(|(right, _)| right.as_str().to_string()).collect(),
            })
            .collect();
        rows.extend(self.known_members().iter().map(|m| {
            let (state, why) = match &m.state {
                MemberState::Active => ("active", None),
                MemberState::Suspended(why) => ("suspended", Some(why.to_string())),
                MemberState::Revoked { by } => {
                    ("revoked", trust.authority.revocation(by).map(|r| r.revoke.reason.clone()))
                }
            };
            MemberRow {
                name: m.name.to_string(),
                kind: Node::kind_name(m.kind).into(),
                key: m.key,
                state: state.into(),
                why,
                depth: m.depth,
                rights: Vec::new(),
            }
        }));
        rows
    }

    pub(crate) fn rollout(&self, published: &Published, now: Time) -> Rollout {
        let table = self.blobs.tables.get(&published.publish.routes.hash);
        let routed = |m: &&Member| m.is_active() && table.is_none_or(|t| t.route(&m.name).is_some());
        let members = self.known_members();
        let envoys = members.iter().filter(routed).map(|m| {
            let run = self.run_of(&m.key);
            RolloutRow {
                name: m.name.to_string(),
                epoch: run.as_ref().map_or(0, |r| r.epoch),
                arrived: run
                    .as_ref()
                    .is_some_and(|r| r.publish == published.at.id || r.epoch > published.at.epoch),
                failure: failure(run.as_ref()),
                online: self.is_online(&m.key, now),
            }
        });
        let held = self.blobs.holds(&published.publish.source) && self.is_bolt();
        let others = self.blobs.custody.get(&published.at.id).map_or(0, |c| c.holders.len());
        Rollout {
            at: published.at,
            is_head: self.config.head().is_some_and(|head| head.at == published.at),
            bolts_holding: usize::from(held) + others,
            complete: self.is_bolt(),
            envoys: envoys.collect(),
        }
    }

    pub(crate) fn publish_rows(&self) -> Vec<PublishRow> {
        let head = self.config.head().map(|p| p.at);
        let name =
            |key: &PublicKey| self.trust.as_ref().map_or_else(|| key.short(), |t| t.operator_name(key));
        let mut rows: Vec<PublishRow> = self
            .config
            .iter()
            .map(|p| PublishRow {
                at: p.at,
                operator: name(&p.signer),
                time: p.time,
                note: p.publish.note.clone(),
                head: Some(p.at) == head,
                refused: p.refused.clone(),
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.at));
        rows
    }

    pub(crate) fn setting_rows(&self) -> Vec<SettingRow> {
        let name =
            |key: &PublicKey| self.trust.as_ref().map_or_else(|| key.short(), |t| t.operator_name(key));
        let row = |key: &vigo_content::settings::Key| {
            let set = self.settings.get(key.name).filter(|s| s.value.is_some());
            SettingRow {
                key: key.name.to_string(),
                value: self.settings.value(key.name),
                set: set.is_some(),
                by: set.map(|s| name(&s.signer)),
                help: key.help.to_string(),
            }
        };
        vigo_content::settings::KEYS.iter().map(row).collect()
    }

    pub(crate) fn peer_rows(&self) -> Vec<PeerRow> {
        let row = |s: &crate::session::Session| PeerRow {
            name: s.member().map(|m| m.name.to_string()),
            key: s.key,
            address: s.address.clone(),
            bolt: s.is_bolt(),
            dialed: s.dialed,
            since: s.since,
            gossip: self.gossip.stands(&s.key),
        };
        self.sessions.values().map(row).collect()
    }

    pub(crate) fn status(&self, now: Time) -> Status {
        let member = self.trust.as_ref().and_then(|t| t.member());
        let (standing, why) = self.standing_in_words();
        let run = self.following.run.clone();
        let failing: Failure = failure(run.as_ref());
        let drifting: Drift = drift(run.as_ref(), self.threshold());
        Status {
            name: member.map(|m| m.name.to_string()),
            uuid: self.me.uuid(),
            key: self.me,
            spanner: self.spanner(),
            fleet: self.trust.as_ref().map(|t| text::escaped(t.authority.label())),
            bolt: self.is_bolt(),
            standing,
            why,
            version: self.options.version.clone(),
            now: self.wall(now),
            started: self.started,
            head: self.config.head().map(|p| p.at),
            floor: self.following.floor,
            config: self.following_in_words(),
            run,
            report: self.following.report.clone(),
            failure: failing,
            drift: drifting,
            peers: self.members().count(),
            links: self.gossip.links(),
            bolts: self.members().filter(|(_, m)| m.is_active_bolt()).count(),
            records: self.replica.spaces().map(|s| (s.to_string(), self.replica.len(s))).collect(),
            beacons: self.beacon_counts(now),
            warnings: self.warning_lines(now),
        }
    }

    fn standing_in_words(&self) -> (String, Option<String>) {
        use crate::trust::Standing;
        match self.trust.as_ref().map(|t| &t.standing) {
            None => ("joining".into(), self.joining.as_ref().map(|j| j.in_words())),
            Some(Standing::Member(m)) => match &m.state {
                MemberState::Active => ("member".into(), None),
                MemberState::Suspended(why) => ("suspended".into(), Some(why.to_string())),
                MemberState::Revoked { .. } => ("revoked".into(), None),
            },
            Some(Standing::Out(why)) => self.out_in_words(why),
        }
    }

    /// Why this node is no member any more, in the words of whoever decided it if somebody did.
    fn out_in_words(&self, why: &str) -> (String, Option<String>) {
        let authority = self.trust.as_ref().map(|t| &t.authority);
        if let Some(revocation) = authority.and_then(|a| a.is_revoked(&self.me)) {
            let reason = &revocation.revoke.reason;
            let said = if reason.is_empty() { "by an operator, without a reason" } else { reason };
            return ("revoked".into(), Some(said.to_string()));
        }
        let suspended = authority.is_some_and(|a| a.suspended(&self.me).is_some());
        (if suspended { "suspended" } else { "out" }.into(), Some(why.to_string()))
    }

    /// What the last run left to be triggered.
    fn pending_line(&self) -> Option<String> {
        let pending = &self.following.report.as_ref()?.pending;
        let first = pending.first()?;
        let more = match pending.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        Some(format!(
            "{first}{more}: pending from an earlier run, triggered and not run well since; each run tries again, `vigo converge` now"
        ))
    }

    fn warning_lines(&self, now: Time) -> Vec<String> {
        let mut lines: Vec<String> = self.warnings.values().cloned().collect();
        lines.extend(self.audit_warnings(now));
        lines.extend(self.pending_line());
        for loser in self.config.losers() {
            lines.push(format!(
                "epoch {} {} lost against another publish of the same epoch: publish again to close the fork",
                loser.at.epoch,
                loser.at.id.short()
            ));
        }
        if self.trust.as_ref().is_some_and(|t| t.authority.outdated()) {
            lines.push("the fleet's version is above what this program knows: upgrade it".into());
        }
        lines
    }
}
