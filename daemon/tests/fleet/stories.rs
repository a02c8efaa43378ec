//! What a small fleet lives through.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use vigo_base::{Hash, Hostname};
use vigo_daemon::authority::Authority;
use vigo_daemon::client::CallError;
use vigo_daemon::node::command::{Command, RefusalKind, Reply};
use vigo_daemon::node::spanner::NodeKind;
use vigo_daemon::process::{Start, start};
use vigo_daemon::setup::{
    Asking, Init, News, OperatorKey, RestoredBy, SetupError, init, join_by_asking, join_by_token, restore,
};
use vigo_daemon::trace::replay;

use super::house::{House, PATIENCE, motd, stop, wait};

fn name(text: &str) -> Hostname {
    text.parse().unwrap()
}

#[test]
fn a_fleet_of_one_answers_on_its_socket() {
    let house = House::new();
    let words = house.found("b1");
    assert_eq!(words.split(' ').count(), 24);
    let b1 = house.start("b1");
    let status = house.status("b1");
    assert_eq!((status.name.as_deref(), status.bolt, status.standing.as_str()), (Some("b1"), true, "member"));
    assert_eq!(status.fleet.as_deref(), Some("test"));
    let client = house.client("b1");
    let health = client.health().unwrap();
    assert!(health.ok && health.state == "running", "{health:?}");
    for listing in [
        Command::Members,
        Command::Requests,
        Command::Envoys,
        Command::Publishes,
        Command::Settings,
        Command::Peers,
    ] {
        let reply = client.call(&listing);
        assert!(reply.is_ok(), "{listing:?}: {reply:?}");
    }
    let metrics = client.metrics().unwrap();
    for line in ["vigo_bolt 1", "vigo_healthy 1", "vigo_member 1", "vigo_records{space=\"admissions\"}"] {
        assert!(metrics.lines().any(|found| found.starts_with(line)), "{line} in {metrics}");
    }
    assert_eq!(house.state("b1").join("vigo.sock").metadata().unwrap().mode() & 0o777, 0o660);

    let bytes: Vec<u8> = (0..600_000u32).flat_map(u32::to_le_bytes).collect();
    let blob = client.put_blob(std::io::Cursor::new(bytes.clone()), bytes.len() as u64, |_| {}).unwrap();
    assert_eq!(blob.hash, Hash::of(&bytes));
    assert_eq!(client.get_blob(&blob.hash).unwrap(), bytes);
    let unknown = client.get_blob(&Hash::of(b"nothing")).unwrap_err();
    assert!(matches!(&unknown, CallError::Refused(r) if r.kind == RefusalKind::NotFound), "{unknown}");
    stop(b1);
    let error =
        vigo_daemon::client::blocking::Client::connect(&house.state("b1").join("vigo.sock")).unwrap_err();
    assert!(error.to_string().contains("start it with `vigo node`"), "{error}");
}

