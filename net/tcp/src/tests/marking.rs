//! Marks of the network where a packet script does not reach (RFC 3168, RFC 9768).

use super::script::{Script, plain};
use crate::{Config, EcnFeedback};

fn asking(feedback: EcnFeedback) -> Config {
    Config { ecn_request: feedback, ecn_accept: feedback, ..plain() }
}

#[test]
fn syn_sent_data_waits_behind_the_bare_answer() {
    let mut it = Script::connect(asking(EcnFeedback::Accurate));
    it.write(1, 500);
    it.leaves("SEWA 0 ecn 0");
    it.arrives("SW 0 ack 1 win 65535 mss 1000 ecn 2");
    // RFC 9768 §3.2.2.1: it alone can tell of the SYN-ACK: ECT(0).
    it.leaves("A 1 ack 1 ecn 0");
    it.leaves("PEA 1+500 ack 1 ecn 2");
    it.is_quiet();
}

#[test]
fn established_cwr_is_never_cut() {
    let mut it = Script::accept(
        Config { initial_window_segments: 100, ..asking(EcnFeedback::Classic) },
        "SEW 0 win 65535 mss 1000 wscale 0",
    );
    it.path.offload_bytes_max = 60_000;
    it.leaves("SE 0 ack 1");
    it.arrives(". 1 ack 1 win 65535");
    it.write(1, 60_000);
    it.leaves("P 1+60000 ack 1 size 1000 ecn 2");
    it.write(60_001, 60_000);
    it.arrives("E 1 ack 20001 win 65535");
    it.leaves("W 60001+1000 ack 1 size 0 ecn 2");
}

#[test]
fn established_joined_segments_count_each() {
    let mut it = Script::accept(asking(EcnFeedback::Accurate), "SEWA 0 win 65535 mss 1000 wscale 0");
    it.leaves("SW 0 ack 1");
    it.arrives("W 1 ack 1 win 65535");
    it.arrives("EA 1+4000 ack 1 win 65535 joined 4 ecn 3");
    // 5 and 4 are 9, of which the field shows 1.
    it.leaves("E 1 ack 4001");
}
