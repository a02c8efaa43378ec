//! The JSON of the local API's answers: one spelling, for the server and the client.
//!
//! A reply is `{"is": …, "value": …}`; lists need a place of their own beside the tag, so the form is given here
//! for [`Reply`], variant by variant: one that is missing does not compile.

use serde::{Deserialize, Serialize};
use vigo_base::{Hash, SpannerId};
use vigo_node::command::{
    Context, EnvoyDetail, EnvoyRow, MemberRow, PeerRow, PublishRow, Refusal, Reply, RequestRow, Rollout,
    SettingRow, Status,
};
use vigo_node::content_types::config::Epoch;
use vigo_node::stacks::report::RunReport;

/// What a command is answered with: `{"ok": reply}` or `{"err": refusal}`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answered {
    /// It was done.
    Ok(#[serde(with = "ReplyForm")] Reply),
    /// It was not.
    Err(Refusal),
}

/// The form of a [`Reply`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "Reply", tag = "is", content = "value", rename_all = "snake_case")]
enum ReplyForm {
    Status(Box<Status>),
    Run(RunReport),
    Context(Box<Context>),
    Submitted { id: Hash },
    Rollout(Rollout),
    Members(Vec<MemberRow>),
    Requests(Vec<RequestRow>),
    Denied,
    Envoys(Vec<EnvoyRow>),
    Envoy(Box<EnvoyDetail>),
    Publishes(Vec<PublishRow>),
    Settings(Vec<SettingRow>),
    Peers(Vec<PeerRow>),
    Source { at: Epoch, blob: Hash },
    Authority { spanner: SpannerId, records: Vec<String> },
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
