//! Requests to join: machines without a token that wait for an operator.
//!
//! A small table in a bolt's memory. It holds at most [`limits::JOIN_REQUESTS`]; an asker that stops asking is
//! forgotten after two minutes, so filling the table takes a live connection for every row. Nothing in it admits
//! anybody: approval is an operator's signed invite for the node's key, and [`crate::enrol::Desk::approved`]
//! spends it.

use std::collections::BTreeMap;

use serde::Serialize;
use vigo_base::time::{mins, secs};
use vigo_base::{Hostname, PublicKey, Time, limits};

use crate::act::NodeKind;
use crate::token::span;

/// An asker not heard of for so long is forgotten.
pub const ASKER_STALE: u64 = mins(2);
/// A denied asker may ask again after this long.
pub const DENIED_FOR: u64 = mins(10);

/// A machine that asks to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JoinRequest {
    /// Its key.
    pub key: PublicKey,
    /// The name it wants.
    pub name: Hostname,
    /// What it wants to be.
    pub kind: NodeKind,
    /// The six words of its connection: the operator compares them with the machine's screen.
    pub words: [&'static str; 6],
    /// When it first asked.
    pub since: Time,
    /// When it was last heard of.
    pub heard: Time,
    /// What became of it.
    pub state: JoinState,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinState {
    /// An operator has not decided.
    Waiting,
    /// An operator said yes; the invite may still be on its way.
    Approved,
    /// An operator said no, at this time.
    Denied(Time),
}

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskRefused {
    /// Too many wait.
    #[error("{limit} machines wait for an operator here already: try again in two minutes, at another bolt, or with a token", limit = limits::JOIN_REQUESTS)]
    Full,
    /// An operator said no.
    #[error("an operator denied this machine; it may ask again in {left}")]
    Denied {
        /// How long, for people.
        left: String,
    },
    /// The connection shows other words than before: another machine has the key, or the words were not compared.
    #[error("this key asks on another connection with other words: compare the words again")]
    OtherWords,
    /// There is no such request.
    #[error("no request of {key:?} waits here: vigocli spanner requests lists them")]
    NoSuch {
        /// The key.
        key: PublicKey,
    },
}

/// The table of a bolt.
#[derive(Debug, Clone, Default)]
pub struct JoinRequests(BTreeMap<PublicKey, JoinRequest>);

impl JoinRequests {
    /// An empty table.
    pub fn new() -> JoinRequests {
        JoinRequests::default()
    }

    /// Takes a request, or hears of a known one again. A request that comes again on another connection starts
    /// anew, so an approval never covers words that nobody compared.
    ///
    /// # Errors
    /// [`AskRefused::Full`] or [`AskRefused::Denied`].
    pub fn ask(
        &mut self,
        now: Time,
        key: PublicKey,
        name: Hostname,
        kind: NodeKind,
        words: [&'static str; 6],
    ) -> Result<&JoinRequest, AskRefused> {
        self.forget_stale(now);
        if let Some(JoinState::Denied(at)) = self.0.get(&key).map(|r| r.state) {
            return Err(AskRefused::Denied { left: span(at.after(DENIED_FOR).since(now)) });
        }
        if !self.0.contains_key(&key) && self.0.len() >= limits::JOIN_REQUESTS {
            return Err(AskRefused::Full);
        }
        let new = JoinRequest { key, name, kind, words, since: now, heard: now, state: JoinState::Waiting };
        let request = self.0.entry(key).or_insert_with(|| new.clone());
        let same = request.words == new.words && request.name == new.name && request.kind == kind;
        if same {
            request.heard = request.heard.max(now);
        } else {
            *request = new;
        }
        Ok(request)
    }

    /// What became of a request, for its asker, who is heard of by asking.
    pub fn status(&mut self, now: Time, key: &PublicKey) -> Option<JoinState> {
        self.forget_stale(now);
        let request = self.0.get_mut(key)?;
        request.heard = request.heard.max(now);
        Some(request.state)
    }

    /// Decides a request. The words that the operator compared must be those of the request.
    ///
    /// # Errors
    /// [`AskRefused::NoSuch`], or [`AskRefused::OtherWords`] if the machine has connected anew since.
    pub fn decide(
        &mut self,
        now: Time,
        key: &PublicKey,
        words: &[&str; 6],
        yes: bool,
    ) -> Result<&JoinRequest, AskRefused> {
        self.forget_stale(now);
        let request = self.0.get_mut(key).ok_or(AskRefused::NoSuch { key: *key })?;
        if yes && request.words != *words {
            return Err(AskRefused::OtherWords);
        }
        request.state = if yes { JoinState::Approved } else { JoinState::Denied(now) };
        Ok(request)
    }

    /// Forgets a request, once its node is a member.
    pub fn remove(&mut self, key: &PublicKey) {
        self.0.remove(key);
    }

    /// The request of this key.
    pub fn get(&self, key: &PublicKey) -> Option<&JoinRequest> {
        self.0.get(key)
    }

    /// All requests, by key.
    pub fn iter(&self) -> impl Iterator<Item = &JoinRequest> {
        self.0.values()
    }

    fn forget_stale(&mut self, now: Time) {
        self.0.retain(|_, r| match r.state {
            JoinState::Denied(at) => now.since(at) < DENIED_FOR,
            // An approval is kept a little longer: the asker may be dialling again.
            JoinState::Approved => now.since(r.heard) < DENIED_FOR,
            JoinState::Waiting => now.since(r.heard) < ASKER_STALE + secs(1),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_base::SecretKey;

    const WORDS: [&str; 6] = ["abandon", "ability", "able", "about", "above", "absent"];
    const OTHER: [&str; 6] = ["zoo", "ability", "able", "about", "above", "absent"];

    fn key(n: u8) -> PublicKey {
        SecretKey::from_seed([n; 32]).public()
    }

    fn ask(
        table: &mut JoinRequests,
        now: u64,
        n: u8,
        words: [&'static str; 6],
    ) -> Result<JoinState, AskRefused> {
        let name = format!("web{n}").parse().unwrap();
        table.ask(Time(secs(now)), key(n), name, NodeKind::Envoy, words).map(|r| r.state)
    }

    #[test]
    fn the_table_is_bounded_and_the_silent_are_forgotten() {
        let mut table = JoinRequests::new();
        for n in 0..limits::JOIN_REQUESTS as u8 {
            assert_eq!(ask(&mut table, 1, n, WORDS), Ok(JoinState::Waiting));
        }
        assert_eq!(ask(&mut table, 2, 200, WORDS), Err(AskRefused::Full));
        assert_eq!(table.status(Time(secs(100)), &key(3)), Some(JoinState::Waiting));
        assert_eq!(ask(&mut table, 130, 200, WORDS), Ok(JoinState::Waiting), "all but one fell silent");
        assert_eq!(table.iter().count(), 2);
    }

    #[test]
    fn an_approval_covers_the_words_that_were_compared() {
        let mut table = JoinRequests::new();
        ask(&mut table, 1, 1, WORDS).unwrap();
        assert_eq!(table.decide(Time(secs(2)), &key(1), &OTHER, true), Err(AskRefused::OtherWords));
        assert!(table.decide(Time(secs(2)), &key(1), &WORDS, true).is_ok());
        assert_eq!(ask(&mut table, 3, 1, WORDS), Ok(JoinState::Approved));
        assert_eq!(ask(&mut table, 4, 1, OTHER), Ok(JoinState::Waiting), "another connection starts anew");
        assert_eq!(
            table.decide(Time(secs(5)), &key(9), &WORDS, true),
            Err(AskRefused::NoSuch { key: key(9) })
        );
    }

    #[test]
    fn who_was_denied_waits() {
        let mut table = JoinRequests::new();
        ask(&mut table, 1, 1, WORDS).unwrap();
        table.decide(Time(secs(2)), &key(1), &WORDS, false).unwrap();
        let refused = ask(&mut table, 62, 1, OTHER).unwrap_err();
        assert_eq!(refused.to_string(), "an operator denied this machine; it may ask again in 9 minutes");
        assert_eq!(ask(&mut table, 603, 1, WORDS), Ok(JoinState::Waiting));
    }
}
