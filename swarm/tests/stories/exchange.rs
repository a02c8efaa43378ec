//! Blobs spread: a swarm, liars, those who vanish, those who come back.

use vigo_base::time::{mins, secs};
use vigo_base::{Hash, Time};
use vigo_swarm::bitmap::Bitmap;
use vigo_swarm::exchange::{Input, Stuck};
use vigo_swarm::frame::Bytes;

use crate::world::{Manner, World};

const MIB: u64 = 1024 * 1024;

/// Tells a story twice with one seed: both runs must do exactly the same.
fn twice(story: impl Fn(u64) -> Hash) {
    let first = story(1);
    assert_eq!(first, story(1), "one seed, two stories");
    assert_ne!(first, story(2), "the trace says nothing");
}

#[test]
fn thirty_peers_share_what_one_seeder_uploads_little_more_than_once() {
    twice(|seed| {
        let mut world = World::new(31, seed, 6 * MIB);
        let blob = world.blob("image", 512);
        world.gives(0, &blob);
        (1..31).for_each(|n| world.wants(n, &blob));
        let took = world.run(mins(10), |w| w.all_have(1..31, &blob));
        assert!(world.all_have(1..31, &blob), "not everybody has it after {took} µs");
        let alone = blob.size * 1_000_000 / world.bytes_per_sec;
        let uploaded = world.nodes[0].uploaded;
        let extra: u64 = world.nodes.iter().map(|n| n.chunks_got).sum::<u64>() - 30 * 512;
        eprintln!(
            "seed {seed}: {:.2} × size/cap, seeder {:.2} × blob, {extra} chunks twice",
            took as f64 / alone as f64,
            uploaded as f64 / blob.size as f64
        );
        assert!(uploaded * 2 <= blob.size * 3, "the seeder uploaded {uploaded} of {}", blob.size);
        assert!(took * 2 <= alone * 3, "{took} µs, where one upload takes {alone}");
        world.trace()
    });
}

#[test]
fn a_small_blob_needs_no_outline_and_arrives_at_once() {
    let mut world = World::new(5, 1, 6 * MIB);
    let blob = world.blob("policy", 1);
    world.gives(3, &blob);
    world.wants(0, &blob);
    assert!(world.nodes[0].exchange.outline_of(&blob.exchange).is_some(), "known before anybody was asked");
    let took = world.run(secs(5), |w| w.has(0, &blob));
    assert!(took <= 30_000, "two round trips of 10 ms and the bytes, not {took} µs");
}

#[test]
fn liars_are_blamed_and_everything_still_arrives() {
    twice(|seed| {
        let mut world = World::new(8, seed, 6 * MIB);
        let blob = world.blob("image", 60);
        world.gives(0, &blob);
        for liar in [1, 2, 3] {
            world.nodes[liar].manner = Manner::Liar;
        }
        (4..8).for_each(|n| world.wants(n, &blob));
        world.run(mins(5), |w| w.all_have(4..8, &blob));
        for n in 4..8 {
            assert!(world.has(n, &blob), "{n} does not have it");
            let blamed = &world.nodes[n].blamed;
            assert!(blamed.iter().all(|who| (1..4).contains(who)), "{n} blamed the innocent: {blamed:?}");
            // Banned after two, plus what was already on its way.
            assert!(blamed.len() <= 3 * 18, "{n} went on asking liars: {}", blamed.len());
        }
        assert!((4..8).any(|n| !world.nodes[n].blamed.is_empty()), "no liar was ever asked");
        world.trace()
    });
}

#[test]
fn those_who_say_nothing_hold_up_nobody_for_long() {
    twice(|seed| {
        let mut world = World::new(6, seed, 6 * MIB);
        let blob = world.blob("image", 60);
        world.gives(0, &blob);
        for silent in [1, 2] {
            world.nodes[silent].manner = Manner::Silent;
        }
        (3..6).for_each(|n| world.wants(n, &blob));
        let took = world.run(mins(5), |w| w.all_have(3..6, &blob));
        assert!(world.all_have(3..6, &blob));
        // A request to the silent counts as lost after 15 s: the end game does not wait for that.
        assert!(took <= secs(10), "{took} µs");
        world.trace()
    });
}

#[test]
fn a_peer_that_never_delivers_is_asked_less_and_less() {
    let mut world = World::new(2, 1, MIB);
    let blob = world.blob("policy", 1);
    world.nodes[0].manner = Manner::Silent;
    world.wants(1, &blob);
    world.run(mins(10), |_| false);
    let asked = world.nodes[0].asked;
    assert!((5..=20).contains(&asked), "asked {asked} times in ten minutes, waiting 15 s each time");
    world.nodes[0].manner = Manner::Honest;
    world.gives(0, &blob);
    world.run(mins(2), |w| w.has(1, &blob));
    assert!(world.has(1, &blob), "and never given up");
}

