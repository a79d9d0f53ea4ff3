//! Fast Open (RFC 7413): the client's SYN with data and what may become of it, the server's answer before the handshake
//! is over.

use super::pair::{Channel, Pair};
use super::script::{Script, cookie, parse, plain};
use crate::{CloseReason, Config, Connection, Drop, Event, FastOpenOutcome, FastOpenStatus, State};
use time::Duration;

const COOKIE: &str = "cookie12";

fn client(config: Config, with: &str, bytes: usize) -> Script {
    let mut it = Script::connect(config);
    it.connection.set_fast_open(cookie(with), Some(1_000));
    it.write(1, bytes);
    it
}

/// A server that has taken the payload of this SYN.
fn server(config: Config, syn: &str) -> Script {
    let mut it = Script::accept(config, syn);
    let syn = parse(syn);
    it.connection.accept_early(&syn.header, syn.payload);
    it
}

fn outcome(it: &mut Script) -> FastOpenOutcome {
    it.connection.take_fast_open_outcome().expect("it used Fast Open")
}

#[test]
fn syn_sent_request_brings_a_cookie_and_data_follows_the_handshake() {
    let mut it = client(plain(), "?", 300);
    it.leaves("S 0 fo ?");
    it.arrives("S 0 ack 1 win 65535 mss 900 fo cookie12");
    it.leaves("P 1+300 ack 1");
    it.is_quiet();
    let learned = FastOpenOutcome {
        cookie: Some(cookie(COOKIE)),
        mss: Some(900),
        sent_data: false,
        status: FastOpenStatus::Requested,
        at: it.now,
    };
    assert_eq!(outcome(&mut it), learned);
    assert_eq!(it.connection.take_fast_open_outcome(), None);
}

#[test]
fn syn_sent_data_acknowledged_is_not_sent_again() {
    let mut it = client(plain(), COOKIE, 300);
    it.leaves("S 0+300 fo cookie12");
    it.is_quiet();
    it.arrives("S 0 ack 301 win 65535 mss 1000");
    it.leaves(". 301 ack 1");
    it.is_quiet();
    assert_eq!(it.connection.unacknowledged(), 0);
    assert_eq!(it.connection.fast_open(), FastOpenStatus::Taken);
    assert_eq!(it.connection.poll_timeout(), None);
    it.write(301, 100);
    it.leaves("P 301+100 ack 1");
}

#[test]
fn syn_sent_more_than_fits_leaves_room_for_options_and_the_rest_follows() {
    let mut it = client(plain(), COOKIE, 2_000);
    it.leaves("S 0+960 fo cookie12");
    it.arrives("S 0+50 ack 961 win 65535 mss 1000");
    it.leaves(". 961+1000 ack 51");
    it.leaves("P 1961+40 ack 51");
    it.reads(1, 50);
}

#[test]
fn syn_sent_data_not_acknowledged_leaves_at_once() {
    let mut it = client(plain(), COOKIE, 300);
    it.leaves("S 0+300 fo cookie12");
    it.arrives("S 0 ack 1 win 65535 mss 1000 fo another1");
    it.leaves("P 1+300 ack 1");
    it.is_quiet();
    let told = outcome(&mut it);
    assert_eq!((told.cookie, told.status), (Some(cookie("another1")), FastOpenStatus::NotTaken));
    it.arrives(". 1 ack 301 win 65535");
    assert_eq!(it.connection.unacknowledged(), 0);
}

#[test]
fn syn_sent_data_acknowledged_in_part_leaves_from_there() {
    let mut it = client(plain(), COOKIE, 300);
    it.leaves("S 0+300 fo cookie12");
    it.arrives("S 0 ack 101 win 65535 mss 1000");
    it.leaves("P 101+200 ack 1");
    assert_eq!(it.connection.fast_open(), FastOpenStatus::NotTaken);
}

#[test]
fn syn_sent_acknowledgement_beyond_the_data_is_answered_by_reset() {
    let mut it = client(plain(), COOKIE, 300);
    it.leaves("S 0+300");
    it.is_dropped("S 0 ack 302 win 65535", Drop::AcknowledgesUnsent);
    it.leaves("R 302");
    it.is_dropped("S 0 ack 0 win 65535", Drop::AcknowledgesUnsent);
    it.leaves("R 0");
    it.is_in(State::SynSent);
}

