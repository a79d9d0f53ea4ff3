//! Loss and its repair (RFC 6298, RFC 5681 §3.2, RFC 6582, RFC 3042).

use super::script::{Script, plain};
use crate::{CloseReason, Config, Event, Path};
use std::format;

/// ESTABLISHED with ten segments in flight and more waiting.
fn flying() -> Script {
    let mut it = Script::established(plain());
    it.write(1, 40_000);
    for n in 0..10 {
        it.leaves(&format!(". {}+1000 ack 1", 1 + n * 1_000));
    }

    it
}

#[test]
fn established_timeout_repeats_from_the_first_in_slow_start() {
    let mut it = flying();
    it.after(200);
    it.leaves(". 1+1000 ack 1");
    it.is_quiet();
    it.after(400);
    it.leaves(". 1+1000 ack 1");
    it.arrives(". 1 ack 1001 win 65535");
    it.leaves(". 1001+1000 ack 1");
    it.leaves(". 2001+1000 ack 1");
    it.is_quiet();
    // The rest had arrived: everything sent is acknowledged at once.
    it.arrives(". 1 ack 10001 win 65535");
    it.leaves(". 10001+1000 ack 1");
}

#[test]
fn established_timeout_without_answer_gives_up() {
    let mut it = Script::established(Config { retries: 3, ..plain() });
    it.write(1, 10);
    it.leaves("P 1+10 ack 1");
    for ms in [200, 400, 800] {
        it.after(ms);
        it.leaves("P 1+10 ack 1");
    }
    it.after(1_600);
    it.is_quiet();
    assert_eq!(it.events(), [Event::Closed(CloseReason::TimedOut)]);
    assert!(it.connection.is_over());
}

#[test]
fn established_repeated_segment_times_nothing() {
    let mut it = Script::established(plain());
    it.write(1, 10);
    it.leaves("P 1+10 ack 1");
    it.after(200);
    it.leaves("P 1+10 ack 1");
    it.after(300);
    it.arrives(". 1 ack 11 win 65535");
    // Karn: the timeout stays doubled until a segment that was sent once is acknowledged.
    it.write(11, 10);
    it.leaves("P 11+10 ack 1");
    it.after(400);
    it.leaves("P 11+10 ack 1");
    it.arrives(". 1 ack 21 win 65535");
    it.write(21, 10);
    it.leaves("P 21+10 ack 1");
    it.after(8);
    it.arrives(". 1 ack 31 win 65535");
    it.write(31, 10);
    it.leaves("P 31+10 ack 1");
    // 200 ms and an eighth of 8.
    it.after(201);
    it.leaves("P 31+10 ack 1");
}

#[test]
fn established_timestamp_times_a_repeated_segment() {
    let mut it = Script::accept(Config { timestamps: true, ..plain() }, "S 0 win 65535 mss 1000 ts 1:0");
    it.leaves("S 0 ack 1");
    it.arrives(". 1 ack 1 win 65535 ts 1:1000000");
    it.write(1, 10);
    it.leaves("P 1+10 ack 1");
    it.after(200);
    it.leaves("P 1+10 ack 1 ts 1000200:1");
    it.after(24);
    it.arrives(". 1 ack 11 win 65535 ts 2:1000200");
    it.write(11, 10);
    it.leaves("P 11+10 ack 1");
    // 200 ms and an eighth of 24.
    it.after(203);
    it.leaves("P 11+10 ack 1");
}

#[test]
fn established_three_duplicates_repeat_the_first_segment() {
    let mut it = flying();
    it.arrives(". 1 ack 1 win 65535");
    // RFC 3042: new segments for the first two.
    it.leaves(". 10001+1000 ack 1");
    it.arrives(". 1 ack 1 win 65535");
    it.leaves(". 11001+1000 ack 1");
    it.arrives(". 1 ack 1 win 65535");
    it.leaves(". 1+1000 ack 1");
    it.is_quiet();
    // Ten in flight but for limited transmit: ssthresh 5, and 3 have left. Each further duplicate is one more.
    (0..4).for_each(|_| it.arrives(". 1 ack 1 win 65535"));
    it.is_quiet();
    it.arrives(". 1 ack 1 win 65535");
    it.leaves(". 12001+1000 ack 1");
    // All that was in flight is acknowledged: ssthresh.
    it.arrives(". 1 ack 12001 win 65535");
    it.leaves(". 13001+1000 ack 1");
    it.is_quiet();
    it.arrives(". 1 ack 14001 win 65535");
    (14..18).for_each(|n| it.leaves(&format!(". {}+1000 ack 1", 1 + n * 1_000)));
}

