//! Rules as they are written: what is read back as the same.

use super::names::{FLAGS, PROTOCOLS, name_of, types_of};
use super::ruleset::{
    Action, Answer, Chain, DefaultVerdict, FlagsMatch, Hook, List, Match, Per, PortRange, RateLimit, Rule,
    Ruleset, Set, State, States, Target,
};
use crate::rate::{Unit, write_bytes};
use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use core::fmt::{self, Display, Formatter, Write};
use wire::Protocol;
use wire::tcp::Flags;

/// Letters of a line of addresses.
const WIDTH: usize = 100;

impl Display for Ruleset {
    /// Sets, then hooks in the order of a packet's way; an empty line in front of each hook.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for set in &self.sets {
            write_set(f, set)?;
        }
        for (number, hook) in Hook::ALL.into_iter().enumerate() {
            let chain = self.chain(hook);
            if chain.line == 0 {
                continue;
            }
            let is_first = self.sets.is_empty() && self.chains[..number].iter().all(|chain| chain.line == 0);
            f.write_str(if is_first { "" } else { "\n" })?;
            write_chain(f, self, hook, chain)?;
        }
        write_comments(f, "", &self.closing)
    }
}

fn write_comments(f: &mut Formatter<'_>, indent: &str, comments: &[String]) -> fmt::Result {
    comments.iter().try_for_each(|comment| writeln!(f, "{}", (indent.to_owned() + "# " + comment).trim_end()))
}

fn write_set(f: &mut Formatter<'_>, set: &Set) -> fmt::Result {
    write_comments(f, "", &set.comments)?;
    if let Some(file) = &set.file {
        return writeln!(f, "set {} file \"{file}\"", set.name);
    }
    let mut line = String::new();
    let mut is_one_line = true;
    write!(f, "set {} {{", set.name)?;
    for (number, network) in set.networks.iter().enumerate() {
        let item = network.to_string();
        if line.len() + item.len() + 2 > WIDTH - "set {  }".len() - set.name.len() {
            f.write_str(if is_one_line { "\n    " } else { "" })?;
            is_one_line = false;
            write!(f, "{},\n    ", line.trim_start())?;
            line.clear();
        }
        let comma = if line.is_empty() && (number == 0 || !is_one_line) { "" } else { "," };
        write!(line, "{comma} {item}")?;
    }
    match is_one_line {
        true => writeln!(f, "{line} }}"),
        false => writeln!(f, "{}\n}}", line.trim_start()),
    }
}

fn write_chain(f: &mut Formatter<'_>, rules: &Ruleset, hook: Hook, chain: &Chain) -> fmt::Result {
    write_comments(f, "", &chain.comments)?;
    let default = match chain.default {
        DefaultVerdict::Accept => "accept",
        DefaultVerdict::Drop => "drop",
        DefaultVerdict::Reject => "reject",
    };
    writeln!(f, "{} default {default}", hook.name())?;
    for rule in &chain.rules {
        write_comments(f, "    ", &rule.comments)?;
        write!(f, "    {}", rule.shown(&rules.sets))?;
        match &rule.remark {
            Some(remark) => writeln!(f, "  {}", ("# ".to_owned() + remark).trim_end())?,
            None => f.write_char('\n')?,
        }
    }
    Ok(())
}

impl Rule {
    /// The rule's text, with the names of the sets of its file.
    ///
    /// ```
    /// let rules = filter::Ruleset::parse("set a { 192.0.2.1 }\nsend default accept\n drop  to @a   tcp")?;
    /// let rule = &rules.chain(filter::Hook::Send).rules[0];
    /// assert_eq!(rule.shown(&rules.sets).to_string(), "drop tcp to @a");
    /// # Ok::<(), filter::Errors>(())
    /// ```
    pub fn shown<'a>(&'a self, sets: &'a [Set]) -> impl Display + 'a {
        fmt::from_fn(move |f| {
            write_action(f, &self.action)?;
            write_match(f, &self.matches, sets)
        })
    }
}

