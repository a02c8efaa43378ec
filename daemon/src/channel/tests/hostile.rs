//! Strangers and peers that break the rules.

use std::net::UdpSocket;

use super::super::{Answer, DialError, code};
use super::*;

/// A node that answers what strangers throw at it, and the reason it gives one that writes `bytes` to its control
/// stream.
fn answer_to(bytes: &[u8]) -> (Why, (u64, String)) {
    let node = Node::new(1, Limits::default());
    let rogue = Rogue::new(2);
    let told = RUNTIME.block_on(async {
        let connection = rogue.connect(node.address).await.unwrap();
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        closing(connection.closed().await)
    });
    (node.down(), told)
}

#[test]
fn a_frame_too_long_hangs_up() {
    let limit = Limits::default().frame_bytes;
    let (why, (code, text)) = answer_to(&(limit as u32 + 1).to_be_bytes());
    let what = format!("a frame of {} bytes, where at most {limit} are allowed", limit + 1);
    assert_eq!(why, Why::Misbehaved { what: what.clone() });
    assert_eq!((code, text), (u64::from(code::MISBEHAVED), what));
    let (why, _) = answer_to(&[0xff; 64]);
    assert!(matches!(why, Why::Misbehaved { .. }));
    let (why, _) = answer_to(&[0; 8]);
    assert_eq!(why, Why::Misbehaved { what: "an empty frame after the first".into() });
}

#[test]
fn a_request_too_long_hangs_up() {
    let node = Node::new(1, Limits::default());
    let rogue = Rogue::new(2);
    RUNTIME.block_on(async {
        let connection = rogue.connect(node.address).await.unwrap();
        let (mut control, _keep) = connection.open_bi().await.unwrap();
        control.write_all(&[0; 4]).await.unwrap();
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        let _ = send.write_all(&[0; 5000]).await;
        assert_eq!(closing(connection.closed().await).0, u64::from(code::MISBEHAVED));
    });
    assert_eq!(node.down(), Why::Misbehaved { what: "a request of more than 4096 bytes".into() });
}

#[test]
fn a_peer_that_ends_its_control_stream_and_stays_is_hung_up_on() {
    let node = Node::new(1, Limits { flush: Duration::from_millis(100), ..Limits::default() });
    let rogue = Rogue::new(2);
    RUNTIME.block_on(async {
        let connection = rogue.connect(node.address).await.unwrap();
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(&[0; 4]).await.unwrap();
        send.finish().unwrap();
        assert_eq!(closing(connection.closed().await).0, u64::from(code::MISBEHAVED));
    });
    assert!(matches!(node.down(), Why::Misbehaved { .. }));
}

#[test]
fn an_answer_in_no_form_is_malformed() {
    use super::super::FetchError;
    let node = Node::new(1, Limits::default());
    let rogue = Rogue::new(2);
    let connection = RUNTIME.block_on(rogue.connect(node.address)).unwrap();
    let (conn, ..) = node.up();
    node.channel.admit(conn);
    let _control = RUNTIME.block_on(async {
        let mut control = connection.open_bi().await.unwrap();
        control.0.write_all(&[0; 4]).await.unwrap();
        control
    });
    for answer in [&b""[..], b"\x02whatever", b"\x01abc"] {
        node.channel.fetch(1, conn, b"?".to_vec(), 100);
        let (mut send, _recv) = RUNTIME.block_on(connection.accept_bi()).unwrap();
        RUNTIME.block_on(send.write_all(answer)).unwrap();
        send.finish().unwrap();
        match node.next() {
            ChannelEvent::Fetched { result, .. } => assert_eq!(result, Err(FetchError::Malformed)),
            other => panic!("expected the fetch, found {other:?}"),
        }
    }
}

#[test]
fn a_stranger_has_little_time() {
    let node = Node::new(1, Limits { papers: Duration::from_millis(300), ..Limits::default() });
    let rogue = Rogue::new(2);
    let start = Instant::now();
    let connection = RUNTIME.block_on(rogue.connect(node.address)).unwrap();
    assert_eq!(closing(RUNTIME.block_on(connection.closed())).0, u64::from(code::NOT_ADMITTED));
    assert!(start.elapsed() >= Duration::from_millis(250));
    assert!(matches!(node.down(), Why::NotAdmitted { .. }));
    assert_eq!(node.channel.totals().strangers, 0);
}

