//! Asks and fetches.

use super::super::{Answer, AskId, FetchError, SendError, code};
use super::*;

impl Pair {
    /// `a` fetches and `b`, asked, answers.
    fn fetch(&self, request: &[u8], max: usize, answer: Answer) -> Result<Vec<u8>, FetchError> {
        self.a.channel.fetch(9, self.to_b, request.to_vec(), max);
        let (ask, asked) = self.b.asked();
        assert_eq!(asked, request);
        assert!(self.b.channel.answer(ask, answer));
        self.a.fetched().1
    }
}

impl Node {
    fn asked(&self) -> (AskId, Vec<u8>) {
        self.until(|event| match event {
            ChannelEvent::Asked { ask, bytes, .. } => Some((ask, bytes)),
            _ => None,
        })
    }

    fn fetched(&self) -> (u64, Result<Vec<u8>, FetchError>) {
        self.until(|event| match event {
            ChannelEvent::Fetched { op, result } => Some((op, result)),
            _ => None,
        })
    }
}

#[test]
fn what_is_asked_is_answered() {
    let pair = Pair::new();
    let big: Vec<u8> = (0..3_000_000u32).map(|i| (i % 253) as u8).collect();
    assert_eq!(pair.fetch(b"big", 3_000_000, Answer::Bytes(big.clone())), Ok(big.clone()));
    assert_eq!(pair.fetch(b"shared", 3_000_000, Answer::Shared(big.clone().into())), Ok(big.clone()));
    let reader = Box::new(std::io::Cursor::new(big.clone()));
    assert_eq!(pair.fetch(b"read", 3_000_000, Answer::Reader(reader)), Ok(big));
    assert_eq!(pair.fetch(b"", 0, Answer::Bytes(vec![])), Ok(vec![]));
    assert_eq!(pair.fetch(&[7; 4096], 8, Answer::Bytes(vec![1])), Ok(vec![1]));
    assert_eq!(pair.b.channel.totals().asks, 0);
}

#[test]
fn requests_run_both_ways_on_one_connection() {
    let pair = Pair::new();
    pair.b.channel.fetch(1, pair.to_a, b"from the acceptor".to_vec(), 100);
    let (ask, asked) = pair.a.asked();
    assert_eq!(asked, b"from the acceptor");
    pair.a.channel.answer(ask, Answer::Bytes(b"yes".to_vec()));
    assert_eq!(pair.b.fetched(), (1, Ok(b"yes".to_vec())));
}

#[test]
fn a_refusal_carries_code_and_text() {
    let pair = Pair::new();
    let no = Answer::Refuse { code: 42, text: "not for\n you".into() };
    let refused = FetchError::Refused { code: 42, text: "not for\\n you".into() };
    assert_eq!(pair.fetch(b"secret", 100, no), Err(refused));
    let long = Answer::Refuse { code: 42, text: "ä".repeat(1000) };
    match pair.fetch(b"secret", 1, long) {
        Err(FetchError::Refused { text, .. }) => assert_eq!(text, "ä".repeat(128)),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn an_answer_longer_than_allowed_is_not_taken() {
    let pair = Pair::new();
    let long = Answer::Bytes(vec![0; 1_000_001]);
    assert_eq!(pair.fetch(b"?", 1_000_000, long), Err(FetchError::TooLong { limit: 1_000_000 }));
    assert_eq!(pair.fetch(b"?", 1, Answer::Bytes(vec![5])), Ok(vec![5]), "the connection stays");
}

#[test]
fn a_request_longer_than_allowed_is_not_sent() {
    let pair = Pair::new();
    pair.a.channel.fetch(1, pair.to_b, vec![0; 4097], 1);
    assert_eq!(pair.a.fetched(), (1, Err(FetchError::RequestTooLong { found: 4097, limit: 4096 })));
}

#[test]
fn a_failing_reader_does_not_pass_for_a_short_answer() {
    struct Failing(usize);
    impl std::io::Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| std::io::Error::other("rot"))?;
            buffer.fill(1);
            Ok(buffer.len())
        }
    }
    let pair = Pair::new();
    let result = pair.fetch(b"?", 10_000_000, Answer::Reader(Box::new(Failing(40))));
    assert_eq!(result, Err(FetchError::BrokenOff));
}

