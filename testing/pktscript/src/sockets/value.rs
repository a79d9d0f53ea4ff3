//! What names and structures in a call stand for.

use crate::syntax::Value;
use std::net::{IpAddr, SocketAddr};

/// Names that stand for numbers, Linux's; only their difference matters.
const NAMES: &[(&str, i64)] = &[
    ("AF_INET", 2),
    ("AF_INET6", 10),
    ("PF_INET", 2),
    ("PF_INET6", 10),
    ("SOCK_STREAM", 1),
    ("SOCK_DGRAM", 2),
    ("SOCK_RAW", 3),
    ("SOCK_NONBLOCK", O_NONBLOCK),
    ("SOCK_CLOEXEC", 0o2_000_000),
    ("IPPROTO_IP", 0),
    ("IPPROTO_TCP", 6),
    ("IPPROTO_UDP", 17),
    ("O_RDONLY", 0),
    ("O_RDWR", 2),
    ("O_NONBLOCK", O_NONBLOCK),
    ("FD_CLOEXEC", 1),
    ("SHUT_RD", 0),
    ("SHUT_WR", 1),
    ("SHUT_RDWR", 2),
    ("POLLIN", 1),
    ("POLLPRI", 2),
    ("POLLOUT", 4),
    ("POLLERR", 8),
    ("POLLHUP", 0x10),
    ("POLLRDHUP", 0x2000),
    ("EPOLLIN", 1),
    ("EPOLLPRI", 2),
    ("EPOLLOUT", 4),
    ("EPOLLERR", 8),
    ("EPOLLHUP", 0x10),
    ("EPOLLRDHUP", 0x2000),
    ("EPOLLONESHOT", 1 << 30),
    ("EPOLLET", 1 << 31),
    ("MSG_DONTWAIT", 0x40),
    ("MSG_WAITALL", 0x100),
    ("MSG_NOSIGNAL", 0x4000),
    ("MSG_FASTOPEN", 0x2000_0000),
    ("IP_PMTUDISC_DO", 2),
    ("IP_PMTUDISC_WANT", 1),
    ("IP_PMTUDISC_DONT", 0),
    ("IP_PMTUDISC_PROBE", 3),
    ("IPV6_PMTUDISC_DO", 2),
    ("IPV6_PMTUDISC_WANT", 1),
    ("IPV6_PMTUDISC_DONT", 0),
    ("IPV6_PMTUDISC_PROBE", 3),
];

/// A descriptor that does not block.
pub const O_NONBLOCK: i64 = 0o4_000;

/// The number that a value stands for.
pub fn figure(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Word(name) => NAMES.iter().find(|(known, _)| known == name).map(|(_, number)| *number),
        Value::Either(parts) => parts.iter().map(figure).try_fold(0, |all, part| Some(all | part?)),
        Value::Apply(name, arguments) if matches!(name.as_str(), "htons" | "htonl") => {
            figure(arguments.first()?)
        }
        Value::List(items) => match items.as_slice() {
            [single] => figure(single),
            _ => None,
        },
        Value::Ellipsis | Value::Text(_) | Value::Record(_) | Value::Tuple(_) | Value::Apply(..) => None,
    }
}

/// The number, or what stands there instead of one.
pub fn number(value: Option<&Value>) -> Result<i64, String> {
    let value = value.ok_or("a call with too few arguments")?;
    figure(value).ok_or_else(|| name_of(value))
}

/// The first name in a value that stands for no number here.
fn name_of(value: &Value) -> String {
    match value {
        Value::Word(name) => name.clone(),
        Value::Either(parts) => {
            parts.iter().find(|part| figure(part).is_none()).map_or_else(String::new, name_of)
        }
        other => format!("argument {other:?}"),
    }
}

/// The name that a value is.
pub fn word(value: Option<&Value>) -> Option<&str> {
    match value? {
        Value::Word(name) | Value::Text(name) => Some(name),
        _ => None,
    }
}

/// A field of a record.
pub fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Record(fields) => fields.iter().find(|(known, _)| known == name).map(|(_, value)| value),
        Value::List(items) => items.first().and_then(|item| field(item, name)),
        _ => None,
    }
}

/// The address and port that a value stands for; `...` is `default`.
pub fn address(value: Option<&Value>, default: SocketAddr) -> Result<SocketAddr, String> {
    let value = value.ok_or("a call with too few arguments")?;
    if *value == Value::Ellipsis {
        return Ok(default);
    }
    let unknown = || format!("address {value:?}");
    let port = field(value, "sin_port")
        .or_else(|| field(value, "sin6_port"))
        .and_then(figure)
        .ok_or_else(unknown)?;
    let port = u16::try_from(port).map_err(|_| unknown())?;
    let text = match field(value, "sin_addr").or_else(|| field(value, "sin6_addr")) {
        Some(Value::Apply(_, arguments)) => arguments.last().and_then(|text| word(Some(text))),
        _ => None,
    };
    let address: IpAddr = text.and_then(|text| text.parse().ok()).ok_or_else(unknown)?;
    Ok(SocketAddr::new(address, port))
}

/// The bytes of an array of buffers `{..., length}`.
pub fn buffers(value: &Value) -> Option<usize> {
    let Value::List(items) = value else { return None };
    items.iter().try_fold(0_usize, |all, item| match item {
        Value::Tuple(parts) => all.checked_add(usize::try_from(figure(parts.get(1)?)?).ok()?),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_join_and_unknown_ones_are_told() {
        let word = |name: &str| Value::Word(name.to_owned());
        let flags = Value::Either(vec![word("O_RDWR"), word("O_NONBLOCK")]);
        assert_eq!(figure(&flags), Some(0o4_002));
        let flags = Value::Either(vec![word("MSG_DONTWAIT"), word("MSG_ZEROCOPY")]);
        assert_eq!(number(Some(&flags)), Err("MSG_ZEROCOPY".to_owned()));
        assert_eq!(number(None), Err("a call with too few arguments".to_owned()));
    }
}
