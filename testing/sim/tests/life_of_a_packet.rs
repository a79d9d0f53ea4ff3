//! docs/life-of-a-packet.md, held to what one packet does.

use packet::Bytes;
use sim::{Link, World};
use stack::{Binding, Event, Listen, TcpId};
use std::net::SocketAddr;
use std::sync::Arc;
use time::Duration;

/// The names at the numbered lines of the document, in order.
fn documented() -> Vec<String> {
    let text = include_str!("../../../docs/life-of-a-packet.md");
    let mut names = Vec::new();
    for line in text.lines() {
        let Some((number, rest)) = line.split_once(". `") else { continue };
        if number.parse::<usize>().is_ok_and(|number| number == names.len() + 1) {
            let (name, _) = rest.split_once("`:").expect("a station's name ends in a colon");
            names.push(name.to_owned());
        }
    }
    names
}

#[test]
fn a_byte_that_is_echoed_passes_the_documented_stations() {
    let mut world = World::new(1);
    let (client, server) = (world.host(), world.host());
    let link = world.link(client, server, Link::default());
    let config: Arc<tcp::Config> = Arc::default();
    let listen = Listen { binding: Binding::Port(7), defer: false, backlog: 1, config: config.clone() };
    world.stack(server).tcp_listen(listen).expect("free");
    let (address, _) = world.addresses(server, link).expect("on the link");
    let now = world.now();
    let ours =
        world.stack(client).tcp_connect(None, SocketAddr::new(address, 7), config, now).expect("a route");
    let mut accepted = None;
    world.run_for(Duration::from_secs(1));
    while let Some(event) = world.event(server) {
        if let Event::TcpAccepted { connection, .. } = event {
            accepted = Some(connection);
        }
    }
    let theirs: TcpId = accepted.expect("the handshake is complete");

    let [there, back] = world.passage(link);
    let now = world.now();
    world.stack(server).watch_stations();
    assert_eq!(world.stack(client).tcp_write(ours, &mut Bytes::from_static(b"x"), now), 1);
    let mut echoed = false;
    world.run_until(Duration::from_millis(10), |world| {
        let now = world.now();
        while let Some(event) = world.event(server) {
            if matches!(event, Event::Tcp { event: tcp::Event::Readable, .. }) {
                let stack = world.stack(server);
                let mut byte = stack.tcp_read(theirs, 1, now).expect("a byte can be read");
                assert_eq!(stack.tcp_write(theirs, &mut byte, now), 1);
                echoed = true;
            }
        }
        echoed && world.passage(link)[1].delivered > back.delivered
    });
    assert!(echoed);

    let mut stations = Vec::new();
    if world.passage(link)[0].delivered == there.delivered + 1 {
        stations.push("device receive");
    }
    stations.extend(world.stack(server).take_stations().iter().map(|station| station.name()));
    if world.passage(link)[1].delivered == back.delivered + 1 {
        stations.push("device transmit");
    }
    assert_eq!(stations, documented());
}
