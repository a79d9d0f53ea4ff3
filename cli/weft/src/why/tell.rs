//! What was found, as a page and as JSON. Programs chose much of the text: none of it drives a terminal.

use super::find::{Found, InForce, Run};
use crate::ledger::entry;
use axiom::Remedy;
use axiom::rules::Host;
use gateway::report::{escape, escape_whole};
use ledger::{Direction, Event, Program, Verdict};
use serde_json::{Value, json};
use std::fmt::Write;
use time::calendar::to_rfc3339;

/// As JSON: the entry as `weft ledger show` has it, and what belongs to it. What is not known is `null`.
pub fn to_json(found: &Found) -> Value {
    let remedy = Remedy::of(&found.entry.event);
    let run = |run: &Run| {
        json!({
            "id": found.entry.run.to_string(),
            "entry": run.number.to_string(),
            "began": to_rfc3339(run.time_ns, 9),
            "command": run.start.command,
            "directory": run.start.directory,
            "host": run.start.host,
            "user": run.start.user,
            "outer": run.start.outer.map(|outer| outer.to_string()),
        })
    };
    let policy = |policy: &InForce| {
        json!({
            "digest": policy.digest.to_string(),
            "source": policy.source,
            "since": policy.number.to_string(),
        })
    };
    let end = found.end.as_ref().map(|(number, close)| {
        json!({
            "entry": number.to_string(),
            "outcome": close.outcome.to_string(),
            "sent_bytes": close.sent_bytes,
            "received_bytes": close.received_bytes,
            "duration_ns": close.duration_ns,
        })
    });
    json!({
        "entry": found.number.to_string(),
        "action": action(found),
        "endpoint": endpoint(found),
        "verdict": found.asked().verdict.to_string(),
        "times": found.times.count,
        "first": to_rfc3339(found.times.first_ns, 9),
        "last": to_rfc3339(found.times.last_ns, 9),
        "asked": entry::to_json(found.number.shard, &found.record, &found.entry),
        "run": found.run.as_ref().map(run),
        "policy": found.policy.as_ref().map(policy),
        "allow": remedy.flags,
        "take_back": remedy.take_back,
        "outer": remedy.is_outer,
        "end": end,
    })
}

/// As lines for people.
pub fn to_page(found: &Found) -> String {
    let asked = found.asked();
    let (number, time) = (found.number, to_rfc3339(found.entry.time_ns, 3));
    let mut page = format!("Entry {number}: {} at {time}\n", asked.verdict);
    let mut line = |label: &str, text: String| {
        // Writing to memory cannot fail.
        let _ = writeln!(page, "  {label:<11} {}", escape_whole(&text));
    };
    line("what", what(found));
    line("why", asked.reason.clone());
    if asked.verdict == Verdict::Refused {
        line("how often", how_often(found));
    } else {
        line("its end", end(found));
    }
    match &asked.program {
        Some(program) => tell_program(program, &mut line),
        None => line("program", "it could not be told which".to_owned()),
    }
    line("run", run(found));
    line("policy", policy(found));
    if asked.verdict == Verdict::Refused {
        let (label, text) = remedy(&Remedy::of(&found.entry.event));
        line(label, text);
    }
    page
}

fn action(found: &Found) -> &'static str {
    let asked = found.asked();
    match (&found.entry.event, asked.direction) {
        (Event::ResolveAuthorize(_), _) => "resolve",
        (_, Some(Direction::Bind)) => "bind",
        (_, Some(Direction::Listen)) => "listen",
        (_, Some(Direction::Accept)) => "accept",
        (_, Some(Direction::Connect) | None) if asked.protocol == Some(ledger::Protocol::Icmp) => "ping",
        (_, Some(Direction::Connect) | None) => "connect",
    }
}

/// What was asked for, as a rule would write it; `None` where the entry only counts.
fn endpoint(found: &Found) -> Option<String> {
    let asked = found.asked();
    if let Some(path) = &asked.path {
        return Some(format!("unix:{path}"));
    }
    let is_own = matches!(asked.direction, Some(Direction::Bind | Direction::Listen));
    let address = if is_own { asked.local } else { asked.remote };
    let host = match (&asked.name, address) {
        (Some(name), _) => name.clone(),
        (None, Some(address)) => Host::from(address.ip()).to_string(),
        (None, None) => return None,
    };
    let protocol = asked.protocol.map(|protocol| format!("{protocol}://")).unwrap_or_default();
    let port = asked.port.map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{protocol}{host}{port}"))
}

