//! Options that a program changes while the connection is open (RFC 9293 §3.9.1), and those of a listener.

use super::script::{Script, plain, stream};
use crate::{CloseReason, Config, Drop, Event, KeepAlive, State};
use alloc::sync::Arc;
use time::Duration;

#[test]
fn established_cork_holds_what_is_no_full_segment_until_it_is_pulled() {
    let mut it = Script::established(Config { cork: true, ..plain() });
    it.write(1, 300);
    it.is_quiet();
    it.write(301, 1_000);
    it.leaves(". 1+1000 ack 1");
    it.is_quiet();
    it.arrives(". 1 ack 1001 win 65535");
    it.is_quiet();
    it.change(|config| config.cork = false);
    it.leaves("P 1001+300 ack 1");
}

#[test]
fn established_cork_holds_no_longer_than_the_persist_timer() {
    let mut it = Script::established(Config { cork: true, ..plain() });
    it.write(1, 300);
    it.after(200);
    it.leaves("P 1+300 ack 1");
    it.arrives(". 1 ack 301 win 65535");
    it.write(301, 1);
    it.is_quiet();
    // What is the end of all waits for nothing.
    it.connection.shutdown(it.now);
    it.leaves("FP 301+1 ack 1");
}

#[test]
fn established_unsent_bound_refuses_a_writer_before_the_buffer_is_full() {
    let mut it = Script::established(Config { unsent_bytes_max: 5_000, ..plain() });
    let mut data = stream(1, 200_000);
    // One write may go beyond the bound by as much as leaves at once.
    assert_eq!(it.connection.write(&mut data, it.now), Ok(64 << 10));
    assert_eq!((it.connection.writable(), it.connection.write(&mut data, it.now)), (0, Ok(0)));
    while it.connection.poll_transmit(it.path, it.now).is_some() {}
    let told = (1..30).find(|n| {
        it.arrives(&std::format!(". 1 ack {} win 65535", n * 2_000 + 1));
        while it.connection.poll_transmit(it.path, it.now).is_some() {}
        it.events() == [Event::Writable]
    });
    assert!(told.is_some(), "nobody was told that there is room");
    let waiting = it.connection.unacknowledged();
    assert!(waiting > 20_000, "{waiting} bytes are unacknowledged, but few of them have not left");
    assert!(it.connection.writable() > 0);
}

#[test]
fn established_user_timeout_that_is_set_late_counts_from_then() {
    let mut it = Script::established(plain());
    it.write(1, 100);
    it.leaves("P 1+100 ack 1");
    it.now += Duration::from_millis(100);
    it.change(|config| config.user_timeout = Some(Duration::from_millis(50)));
    it.after(51);
    assert_eq!(it.events(), [Event::Closed(CloseReason::TimedOut)]);
}

#[test]
fn established_user_timeout_ends_a_closed_window() {
    let mut it = Script::established(Config { user_timeout: Some(Duration::from_secs(2)), ..plain() });
    it.arrives(". 1 ack 1 win 0");
    it.write(1, 100);
    for wait in [200, 400, 800] {
        it.after(wait);
        it.leaves(". 1+1 ack 1");
        it.arrives(". 1 ack 1 win 0");
    }
    it.after(600);
    assert_eq!(it.events(), [Event::Closed(CloseReason::TimedOut)]);
}

#[test]
fn established_keep_alive_is_switched_on_and_off() {
    let mut it = Script::established(plain());
    it.now += Duration::from_secs(100);
    let figures = KeepAlive { idle: Duration::from_secs(10), interval: Duration::from_secs(5), probes: 2 };
    it.change(|config| config.keep_alive = Some(figures));
    it.after(10_000);
    it.leaves(". 0 ack 1");
    it.change(|config| config.keep_alive = None);
    assert_eq!(it.connection.poll_timeout(), None);
}

#[test]
fn established_keep_alive_gives_up_by_the_user_timeout() {
    let figures = KeepAlive { idle: Duration::from_secs(10), interval: Duration::from_secs(5), probes: 2 };
    let user_timeout = Some(Duration::from_secs(24));
    let mut it = Script::established(Config { keep_alive: Some(figures), user_timeout, ..plain() });
    for wait in [10, 5, 5] {
        it.after(wait * 1_000);
        it.leaves(". 0 ack 1");
    }
    it.after(5_000);
    it.leaves("R 1 ack 1");
    assert_eq!(it.events(), [Event::Closed(CloseReason::TimedOut)]);
}

#[test]
fn listen_that_defers_waits_for_data_and_does_not_ask_again() {
    let config = Config { accept_defer_retries: 3, ..plain() };
    let mut it = Script::accept(config, "S 0 win 65535 mss 1000");
    it.leaves("S 0 ack 1");
    it.is_dropped(". 1 ack 1 win 65535", Drop::DataAwaited);
    it.is_in(State::SynReceived);
    it.after(1_000);
    it.after(1_500);
    it.is_quiet();
    it.arrives("P 1+10 ack 1 win 65535");
    it.is_in(State::Established);
    assert_eq!(it.events(), [Event::Established, Event::Readable]);
}

#[test]
fn listen_that_defers_takes_an_acknowledgement_at_the_end() {
    let config = Config { accept_defer_retries: 2, ..plain() };
    let mut it = Script::accept(config, "S 0 win 65535 mss 1000");
    it.leaves("S 0 ack 1");
    it.is_dropped(". 1 ack 1 win 65535", Drop::DataAwaited);
    it.after(1_000);
    it.after(2_000);
    // Once more, for who has nothing to say.
    it.leaves("S 0 ack 1");
    it.arrives(". 1 ack 1 win 65535");
    it.is_in(State::Established);
}

#[test]
fn a_bound_of_segments_is_told_and_kept() {
    let mut it = Script::established(Config { mss_max: 500, ..plain() });
    it.write(1, 700);
    it.leaves(". 1+500 ack 1");
    let mut it = Script::connect(Config { mss_max: 700, ..plain() });
    it.leaves("S 0 mss 700");
}

#[test]
fn established_quick_acknowledgements_are_asked_for_and_refused() {
    let mut it = Script::established(plain());
    it.arrives("P 1+10 ack 1 win 65535");
    it.is_quiet();
    it.connection.set_quick_ack(true);
    it.leaves(". 1 ack 11");
    it.arrives("P 11+10 ack 1 win 65535");
    assert!(it.connection.is_quick_ack() || it.connection.config().quick_acks == 0);
    it.connection.set_quick_ack(false);
    assert!(!it.connection.is_quick_ack());
}

#[test]
fn established_receive_buffer_grows_and_the_window_with_it() {
    let mut it = Script::established(Config { receive_buffer_bytes: 10_000, ..plain() });
    it.change(|config| config.receive_buffer_bytes = 40_000);
    it.leaves(". 1 ack 1 win 40000");
    // What was promised stands.
    it.change(|config| config.receive_buffer_bytes = 1_000);
    it.arrives("P 1+1000 ack 1 win 65535");
    it.after(40);
    it.leaves(". 1 ack 1001 win 39000");
}

#[test]
fn a_profile_that_is_out_of_range_changes_nothing() {
    let mut it = Script::established(plain());
    let breach = Config { dscp: 64, nagle: false, ..plain() };
    let error = it.connection.set_config(Arc::new(breach), it.now).unwrap_err();
    assert_eq!((error.field, it.connection.config().nagle), ("dscp", true));
}