#[test]
fn syn_sent_silence_repeats_a_plain_syn() {
    let mut it = client(plain(), COOKIE, 300);
    it.leaves("S 0+300 fo cookie12");
    it.after(1_000);
    it.leaves("S 0 fo none");
    it.arrives("S 0 ack 1 win 65535 mss 1000");
    it.leaves("P 1+300 ack 1");
    assert_eq!(outcome(&mut it).status, FastOpenStatus::Repeated);
}

#[test]
fn syn_sent_late_answer_to_the_first_syn_is_taken() {
    let mut it = client(plain(), COOKIE, 300);
    it.leaves("S 0+300 fo cookie12");
    it.after(1_000);
    it.leaves("S 0 fo none");
    it.arrives("S 0 ack 301 win 65535 mss 1000");
    it.leaves(". 301 ack 1");
    assert_eq!((it.connection.unacknowledged(), outcome(&mut it).status), (0, FastOpenStatus::Taken));
}

#[test]
fn syn_sent_reset_of_a_syn_with_data_refuses() {
    for number in ["1", "301"] {
        let mut it = client(plain(), COOKIE, 300);
        it.leaves("S 0+300");
        it.arrives(&std::format!("R 0 ack {number}"));
        assert_eq!(it.events(), [Event::Closed(CloseReason::Refused)]);
        assert!(outcome(&mut it).sent_data);
    }
}

#[test]
fn syn_sent_writer_that_waits_is_told_of_room_by_the_syn_ack() {
    let mut it = client(Config { send_buffer_bytes: 300, ..plain() }, COOKIE, 300);
    it.leaves("S 0+300");
    it.arrives("S 0 ack 301 win 65535 mss 1000");
    assert_eq!(it.events(), [Event::Established, Event::Writable]);
}

#[test]
fn syn_sent_crossing_syns_keep_the_data_for_later() {
    let mut it = client(plain(), COOKIE, 300);
    it.leaves("S 0+300 fo cookie12");
    it.arrives("S 0+50 win 65535 mss 1000 fo cookie12");
    it.leaves("S 0 ack 1 fo none");
    it.is_in(State::SynReceived);
    it.arrives(". 1 ack 1 win 65535");
    it.leaves("P 1+300 ack 1");
    assert_eq!(it.connection.readable(), 0);
}

#[test]
fn syn_received_data_is_read_and_answered_before_the_handshake_ends() {
    let mut it = server(plain(), "S 0+100 win 65535 mss 1000 fo cookie12");
    assert_eq!(it.events(), [Event::Readable]);
    it.reads(1, 100);
    it.leaves("S 0 ack 101");
    it.write(1, 1_500);
    it.leaves(". 1+1000 ack 101");
    it.leaves("P 1001+500 ack 101");
    it.is_in(State::SynReceived);
    it.arrives(". 101 ack 1501 win 65535");
    assert_eq!(it.events(), [Event::Established]);
    assert_eq!((it.connection.unacknowledged(), it.connection.poll_timeout()), (0, None));
    it.arrives("P 101+100 ack 1501 win 65535");
    it.reads(101, 100);
}

#[test]
fn syn_received_no_more_leaves_than_the_initial_window_and_that_of_the_syn() {
    let config = Config { initial_window_segments: 2, ..plain() };
    let mut it = server(config, "S 0+100 win 65535 mss 1000 fo cookie12");
    it.leaves("S 0 ack 101");
    it.write(1, 9_000);
    it.leaves(". 1+1000 ack 101");
    it.leaves(". 1001+1000 ack 101");
    it.is_quiet();
    // The window of a SYN is not scaled.
    let mut it =
        server(Config { window_scaling: true, ..plain() }, "S 0+1 win 500 mss 1000 wscale 7 fo cookie12");
    it.leaves("S 0 ack 2");
    it.write(1, 9_000);
    it.leaves(". 1+500 ack 2");
    it.is_quiet();
    it.arrives(". 2 ack 501 win 70");
    it.leaves(". 501+1000 ack 2");
}

#[test]
fn syn_received_silence_repeats_the_syn_ack_alone() {
    let mut it = server(plain(), "S 0+100 win 65535 mss 1000 fo cookie12");
    it.leaves("S 0 ack 101");
    it.write(1, 300);
    it.leaves("P 1+300 ack 101");
    it.after(1_000);
    it.leaves("S 0 ack 101");
    it.after(2_000);
    it.leaves("S 0 ack 101");
    it.arrives(". 101 ack 1 win 65535");
    assert_eq!(it.events(), [Event::Established, Event::Readable]);
    // What followed the SYN-ACK is timed from now on.
    it.after(3_000);
    it.leaves("P 1+300 ack 101");
    it.arrives(". 101 ack 301 win 65535");
    assert_eq!(it.connection.unacknowledged(), 0);
}