fn what(found: &Found) -> String {
    let Some(endpoint) = endpoint(found) else {
        return "more refusals in one second than are told one by one".to_owned();
    };
    let text = match action(found) {
        "connect" => format!("connect to {endpoint}"),
        "accept" => format!("accept a connection from {endpoint}"),
        action => format!("{action} {endpoint}"),
    };
    let asked = found.asked();
    match asked.remote.filter(|_| asked.name.is_some()) {
        Some(address) => format!("{text}, which is {address}"),
        None => text,
    }
}

fn how_often(found: &Found) -> String {
    let times = found.times;
    let (first, last) = (to_rfc3339(times.first_ns, 3), to_rfc3339(times.last_ns, 3));
    match times.count {
        1 => "once in this run".to_owned(),
        count => format!("{count} times in this run, from {first} to {last}"),
    }
}

fn end(found: &Found) -> String {
    let Some((number, close)) = &found.end else {
        let is_connection = matches!(found.entry.event, Event::ConnectionAuthorize(_));
        let text = match (is_connection, found.is_over) {
            _ if found.asked().path.is_some() => "not told: what it carries does not pass through weft",
            (false, _) => "none: what is asked so has no end",
            (true, true) => "not told, and the run is over",
            (true, false) => "not yet, as far as the ledger tells",
        };
        return text.to_owned();
    };
    let (sent, received) = (close.sent_bytes, close.received_bytes);
    let milliseconds = close.duration_ns / 1_000_000;
    let outcome = close.outcome;
    format!("{outcome} after {milliseconds} ms, {sent} B sent, {received} B received (entry {number})")
}

fn tell_program(program: &Program, line: &mut impl FnMut(&str, String)) {
    let user = program.user.map(|user| format!(", user {user}")).unwrap_or_default();
    let container = program.container.as_ref().map(|name| format!(", container {name}")).unwrap_or_default();
    line("program", format!("{}, process {}{user}{container}", program.executable, program.id));
    if let Some(digest) = program.digest {
        line("its BLAKE3", digest.to_string());
    }
    if !program.command_line.is_empty() {
        // As long as a line may be; JSON has all of it.
        line("command", escape(&program.command_line.join(" ")));
    }
    if !program.parents.is_empty() {
        let parents = program.parents.iter().map(|parent| format!("{} [{}]", parent.executable, parent.id));
        line("started by", parents.collect::<Vec<_>>().join(", "));
    }
}

fn run(found: &Found) -> String {
    let id = found.entry.run;
    match &found.run {
        Some(Run { time_ns, start, .. }) => {
            let (began, directory) = (to_rfc3339(*time_ns, 3), &start.directory);
            let inside = start.outer.map(|outer| format!(", inside run {outer}")).unwrap_or_default();
            format!("{id}: {} in {directory}, begun at {began}{inside}", escape(&start.command.join(" ")))
        }
        None => format!("{id}, whose beginning is not in the ledger"),
    }
}

fn policy(found: &Found) -> String {
    match &found.policy {
        Some(InForce { number, digest, source: Some(source) }) => {
            format!("{digest}, of {source}, since entry {number}")
        }
        Some(InForce { number, digest, source: None }) => {
            format!("{digest}, with which the run began (entry {number})")
        }
        None => "not told by the ledger".to_owned(),
    }
}

fn remedy(remedy: &Remedy) -> (&'static str, String) {
    let whose = if remedy.is_outer { ", in the run around this one" } else { "" };
    match (&remedy.take_back, &remedy.flags[..]) {
        (Some(rule), _) => {
            ("take back", format!("{rule}{whose}: nothing allows it as long as that is there"))
        }
        (None, []) => ("allow it", "no rule would: it is refused for another reason".to_owned()),
        (None, [flag]) => ("allow it", format!("{flag}{whose}")),
        (None, flags) => {
            let flags = flags.join(" ");
            ("allow it", format!("{flags}{whose}: both, as the name leads to an inner address"))
        }
    }
}
