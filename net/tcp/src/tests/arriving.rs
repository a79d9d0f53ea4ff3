//! What of a segment is taken (RFC 9293 §3.10.7.4, RFC 5961, RFC 7323 §5, RFC 6093).

use super::script::{Script, plain};
use crate::{CloseReason, Config, Drop, Event, State};

/// ESTABLISHED with timestamps: the peer's clock stands at 100.
fn stamped() -> Script {
    let config = Config { timestamps: true, ..plain() };
    let mut it = Script::accept(config, "S 0 win 65535 mss 1012 ts 100:0");
    it.leaves("S 0 ack 1 ts 1000000:100");
    it.arrives(". 1 ack 1 win 65535 ts 100:1000000");
    it.events();
    it
}

#[test]
fn established_old_duplicate_is_dropped_and_acknowledged() {
    let mut it = Script::established(plain());
    it.arrives(". 1+1000 ack 1 win 65535");
    it.after(40);
    it.leaves(". 1 ack 1001");
    it.is_dropped(". 1+1000 ack 1 win 65535", Drop::OutsideWindow);
    it.leaves(". 1 ack 1001");
    it.reads(1, 1_000);
}

#[test]
fn established_fin_behind_a_full_window_has_no_room() {
    let mut it = Script::established(plain());
    it.arrives("F 1+60000 ack 1 win 65535");
    assert_eq!(it.connection.state(), State::Established);
    it.reads(1, 60_000);
    while it.poll_any() {}
    it.arrives("F 60001 ack 1 win 65535");
    assert_eq!(it.connection.state(), State::CloseWait);
}

#[test]
fn established_segment_behind_the_window_is_dropped_and_acknowledged() {
    let mut it = Script::established(plain());
    it.is_dropped(". 60001+10 ack 1 win 65535", Drop::OutsideWindow);
    it.leaves(". 1 ack 1 win 60000");
    it.is_dropped("R 60001", Drop::OutsideWindow);
    it.is_quiet();
}

#[test]
fn established_segment_across_both_edges_is_cut_to_the_window() {
    let mut it = Script::established(Config { receive_buffer_bytes: 1_000, ..plain() });
    it.arrives(". 1+400 ack 1 win 65535");
    it.arrives("F 201+1200 ack 1 win 65535");
    it.leaves(". 1 ack 1001 win 0");
    it.reads(1, 1_000);
    it.is_in(State::Established);
}

#[test]
fn established_zero_window_data_still_acknowledges() {
    let mut it = Script::established(Config { receive_buffer_bytes: 1_000, ..plain() });
    it.write(1, 500);
    it.leaves("P 1+500 ack 1");
    it.arrives(". 1+1000 ack 1 win 65535");
    it.after(40);
    it.leaves(". 501 ack 1001 win 0");
    it.arrives("F 1001+1 ack 501 win 65535");
    it.leaves(". 501 ack 1001 win 0");
    assert_eq!(it.connection.unacknowledged(), 0);
    it.is_in(State::Established);
}

#[test]
fn established_out_of_order_segments_are_joined() {
    let mut it = Script::established(plain());
    it.arrives(". 1001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 1");
    it.arrives("F 3001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 1");
    it.arrives(". 1501+1600 ack 1 win 65535");
    it.leaves(". 1 ack 1");
    assert_eq!(it.events(), []);
    it.arrives(". 1+1000 ack 1 win 65535");
    it.leaves(". 1 ack 4002");
    it.is_quiet();
    it.reads(1, 4_000);
    it.is_in(State::CloseWait);
}

#[test]
fn established_urgent_data_is_data() {
    let mut it = Script::established(plain());
    it.arrives("PU 1+10 ack 1 win 65535");
    it.reads(1, 10);
}

#[test]
fn established_exact_reset_ends() {
    let mut it = Script::established(plain());
    it.arrives("P 1+10 ack 1 win 65535");
    it.events();
    it.arrives("R 11");
    assert_eq!(it.events(), [Event::Closed(CloseReason::Reset)]);
    // What came before can still be read.
    it.reads(1, 10);
    assert!(it.connection.is_over());
}

