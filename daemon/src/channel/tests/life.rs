//! Connections that go well, and how they end.

use super::super::{BindError, DialError, SendError, code};
use super::*;

#[test]
fn frames_go_both_ways_in_order() {
    let pair = Pair::new();
    for i in 0..500u32 {
        pair.a.send(pair.to_b, &i.to_be_bytes());
        pair.b.send(pair.to_a, &vec![i as u8; 1 + (i as usize * 97) % 9000]);
    }
    for i in 0..500u32 {
        assert_eq!(pair.b.frame(), i.to_be_bytes());
        assert_eq!(pair.a.frame(), vec![i as u8; 1 + (i as usize * 97) % 9000]);
    }
}

#[test]
fn both_sides_know_the_key_and_who_dialed() {
    let (a, b) = (Node::new(1, Limits::default()), Node::new(2, Limits::default()));
    a.channel.dial(b.address, None);
    let (on_a, key_b, dialed_by_a, first) = a.up();
    let (_, key_a, dialed_by_b, _) = b.up();
    assert_eq!((key_b, dialed_by_a), (b.key, true));
    assert_eq!((key_a, dialed_by_b), (a.key, false));
    a.channel.dial(b.address, None);
    let (again, _, _, second) = a.up();
    assert_ne!(on_a, again);
    assert_ne!(first, second, "an exporter belongs to one connection");
}

#[test]
fn the_acceptor_may_speak_first() {
    let pair = Pair::new();
    pair.b.send(pair.to_a, b"welcome");
    assert_eq!(pair.a.frame(), b"welcome");
}

#[test]
fn another_key_than_expected_ends_the_handshake() {
    let (a, b) = (Node::new(1, Limits::default()), Node::new(2, Limits::default()));
    let expected = key(3).public();
    a.channel.dial(b.address, Some(expected));
    match a.next() {
        ChannelEvent::DialFailed { address, key, why } => {
            assert_eq!((address, key), (b.address, Some(expected)));
            assert_eq!(why, DialError::WrongKey { expected, found: b.key });
        }
        other => panic!("expected a failed dial, found {other:?}"),
    }
    eventually("b notes the failed handshake", || b.channel.totals().failed_handshakes == 1);
    assert!(b.events.try_recv().is_err(), "b never had the connection, nor a's key");
    assert_eq!(b.channel.totals().verified, 0);
}

#[test]
fn two_that_dial_each_other_have_two_connections() {
    let (a, b) = (Node::new(1, Limits::default()), Node::new(2, Limits::default()));
    a.channel.dial(b.address, Some(b.key));
    b.channel.dial(a.address, Some(a.key));
    let (mut on_a, mut on_b) = (vec![a.up(), a.up()], vec![b.up(), b.up()]);
    let by_exporter = |up: &(ConnId, PublicKey, bool, [u8; 32])| up.3;
    on_a.sort_by_key(by_exporter);
    on_b.sort_by_key(by_exporter);
    for (ours, theirs) in on_a.iter().zip(&on_b) {
        assert_eq!(ours.3, theirs.3);
        assert_ne!(ours.2, theirs.2, "each was dialed by one side");
    }
}

#[test]
fn a_hang_up_says_why_after_all_that_was_queued() {
    let pair = Pair::new();
    for i in 0..200u32 {
        pair.a.send(pair.to_b, &[i as u8; 5000]);
    }
    pair.a.channel.hang_up(pair.to_b, 77, "you are\u{1b}[2J revoked");
    assert_eq!(pair.a.channel.send(pair.to_b, [1][..].into()), Err(SendError::Gone));
    for i in 0..200u32 {
        assert_eq!(pair.b.frame(), [i as u8; 5000]);
    }
    assert_eq!(pair.b.down(), Why::HungUp { code: 77, text: "you are\\u{1b}[2J revoked".into() });
    assert_eq!(pair.a.down(), Why::Closed { code: 77, text: "you are\u{1b}[2J revoked".into() });
    eventually("both tables are empty", || {
        pair.a.channel.totals().connections + pair.b.channel.totals().connections == 0
    });
}

#[test]
fn a_hang_up_by_the_acceptor_is_heard_too() {
    let pair = Pair::new();
    pair.b.channel.hang_up(pair.to_a, code::BYE, &"long ".repeat(100));
    match pair.a.down() {
        Why::HungUp { code: code::BYE, text } => assert_eq!(text.len(), 256),
        other => panic!("expected a hang-up, found {other:?}"),
    }
}

