//! The handshake (RFC 9293 §3.5, §3.10.7.2, §3.10.7.3; RFC 6298 §2.1 and §5.7; RFC 7323 §2.2).

use super::script::{Script, plain};
use crate::{CloseReason, Config, Drop, Event, State};

#[test]
fn closed_connect_sends_syn_with_options() {
    let mut it = Script::connect(Config::linux());
    it.leaves("S 0 win 65535 mss 1000 wscale 8 ts 1000000:0");
    it.is_quiet();
    it.is_in(State::SynSent);
}

#[test]
fn syn_sent_syn_ack_establishes() {
    let mut it = Script::connect(plain());
    it.leaves("S 0 mss 1000 wscale 99");
    it.arrives("S 0 ack 1 win 65535 mss 1000");
    it.leaves(". 1 ack 1 win 60000");
    it.is_quiet();
    assert_eq!(it.events(), [Event::Established]);
}

#[test]
fn syn_sent_syn_ack_with_data_and_fin_takes_both() {
    let mut it = Script::connect(plain());
    it.leaves("S 0");
    it.arrives("SF 0+10 ack 1 win 65535 mss 1000");
    it.leaves(". 1 ack 12");
    assert_eq!(it.connection.readable(), 10);
    it.is_in(State::CloseWait);
}

#[test]
fn syn_sent_bad_ack_is_answered_by_reset() {
    let mut it = Script::connect(plain());
    it.leaves("S 0");
    it.is_dropped("S 0 ack 2 win 65535", Drop::AcknowledgesUnsent);
    it.leaves("R 2");
    it.is_dropped("R 0 ack 2", Drop::AcknowledgesUnsent);
    it.is_dropped("R 0", Drop::ResetIgnored);
    it.is_dropped(". 1 ack 1", Drop::NoSyn);
    it.is_quiet();
    it.is_in(State::SynSent);
}

#[test]
fn syn_sent_reset_refuses() {
    let mut it = Script::connect(plain());
    it.leaves("S 0");
    it.arrives("R 0 ack 1");
    assert_eq!(it.events(), [Event::Closed(CloseReason::Refused)]);
    assert!(it.connection.is_over());
    it.is_dropped("R 0 ack 1", Drop::Over);
}

#[test]
fn syn_sent_silence_repeats_syn_and_gives_up() {
    let mut it = Script::connect(Config { syn_retries: 2, ..plain() });
    it.leaves("S 0");
    it.after(1_000);
    it.leaves("S 0");
    it.after(2_000);
    it.leaves("S 0");
    it.after(4_000);
    assert_eq!(it.events(), [Event::Closed(CloseReason::TimedOut)]);
    assert_eq!(it.connection.poll_timeout(), None);
    it.is_quiet();
}

#[test]
fn syn_sent_hard_error_ends_and_soft_error_is_remembered() {
    let mut it = Script::connect(Config { syn_retries: 1, ..plain() });
    it.leaves("S 0");
    it.connection.handle_unreachable(false, it.now);
    assert_eq!(it.events(), []);
    it.after(1_000);
    it.leaves("S 0");
    it.after(2_000);
    assert_eq!(it.events(), [Event::Closed(CloseReason::Unreachable)]);
    let mut it = Script::connect(plain());
    it.leaves("S 0");
    it.connection.handle_unreachable(true, it.now);
    assert_eq!(it.events(), [Event::Closed(CloseReason::Unreachable)]);
}

#[test]
fn established_hard_error_changes_nothing() {
    let mut it = Script::established(plain());
    it.connection.handle_unreachable(true, it.now);
    assert_eq!(it.events(), []);
    it.is_in(State::Established);
}

#[test]
fn syn_sent_syn_opens_simultaneously() {
    let mut it = Script::connect(plain());
    it.leaves("S 0");
    it.arrives("S 0 win 65535 mss 1000");
    it.is_in(State::SynReceived);
    it.leaves("S 0 ack 1");
    // The peer's own SYN-ACK: its SYN is old, its ACK is not.
    it.arrives("S 0 ack 1 win 65535 mss 1000");
    it.is_in(State::Established);
    assert_eq!(it.events(), [Event::Established]);
}

