//! Who belongs to a fleet, and who may do what.
//!
//! The words of this crate:
//!
//! - an **[`Act`]** is what an operator says in `admissions`: who else is an operator, who is invited, who is out.
//! - a **[`Spend`]** is a bolt letting a node in by an operator's invite. Nobody belongs without both.
//! - **[`Authority`]** is what all of that comes to: a pure function of a grow-only set of signed things
//!   ([`Admissions`]), the same on every node whatever the order.
//! - a **[`Member`]** is a node with name, kind and state; the [`Roster`] lists them, [`Papers`] prove one.
//! - the **[`door`]** is the one place that says who may ask what.
//!
//! A fleet of one bolt, from nothing:
//!
//! ```
//! use vigo_base::{Hash, SecretKey, Stamp, Time};
//! use vigo_crdt::{Record, Space};
//! use vigo_spanner::{Admissions, Authority, act::Genesis, enrol, spend::SPEND};
//!
//! let [recovery, operator, bolt] = [1, 2, 3].map(|n| SecretKey::from_seed([n; 32]));
//! let genesis = Genesis { label: "home".into(), version: 1, nonce: Hash::of(b"random") };
//! let (alice, b1) = ("alice".parse().unwrap(), "b1".parse().unwrap());
//! let made = enrol::found(&recovery, genesis, &operator, alice, bolt.public(), b1, Time(0));
//!
//! let mut admissions = Admissions::new(made.spanner);
//! for statement in made.statements {
//!     admissions.insert_statement(statement);
//! }
//! let payload = vigo_base::codec::encode(&made.spend);
//! let spend = Record::sign(&bolt, &made.spanner, Space::admissions(), 1, SPEND, Stamp(0), payload).unwrap();
//! admissions.insert(&spend).unwrap();
//!
//! let authority = Authority::evaluate(&admissions);
//! assert!(authority.bolt(&bolt.public()).is_some_and(|b| b.is_active_bolt()));
//! ```
//!
//! What this crate never does: read a clock, draw randomness, open a file or a socket, or let what a node says of
//! itself decide anything. Invariant: two nodes that hold the same records give the same answers.

pub mod act;
pub mod admissions;
pub mod ask;
pub mod authority;
pub mod door;
pub mod enrol;
pub mod member;
pub mod papers;
pub mod right;
pub mod roster;
pub mod spend;
pub mod token;
pub mod words;
pub mod wrap;

pub use act::{Act, ActKind, Invite, Invitee, NameRule, NodeKind};
pub use admissions::{Admissions, Inserted};
pub use ask::{JoinRequest, JoinRequests, JoinState};
pub use authority::{Authority, Dag, Invitation, Operator, Revocation, SpaceJudge, WhyNot, WhyNotSpend};
pub use door::{BlobClass, Denied, Request, Who, may, may_push, may_read};
pub use enrol::{Desk, EnrolRefused, EnrolRequest, Enrolment};
pub use member::{Member, MemberState, Suspension};
pub use papers::{Checked, Papers, PapersRefused, RevocationDigest};
pub use right::{Grant, Grants, Pattern, Right};
pub use roster::{Enrolled, Roster};
pub use spend::{ForkProof, Proof, Spend, SpendRecord};
pub use token::{BadToken, Token, TokenBolt, TokenExpired};
pub use words::six_words;
pub use wrap::{BadEnvelope, Cost, Envelope, Purpose};
