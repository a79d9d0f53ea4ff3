//! What is told of segments beyond a gap, and of those that came twice (RFC 2018, RFC 2883).

use super::script::{Script, plain};
use crate::{Config, Drop};

/// ESTABLISHED with SACK permitted by both, without timestamps.
fn selective() -> Script {
    let mut it = Script::accept(plain(), "S 0 win 65535 mss 1000 wscale 0 sackok yes");
    it.leaves("S 0 ack 1 sackok yes");
    it.arrives(". 1 ack 1 win 65535");
    it.events();
    it
}

#[test]
fn listen_syn_without_the_option_is_answered_without() {
    let mut it = Script::accept(plain(), "S 0 win 65535 mss 1000");
    it.leaves("S 0 ack 1 sackok no");
    it.arrives(". 1 ack 1 win 65535");
    it.arrives(". 1001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 1 sack none");
}

#[test]
fn syn_sent_offers_it_unless_the_profile_forbids() {
    let mut it = Script::connect(plain());
    it.leaves("S 0 sackok yes");
    let mut it = Script::connect(Config { sack: false, ..plain() });
    it.leaves("S 0 sackok no");
    it.arrives("S 0 ack 1 win 65535 mss 1000 sackok yes");
    it.leaves(". 1 ack 1");
    it.arrives(". 1001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 1 sack none");
}

#[test]
fn established_gap_is_told_newest_block_first() {
    let mut it = selective();
    it.arrives(". 1001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 1 sack 1001:2001");
    it.arrives(". 3001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 1 sack 3001:4001,1001:2001");
    it.arrives(". 2001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 1 sack 1001:4001");
    it.arrives(". 5001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 1 sack 5001:6001,1001:4001");
    // What moves RCV.NXT is no block; what still lies beyond a gap is told again.
    it.arrives(". 1+1000 ack 1 win 65535");
    it.leaves(". 1 ack 4001 sack 5001:6001");
    it.arrives(". 4001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 6001 sack none");
    it.is_quiet();
    it.reads(1, 6_000);
}

#[test]
fn established_four_blocks_without_timestamps_and_three_beside_them() {
    let mut it = selective();
    for n in [2, 4, 6, 8, 10] {
        it.arrives(&std::format!(". {n}001+1000 ack 1 win 65535"));
    }
    it.leaves(". 1 ack 1 sack 10001:11001,8001:9001,6001:7001,4001:5001");
    // One turn brought more than one acknowledgement can tell.
    it.leaves(". 1 ack 1 sack 2001:3001,10001:11001,8001:9001,6001:7001");
    it.is_quiet();

    let config = Config { timestamps: true, ..plain() };
    let mut it = Script::accept(config, "S 0 win 65535 mss 1012 ts 1:0 sackok yes");
    it.leaves("S 0 ack 1");
    it.arrives(". 1 ack 1 win 65535 ts 1:1000000");
    for n in [2, 4, 6, 8] {
        it.arrives(&std::format!(". {n}001+1000 ack 1 win 65535 ts 1:1000000"));
    }
    it.leaves(". 1 ack 1 sack 8001:9001,6001:7001,4001:5001");
    it.leaves(". 1 ack 1 sack 2001:3001,8001:9001,6001:7001");
    it.is_quiet();
}

#[test]
fn established_old_duplicate_is_told_once() {
    let mut it = selective();
    it.arrives(". 1+1000 ack 1 win 65535");
    it.after(40);
    it.leaves(". 1 ack 1001 sack none");
    it.is_dropped(". 1+1000 ack 1 win 65535", Drop::OutsideWindow);
    it.leaves(". 1 ack 1001 sack 1:1001");
    it.is_quiet();
    // Partly old: the old part is told.
    it.arrives(". 501+1000 ack 1 win 65535");
    it.leaves(". 1 ack 1501 sack 501:1001");
    it.is_quiet();
    it.reads(1, 1_500);
}