#[test]
fn established_reset_in_window_is_challenged() {
    let mut it = Script::established(plain());
    it.is_dropped("R 2", Drop::ResetNotExact);
    it.leaves(". 1 ack 1");
    it.is_in(State::Established);
}

#[test]
fn established_syn_is_challenged_up_to_the_limit() {
    let mut it = Script::established(plain());
    for _ in 0..10 {
        it.is_dropped("S 1 ack 1 win 65535", Drop::UnexpectedSyn);
        it.leaves(". 1 ack 1");
    }
    it.is_dropped("S 1 win 65535", Drop::UnexpectedSyn);
    it.is_quiet();
    it.after(5_000);
    it.is_dropped("S 1 win 65535", Drop::UnexpectedSyn);
    it.leaves(". 1 ack 1");
}

#[test]
fn established_syn_outside_of_the_window_is_challenged_up_to_the_limit() {
    let mut it = Script::established(plain());
    for _ in 0..10 {
        it.is_dropped("S 900000 win 65535", Drop::OutsideWindow);
        it.leaves(". 1 ack 1");
    }
    it.is_dropped("S -900000 win 65535", Drop::OutsideWindow);
    it.is_quiet();
}

#[test]
fn established_ack_of_unsent_is_challenged() {
    let mut it = Script::established(plain());
    it.is_dropped(". 1+10 ack 2 win 65535", Drop::AcknowledgesUnsent);
    it.leaves(". 1 ack 1");
    assert_eq!(it.connection.readable(), 0);
}

#[test]
fn established_ack_older_than_any_window_is_challenged() {
    let mut it = Script::established(plain());
    it.is_dropped(". 1+10 ack -65535 win 65535", Drop::AcknowledgementTooOld);
    it.leaves(". 1 ack 1");
    // Within the largest window: old, but its data counts.
    it.arrives(". 1+10 ack -65534 win 65535");
    assert_eq!(it.connection.readable(), 10);
}

#[test]
fn established_segment_without_ack_is_dropped() {
    let mut it = Script::established(plain());
    it.is_dropped(". 1+10", Drop::NoAcknowledgement);
    it.is_quiet();
}

#[test]
fn established_old_timestamp_is_dropped_and_acknowledged() {
    let mut it = stamped();
    it.arrives(". 1+10 ack 1 win 65535 ts 200:1000000");
    it.after(40);
    it.leaves(". 1 ack 11 ts 1000040:200");
    it.is_dropped(". 11+10 ack 1 win 65535 ts 199:1000000", Drop::OldTimestamp);
    it.leaves(". 1 ack 11");
    it.arrives("R 11");
}

#[test]
fn established_missing_timestamp_is_dropped() {
    let mut it = stamped();
    it.is_dropped(". 1+10 ack 1 win 65535", Drop::MissingTimestamp);
    it.is_quiet();
}

#[test]
fn established_timestamp_of_the_earliest_unacknowledged_segment_is_echoed() {
    let mut it = stamped();
    it.arrives(". 1+10 ack 1 win 65535 ts 110:1000000");
    it.arrives(". 11+10 ack 1 win 65535 ts 120:1000000");
    it.after(40);
    it.leaves(". 1 ack 21 ts 1000040:110");
    // Out of order: the gap's timestamp is not echoed (RFC 7323 §4.3, case B).
    it.arrives(". 31+10 ack 1 win 65535 ts 130:1000000");
    it.leaves(". 1 ack 21 ts 1000040:110");
}

#[test]
fn established_bare_ack_outside_window_is_answered_up_to_the_limit() {
    let mut it = Script::established(plain());
    for _ in 0..10 {
        it.is_dropped(". 0 ack 1 win 65535", Drop::OutsideWindow);
        it.leaves(". 1 ack 1");
    }
    it.is_dropped(". 0 ack 1 win 65535", Drop::OutsideWindow);
    it.is_quiet();
}

#[test]
fn established_data_without_reader_is_answered_by_reset() {
    let mut it = Script::established(plain());
    it.connection.close_receive(it.now);
    it.is_quiet();
    it.is_dropped("P 1+10 ack 1 win 65535", Drop::NoReader);
    it.leaves("R 1 ack 1");
    assert_eq!(it.events(), [Event::Closed(CloseReason::Aborted)]);
    assert!(it.connection.is_over());
}
