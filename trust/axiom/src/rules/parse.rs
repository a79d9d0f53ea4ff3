//! The text of a rule: `[tcp://|udp://|icmp://]TARGET[:PORT[-PORT]]`, `dns://TARGET`, or `unix:PATH`.
//!
//! A rule that could be read in two ways is an error, because one of the two readings would be wider than what
//! was meant.

use super::rule::{Network, Ports, Protocol, Rule, Target, masked, width_bits};
use crate::domain::DomainName;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

/// The most letters that a rule has: a name of 253, a scheme, and two ports, with room.
pub const RULE_BYTES_MAX: usize = 300;
/// The most bytes that the path of a Unix socket has: `sun_path` without its closing zero (unix(7)).
pub const UNIX_PATH_BYTES_MAX: usize = 107;

/// A rule cannot be understood: where, and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The rule as it was written.
    pub text: String,
    /// The letter that is wrong, counted from 1; one past the end where something is missing.
    pub column: usize,
    /// What was expected there.
    pub message: String,
}

impl fmt::Display for RuleError {
    /// Three lines: what is wrong, the rule, and a caret below the letter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rule is wrong at column {}: {}", self.column, self.message)?;
        // One letter for each, so that the caret stands right and a terminal is not driven by a rule.
        let shown = self.text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter });
        writeln!(f, "  {}", shown.collect::<String>())?;
        write!(f, "  {:>width$}", '^', width = self.column)
    }
}

impl std::error::Error for RuleError {}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        parse(text).map_err(|wrong| RuleError {
            text: text.to_owned(),
            column: text.get(..wrong.offset).unwrap_or(text).chars().count() + 1,
            message: wrong.message,
        })
    }
}

/// What is wrong, at which byte of the rule.
struct Wrong {
    offset: usize,
    message: String,
}

fn wrong<T>(offset: usize, message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { offset, message: message.into() })
}

fn parse(text: &str) -> Result<Rule, Wrong> {
    if text.len() > RULE_BYTES_MAX {
        return wrong(RULE_BYTES_MAX, "expected a rule of at most 300 letters");
    }
    if let Some((at, _)) = text.char_indices().find(|(_, letter)| letter.is_whitespace()) {
        return wrong(at, "expected no space in a rule");
    }
    if let Some(path) = text.strip_prefix("unix:") {
        let target = Target::Unix(parse_unix_path(path, "unix:".len())?);
        return Ok(Rule { text: text.into(), protocol: None, target, ports: None, is_question: false });
    }
    let (scheme, start) = parse_scheme(text)?;
    let (protocol, is_question) = match scheme {
        Some(Scheme::Protocol(protocol)) => (Some(protocol), false),
        Some(Scheme::Question) => (None, true),
        None => (None, false),
    };
    let (target, end) = parse_target(text, start)?;
    let ports = match text[end..].strip_prefix(':') {
        None if end == text.len() => None,
        None => return wrong(end, "expected ':' and a port, or the end of the rule"),
        Some(_) if protocol == Some(Protocol::Icmp) => {
            return wrong(end, "expected the end of the rule: ICMP has no ports");
        }
        Some(_) if is_question => {
            return wrong(end, "expected the end of the rule: a name is asked for without a port");
        }
        Some(_) => Some(parse_ports(text, end + 1)?),
    };
    Ok(Rule { text: text.into(), protocol, target, ports, is_question })
}

/// A path that is written in the one way in which it is compared: another way to write it would be another rule. A
/// directory's ends in '/'.
fn parse_unix_path(path: &str, start: usize) -> Result<Arc<str>, Wrong> {
    if !path.starts_with('/') {
        return wrong(start, "expected an absolute path, as in unix:/run/service.sock");
    }
    if let Some(at) = path.bytes().position(|byte| byte.is_ascii_control()) {
        return wrong(start + at, "expected no control character in a path");
    }
    if path.len() > UNIX_PATH_BYTES_MAX {
        let at = (0..=UNIX_PATH_BYTES_MAX).rev().find(|at| path.is_char_boundary(*at)).unwrap_or(0);
        return wrong(start + at, "expected a path of at most 107 bytes: a socket's path has no more");
    }
    let mut at = start + 1;
    for part in path[1..].strip_suffix('/').unwrap_or(&path[1..]).split('/') {
        if matches!(part, "" | "." | "..") && path != "/" {
            return wrong(at, "expected the name of a file or directory: no '//', '.' or '..'");
        }
        at += part.len() + 1;
    }
    Ok(path.into())
}