/// What a program that is not ours hears.
fn raw(house: &House, request: &str) -> String {
    let mut stream = UnixStream::connect(house.state("b1").join("vigo.sock")).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn every_mistake_on_the_socket_is_answered_with_json_and_a_hint() {
    let house = House::new();
    house.found("b1");
    let b1 = house.start("b1");
    let post = |body: &str| {
        let length = body.len();
        raw(
            &house,
            &format!(
                "POST /v1/command HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            ),
        )
    };
    let get =
        |path: &str| raw(&house, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
    for (answer, status, text) in [
        (post("{\"do\":\"status\"}"), 200, "{\"ok\":{\"is\":\"status\",\"value\":{"),
        (post("{\"do\":\"statsu\"}"), 400, "not a command"),
        (post("nonsense"), 400, "different versions"),
        (post(&"x".repeat(300_000)), 400, "at most 262144 bytes"),
        (post("{\"do\":\"submit\",\"space\":\"config\",\"statement\":\"00\"}"), 400, "\"err\":"),
        (get("/v1/nothing"), 404, "the API has"),
        (get("/v1/command"), 404, "not with this method"),
        (get("/v1/blobs/xyz"), 400, "64 hexadecimal digits"),
        (get("/v1/health"), 200, "\"state\":\"running\""),
        (get("/metrics"), 200, "# TYPE vigo_queue_depth gauge"),
    ] {
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status} {text}: {answer}");
        assert!(answer.contains(text), "{status} {text}: {answer}");
    }
    stop(b1);
}

#[test]
fn an_envoy_joins_and_converges_to_what_is_published() {
    let house = House::new();
    house.found("b1");
    let b1 = house.start("b1");
    let joined = house.join("b1", "e1", NodeKind::Envoy);
    assert_eq!(joined.name, "e1");
    let e1 = house.start("e1");
    house.publish("b1", &motd("one"));
    house.wait_for_file("e1", "etc/motd", "one");
    house.wait_for_file("b1", "etc/motd", "one");

    // By hand, and put back by the next run.
    std::fs::write(house.root("e1").join("etc/motd"), "by hand").unwrap();
    let reply = house.client("e1").call(&Command::Converge { dry_run: true }).unwrap();
    assert!(matches!(&reply, Reply::Run(run) if run.counts.updated == 1 && run.dry_run), "{reply:?}");
    assert_eq!(std::fs::read(house.root("e1").join("etc/motd")).unwrap(), b"by hand");
    let reply = house.client("e1").call(&Command::Converge { dry_run: false }).unwrap();
    assert!(matches!(&reply, Reply::Run(run) if run.counts.updated == 1), "{reply:?}");
    house.wait_for_file("e1", "etc/motd", "one");

    // The bolt knows what came of it.
    wait("the bolt to know of the run", || {
        let reply = house.client("b1").call(&Command::Envoy { name: "e1".into() });
        matches!(reply, Ok(Reply::Envoy(detail)) if detail.row.epoch == 1 && detail.row.online)
    });

    // Without the bolt, a publish through the envoy.
    stop(b1);
    house.publish("e1", &motd("two"));
    house.wait_for_file("e1", "etc/motd", "two");
    let b1 = house.start("b1");
    house.wait_for_file("b1", "etc/motd", "two");
    stop(e1);
    stop(b1);
}

#[test]
fn a_large_publish_reaches_a_second_bolt_in_chunks() {
    let house = House::new();
    house.found("b1");
    let b1 = house.start("b1");
    house.join("b1", "b2", NodeKind::Bolt);
    let b2 = house.start("b2");
    let mut tree = motd("large");
    let noise: String =
        (0..120_000u32).map(|n| format!("{:016x}\n", n.wrapping_mul(2_654_435_761))).collect();
    tree.push(("configcrates/files/noise.txt", noise));
    house.publish("b1", &tree);
    house.wait_for_file("b2", "etc/motd", "large");
    wait("the source to be on the second bolt", || {
        let Ok(Reply::Source { blob, .. }) = house.client("b2").call(&Command::Source { id: None }) else {
            return false;
        };
        house.client("b2").get_blob(&blob).is_ok_and(|bytes| bytes.len() > 1_500_000)
    });
    stop(b2);
    stop(b1);
}

#[test]
fn joining_says_why_not() {
    let house = House::new();
    house.found("b1");
    let b1 = house.start("b1");
    let token = house.invite("b1", "e1", NodeKind::Envoy);
    let join = |state: &str, token: &vigo_daemon::node::spanner::Token, named: &str| {
        join_by_token(&house.state(state), token.clone(), name(named), "test", PATIENCE, &mut |_| {})
    };
    let wrong = join("e1", &token, "db1").unwrap_err().to_string();
    assert!(wrong.contains("joining came to nothing"), "{wrong}");
    assert_eq!(join("e1", &token, "e1").unwrap().name, "e1", "a refusal leaves a state that can join");
    let spent = join("e2", &token, "e1").unwrap_err();
    assert!(matches!(spent, SetupError::Refused { .. }), "{spent}");
    let member = join("e1", &token, "e1").unwrap_err().to_string();
    assert!(member.contains("belongs to the fleet") && member.contains("vigo node"), "{member}");

    // Another fleet.
    let other = House::new();
    other.found("x1");
    let theirs = join_by_token(&other.state("x1"), token.clone(), name("e1"), "test", PATIENCE, &mut |_| {});
    assert!(matches!(theirs, Err(SetupError::OtherFleet { .. })));

    // A token that this machine's clock takes for expired: told, and told again with the refusal.
    let old = vigo_daemon::node::spanner::Token { until: vigo_base::Time(1), ..token };
    let mut news = Vec::new();
    let refused =
        join_by_token(&house.state("e3"), old, name("e1"), "test", PATIENCE, &mut |n| news.push(n.clone()));
    assert!(matches!(news.as_slice(), [News::Clock(_)]), "{news:?}");
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("1970-01-01") && refused.contains("this machine's clock says"), "{refused}");
    stop(b1);
}

#[test]
fn a_machine_asks_and_an_operator_approves() {
    let house = House::new();
    house.found("b1");
    let b1 = house.start("b1");
    // By a name, which may have more addresses than the one that is listened on.
    let addresses = b1.addresses().iter().map(|a| format!("localhost:{}", a.port())).collect();
    let ask = Asking { addresses, name: name("e1"), bolt: false, spanner: None };
    let (tell, told) = std::sync::mpsc::channel();
    let state = house.state("e1");
    let asking = std::thread::spawn(move || {
        join_by_asking(&state, ask, "test", PATIENCE, &mut |news| tell.send(news.clone()).is_ok())
    });
    let News::Pending { words, .. } = told.recv_timeout(PATIENCE).unwrap() else { panic!("not pending") };
    let rows = match house.client("b1").call(&Command::Requests).unwrap() {
        Reply::Requests(rows) => rows,
        other => panic!("{other:?}"),
    };
    assert_eq!((rows.len(), rows[0].words.as_str()), (1, words.as_str()), "both sides show the same words");
    let signed = house.signer("b1").approve(rows[0].key, name("e1"), NodeKind::Envoy).unwrap();
    house.client("b1").call(&signed.command()).unwrap();
    assert_eq!(asking.join().unwrap().unwrap().name, "e1");
    stop(b1);
}

#[test]
fn who_gives_up_is_let_in_by_no_approval() {
    let house = House::new();
    house.found("b1");
    let b1 = house.start("b1");
    let state = house.state("e1");
    let wish = || Asking {
        addresses: b1.addresses().iter().map(|a| format!("localhost:{}", a.port())).collect(),
        name: name("e1"),
        bolt: false,
        spanner: None,
    };
    let waiting = || match house.client("b1").call(&Command::Requests).unwrap() {
        Reply::Requests(rows) => rows,
        other => panic!("{other:?}"),
    };
    let approve = |key, as_name| {
        let signed = house.signer("b1").approve(key, name(as_name), NodeKind::Envoy).unwrap();
        house.client("b1").call(&signed.command()).unwrap();
    };
    let is_member = |key| match house.client("b1").call(&Command::Members).unwrap() {
        Reply::Members(rows) => rows.iter().any(|m| m.key == key),
        other => panic!("{other:?}"),
    };
    let is_gone = || !state.join("node.key").exists() && !state.join("records.redb").exists();
    // Given up before an operator has looked: the approval that comes too late is for a key that is gone.
    let begun = std::time::Instant::now();
    let ended = join_by_asking(&state, wish(), "test", PATIENCE, &mut |_| false);
    assert!(matches!(ended, Err(SetupError::GivenUp { admitted: None })), "{:?}", ended.err());
    assert!(begun.elapsed() < Duration::from_secs(10) && is_gone(), "it waits for nobody");
    let first = waiting()[0].key;
    approve(first, "e1");
    // Given up when an operator has approved: the person is told who is to be revoked.
    let ended = join_by_asking(&state, wish(), "test", PATIENCE, &mut |_| {
        let key = waiting().iter().map(|row| row.key).find(|key| *key != first).unwrap();
        approve(key, "e2");
        let until = std::time::Instant::now() + PATIENCE;
        while !is_member(key) {
            assert!(std::time::Instant::now() < until, "never admitted");
            std::thread::sleep(Duration::from_millis(20));
        }
        // The answer to the asking side is on its way already.
        std::thread::sleep(Duration::from_secs(1));
        false
    });
    let told = matches!(&ended, Err(SetupError::GivenUp { admitted: Some(name) }) if name == "e2");
    assert!(told && is_gone() && !is_member(first), "{:?}", ended.err());
    let none = start(Start::new(house.conf("e1"), "test")).err().unwrap().to_string();
    assert!(none.contains("belongs to no fleet"), "{none}");
    stop(b1);
}

#[test]
fn what_a_node_did_can_be_run_again() {
    let house = House::new();
    house.found("b1");
    let file = house.state("trace");
    let b1 = start(Start { trace: Some(file.clone()), ..Start::new(house.conf("b1"), "test") }).unwrap();
    house.join("b1", "e1", NodeKind::Envoy);
    let e1 = house.start("e1");
    house.publish("b1", &motd("traced"));
    house.wait_for_file("e1", "etc/motd", "traced");
    stop(e1);
    stop(b1);
    assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600, "it holds the node's key");
    let replayed = replay(&file).unwrap();
    assert!(replayed.complete && replayed.differs_at.is_none(), "{replayed:?}");
    assert!(replayed.inputs > 20 && replayed.turns > 10 && replayed.outputs > 20, "{replayed:?}");

    // One input less, and the difference is seen.
    let text = std::fs::read_to_string(&file).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|l| l.contains("\"Frame\"")).unwrap();
    lines.remove(at);
    let bent = house.state("bent");
    std::fs::write(&bent, lines.join("\n") + "\n").unwrap();
    assert!(replay(&bent).unwrap().differs_at.is_some());
    let again = start(Start { trace: Some(file), ..Start::new(house.conf("b1"), "test") });
    assert!(again.err().unwrap().to_string().contains("never overwrites"));
}

