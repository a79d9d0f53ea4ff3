//! Socket options. An option that the stack does not have stops the script.

use super::call::{Refused, unsupported};
use super::table::{Answer, Descriptor, Kind, Sockets};
use super::value::{field, figure, number, word};
use crate::run::World;
use crate::settings::congestion;
use crate::syntax::Value;
use std::time::Duration;

/// Options that change nothing here, whatever they are set to: they are remembered.
const REMEMBERED: [&str; 10] = [
    "TCP_FASTOPEN_CONNECT",
    "SO_REUSEADDR",
    "SO_REUSEPORT",
    "SO_PRIORITY",
    "SO_OOBINLINE",
    "SO_BUSY_POLL",
    "IPV6_V6ONLY",
    "SO_NOSIGPIPE",
    "IP_RECVERR",
    "TCP_INQ",
];

/// Options that may be set to what the stack does anyhow.
const FIXED: [(&str, i64); 2] = [("TCP_FASTOPEN_NO_COOKIE", 0), ("SO_ZEROCOPY", 0)];

/// IP_PMTUDISC_DONT, _WANT, _DO and _PROBE, as numbers from 0 on.
const PATH_DISCOVERY: [tcp::PathDiscovery; 4] =
    [tcp::PathDiscovery::Dont, tcp::PathDiscovery::Want, tcp::PathDiscovery::Do, tcp::PathDiscovery::Probe];

/// Linux's bounds of what an option may be set to; outside of them it is EINVAL.
const RANGES: [(&str, i64, i64); 6] = [
    ("TCP_KEEPIDLE", 1, 32_767),
    ("TCP_KEEPINTVL", 1, 32_767),
    ("TCP_KEEPCNT", 1, 127),
    ("TCP_SYNCNT", 1, 127),
    ("TCP_USER_TIMEOUT", 0, i64::MAX),
    ("IPV6_TCLASS", -1, 255),
];
/// The segment sizes that TCP_MAXSEG takes, in bytes; 0 is none.
const MAXSEG: std::ops::RangeInclusive<i64> = 88..=32_767;
/// The longest FIN-WAIT-2 of an orphan that a program may ask for (TCP_LINGER2), in seconds.
const LINGER2_SECONDS_MAX: i64 = 120;
/// And what it is where the program asks for none.
const FIN_WAIT_2: Duration = Duration::from_secs(60);
/// What TCP_DEFER_ACCEPT counts by: the first retransmission of a SYN-ACK, and the longest time between two, in seconds.
const DEFER_SECONDS: (i64, i64) = (1, 120);

impl Sockets {
    /// TCP_CONGESTION: at once on a connection, and for those that a listener accepts from now on.
    fn set_congestion(&mut self, world: &mut World, descriptor: i64, algorithm: &str) -> Refused {
        let Some(law) = congestion(algorithm) else {
            return Err(unsupported(format!("TCP_CONGESTION {algorithm}")));
        };
        self.held(descriptor)?.config.congestion = law;
        self.apply(world, descriptor)
    }

    /// Gives the connection, or those that a listener accepts from now on, what the options of a socket have become.
    fn apply(&mut self, world: &mut World, descriptor: i64) -> Refused {
        let held = self.held(descriptor)?;
        if let Kind::Stream(id) = held.kind {
            let config = held.config.clone();
            let done = world.stack.tcp_configure(id, world.now, |own| *own = config);
            return Ok(done.map_or(Answer::Fails("EINVAL"), |()| Answer::Returns(0)));
        }
        self.listen_again(world, descriptor)?;
        Ok(Answer::Returns(0))
    }

    pub(super) fn set_option(&mut self, world: &mut World, descriptor: i64, arguments: &[Value]) -> Refused {
        let name = word(arguments.get(2)).unwrap_or_default().to_owned();
        let value =
            arguments.get(3).ok_or_else(|| unsupported("a call with too few arguments".to_owned()))?;
        if name == "TCP_CONGESTION" {
            let algorithm = word(Some(value)).unwrap_or_default();
            return self.set_congestion(world, descriptor, algorithm);
        }
        let factor = world.profile.buffer_factor();
        let held = self.held(descriptor)?;
        if name == "SO_LINGER" {
            let part = |name: &str| field(value, name).and_then(figure);
            let (Some(on), Some(seconds)) = (part("onoff"), part("linger")) else {
                return Err(unsupported("SO_LINGER of this form".to_owned()));
            };
            held.linger = (on != 0).then_some(seconds);
            return Ok(Answer::Returns(0));
        }
        let number = number(Some(value)).map_err(unsupported)?;
        if name == "TCP_FASTOPEN" {
            return self.set_fast_open(world, descriptor, number);
        }
        if name == "TCP_QUICKACK" {
            held.remembered.insert(name, number);
            if let Kind::Stream(id) = held.kind {
                world.stack.tcp_set_quick_ack(id, number != 0);
            }
            return Ok(Answer::Returns(0));
        }
        if REMEMBERED.contains(&name.as_str()) || FIXED.contains(&(name.as_str(), number)) {
            held.remembered.insert(name, number);
            return Ok(Answer::Returns(0));
        }
        let outside =
            RANGES.iter().any(|(known, from, to)| *known == name && !(*from..=*to).contains(&number));
        if outside || (name == "TCP_MAXSEG" && number != 0 && !MAXSEG.contains(&number)) {
            return Ok(Answer::Fails("EINVAL"));
        }
        configure(held, &name, number, factor)?;
        self.apply(world, descriptor)
    }