#[test]
fn established_duplicate_beyond_the_gap_is_told_before_its_block() {
    let mut it = selective();
    it.arrives(". 1001+1000 ack 1 win 65535");
    it.arrives(". 2001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 1 sack 1001:3001");
    it.arrives(". 1001+1000 ack 1 win 65535");
    // RFC 2883 §4.1.2: the block that holds the duplicate follows it.
    it.leaves(". 1 ack 1 sack 1001:2001,1001:3001");
    it.is_quiet();
}

#[test]
fn established_segment_that_covers_what_is_held_tells_the_first_contiguous_part() {
    let mut it = selective();
    it.arrives(". 1001+500 ack 1 win 65535");
    it.arrives(". 1501+500 ack 1 win 65535");
    it.arrives(". 3001+500 ack 1 win 65535");
    it.leaves(". 1 ack 1 sack 3001:3501,1001:2001");
    // RFC 2883 §4.2.3: the second part that came twice is not told.
    it.arrives(". 501+3500 ack 1 win 65535");
    it.leaves(". 1 ack 1 sack 1001:2001,501:4001");
    // RFC 2883 §4.2.1: the gap is filled, and more than the gap.
    it.arrives(". 1+1000 ack 1 win 65535");
    it.leaves(". 1 ack 4001 sack 501:1001");
    it.is_quiet();
    it.reads(1, 4_000);
}

#[test]
fn established_full_segment_leaves_the_blocks_to_an_acknowledgement() {
    let mut it = selective();
    it.arrives(". 1001+1000 ack 1 win 65535");
    it.write(1, 1_100);
    it.leaves(". 1+1000 ack 1 sack none");
    // The rest has room for them.
    it.leaves("P 1001+100 ack 1 sack 1001:2001");
    it.is_quiet();
    it.arrives(". 3001+1000 ack 1101 win 65535");
    it.write(1_101, 1_000);
    it.leaves("P 1101+1000 ack 1 sack none");
    it.leaves(". 2101 ack 1 sack 3001:4001,1001:2001");
    it.is_quiet();
}

#[test]
fn close_wait_has_no_blocks_left() {
    let mut it = selective();
    it.arrives("F 1001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 1 sack 1001:2001");
    it.arrives(". 1+1000 ack 1 win 65535");
    it.leaves(". 1 ack 2002 sack none");
    it.reads(1, 2_000);
    assert_eq!(it.connection.buffers_held(), 0);
}

#[test]
fn established_out_of_order_data_is_let_go_and_told_no_more() {
    let mut it = Script::accept(plain(), "S 0 win 65535 mss 1000 sackok yes");
    it.leaves("S 0 ack 1");
    it.arrives(". 1 ack 1 win 65535");
    it.arrives("P 1001+500 ack 1 win 65535");
    it.leaves(". 1 ack 1 sack 1001:1501");
    assert_eq!((it.connection.buffered(), it.connection.prune(), it.connection.buffered()), (500, 500, 0));
    it.arrives("P 2001+100 ack 1 win 65535");
    it.leaves(". 1 ack 1 sack 2001:2101");
    it.arrives("P 1+1000 ack 1 win 65535");
    it.leaves(". 1 ack 1001 sack 2001:2101");
    it.arrives("P 1001+1000 ack 1 win 65535");
    it.leaves(". 1 ack 2101 sack none");
    it.reads(1, 2_100);
}

#[test]
fn established_under_pressure_little_is_offered_until_it_is_over() {
    let mut it = Script::established(Config { receive_buffer_bytes: 20_000, ..plain() });
    it.arrives("P 1+10000 ack 1 win 65535 joined 10");
    it.connection.set_pressed(true);
    it.leaves(". 1 ack 10001 win 10000");
    it.reads(1, 10_000);
    it.arrives("P 10001+9000 ack 1 win 65535 joined 9");
    // What was promised stands, and no more is: four segments would be less than what waits.
    it.leaves(". 1 ack 19001 win 1000");
    it.reads(10_001, 9_000);
    it.leaves(". 1 ack 19001 win 4000");
    it.connection.set_pressed(false);
    it.leaves(". 1 ack 19001 win 20000");
}
