//! One entry: as JSON, as a line of a table, and as a page.

use gateway::report::escape_whole;
use ledger::checkpoint::Checkpoint;
use ledger::{Authorization, Entry, EntryNumber, Event, Program, Record, ShardNumber, Verdict};
use rustix::termios::tcgetwinsize;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::io::IsTerminal;
use time::calendar::to_rfc3339;

/// How entries are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// An object a line.
    Json,
    /// A line of words.
    Plain,
    /// The same for a terminal of so many columns: with a head, refusals in red, and what does not fit cut off.
    Table(usize),
}

impl Style {
    /// What standard output takes.
    pub fn of_stdout(json: bool) -> Self {
        match json {
            true => Self::Json,
            false if std::io::stdout().is_terminal() => {
                let size = tcgetwinsize(std::io::stdout());
                let columns = size.map_or(0, |size| usize::from(size.ws_col));
                Self::Table(if columns == 0 { COLUMNS_DEFAULT } else { columns })
            }
            false => Self::Plain,
        }
    }

    /// What stands above the entries.
    pub fn header(self) -> String {
        match self {
            Self::Json | Self::Plain => String::new(),
            Self::Table(_) => self.columns(&["ENTRY", "TIME", "VERDICT", "WHAT", "PROGRAM", "WHERE", "WHY"]),
        }
    }

    /// One entry, with its newline.
    pub fn line(self, shard: ShardNumber, record: &Record, entry: &Entry) -> String {
        if self == Self::Json {
            return format!("{}\n", to_json(shard, record, entry));
        }
        let line = self.columns(&words(shard, record, entry, self).each_ref().map(String::as_str));
        let is_red = matches!(self, Self::Table(_))
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && entry.event.authorization().is_some_and(|asked| asked.verdict == Verdict::Refused);
        match is_red {
            true => format!("\x1b[31m{}\x1b[0m\n", line.trim_end_matches('\n')),
            false => line,
        }
    }
}

/// How wide a terminal is taken to be that does not say.
const COLUMNS_DEFAULT: usize = 80;
/// The least widths of the columns: entries are printed as they are read, and what is longer moves the rest of its line.
const WIDTHS: [usize; 7] = [8, 24, 7, 13, 16, 28, 0];
/// The same on a terminal, where times have no fractions, without what is shared out: program, place and reason.
const TABLE_WIDTHS: [usize; 4] = [5, 20, 7, 12];
/// What is between two columns.
const GAP: usize = 2;

/// The widths on a terminal of so many columns: the place comes first, then the program, then the reason.
fn table_widths(terminal: usize) -> [usize; 7] {
    let [entry, time, verdict, what] = TABLE_WIDTHS;
    let left = terminal.saturating_sub(TABLE_WIDTHS.iter().sum::<usize>() + TABLE_WIDTHS.len() * GAP);
    let program = (left / 4).clamp(8, 16);
    let place = left.saturating_sub(program + GAP).clamp(8, 28);
    [entry, time, verdict, what, program, place, left.saturating_sub(program + place + 2 * GAP)]
}

/// The beginning of a text that is longer than so many characters, with an ellipsis.
fn shorten(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width.saturating_sub(1)).chain((width > 0).then_some('…')).collect(),
        false => text.to_owned(),
    }
}

impl Style {
    fn columns(self, words: &[&str; 7]) -> String {
        let (widths, terminal) = match self {
            Self::Table(terminal) => (table_widths(terminal), terminal),
            Self::Json | Self::Plain => (WIDTHS, usize::MAX),
        };
        let mut line = String::new();
        for (at, (word, width)) in words.iter().zip(widths).enumerate() {
            let word = if word.is_empty() { "-" } else { word };
            // A number is never cut short, but with the whole line.
            let word =
                if terminal < usize::MAX && at > 0 { shorten(word, width) } else { (*word).to_owned() };
            let _ = write!(line, "{word:<width$}{:GAP$}", "");
        }
        shorten(line.trim_end(), terminal) + "\n"
    }
}

