//! Acknowledgements and the window that they offer (RFC 9293 §3.8.6; RFC 5681 §4.2; RFC 7323 §2).

use super::script::{Script, plain};
use crate::{Config, Drop, Path};

#[test]
fn established_one_segment_is_acknowledged_later() {
    let mut it = Script::established(plain());
    it.arrives("P 1+100 ack 1 win 65535");
    it.after(40);
    it.leaves(". 1 ack 101");
    it.is_quiet();
    assert_eq!(it.connection.poll_timeout(), None);
}

#[test]
fn established_second_full_segment_is_acknowledged_at_once() {
    let mut it = Script::established(plain());
    it.arrives(". 1+1000 ack 1 win 65535");
    it.is_quiet();
    it.arrives(". 1001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 2001");
    it.is_quiet();
}

#[test]
fn established_many_segments_in_a_turn_are_acknowledged_once() {
    let mut it = Script::established(plain());
    for n in 0..20 {
        it.arrives(&std::format!(". {}+1000 ack 1 win 65535", 1 + n * 1_000));
    }
    it.leaves(". 1 ack 20001");
    it.is_quiet();
}

#[test]
fn established_joined_segments_count_as_many() {
    let mut it = Script::established(plain());
    it.arrives(". 1+2000 ack 1 win 65535 joined 2");
    it.leaves(". 1 ack 2001");
    it.is_quiet();
}

#[test]
fn established_joined_segments_out_of_order_send_three_duplicates() {
    let mut it = Script::established(plain());
    it.arrives(". 1001+5000 ack 1 win 65535 joined 5");
    it.leaves(". 1 ack 1 win 60000");
    it.leaves(". 1 ack 1 win 60000");
    it.leaves(". 1 ack 1 win 60000");
    it.is_quiet();
}

#[test]
fn established_young_connection_acknowledges_at_once() {
    let mut it = Script::established(Config { quick_acks: 2, ..plain() });
    it.arrives("P 1+10 ack 1 win 65535");
    it.leaves(". 1 ack 11");
    it.arrives("P 11+10 ack 1 win 65535");
    it.leaves(". 1 ack 21");
    it.arrives("P 21+10 ack 1 win 65535");
    it.is_quiet();
}

#[test]
fn established_pause_as_long_as_a_timeout_acknowledges_at_once_again() {
    let mut it = Script::established(Config { quick_acks: 1, ..plain() });
    it.arrives("P 1+10 ack 1 win 65535");
    it.leaves(". 1 ack 11");
    it.arrives("P 11+10 ack 1 win 65535");
    it.is_quiet();
    it.after(40);
    it.leaves(". 1 ack 21");
    it.after(2_000);
    it.arrives("P 21+10 ack 1 win 65535");
    it.leaves(". 1 ack 31");
    // Data that is answered with data can wait for it.
    it.arrives("P 31+10 ack 1 win 65535");
    it.write(1, 20);
    it.leaves("P 1+20 ack 41");
    it.arrives(". 41 ack 21 win 65535");
    it.after(2_000);
    it.arrives("P 41+10 ack 21 win 65535");
    it.is_quiet();
}

#[test]
fn established_duplicate_says_that_acknowledgements_are_lost() {
    let mut it = Script::established(Config { quick_acks: 2, ..plain() });
    it.arrives("P 1+10 ack 1 win 65535");
    it.write(1, 20);
    it.leaves("P 1+20 ack 11");
    it.arrives("P 11+10 ack 21 win 65535");
    it.is_quiet();
    it.is_dropped("P 1+10 ack 21 win 65535", Drop::OutsideWindow);
    it.leaves(". 21 ack 21");
    it.arrives("P 21+10 ack 21 win 65535");
    it.leaves(". 21 ack 31");
    it.arrives("P 31+10 ack 21 win 65535");
    it.is_quiet();
}

#[test]
fn established_keep_alive_probe_says_nothing_of_acknowledgements() {
    let mut it = Script::established(Config { quick_acks: 2, ..plain() });
    it.arrives("P 1+10 ack 1 win 65535");
    it.write(1, 20);
    it.leaves("P 1+20 ack 11");
    it.is_dropped(". 10+1 ack 21 win 65535", Drop::OutsideWindow);
    it.leaves(". 21 ack 11");
    it.arrives("P 11+10 ack 21 win 65535");
    it.is_quiet();
}

#[test]
fn established_pause_is_not_ended_by_data_that_is_dropped() {
    let mut it = Script::established(Config { quick_acks: 1, ..plain() });
    it.arrives("P 1+10 ack 1 win 65535");
    it.leaves(". 1 ack 11");
    it.arrives("P 11+10 ack 1 win 65535");
    it.after(40);
    it.leaves(". 1 ack 21");
    it.after(2_000);
    it.is_dropped("P 21+10 ack 5000 win 65535", Drop::AcknowledgesUnsent);
    it.leaves(". 1 ack 21");
    it.arrives("P 21+10 ack 1 win 65535");
    it.leaves(". 1 ack 31");
}