#[test]
fn syn_received_syn_again_with_or_without_data_is_answered_again() {
    let mut it = server(plain(), "S 0+100 win 65535 mss 1000 fo cookie12");
    it.leaves("S 0 ack 101");
    for syn in ["S 0+100 win 65535 mss 1000 fo cookie12", "S 0 win 65535 mss 1000"] {
        it.arrives(syn);
        it.leaves("S 0 ack 101");
        it.is_quiet();
    }
    it.reads(1, 100);
}

#[test]
fn syn_received_bad_acknowledgement_is_answered_by_reset() {
    let mut it = server(plain(), "S 0+100 win 65535 mss 1000 fo cookie12");
    it.leaves("S 0 ack 101");
    it.write(1, 300);
    it.leaves("P 1+300 ack 101");
    it.is_dropped(". 101 ack 302 win 65535", Drop::AcknowledgesUnsent);
    it.leaves("R 302");
    it.is_dropped(". 101 ack 0 win 65535", Drop::AcknowledgesUnsent);
    it.leaves("R 0");
    it.is_in(State::SynReceived);
}

#[test]
fn syn_received_reset_ends_and_what_was_taken_can_be_read() {
    let mut it = server(plain(), "S 0+100 win 65535 mss 1000 fo cookie12");
    it.leaves("S 0 ack 101");
    it.is_dropped("R 1", Drop::OutsideWindow);
    it.arrives("R 101");
    assert_eq!(it.events(), [Event::Readable, Event::Closed(CloseReason::Reset)]);
    it.reads(1, 100);
}

#[test]
fn syn_received_close_waits_for_the_handshake() {
    let mut it = server(plain(), "S 0+100 win 65535 mss 1000 fo cookie12");
    it.leaves("S 0 ack 101");
    it.write(1, 300);
    it.connection.shutdown(it.now);
    it.leaves("P 1+300 ack 101");
    it.is_quiet();
    it.arrives(". 101 ack 1 win 65535");
    it.leaves("F 301 ack 101");
    it.is_in(State::FinWait1);
}

#[test]
fn syn_received_no_more_is_taken_than_the_window_holds() {
    let config = Config { receive_buffer_bytes: 256, ..plain() };
    let mut it = server(config, "S 0+400 win 65535 mss 1000 fo cookie12");
    it.leaves("S 0 ack 257 win 0");
    it.reads(1, 256);
}

#[test]
fn syn_received_cookie_is_given_each_time_the_syn_ack_leaves() {
    let mut it = Script::accept(plain(), "S 0 win 65535 mss 1000 fo ?");
    it.connection.give_cookie(cookie(COOKIE));
    it.leaves("S 0 ack 1 fo cookie12");
    it.after(1_000);
    it.leaves("S 0 ack 1 fo cookie12");
    it.arrives(". 1 ack 1 win 65535");
    assert_eq!(it.events(), [Event::Established]);
}

#[test]
fn what_fast_open_needs_is_gone_when_it_is_over() {
    let early = |mut it: Script| {
        it.leaves("S 0 ack 101");
        it.arrives(". 101 ack 1 win 65535");
        it.connection
    };
    let connection: Connection = early(server(plain(), "S 0+100 win 65535 mss 1000 fo cookie12"));
    assert!(!connection.is_opening_kept());
}

/// Data in the SYN and behind the SYN-ACK arrives once, whatever the channel does.
#[test]
fn every_byte_arrives_once_though_syns_are_lost() {
    for seed in 0..200 {
        let channel = Channel { loss: seed % 40, duplication: 10, reordering: 10, ..Channel::CLEAN };
        let mut pair = Pair::fast(Config::linux(), channel, seed, b"a question", b"its answer");
        pair.run_until(|pair| {
            pair.client.received == b"its answer"
                && pair.server.as_ref().is_some_and(|end| end.received == b"a question")
        });
        pair.run_for(Duration::from_secs(300));
        assert_eq!(pair.client.received, b"its answer");
        assert_eq!(pair.server().received, b"a question");
        let waits = pair.client.connection.unacknowledged() + pair.server().connection.unacknowledged();
        assert_eq!(waits, 0);
    }
}

#[test]
fn a_round_trip_is_saved() {
    let mut pair = Pair::fast(Config::linux(), Channel::CLEAN, 1, b"a question", b"its answer");
    let start = pair.now;
    pair.run_until(|pair| pair.client.received == b"its answer");
    assert_eq!(pair.now - start, 2 * Channel::CLEAN.delay);
}