fn words(shard: ShardNumber, record: &Record, entry: &Entry, style: Style) -> [String; 7] {
    let number = |sequence| EntryNumber { shard, sequence }.to_string();
    let digits = if matches!(style, Style::Table(_)) { 0 } else { 3 };
    let (sequence, time) = (number(record.sequence), to_rfc3339(entry.time_ns, digits));
    let asked = entry.event.authorization();
    let verdict = asked.map(|asked| asked.verdict.to_string()).unwrap_or_default();
    let program = asked.and_then(|asked| asked.program.as_ref()).map(program_text).unwrap_or_default();
    let (what, place, why) = match &entry.event {
        Event::ConnectionAuthorize(asked)
        | Event::ListenAuthorize(asked)
        | Event::ResolveAuthorize(asked) => {
            (what_text(&entry.event, asked), place_text(asked), why_text(asked))
        }
        Event::ConnectionClose(close) => (
            "close".into(),
            format!("of {}", number(close.sequence)),
            format!("{}, {} B sent, {} B received", close.outcome, close.sent_bytes, close.received_bytes),
        ),
        Event::PolicyChange(change) => {
            ("policy".into(), change.source.clone(), format!("{} connections closed", change.closed))
        }
        Event::RunStart(start) => ("run".into(), start.command.join(" "), format!("run {}", entry.run)),
        Event::RunEnd(end) => {
            let status = end.status.map_or("status unknown".into(), |status| format!("status {status}"));
            ("run ends".into(), format!("{} allowed, {} refused", end.allowed, end.refused), status)
        }
        Event::LogStart(start) => {
            ("log".into(), format!("goes on at {}", number(start.sequence)), String::new())
        }
        Event::ShardsSeen(seen) => ("shards seen".into(), shards_text(&seen.shards), String::new()),
        Event::Unknown { kind } => (format!("kind {kind}"), String::new(), "of a later version".into()),
        Event::Shapeless(value) => ("unknown".into(), value.to_string(), String::new()),
    };
    [sequence, time, verdict, what, program, place, why].map(|word| escape_whole(&word))
}

fn what_text(event: &Event, asked: &Authorization) -> String {
    let protocol = match (asked.protocol, &asked.path) {
        (Some(protocol), _) => format!(" {protocol}"),
        (None, Some(_)) => " unix".into(),
        (None, None) => String::new(),
    };
    match (event, asked.direction) {
        (Event::ResolveAuthorize(_), _) => "resolve".into(),
        (_, Some(direction)) => format!("{direction}{protocol}"),
        (_, None) => format!("connect{protocol}"),
    }
}

fn place_text(asked: &Authorization) -> String {
    if let Some(path) = &asked.path {
        return path.clone();
    }
    let port = asked.port.map(|port| format!(":{port}")).unwrap_or_default();
    match (&asked.name, asked.remote.or(asked.local)) {
        (Some(name), _) => format!("{name}{port}"),
        (None, Some(address)) => address.to_string(),
        (None, None) => port,
    }
}

fn why_text(asked: &Authorization) -> String {
    match asked.count {
        1 => asked.reason.clone(),
        count => format!("{} ({count} times)", asked.reason),
    }
}

fn shards_text(shards: &[Checkpoint]) -> String {
    let words: Vec<String> =
        shards.iter().map(|shard| format!("{} of {}", shard.origin, shard.size)).collect();
    words.join(", ")
}

fn program_text(program: &Program) -> String {
    format!("{}[{}]", program.executable.rsplit('/').next().unwrap_or(""), program.id)
}

