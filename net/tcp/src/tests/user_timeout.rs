//! What both sides tell each other of their user timeouts (RFC 5482).

use super::script::{Script, plain};
use crate::{CloseReason, Config, Event, UserTimeoutExchange};
use std::format;
use time::Duration;

fn telling(seconds: Option<u64>, user_timeout_exchange: UserTimeoutExchange) -> Config {
    Config { user_timeout: seconds.map(Duration::from_secs), user_timeout_exchange, ..plain() }
}

/// Accepted, with what the peer's SYN tells.
fn accepted(config: Config, peer_seconds: u32) -> Script {
    let mut it = Script::accept(config, &format!("S 0 win 65535 mss 1000 uto {peer_seconds}"));
    while it.poll_any() {}
    it.arrives(". 1 ack 1 win 65535");
    assert_eq!(it.events(), [Event::Established]);
    while it.poll_any() {}
    it
}

/// How long what is written stays unacknowledged before the connection is over.
fn lasts(mut it: Script) -> Duration {
    it.write(1, 100);
    let start = it.now;
    loop {
        while it.poll_any() {}
        if it.events().contains(&Event::Closed(CloseReason::TimedOut)) {
            return it.now - start;
        }
        let (at, _) = it.connection.poll_timeout().expect("it is given up some time");
        it.now = at;
        it.connection.handle_timeout(at);
    }
}

#[test]
fn the_peers_counts_within_bounds_where_the_program_has_set_none() {
    use UserTimeoutExchange::{Changeable, Off, On};
    for (own, exchange, peer, seconds) in [
        (None, On, 150, 150),
        (None, On, 1, 100),
        (None, On, 30_000, 7_200),
        (Some(5), On, 150, 5),
        (Some(5), Off, 150, 5),
        (Some(5), Changeable, 150, 150),
        (Some(400), Changeable, 150, 400),
        (Some(9_000), Changeable, 150, 9_000),
    ] {
        let it = accepted(telling(own, exchange), peer);
        assert_eq!(lasts(it), Duration::from_secs(seconds), "{own:?} {exchange:?} {peer}");
    }
}

#[test]
fn syn_and_the_first_segment_without_it_tell_and_so_does_each_change() {
    let mut it = Script::connect(telling(Some(60), UserTimeoutExchange::On));
    it.leaves("S 0 uto 60");
    it.arrives("S 0 ack 1 win 65535 mss 1000");
    it.write(1, 100);
    it.leaves(". 1 ack 1 uto 60");
    it.leaves("P 1+100 ack 1 uto none");
    it.change(|config| config.user_timeout = Some(Duration::from_secs(90)));
    it.leaves(". 101 ack 1 uto 90");
    it.change(|config| config.user_timeout_exchange = UserTimeoutExchange::Off);
    it.is_quiet();
    it.change(|config| config.user_timeout = None);
    it.is_quiet();
}

#[test]
fn a_program_that_sets_its_own_takes_the_place_of_the_peers() {
    let mut it = accepted(telling(None, UserTimeoutExchange::On), 150);
    it.change(|config| config.user_timeout = Some(Duration::from_secs(3)));
    it.leaves(". 1 ack 1 uto 3");
    it.arrives(". 1 ack 1 win 65535 uto 200");
    assert_eq!(lasts(it), Duration::from_secs(3));
}

#[test]
fn what_is_told_late_counts_for_what_is_unacknowledged_already() {
    let mut it = accepted(telling(None, UserTimeoutExchange::On), 5_000);
    it.write(1, 100);
    while it.poll_any() {}
    it.arrives(". 1 ack 1 win 65535 uto 120");
    assert_eq!(lasts(it), Duration::from_secs(120));
}

#[test]
fn what_is_acknowledged_begins_it_anew_for_the_rest() {
    let mut it = accepted(telling(Some(5), UserTimeoutExchange::Off), 150);
    it.write(1, 2_000);
    while it.poll_any() {}
    it.now += Duration::from_secs(4);
    it.arrives(". 1 ack 1001 win 65535");
    assert_eq!(lasts(it), Duration::from_secs(5));
}
