//! Who belongs to a fleet and who may do what (see the modules; more follows).
pub mod act;
pub mod admissions;
pub mod authority;
pub mod member;
pub mod right;
pub mod spend;

pub use act::{Act, NodeKind};
pub use admissions::Admissions;
pub use authority::{Authority, Operator, WhyNot, WhyNotSpend};
pub use member::{Member, MemberState, Suspension};
pub use right::{Grant, Grants, Pattern, Right};
