//! Credentials in the clear: where they are found, and how a place is allowed.

use vigo_stacks::secrets::scan;

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
