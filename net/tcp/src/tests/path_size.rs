//! Segments that the path does not carry: what is tried, and what falls back (RFC 4821, RFC 2923 §2.1).

use super::pair::{Channel, Pair};
use super::script::{Script, plain};
use crate::{Config, MtuProbing, Path};
use std::format;
use std::vec::Vec;
use time::Duration;

fn always() -> Config {
    Config { mtu_probing: MtuProbing::Always, probe_base_mss: 600, initial_window_segments: 20, ..plain() }
}

/// With probing from 600 bytes on, towards 1,000; the first probe holds 800.
fn probing(sack: &str) -> Script {
    let mut it = Script::accept(always(), &format!("S 0 win 65535 mss 1000 sackok {sack}"));
    it.leaves(&format!("S 0 ack 1 sackok {sack}"));
    it.after(20);
    it.arrives(". 1 ack 1 win 65535");
    it.events();
    it.write(1, 5_000);
    it.leaves(". 1+800 ack 1 size 0");
    for n in 0..7 {
        it.leaves(&format!("{} {}+600 ack 1", if n == 6 { "P" } else { "." }, 801 + 600 * n));
    }
    it.is_quiet();
    it
}

#[test]
fn established_probe_that_arrives_makes_segments_larger() {
    let mut it = probing("no");
    it.after(20);
    it.arrives(". 1 ack 801 win 65535");
    it.arrives(". 1 ack 5001 win 65535");
    it.write(5_001, 6_000);
    // Now the middle of what is left, between 800 and 1,000.
    it.leaves(". 5001+900 ack 1");
    it.leaves(". 5901+800 ack 1");
}

#[test]
fn established_lost_probe_leaves_the_window_and_is_repeated_in_smaller_segments() {
    let mut it = probing("yes");
    let window = it.connection.send_half().usable();
    it.after(20);
    it.arrives(". 1 ack 1 win 65535 sack 801:1401");
    it.arrives(". 1 ack 1 win 65535 sack 801:2001");
    it.is_quiet();
    // RFC 4821 §7.6.2: three segments behind it have arrived.
    it.arrives(". 1 ack 1 win 65535 sack 801:2601");
    it.leaves(". 1+600 ack 1");
    it.leaves(". 601+200 ack 1");
    it.is_quiet();
    it.after(20);
    it.arrives(". 1 ack 5001 win 65535");
    assert!(it.connection.send_half().usable() >= window + 5_000, "no congestion");
    // RFC 8899 §5.1.1: not again before a second is over.
    it.write(5_001, 8_000);
    it.leaves(". 5001+600 ack 1");
}

#[test]
fn established_three_duplicates_of_a_lost_probe_leave_the_window() {
    let mut it = probing("no");
    let window = it.connection.send_half().usable();
    it.after(20);
    for _ in 0..3 {
        it.arrives(". 1 ack 1 win 65535");
    }
    it.leaves(". 1+600 ack 1");
    it.leaves(". 601+200 ack 1");
    it.is_quiet();
    it.after(20);
    it.arrives(". 1 ack 5001 win 65535");
    assert!(it.connection.send_half().usable() >= window + 5_000, "no congestion");
}

#[test]
fn established_losses_beside_the_probe_are_congestion() {
    let mut it = probing("yes");
    it.after(20);
    // The probe and the next two.
    it.arrives(". 1 ack 1 win 65535 sack 2001:3801");
    it.leaves(". 1+600 ack 1");
    it.leaves(". 601+600 ack 1");
    it.is_quiet();
    it.after(20);
    it.arrives(". 1 ack 5001 win 65535");
    assert!(it.connection.send_half().usable() < 10_000);
}

#[test]
fn established_third_timeout_of_a_full_segment_makes_it_smaller() {
    let config = Config { probe_base_mss: 600, ..plain() };
    let mut it = Script::established(config);
    it.write(1, 3_000);
    it.leaves(". 1+1000 ack 1");
    it.leaves(". 1001+1000 ack 1");
    it.leaves("P 2001+1000 ack 1");
    for wait in [200, 400] {
        it.after(wait);
        it.leaves(". 1+1000 ack 1");
        it.is_quiet();
    }
    it.after(800);
    it.leaves(". 1+600 ack 1");
    it.is_quiet();
    it.after(100);
    it.arrives(". 1 ack 601 win 65535");
    it.leaves(". 601+600 ack 1");
    it.leaves(". 1201+600 ack 1");
}

#[test]
fn established_timeouts_of_a_small_segment_say_nothing_of_the_size() {
    let config = Config { probe_base_mss: 600, ..plain() };
    let mut it = Script::established(config);
    it.write(1, 536);
    it.leaves("P 1+536 ack 1");
    for wait in [200, 400, 800, 1_600] {
        it.after(wait);
        it.leaves("P 1+536 ack 1");
    }
    it.arrives(". 1 ack 537 win 65535");
    it.write(537, 2_000);
    it.leaves(". 537+1000 ack 1");
}

/// Sends four megabytes where only segments of `carries` bytes arrive. How long it took, and the largest that arrived
/// at the end.
fn transfer(config: Config, carries: usize, offload_bytes_max: u32, loss: u64, seed: u64) -> Duration {
    let path = Path { segment_bytes_max: 1_480, offload_bytes_max };
    let channel = Channel { path, loss, carries_bytes_max: carries, ..Channel::CLEAN };
    let mut pair = Pair::established(config, channel, seed);
    let data: Vec<u8> = (0..2_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
    let began = pair.now;
    pair.client.write(&data, began);
    pair.run_until(|pair| pair.server().received.len() == data.len());
    assert!(pair.server().received == data, "carries {carries}, seed {seed}");
    pair.now - began
}

#[test]
fn a_path_that_carries_less_and_tells_nobody_delivers_every_byte() {
    for seed in 0..24 {
        let carries = 620 + 37 * seed as usize;
        let offload = if seed % 2 == 0 { 0 } else { 64_000 };
        let loss = if seed % 3 == 0 { 1 } else { 0 };
        let sack = seed % 4 != 0;
        let found = transfer(Config { sack, ..Config::linux() }, carries, offload, loss, seed);
        let always = Config { sack, mtu_probing: MtuProbing::Always, probe_base_mss: 560, ..Config::linux() };
        let tried = transfer(always, carries, offload, loss, seed);
        assert!(tried < Duration::from_secs(20) && found < Duration::from_secs(60), "{tried:?} {found:?}");
    }
}

#[test]
fn a_path_that_carries_everything_is_used_in_full_though_probed_for() {
    for offload in [0, 64_000] {
        let config = Config { mtu_probing: MtuProbing::Always, ..Config::linux() };
        let path = Path { segment_bytes_max: 1_480, offload_bytes_max: offload };
        let mut pair = Pair::established(config, Channel { path, ..Channel::CLEAN }, 1);
        let now = pair.now;
        pair.client.write(&[7; 3_000_000], now);
        pair.run_until(|pair| pair.server().received.len() == 3_000_000);
        assert_eq!(pair.client.payload_bytes, 3_000_000, "nothing was sent twice");
        assert_eq!(pair.client.connection.send_half().mss(), 1_448);
    }
}
