//! The table at the end of a run.

use super::event::{Event, Kind, Target};
use std::collections::BTreeMap;

/// How many rows the table has; what would be more is summed up in one.
pub const ROWS_MAX: usize = 200;

/// What was reached and refused so far.
#[derive(Debug, Default)]
pub(super) struct Summary {
    rows: BTreeMap<(Target, Verdict), Row>,
    others: Row,
}

/// How it went with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Allowed,
    Failed,
    Refused,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    count: u64,
    bytes_sent: u64,
    bytes_received: u64,
}

impl Summary {
    pub(super) fn count(&mut self, event: &Event) {
        let (target, verdict, count, sent, received) = match event {
            Event::Connect { target, .. } => (target, Verdict::Allowed, 1, 0, 0),
            Event::Close { target, bytes_sent, bytes_received, .. } => {
                (target, Verdict::Allowed, 0, *bytes_sent, *bytes_received)
            }
            Event::Fail { target, .. } => (target, Verdict::Failed, 1, 0, 0),
            Event::Deny { target, .. } => (target, Verdict::Refused, 1, 0, 0),
            Event::Resolve { .. } | Event::Publish { .. } | Event::Filter { .. } => return,
        };
        let key = (target.clone(), verdict);
        let room = self.rows.len() < ROWS_MAX || self.rows.contains_key(&key);
        let row = if room { self.rows.entry(key).or_default() } else { &mut self.others };
        row.count += count;
        row.bytes_sent += sent;
        row.bytes_received += received;
    }

    pub(super) fn table(&self, colour: bool) -> String {
        let mut lines = vec![["HOST", "PORT", "VERDICT", "COUNT", "SENT", "RECEIVED"].map(str::to_owned)];
        let mut colours = vec![""];
        for ((target, verdict), row) in &self.rows {
            let port = match (target.kind, target.port) {
                (kind, Some(port)) => format!("{port}/{}", kind.name()),
                (Kind::Dns, None) => "name".to_owned(),
                (kind, None) => kind.name().to_owned(),
            };
            let (word, code) = match verdict {
                Verdict::Allowed => ("allowed", "\u{1b}[32m"),
                Verdict::Failed => ("failed", "\u{1b}[33m"),
                Verdict::Refused => ("refused", "\u{1b}[31m"),
            };
            lines.push(row.cells(super::escape(&target.host), port, word));
            colours.push(code);
        }
        if self.others.count > 0 {
            lines.push(self.others.cells("others".to_owned(), String::new(), ""));
            colours.push("");
        }
        if lines.len() == 1 { String::new() } else { lay_out(&lines, &colours, colour) }
    }
}

impl Row {
    fn cells(&self, host: String, port: String, verdict: &str) -> [String; 6] {
        [
            host,
            port,
            verdict.to_owned(),
            self.count.to_string(),
            bytes(self.bytes_sent),
            bytes(self.bytes_received),
        ]
    }
}

/// Columns under one another: words to the left, numbers to the right; the verdict in its colour.
fn lay_out(lines: &[[String; 6]], colours: &[&str], colour: bool) -> String {
    let mut widths = [0; 6];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut table = String::new();
    for (line, code) in lines.iter().zip(colours) {
        let mut row = String::new();
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            let (on, off) =
                if colour && column == 2 && !code.is_empty() { (*code, "\u{1b}[0m") } else { ("", "") };
            let space = " ".repeat(width - cell.chars().count());
            let gap = if column == 0 { "" } else { "  " };
            row += &match column {
                0..=2 => format!("{gap}{on}{cell}{off}{space}"),
                _ => format!("{gap}{space}{cell}"),
            };
        }
        table += row.trim_end();
        table.push('\n');
    }
    table
}

/// A count of bytes to three digits: `999 B`, `1.23 kB`, `45.6 MB`.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let (mut unit, mut scale) = (0, 1_000u64);
    while count / scale >= 1_000 && unit + 1 < UNITS.len() {
        scale *= 1_000;
        unit += 1;
    }
    let thousandths = u64::try_from(u128::from(count) * 1_000 / u128::from(scale)).unwrap_or(u64::MAX);
    let (whole, rest) = (thousandths / 1_000, thousandths % 1_000);
    let unit = UNITS[unit];
    match whole {
        0..10 => format!("{whole}.{:02} {unit}", rest / 10),
        10..100 => format!("{whole}.{} {unit}", rest / 100),
        _ => format!("{whole} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_to_three_digits() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (1_239, "1.23 kB"),
            (45_678_901, "45.6 MB"),
            (999_999, "999 kB"),
            (4_294_967_296, "4.29 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
