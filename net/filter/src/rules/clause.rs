//! The parts of a rule: `ACTION [on ...] [PROTOCOL] [from ...] [to ...] [flags ...] [type ...] [state ...] [rate ...]`.
//!
//! Clauses stand in any order, each at most once, but that ports, control bits and types follow the protocol that they
//! are about: a rule that could be read in two ways is an error.

use super::lexer::{Cursor, Stop};
use super::names::{FLAGS, PROTOCOLS, types_of, value_of};
use super::parse::{ITEMS_MAX, NAME_BYTES_MAX, SetNames, name};
use super::ruleset::{
    Action, Answer, FlagsMatch, IcmpType, List, Match, Per, PortRange, RateLimit, RateMatch, State, States,
    Target,
};
use crate::network::Network;
use crate::rate::{AMOUNT_MAX, BYTE_UNITS, Period, Rate, Unit};
use alloc::borrow::ToOwned;
use wire::Protocol;
use wire::tcp::Flags;

/// What a rule begins with.
pub(super) fn action(cursor: &mut Cursor<'_>) -> Result<Option<Action>, Stop> {
    let action = match cursor.peek() {
        "accept" => Action::Accept,
        "drop" => Action::Drop,
        "reject" => Action::Reject(Answer::Fitting),
        "count" => Action::Count(None),
        "limit" => {
            cursor.next();
            return Ok(Some(Action::Limit(rate_limit(cursor)?)));
        }
        _ => return Ok(None),
    };
    cursor.next();
    match action {
        Action::Reject(_) if cursor.take("with") => Ok(Some(Action::Reject(answer(cursor)?))),
        Action::Count(_) if cursor.peek() == "\"" => {
            let start = *cursor;
            let text = cursor.quoted()?;
            if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
                return start.expected(format_args!("a name of 1 to {NAME_BYTES_MAX} bytes"));
            }
            Ok(Some(Action::Count(Some(text.to_owned()))))
        }
        action => Ok(Some(action)),
    }
}

fn answer(cursor: &mut Cursor<'_>) -> Result<Answer, Stop> {
    let answer = match cursor.peek() {
        "prohibited" => Answer::Prohibited,
        "port" => Answer::Port,
        "host" => Answer::Host,
        _ => return cursor.expected("prohibited, port or host"),
    };
    cursor.next();
    Ok(answer)
}

/// Every clause that is left on the line.
pub(super) fn matches(cursor: &mut Cursor<'_>, sets: &SetNames) -> Result<Match, Stop> {
    let mut matches = Match::default();
    while !cursor.is_at_end() {
        let start = *cursor;
        let is_new = match cursor.next() {
            "on" => matches.interfaces.fill(list(cursor, interface)?),
            "from" => addresses(cursor, sets, matches.protocols.items.as_slice())?
                .fill(&mut matches.sources, &mut matches.source_ports),
            "to" => addresses(cursor, sets, matches.protocols.items.as_slice())?
                .fill(&mut matches.destinations, &mut matches.destination_ports),
            "protocol" => matches.protocols.fill(list(cursor, protocol)?),
            word if value_of(&PROTOCOLS, word).is_some() => {
                *cursor = start;
                matches.protocols.fill(list(cursor, protocol)?)
            }
            "flags" if matches.protocols.is_only(Protocol::TCP) => {
                matches.flags.replace(flags(cursor)?).is_none()
            }
            "flags" => {
                return start.stop("only TCP has flags: expected tcp, and nothing else, in front of them");
            }
            "type" => {
                let only = [Protocol::ICMP, Protocol::ICMPV6];
                let Some(of) = only.into_iter().find(|protocol| matches.protocols.is_only(*protocol)) else {
                    return start.stop(
                        "types have different numbers in icmp and icmpv6: expected one of them in front",
                    );
                };
                matches.types.fill(list(cursor, |cursor| icmp_type(cursor, of))?)
            }
            "state" => {
                let is_new = matches.states.is_any();
                matches.states = states(cursor)?;
                is_new
            }
            "rate" => {
                let over = cursor.take("over");
                let limit = rate_limit(cursor)?;
                matches.rate.replace(RateMatch { over, limit }).is_none()
            }
            _ => {
                return start
                    .expected("on, a protocol, from, to, flags, type, state, rate, or the end of the rule");
            }
        };
        if !is_new {
            return start.stop("this was said before: each is said once in a rule");
        }
    }
    Ok(matches)
}