#[test]
fn established_data_is_heard_from_the_handshake_on() {
    let mut it = Script::established(plain());
    it.after(500);
    assert_eq!(it.connection.info(it.now).data_received_ago.as_millis(), 500);
}

#[test]
fn established_answer_carries_the_acknowledgement() {
    let mut it = Script::established(Config { quick_acks: 16, ..plain() });
    it.arrives("P 1+10 ack 1 win 65535");
    it.write(1, 20);
    it.leaves("P 1+20 ack 11");
    it.is_quiet();
    // Whoever answers does not need quick acknowledgements.
    it.arrives("P 11+10 ack 21 win 65535");
    it.is_quiet();
    it.after(40);
    it.leaves(". 21 ack 21");
}

#[test]
fn established_window_closes_with_unread_bytes_and_opens_with_reading() {
    let mut it = Script::established(Config { receive_buffer_bytes: 4_000, ..plain() });
    it.arrives(". 1+1000 ack 1 win 65535");
    it.arrives(". 1001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 2001 win 2000");
    it.arrives(". 2001+1000 ack 1 win 65535");
    it.arrives(". 3001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 4001 win 0");
    // Less than a segment is not worth telling (RFC 9293 §3.8.6.2.2).
    assert_eq!(it.connection.read(900, it.now).unwrap().len(), 900);
    it.is_quiet();
    assert_eq!(it.connection.read(100, it.now).unwrap().len(), 100);
    it.leaves(". 1 ack 4001 win 1000");
    it.is_quiet();
    it.reads(1_001, 3_000);
    it.leaves(". 1 ack 4001 win 4000");
}

#[test]
fn established_buffer_holds_whole_segments_where_the_profile_says_so() {
    for (whole, bytes) in [(false, 65_536), (true, 66_000)] {
        let bytes_max = 65_536;
        let config = Config {
            receive_buffer_bytes: bytes_max,
            receive_start_bytes: bytes_max,
            receive_whole_segments: whole,
            ..plain()
        };
        let it = Script::established(config);
        assert_eq!(it.connection.info(it.now).receive_buffer_bytes, bytes);
    }
}

#[test]
fn established_receive_limit_bounds_the_window_and_never_takes_back() {
    let mut it = Script::established(plain());
    it.connection.set_receive_limit(5_000, it.now);
    it.arrives(". 1+2000 ack 1 win 65535 joined 2");
    it.leaves(". 1 ack 2001 win 58000");
    it.arrives(". 2001+56000 ack 1 win 65535 joined 56");
    it.leaves(". 1 ack 58001 win 2000");
    it.connection.set_receive_limit(0, it.now);
    it.arrives(". 58001+2000 ack 1 win 65535 joined 2");
    it.leaves(". 1 ack 60001 win 0");
    it.reads(1, 60_000);
    it.is_quiet();
    it.connection.set_receive_limit(3_000, it.now);
    it.leaves(". 1 ack 60001 win 3000");
    it.is_quiet();
}

#[test]
fn established_scaled_window_is_told_in_steps() {
    let config = Config { window_scaling: true, receive_buffer_bytes: 1 << 20, ..plain() };
    let mut it = Script::accept(config, "S 0 win 65535 mss 1000 wscale 3");
    it.leaves("S 0 ack 1 win 65535 wscale 8");
    it.arrives(". 1 ack 1 win 100");
    it.arrives(". 1+2000 ack 1 win 100 joined 2");
    it.leaves(". 1 ack 2001 win 4088");
    // The peer's window of 100 is 800 bytes.
    it.write(1, 2_000);
    it.leaves(". 1+800 ack 2001");
    it.is_quiet();
}

#[test]
fn established_scaling_needs_both_sides() {
    let config = Config { window_scaling: true, receive_buffer_bytes: 1 << 20, ..plain() };
    let mut it = Script::accept(config, "S 0 win 65535 mss 1000");
    it.leaves("S 0 ack 1 win 65535 wscale 99");
    it.arrives(". 1+2000 ack 1 win 65535 joined 2");
    it.leaves(". 1 ack 2001 win 65535");
}

#[test]
fn established_dead_reader_bounds_what_is_held() {
    let mut it = Script::established(plain());
    for n in 0..100 {
        let _ = it.handle(&std::format!(". {}+1000 ack 1 win 65535", 1 + n * 1_000));
        let _ = it.connection.poll_transmit(Path { segment_bytes_max: 1_020, offload_bytes_max: 0 }, it.now);
    }
    assert_eq!(it.connection.readable(), 60_000);
}