/// One entry as JSON. What is not known, or is not there, is left out.
pub fn to_json(shard: ShardNumber, record: &Record, entry: &Entry) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| drop(object.insert(key.into(), value));
    put("sequence", json!(record.sequence));
    put("shard", json!(shard.number()));
    put("log", json!(record.log));
    put("index", json!(record.index));
    put("time", json!(to_rfc3339(entry.time_ns, 9)));
    put("run", json!(entry.run.to_string()));
    put("event", json!(event_name(&entry.event)));
    if entry.is_cut {
        put("cut", json!(true));
    }
    let fields = event_json(&entry.event);
    if let Value::Object(fields) = fields {
        fields.into_iter().filter(|(_, value)| !value.is_null()).for_each(|(key, value)| put(&key, value));
    }
    if !entry.others.is_empty() {
        put("others", others_json(&entry.others));
    }
    Value::Object(object)
}

fn event_name(event: &Event) -> &'static str {
    match event {
        Event::ConnectionAuthorize(_) => "connection-authorize",
        Event::ListenAuthorize(_) => "listen-authorize",
        Event::ResolveAuthorize(_) => "resolve-authorize",
        Event::ConnectionClose(_) => "connection-close",
        Event::PolicyChange(_) => "policy-change",
        Event::RunStart(_) => "run-start",
        Event::RunEnd(_) => "run-end",
        Event::LogStart(_) => "log-start",
        Event::ShardsSeen(_) => "shards-seen",
        Event::Unknown { .. } | Event::Shapeless(_) => "unknown",
    }
}

fn event_json(event: &Event) -> Value {
    match event {
        Event::ConnectionAuthorize(asked)
        | Event::ListenAuthorize(asked)
        | Event::ResolveAuthorize(asked) => authorization_json(asked),
        Event::ConnectionClose(close) => json!({
            "closes": close.sequence,
            "sent_bytes": close.sent_bytes,
            "received_bytes": close.received_bytes,
            "duration_ns": close.duration_ns,
            "outcome": close.outcome.to_string(),
        }),
        Event::PolicyChange(change) => json!({
            "policy": change.digest.to_string(),
            "previous": change.previous.map(|digest| digest.to_string()),
            "source": change.source,
            "closed": change.closed,
        }),
        Event::RunStart(start) => json!({
            "command": start.command,
            "directory": start.directory,
            "host": start.host,
            "version": start.version,
            "user": start.user,
            "policy": start.policy.map(|digest| digest.to_string()),
            "outer": start.outer.map(|run| run.to_string()),
        }),
        Event::RunEnd(end) => json!({
            "status": end.status,
            "allowed": end.allowed,
            "refused": end.refused,
            "sent_bytes": end.sent_bytes,
            "received_bytes": end.received_bytes,
            "duration_ns": end.duration_ns,
        }),
        Event::LogStart(start) => json!({
            "begins": start.sequence, "previous": start.previous, "oldest_log": start.oldest,
        }),
        Event::ShardsSeen(seen) => {
            json!({ "shards": seen.shards.iter().map(shard_json).collect::<Vec<_>>() })
        }
        Event::Unknown { kind } => json!({ "kind": kind }),
        Event::Shapeless(value) => json!({ "value": value.to_string() }),
    }
}

fn shard_json(shard: &Checkpoint) -> Value {
    json!({ "origin": shard.origin, "size": shard.size, "root": shard.root.to_string() })
}

fn authorization_json(asked: &Authorization) -> Value {
    json!({
        "verdict": asked.verdict.to_string(),
        "reason": asked.reason,
        "rule": asked.rule,
        "protocol": asked.protocol.map(|protocol| protocol.to_string()),
        "direction": asked.direction.map(|direction| direction.to_string()),
        "local": asked.local.map(|address| address.to_string()),
        "remote": asked.remote.map(|address| address.to_string()),
        "name": asked.name,
        "port": asked.port,
        "path": asked.path,
        "count": asked.count,
        "program": asked.program.as_ref().map(program_json),
    })
}