#[test]
fn a_fleet_that_lost_its_bolt_and_its_operator_comes_back_by_the_words() {
    let house = House::new();
    let words = house.found("b1");
    let b1 = house.start("b1");
    house.join("b1", "e1", NodeKind::Envoy);
    let e1 = house.start("e1");
    house.publish("b1", &motd("before"));
    house.wait_for_file("e1", "etc/motd", "before");
    let told = Authority::of_reply(&house.client("e1").call(&Command::Authority).unwrap()).unwrap();
    stop(b1);
    stop(e1);
    std::fs::remove_dir_all(house.state("b1")).unwrap();
    std::fs::remove_file(house.key_file()).unwrap();

    let authority = Authority::load(&house.state("e1")).unwrap();
    let sorted = |mut a: Authority| {
        a.records.sort();
        a
    };
    assert_eq!(sorted(told), sorted(authority.clone()), "running or not, it holds the same");
    let file = house.state("authority");
    authority.save(&file).unwrap();
    assert_eq!(Authority::load(&file).unwrap(), authority);
    let operator = || OperatorKey::New { path: house.key_file(), passphrase: None };
    let by = |words: &str| RestoredBy::Recovery {
        words: zeroize::Zeroizing::new(words.to_string()),
        operator_name: name("bob"),
        operator: operator(),
    };
    let wrong = restore(&house.state("b2"), name("b2"), &authority, by("abandon abandon")).err().unwrap();
    assert!(wrong.to_string().contains("24 words"), "{wrong}");
    let made = restore(&house.state("b2"), name("b2"), &authority, by(&words)).unwrap();
    assert_eq!(made.spanner, authority.spanner);
    let b2 = house.start("b2");
    let status = house.status("b2");
    assert_eq!((status.bolt, status.standing.as_str()), (true, "member"), "{:?}", status.why);

    // The envoy finds the new bolt by its address, and the new operator publishes.
    let peers = b2.addresses().iter().map(|a| (a.to_string(), Some(made.node))).collect();
    let conf = vigo_daemon::nodeconf::NodeConf { peers, ..house.conf("e1") };
    let e1 = start(Start::new(conf, "test")).unwrap();
    wait("the envoy and the new bolt to meet", || {
        house.status("e1").bolts == 1 && house.status("b2").peers == 1
    });
    house.publish("b2", &motd("after"));
    house.wait_for_file("e1", "etc/motd", "after");
    stop(e1);
    stop(b2);
}

