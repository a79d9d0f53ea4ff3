//! What set-up commands change: the stack's configuration, and what the system tells of it.

use std::time::Duration;
use tcp::{MtuProbing, PathDiscovery};

/// The settings of a script at one moment; what is opened later has them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For connections.
    pub tcp: tcp::Config,
    /// SO_RCVBUF of a new socket, in bytes.
    pub receive_buffer_told: i64,
    /// How far a receive buffer may grow by itself, in bytes, where it may.
    pub receive_buffer_max: u32,
    /// Whether it may.
    pub receive_buffer_grows: bool,
    /// SO_SNDBUF of a new socket, in bytes.
    pub send_buffer_told: i64,
    /// Half of TIME-WAIT.
    pub segment_lifetime: Duration,
    /// For the sockets that ask for keep-alive.
    pub keep_alive: tcp::KeepAlive,
    /// Who may open fast, in Linux's bits.
    pub fast_open: i64,
    /// The key of cookies, and the one before.
    pub fast_open_keys: ([u8; 16], Option<[u8; 16]>),
}

/// Bits of net.ipv4.tcp_fastopen: clients may, listeners may, and listeners do without being asked to. The higher ones choose
/// among ways that Linux once had.
pub const FAST_OPEN_CLIENT: i64 = 1;
pub const FAST_OPEN_SERVER: i64 = 2;
pub const FAST_OPEN_ALL_LISTENERS: i64 = 0x400;
const FAST_OPEN_KNOWN: i64 = FAST_OPEN_CLIENT | FAST_OPEN_SERVER | FAST_OPEN_ALL_LISTENERS | 0x7_0000;

/// The key that the public suites set, of which the cookies in their scripts are made.
pub const FAST_OPEN_KEY: [u8; 16] = {
    let (mut key, bytes, mut at) = ([0; 16], [0xa1, 0xb2, 0xc3, 0xd4], 0);
    while at < 16 {
        key[at] = bytes[at / 4];
        at += 1;
    }
    key
};

/// What becomes of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// It is as asked for.
    Done,
    /// It cannot be had; what it is.
    Unsupported(String),
}

/// FreeBSD's defaults of the two parts of its least retransmission timeout, in milliseconds.
const REXMIT_MIN_MS: i64 = 30;
const REXMIT_SLOP_MS: i64 = 200;

type Apply = fn(&mut Settings, i64) -> bool;

/// Names with the one value that the stack obeys without being told, or a range of them: from, to.
const FIXED: &[(&str, i64, i64)] = &[
    ("net.ipv4.tcp_abort_on_overflow", 0, 0),
    ("net.ipv4.tcp_adv_win_scale", -31, 31),
    ("net.ipv4.tcp_autocorking", 0, 1),
    ("net.ipv4.tcp_challenge_ack_limit", 1, i64::MAX),
    ("net.ipv4.tcp_comp_sack_nr", 0, 255),
    ("net.ipv4.tcp_dsack", 0, 1),
    ("net.ipv4.tcp_early_retrans", 0, 4),
    ("net.ipv4.tcp_ecn_fallback", 1, 1),
    ("net.ipv4.tcp_ecn_option_beacon", 0, 63),
    ("net.ipv4.tcp_fack", 0, 0),
    ("net.ipv4.tcp_fastopen_blackhole_timeout_sec", 0, i64::MAX),
    ("net.ipv4.tcp_fastopen_blackhole_detect_timeout_sec", 0, i64::MAX),
    ("net.inet.tcp.fastopen.acceptany", 0, 0),
    ("net.inet.tcp.fastopen.psk_enable", 0, 0),
    ("net.ipv4.tcp_frto", 0, 2),
    ("net.ipv4.tcp_invalid_ratelimit", 500, 500),
    ("net.ipv4.tcp_l3mdev_accept", 0, 0),
    ("net.ipv4.tcp_limit_output_bytes", 0, i64::MAX),
    ("net.ipv4.tcp_low_latency", 0, 1),
    ("net.ipv4.tcp_max_syn_backlog", 1, i64::MAX),
    ("net.ipv4.tcp_max_tw_buckets", 1, i64::MAX),
    ("net.ipv4.tcp_migrate_req", 0, 0),
    ("net.ipv4.tcp_min_rtt_wlen", 0, i64::MAX),
    ("net.ipv4.tcp_min_tso_segs", 0, 65_535),
    // Nothing is ever short of memory here: its bounds are those of the stack.
    ("net.ipv4.tcp_mem", 0, i64::MAX),
    ("net.ipv4.tcp_no_metrics_save", 0, 1),
    ("net.ipv4.tcp_no_ssthresh_metrics_save", 0, 1),
    ("net.ipv4.tcp_orphan_retries", 0, 255),
    ("net.ipv4.tcp_pacing_ca_ratio", 0, 1_000),
    ("net.ipv4.tcp_pacing_ss_ratio", 0, 1_000),
    ("net.ipv4.tcp_recovery", 0, 1),
    ("net.ipv4.tcp_reordering", 3, 3),
    ("net.ipv4.tcp_retrans_collapse", 0, 1),
    ("net.ipv4.tcp_rfc1337", 1, 1),
    ("net.ipv4.tcp_shrink_window", 0, 0),
    ("net.ipv4.tcp_stdurg", 0, 0),
    ("net.ipv4.tcp_syncookies", 0, 1),
    ("net.ipv4.tcp_tso_win_divisor", 0, 255),
    ("net.ipv4.tcp_tw_reuse", 0, 2),
    ("net.ipv4.tcp_workaround_signed_windows", 0, 0),
    ("net.core.somaxconn", 1, i64::MAX),
    ("net.core.rmem_max", 0, i64::MAX),
    ("net.core.wmem_max", 0, i64::MAX),
    ("kern.ipc.maxsockbuf", 0, i64::MAX),
    ("kern.ipc.soacceptqueue", 1, i64::MAX),
    ("net.inet.tcp.blackhole", 0, 0),
    ("net.inet.tcp.drop_synfin", 0, 0),
    ("net.inet.tcp.hostcache.purgenow", 0, 1),
    ("net.inet.tcp.icmp_may_rst", 1, 1),
    ("net.inet.tcp.insecure_rst", 0, 0),
    ("net.inet.tcp.insecure_syn", 0, 0),
    ("net.inet.tcp.rexmit_drop_options", 0, 0),
    ("net.inet.tcp.syncookies", 0, 1),
    ("net.inet.tcp.tso", 0, 1),
];