fn program_json(program: &Program) -> Value {
    let parent = |parent: &ledger::Parent| json!({ "id": parent.id, "executable": parent.executable });
    let mut value = json!({
        "id": program.id,
        "executable": program.executable,
        "digest": program.digest.map(|digest| digest.to_string()),
        "command_line": program.command_line,
        "parents": program.parents.iter().map(parent).collect::<Vec<_>>(),
        "user": program.user,
        "container": program.container,
    });
    if !program.others.is_empty() {
        value["others"] = others_json(&program.others);
    }
    value
}

/// Fields of a later version, in CBOR's diagnostic notation.
fn others_json(others: &[(u64, ledger::cbor::Value)]) -> Value {
    others
        .iter()
        .map(|(key, value)| (key.to_string(), json!(value.to_string())))
        .collect::<Map<_, _>>()
        .into()
}

/// An entry's JSON as lines of field and value.
pub fn to_page(value: &Value) -> String {
    let mut page = String::new();
    write_fields(&mut page, "", value);
    page
}

fn write_fields(page: &mut String, prefix: &str, value: &Value) {
    for (key, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => write_fields(page, &format!("{prefix}{key}."), value),
            Value::Null => {}
            Value::String(text) => {
                let _ = writeln!(page, "{:<24}{}", format!("{prefix}{key}"), escape_whole(text));
            }
            other => {
                let _ =
                    writeln!(page, "{:<24}{}", format!("{prefix}{key}"), escape_whole(&other.to_string()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_program_chose_reaches_the_terminal_as_a_command() {
        let asked = Authorization {
            name: Some("a\x1b[2J\u{202e}b\n".into()),
            reason: "\u{9b}31m".into(),
            ..Authorization::default()
        };
        let entry = Entry::new(0, ledger::RunId::default(), Event::ConnectionAuthorize(asked));
        let record = Record { sequence: 7, log: 1, index: 7, bytes: Vec::new() };
        let line = Style::Plain.line(ShardNumber::FIRST, &record, &entry);
        assert!(!line.trim_end().contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
        assert!(line.contains("a\\u{1b}[2J\\u{202e}b\\n"), "{line}");
        for terminal in [1, 20, 80, 200] {
            let style = Style::Table(terminal);
            let line = style
                .columns(&words(ShardNumber::FIRST, &record, &entry, style).each_ref().map(String::as_str));
            assert!(!line.trim_end().contains(|c: char| c.is_control()), "{line:?}");
        }
        let page = to_page(&to_json(ShardNumber::FIRST, &record, &entry));
        assert!(!page.contains('\x1b') && page.contains("name"), "{page}");
    }

    #[test]
    fn on_a_terminal_columns_stay_in_line_and_no_row_is_wider() {
        let run = ledger::RunStart { command: vec!["make ".repeat(40)], ..ledger::RunStart::default() };
        let asked = Authorization {
            name: Some("a-long-name-of-a-host.example.com".into()),
            port: Some(443),
            reason: "no rule allows it".into(),
            program: Some(Program { id: 7, executable: "/usr/bin/curl".into(), ..Program::default() }),
            ..Authorization::default()
        };
        let entries = [Event::RunStart(run), Event::ConnectionAuthorize(asked)];
        let record = Record { sequence: 7, log: 1, index: 7, bytes: Vec::new() };
        for terminal in [40, 80, 100, 132] {
            let style = Style::Table(terminal);
            let place = style.header().find("WHERE");
            for event in &entries {
                let entry = Entry::new(0, ledger::RunId::default(), event.clone());
                let line = words(ShardNumber::FIRST, &record, &entry, style);
                let line = style.columns(&line.each_ref().map(String::as_str));
                assert!(line.trim_end().chars().count() <= terminal, "{terminal}: {line}");
                let Some(place) = place else { continue };
                let at: String = line.chars().skip(place).take(4).collect();
                assert!(["make", "a-lo"].contains(&at.as_str()), "{terminal}: {line}");
            }
        }
        assert_eq!(
            (shorten("abc", 3), shorten("abcd", 3), shorten("a", 0)),
            ("abc".into(), "ab…".into(), "".into())
        );
    }
}
