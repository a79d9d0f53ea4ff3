//! Closing (RFC 9293 §3.6, §3.10.4, §3.10.5, §3.10.7.4 eighth; RFC 1337, RFC 6191).

use super::script::{Script, plain};
use crate::{CloseReason, Config, Drop, Event, State};
use time::{Duration, SequenceNumber};
use wire::tcp::{Flags, Header, Options, Timestamps};

/// TIME-WAIT by way of FIN-WAIT-2; the last acknowledgement has left.
fn time_wait() -> Script {
    let mut it = Script::established(plain());
    it.connection.shutdown(it.now);
    it.leaves("F 1 ack 1");
    it.arrives(". 1 ack 2 win 65535");
    it.arrives("F 1 ack 2 win 65535");
    it.leaves(". 2 ack 2");
    it.is_in(State::TimeWait);
    it
}

#[test]
fn established_shutdown_closes_in_order() {
    let mut it = time_wait();
    assert_eq!(it.events(), [Event::PeerClosed, Event::SendingDone, Event::Closed(CloseReason::Finished)]);
    assert!(!it.connection.is_over());
    it.after(60_000);
    assert!(it.connection.is_over());
    assert_eq!((it.events(), it.connection.poll_timeout()), (std::vec![], None));
}

#[test]
fn established_shutdown_sends_fin_behind_the_last_byte() {
    let mut it = Script::established(plain());
    it.write(1, 1_500);
    it.connection.shutdown(it.now);
    it.leaves(". 1+1000 ack 1");
    it.leaves("FP 1001+500 ack 1");
    it.is_quiet();
    it.arrives(". 1 ack 1501 win 65535");
    it.is_in(State::FinWait1);
    it.arrives(". 1 ack 1502 win 65535");
    it.is_in(State::FinWait2);
    assert_eq!(it.events(), [Event::SendingDone]);
    // Half closed: the peer sends on for as long as it likes.
    it.after(500_000);
    it.arrives("P 1+10 ack 1502 win 65535");
    it.reads(1, 10);
    assert_eq!(it.connection.poll_timeout().map(|(_, why)| why), Some(crate::Why::DelayedAck));
}

#[test]
fn fin_wait_1_fin_with_ack_goes_to_time_wait() {
    let mut it = Script::established(plain());
    it.connection.shutdown(it.now);
    it.leaves("F 1 ack 1");
    it.arrives("F 1 ack 2 win 65535");
    it.leaves(". 2 ack 2");
    it.is_in(State::TimeWait);
}

#[test]
fn fin_wait_1_fin_closes_simultaneously() {
    let mut it = Script::established(plain());
    it.connection.shutdown(it.now);
    it.leaves("F 1 ack 1");
    it.arrives("F 1 ack 1 win 65535");
    it.is_in(State::Closing);
    it.leaves(". 2 ack 2");
    it.arrives(". 2 ack 2 win 65535");
    it.is_in(State::TimeWait);
}

#[test]
fn fin_wait_1_lost_fin_is_repeated() {
    let mut it = Script::established(plain());
    it.connection.shutdown(it.now);
    it.leaves("F 1 ack 1");
    it.after(200);
    it.leaves("F 1 ack 1");
    it.after(400);
    it.leaves("F 1 ack 1");
    it.arrives(". 1 ack 2 win 65535");
    it.is_in(State::FinWait2);
    assert_eq!(it.connection.poll_timeout(), None);
}

#[test]
fn fin_wait_2_orphan_is_given_up() {
    let mut it = Script::established(plain());
    it.connection.shutdown(it.now);
    it.connection.close_receive(it.now);
    it.leaves("F 1 ack 1");
    it.arrives(". 1 ack 2 win 65535");
    it.after(60_000);
    assert_eq!(it.events(), [Event::SendingDone, Event::Closed(CloseReason::TimedOut)]);
    assert!(it.connection.is_over());
}

#[test]
fn established_fin_then_shutdown_closes_in_order() {
    let mut it = Script::established(plain());
    it.arrives("F 1 ack 1 win 65535");
    it.after(40);
    it.leaves(". 1 ack 2");
    it.is_in(State::CloseWait);
    assert!(it.connection.is_at_end());
    it.write(1, 10);
    it.leaves("P 1+10 ack 2");
    it.connection.shutdown(it.now);
    it.is_in(State::LastAck);
    it.leaves("F 11 ack 2");
    it.arrives(". 2 ack 12 win 65535");
    assert_eq!(it.events(), [Event::PeerClosed, Event::SendingDone, Event::Closed(CloseReason::Finished)]);
    assert!(it.connection.is_over());
    assert_eq!(it.connection.poll_timeout(), None);
}