    pub(super) fn option(&mut self, world: &World, descriptor: i64, arguments: &[Value]) -> Refused {
        let name = word(arguments.get(2)).unwrap_or_default().to_owned();
        let held = self.held(descriptor)?;
        let id = match held.kind {
            Kind::Stream(id) => Some(id),
            Kind::Fresh { .. } | Kind::Listening { .. } | Kind::Datagram(_) | Kind::Epoll(_) => None,
        };
        let known = match name.as_str() {
            "SO_RCVBUF" if held.config.receive_whole_segments => {
                let info = id.and_then(|id| world.stack.tcp_info(id, world.now));
                Some(info.map_or(held.receive_told, |info| i64::from(info.receive_buffer_bytes)))
            }
            "SO_RCVBUF" => Some(held.receive_told),
            "SO_SNDBUF" => Some(held.send_told),
            "SO_ACCEPTCONN" => Some(i64::from(matches!(held.kind, Kind::Listening { .. }))),
            "SO_TYPE" => Some(if matches!(held.kind, Kind::Datagram(_)) { 2 } else { 1 }),
            "IP_MTU" | "IPV6_MTU" => {
                id.and_then(|id| world.stack.tcp_info(id, world.now)).map(|info| i64::from(info.path_mtu))
            }
            "TCP_KEEPIDLE" => i64::try_from(held.keep_alive.idle.as_secs()).ok(),
            "TCP_KEEPINTVL" => i64::try_from(held.keep_alive.interval.as_secs()).ok(),
            "TCP_KEEPCNT" => Some(i64::from(held.keep_alive.probes)),
            "SO_KEEPALIVE" => Some(i64::from(held.config.keep_alive.is_some())),
            "TCP_QUICKACK" => id.map(|id| i64::from(world.stack.tcp_is_quick_ack(id))),
            "SO_REUSEADDR" | "SO_REUSEPORT" => Some(held.remembered.get(&name).copied().unwrap_or(0)),
            name => told(&held.config, name).or_else(|| held.remembered.get(name).copied()),
        };
        let congestion = held.config.congestion.name();
        let error = match (name.as_str(), id) {
            ("SO_ERROR", Some(id)) => self.statuses.entry(id).or_default().error.take(),
            _ => None,
        };
        let wanted = arguments.get(3);
        if name == "SO_ERROR" {
            return Ok(compare_error(wanted, error));
        }
        if name == "TCP_CONGESTION" {
            return Ok(match word(wanted) {
                Some(name) if name != congestion => {
                    Answer::Differs(format!("getsockopt TCP_CONGESTION: expected {name}, found {congestion}"))
                }
                _ => Answer::Returns(0),
            });
        }
        let known = known.ok_or_else(|| unsupported(format!("getsockopt {name}")))?;
        if matches!(wanted, Some(Value::Ellipsis)) {
            return Ok(Answer::Returns(0));
        }
        let wanted = number(wanted).map_err(unsupported)?;
        Ok(if wanted == known {
            Answer::Returns(0)
        } else {
            Answer::Differs(format!("getsockopt {name}: expected {wanted}, found {known}"))
        })
    }
}

/// What an option that is part of a connection's profile is told to be.
fn told(config: &tcp::Config, name: &str) -> Option<i64> {
    Some(match name {
        "TCP_NODELAY" => i64::from(!config.nagle),
        "IP_MTU_DISCOVER" | "IPV6_MTU_DISCOVER" => {
            PATH_DISCOVERY.iter().position(|known| *known == config.path_discovery)? as i64
        }
        "TCP_CORK" | "TCP_NOPUSH" => i64::from(config.cork),
        "TCP_SYNCNT" => i64::from(config.syn_retries),
        "TCP_USER_TIMEOUT" => config.user_timeout.map_or(0, |timeout| timeout.as_millis() as i64),
        "TCP_LINGER2" => config.fin_wait_2.as_secs() as i64,
        "TCP_NOTSENT_LOWAT" => i64::from(config.unsent_bytes_max),
        "TCP_DEFER_ACCEPT" => seconds_of(config.accept_defer_retries),
        "IP_TOS" | "IPV6_TCLASS" => i64::from(config.dscp << 2),
        _ => return None,
    })
}

