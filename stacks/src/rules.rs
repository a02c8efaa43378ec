//! The names of everything that can be wrong with a tree, each with a line that explains it.
//!
//! A rule's name never changes its meaning: people search for it and scripts match on it.

mod pages;

/// A rule: its name, and what it guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The name, as it stands in a diagnostic.
    pub name: &'static str,
    /// What it guards, in a sentence.
    pub about: &'static str,
}

macro_rules! rules {
    ($($ident:ident = $name:literal: $about:literal;)*) => {
        $(#[doc = $about] pub const $ident: &str = $name;)*
        /// All rules, in the order of the stages.
        pub const RULES: &[Rule] = &[$(Rule { name: $name, about: $about }),*];
    };
}

rules! {
    FILE_PATH = "file-path": "A path in a tree is relative, short and free of `..` and control characters.";
    FILE_SIZE = "file-size": "Files and trees have a largest size.";
    FILE_ARCHIVE = "file-archive": "The archive of a published tree is canonical and of a known version.";
    FILE_UTF8 = "file-utf8": "Configuration and templates are UTF-8.";
    FILE_EMPTY = "file-empty": "A .vgo file says something.";
    FILE_PLACE = "file-place": "Every kind of file has its place in the tree.";
    FILE_EXTENSION = "file-extension": "Configuration lies in .vgo files; others are not read.";
    KEPT_ONLY = "kept-only": "Tasks and workflows travel with the tree, and nothing runs them yet.";
    LEGACY_LAYOUT = "legacy-layout": "The directories envoys/, roles/ and vars/ of old layouts are not read.";
    DIRECTORY_ENVIRONMENT = "directory-environment": "A directory named for an environment says less than it seems to.";
    YAML_SYNTAX = "yaml-syntax": "A file is one YAML 1.2 document.";
    YAML_DUPLICATE_KEY = "yaml-duplicate-key": "A key stands once in a map.";
    YAML_KEY = "yaml-key": "Keys are plain names.";
    YAML_TAG = "yaml-tag": "YAML tags and merge keys are not used.";
    YAML_EXPANSION = "yaml-expansion": "Aliases expand to a bounded size.";
    YAML_DEPTH = "yaml-depth": "Lists and maps nest to a bounded depth.";
    YAML_BOOLEAN = "yaml-boolean": "yes, no, on and off are texts in YAML 1.2; write true, false or quotes.";
    YAML_OCTAL = "yaml-octal": "A number with a leading zero needs quotes.";
    YAML_NUMBER = "yaml-number": "A number keeps its digits only in quotes.";
    VALUE_KIND = "value-kind": "A value is of the kind that its key asks for.";
    KEY_UNKNOWN = "key-unknown": "Only known keys are allowed.";
    KEY_MISSING = "key-missing": "Some keys are required.";
    KEY_RETIRED = "key-retired": "Keys of older versions have replacements.";
    NOT_IN_THIS_VERSION = "not-in-this-version": "The language has it, this version does not.";
    NAME_INVALID = "name-invalid": "Names consist of letters, digits, dots, hyphens and underscores.";
    NAME_TAKEN = "name-taken": "A name means one thing.";
    TYPE_UNKNOWN = "type-unknown": "Only known resource types are allowed.";
    STATE_UNKNOWN = "state-unknown": "A state is of its type's vocabulary.";
    ATTRIBUTES_EXCLUSIVE = "attributes-exclusive": "Some attributes exclude each other.";
    SOURCE_MISSING = "source-missing": "A source is a file under templates/.";
    REVERT_STATE = "revert-state": "What has a state is undone by one; revert: is for actions and for values.";
    REVERT_COMMAND = "revert-command": "An action is reverted by the command that on_revert: gives.";
    REVERT_IMPOSSIBLE = "revert-impossible": "Some types cannot be reverted yet.";
    STREAM_EDIT_PATH = "stream-edit-path": "Scripts of stream_edit lie in the directories that are allowed.";
    LOOKUP_DEFAULT = "lookup-default": "A lookup table says what counts when no arm matches.";
    LOOKUP_ARM = "lookup-arm": "An arm of a lookup table names machines: a host, a glob, a tag or a trait.";
    LOOKUP_MIXED = "lookup-mixed": "The arms of a lookup table are all lists, or none is.";
    LOOKUP_PLACE = "lookup-place": "Lookup tables are values of attributes, and hold no others.";
    CASE_SHAPE = "case-shape": "case: is a template, and match: has a map of attributes for each of its results.";
    FOREACH_LIST = "foreach-list": "foreach: names a variable that is a list.";
    FOREACH_KEY = "foreach-key": "Every instance of a configcrate has a name of its own, from key: or from the element.";
    FOREACH_NAME = "foreach-name": "Every copy of a resource has a name of its own.";
    FOREACH_ELEMENT = "foreach-element": "Every element has every field that is put in.";
    FOREACH_ONCE = "foreach-once": "A configcrate has one foreach: in a policy; the first mention counts.";
    CONDITIONAL_VARIABLE = "conditional-variable": "A conditional variable asks for one trait, in the vars: of a configcrate.";
    BLOCK_SHAPE = "block-shape": "A conditional_block has a when: and resources:.";
    TRIGGER_MISSING = "trigger-missing": "What waits for a trigger has one.";
    SECRET_UNSUPPORTED = "secret-unsupported": "Secrets are part of the language but not of this version.";
    TEMPLATE_INVALID = "template-invalid": "A template is checked at publish.";
    TEMPLATE_NAME = "template-name": "A template prints names that exist.";
    TEMPLATE_IN_VARS = "template-in-vars": "Variables are values; templates in them are not rendered.";
    WHEN_INVALID = "when-invalid": "A condition is checked at publish.";
    WHEN_NAME = "when-name": "A name in a condition is a variable or a trait.";
    WHEN_CHANGED = "when-changed": "The word changed stands alone or beside && in a resource's condition.";
    CONFIGCRATE_UNKNOWN = "configcrate-unknown": "A configcrate that is named exists.";
    USERCRATE_UNKNOWN = "usercrate-unknown": "A usercrate that is named exists.";
    REFERENCE_KIND = "reference-kind": "configcrates: names configcrates, usercrates: names usercrates.";
    REFERENCE_STATE = "reference-state": "Only a mention of a configcrate has a state.";
    STATES_DIFFER = "states-differ": "Whether a configcrate is present or absent is known at publish.";
    ABSENT_IRREVERSIBLE = "absent-irreversible": "A configcrate is retracted only if all its resources can be.";
    ABSENT_NEEDS_REVERT = "absent-needs-revert": "An action in a configcrate that is retracted says how to undo it.";
    USERCRATE_SHAPE = "usercrate-shape": "A usercrate declares exactly one user.";
    USERCRATE_UNREFERENCED = "usercrate-unreferenced": "A usercrate does nothing until somebody includes it.";
    USERCRATE_RETIRED = "usercrate-retired": "A usercrate in a directory retired/ removes its user.";
    USER_OUTSIDE_USERCRATE = "user-outside-usercrate": "People are declared in usercrates.";
    ENVIRONMENT_UNKNOWN = "environment-unknown": "An environment that is declared gives something.";
    ROLE_UNKNOWN = "role-unknown": "A role that is named exists.";
    ROLE_INCLUDES = "role-includes": "Includes go one level deep.";
    ROLE_VARS = "role-vars": "A role with a condition has no variables.";
    REFERENCE_UNKNOWN = "reference-unknown": "depends_on, before, notify and subscribes name what exists.";
    REFERENCE_ABSENT = "reference-absent": "What is named is part of the same policy.";
    REFERENCE_AMBIGUOUS = "reference-ambiguous": "A name in another configcrate is unique, or qualified.";
    ORDER_CYCLE = "order-cycle": "Nothing depends on itself.";
    MATCH_INVALID = "match-invalid": "A match is a host name or a glob.";
    MATCH_UNREACHABLE = "match-unreachable": "A match block that an earlier one covers is never used.";
    MATCH_TWO_FILES = "match-two-files": "Two files that match one host make the first of them win.";
    COMMON_AT_ROOT = "common-at-root": "The root's common.vgo does not apply to entries at the root.";
    INLINE_CONFIGCRATES = "inline-configcrates": "More than four configcrates in a match block ask for a role.";
    CONDITIONS_DIFFER = "conditions-differ": "One configcrate asked for under different conditions applies under any.";
    EXCLUDES_NOTHING = "excludes-nothing": "An exclusion removes something.";
    SECRET_IN_CLEAR = "secret-in-clear": "Credentials do not stand in the tree.";
    SECRET_ALLOWED = "secret-allowed": "A place that may look like a secret is allowed with a reason.";
    RETRACT_NONE = "retract-none": "A retraction is made of plain configcrates.";
    FORMAT_DOUBT = "format-doubt": "Formatting never changes what a file means.";
    CONFIGCRATE_COMPLIANCE_KEY_RETIRED = "configcrate-compliance-key-retired": "A configcrate names tags, not the controls of frameworks.";
    CONFIGCRATE_TOP_LEVEL_PROVIDES_BUNDLE = "configcrate-top-level-provides-bundle": "provides and bundle stand under compliance:.";
    COMPLIANCE_TAG_UNKNOWN = "compliance-tag-unknown": "A tag under compliance: is in its catalogue.";
    COMPLIANCE_MIXED_KEYS = "compliance-mixed-keys": "compliance.vgo holds claims, waivers.vgo holds waivers.";
    WAIVERS_STRAY = "waivers-stray": "Waivers are read from files named waivers.vgo only.";
    CLAIMS_STRAY = "claims-stray": "Claims of a directory are read from files named compliance.vgo only.";
    FRAMEWORK_UNKNOWN = "framework-unknown": "Claims and waivers name a known framework.";
    CONTROL_INVALID = "control-invalid": "The id of a control is a short plain text.";
    WAIVER_EXPIRES = "waiver-expires": "A waiver ends on a day of the calendar.";
    COMPLIANCE_WITHOUT_EFFECT = "compliance-without-effect": "Claims have configcrates below them, waivers have hosts.";
    POLICY_SIZE = "policy-size": "A policy has a bounded size.";
    TOO_MANY = "too-many": "Only the first mistakes of a tree are listed.";
}

/// The page of a rule: what `vigocli config explain` prints and `docs/rules/` holds.
pub fn page(rule: &Rule) -> String {
    pages::of(rule)
}

/// The rule of that name.
pub fn find(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|r| r.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_names_are_unique_and_plain() {
        for (i, rule) in RULES.iter().enumerate() {
            assert!(rule.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit()));
            assert!(!RULES[..i].iter().any(|r| r.name == rule.name), "{}", rule.name);
        }
    }
}