/// Names whose value changes something.
const CHANGING: &[(&str, Apply)] = &[
    ("net.ipv4.tcp_ecn", ecn),
    ("net.ipv4.tcp_ecn_option", ecn_option),
    ("net.inet.tcp.ecn.enable", |s, v| ecn(s, if v == 4 { 5 } else { v }) && v < 5),
    ("net.ipv4.tcp_fastopen", |s, v| {
        s.fast_open = v;
        v & !FAST_OPEN_KNOWN == 0
    }),
    ("net.inet.tcp.fastopen.client_enable", |s, v| fast_open(s, FAST_OPEN_CLIENT, v)),
    ("net.inet.tcp.fastopen.server_enable", |s, v| fast_open(s, FAST_OPEN_SERVER, v)),
    ("net.ipv4.tcp_timestamps", |s, v| on_off(&mut s.tcp.timestamps, v)),
    ("net.inet.tcp.tolerate_missing_ts", |s, v| on_off(&mut s.tcp.timestamps_required, 1 - v)),
    ("net.ipv4.tcp_sack", |s, v| on_off(&mut s.tcp.sack, v)),
    ("net.inet.tcp.sack.enable", |s, v| on_off(&mut s.tcp.sack, v)),
    ("net.ipv4.tcp_window_scaling", |s, v| on_off(&mut s.tcp.window_scaling, v)),
    ("net.ipv4.tcp_slow_start_after_idle", |s, v| on_off(&mut s.tcp.slow_start_after_idle, v)),
    ("net.ipv4.tcp_syn_retries", |s, v| small(&mut s.tcp.syn_retries, v)),
    ("net.ipv4.tcp_synack_retries", |s, v| small(&mut s.tcp.syn_ack_retries, v)),
    ("net.ipv4.tcp_retries2", |s, v| small(&mut s.tcp.retries, v)),
    // No system has it.
    ("weft.user_timeout_exchange", user_timeout_exchange),
    ("net.ipv4.tcp_fin_timeout", |s, v| span(&mut s.tcp.fin_wait_2, v, 1_000)),
    ("net.ipv4.tcp_rto_max_ms", |s, v| span(&mut s.tcp.rto_max, v, 1)),
    ("net.ipv4.tcp_rto_min_us", |s, v| v % 1_000 == 0 && span(&mut s.tcp.rto_min, v / 1_000, 1)),
    ("net.ipv4.tcp_keepalive_time", |s, v| keep_alive(s, v, 1_000, |k| &mut k.idle)),
    ("net.ipv4.tcp_keepalive_intvl", |s, v| keep_alive(s, v, 1_000, |k| &mut k.interval)),
    ("net.ipv4.tcp_keepalive_probes", |s, v| small(&mut s.keep_alive.probes, v)),
    ("net.inet.tcp.keepcnt", |s, v| small(&mut s.keep_alive.probes, v)),
    ("net.ipv4.tcp_notsent_lowat", |s, v| {
        u32::try_from(v).is_ok_and(|bytes| {
            s.tcp.unsent_bytes_max = if bytes == 0 { u32::MAX } else { bytes };
            true
        })
    }),
    ("net.ipv4.ip_no_pmtu_disc", |s, v| path_discovery(s, v == 0) && (0..=1).contains(&v)),
    ("net.inet.tcp.path_mtu_discovery", |s, v| path_discovery(s, v == 1) && (0..=1).contains(&v)),
    ("net.ipv4.tcp_mtu_probing", mtu_probing),
    ("net.ipv4.tcp_base_mss", |s, v| wide(&mut s.tcp.probe_base_mss, v)),
    ("net.ipv4.tcp_mtu_probe_floor", |s, v| wide(&mut s.tcp.probe_floor_mss, v)),
    ("net.ipv4.tcp_probe_interval", |s, v| span(&mut s.tcp.probe_interval, v, 1_000)),
    ("net.inet.tcp.pmtud_blackhole_detection", |s, v| (0..=1).contains(&v) && mtu_probing(s, v)),
    ("net.inet.tcp.pmtud_blackhole_mss", |s, v| wide(&mut s.tcp.probe_base_mss, v)),
    ("net.inet.tcp.v6pmtud_blackhole_mss", |s, v| wide(&mut s.tcp.probe_base_mss, v)),
    ("net.ipv4.tcp_moderate_rcvbuf", |s, v| {
        let known = on_off(&mut s.receive_buffer_grows, v);
        s.bound_receive_buffer();
        known
    }),
    ("net.ipv4.tcp_rmem", receive_buffer),
    ("net.ipv4.tcp_wmem", send_buffer),
    ("net.inet.tcp.rfc1323", |s, v| {
        s.tcp.timestamps = v == 1 || v == 3;
        s.tcp.window_scaling = v == 1 || v == 2;
        (0..=3).contains(&v)
    }),
    ("net.inet.tcp.recvspace", receive_buffer),
    ("net.inet.tcp.sendspace", send_buffer),
    ("net.inet.tcp.rexmit_initial", |s, v| span(&mut s.tcp.rto_initial, v, 1)),
    // The least timeout is the sum of these two.
    ("net.inet.tcp.rexmit_min", |s, v| span(&mut s.tcp.rto_min, v.saturating_add(REXMIT_SLOP_MS), 1)),
    ("net.inet.tcp.rexmit_slop", |s, v| span(&mut s.tcp.rto_min, v.saturating_add(REXMIT_MIN_MS), 1)),
    ("net.inet.tcp.finwait2_timeout", |s, v| span(&mut s.tcp.fin_wait_2, v, 1)),
    ("net.inet.tcp.delacktime", |s, v| span(&mut s.tcp.delayed_ack, v, 1)),
    ("net.inet.tcp.keepidle", |s, v| keep_alive(s, v, 1, |k| &mut k.idle)),
    ("net.inet.tcp.keepintvl", |s, v| keep_alive(s, v, 1, |k| &mut k.interval)),
    ("net.inet.tcp.initcwnd_segments", |s, v| small(&mut s.tcp.initial_window_segments, v)),
    ("net.inet.tcp.msl", |s, v| {
        span(&mut s.segment_lifetime, v, 1) && {
            s.tcp.time_wait = 2 * s.segment_lifetime;
            true
        }
    }),
];

