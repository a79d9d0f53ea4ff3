//! Two connections and the bytes between them.

use super::pair::{Channel, Pair};
use crate::{CloseReason, Config, Connection, Event, Path, State};
use std::println;
use std::vec::Vec;
use time::Duration;

fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 23) as u8).collect()
}

#[test]
fn both_sides_write_read_and_close() {
    let mut pair = Pair::established(Config::linux(), Channel::CLEAN, 1);
    let now = pair.now;
    assert_eq!(pair.client.write(b"request", now), 7);
    assert_eq!(pair.server().write(b"answer", now), 6);
    pair.client.connection.shutdown(now);
    pair.run_until(|pair| pair.server().saw(Event::PeerClosed));
    let now = pair.now;
    pair.server().connection.shutdown(now);
    pair.run_until(|pair| pair.server().saw(Event::Closed(CloseReason::Finished)));
    assert_eq!(pair.client.received, b"answer");
    assert_eq!(pair.server().received, b"request");
    assert_eq!(pair.client.connection.state(), State::TimeWait);
    assert!(pair.server().connection.is_over());
    assert!(pair.client.saw(Event::SendingDone) && pair.client.saw(Event::Closed(CloseReason::Finished)));
    pair.run_for(Duration::from_secs(61));
    assert!(pair.client.connection.is_over());
    assert_eq!(pair.client.connection.poll_timeout(), None);
}

#[test]
fn a_large_write_leaves_in_large_segments_and_arrives_whole() {
    let path = Path { segment_bytes_max: 1_480, offload_bytes_max: 64_000 };
    let mut pair = Pair::established(Config::linux(), Channel { path, ..Channel::CLEAN }, 2);
    let data = pattern(3 << 20);
    let now = pair.now;
    assert_eq!(pair.client.write(&data, now), data.len());
    pair.client.connection.shutdown(now);
    pair.run_until(|pair| pair.server().connection.is_at_end());
    assert_eq!(pair.server().received, data);
    assert_eq!(pair.client.payload_bytes_max, 64_000 / 1_448 * 1_448);
}

#[test]
fn a_writer_who_fills_the_room_exactly_is_told_of_new_room() {
    let mut pair = Pair::established(Config::linux(), Channel::CLEAN, 3);
    for round in 1..4 {
        let room = pair.client.connection.writable();
        let now = pair.now;
        assert_eq!(pair.client.write(&pattern(room), now), room);
        assert_eq!(pair.client.connection.writable(), 0, "round {round}");
        pair.client.events.clear();
        pair.run_until(|pair| pair.client.saw(Event::Writable));
        assert!(pair.client.connection.writable() > 0);
    }
}

#[test]
fn a_lossy_channel_delivers_every_byte_in_order() {
    for seed in 0..20 {
        let channel = Channel { loss: 5, reordering: 20, duplication: 5, ..Channel::CLEAN };
        let mut pair = Pair::established(Config::linux(), channel, seed);
        let data = pattern(300_000);
        let now = pair.now;
        pair.client.write(&data, now);
        pair.client.connection.shutdown(now);
        pair.server().connection.shutdown(now);
        pair.run_until(|pair| {
            pair.server().saw(Event::Closed(CloseReason::Finished))
                && pair.client.saw(Event::Closed(CloseReason::Finished))
        });
        assert_eq!(pair.server().received, data);
    }
}

#[test]
fn an_idle_connection_is_small_and_holds_no_buffer() {
    let size = core::mem::size_of::<Connection>();
    println!("a connection is {size} bytes");
    // An idle connection costs at most 1 KB, with what the stack keeps beside this.
    assert!(size <= 832);
    let mut pair = Pair::established(Config::linux(), Channel::CLEAN, 3);
    for _ in 0..3 {
        let now = pair.now;
        pair.client.write(&pattern(100_000), now);
        let length = pair.server().received.len() + 100_000;
        pair.run_until(|pair| pair.server().received.len() == length);
    }
    pair.run_for(Duration::from_secs(1));
    let held = [&pair.client, pair.server.as_ref().unwrap()].map(|end| end.connection.buffers_held());
    assert_eq!(held, [0, 0]);
    assert_eq!(pair.client.connection.poll_timeout(), None);
}

#[test]
fn a_clean_channel_sees_every_byte_once_and_few_acknowledgements() {
    for offload_bytes_max in [0, 64_000] {
        let path = Path { segment_bytes_max: 1_480, offload_bytes_max };
        // All that may leave at once arrives at once.
        let config = Config { pacing: false, ..Config::linux() };
        let mut pair = Pair::established(config, Channel { path, ..Channel::CLEAN }, 4);
        let data = pattern(4 << 20);
        let now = pair.now;
        assert_eq!(pair.client.write(&data, now), data.len());
        pair.run_until(|pair| pair.server().received.len() == data.len());
        assert_eq!(pair.client.payload_bytes, data.len(), "something was sent twice");
        // 4 MiB in 5 ms steps: slow start reaches it in nine round trips, and each turn is answered once.
        assert!(pair.now - now < Duration::from_millis(110), "{:?}", pair.now - now);
        assert!(pair.server().segments < 30, "{} acknowledgements", pair.server().segments);
    }
}

#[test]
fn two_syns_that_cross_make_one_connection() {
    for seed in 0..50 {
        let loss = if seed == 0 { 0 } else { 20 };
        let mut pair = Pair::crossing(Config::linux(), Channel { loss, ..Channel::CLEAN }, seed);
        let data = pattern(100_000);
        let now = pair.now;
        pair.client.write(&data, now);
        pair.server().write(&data, now);
        pair.run_until(|pair| {
            pair.client.received.len() == data.len() && pair.server().received.len() == data.len()
        });
        assert!(pair.client.received == data && pair.server().received == data, "seed {seed}");
        assert_eq!(pair.client.connection.state(), State::Established);
        assert_eq!(pair.server().connection.state(), State::Established);
    }
}
