//! The JSON of the local API's answers: one spelling, for the server and the client.
//!
//! A reply is `{"is": …, "value": …}`, so that lists have a place beside the tag.

use serde::{Deserialize, Serialize};
use vigo_node::command::{Refusal, Reply};

/// What a command is answered with: `{"ok": reply}` or `{"err": refusal}`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answered {
    /// It was done.
    Ok(Reply),
    /// It was not.
    Err(Refusal),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_a_form_too() {
        let replies = [
            (Reply::Denied, "{\"ok\":{\"is\":\"denied\"}}"),
            (Reply::Members(vec![]), "{\"ok\":{\"is\":\"members\",\"value\":[]}}"),
            (Reply::Requests(vec![]), "{\"ok\":{\"is\":\"requests\",\"value\":[]}}"),
        ];
        for (reply, text) in replies {
            let shown = format!("{reply:?}");
            assert_eq!(serde_json::to_string(&Answered::Ok(reply)).unwrap(), text);
            match serde_json::from_str(text).unwrap() {
                Answered::Ok(back) => assert_eq!(format!("{back:?}"), shown),
                Answered::Err(refusal) => panic!("{refusal}"),
            }
        }
    }
}