/// A law of congestion control by the name that Linux or FreeBSD has for it.
pub fn congestion(name: &str) -> Option<tcp::CongestionAlgorithm> {
    tcp::CongestionAlgorithm::from_name(if name == "newreno" { "reno" } else { name })
}

impl Settings {
    /// Sets what the system calls `name`.
    pub fn set(&mut self, name: &str, value: &str) -> Setting {
        let wanted = || Setting::Unsupported(format!("{name}={value}"));
        if name.ends_with("tcp_congestion_control") || name == "net.inet.tcp.cc.algorithm" {
            let Some(law) = congestion(value) else { return wanted() };
            self.tcp.congestion = law;
            return Setting::Done;
        }
        if name == "net.ipv4.tcp_available_congestion_control" {
            return Setting::Done;
        }
        if name == "net.ipv4.tcp_fastopen_key" {
            let mut keys = value.split(',').map(fast_open_key);
            let Some(Some(current)) = keys.next() else { return wanted() };
            self.fast_open_keys = (current, keys.next().flatten());
            return Setting::Done;
        }
        // Of three sizes the middle one is the default.
        let words: Vec<&str> = value.split_whitespace().collect();
        let word = if words.len() == 3 { words[1] } else { value.trim() };
        let Some(number) = number(word) else { return wanted() };
        if let Some((_, from, to)) = FIXED.iter().find(|(known, ..)| *known == name) {
            return if (*from..=*to).contains(&number) { Setting::Done } else { wanted() };
        }
        let Some((_, apply)) = CHANGING.iter().find(|(known, _)| *known == name) else {
            return Setting::Unsupported(format!("sysctl {name}"));
        };
        let before = self.clone();
        let most = match (name, words.as_slice()) {
            ("net.ipv4.tcp_rmem" | "net.ipv4.tcp_wmem", [_, _, most]) => self::number(most),
            _ => None,
        };
        let applied = apply(self, number) && most.is_none_or(|most| buffer_max(self, name, most));
        if applied && self.tcp.check().is_ok() {
            return Setting::Done;
        }
        *self = before;
        wanted()
    }