#[test]
fn close_wait_own_fin_carries_the_acknowledgement() {
    let mut it = Script::established(plain());
    it.arrives("F 1 ack 1 win 65535");
    it.is_quiet();
    it.connection.shutdown(it.now);
    it.leaves("F 1 ack 2");
    it.is_quiet();
    it.arrives(". 2 ack 2 win 65535");
    assert!(it.connection.is_over());
}

#[test]
fn established_fin_behind_a_gap_is_answered_at_once() {
    let mut it = Script::established(plain());
    it.arrives("F 1001 ack 1 win 65535");
    it.leaves(". 1 ack 1");
    it.arrives(". 1+1000 ack 1 win 65535");
    it.is_in(State::CloseWait);
}

#[test]
fn close_wait_young_connection_acknowledges_the_fin_at_once() {
    let mut it = Script::established(Config { quick_acks: 2, ..plain() });
    it.arrives("F 1 ack 1 win 65535");
    it.leaves(". 1 ack 2");
    it.is_quiet();
}

#[test]
fn close_wait_repeated_fin_is_acknowledged() {
    let mut it = Script::established(plain());
    it.arrives("F 1 ack 1 win 65535");
    it.after(40);
    it.leaves(". 1 ack 2");
    it.is_dropped("F 1 ack 1 win 65535", Drop::OutsideWindow);
    it.leaves(". 1 ack 2");
    it.is_quiet();
}

#[test]
fn close_wait_text_behind_fin_is_ignored() {
    let mut it = Script::established(plain());
    it.arrives("F 1 ack 1 win 65535");
    it.after(40);
    it.leaves(". 1 ack 2");
    it.arrives("P 2+10 ack 1 win 65535");
    assert_eq!(it.connection.readable(), 0);
}

#[test]
fn time_wait_repeated_fin_is_acknowledged_and_waits_anew() {
    let mut it = time_wait();
    it.after(50_000);
    it.is_dropped("F 1 ack 2 win 65535", Drop::OutsideWindow);
    it.leaves(". 2 ack 2");
    it.after(59_999);
    it.is_in(State::TimeWait);
    it.after(1);
    it.is_in(State::Closed);
}

#[test]
fn time_wait_reset_is_ignored() {
    let mut it = time_wait();
    it.is_dropped("R 2", Drop::ResetIgnored);
    it.is_in(State::TimeWait);
}

#[test]
fn time_wait_new_syn_may_reuse_by_number_or_by_timestamp() {
    let it = time_wait();
    let next = SequenceNumber(u32::MAX - 300) + 2;
    let syn = Header { sequence: next + 1, flags: Flags::SYN, ..Header::default() };
    let first = it.connection.may_reuse(&syn).unwrap();
    assert!(first.after(SequenceNumber(u32::MAX - 700) + 2 + 65_535));
    assert_eq!(it.connection.may_reuse(&Header { sequence: next, ..syn }), None);
    assert_eq!(it.connection.may_reuse(&Header { flags: Flags::ACK, ..syn }), None);

    let mut it = Script::accept(Config { timestamps: true, ..plain() }, "S 0 win 65535 mss 1000 ts 100:0");
    it.leaves("S 0 ack 1");
    it.arrives(". 1 ack 1 win 65535 ts 100:1");
    it.connection.shutdown(it.now);
    it.leaves("F 1 ack 1");
    it.arrives("F 1 ack 2 win 65535 ts 101:1");
    it.leaves(". 2 ack 2");
    let stamped = |sequence, value| Header {
        sequence,
        options: Options { timestamps: Some(Timestamps { value, echo: 0 }), ..Options::default() },
        ..syn
    };
    assert!(it.connection.may_reuse(&stamped(next - 5_000, 102)).is_some());
    assert!(it.connection.may_reuse(&stamped(next + 1, 101)).is_some());
    assert_eq!(it.connection.may_reuse(&stamped(next, 101)), None);
    assert_eq!(it.connection.may_reuse(&stamped(next + 1, 100)), None);
    assert_eq!(Script::established(plain()).connection.may_reuse(&syn), None);
}

