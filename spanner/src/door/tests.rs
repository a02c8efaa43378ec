//! Every request kind for everybody: what an outsider at the port gets (threats.md), row by row.

use super::*;
use vigo_base::{Hash, SecretKey};

fn member(kind: NodeKind) -> Member {
    let key = SecretKey::from_seed([1; 32]).public();
    Member {
        key,
        name: "web01".parse().unwrap(),
        kind,
        depth: 2,
        invite: Hash::default(),
        spend: Hash::default(),
        by: key,
        state: MemberState::Active,
    }
}

fn taken() -> Who {
    let holder = SecretKey::from_seed([2; 32]).public();
    Who::Suspended(Suspension::NameTaken { name: "web01".parse().unwrap(), holder })
}

fn forked() -> Who {
    Who::Suspended(Suspension::Forked { space: "status".into(), seq: 3 })
}

fn let_in(who: &Who, space: &Space, here: NodeKind) -> Vec<&'static str> {
    let asked = Request::each(space);
    asked.iter().filter(|r| may(who, r, here).is_ok()).map(|r| r.kind().row().name).collect()
}

fn all_spaces() -> Vec<Space> {
    let mut all =
        vec![Space::admissions(), Space::envoys(), Space::config(), Space::settings(), Space::status()];
    all.push(Space::audit(&SecretKey::from_seed([1; 32]).public()));
    all.push("audit/b1".parse().unwrap());
    all.push("nonsense".parse().unwrap());
    all
}

#[test]
fn every_kind_has_its_row() {
    assert_eq!(Kind::ALL.len(), ROWS.len());
    for (i, (kind, request)) in Kind::ALL.iter().zip(Request::each(&Space::config())).enumerate() {
        assert_eq!((*kind as usize, request.kind()), (i, *kind));
    }
    let mut names: Vec<_> = ROWS.iter().map(|r| r.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ROWS.len(), "no two rows have one name");
    assert_eq!(table().lines().count(), ROWS.len() + 2);
}

#[test]
fn outsiders_reach_enrolment_and_nothing_else() {
    let enrolment = ["papers", "enrol", "ask to join", "join status"];
    for space in all_spaces() {
        for here in [NodeKind::Bolt, NodeKind::Envoy] {
            assert_eq!(let_in(&Who::Stranger, &space, here), enrolment, "no papers, {space}");
            assert_eq!(let_in(&Who::Pending, &space, here), enrolment, "pending, {space}");
            assert_eq!(let_in(&taken(), &space, here), enrolment, "suspended, {space}");
            assert_eq!(let_in(&forked(), &space, here), ["papers"], "forked, {space}");
            assert_eq!(let_in(&Who::Revoked, &space, here), ["papers"], "revoked, {space}");
            assert!(let_in(&Who::LocalUser { uid: 1000 }, &space, here).is_empty(), "another user");
        }
    }
}

#[test]
fn members_reach_the_spaces_they_hold() {
    let (envoy, bolt) = (Who::of(&member(NodeKind::Envoy)), Who::of(&member(NodeKind::Bolt)));
    let on_space = |who: &Who, space: &Space, here| {
        let kinds = ["reconcile", "push", "want"];
        let_in(who, space, here).into_iter().filter(|k| kinds.contains(k)).collect::<Vec<_>>()
    };
    for space in [Space::admissions(), Space::config(), Space::settings()] {
        for here in [NodeKind::Bolt, NodeKind::Envoy] {
            assert_eq!(on_space(&envoy, &space, here).len(), 3);
            assert_eq!(on_space(&bolt, &space, here).len(), 3);
        }
    }
    let audit = Space::audit(&SecretKey::from_seed([1; 32]).public());
    for space in [Space::envoys(), Space::status(), audit.clone()] {
        assert_eq!(on_space(&bolt, &space, NodeKind::Bolt).len(), 3);
    }
    assert!(on_space(&envoy, &audit, NodeKind::Bolt).is_empty(), "no envoy reads what was written down");
    assert!(on_space(&bolt, &audit, NodeKind::Envoy).is_empty());
    assert!(on_space(&envoy, &Space::envoys(), NodeKind::Bolt).is_empty());
    assert!(on_space(&bolt, &Space::envoys(), NodeKind::Envoy).is_empty(), "an envoy holds none of it");
    assert_eq!(on_space(&envoy, &Space::status(), NodeKind::Bolt), ["push"]);
    assert!(on_space(&envoy, &Space::status(), NodeKind::Envoy).is_empty());
    for space in ["nonsense", "audit/b1"] {
        assert!(on_space(&bolt, &space.parse().unwrap(), NodeKind::Bolt).is_empty(), "default is deny");
    }
    assert!(may(&envoy, &Request::LocalStatus, NodeKind::Bolt).is_err(), "peers are not local");
    assert!(may(&Who::LocalAdmin { uid: 0 }, &Request::LocalStatus, NodeKind::Envoy).is_ok());
    assert!(
        may(&Who::LocalAdmin { uid: 0 }, &Request::Chunk, NodeKind::Envoy).is_err(),
        "nor local ones peers"
    );
}

#[test]
fn an_envoy_speaks_for_itself_alone() {
    let me = member(NodeKind::Envoy);
    let (envoy, bolt) = (Who::of(&me), Who::of(&member(NodeKind::Bolt)));
    let other = SecretKey::from_seed([9; 32]).public();
    let push = |who, space: Space, author| may_push(who, &space, author, NodeKind::Bolt);
    assert!(push(&envoy, Space::status(), &me.key).is_ok());
    let refused = push(&envoy, Space::status(), &other).unwrap_err().to_string();
    assert!(refused.contains("an envoy hands over its own status only"), "{refused}");
    assert!(push(&bolt, Space::status(), &other).is_ok());
    assert!(push(&envoy, Space::config(), &other).is_ok(), "publishes are passed on by everybody");
}

#[test]
fn blobs_go_to_those_they_are_for() {
    let (envoy, bolt) = (Who::of(&member(NodeKind::Envoy)), Who::of(&member(NodeKind::Bolt)));
    let classes = [
        BlobClass::RouteTable,
        BlobClass::Policy { routed: true },
        BlobClass::Policy { routed: false },
        BlobClass::Source,
    ];
    let reads = |who: &Who| classes.map(|c| may_read(who, c).is_ok());
    assert_eq!(reads(&bolt), [true; 4]);
    assert_eq!(reads(&envoy), [true, true, false, false]);
    for who in [Who::Stranger, Who::Pending, Who::Revoked, taken(), Who::LocalUser { uid: 1 }] {
        assert_eq!(reads(&who), [false; 4]);
    }
}

#[test]
fn refusals_say_who_is_let_in() {
    let say = |who: &Who, request| may(who, &request, NodeKind::Bolt).unwrap_err().to_string();
    assert_eq!(
        say(&Who::Stranger, Request::Want(Space::config())),
        "a peer without papers may not want config: envoys and bolts may for admissions, config and settings, between bolts also for admissions/envoys, status and audit"
    );
    assert_eq!(
        say(&Who::Revoked, Request::Enrol),
        "a revoked node may not enrol: its key was revoked and never returns; join with a new key"
    );
    assert!(say(&taken(), Request::Ping).contains("the name web01 belongs to the node"));
    assert!(say(&Who::LocalUser { uid: 7 }, Request::LocalStatus).ends_with("use sudo"));
}