/// What a rule speaks of.
enum Scheme {
    Protocol(Protocol),
    Question,
}

/// What it speaks of, and where the target starts.
fn parse_scheme(text: &str) -> Result<(Option<Scheme>, usize), Wrong> {
    let Some(end) = text.find("://") else { return Ok((None, 0)) };
    let scheme = &text[..end];
    match Protocol::ALL.into_iter().find(|protocol| protocol.scheme().eq_ignore_ascii_case(scheme)) {
        Some(protocol) => Ok((Some(Scheme::Protocol(protocol)), end + 3)),
        None if scheme.eq_ignore_ascii_case("dns") => Ok((Some(Scheme::Question), end + 3)),
        None => wrong(0, "expected tcp://, udp://, icmp://, dns:// or unix:/path"),
    }
}

/// The target that starts at `start`, and where it ends.
fn parse_target(text: &str, start: usize) -> Result<(Target, usize), Wrong> {
    let rest = &text[start..];
    if rest.is_empty() || (rest.starts_with(':') && !rest.starts_with("::")) {
        return wrong(start, "expected a name, *.name, an IPv4 address, an [IPv6] address or a network");
    }
    if rest.starts_with('[') {
        return parse_bracketed(text, start);
    }
    if rest.matches(':').count() > 1 {
        return parse_bare_v6(text, start);
    }
    let end = start + rest.find(':').unwrap_or(rest.len());
    let target = &text[start..end];
    if let Some(slash) = target.find('/') {
        return Ok((Target::Network(parse_v4_network(text, start, start + slash, end)?), end));
    }
    if target.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && target != "." {
        let address = IpAddr::V4(parse_v4(target, start)?);
        return Ok((Target::Network(network(address, 32, start)?), end));
    }
    Ok((parse_name(target, start)?, end))
}

fn parse_name(target: &str, start: usize) -> Result<Target, Wrong> {
    let (below, name, start) = match target.strip_prefix('*') {
        None => (false, target, start),
        Some(rest) => match rest.strip_prefix('.') {
            Some(name) if !name.is_empty() => (true, name, start + 2),
            _ => return wrong(start + 1, "expected *.name: a star stands for all names below one"),
        },
    };
    if let Some(at) = name.find('*') {
        return wrong(start + at, "expected no star here: only a whole first label can be one, as in *.name");
    }
    match DomainName::parse(name) {
        Ok(name) if below => Ok(Target::Below(name)),
        Ok(name) => Ok(Target::Name(name)),
        Err(error) => wrong(start + error.offset, format!("expected {}", error.expected)),
    }
}

fn parse_v4(text: &str, start: usize) -> Result<Ipv4Addr, Wrong> {
    let mut octets = [0; 4];
    let mut count = 0;
    let mut at = start;
    for part in text.split('.') {
        let Some(octet) = octets.get_mut(count) else {
            return wrong(at, "expected the end of the address after four numbers");
        };
        *octet = match part.parse() {
            Ok(value) if is_canonical(part) => value,
            _ => return wrong(at, "expected a number from 0 to 255 without leading zeros"),
        };
        count += 1;
        at += part.len() + 1;
    }
    match count {
        4 => Ok(Ipv4Addr::from(octets)),
        _ => wrong(start + text.len(), "expected an IPv4 address of four numbers"),
    }
}

fn parse_v4_network(text: &str, start: usize, slash: usize, end: usize) -> Result<Network, Wrong> {
    let address = &text[start..slash];
    if address.is_empty() || !address.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return wrong(slash, "expected '/' only after an address, as in 10.0.0.0/8");
    }
    let address = IpAddr::V4(parse_v4(address, start)?);
    network(address, parse_prefix(&text[slash + 1..end], slash + 1, 32)?, start)
}

fn parse_v6(text: &str, start: usize) -> Result<IpAddr, Wrong> {
    if let Some(at) = text.find('%') {
        return wrong(start + at, "expected no zone: a rule speaks of addresses, not of interfaces");
    }
    match text.parse::<Ipv6Addr>() {
        Ok(address) => Ok(IpAddr::V6(address)),
        Err(_) => wrong(start, "expected an IPv6 address"),
    }
}