#[test]
fn a_peer_that_vanishes_in_the_middle_is_replaced() {
    twice(|seed| {
        let mut world = World::new(4, seed, MIB);
        let blob = world.blob("image", 100);
        world.gives(0, &blob);
        world.gives(1, &blob);
        world.wants(2, &blob);
        world.wants(3, &blob);
        world.run(secs(2), |_| false);
        assert!(!world.has(2, &blob));
        world.vanishes(1);
        let took = world.run(mins(1), |w| w.all_have(2..4, &blob));
        assert!(world.all_have(2..4, &blob) && took <= secs(20), "{took} µs");
        world.trace()
    });
}

#[test]
fn when_the_only_source_vanishes_the_caller_hears_and_a_new_one_is_used() {
    let mut world = World::new(3, 5, MIB);
    let blob = world.blob("image", 50);
    world.gives(0, &blob);
    world.wants(1, &blob);
    world.run(secs(1), |_| false);
    world.vanishes(0);
    world.run(secs(30), |_| false);
    let stuck = &world.nodes[1].stuck;
    assert!(matches!(stuck.first(), Some(Stuck::NobodyHasIt { missing }) if *missing > 0), "{stuck:?}");
    assert!((2..=4).contains(&stuck.len()), "less and less often, not {} times", stuck.len());
    world.gives(2, &blob);
    let took = world.run(mins(1), |w| w.has(1, &blob));
    assert!(world.has(1, &blob) && took <= secs(25), "{took} µs");
}

#[test]
fn what_is_held_is_not_fetched_again() {
    twice(|seed| {
        let mut world = World::new(2, seed, MIB);
        let blob = world.blob("image", 80);
        world.gives(0, &blob);
        let mut held = Bitmap::none(80);
        (0..60).for_each(|i| assert!(held.set(i)));
        world.wants(1, &blob);
        world.input(1, Input::Resume(blob.exchange, Bytes::from(held.to_bytes())));
        world.run(mins(1), |w| w.has(1, &blob));
        assert!(world.has(1, &blob));
        assert_eq!(world.nodes[1].chunks_got, 20);
        world.trace()
    });
}

#[test]
fn a_full_disk_pauses_and_nobody_is_blamed() {
    let mut world = World::new(2, 3, 6 * MIB);
    let blob = world.blob("image", 40);
    world.gives(0, &blob);
    world.nodes[1].disk_full = true;
    world.wants(1, &blob);
    world.run(secs(20), |_| false);
    let asked = world.nodes[0].uploaded / (64 * 1024);
    assert!(asked < 60, "a pause, not a storm: {asked} chunks were sent in vain");
    assert!(
        world.nodes[1].stuck.iter().any(|s| matches!(s, Stuck::Local(text) if text.contains("no space")))
    );
    world.nodes[1].disk_full = false;
    world.run(mins(2), |w| w.has(1, &blob));
    assert!(world.has(1, &blob) && world.nodes[1].blamed.is_empty());
}

#[test]
fn more_blobs_than_places_arrive_by_priority() {
    let mut world = World::new(2, 3, 2 * MIB);
    let blobs: Vec<_> = (0..200).map(|n| world.blob(&format!("blob {n}"), 2)).collect();
    // One that nobody has must not keep its place for ever, nor keep the others waiting.
    let nowhere: Vec<_> = (0..70).map(|n| world.blob(&format!("nowhere {n}"), 2)).collect();
    for blob in &nowhere {
        world.input(1, Input::Want(*blob, 1));
    }
    for (blob, n) in blobs.iter().zip(0u8..) {
        world.gives(0, blob);
        world.input(1, Input::Want(*blob, if n == 199 { 9 } else { 1 }));
    }
    let (open, waiting, _) = world.nodes[1].exchange.load();
    assert_eq!((open, waiting), (64, 270 - 64));
    world.run(mins(10), |w| blobs.iter().all(|b| w.has(1, b)));
    let done = |n: usize| world.nodes[1].done.get(&blobs[n].exchange).copied().unwrap_or(Time(u64::MAX));
    assert!((0..200).all(|n| done(n) != Time(u64::MAX)), "some never came");
    assert!((0..199).all(|n| done(199) <= done(n)), "the most important came first");
}

#[test]
fn what_is_not_wanted_any_longer_is_left() {
    let mut world = World::new(2, 3, MIB);
    let blob = world.blob("image", 100);
    world.gives(0, &blob);
    world.wants(1, &blob);
    world.run(secs(1), |_| false);
    world.input(1, Input::Unwant(blob.exchange));
    let so_far = world.nodes[1].chunks_got;
    world.run(secs(20), |_| false);
    assert_eq!(world.nodes[1].exchange.load(), (0, 0, 0));
    assert!(world.nodes[1].chunks_got <= so_far + 16);
    assert!(!world.has(1, &blob));
}

#[test]
fn one_source_among_two_hundred_connections_is_found() {
    twice(|seed| {
        let mut world = World::new(200, seed, 6 * MIB);
        let blob = world.blob("image", 40);
        world.gives(150, &blob);
        world.wants(3, &blob);
        let took = world.run(mins(1), |w| w.has(3, &blob));
        assert!(world.has(3, &blob) && took <= secs(3), "{took} µs");
        world.trace()
    });
}
