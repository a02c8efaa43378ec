//! Sockets of this machine: who hears what, and that the peer channel's port stays its own.

use std::net::UdpSocket as Plain;
use std::sync::mpsc;

use super::*;
use crate::channel::{Channel, Limits, Offer};
use crate::driver::ear::{Ear, Nothing};
use crate::driver::{Driver, clock::SteadyClock, queue};
use vigo_base::{Outbox, SecretKey};

fn node(runtime: &runtime::Runtime, port: u16) -> (Beacons, mpsc::Receiver<Input>, driver::Handle) {
    let (driver, inlet) = queue();
    let (hearer, heard) = mpsc::channel();
    let driving = Driver::new(Ear(hearer), Outbox::new(), Nothing, inlet, SteadyClock::start());
    std::thread::spawn(move || driving.run());
    let only_loopback = Choice::Only(vec!["lo".into()]);
    (Beacons::start(runtime.handle(), &driver, only_loopback, port), heard, driver)
}

fn next(heard: &mpsc::Receiver<Input>) -> Input {
    heard.recv_timeout(Duration::from_secs(20)).expect("something comes")
}

fn loopback(heard: &mpsc::Receiver<Input>) -> u32 {
    match next(heard) {
        Input::Interfaces(found) => {
            let lo = found.iter().find(|i| i.name == "lo").expect("the loopback is named and there");
            assert_eq!(lo.v4(), Some("127.0.0.1".parse().unwrap()));
            lo.index
        }
        other => panic!("{other:?}"),
    }
}

/// A port that nothing has.
fn free_port() -> u16 {
    Plain::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn nodes_of_one_machine_hear_each_other_and_only_what_looks_like_a_beacon() {
    let runtime = runtime::Runtime::new().unwrap();
    let port = free_port();
    let (one, heard_one, driver_one) = node(&runtime, port);
    let (two, heard_two, driver_two) = node(&runtime, port);
    let index = loopback(&heard_one);
    assert_eq!(loopback(&heard_two), index);
    one.send(index, "127.0.0.1".parse().unwrap(), b"something else".to_vec());
    one.send(index, "127.0.0.1".parse().unwrap(), [&b"VIGO"[..], &[7; PACKET_BYTES]].concat());
    one.send(index, "127.0.0.1".parse().unwrap(), b"VIGO hello".to_vec());
    for heard in [&heard_one, &heard_two] {
        let Input::Beacon { interface, source, bytes } = next(heard) else { panic!("no beacon") };
        assert_eq!((interface, source.ip()), (index, "127.0.0.1".parse::<IpAddr>().unwrap()));
        assert_eq!((source.port(), bytes.as_slice()), (port, &b"VIGO hello"[..]));
    }
    // A packet to the port that is not for the group never comes.
    Plain::bind("127.0.0.1:0").unwrap().send_to(b"VIGO to you alone", ("127.0.0.1", port)).unwrap();
    two.send(index, "127.0.0.1".parse().unwrap(), b"VIGO last".to_vec());
    let Input::Beacon { bytes, .. } = next(&heard_one) else { panic!("no beacon") };
    assert_eq!(bytes, b"VIGO last");
    [driver_one, driver_two].iter().for_each(driver::Handle::stop);
}

#[test]
fn the_port_is_shared_with_one_peer_channel_and_not_with_two() {
    let runtime = runtime::Runtime::new().unwrap();
    let port = free_port();
    let bind = || {
        let listen: [SocketAddr; 1] = [SocketAddr::from(([0; 4], port))];
        let key = SecretKey::from_seed([1; 32]);
        Channel::bind(runtime.handle(), &listen, &key, Limits::default(), Arc::new(|_| Offer::Taken))
    };
    // Beacons of another node are there first, as when a node is restarted beside others.
    let (_beacons, heard, driver) = node(&runtime, port);
    loopback(&heard);
    let channel = bind().expect("beacons are not in the way");
    assert!(bind().is_err(), "two peer channels took one port");
    assert_eq!(channel.addresses()[0].port(), port);
    let (_more, heard, second) = node(&runtime, port);
    loopback(&heard);
    assert!(bind().is_err(), "two peer channels took one port");
    [driver, second].iter().for_each(driver::Handle::stop);
}

#[test]
fn a_flood_reaches_the_node_as_a_trickle() {
    let runtime = runtime::Runtime::new().unwrap();
    let port = free_port();
    let (beacons, heard, driver) = node(&runtime, port);
    let index = loopback(&heard);
    let begun = Instant::now();
    let mut sent = 0u64;
    while begun.elapsed() < Duration::from_secs(2) {
        beacons.send(index, "127.0.0.1".parse().unwrap(), b"VIGO flood".to_vec());
        sent += 1;
    }
    std::thread::sleep(Duration::from_millis(200));
    let taken = heard.try_iter().count() as u64;
    assert!(sent > 1_000 && taken >= 10, "{sent} sent, {taken} taken");
    assert!(taken <= 24 + 4 * 4, "{taken} of {sent} reached the node");
    driver.stop();
}