#[test]
fn a_peer_that_does_not_read_is_not_waited_for() {
    let limits = Limits { flush: Duration::from_millis(200), ..Limits::default() };
    let pair = Pair::of(Node::new(1, limits.clone()), Node::with_room(2, limits, 1));
    for _ in 0..100 {
        pair.a.send(pair.to_b, &[0; 100_000]);
    }
    let start = Instant::now();
    pair.a.channel.hang_up(pair.to_b, 20, "enough");
    assert!(matches!(pair.a.down(), Why::Closed { code: 20, .. }));
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_slow_reader_is_hung_up_on_and_costs_no_more_than_its_queue() {
    let limits = Limits { queue_frames: 50, queue_bytes: 4_000_000, ..Limits::default() };
    let pair = Pair::of(Node::new(1, limits.clone()), Node::with_room(2, limits, 1));
    let frame: Arc<[u8]> = vec![0; 100_000].into();
    let (mut sent, mut most) = (0, 0);
    let refused = loop {
        match pair.a.channel.send(pair.to_b, frame.clone()) {
            Ok(()) => sent += 1,
            Err(refused) => break refused,
        }
        most = most.max(pair.a.channel.stats(pair.to_b).map_or(0, |stats| stats.queued_bytes));
        assert!(sent < 10_000, "the queue grows without end");
        std::thread::sleep(Duration::from_millis(1));
    };
    assert_eq!(refused, SendError::QueueFull);
    assert!(most <= 4_000_000 && most > 3_000_000, "{most}");
    assert!(matches!(pair.a.down(), Why::QueueFull { .. }));
    assert!(matches!(pair.b.down(), Why::HungUp { code: code::QUEUE_FULL, .. }));
}

#[test]
fn a_full_sink_loses_nothing() {
    let pair = Pair::of(Node::new(1, Limits::default()), Node::with_room(2, Limits::default(), 2));
    for i in 0..300u32 {
        pair.a.send(pair.to_b, &i.to_be_bytes());
    }
    std::thread::sleep(Duration::from_millis(50));
    for i in 0..300u32 {
        assert_eq!(pair.b.frame(), i.to_be_bytes());
    }
}

#[test]
fn a_bad_length_is_this_sides_mistake() {
    let pair = Pair::new();
    let limit = Limits::default().frame_bytes;
    let send = |length| pair.a.channel.send(pair.to_b, vec![0; length].into());
    assert_eq!(send(limit + 1), Err(SendError::BadLength { found: limit + 1, limit }));
    assert_eq!(send(0), Err(SendError::BadLength { found: 0, limit }));
    send(limit).unwrap();
    assert_eq!(pair.b.frame().len(), limit);
}

#[test]
fn nobody_there_is_a_timeout() {
    let limits = Limits { handshake: Duration::from_millis(300), ..Limits::default() };
    let a = Node::new(1, limits);
    let silent = std::net::UdpSocket::bind(loopback()).unwrap();
    a.channel.dial(silent.local_addr().unwrap(), None);
    match a.next() {
        ChannelEvent::DialFailed { why: DialError::TimedOut { .. }, .. } => {}
        other => panic!("expected a timeout, found {other:?}"),
    }
}

#[test]
fn a_node_that_does_not_listen_still_dials() {
    let b = Node::new(2, Limits::default());
    let (sender, events) = sync_channel(16);
    let a = Channel::bind(RUNTIME.handle(), &[], &key(1), Limits::default(), sink_to(sender)).unwrap();
    assert_eq!(a.addresses(), []);
    a.dial(b.address, Some(b.key));
    assert!(matches!(events.recv_timeout(PATIENCE), Ok(ChannelEvent::Up { dialed: true, .. })));
    assert_eq!(b.up().1, key(1).public());
}

#[test]
fn a_port_in_use_names_the_address_and_the_remedy() {
    let b = Node::new(2, Limits::default());
    let (sender, _events) = sync_channel(1);
    let bind = |address| {
        let sink = sink_to(sender.clone());
        Channel::bind(RUNTIME.handle(), &[address], &key(1), Limits::default(), sink).err().unwrap()
    };
    let error = bind(b.address);
    assert!(matches!(error, BindError::InUse { address } if address == b.address));
    let text = error.to_string();
    assert!(text.contains(&b.address.to_string()) && text.contains("`listen:` in node.yaml"), "{text}");
    let elsewhere = bind("192.0.2.1:1531".parse().unwrap());
    assert!(matches!(elsewhere, BindError::NotHere { .. }), "{elsewhere}");
}

#[test]
fn shutting_down_tells_the_peers_within_a_second() {
    let pair = Pair::new();
    pair.a.send(pair.to_b, b"last words");
    let start = Instant::now();
    RUNTIME.block_on(pair.a.channel.shutdown());
    assert!(start.elapsed() < Duration::from_millis(1200), "{:?}", start.elapsed());
    assert_eq!(pair.b.frame(), b"last words");
    assert_eq!(pair.b.down(), Why::HungUp { code: code::BYE, text: "shutting down".into() });
    assert!(matches!(pair.a.down(), Why::Closed { code: code::BYE, .. }));
    pair.a.channel.dial(pair.b.address, None);
    match pair.a.next() {
        ChannelEvent::DialFailed { why, .. } => assert_eq!(why, DialError::Stopping),
        other => panic!("expected a failed dial, found {other:?}"),
    }
}

#[test]
fn a_dropped_channel_closes_its_connections() {
    let Pair { a, b, .. } = Pair::new();
    drop(a);
    assert!(matches!(b.down(), Why::HungUp { .. }));
}

#[test]
fn statistics_are_the_connections_own() {
    let pair = Pair::new();
    pair.a.send(pair.to_b, &[0; 50_000]);
    pair.b.frame();
    let stats = pair.b.channel.stats(pair.to_a).unwrap();
    assert_eq!((stats.key, stats.dialed, stats.admitted), (pair.a.key, false, true));
    assert!(stats.received_bytes > 50_000 && stats.rtt > Duration::ZERO, "{stats:?}");
    assert_eq!(pair.b.channel.all_stats().len(), 1);
}