#[test]
fn no_answer_is_refused_in_the_end() {
    let limits = Limits { answer: Duration::from_millis(100), ..Limits::default() };
    let pair = Pair::with(limits);
    pair.a.channel.fetch(1, pair.to_b, b"?".to_vec(), 1);
    let (ask, _) = pair.b.asked();
    match pair.a.fetched() {
        (1, Err(FetchError::Refused { code: code::NO_ANSWER, .. })) => {}
        other => panic!("expected a refusal, found {other:?}"),
    }
    assert!(!pair.b.channel.answer(ask, Answer::Bytes(vec![1])), "too late");
}

#[test]
fn a_silent_peer_is_given_up() {
    let quick = Limits { stall: Duration::from_millis(200), ..Limits::default() };
    let pair = Pair::of(Node::new(1, quick), Node::new(2, Limits::default()));
    pair.a.channel.fetch(1, pair.to_b, b"?".to_vec(), 1);
    assert_eq!(pair.a.fetched(), (1, Err(FetchError::TimedOut)));
}

#[test]
fn fetches_end_with_their_connection() {
    let pair = Pair::new();
    for op in 0..5 {
        pair.a.channel.fetch(op, pair.to_b, b"?".to_vec(), 1);
    }
    let (ask, _) = pair.b.asked();
    pair.b.channel.hang_up(pair.to_a, 20, "gone");
    let mut ended: Vec<_> = (0..5).map(|_| pair.a.fetched()).collect();
    ended.sort_by_key(|(op, _)| *op);
    let expected: Vec<_> = (0..5).map(|op| (op, Err(FetchError::Gone))).collect();
    assert_eq!(ended, expected);
    eventually("b's asks are gone", || pair.b.channel.totals().asks == 0);
    assert!(!pair.b.channel.answer(ask, Answer::Bytes(vec![1])));
    pair.a.channel.fetch(9, ConnId(12345), b"?".to_vec(), 1);
    assert_eq!(pair.a.fetched(), (9, Err(FetchError::Gone)));
    assert_eq!(pair.a.channel.send(ConnId(12345), [1][..].into()), Err(SendError::Gone));
}

#[test]
fn asks_beyond_the_limit_wait_at_the_peer() {
    let pair = Pair::with(Limits { asks: 3, fetches: 5, ..Limits::default() });
    for op in 0..6 {
        pair.a.channel.fetch(op, pair.to_b, vec![op as u8], 1);
    }
    assert!(matches!(pair.a.fetched().1, Err(FetchError::WeAreBusy { limit: 5 })));
    let mut open: Vec<_> = (0..3).map(|_| pair.b.asked()).collect();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(pair.b.channel.totals().asks, 3);
    let mut answered = 0;
    while let Some((ask, _)) = open.pop() {
        pair.b.channel.answer(ask, Answer::Bytes(vec![1]));
        assert_eq!(pair.a.fetched().1, Ok(vec![1]));
        answered += 1;
        if answered <= 2 {
            open.push(pair.b.asked());
        }
    }
    assert_eq!(answered, 5);
}

#[test]
fn asks_come_no_faster_than_allowed() {
    let limits = Limits { asks_per_second: 20, ..Limits::default() };
    let pair = Pair::of(Node::new(1, Limits::default()), Node::new(2, limits));
    let start = Instant::now();
    for _ in 0..15 {
        assert_eq!(pair.fetch(b"?", 1, Answer::Bytes(vec![1])), Ok(vec![1]));
    }
    // Five at once, ten more at 50 ms each.
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
}
