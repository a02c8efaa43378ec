//! Rows B12 to B35: claims, waivers and their files.

use super::case::{add, edit, moved};
use super::{Row, row};

const BASE: &str = "configcrates/base.vgo";
const SSHD: &str = "configcrates/machine/sshd.vgo";
const BED: &str = "bed3.clinic.example";
const TILL: &str = "counter2.orchard.example";

/// The rows.
pub fn rows() -> Vec<Row> {
    [tags(), catalogues(), files(), waivers()].into_iter().flatten().collect()
}

fn tags() -> Vec<Row> {
    vec![
        row(
            "B12",
            "a configcrate provides capabilities, which stand for controls",
            "stacks::tags_claim_what_the_catalogues_say",
            edit(BASE, "[login-banner]", "[password-policy]")
                .turns("(via login-banner)", "(via password-policy)"),
        ),
        row(
            "B13",
            "a configcrate follows sections of frameworks",
            "stacks::tags_claim_what_the_catalogues_say",
            edit(SSHD, "[cis-ubuntu-access]", "[cis-ubuntu-network]")
                .on(BED)
                .turns("(via bundle:cis-ubuntu-access)", "(via bundle:cis-ubuntu-network)"),
        ),
        row(
            "B14",
            "both together are united",
            "stacks::tags_claim_what_the_catalogues_say",
            edit(SSHD, "  provides: [ssh-hardening, ssh-key-authentication]\n", "")
                .on(BED)
                .turns("(via ssh-hardening)", ""),
        ),
        row(
            "B15",
            "time-sync stands for the controls that the reference lists",
            "stacks::tags_claim_what_the_catalogues_say",
            edit(BASE, "[login-banner]", "[time-sync]").turns("", "nist-800-53 AU-8\n"),
        ),
        row(
            "B16",
            "ssh-hardening and cis-ubuntu-access are known",
            "tests::the_catalogues_of_compliance_are_shown",
            edit(SSHD, "[cis-ubuntu-access]", "[cis-ubuntu-acces]").says("compliance-tag-unknown"),
        ),
    ]
}

fn catalogues() -> Vec<Row> {
    vec![
        row(
            "B17",
            "an unknown tag is refused and claims nothing",
            "stacks::an_unknown_tag_claims_nothing",
            edit(BASE, "[login-banner]", "[login-baner]").says("compliance-tag-unknown"),
        ),
        row(
            "B18",
            "the catalogue of provisions is part of the program",
            "stacks::the_catalogues_are_sound",
            edit(BASE, "[login-banner]", "[cis-ubuntu-access]").says("compliance-tag-unknown"),
        ),
        row(
            "B19",
            "the catalogue of bundles is part of the program",
            "stacks::the_catalogues_are_sound",
            edit(SSHD, "[cis-ubuntu-access]", "[time-sync]").says("compliance-tag-unknown"),
        ),
        row(
            "B20",
            "lists of controls in a configcrate are refused",
            "stacks::compliance",
            edit(BASE, "  provides: [login-banner]", "  nist-800-53: [AC-8]")
                .says("configcrate-compliance-key-retired"),
        ),
        row(
            "B21",
            "the tags at the top of a configcrate are refused",
            "stacks::compliance",
            edit(BASE, "compliance:\n  provides: [login-banner]", "provides: [login-banner]")
                .says("configcrate-top-level-provides-bundle"),
        ),
    ]
}

fn files() -> Vec<Row> {
    vec![
        row(
            "B22",
            "a compliance.vgo claims for everything below it",
            "stacks::claims_reach_every_configcrate_below_their_file",
            edit("configcrates/compliance.vgo", "CM-6", "CM-7")
                .turns("nist-800-53 CM-6\n", "nist-800-53 CM-7\n"),
        ),
        row(
            "B23",
            "every control says what claims it",
            "stacks::a_trace_says_where_everything_comes_from",
            moved("configcrates/compliance.vgo", "compliance.vgo")
                .turns("(via configcrates/compliance.vgo)", "(via compliance.vgo)"),
        ),
        Row {
            id: "B24",
            says: "the controls of the product itself are shown apart",
            test: "",
            case: None,
            later: Some("nothing is here: it is a page of the product, and no part of a tree"),
        },
        row(
            "B25",
            "waivers.vgo names what is waived, by framework",
            "stacks::waivers_reach_the_hosts_below_their_file",
            edit("waivers.vgo", "\"1.1.2.1\"", "\"1.1.2.2\"")
                .turns("cis-ubuntu 1.1.2.1\n    by ada", "cis-ubuntu 1.1.2.2\n    by ada"),
        ),
        row(
            "B26",
            "a waiver has a control, a reason and who approved it",
            "stacks::compliance",
            edit("waivers.vgo", "      approved_by: ada\n", "").says("key-missing"),
        ),
        row(
            "B27",
            "a waiver that has run out does not count",
            "stacks::a_waiver_counts_until_the_end_of_its_last_day",
            edit("clinic/waivers.vgo", "2031-12-31", "2025-12-31")
                .on(BED)
                .turns("until 2031-12-31", "expired on 2025-12-31, does not count"),
        ),
        row(
            "B28",
            "a waiver is for the hosts of its directory",
            "stacks::waivers_reach_the_hosts_below_their_file",
            moved("clinic/waivers.vgo", "orchard/waivers.vgo")
                .on(BED)
                .turns("waived hipaa 164.312(a)(2)(iii)", ""),
        ),
    ]
}

fn waivers() -> Vec<Row> {
    vec![
        row(
            "B29",
            "what is waived is shown as that and never hidden",
            "stacks::a_trace_says_where_everything_comes_from",
            edit("waivers.vgo", "\"1.1.2.1\"", "\"1.7.1\"").turns("", "waived cis-ubuntu 1.7.1"),
        )
        .later("the badge is of the web pages; the trace and its JSON say it here"),
        row(
            "B30",
            "claims and waivers do not mix",
            "stacks::compliance",
            edit("clinic/waivers.vgo", "waivers:", "compliance: {hipaa: [\"164.312(b)\"]}\nwaivers:")
                .says("compliance-mixed-keys"),
        ),
        row(
            "B31",
            "the two files have one key each",
            "stacks::compliance",
            edit("waivers.vgo", "waivers:", "vars: {}\nwaivers:").says("key-unknown"),
        ),
        row(
            "B32",
            "waivers in another file are refused",
            "stacks::compliance",
            moved("waivers.vgo", "corp-waivers.vgo").says("waivers-stray"),
        ),
        row(
            "B33",
            "claims in another file are refused",
            "stacks::compliance",
            moved("clinic/usercrates/compliance.vgo", "clinic/claims.vgo").says("claims-stray"),
        ),
        row(
            "B34",
            "compliance.vgo may lie among configcrates, waivers may not",
            "stacks::compliance",
            add("configcrates/waivers.vgo", "waivers: {}\n").says("file-place"),
        ),
        row(
            "B35",
            "claims are attached after exclusions",
            "stacks::claims_reach_every_configcrate_below_their_file",
            edit("orchard/shop/common.vgo", "exclude_configcrates: [machine-room]", "vars: {x: 1}")
                .on(TILL)
                .turns("", "(via host-firewall)"),
        ),
    ]
}
