//! TCP_INFO: Linux's `struct tcp_info`, field by field in its order and units.

use std::time::Duration;
use tcp::{Info, Repair, State};

/// Linux's number for "no threshold yet".
const THRESHOLD_INFINITE: u32 = 0x7fff_ffff;

/// The struct's bytes, up to `tcpi_rcv_wnd`.
pub fn tcp_info(info: &Info) -> Vec<u8> {
    let mss = info.mss_bytes.max(1);
    let options = u8::from(info.timestamps)
        | u8::from(info.sack) << 1
        | u8::from(info.window_scaling) << 2
        | u8::from(info.ecn) << 3;
    let mut out = vec![state(info.state), repair(info.repair), info.timeouts, info.probes, info.backoff];
    out.extend([options, info.window_scale_peer | info.window_scale << 4]);
    out.push(u8::from(info.delivery_rate_limited_by_writer));
    let words = [
        micros(info.rto),
        micros(info.delayed_ack),
        info.mss_bytes,
        info.mss_received_bytes,
        info.segments(info.unacknowledged_bytes),
        info.segments(info.sacked_bytes),
        info.segments(info.lost_bytes),
        info.segments(info.repeated_in_flight_bytes),
        // tcpi_fackets, which Linux no longer counts.
        0,
        millis(info.data_sent_ago),
        // tcpi_last_ack_sent, which Linux never told.
        0,
        millis(info.data_received_ago),
        millis(info.heard_ago),
        info.path_mtu.into(),
        info.receive_buffer_bytes,
        micros(info.rtt.unwrap_or_default()),
        micros(info.rtt_variation),
        info.threshold_bytes.map_or(THRESHOLD_INFINITE, |bytes| bytes / mss),
        info.congestion_window_bytes / mss,
        info.mss_announced_bytes,
        // tcpi_reordering: three segments, until RACK measures time instead.
        3,
        micros(info.receive_rtt.unwrap_or_default()),
        info.read_bytes_per_rtt,
        info.segments_repeated,
    ];
    out.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    let rates = [info.pacing_rate.unwrap_or(u64::MAX), u64::MAX, info.bytes_acked, info.bytes_received];
    out.extend(rates.iter().flat_map(|word| word.to_ne_bytes()));
    let counts = [
        info.segments_out,
        info.segments_in,
        info.unsent_bytes,
        info.rtt_min.map_or(u32::MAX, micros),
        info.data_segments_in,
        info.data_segments_out,
    ];
    out.extend(counts.iter().flat_map(|word| word.to_ne_bytes()));
    let spans = [info.busy_time, info.window_limited_time, info.buffer_limited_time];
    out.extend(info.delivery_rate.unwrap_or(0).to_ne_bytes());
    out.extend(spans.iter().flat_map(|span| u64::from(micros(*span)).to_ne_bytes()));
    let delivered = info.delivered_segments() + u32::from(info.state != State::SynSent);
    // Marks are not counted apart.
    out.extend([delivered, 0].iter().flat_map(|word| word.to_ne_bytes()));
    out.extend([info.bytes_sent, info.bytes_repeated].iter().flat_map(|word| word.to_ne_bytes()));
    let last = [
        info.segments_duplicated,
        u32::from(info.reordering_seen),
        info.segments_out_of_order,
        info.window_peer_bytes,
        info.window_bytes,
    ];
    out.extend(last.iter().flat_map(|word| word.to_ne_bytes()));
    out
}

fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}

fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

const fn state(state: State) -> u8 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}

const fn repair(repair: Repair) -> u8 {
    match repair {
        Repair::Disorder => 1,
        Repair::Reduced => 2,
        Repair::Recovery => 3,
        Repair::Loss => 4,
        _ => 0,
    }
}