#[test]
fn what_is_in_the_way_of_starting_is_told() {
    let house = House::new();
    let says =
        |start: Start| vigo_daemon::process::start(start).err().map(|e| e.to_string()).unwrap_or_default();
    let conf = || house.conf("b1");
    let none = says(Start::new(conf(), "test"));
    assert!(none.contains("belongs to no fleet") && none.contains("vigo init"), "{none}");
    assert!(!house.state("b1").exists(), "nothing was made");
    house.found("b1");
    let again = init(Init {
        state: &house.state("b1"),
        name: name("b1"),
        fleet: "again".into(),
        operator_name: name("eve"),
        operator: OperatorKey::New { path: house.key_file(), passphrase: None },
    });
    assert!(matches!(again, Err(SetupError::Member { .. })));

    let b1 = house.start("b1");
    let twice = says(Start::new(conf(), "test"));
    assert!(twice.contains("another vigo node") && twice.contains("--state"), "{twice}");
    let other = House::new();
    other.found("b2");
    let taken = vigo_daemon::nodeconf::NodeConf { listen: b1.addresses(), ..other.conf("b2") };
    let taken = says(Start::new(taken, "test"));
    assert!(taken.contains("in use by another program") && taken.contains("listen:"), "{taken}");
    let same =
        vigo_daemon::nodeconf::NodeConf { socket: house.state("b1").join("vigo.sock"), ..other.conf("b2") };
    let same = says(Start::new(same, "test"));
    assert!(same.contains("another vigo process answers on"), "{same}");
    let rooted = |root| vigo_daemon::nodeconf::NodeConf { fs_root: Some(root), ..other.conf("b2") };
    let file = other.state("b2").join("node.key");
    assert!(says(Start::new(rooted(file.clone()), "test")).contains("is no directory"));
    let below = says(Start::new(rooted(file.join("below")), "test"));
    assert!(below.contains("cannot make the directory of fs_root"), "{below}");
    let fresh = other.state("b2-new/root");
    stop(start(Start::new(rooted(fresh.clone()), "test")).unwrap());
    assert_eq!(fresh.metadata().unwrap().mode() & 0o7777, 0o755);
    // After all of that it starts still.
    stop(other.start("b2"));
    stop(b1);

    // A store that is nothing but noise is no obstacle to starting; without records there is no fleet.
    std::fs::write(other.state("b2").join("records.redb"), vec![7; 100_000]).unwrap();
    let noise = says(Start::new(other.conf("b2"), "test"));
    assert!(noise.is_empty() || noise.contains("fleet"), "{noise}");
}
