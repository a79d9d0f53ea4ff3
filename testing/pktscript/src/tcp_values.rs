//! The names that assertions know: constants, and what the stack tells of a connection. A name that is not here stops the
//! script; when [`tcp::Info`] has learned a figure, one line is added.

use std::time::Duration;
use tcp::{FastOpenStatus, Info, Repair, State};

type Figure = fn(&Info) -> i64;

/// What the stack tells, in Linux's units: segments, microseconds, bytes; milliseconds where it says when something was.
const FIGURES: [(&str, Figure); 58] = [
    ("tcpi_state", |i| state_number(i.state)),
    ("tcpi_ca_state", |i| repair_number(i.repair)),
    ("tcpi_retransmits", |i| i.timeouts.into()),
    ("tcpi_probes", |i| i.probes.into()),
    ("tcpi_backoff", |i| i.backoff.into()),
    ("tcpi_options", |i| {
        i64::from(i.timestamps)
            | i64::from(i.sack) << 1
            | i64::from(i.window_scaling) << 2
            | i64::from(i.ecn) << 3
            | i64::from(i.fast_open == FastOpenStatus::Taken) << 5
    }),
    ("tcpi_fastopen_client_fail", |i| match i.fast_open {
        FastOpenStatus::Unused | FastOpenStatus::Taken => 0,
        FastOpenStatus::Requested => 1,
        FastOpenStatus::NotTaken => 2,
        FastOpenStatus::Repeated => 3,
    }),
    ("tcpi_snd_wscale", |i| i.window_scale_peer.into()),
    ("tcpi_rcv_wscale", |i| i.window_scale.into()),
    ("tcpi_rto", |i| micros(i.rto)),
    ("tcpi_ato", |i| micros(i.delayed_ack)),
    ("tcpi_snd_mss", |i| i.mss_bytes.into()),
    ("tcpi_rcv_mss", |i| i.mss_received_bytes.into()),
    ("tcpi_advmss", |i| i.mss_announced_bytes.into()),
    ("tcpi_unacked", |i| i.segments(i.unacknowledged_bytes).into()),
    ("tcpi_sacked", |i| i.segments(i.sacked_bytes).into()),
    ("tcpi_lost", |i| i.segments(i.lost_bytes).into()),
    ("tcpi_retrans", |i| i.segments(i.repeated_in_flight_bytes).into()),
    ("tcpi_fackets", |_| 0),
    ("tcpi_last_data_sent", |i| i.data_sent_ago.as_millis() as i64),
    ("tcpi_last_ack_sent", |_| 0),
    ("tcpi_last_data_recv", |i| i.data_received_ago.as_millis() as i64),
    ("tcpi_last_ack_recv", |i| i.heard_ago.as_millis() as i64),
    ("tcpi_pmtu", |i| i.path_mtu.into()),
    ("tcpi_rcv_ssthresh", |i| i.receive_buffer_bytes.into()),
    ("tcpi_rtt", |i| micros(i.rtt.unwrap_or_default())),
    ("tcpi_rttvar", |i| micros(i.rtt_variation)),
    ("tcpi_min_rtt", |i| i.rtt_min.map_or(i64::from(u32::MAX), micros)),
    ("tcpi_snd_cwnd", |i| (i.congestion_window_bytes / i.mss_bytes.max(1)).into()),
    ("tcpi_snd_ssthresh", |i| {
        i.threshold_bytes.map_or(0x7fff_ffff, |bytes| (bytes / i.mss_bytes.max(1)).into())
    }),
    ("tcpi_snd_wnd", |i| i.window_peer_bytes.into()),
    ("tcpi_rcv_wnd", |i| i.window_bytes.into()),
    ("tcpi_rcv_rtt", |i| micros(i.receive_rtt.unwrap_or_default())),
    ("tcpi_rcv_space", |i| i.read_bytes_per_rtt.into()),
    ("tcpi_pacing_rate", |i| i.pacing_rate.map_or(-1, |rate| rate as i64)),
    ("tcpi_delivery_rate_app_limited", |i| i.delivery_rate_limited_by_writer.into()),
    ("tcpi_bytes_acked", |i| i.bytes_acked as i64),
    ("tcpi_bytes_received", |i| i.bytes_received as i64),
    ("tcpi_bytes_sent", |i| i.bytes_sent as i64),
    ("tcpi_bytes_retrans", |i| i.bytes_repeated as i64),
    ("tcpi_segs_out", |i| i.segments_out.into()),
    ("tcpi_segs_in", |i| i.segments_in.into()),
    ("tcpi_data_segs_out", |i| i.data_segments_out.into()),
    ("tcpi_data_segs_in", |i| i.data_segments_in.into()),
    ("tcpi_total_retrans", |i| i.segments_repeated.into()),
    ("tcpi_rcv_ooopack", |i| i.segments_out_of_order.into()),
    ("tcpi_dsack_dups", |i| i.segments_duplicated.into()),
    ("tcpi_delivered_ce", |i| i.segments_marked.into()),
    ("tcpi_received_ce", |i| i.segments_marked_received.into()),
    ("tcpi_total_rto", |i| i.timeouts_total.into()),
    ("tcpi_total_rto_recoveries", |i| i.standstills.into()),
    ("tcpi_total_rto_time", |i| i.standstill_time.as_millis() as i64),
    ("tcpi_reord_seen", |i| i.reordering_seen.into()),
    ("tcpi_notsent_bytes", |i| i.unsent_bytes.into()),
    ("tcpi_busy_time", |i| micros(i.busy_time)),
    ("tcpi_rwnd_limited", |i| micros(i.window_limited_time)),
    ("tcpi_sndbuf_limited", |i| micros(i.buffer_limited_time)),
    ("tcpi_delivered", |i| i64::from(i.delivered_segments()) + i64::from(i.state != State::SynSent)),
];

