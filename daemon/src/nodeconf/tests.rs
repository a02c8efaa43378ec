//! What `node.yaml` may say, and what is said about what it may not.

use super::*;

fn parse(text: &str) -> Result<NodeConf, Vec<String>> {
    NodeConf::parse("node.yaml", text, &[]).map_err(|bad| bad.iter().map(BadConf::to_string).collect())
}

#[test]
fn nothing_at_all_is_the_defaults() {
    for empty in ["", "# only a comment\n", "---\n"] {
        assert_eq!(parse(empty), Ok(NodeConf::default()));
    }
}

#[test]
fn every_key_is_read() {
    let key = vigo_base::SecretKey::from_seed([1; 32]).public();
    let text = format!(
        "state: /srv/vigo\nlisten: ['127.0.0.1:4000']\nannounce:\n  - bolt1.example.com\npeers: [{key}@bolt2:99, bolt3]\n\
         beacon: [eth0, br-lan]\nsocket: /tmp/v.sock\nfs_root: /srv/root\ngossip:\n  listen: ['127.0.0.1:4001']\nlog:\n  level: debug\n  format: json\nconverge:\n  interval: 5m\n  splay: 0\n"
    );
    let conf = parse(&text).unwrap();
    assert_eq!(conf.state, Path::new("/srv/vigo"));
    assert_eq!(conf.listen, ["127.0.0.1:4000".parse().unwrap()]);
    assert_eq!(conf.announce, Announce::These(vec!["bolt1.example.com:1531".into()]));
    assert_eq!(conf.peers, [("bolt2:99".into(), Some(key)), ("bolt3:1531".into(), None)]);
    assert_eq!(conf.beacon, Choice::Only(vec!["eth0".into(), "br-lan".into()]));
    assert_eq!(parse("beacon: off\n").unwrap().beacon, Choice::Off);
    assert_eq!(conf.socket, Path::new("/tmp/v.sock"));
    let three =
        parse("applier:\n  socket: /tmp/a.sock\n  state: /srv/applier\n  peer_user: \"4242\"\n").unwrap();
    assert_eq!((three.applier_socket, three.applier_state), ("/tmp/a.sock".into(), "/srv/applier".into()));
    assert_eq!(three.peer_user, "4242");
    assert_eq!(conf.fs_root.as_deref(), Some(Path::new("/srv/root")));
    assert_eq!((conf.log_level.as_str(), conf.log_format), ("debug", LogFormat::Json));
    assert_eq!((conf.interval, conf.splay), (Some(300), Some(0)));
    assert_eq!(conf.gossip, Some(vec!["127.0.0.1:4001".parse().unwrap()]));
    assert_eq!(parse("gossip:\n  listen: none\n").unwrap().gossip, Some(Vec::new()));
    assert_eq!(parse("listen: none\n").unwrap().listen, []);
    assert_eq!(parse("state: /srv/vigo\n").unwrap().socket, Path::new("/srv/vigo/vigo.sock"));
}

#[test]
fn gossip_listens_beside_the_peer_channel() {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let conf = parse("").unwrap();
    assert_eq!(conf.gossip_on(&conf.listen), [at("0.0.0.0:1530"), at("[::]:1530")]);
    assert_eq!(conf.gossip_on(&[at("127.0.0.1:4000")]), [at("127.0.0.1:0")], "two nodes on one machine");
    assert_eq!(conf.gossip_on(&[]), [], "what only dials out only dials out");
    let named = parse("gossip:\n  listen: [\"10.0.0.1:99\"]\n").unwrap();
    assert_eq!(named.gossip_on(&[]), [at("10.0.0.1:99")]);
}

#[test]
fn every_key_of_the_table_is_one_that_can_be_set() {
    for key in KEYS {
        let mistakes = parse(&format!("{}: '\u{7f}'\n", key.name)).err().unwrap_or_default().join("\n");
        assert!(!mistakes.contains("there is no key"), "{}: {mistakes}", key.name);
        assert!(documented().contains(&format!("#{}:", key.name)));
    }
}

#[test]
fn mistakes_are_told_with_line_and_nearest_name_all_at_once() {
    let bad =
        parse("stat: /x\nlog:\n  levle: info\n  format: jason\nlisten: bolt1\nlisten: none\n").unwrap_err();
    assert_eq!(
        bad,
        [
            "node.yaml:1: there is no key stat; did you mean state?",
            "node.yaml:3: there is no key log.levle; did you mean log.level?",
            "node.yaml:4: log.format: found \"jason\" (did you mean json?); expected human or json",
            "node.yaml:5: listen: found \"bolt1\", which is no IP address with a port like 0.0.0.0:1531 or [::]:1531; \
             expected addresses with ports (UDP), or none",
            "node.yaml:6: listen stands here a second time; the first is in line 5; keep one",
        ]
    );
}

#[test]
fn what_is_no_such_file_is_told() {
    for (text, expected) in [
        ("state: [a\n", "not YAML"),
        ("just text\n", "expected keys"),
        ("- a\n", "a list has no place here"),
        ("peers: [[a]]\n", "a list has no place here"),
        ("peers:\n  - a: b\n", "a map has no place here"),
        ("state: &a /x\nsocket: *a\n", "aliases"),
        ("state: !x /x\n", "tags"),
        ("state: /x\n---\nstate: /y\n", "second document"),
        ("state:\n", "there is no value"),
        ("state: [/a, /b]\n", "2 values"),
        ("beacon: [eth0, off]\n", "no name of an interface"),
        ("beacon: yes\n", "auto, off, or names of interfaces"),
        ("converge.interval: 2d\n", "1s to 1d"),
    ] {
        let bad = parse(text).unwrap_err().join("\n");
        assert!(bad.contains(expected), "{text:?}: {bad}");
    }
    let long = format!("socket: /{}\n", "a".repeat(120));
    assert!(parse(&long).unwrap_err()[0].contains("121 bytes"));
    assert!(
        parse(&format!("state: /{}\n", "a".repeat(120))).unwrap_err()[0]
            .contains("give `socket:` a shorter one")
    );
}

#[test]
fn flags_go_over_the_file() {
    let flags = [
        Flag { key: "state", values: vec!["/flag".into()] },
        Flag { key: "listen", values: vec!["127.0.0.1:1".into(), "127.0.0.1:2".into()] },
    ];
    let conf = NodeConf::parse("node.yaml", "state: /file\n", &flags).unwrap();
    assert_eq!((conf.state.as_path(), conf.listen.len()), (Path::new("/flag"), 2));
    let flags = [Flag { key: "fs_root", values: vec![String::new()] }];
    let bad = NodeConf::parse("node.yaml", "", &flags).unwrap_err();
    assert_eq!(bad[0].place, "--fs-root");
}

#[test]
fn a_named_file_must_be_there() {
    let bad = NodeConf::load(Some(Path::new("/nonexistent/node.yaml")), &[]).unwrap_err();
    assert!(bad[0].to_string().contains("cannot be read"), "{}", bad[0]);
}