#[test]
fn established_partial_acknowledgement_repeats_the_next_segment() {
    let mut it = flying();
    for _ in 0..3 {
        it.arrives(". 1 ack 1 win 65535");
    }
    it.leaves(". 1+1000 ack 1");
    it.is_quiet();
    it.arrives(". 1 ack 3001 win 65535");
    it.leaves(". 3001+1000 ack 1");
    it.arrives(". 1 ack 4001 win 65535");
    it.leaves(". 4001+1000 ack 1");
    it.arrives(". 1 ack 10001 win 65535");
    it.leaves(". 10001+1000 ack 1");
}

#[test]
fn established_partial_acknowledgement_cuts_a_large_segment() {
    let mut it = Script::established(plain());
    it.path = Path { segment_bytes_max: 1_020, offload_bytes_max: 64_000 };
    it.write(1, 9_500);
    it.leaves("P 1+9500 ack 1 size 1000");
    it.arrives(". 1 ack 2501 win 65535");
    it.after(200);
    it.leaves(". 2501+1000 ack 1");
    it.is_quiet();
    it.arrives(". 1 ack 3501 win 65535");
    it.leaves(". 3501+2000 ack 1 size 1000");
    it.arrives(". 1 ack 5501 win 65535");
    // Half of the 7,000 that were in flight is the threshold.
    it.leaves(". 5501+3000 ack 1 size 1000");
    it.arrives(". 1 ack 8501 win 65535");
    it.leaves("P 8501+1000 ack 1");
    it.arrives(". 1 ack 9501 win 65535");
    assert_eq!(it.connection.poll_timeout(), None);
    assert_eq!(it.connection.unacknowledged(), 0);
}

#[test]
fn established_duplicates_with_data_or_a_new_window_are_none() {
    let mut it = flying();
    it.arrives("P 1+10 ack 1 win 65535");
    it.arrives("P 11+10 ack 1 win 65535");
    it.arrives("P 21+10 ack 1 win 65535");
    it.arrives(". 31 ack 1 win 65534");
    it.arrives(". 31 ack 1 win 65533");
    it.arrives(". 31 ack 1 win 65532");
    it.after(40);
    it.leaves(". 10001 ack 31");
    it.is_quiet();
}

#[test]
fn established_duplicates_after_a_timeout_repeat_nothing() {
    let mut it = flying();
    it.after(200);
    it.leaves(". 1+1000 ack 1");
    for _ in 0..5 {
        it.arrives(". 1 ack 1 win 65535");
    }
    it.is_quiet();
}

#[test]
fn last_ack_lost_fin_and_data_are_repeated() {
    let mut it = Script::established(plain());
    it.arrives("F 1 ack 1 win 65535");
    it.after(40);
    it.leaves(". 1 ack 2");
    it.write(1, 10);
    it.connection.shutdown(it.now);
    it.leaves("FP 1+10 ack 2");
    it.after(200);
    it.leaves("FP 1+10 ack 2");
    it.arrives(". 2 ack 11 win 65535");
    it.after(400);
    it.leaves("F 11 ack 2");
    it.arrives(". 2 ack 12 win 65535");
    assert!(it.connection.is_over());
}

#[test]
fn established_shrunk_path_repeats_at_once_in_smaller_segments() {
    let mut it = flying();
    it.path.segment_bytes_max = 620;
    it.connection.handle_path_shrunk(620, it.now);
    for n in 0..16 {
        it.leaves(&format!(". {}+600 ack 1", 1 + n * 600));
    }
    // No congestion: the window is what it was, 10,000 bytes.
    it.leaves(". 9601+400 ack 1");
    it.is_quiet();
}