fn write_action(f: &mut Formatter<'_>, action: &Action) -> fmt::Result {
    match action {
        Action::Accept => f.write_str("accept"),
        Action::Drop => f.write_str("drop"),
        Action::Reject(Answer::Fitting) => f.write_str("reject"),
        Action::Reject(Answer::Prohibited) => f.write_str("reject with prohibited"),
        Action::Reject(Answer::Port) => f.write_str("reject with port"),
        Action::Reject(Answer::Host) => f.write_str("reject with host"),
        Action::Count(None) => f.write_str("count"),
        Action::Count(Some(name)) => write!(f, "count \"{name}\""),
        Action::Limit(limit) => write!(f, "limit {limit}"),
    }
}

fn write_match(f: &mut Formatter<'_>, matches: &Match, sets: &[Set]) -> fmt::Result {
    let plain = |f: &mut Formatter<'_>, text: &String| f.write_str(text);
    write_list(f, " on", &matches.interfaces, plain)?;
    let is_named = |protocol: &Protocol| name_of(&PROTOCOLS, protocol).is_some();
    let word = if matches.protocols.items.iter().all(is_named) && !matches.protocols.negated {
        ""
    } else {
        " protocol"
    };
    write_list(f, word, &matches.protocols, |f, protocol| match name_of(&PROTOCOLS, protocol) {
        Some(name) => f.write_str(name),
        None => write!(f, "{}", protocol.0),
    })?;
    let target = |f: &mut Formatter<'_>, target: &Target| match target {
        Target::Network(network) => write!(f, "{network}"),
        Target::Set(number) => write!(f, "@{}", sets.get(*number).map_or("", |set| set.name.as_str())),
    };
    let ends = [
        (" from", &matches.sources, &matches.source_ports),
        (" to", &matches.destinations, &matches.destination_ports),
    ];
    for (word, targets, ports) in ends {
        if targets.is_any() && !ports.is_any() {
            f.write_str(word)?;
        }
        write_list(f, word, targets, target)?;
        write_list(f, " port", ports, |f, ports| write!(f, "{ports}"))?;
    }
    if let Some(flags) = matches.flags {
        write!(f, " flags {flags}")?;
    }
    let of = matches.protocols.items.first().copied().unwrap_or_default();
    write_list(f, " type", &matches.types, |f, message| {
        match name_of(types_of(of), &message.kind) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{}", message.kind)?,
        }
        message.code.map_or(Ok(()), |code| write!(f, " code {code}"))
    })?;
    if !matches.states.is_any() {
        write!(f, " state {}", matches.states)?;
    }
    match matches.rate {
        None => Ok(()),
        Some(rate) => write!(f, " rate {}{}", if rate.over { "over " } else { "" }, rate.limit),
    }
}

/// A clause: its word, and its items with commas in between.
fn write_list<T>(
    f: &mut Formatter<'_>,
    word: &str,
    list: &List<T>,
    item: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (number, value) in list.items.iter().enumerate() {
        match number {
            0 => write!(f, "{word}{} ", if list.negated { " not" } else { "" })?,
            _ => f.write_str(", ")?,
        }
        item(f, value)?;
    }
    Ok(())
}

impl Display for PortRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl Display for States {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for state in State::ALL.into_iter().filter(|state| self.holds(*state)) {
            write!(f, "{before}{}", state.name())?;
            before = ", ";
        }
        Ok(())
    }
}

impl Display for FlagsMatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_flags(f, self.set)?;
        if self.set != self.of {
            f.write_char('/')?;
            write_flags(f, self.of)?;
        }
        Ok(())
    }
}

fn write_flags(f: &mut Formatter<'_>, flags: Flags) -> fmt::Result {
    if flags == Flags::default() {
        return f.write_str("none");
    }
    let mut before = "";
    for (name, _) in FLAGS.into_iter().filter(|(_, flag)| flags.contains(*flag)) {
        write!(f, "{before}{name}")?;
        before = ",";
    }
    Ok(())
}

impl Display for RateLimit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rate)?;
        if self.burst != self.rate.amount {
            f.write_str(" burst ")?;
            match self.rate.unit {
                Unit::Packets => write!(f, "{}", self.burst)?,
                Unit::Bytes => write_bytes(f, self.burst)?,
            }
        }
        f.write_str(match self.per {
            Per::Rule => "",
            Per::Source => " per source",
            Per::Destination => " per destination",
            Per::Program => " per program",
        })
    }
}