#[test]
fn admission_and_a_decision_under_way_give_time() {
    let node = Node::new(1, Limits { papers: Duration::from_millis(300), ..Limits::default() });
    let rogue = Rogue::new(2);
    let (admitted, waiting) = RUNTIME.block_on(async {
        (rogue.connect(node.address).await.unwrap(), rogue.connect(node.address).await.unwrap())
    });
    let (first, second) = (node.up().0, node.up().0);
    node.channel.admit(first);
    node.channel.extend(second, Duration::from_millis(900));
    assert_eq!(node.channel.totals().strangers, 1);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!((admitted.close_reason(), waiting.close_reason()), (None, None));
    assert!(matches!(node.down(), Why::NotAdmitted { .. }));
    assert_eq!(node.channel.totals().connections, 1);
}

#[test]
fn a_stranger_is_read_only_so_far() {
    let limits = Limits { stranger_bytes: 50_000, ..Limits::default() };
    let pair = Pair::of(Node::new(1, Limits::default()), Node::new(3, Limits::default()));
    let b = Node::new(2, limits);
    pair.a.channel.dial(b.address, None);
    let (to_b, ..) = pair.a.up();
    let (to_a, ..) = b.up();
    pair.a.channel.admit(to_b);
    for _ in 0..40 {
        pair.a.send(to_b, &[0; 10_000]);
    }
    for _ in 0..5 {
        b.frame();
    }
    assert!(b.events.recv_timeout(Duration::from_millis(300)).is_err(), "the sixth waits");
    b.channel.admit(to_a);
    for _ in 5..40 {
        b.frame();
    }
}

#[test]
fn strangers_are_few_and_one_source_has_its_share() {
    let limits = Limits { strangers: 6, strangers_per_source: 4, ..Limits::default() };
    let node = Node::new(1, limits.clone());
    let (first, second) = (Rogue::at(2, [127, 0, 0, 2]), Rogue::at(3, [127, 0, 0, 3]));
    let mut held = Vec::new();
    let mut let_in = |rogue: &Rogue| {
        let tried = (0..8).map(|_| RUNTIME.block_on(rogue.connect(node.address)));
        let connections: Vec<_> = tried.flatten().collect();
        held.extend(connections.clone());
        connections.len()
    };
    assert_eq!(let_in(&first), 4, "one source");
    assert_eq!(let_in(&second), 2, "all together");
    assert_eq!(node.channel.totals().strangers, 6);
    assert!(node.channel.totals().retried >= 2 && node.channel.totals().refused >= 10);

    let honest = Node::new(4, Limits::default());
    honest.channel.dial(node.address, None);
    match honest.next() {
        ChannelEvent::DialFailed { why, .. } => assert_eq!(why, DialError::TheyAreBusy),
        other => panic!("expected a failed dial, found {other:?}"),
    }
    let (conn, ..) = node.up();
    node.channel.admit(conn);
    honest.channel.dial(node.address, None);
    honest.up();
}

#[test]
fn connections_are_counted_in_all() {
    let node = Node::new(1, Limits { connections: 2, ..Limits::default() });
    let rogue = Rogue::new(2);
    let connections: Vec<_> =
        (0..3).map(|_| RUNTIME.block_on(rogue.connect(node.address)).unwrap()).collect();
    let told = closing(RUNTIME.block_on(connections[2].closed()));
    assert_eq!(told.0, u64::from(code::BUSY));
    assert_eq!(node.channel.totals().connections, 2);
}