#[test]
fn time_wait_our_own_open_waits_a_second_and_needs_timestamps() {
    let closed = |config: Config, stamp: &str| {
        let mut it = Script::accept(config, &std::format!("S 0 win 65535 mss 1000{stamp}"));
        it.leaves("S 0 ack 1");
        it.arrives(&std::format!(". 1 ack 1 win 65535{stamp}"));
        it.connection.shutdown(it.now);
        it.leaves("F 1 ack 1");
        it.arrives(&std::format!("F 1 ack 2 win 65535{stamp}"));
        it.leaves(". 2 ack 2");
        it
    };
    let it = closed(Config { timestamps: true, ..plain() }, " ts 100:1");
    assert_eq!(it.connection.state(), State::TimeWait);
    assert_eq!(it.connection.may_reopen(it.now + Duration::from_millis(999)), None);
    let first = it.connection.may_reopen(it.now + Duration::from_secs(1)).unwrap();
    assert!(first.after(SequenceNumber(u32::MAX - 700) + 2 + 65_535), "beyond all numbers that were used");
    let it = closed(plain(), "");
    assert_eq!(it.connection.may_reopen(it.now + Duration::from_secs(30)), None);
    let it = Script::established(Config { timestamps: true, ..plain() });
    assert_eq!(it.connection.may_reopen(it.now + Duration::from_secs(30)), None);
}

#[test]
fn established_abort_resets_the_peer() {
    let mut it = Script::established(plain());
    it.write(1, 10);
    it.leaves("P 1+10 ack 1");
    it.connection.abort(it.now);
    assert!(!it.connection.is_over());
    it.leaves("R 11 ack 1");
    it.is_quiet();
    assert!(it.connection.is_over());
    assert_eq!(it.events(), [Event::Closed(CloseReason::Aborted)]);
    assert_eq!(it.connection.poll_timeout(), None);
}

#[test]
fn last_ack_abort_is_silent_once_fin_has_left() {
    for (fin_left, reset) in [(false, true), (true, false)] {
        let mut it = Script::established(plain());
        it.arrives("F 1 ack 1 win 65535");
        it.after(40);
        it.leaves(". 1 ack 2");
        it.connection.shutdown(it.now);
        if fin_left {
            it.leaves("F 1 ack 2");
        }
        it.connection.abort(it.now);
        if reset {
            it.leaves("R 1 ack 2");
        }
        it.is_quiet();
        assert!(it.connection.is_over());
    }
}

#[test]
fn established_close_with_unread_data_resets_the_peer() {
    let mut it = Script::established(plain());
    it.arrives("P 1+10 ack 1 win 65535");
    it.connection.close_receive(it.now);
    it.leaves("R 1 ack 11");
    assert_eq!(it.events(), [Event::Readable, Event::Closed(CloseReason::Aborted)]);
    assert_eq!(it.connection.readable(), 0);
}

#[test]
fn fin_wait_2_reset_ends() {
    let mut it = Script::established(plain());
    it.connection.shutdown(it.now);
    it.leaves("F 1 ack 1");
    it.arrives(". 1 ack 2 win 65535");
    it.arrives("R 1");
    assert_eq!(it.events(), [Event::SendingDone, Event::Closed(CloseReason::Reset)]);
}

#[test]
fn fin_wait_2_data_without_reader_is_answered_by_reset() {
    let mut it = Script::established(plain());
    it.connection.shutdown(it.now);
    it.connection.close_receive(it.now);
    it.leaves("F 1 ack 1");
    it.arrives(". 1 ack 2 win 65535");
    it.is_dropped("P 1+10 ack 2 win 65535", Drop::NoReader);
    it.leaves("R 2 ack 1");
    assert_eq!(it.events(), [Event::SendingDone, Event::Closed(CloseReason::Aborted)]);
    assert_eq!(it.connection.poll_timeout(), None);
}

#[test]
fn closing_reset_ends() {
    let mut it = Script::established(plain());
    it.connection.shutdown(it.now);
    it.leaves("F 1 ack 1");
    it.arrives("F 1 ack 1 win 65535");
    it.leaves(". 2 ack 2");
    it.arrives("R 2");
    assert_eq!(it.events(), [Event::PeerClosed, Event::Closed(CloseReason::Reset)]);
}

#[test]
fn syn_sent_close_ends_what_was_not_used_and_delivers_what_was_written() {
    let mut it = Script::connect(plain());
    it.leaves("S 0");
    it.connection.shutdown(it.now);
    it.is_in(State::SynSent);
    it.connection.close_receive(it.now);
    it.is_quiet();
    assert_eq!(it.events(), [Event::Closed(CloseReason::Aborted)]);
    let mut it = Script::connect(plain());
    it.leaves("S 0");
    it.write(1, 10);
    it.connection.shutdown(it.now);
    it.connection.close_receive(it.now);
    it.arrives("S 0 ack 1 win 65535 mss 1000");
    it.leaves("FP 1+10 ack 1");
}