impl<T> List<T> {
    /// Takes what was read; whether nothing was there.
    fn fill(&mut self, list: Self) -> bool {
        let is_new = self.is_any();
        *self = list;
        is_new
    }
}

impl List<Protocol> {
    fn is_only(&self, protocol: Protocol) -> bool {
        self.items == [protocol] && !self.negated
    }
}

/// What stands behind `from` or `to`.
#[derive(Default)]
struct Addresses {
    targets: List<Target>,
    ports: List<PortRange>,
}

impl Addresses {
    fn fill(self, targets: &mut List<Target>, ports: &mut List<PortRange>) -> bool {
        let is_new = targets.is_any() && ports.is_any();
        (*targets, *ports) = (self.targets, self.ports);
        is_new
    }
}

fn addresses(cursor: &mut Cursor<'_>, sets: &SetNames, protocols: &[Protocol]) -> Result<Addresses, Stop> {
    let mut addresses = Addresses::default();
    if cursor.peek() != "port" {
        addresses.targets = list(cursor, |cursor| target(cursor, sets))?;
    }
    let start = *cursor;
    if cursor.take("port") {
        let has_ports = |protocol: &Protocol| matches!(*protocol, Protocol::TCP | Protocol::UDP);
        if protocols.is_empty() || !protocols.iter().all(has_ports) {
            return start.stop("only TCP and UDP have ports: expected tcp, udp or both in front of them");
        }
        addresses.ports = list(cursor, ports)?;
    }
    Ok(addresses)
}

/// `[not] ITEM[, ITEM]...`
fn list<T>(
    cursor: &mut Cursor<'_>,
    mut item: impl FnMut(&mut Cursor<'_>) -> Result<T, Stop>,
) -> Result<List<T>, Stop> {
    let mut list = List { negated: cursor.take("not"), ..List::default() };
    loop {
        if list.items.len() >= ITEMS_MAX {
            return cursor
                .stop(alloc::format!("at most {ITEMS_MAX} stand in one list; a set takes more addresses"));
        }
        list.items.push(item(cursor)?);
        if !cursor.take(",") {
            return Ok(list);
        }
    }
}

fn interface(cursor: &mut Cursor<'_>) -> Result<alloc::string::String, Stop> {
    name(cursor, "the name of an interface")
}

fn protocol(cursor: &mut Cursor<'_>) -> Result<Protocol, Stop> {
    let word = cursor.peek();
    let known = value_of(&PROTOCOLS, word).or_else(|| number(word).map(Protocol));
    let Some(protocol) = known else {
        return cursor.expected("tcp, udp, icmp, icmpv6, or protocol and a number of 0 to 255");
    };
    cursor.next();
    Ok(protocol)
}

fn target(cursor: &mut Cursor<'_>, sets: &SetNames) -> Result<Target, Stop> {
    let word = cursor.peek();
    let target = match word.strip_prefix('@') {
        Some(name) => match sets.find(name) {
            Some(number) => Target::Set(number),
            None => return cursor.stop("no set of this name stands above"),
        },
        None => match word.parse::<Network>() {
            Ok(network) => Target::Network(network),
            Err(wrong) => return cursor.stop(alloc::format!("{wrong}, or @ and the name of a set")),
        },
    };
    cursor.next();
    Ok(target)
}

fn ports(cursor: &mut Cursor<'_>) -> Result<PortRange, Stop> {
    let word = cursor.peek();
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => {
            cursor.next();
            Ok(PortRange { first, last })
        }
        _ => cursor.expected("a port of 0 to 65535, or two with a hyphen between, the lower one first"),
    }
}

/// `FLAG[,FLAG]...[/FLAG[,FLAG]...]`: the marks in between are words of their own.
fn flags(cursor: &mut Cursor<'_>) -> Result<FlagsMatch, Stop> {
    let mut read = FlagsMatch { set: Flags::default(), of: Flags::default() };
    let mut is_behind = false;
    loop {
        let word = cursor.peek();
        let (front, behind) = match word.split_once('/') {
            Some((front, behind)) if !is_behind => (front, Some(behind)),
            Some(_) => return cursor.expected("one / at most between flags"),
            None => (word, None),
        };
        for (text, starts_behind) in [(Some(front), false), (behind, true)] {
            let Some(text) = text else { continue };
            is_behind |= starts_behind;
            // "none" says that nothing has to be set.
            let flag =
                if text == "none" && !is_behind { Some(Flags::default()) } else { value_of(&FLAGS, text) };
            let Some(flag) = flag else {
                return cursor
                    .expected("fin, syn, rst, psh, ack, urg, ece, cwr or ae, as in syn or syn/syn,ack");
            };
            if is_behind { read.of |= flag } else { read.set |= flag }
        }
        cursor.next();
        if !cursor.take(",") {
            break;
        }
    }
    if !is_behind {
        read.of = read.set;
    }
    if !read.of.contains(read.set) || read.of == Flags::default() {
        return cursor
            .stop("flags that have to be set stand among those that are looked at, behind the /, as well");
    }
    Ok(read)
}