/// How many retransmissions of a SYN-ACK it takes for so many seconds to pass.
fn retries_in(seconds: i64) -> u8 {
    (0..=u8::MAX / 2).find(|retries| seconds_of(*retries) >= seconds).unwrap_or(u8::MAX / 2)
}

/// The seconds that so many retransmissions of a SYN-ACK take.
fn seconds_of(retries: u8) -> i64 {
    let (first, most) = DEFER_SECONDS;
    (0..u32::from(retries)).map(|n| first.checked_shl(n).filter(|s| *s > 0).unwrap_or(most).min(most)).sum()
}

/// SO_ERROR is told by name or as 0.
fn compare_error(wanted: Option<&Value>, error: Option<&'static str>) -> Answer {
    let inner = match wanted {
        Some(Value::List(items)) => items.first(),
        other => other,
    };
    let same = match inner {
        Some(Value::Word(name)) => error == Some(name.as_str()),
        Some(Value::Integer(number)) => match error {
            None => *number == 0,
            Some(name) => errno_number(name) == Some(*number),
        },
        Some(Value::Ellipsis) => true,
        _ => return Answer::Unsupported("SO_ERROR of this form".to_owned()),
    };
    match same {
        true => Answer::Returns(0),
        false => Answer::Differs(format!("getsockopt SO_ERROR: found {}", error.unwrap_or("0"))),
    }
}

/// Linux's numbers of the errors that a connection can end with.
fn errno_number(name: &str) -> Option<i64> {
    Some(match name {
        "EPIPE" => 32,
        "ECONNABORTED" => 103,
        "ECONNRESET" => 104,
        "ETIMEDOUT" => 110,
        "ECONNREFUSED" => 111,
        "EHOSTUNREACH" => 113,
        _ => return None,
    })
}

/// Changes what the connections of a socket will be like.
fn configure(held: &mut Descriptor, name: &str, value: i64, factor: i64) -> Result<(), Answer> {
    let before = held.config.clone();
    let small = u8::try_from(value).unwrap_or(0);
    let seconds = Duration::from_secs(u64::try_from(value).unwrap_or(0));
    let bytes = u32::try_from(value).unwrap_or(0);
    let config = &mut held.config;
    match name {
        "SO_RCVBUF" => {
            held.receive_told = value.saturating_mul(factor);
            config.receive_buffer_bytes = bytes;
            config.receive_start_bytes = bytes;
        }
        "SO_SNDBUF" => {
            held.send_told = value.saturating_mul(factor);
            config.send_buffer_bytes = bytes;
            config.send_start_bytes = bytes;
        }
        "SO_KEEPALIVE" => config.keep_alive = (value != 0).then_some(held.keep_alive),
        "TCP_KEEPIDLE" => held.keep_alive.idle = seconds,
        "TCP_KEEPINTVL" => held.keep_alive.interval = seconds,
        "TCP_KEEPCNT" => held.keep_alive.probes = small,
        "TCP_USER_TIMEOUT" => {
            let told = Duration::from_millis(value.unsigned_abs()).min(tcp::TIMEOUT_MAX);
            config.user_timeout = (value > 0).then_some(told);
        }
        "TCP_SYNCNT" => config.syn_retries = small,
        "TCP_LINGER2" => {
            let told = value.clamp(0, LINGER2_SECONDS_MAX).unsigned_abs();
            config.fin_wait_2 = if value == 0 { FIN_WAIT_2 } else { Duration::from_secs(told) };
        }
        "TCP_MAXSEG" if value == 0 => config.mss_max = tcp::Config::linux().mss_max,
        "TCP_MAXSEG" => config.mss_max = u16::try_from(value).unwrap_or(0),
        "TCP_NODELAY" => config.nagle = value == 0,
        "IP_MTU_DISCOVER" | "IPV6_MTU_DISCOVER" => {
            let known = usize::try_from(value).ok().and_then(|place| PATH_DISCOVERY.get(place));
            config.path_discovery =
                *known.ok_or_else(|| unsupported(format!("setsockopt {name} {value}")))?;
        }
        "TCP_CORK" | "TCP_NOPUSH" => config.cork = value != 0,
        "TCP_NOTSENT_LOWAT" => {
            config.unsent_bytes_max =
                u32::try_from(value).ok().filter(|bytes| *bytes > 0).unwrap_or(u32::MAX);
        }
        "TCP_DEFER_ACCEPT" => config.accept_defer_retries = retries_in(value),
        "IP_TOS" | "IPV6_TCLASS" => config.dscp = (value.max(0) as u8) >> 2,
        name => return Err(unsupported(format!("setsockopt {name}"))),
    }
    if config.keep_alive.is_some() {
        config.keep_alive = Some(held.keep_alive);
    }
    match config.check() {
        Ok(()) => Ok(()),
        Err(_) => {
            held.config = before;
            Err(unsupported(format!("{name} {value}")))
        }
    }
}
