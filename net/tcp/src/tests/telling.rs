//! What a connection tells of itself (Linux: TCP_INFO).

use super::script::{Script, plain};
use crate::{Config, EcnFeedback, Repair, State};
use alloc::format;
use time::Duration;

#[test]
fn established_segments_and_bytes_are_counted_both_ways() {
    let mut it = Script::established(plain());
    it.arrives("P 1+300 ack 1 win 65535");
    it.now += Duration::from_millis(25);
    it.write(1, 2_500);
    for segment in [". 1+1000 ack 301", ". 1001+1000 ack 301", "P 2001+500 ack 301"] {
        it.leaves(segment);
    }
    it.is_quiet();
    it.now += Duration::from_millis(10);
    it.arrives(". 301 ack 1001 win 30000");
    let info = it.connection.info(it.now);
    assert_eq!((info.state, info.repair), (State::Established, Repair::Open));
    assert_eq!((info.bytes_acked, info.bytes_sent, info.bytes_received), (1_000, 2_500, 300));
    assert_eq!((info.data_segments_out, info.data_segments_in), (3, 1));
    // With the SYN-ACK; with the acknowledgement of it, and the last.
    assert_eq!((info.segments_out, info.segments_in), (4, 3));
    assert_eq!((info.unacknowledged_bytes, info.queued_bytes, info.unsent_bytes), (1_500, 1_500, 0));
    assert_eq!((info.segments(info.unacknowledged_bytes), info.delivered_segments()), (2, 1));
    assert_eq!((info.window_peer_bytes, info.mss_bytes, info.readable_bytes), (30_000, 1_000, 300));
    assert_eq!(info.data_received_ago, Duration::from_millis(35));
    assert_eq!((info.data_sent_ago, info.heard_ago), (Duration::from_millis(10), Duration::ZERO));
    assert_eq!((info.congestion_window_bytes, info.threshold_bytes), (10_000, None));
}

#[test]
fn established_losses_show_in_the_figures() {
    let mut it = Script::established(Config { sack: false, ..plain() });
    it.write(1, 4_000);
    while it.connection.poll_transmit(it.path, it.now).is_some() {}
    it.arrives(". 1 ack 1 win 65535");
    assert_eq!(it.connection.info(it.now).repair, Repair::Disorder);
    it.arrives(". 1 ack 1 win 65535");
    it.arrives(". 1 ack 1 win 65535");
    it.leaves(". 1+1000 ack 1");
    let info = it.connection.info(it.now);
    assert_eq!((info.repair, info.segments_repeated, info.bytes_repeated), (Repair::Recovery, 1, 1_000));
    assert_eq!((info.lost_bytes, info.repeated_in_flight_bytes), (1_000, 1_000));
    assert!(info.threshold_bytes.is_some());
    it.after(200);
    let info = it.connection.info(it.now);
    assert_eq!((info.repair, info.timeouts, info.backoff), (Repair::Loss, 1, 1));
    assert_eq!(info.rto, Duration::from_millis(400));
}

#[test]
fn established_timeouts_and_how_long_nothing_went_on_are_told() {
    let mut it = Script::established(plain());
    let mut told = Duration::ZERO;
    for first in [1, 1_001] {
        it.write(first, 1_000);
        it.leaves(&format!("P {first}+1000 ack 1"));
        // Two timeouts, and an answer.
        let mut rto = Duration::ZERO;
        for _ in 0..2 {
            rto = it.connection.info(it.now).rto;
            it.after(rto.as_millis() as u64);
            while it.poll_any() {}
        }
        it.after(30);
        told += rto + Duration::from_millis(30);
        it.arrives(&format!(". 1 ack {} win 65535", first + 1_000));
    }
    let info = it.connection.info(it.now);
    assert_eq!((info.timeouts_total, info.standstills, info.timeouts), (4, 2, 0));
    assert_eq!(info.standstill_time, told);
}

#[test]
fn syn_sent_timeouts_count_too() {
    let mut it = Script::connect(plain());
    assert!(it.poll_any());
    it.after(1_000);
    assert!(it.poll_any());
    it.after(100);
    it.arrives("S. 0 ack 1 win 65535 mss 1000");
    let info = it.connection.info(it.now);
    assert_eq!((info.timeouts_total, info.standstills), (1, 1));
    assert_eq!(info.standstill_time, Duration::from_millis(100));
}

#[test]
fn established_marks_of_both_sides_are_told() {
    for (asks, agrees, says, told) in [("SEW", "SE", "E", 2), ("SEWA", "SW", "EWA", 2)] {
        let feedback = if asks == "SEW" { EcnFeedback::Classic } else { EcnFeedback::Accurate };
        let config = Config { ecn_accept: feedback, ..plain() };
        let mut it = Script::accept(config, &format!("{asks} 0 win 65535 mss 1000 wscale 0"));
        it.leaves(&format!("{agrees} 0 ack 1"));
        it.arrives(if asks == "SEW" { ". 1 ack 1 win 65535" } else { "W 1 ack 1 win 65535" });
        it.write(1, 4_000);
        while it.poll_any() {}
        // Two are acknowledged, both marked, and three of the peer's are.
        it.arrives(&format!("{says} 1 ack 2001 win 65535"));
        it.arrives(&format!("{says} 1+3000 ack 2001 win 65535 joined 3 ecn 3"));
        let info = it.connection.info(it.now);
        assert_eq!((info.segments_marked, info.segments_marked_received), (told, 3), "{asks}");
    }
}

#[test]
fn established_segments_beyond_a_gap_are_counted() {
    let mut it = Script::established(plain());
    it.arrives("P 501+300 ack 1 win 65535");
    it.arrives("P 1+500 ack 1 win 65535");
    let info = it.connection.info(it.now);
    assert_eq!((info.segments_out_of_order, info.bytes_received), (1, 800));
}

#[test]
fn established_time_is_told_by_what_limited_the_sender() {
    let mut it = Script::established(Config { send_buffer_bytes: 3_000, ..plain() });
    it.arrives(". 1 ack 1 win 2000");
    it.write(1, 3_000);
    it.leaves(". 1+1000 ack 1");
    it.leaves(". 1001+1000 ack 1");
    it.is_quiet();
    it.now += Duration::from_millis(40);
    // The window opens: what is left is out, and the writer wants more room.
    it.arrives(". 1 ack 1 win 9000");
    it.leaves("P 2001+1000 ack 1");
    it.is_quiet();
    it.now += Duration::from_millis(30);
    it.arrives(". 1 ack 3001 win 9000");
    it.is_quiet();
    it.now += Duration::from_millis(500);
    let info = it.connection.info(it.now);
    let told =
        [info.busy_time, info.window_limited_time, info.buffer_limited_time].map(|span| span.as_millis());
    assert_eq!(told, [70, 40, 30]);
}