fn icmp_type(cursor: &mut Cursor<'_>, of: Protocol) -> Result<IcmpType, Stop> {
    let word = cursor.peek();
    let Some(kind) = value_of(types_of(of), word).or_else(|| number(word)) else {
        return cursor.expected("a type's name, as echo-request, or its number of 0 to 255");
    };
    cursor.next();
    if !cursor.take("code") {
        return Ok(IcmpType { kind, code: None });
    }
    let Some(code) = number(cursor.peek()) else {
        return cursor.expected("a code of 0 to 255");
    };
    cursor.next();
    Ok(IcmpType { kind, code: Some(code) })
}

fn states(cursor: &mut Cursor<'_>) -> Result<States, Stop> {
    let mut states = States::default();
    loop {
        let word = cursor.peek();
        let Some(state) = State::ALL.into_iter().find(|state| state.name() == word) else {
            return cursor.expected("new, established, related, invalid or untracked");
        };
        if !states.insert(state) {
            return cursor.stop("this state was said before");
        }
        cursor.next();
        if !cursor.take(",") {
            return Ok(states);
        }
    }
}

/// `AMOUNT/PERIOD` or `AMOUNT UNIT/PERIOD`, then `burst AMOUNT [UNIT]`, then `per WHOM`.
pub(super) fn rate_limit(cursor: &mut Cursor<'_>) -> Result<RateLimit, Stop> {
    let start = *cursor;
    let word = cursor.next();
    let (amount, unit, period) = match word.split_once('/') {
        Some((amount, period)) => (number(amount), Some((Unit::Packets, 1)), Some(period)),
        None => {
            let (unit, period) = cursor.peek().split_once('/').unzip();
            let unit = unit.and_then(|unit| value_of(&BYTE_UNITS, unit)).map(|size| (Unit::Bytes, size));
            (number(word), unit, period)
        }
    };
    let period = period.and_then(|name| Period::ALL.into_iter().find(|period| period.name() == name));
    let (Some(amount), Some((unit, size)), Some(period)) = (amount, unit, period) else {
        return start
            .expected("a rate, as 10/second, 300/minute or 5 mbytes/second; second, minute, hour or day");
    };
    if unit == Unit::Bytes {
        cursor.next();
    }
    let amount = scaled(&start, amount, size)?;
    let burst = if cursor.take("burst") { burst(cursor, unit)? } else { amount };
    let per = if cursor.take("per") { per(cursor)? } else { Per::Rule };
    Ok(RateLimit { rate: Rate { amount, unit, period }, burst, per })
}

fn burst(cursor: &mut Cursor<'_>, unit: Unit) -> Result<u64, Stop> {
    let start = *cursor;
    let Some(amount) = number(cursor.next()) else {
        return start.expected("how much may come at once, as in burst 20 or burst 64 kbytes");
    };
    let size = match unit {
        Unit::Packets => 1,
        Unit::Bytes => match value_of(&BYTE_UNITS, cursor.peek()) {
            None => return cursor.expected("bytes, kbytes, mbytes or gbytes, as the rate has"),
            Some(size) => {
                cursor.next();
                size
            }
        },
    };
    scaled(&start, amount, size)
}

fn scaled(start: &Cursor<'_>, amount: u64, size: u64) -> Result<u64, Stop> {
    match amount.checked_mul(size) {
        Some(amount) if (1..=AMOUNT_MAX).contains(&amount) => Ok(amount),
        _ => start.expected("an amount of at least 1 and at most a million gbytes"),
    }
}

fn per(cursor: &mut Cursor<'_>) -> Result<Per, Stop> {
    let per = match cursor.peek() {
        "source" => Per::Source,
        "destination" => Per::Destination,
        "program" => Per::Program,
        _ => return cursor.expected("source, destination or program"),
    };
    cursor.next();
    Ok(per)
}

/// A number in plain digits.
pub(crate) fn number<T: core::str::FromStr>(word: &str) -> Option<T> {
    let is_plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| is_plain)
}
