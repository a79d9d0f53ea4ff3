//! What leaves and when (RFC 9293 §3.7.4, §3.8.4, §3.8.6; RFC 5681 §3.1, §4.1; RFC 6691).

use super::script::{Script, plain, stream};
use crate::{CloseReason, Config, Event, KeepAlive, NotOpen, Path, Why};
use std::format;
use time::Duration;

#[test]
fn established_initial_window_is_ten_segments() {
    let mut it = Script::established(plain());
    it.write(1, 30_000);
    for n in 0..10 {
        it.leaves(&std::format!(". {}+1000 ack 1", 1 + n * 1_000));
    }
    it.is_quiet();
    it.arrives(". 1 ack 10001 win 65535");
    // Slow start: twice as many.
    for n in 10..29 {
        it.leaves(&std::format!(". {}+1000 ack 1", 1 + n * 1_000));
    }
    it.leaves("P 29001+1000 ack 1");
    it.is_quiet();
}

#[test]
fn established_offload_sends_multiples_of_the_segment() {
    let mut it = Script::roomy(plain());
    it.path = Path { segment_bytes_max: 1_020, offload_bytes_max: 10_500 };
    it.write(1, 15_300);
    it.leaves(". 1+10000 ack 1 size 1000");
    it.leaves("P 10001+5300 ack 1 size 1000");
    it.is_quiet();
}

#[test]
fn established_offload_waits_for_more_of_the_window_while_acknowledgements_come() {
    let mut it = Script::established(plain());
    it.path = Path { segment_bytes_max: 1_020, offload_bytes_max: 10_000 };
    it.write(1, 50_000);
    it.leaves(". 1+10000 ack 1 size 1000");
    // Two segments acknowledged open four of twelve: a third.
    it.arrives(". 1 ack 1001 win 65535");
    it.is_quiet();
    it.arrives(". 1 ack 2001 win 65535");
    it.leaves(". 10001+4000 ack 1 size 1000");
    it.is_quiet();
}

#[test]
fn established_timestamps_take_their_room_from_the_payload() {
    let mut it = Script::accept(Config { timestamps: true, ..plain() }, "S 0 win 65535 mss 1000 ts 1:0");
    it.leaves("S 0 ack 1");
    it.arrives(". 1 ack 1 win 65535 ts 1:1000000");
    it.write(1, 1_500);
    it.leaves(". 1+988 ack 1");
    it.leaves("P 989+512 ack 1");
}

#[test]
fn established_smaller_path_makes_smaller_segments() {
    let mut it = Script::roomy(plain());
    it.write(1, 1_500);
    it.path.segment_bytes_max = 620;
    it.leaves(". 1+600 ack 1");
    it.leaves(". 601+600 ack 1");
    it.leaves("P 1201+300 ack 1");
}

/// RFC 6298 §3: more would make its variation seem small.
#[test]
fn established_round_trip_is_measured_once() {
    let mut it = Script::roomy(plain());
    it.write(1, 3_000);
    for number in [1, 1_001, 2_001] {
        it.leaves(&format!(". {number}+1000 ack 1").replace(". 2001", "P 2001"));
    }
    it.now += Duration::from_millis(100);
    it.arrives(". 1 ack 1001 win 65535");
    let measured = it.connection.info(it.now).rtt;
    it.now += Duration::from_millis(60);
    it.arrives(". 1 ack 2001 win 65535");
    assert_eq!(it.connection.info(it.now).rtt, measured);
}

/// RFC 6298 §3, Karn: what arrived long ago is acknowledged with what was sent again.
#[test]
fn established_round_trip_is_not_measured_across_a_repetition() {
    let mut it = Script::roomy(plain());
    it.write(1, 4_000);
    while it.poll_any() {}
    for _ in 0..3 {
        it.arrives(". 1 ack 1 win 65535");
    }
    assert!(it.poll_any(), "the first leaves again");
    let measured = it.connection.info(it.now).rtt;
    it.now += Duration::from_millis(300);
    it.arrives(". 1 ack 4001 win 65535");
    assert_eq!(it.connection.info(it.now).rtt, measured);
}

#[test]
fn established_progress_ends_the_count_of_timeouts() {
    let mut it = Script::roomy(plain());
    it.write(1, 3_000);
    while it.poll_any() {}
    let (at, _) = it.connection.poll_timeout().expect("the retransmission timer runs");
    it.now = at;
    it.connection.handle_timeout(at);
    assert_eq!(it.connection.timeouts(), 1);
    it.arrives(". 1 ack 1001 win 65535");
    assert_eq!(it.connection.timeouts(), 0);
}