#[test]
fn listen_syn_is_answered_with_what_it_offers() {
    let mut it = Script::accept(Config::linux(), "S 0 win 65535 mss 1000 wscale 7 ts 5:0");
    it.leaves("S 0 ack 1 win 65535 mss 1000 wscale 8 ts 1000000:5");
    let mut it = Script::accept(Config::linux(), "S 0 win 65535");
    it.leaves("S 0 ack 1 win 65535 mss 1000 wscale 99 ts 0:0");
    it.arrives(". 1 ack 1 win 65535");
    it.write(1, 600);
    // Without an MSS option, 536 (RFC 9293 §3.7.1).
    it.leaves(". 1+536 ack 1");
}

#[test]
fn syn_received_same_syn_repeats_syn_ack() {
    let mut it = Script::accept(plain(), "S 0 win 65535 mss 1000");
    it.leaves("S 0 ack 1");
    it.arrives("S 0 win 65535 mss 1000");
    it.leaves("S 0 ack 1");
    it.is_quiet();
}

#[test]
fn syn_received_silence_repeats_syn_ack_and_gives_up() {
    let mut it = Script::accept(Config { syn_ack_retries: 1, ..plain() }, "S 0 win 65535 mss 1000");
    it.leaves("S 0 ack 1");
    it.after(1_000);
    it.leaves("S 0 ack 1");
    it.after(2_000);
    assert_eq!(it.events(), [Event::Closed(CloseReason::TimedOut)]);
}

#[test]
fn syn_received_bad_ack_is_answered_by_reset() {
    let mut it = Script::accept(plain(), "S 0 win 65535 mss 1000");
    it.leaves("S 0 ack 1");
    it.is_dropped(". 1 ack 7 win 65535", Drop::AcknowledgesUnsent);
    it.leaves("R 7");
    it.is_dropped(". 1 ack 0 win 65535", Drop::AcknowledgesUnsent);
    it.leaves("R 0");
    it.is_in(State::SynReceived);
}

#[test]
fn syn_received_ack_before_syn_ack_left_does_not_establish() {
    let mut it = Script::accept(plain(), "S 0 win 65535 mss 1000");
    it.is_dropped(". 1 ack 0 win 65535", Drop::AcknowledgesUnsent);
    it.is_in(State::SynReceived);
}

#[test]
fn syn_received_reset_ends() {
    let mut it = Script::accept(plain(), "S 0 win 65535 mss 1000");
    it.leaves("S 0 ack 1");
    it.is_dropped("R 5", Drop::ResetNotExact);
    it.arrives("R 1");
    assert_eq!(it.events(), [Event::Closed(CloseReason::Reset)]);
}

#[test]
fn syn_received_ack_with_data_and_fin_takes_all() {
    let mut it = Script::accept(plain(), "S 0 win 65535 mss 1000");
    it.leaves("S 0 ack 1");
    it.arrives("PF 1+100 ack 1 win 65535");
    it.after(40);
    it.leaves(". 1 ack 102");
    it.reads(1, 100);
    assert_eq!(it.events(), [Event::Established, Event::Readable, Event::PeerClosed]);
    assert!(it.connection.is_at_end());
    it.is_in(State::CloseWait);
}

#[test]
fn syn_received_shutdown_sends_fin_after_the_handshake() {
    let mut it = Script::accept(plain(), "S 0 win 65535 mss 1000");
    it.leaves("S 0 ack 1");
    it.write(1, 10);
    it.connection.shutdown(it.now);
    assert_eq!(it.connection.write(&mut super::script::stream(0, 1), it.now), Err(crate::NotOpen));
    it.is_quiet();
    it.arrives(". 1 ack 1 win 65535");
    it.is_in(State::FinWait1);
    it.leaves("FP 1+10 ack 1");
}

#[test]
fn syn_sent_lost_syn_leaves_a_window_of_one_and_three_seconds() {
    let mut it = Script::connect(plain());
    it.leaves("S 0");
    it.after(1_000);
    it.leaves("S 0");
    it.arrives("S 0 ack 1 win 65535 mss 1000");
    it.leaves(". 1 ack 1");
    it.write(1, 3_000);
    it.leaves(". 1+1000 ack 1");
    // RFC 6298 §5.7: RTO begins anew at 3 s.
    it.after(3_000);
    it.leaves(". 1+1000 ack 1");
}

#[test]
fn syn_sent_abort_is_silent() {
    let mut it = Script::connect(plain());
    it.leaves("S 0");
    it.connection.abort(it.now);
    it.is_quiet();
    assert_eq!(it.events(), [Event::Closed(CloseReason::Aborted)]);
    assert!(it.connection.is_over());
}