#[test]
fn no_session_is_resumed() {
    let node = Node::new(1, Limits::default());
    let rogue = Rogue::new(2);
    let crypto = Arc::new(rogue.identity.client_that_resumes().unwrap());
    let mut config = quinn::ClientConfig::new(crypto);
    config.transport_config(Arc::new(quinn::TransportConfig::default()));
    for round in 1..=3 {
        let _context = RUNTIME.enter();
        let connecting = rogue.endpoint.connect_with(config.clone(), node.address, tls::SERVER_NAME).unwrap();
        let connecting = match connecting.into_0rtt() {
            Ok(_) => panic!("the server gave a ticket: a session can be resumed"),
            Err(connecting) => connecting,
        };
        let connection = RUNTIME.block_on(connecting).unwrap();
        let (conn, ..) = node.up();
        // What a ticket would come with.
        node.channel.send(conn, b"hello"[..].into()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(node.channel.totals().verified, round, "the acceptor's verifier ran");
        let ours = rogue.identity.verified.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(ours, round, "the dialer's verifier ran");
        connection.close(0u32.into(), b"");
        node.down();
    }
}

#[test]
fn noise_on_the_port_changes_nothing() {
    let pair = Pair::new();
    let noise = UdpSocket::bind(loopback()).unwrap();
    let mut dice = vigo_base::Dice::from_seed([5; 32]);
    for round in 0..3000usize {
        let mut packet = vec![0u8; 1 + dice.below(1400) as usize];
        packet.iter_mut().for_each(|byte| *byte = dice.below(256) as u8);
        if round % 2 == 0 {
            // As if it were a first packet of QUIC version 1.
            let head = [0xc3, 0, 0, 0, 1, 8];
            let length = packet.len().min(head.len());
            packet[..length].copy_from_slice(&head[..length]);
        }
        noise.send_to(&packet, pair.b.address).unwrap();
    }
    pair.a.send(pair.to_b, b"still here");
    assert_eq!(pair.b.frame(), b"still here");
    let totals = pair.b.channel.totals();
    assert_eq!((totals.connections, totals.strangers), (1, 0));
}

#[test]
fn half_open_handshakes_are_bounded_and_the_honest_get_in() {
    half_open(300);
}

/// The long variant, R17: `cargo test -p vigo-daemon half_open -- --ignored`.
#[test]
#[ignore = "ten thousand handshakes take half a minute"]
fn ten_thousand_half_open_handshakes() {
    half_open(10_000);
}

/// Sends the first packets of `count` handshakes, from many ports of another address, and never goes on.
fn half_open(count: usize) {
    let node = Node::new(1, Limits::default());
    let honest = Node::new(2, Limits::default());
    let packets = first_packets(count);
    let sockets: Vec<_> = (0..64).map(|_| UdpSocket::bind("127.0.0.9:0").unwrap()).collect();
    let (before, mut most) = (resident(), 0);
    for (packet, socket) in packets.iter().zip(sockets.iter().cycle()) {
        socket.send_to(packet, node.address).unwrap();
        most = most.max(node.channel.totals().strangers);
        std::thread::sleep(Duration::from_micros(50));
    }
    let limits = Limits::default();
    assert!(most >= 1 && most <= limits.strangers_per_source, "{most} strangers at once");
    eventually("most had to prove their address", || {
        let totals = node.channel.totals();
        totals.retried as usize > count / 2 && totals.accepted as usize <= count / 4
    });
    honest.channel.dial(node.address, Some(node.key));
    honest.up();
    node.up();
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more are resident");
}

/// What dialers send first, each good for one attempt at any server.
fn first_packets(count: usize) -> Vec<Vec<u8>> {
    let rogue = Rogue::new(3);
    let mut packet = [0; 2048];
    let packets = (0..count).map(|_| {
        let trap = UdpSocket::bind(loopback()).unwrap();
        trap.set_read_timeout(Some(PATIENCE)).unwrap();
        let crypto = rogue.identity.client(None, Arc::default()).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        let to = trap.local_addr().unwrap();
        let _context = RUNTIME.enter();
        let _connecting = rogue.endpoint.connect_with(config, to, tls::SERVER_NAME).unwrap();
        let (length, _) = trap.recv_from(&mut packet).unwrap();
        packet[..length].to_vec()
    });
    packets.collect()
}

/// Bytes of memory that this process holds.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_stranger_asks_one_thing_at_a_time() {
    let (a, b) = (Node::new(1, Limits::default()), Node::new(2, Limits::default()));
    a.channel.dial(b.address, None);
    let (to_b, ..) = a.up();
    b.up();
    a.channel.fetch(1, to_b, b"one".to_vec(), 10);
    a.channel.fetch(2, to_b, b"two".to_vec(), 10);
    let asked = |event| match event {
        ChannelEvent::Asked { ask, .. } => Some(ask),
        _ => None,
    };
    let first = b.until(asked);
    assert!(b.events.recv_timeout(Duration::from_millis(300)).is_err(), "the second waits");
    b.channel.answer(first, Answer::Bytes(vec![1]));
    b.until(asked);
}
