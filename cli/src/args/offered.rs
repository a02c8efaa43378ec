//! Names that completion offers, where any other text is taken too: the command says what is wrong with it, and what is near.
//!
//! They are lists that the program carries; no node and no tree is asked for them.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;

/// Takes any text, offers these.
#[derive(Debug, Clone, Copy)]
pub struct Offered(pub fn() -> Vec<String>);

impl TypedValueParser for Offered {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        let text = value.to_str().map(str::to_owned);
        text.ok_or_else(|| clap::Error::new(ErrorKind::InvalidUtf8).with_cmd(command))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.0)().into_iter().map(PossibleValue::new)))
    }
}

/// The tags of configcrates that provide something.
pub fn provisions() -> Vec<String> {
    vigo_stacks::compliance::provisions().tags().map(str::to_owned).collect()
}

/// The sections of frameworks.
pub fn bundles() -> Vec<String> {
    vigo_stacks::compliance::bundles().tags().map(str::to_owned).collect()
}

/// The rules of trees.
pub fn rules() -> Vec<String> {
    vigo_stacks::rules::RULES.iter().map(|rule| rule.name.to_owned()).collect()
}
