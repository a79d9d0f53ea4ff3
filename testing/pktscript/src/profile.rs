//! Profiles: what an operating system's defaults are, as data.

use crate::settings::{FAST_OPEN_CLIENT, FAST_OPEN_KEY, Settings};
use std::time::Duration;

/// Whose defaults and dialect a script was written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Linux.
    Linux,
    /// FreeBSD.
    #[value(name = "freebsd")]
    FreeBsd,
}

impl Profile {
    /// The settings with which a script starts.
    pub fn settings(self) -> Settings {
        match self {
            Self::Linux => Settings {
                // Linux leaves pacing to a queueing discipline that scripts do not set up.
                // Its probing of the path's MTU is off until a script asks for it.
                tcp: tcp::Config {
                    receive_buffer_bytes: 540_000,
                    receive_start_bytes: 540_000,
                    send_start_bytes: 4 << 20,
                    pacing: false,
                    timestamps_required: false,
                    mtu_probing: tcp::MtuProbing::Off,
                    probe_floor_mss: 48,
                    ..tcp::Config::linux()
                },
                receive_buffer_told: 131_072,
                receive_buffer_max: 540_000,
                receive_buffer_grows: true,
                send_buffer_told: 16_384,
                segment_lifetime: Duration::from_secs(30),
                keep_alive: tcp::KeepAlive::default(),
                fast_open: FAST_OPEN_CLIENT,
                fast_open_keys: (FAST_OPEN_KEY, None),
            },
            Self::FreeBsd => Settings {
                tcp: tcp::Config {
                    receive_buffer_bytes: 65_536,
                    receive_start_bytes: 65_536,
                    receive_whole_segments: true,
                    send_buffer_bytes: 32_768,
                    send_start_bytes: 32_768,
                    window_scale_min: 6,
                    option_order: tcp::OptionOrder::FreeBsd,
                    push_bursts: false,
                    mtu_probing: tcp::MtuProbing::Off,
                    probe_base_mss: 1_200,
                    quick_acks: 0,
                    rto_min: Duration::from_millis(230),
                    rto_max: Duration::from_secs(64),
                    syn_retries: 12,
                    syn_ack_retries: 3,
                    retries: 12,
                    pacing: false,
                    ..tcp::Config::linux()
                },
                receive_buffer_told: 65_536,
                receive_buffer_max: 65_536,
                receive_buffer_grows: true,
                send_buffer_told: 32_768,
                segment_lifetime: Duration::from_secs(30),
                keep_alive: tcp::KeepAlive::default(),
                fast_open: 0,
                fast_open_keys: (FAST_OPEN_KEY, None),
            },
        }
    }

    /// Names that scripts expect to be defined, and what they stand for.
    pub const fn defines(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Linux => &[
                ("TFO_COOKIE", "3021b9d889017eeb"),
                ("TFO_COOKIE_ZERO", "b7c12350a90dc8f5"),
                ("CMSG_LEVEL_IP", "SOL_IP"),
                ("CMSG_TYPE_RECVERR", "IP_RECVERR"),
            ],
            Self::FreeBsd => &[],
        }
    }

    /// What a set buffer size is told to be, as a multiple of what was asked for.
    pub const fn buffer_factor(self) -> i64 {
        match self {
            Self::Linux => 2,
            Self::FreeBsd => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_in_range() {
        for profile in [Profile::Linux, Profile::FreeBsd] {
            assert_eq!(profile.settings().tcp.check(), Ok(()), "{profile:?}");
        }
    }
}
