//! What is told of a connection (RFC 9293 §3.9.1, STATUS; Linux: TCP_INFO).

use super::Connection;
use crate::figures::Limit;
use crate::{Info, Repair};
use time::{Duration, Instant};

impl Connection {
    /// How it fares.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tcp::{Config, Connection};
    /// # use time::{Instant, SequenceNumber};
    /// # let now = Instant::from_secs(1);
    /// let connection = Connection::connect(Arc::new(Config::linux()), 40_000, 80, SequenceNumber(7), 0, now);
    /// let info = connection.info(now);
    /// assert_eq!((info.state, info.segments_out, info.rtt), (tcp::State::SynSent, 0, None));
    /// ```
    pub fn info(&self, now: Instant) -> Info {
        let (figures, rare) = (&self.figures, self.figures.rare());
        let send = self.send.figures(&self.config);
        let window = self.receive.window();
        let scaled = window.is_scaled();
        let [busy, window_limited, buffer_limited] =
            [Limit::Busy, Limit::Window, Limit::Buffer].map(|limit| figures.time_limited(limit, now));
        Info {
            state: self.state(),
            probes: self.keep_alive_probes,
            timestamps: self.timestamps.is_enabled(),
            sack: self.receive.is_selective(),
            window_scaling: scaled,
            ecn: self.marking.is_some(),
            fast_open: self.fast_open,
            window_scale: window.scale(),
            delayed_ack: self.config.delayed_ack,
            mss_received_bytes: self.receive.acks().segment_bytes(),
            mss_announced_bytes: send.mss_announced_bytes.min(self.config.mss_max.into()),
            readable_bytes: self.receive.readable() as u32,
            data_sent_ago: now - self.send.sent_at(),
            data_received_ago: figures.data_heard_ago(now),
            heard_ago: now - self.heard_at,
            window_bytes: window.size(self.receive.next()),
            receive_buffer_bytes: window.bound(),
            receive_rtt: self.receive.tuning().and_then(|tuning| tuning.rtt()),
            read_bytes_per_rtt: self.receive.tuning().map_or(0, |tuning| tuning.read_max()),
            bytes_acked: figures.bytes_acked,
            bytes_received: figures.bytes_received,
            bytes_sent: figures.bytes_acked + u64::from(send.bytes_sent_ahead) + rare.bytes_repeated,
            bytes_repeated: rare.bytes_repeated,
            segments_out: figures.segments_out,
            segments_in: figures.segments_in,
            data_segments_out: figures.data_segments_out,
            data_segments_in: figures.data_segments_in,
            segments_repeated: rare.segments_repeated,
            segments_out_of_order: rare.segments_out_of_order,
            segments_marked: rare.segments_marked,
            segments_marked_received: rare.segments_marked_received,
            timeouts_total: rare.timeouts,
            standstills: rare.standstills,
            standstill_time: Duration::from_millis(rare.standstill_ms.into()),
            busy_time: busy + window_limited + buffer_limited,
            window_limited_time: window_limited,
            buffer_limited_time: buffer_limited,
            ..send.info
        }
    }

    /// Notes what keeps more from leaving, now that nothing leaves.
    pub(super) fn note_limit(&mut self, now: Instant) {
        let limit = self.send.limit();
        self.figures.set_limit(limit, now);
    }
}

/// What the send half knows of the figures.
pub(crate) struct SendFigures {
    pub(crate) info: Info,
    pub(crate) mss_announced_bytes: u32,
    /// Bytes of data that have left and are not acknowledged.
    pub(crate) bytes_sent_ahead: u32,
}

impl Repair {
    pub(crate) fn of(mode: crate::loss::Mode, quiet: bool) -> Self {
        match mode {
            crate::loss::Mode::Open if quiet => Self::Open,
            crate::loss::Mode::Open => Self::Disorder,
            crate::loss::Mode::Reduced(_) => Self::Reduced,
            crate::loss::Mode::Recovery(_) | crate::loss::Mode::NewReno => Self::Recovery,
            crate::loss::Mode::Timeout(_) => Self::Loss,
        }
    }
}