/// RFC 9293 §3.10.7.4, fifth: SND.WL1 and SND.WL2 keep what is older from telling a window.
#[test]
fn established_older_segment_that_came_late_tells_no_window() {
    let mut it = Script::established(plain());
    it.arrives(". 11+10 ack 1 win 500");
    it.arrives(". 1+10 ack 1 win 60000");
    assert_eq!(it.connection.info(it.now).window_peer_bytes, 500);
    it.arrives(". 21+10 ack 1 win 700");
    assert_eq!(it.connection.info(it.now).window_peer_bytes, 700);
}

#[test]
fn established_nagle_holds_the_second_small_segment() {
    let mut it = Script::established(plain());
    it.write(1, 10);
    it.leaves("P 1+10 ack 1");
    it.write(11, 10);
    it.write(21, 10);
    it.is_quiet();
    it.arrives(". 1 ack 11 win 65535");
    it.leaves("P 11+20 ack 1");
    it.change(|config| config.nagle = false);
    it.write(31, 10);
    it.leaves("P 31+10 ack 1");
}

#[test]
fn established_nagle_lets_the_end_of_a_large_write_go() {
    let mut it = Script::established(plain());
    it.write(1, 1_500);
    it.leaves(". 1+1000 ack 1");
    it.leaves("P 1001+500 ack 1");
    it.write(1_501, 1_100);
    it.leaves(". 1501+1000 ack 1");
    it.is_quiet();
}

#[test]
fn established_shutdown_overrides_nagle() {
    let mut it = Script::established(plain());
    it.write(1, 10);
    it.leaves("P 1+10 ack 1");
    it.write(11, 10);
    it.connection.shutdown(it.now);
    it.leaves("FP 11+10 ack 1");
}

#[test]
fn established_zero_window_is_probed_with_back_off() {
    let mut it = Script::established(plain());
    it.arrives(". 1 ack 1 win 0");
    it.write(1, 3_000);
    it.is_quiet();
    assert_eq!(it.connection.poll_timeout().unwrap().1, Why::Persist);
    it.after(200);
    it.leaves(". 1+1 ack 1");
    it.arrives(". 1 ack 1 win 0");
    it.after(400);
    it.leaves(". 1+1 ack 1");
    it.arrives(". 1 ack 1 win 0");
    it.after(800);
    it.leaves(". 1+1 ack 1");
    // The probe's octet is taken, and the window is open.
    it.arrives(". 1 ack 2 win 65535");
    it.leaves(". 2+1000 ack 1");
    it.leaves(". 1002+1000 ack 1");
    it.leaves("P 2002+999 ack 1");
    it.arrives(". 1 ack 3001 win 65535");
    assert_eq!(it.connection.poll_timeout(), None);
}

#[test]
fn established_zero_window_with_answers_is_probed_for_ever() {
    let mut it = Script::established(Config { retries: 3, ..plain() });
    it.arrives(". 1 ack 1 win 0");
    it.write(1, 10);
    for _ in 0..50 {
        it.is_quiet();
        let (at, why) = it.connection.poll_timeout().unwrap();
        assert_eq!(why, Why::Persist);
        assert!(at - it.now <= Duration::from_secs(120));
        it.after((at - it.now).as_millis() as u64);
        it.leaves(". 1+1 ack 1");
        it.arrives(". 1 ack 1 win 0");
    }
    assert_eq!(it.events(), []);
}

#[test]
fn established_zero_window_without_answers_gives_up() {
    let mut it = Script::established(Config { retries: 3, ..plain() });
    it.arrives(". 1 ack 1 win 0");
    it.write(1, 10);
    for ms in [200, 400, 800] {
        it.after(ms);
        it.leaves(". 1+1 ack 1");
    }
    it.after(1_600);
    assert_eq!(it.events(), [Event::Closed(CloseReason::TimedOut)]);
    assert_eq!(it.connection.poll_timeout(), None);
}

#[test]
fn fin_wait_1_zero_window_is_probed_with_fin() {
    let mut it = Script::established(plain());
    it.arrives(". 1 ack 1 win 0");
    it.connection.shutdown(it.now);
    it.after(200);
    it.leaves("F 1 ack 1");
    it.arrives(". 1 ack 2 win 0");
    assert_eq!(it.events(), [Event::SendingDone]);
    assert_eq!(it.connection.poll_timeout(), None);
}

#[test]
fn established_small_window_is_used_late() {
    let mut it = Script::established(plain());
    it.arrives(". 1 ack 1 win 400");
    it.write(1, 3_000);
    // Neither a full segment nor half of the largest window seen: wait (RFC 9293 §3.8.6.2.1).
    it.after(200);
    it.leaves(". 1+400 ack 1");
    it.arrives(". 1 ack 401 win 1000");
    it.leaves(". 401+1000 ack 1");
}