/// `[ADDRESS]`, `[ADDRESS]/BITS` or `[ADDRESS/BITS]`.
fn parse_bracketed(text: &str, start: usize) -> Result<(Target, usize), Wrong> {
    let inside = start + 1;
    let Some(close) = text[inside..].find(']').map(|at| inside + at) else {
        return wrong(text.len(), "expected ']' after the IPv6 address");
    };
    let content = &text[inside..close];
    if let Some(slash) = content.find('/') {
        let address = parse_v6(&content[..slash], inside)?;
        let bits = parse_prefix(&content[slash + 1..], inside + slash + 1, 128)?;
        return Ok((Target::Network(network(address, bits, inside)?), close + 1));
    }
    let address = parse_v6(content, inside)?;
    let after = close + 1;
    if !text[after..].starts_with('/') {
        return Ok((Target::Network(network(address, 128, inside)?), after));
    }
    let end = text[after..].find(':').map_or(text.len(), |at| after + at);
    let bits = parse_prefix(&text[after + 1..end], after + 1, 128)?;
    Ok((Target::Network(network(address, bits, inside)?), end))
}

/// An IPv6 network without brackets, which cannot have a port. An address needs them: what stands behind its last colon
/// could be a port.
fn parse_bare_v6(text: &str, start: usize) -> Result<(Target, usize), Wrong> {
    let rest = &text[start..];
    if rest.contains(['[', ']']) {
        return wrong(start, "expected an IPv6 address in brackets from the start, as in [fd00::1]:443");
    }
    if let Some(slash) = rest.find('/') {
        if rest[slash..].contains(':') {
            return wrong(
                start,
                "expected brackets around an IPv6 network with a port, as in [fd00::]/8:443",
            );
        }
        let address = parse_v6(&rest[..slash], start)?;
        let bits = parse_prefix(&rest[slash + 1..], start + slash + 1, 128)?;
        return Ok((Target::Network(network(address, bits, start)?), text.len()));
    }
    parse_v6(rest, start)?;
    let with_port = rest
        .rsplit_once(':')
        .filter(|(shorter, port)| {
            shorter.parse::<Ipv6Addr>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit())
        })
        .map(|(shorter, port)| format!(", or [{shorter}]:{port}"));
    wrong(start, format!("expected brackets: [{rest}]{}", with_port.unwrap_or_default()))
}

fn parse_prefix(text: &str, start: usize, bits_max: u8) -> Result<u8, Wrong> {
    match text.parse::<u8>() {
        Ok(bits) if bits <= bits_max && is_canonical(text) => Ok(bits),
        _ => wrong(start, format!("expected a prefix length from 0 to {bits_max} without leading zeros")),
    }
}

fn network(address: IpAddr, prefix_bits: u8, start: usize) -> Result<Network, Wrong> {
    let prefix_bits = prefix_bits.min(width_bits(address));
    match Network::new(address, prefix_bits) {
        Some(network) => Ok(network),
        None => wrong(
            start,
            format!(
                "expected {}/{prefix_bits}: bits are set behind the prefix",
                masked(address, prefix_bits)
            ),
        ),
    }
}

fn parse_ports(text: &str, start: usize) -> Result<Ports, Wrong> {
    let rest = &text[start..];
    let Some(dash) = rest.find('-') else {
        let port = parse_port(rest, start)?;
        return Ok(Ports { first: port, last: port });
    };
    let first = parse_port(&rest[..dash], start)?;
    let last = parse_port(&rest[dash + 1..], start + dash + 1)?;
    if last < first {
        return wrong(start + dash + 1, format!("expected a port not below {first}"));
    }
    Ok(Ports { first, last })
}

fn parse_port(text: &str, start: usize) -> Result<u16, Wrong> {
    match text.parse::<u16>() {
        Ok(port) if port != 0 && is_canonical(text) => Ok(port),
        _ => wrong(start, "expected a port from 1 to 65535 without leading zeros"),
    }
}

/// Whether a decimal number is written in its one canonical way: digits alone, no sign, no leading zero.
fn is_canonical(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}
