//! Credentials in the clear: where they are found, and how a place is allowed.

use vigo_stacks::secrets::{mask, masked, scan};
use vigo_stacks::{compile, render_fancy};

use crate::{said, tree};

// K3
#[test]
fn credentials_are_refused_without_being_shown() {
    let text = "=== configcrates/a.vgo\nname: a # the password=Tr0ub4dor1\nvars: {db_password: hunter2hunter2}\n=== templates/t.conf\ndsn = postgres://app:S3cr3tS3cr3t@db/x\n";
    let said = said(&scan(&tree(text)));
    insta::assert_snapshot!(said);
    for secret in ["Tr0ub4dor1", "hunter2", "S3cr3t"] {
        assert!(!said.contains(secret), "{secret} is shown");
    }
}

// K3
#[test]
fn a_place_is_allowed_with_a_reason() {
    let text = "=== configcrates/a.vgo
name: a
vars:
  token: Zm9vYmFyMTIz #vigo:allow-secret the fixture of a test
  # vigo:allow-secret public, printed in the manual
  api_key: 9f8e7d6c5b4a
resources:
  - name: x
    content: | #vigo:allow-secret a demo password
      user = a
      password = Tr0ub4dor1

      token = Zm9vYmFyMTIz
    mode: \"0600\"
";
    assert_eq!(said(&scan(&tree(text))), "");
    let text = "=== a.vgo\ntoken: Zm9vYmFyMTIz #vigo:allow-secret\nname: b #vigo:allow-secret no reason to\n";
    insta::assert_snapshot!(said(&scan(&tree(text))));
}

/// K3: no output shows one: not the lines that are drawn, not what was found by another rule, not their JSON.
#[test]
fn no_output_shows_a_credential() {
    let tree = tree(
        "=== configcrates/a.vgo
name: a
vars:
  db_password: hunter2hunter2
resources:
  - name: x
    type: file
    target_path: /x
    mode: ghp_0123456789abcdefghijklmnopqrstuvwxyz
    contnet: |
      -----BEGIN OPENSSH PRIVATE KEY-----
      b3BlbnNzaC1rZXktdjEAAAAABG5vbmU
      -----END OPENSSH PRIVATE KEY-----
    owner: root
",
    );
    let mut diagnostics = compile(&tree).1;
    diagnostics.extend(scan(&tree));
    assert!(
        said(&diagnostics).contains("ghp_0123"),
        "there is something to be masked: {}",
        said(&diagnostics)
    );
    mask(&mut diagnostics, &tree);
    let json: String = diagnostics.iter().map(|d| serde_json::to_string(d).unwrap()).collect();
    let drawn = render_fancy(&diagnostics, &tree, false, 100);
    for secret in ["hunter2", "ghp_0123", "b3BlbnNz"] {
        for (what, text) in [("text", said(&diagnostics)), ("JSON", json.clone()), ("drawing", drawn.clone())]
        {
            assert!(!text.contains(secret), "{secret} is shown in the {what}:\n{text}");
        }
    }
    assert!(drawn.contains("db_password: ************"), "{drawn}");
    for text in ["password: hünter2hünter2\n", "no secret\r\n", ""] {
        assert_eq!(masked(text).chars().count(), text.chars().count(), "columns stay");
    }
    assert_eq!(masked("plain: text\n"), "plain: text\n");
}
