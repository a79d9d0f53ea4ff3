//! What the send half tells of itself.

use super::SendHalf;
use crate::connection::SendFigures;
use crate::figures::Limit;
use crate::{Config, FastOpenStatus, Info, Repair, State};
use time::{Duration, Instant};

impl SendHalf {
    /// When data, or a SYN, last left.
    pub(crate) fn sent_at(&self) -> Instant {
        self.sent_at
    }

    /// What keeps more from leaving (Linux: `enum tcp_chrono`).
    pub(crate) fn limit(&self) -> Limit {
        let unsent = self.unsent();
        if self.queue.is_empty() {
            Limit::Idle
        } else if unsent == 0 && self.blocked {
            Limit::Buffer
        } else if unsent > 0 && self.window.saturating_sub(self.outstanding()) < unsent.min(self.mss()) {
            Limit::Window
        } else {
            Limit::Busy
        }
    }

    /// What of [`Info`] is the send half's; the rest is as of nothing.
    pub(crate) fn figures(&self, config: &Config) -> SendFigures {
        let board = &self.loss.scoreboard;
        let repeated = board.flying_again();
        let rates = self.delivery_rate.as_ref();
        let threshold = self.congestion.threshold();
        let bytes_sent_ahead = self.nxt.earlier(self.end()) - self.una.later(self.start).earlier(self.nxt);
        let info = Info {
            repair: Repair::of(self.loss.mode(), self.loss.is_quiet()),
            timeouts: self.retries,
            backoff: self.rtt.doubled(),
            window_scale_peer: self.scale,
            rto: self.rtt.timeout(config),
            mss_bytes: self.mss(),
            unacknowledged_bytes: self.outstanding(),
            sacked_bytes: board.sacked(),
            lost_bytes: board.lost() + if self.loss.is_open() { 0 } else { repeated },
            repeated_in_flight_bytes: repeated,
            queued_bytes: self.queue.len() as u32,
            unsent_bytes: self.unsent(),
            rtt: self.rtt.smoothed(),
            rtt_variation: self.rtt.variation(),
            rtt_min: self.min_rtt.value(),
            congestion_window_bytes: self.congestion.window(),
            threshold_bytes: (threshold < u32::MAX).then_some(threshold),
            window_peer_bytes: self.window,
            pacing_rate: self.pacer.rate(),
            delivery_rate: rates.and_then(|rates| rates.last_rate()),
            delivery_rate_limited_by_writer: rates.is_some_and(|rates| rates.is_limited()),
            segments_duplicated: self.loss.rack.duplicates(),
            reordering_seen: self.loss.rack.has_seen_reordering(),
            ..NOTHING
        };
        SendFigures { info, mss_announced_bytes: self.mss_path.into(), bytes_sent_ahead }
    }
}

/// A connection of which nothing is known.
const NOTHING: Info = Info {
    state: State::Closed,
    repair: Repair::Open,
    timeouts: 0,
    probes: 0,
    backoff: 0,
    timestamps: false,
    sack: false,
    window_scaling: false,
    ecn: false,
    fast_open: FastOpenStatus::Unused,
    window_scale_peer: 0,
    window_scale: 0,
    rto: Duration::ZERO,
    delayed_ack: Duration::ZERO,
    mss_bytes: 0,
    mss_received_bytes: 0,
    mss_announced_bytes: 0,
    unacknowledged_bytes: 0,
    sacked_bytes: 0,
    lost_bytes: 0,
    repeated_in_flight_bytes: 0,
    queued_bytes: 0,
    readable_bytes: 0,
    unsent_bytes: 0,
    data_sent_ago: Duration::ZERO,
    data_received_ago: Duration::ZERO,
    heard_ago: Duration::ZERO,
    path_mtu: 0,
    rtt: None,
    rtt_variation: Duration::ZERO,
    rtt_min: None,
    congestion_window_bytes: 0,
    threshold_bytes: None,
    window_peer_bytes: 0,
    window_bytes: 0,
    receive_buffer_bytes: 0,
    receive_rtt: None,
    read_bytes_per_rtt: 0,
    pacing_rate: None,
    delivery_rate: None,
    delivery_rate_limited_by_writer: false,
    bytes_acked: 0,
    bytes_received: 0,
    bytes_sent: 0,
    bytes_repeated: 0,
    segments_out: 0,
    segments_in: 0,
    data_segments_out: 0,
    data_segments_in: 0,
    segments_repeated: 0,
    segments_out_of_order: 0,
    segments_duplicated: 0,
    segments_marked: 0,
    segments_marked_received: 0,
    timeouts_total: 0,
    standstills: 0,
    standstill_time: Duration::ZERO,
    reordering_seen: false,
    busy_time: Duration::ZERO,
    window_limited_time: Duration::ZERO,
    buffer_limited_time: Duration::ZERO,
};