    fn bound_receive_buffer(&mut self) {
        let grown = if self.receive_buffer_grows { self.receive_buffer_max } else { 0 };
        self.tcp.receive_buffer_bytes = grown.max(self.tcp.receive_start_bytes);
    }

    /// What the suites' `defaults.sh` sets.
    pub fn set_linux_defaults(&mut self) {
        receive_buffer(self, 540_000);
        send_buffer(self, 262_144);
        self.tcp.syn_retries = 5;
        self.tcp.syn_ack_retries = 5;
        self.tcp.slow_start_after_idle = false;
        self.tcp.timestamps = true;
        self.tcp.sack = true;
        self.tcp.congestion = tcp::CongestionAlgorithm::Cubic;
        self.fast_open = FAST_OPEN_CLIENT | FAST_OPEN_SERVER | FAST_OPEN_ALL_LISTENERS;
        self.fast_open_keys = (FAST_OPEN_KEY, None);
    }
}

/// A number as a shell would read it, `$((a*b))` included.
fn number(word: &str) -> Option<i64> {
    if let Some(product) = word.strip_prefix("$((").and_then(|rest| rest.strip_suffix("))")) {
        return product.split('*').try_fold(1_i64, |all, part| all.checked_mul(number(part.trim())?));
    }
    match word.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// A key as Linux has it: four numbers of 32 bits, each with its least byte first.
fn fast_open_key(text: &str) -> Option<[u8; 16]> {
    let mut key = [0; 16];
    let words: Vec<&str> = text.trim().split('-').collect();
    for (place, word) in key.chunks_exact_mut(4).zip(&words) {
        place.copy_from_slice(&u32::from_str_radix(word, 16).ok()?.to_le_bytes());
    }
    (words.len() == 4).then_some(key)
}

fn fast_open(settings: &mut Settings, bit: i64, value: i64) -> bool {
    settings.fast_open = settings.fast_open & !bit | if value == 0 { 0 } else { bit };
    (0..=1).contains(&value)
}

fn on_off(field: &mut bool, value: i64) -> bool {
    *field = value != 0;
    (0..=1).contains(&value)
}

fn small(field: &mut u8, value: i64) -> bool {
    u8::try_from(value).is_ok_and(|value| {
        *field = value;
        true
    })
}

fn wide(field: &mut u16, value: i64) -> bool {
    u16::try_from(value).is_ok_and(|value| {
        *field = value;
        true
    })
}

fn path_discovery(settings: &mut Settings, on: bool) -> bool {
    settings.tcp.path_discovery = if on { PathDiscovery::Want } else { PathDiscovery::Dont };
    true
}

fn mtu_probing(settings: &mut Settings, value: i64) -> bool {
    settings.tcp.mtu_probing = match value {
        0 => MtuProbing::Off,
        1 => MtuProbing::BlackHole,
        2 => MtuProbing::Always,
        _ => return false,
    };
    true
}

fn span(field: &mut Duration, value: i64, unit_ms: u64) -> bool {
    u64::try_from(value).is_ok_and(|value| {
        *field = Duration::from_millis(value.saturating_mul(unit_ms));
        true
    })
}

fn keep_alive(
    settings: &mut Settings,
    value: i64,
    unit_ms: u64,
    field: fn(&mut tcp::KeepAlive) -> &mut Duration,
) -> bool {
    span(field(&mut settings.keep_alive), value, unit_ms)
}

/// Whether user timeouts are told: 0 off, 1 on, 2 and a longer one of the peer's counts.
fn user_timeout_exchange(settings: &mut Settings, value: i64) -> bool {
    use tcp::UserTimeoutExchange::{Changeable, Off, On};
    settings.tcp.user_timeout_exchange = match value {
        0 => Off,
        1 => On,
        2 => Changeable,
        _ => return false,
    };
    true
}

/// When accurate feedback is told by bytes; Linux's numbers.
fn ecn_option(settings: &mut Settings, value: i64) -> bool {
    use tcp::EcnOption::{Always, Changed, Never};
    let Some(option) =
        usize::try_from(value).ok().and_then(|value| [Never, Changed, Always].get(value).copied())
    else {
        return false;
    };
    settings.tcp.ecn_option = option;
    true
}

/// What SYNs ask for, and what is agreed to. Linux's numbers; FreeBSD's 4 is its 5.
fn ecn(settings: &mut Settings, value: i64) -> bool {
    use tcp::EcnFeedback::{Accurate, Classic, Off};
    let (request, accept) = match value {
        0 => (Off, Off),
        1 => (Classic, Classic),
        2 => (Off, Classic),
        3 => (Accurate, Accurate),
        4 => (Classic, Accurate),
        5 => (Off, Accurate),
        _ => return false,
    };
    settings.tcp.ecn_request = request;
    settings.tcp.ecn_accept = accept;
    true
}

fn receive_buffer(settings: &mut Settings, value: i64) -> bool {
    settings.receive_buffer_told = value;
    u32::try_from(value).is_ok_and(|value| {
        settings.tcp.receive_start_bytes = value;
        settings.receive_buffer_max = value;
        settings.bound_receive_buffer();
        true
    })
}

fn send_buffer(settings: &mut Settings, value: i64) -> bool {
    settings.send_buffer_told = value;
    u32::try_from(value).is_ok_and(|value| {
        settings.tcp.send_start_bytes = value;
        settings.tcp.send_buffer_bytes = value;
        true
    })
}

/// The third of three sizes: how far a buffer may grow by itself.
fn buffer_max(settings: &mut Settings, name: &str, value: i64) -> bool {
    u32::try_from(value).is_ok_and(|value| {
        if name == "net.ipv4.tcp_wmem" {
            settings.tcp.send_buffer_bytes = value.max(settings.tcp.send_start_bytes);
        } else {
            settings.receive_buffer_max = value;
            settings.bound_receive_buffer();
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    #[test]
    fn a_setting_is_obeyed_fixed_or_named() {
        let mut settings = Profile::Linux.settings();
        assert_eq!(settings.set("net.ipv4.tcp_timestamps", "0"), Setting::Done);
        assert!(!settings.tcp.timestamps);
        assert_eq!(settings.set("net.ipv4.tcp_sack", "0"), Setting::Done);
        assert!(!settings.tcp.sack);
        assert_eq!(settings.set("net.ipv4.tcp_rmem", "4096 20000 $((15*1024*1024))"), Setting::Done);
        let buffers = |s: &Settings| (s.tcp.receive_start_bytes, s.tcp.receive_buffer_bytes);
        assert_eq!(buffers(&settings), (20_000, 15 << 20));
        assert_eq!(settings.set("net.ipv4.tcp_moderate_rcvbuf", "0"), Setting::Done);
        assert_eq!(buffers(&settings), (20_000, 20_000));
        assert_eq!(settings.set("net.ipv4.tcp_ecn", "2"), Setting::Done);
        assert_eq!(settings.set("net.ipv4.tcp_ecn", "1"), Setting::Done);
        assert_eq!(settings.tcp.ecn_request, tcp::EcnFeedback::Classic);
        for (name, value) in
            [("net.ipv4.tcp_ecn", "9"), ("net.ipv4.tcp_nonsense", "1"), ("net.ipv4.tcp_rmem", "1")]
        {
            assert!(matches!(settings.set(name, value), Setting::Unsupported(_)), "{name}");
        }
        assert_eq!(buffers(&settings), (20_000, 20_000), "what is out of range changes nothing");
    }

    #[test]
    fn freebsd_counts_in_milliseconds() {
        let mut settings = Profile::FreeBsd.settings();
        assert_eq!(settings.set("net.inet.tcp.msl", "500"), Setting::Done);
        assert_eq!(settings.tcp.time_wait, Duration::from_secs(1));
        assert_eq!(settings.set("net.inet.tcp.rfc1323", "0"), Setting::Done);
        assert!(!settings.tcp.timestamps && !settings.tcp.window_scaling);
    }
}