#[test]
fn established_shrunk_window_holds_back_and_is_probed() {
    let mut it = Script::established(plain());
    it.write(1, 2_000);
    it.leaves(". 1+1000 ack 1");
    it.leaves("P 1001+1000 ack 1");
    it.arrives(". 1 ack 1 win 0");
    it.after(200);
    it.after(400);
    it.leaves(". 1+1 ack 1");
    it.arrives(". 1 ack 1 win 2000");
    it.leaves(". 1+1000 ack 1");
}

#[test]
fn established_idle_time_restarts_from_the_initial_window() {
    let mut it = Script::established(plain());
    it.write(1, 10_000);
    (0..9).for_each(|n| it.leaves(&std::format!(". {}+1000 ack 1", 1 + n * 1_000)));
    it.leaves("P 9001+1000 ack 1");
    it.arrives(". 1 ack 10001 win 65535");
    it.after(10_000);
    it.write(10_001, 30_000);
    (10..20).for_each(|n| it.leaves(&std::format!(". {}+1000 ack 1", 1 + n * 1_000)));
    it.is_quiet();
}

#[test]
fn established_full_buffer_refuses_and_says_when_there_is_room() {
    let mut it = Script::roomy(Config { send_buffer_bytes: 3_000, ..plain() });
    let mut data = stream(1, 4_000);
    assert_eq!(it.connection.write(&mut data, it.now), Ok(3_000));
    assert_eq!((data.len(), it.connection.writable()), (1_000, 0));
    for n in 0..2 {
        it.leaves(&std::format!(". {}+1000 ack 1", 1 + n * 1_000));
    }
    it.leaves("P 2001+1000 ack 1");
    it.arrives(". 1 ack 501 win 65535");
    assert_eq!(it.events(), []);
    it.arrives(". 1 ack 2001 win 65535");
    assert_eq!(it.events(), [Event::Writable]);
    it.arrives(". 1 ack 3001 win 65535");
    assert_eq!(it.events(), []);
    it.connection.shutdown(it.now);
    assert_eq!(it.connection.write(&mut data, it.now), Err(NotOpen));
    assert_eq!(it.connection.writable(), 0);
}

#[test]
fn established_idle_peer_is_probed_and_given_up() {
    let keep_alive = KeepAlive { idle: Duration::from_secs(10), interval: Duration::from_secs(2), probes: 2 };
    let mut it = Script::established(Config { keep_alive: Some(keep_alive), ..plain() });
    it.after(4_000);
    it.arrives("P 1+10 ack 1 win 65535");
    it.after(40);
    it.leaves(". 1 ack 11");
    // Ten seconds after what was heard last.
    it.after(9_960);
    it.leaves(". 0 ack 11");
    it.arrives(". 11 ack 1 win 65535");
    it.after(10_000);
    it.leaves(". 0 ack 11");
    it.after(2_000);
    it.leaves(". 0 ack 11");
    it.after(2_000);
    it.leaves("R 1 ack 11");
    assert_eq!(it.events(), [Event::Readable, Event::Closed(CloseReason::TimedOut)]);
}

#[test]
fn established_user_timeout_ends_before_the_retries() {
    let config = Config { user_timeout: Some(Duration::from_secs(1)), ..plain() };
    let mut it = Script::established(config);
    it.write(1, 10);
    it.leaves("P 1+10 ack 1");
    it.after(200);
    it.leaves("P 1+10 ack 1");
    it.after(400);
    it.leaves("P 1+10 ack 1");
    it.after(400);
    assert_eq!(it.events(), [Event::Closed(CloseReason::TimedOut)]);
    assert_eq!(it.connection.poll_timeout(), None);
}

#[test]
fn fin_wait_1_orphan_with_closed_window_is_given_up() {
    let mut it = Script::established(Config { retries: 3, ..plain() });
    it.arrives(". 1 ack 1 win 0");
    it.write(1, 10);
    it.connection.shutdown(it.now);
    it.connection.close_receive(it.now);
    for ms in [200, 400, 800] {
        it.after(ms);
        it.leaves(". 1+1 ack 1");
        it.arrives(". 1 ack 1 win 0");
    }
    it.after(1_600);
    assert_eq!(it.events(), [Event::Closed(CloseReason::TimedOut)]);
}

#[test]
fn established_burst_that_the_window_ends_is_pushed() {
    let mut it = Script::established(Config { push_bursts: true, ..plain() });
    it.write(1, 30_000);
    for n in 0..9 {
        it.leaves(&std::format!(". {n}001+1000 ack 1").replace(" 0001", " 1"));
    }
    it.leaves("P 9001+1000 ack 1");
    it.is_quiet();
    it.after(100);
    it.arrives(". 1 ack 10001 win 1000");
    it.leaves(". 10001+1000 ack 1");
    it.is_quiet();
    // What the device cuts is a burst by itself.
    it.path.offload_bytes_max = 4_000;
    it.arrives(". 1 ack 11001 win 9000");
    it.leaves("P 11001+4000 ack 1 size 1000");
}