fn micros(span: Duration) -> i64 {
    span.as_micros() as i64
}

/// Linux's number of what is done about losses.
const fn repair_number(repair: Repair) -> i64 {
    match repair {
        Repair::Disorder => 1,
        Repair::Reduced => 2,
        Repair::Recovery => 3,
        Repair::Loss => 4,
        _ => 0,
    }
}

/// Linux's numbers.
const CONSTANTS: [(&str, i64); 27] = [
    ("TCP_ESTABLISHED", 1),
    ("TCP_SYN_SENT", 2),
    ("TCP_SYN_RECV", 3),
    ("TCP_FIN_WAIT1", 4),
    ("TCP_FIN_WAIT2", 5),
    ("TCP_TIME_WAIT", 6),
    ("TCP_CLOSE", 7),
    ("TCP_CLOSE_WAIT", 8),
    ("TCP_LAST_ACK", 9),
    ("TCP_LISTEN", 10),
    ("TCP_CLOSING", 11),
    ("TCP_CA_Open", 0),
    ("TCP_CA_Disorder", 1),
    ("TCP_CA_CWR", 2),
    ("TCP_CA_Recovery", 3),
    ("TCP_CA_Loss", 4),
    ("TCPI_OPT_TIMESTAMPS", 1),
    ("TCPI_OPT_SACK", 2),
    ("TCPI_OPT_WSCALE", 4),
    ("TCPI_OPT_ECN", 8),
    ("TCPI_OPT_ECN_SEEN", 16),
    ("TCPI_OPT_SYN_DATA", 32),
    ("TFO_STATUS_UNSPEC", 0),
    ("TFO_COOKIE_UNAVAILABLE", 1),
    ("TFO_DATA_NOT_ACKED", 2),
    ("TFO_SYN_RETRANSMITTED", 3),
    ("TCP_INFINITE_SSTHRESH", 0x7fff_ffff),
];

/// The value of a name, where it is known. A connection that is gone is closed.
pub fn value(name: &str, info: Option<&Info>) -> Option<i64> {
    if let Some((_, value)) = CONSTANTS.iter().find(|(known, _)| *known == name) {
        return Some(*value);
    }
    let (_, figure) = FIGURES.iter().find(|(known, _)| *known == name)?;
    match info {
        Some(info) => Some(figure(info)),
        None => (name == "tcpi_state").then(|| state_number(State::Closed)),
    }
}

/// Linux's number of a state.
const fn state_number(state: State) -> i64 {
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

/// A state by the name that tools print, dashes written as underscores.
pub fn state_named(name: &str) -> Option<State> {
    Some(match name {
        "ESTABLISHED" => State::Established,
        "SYN_SENT" => State::SynSent,
        "FIN_WAIT_1" => State::FinWait1,
        "FIN_WAIT_2" => State::FinWait2,
        "TIME_WAIT" => State::TimeWait,
        "CLOSED" => State::Closed,
        "CLOSE_WAIT" => State::CloseWait,
        "LAST_ACK" => State::LastAck,
        "LISTEN" => State::Listen,
        "CLOSING" => State::Closing,
        _ => return None,
    })
}
