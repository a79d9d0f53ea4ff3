//! The short format: one rule a line.
//!
//! ```text
//! LINE = [allow|deny] RULE | include FILE | (nothing)     each with an optional comment from '#' to the end
//! ```
//!
//! A rule without a word before it allows. A comment begins at the start of a line or behind a space, so that a path may
//! hold a `#`. `include` reads another file of the same format in its place; its path is taken from the file that names
//! it.

use super::complaint::{Complaint, Place};
use crate::rules::Rule;
use std::sync::Arc;

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    Allow(Rule),
    Deny(Rule),
    Include(Arc<str>),
}

/// The statements of one file, each with its place.
pub(super) fn parse(path: &Arc<str>, text: &str) -> (Vec<(Statement, Place)>, Vec<Complaint>) {
    let (mut statements, mut complaints) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let place = |byte: usize| {
            let column = line.get(..byte).unwrap_or(line).chars().count() + 1;
            Place::File { path: path.clone(), line: index + 1, column }
        };
        match statement(line) {
            Ok(Some((statement, start))) => statements.push((statement, place(start))),
            Ok(None) => {}
            Err((byte, message)) => complaints.push(Complaint::new(place(byte), message)),
        }
    }
    (statements, complaints)
}

/// What a line says and where its rule or path starts; or what is wrong with it, at which byte.
fn statement(line: &str) -> Result<Option<(Statement, usize)>, (usize, String)> {
    let content = &line[..comment_start(line)];
    let content = content.trim_end();
    let start = content.len() - content.trim_start_matches([' ', '\t']).len();
    let words = &content[start..];
    if words.is_empty() {
        return Ok(None);
    }
    let (first, rest) = words.split_once([' ', '\t']).unwrap_or((words, ""));
    let rest = rest.trim_start_matches([' ', '\t']);
    let rest_start = content.len() - rest.len();
    match first {
        "include" if rest.is_empty() => {
            Err((content.len(), "expected the path of a file after include".into()))
        }
        "include" => Ok(Some((Statement::Include(rest.into()), rest_start))),
        "allow" | "deny" if rest.is_empty() => {
            Err((content.len(), format!("expected a rule after {first}, as in {first} example.com:443")))
        }
        "allow" => rule(rest, rest_start).map(|rule| Some((Statement::Allow(rule), rest_start))),
        "deny" => rule(rest, rest_start).map(|rule| Some((Statement::Deny(rule), rest_start))),
        _ => rule(words, start).map(|rule| Some((Statement::Allow(rule), start))),
    }
}

fn rule(text: &str, start: usize) -> Result<Rule, (usize, String)> {
    text.parse::<Rule>().map_err(|error| {
        let byte = text.char_indices().nth(error.column - 1).map_or(text.len(), |(at, _)| at);
        (start + byte, error.message)
    })
}

/// Where the comment of a line starts; its end where it has none.
fn comment_start(line: &str) -> usize {
    let is_start = |at: usize| at == 0 || line[..at].ends_with([' ', '\t']);
    line.match_indices('#').map(|(at, _)| at).find(|at| is_start(*at)).unwrap_or(line.len())
}

/// The same statements and comments in one way of writing them: one space between words, two before a comment behind a
/// rule, no space at the end of a line, at most one empty line in a row, and none at the ends.
pub(super) fn format(text: &str) -> String {
    let mut formatted = String::new();
    let mut is_after_gap = false;
    for line in text.lines() {
        let (content, comment) = line.split_at(comment_start(line));
        let content = content.trim();
        let content = match content.split_once([' ', '\t']) {
            Some((word @ ("allow" | "deny" | "include"), rest)) => format!("{word} {}", rest.trim()),
            _ => content.to_owned(),
        };
        let comment = comment.trim_end();
        if content.is_empty() && comment.is_empty() {
            is_after_gap = true;
            continue;
        }
        if is_after_gap && !formatted.is_empty() {
            formatted.push('\n');
        }
        is_after_gap = false;
        formatted += &content;
        if !content.is_empty() && !comment.is_empty() {
            formatted += "  ";
        }
        formatted += comment;
        formatted.push('\n');
    }
    formatted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (Vec<(Statement, Place)>, Vec<Complaint>) {
        parse(&"a.list".into(), text)
    }

    #[test]
    fn lines_allow_deny_include_and_comment() {
        let (statements, complaints) = read(
            "# all of it\r\nexample.com:443  # the service\r\n\n\tallow  *.example.org\n\
             deny bad.example.org #not this\ninclude more of it.list # and more\nunix:/run/a#b\n",
        );
        assert_eq!(complaints, []);
        let shown: Vec<String> = statements
            .iter()
            .map(|(statement, place)| match statement {
                Statement::Allow(rule) => format!("{place} allow {rule}"),
                Statement::Deny(rule) => format!("{place} deny {rule}"),
                Statement::Include(path) => format!("{place} include {path}"),
            })
            .collect();
        assert_eq!(
            shown,
            [
                "a.list:2:1 allow example.com:443",
                "a.list:4:9 allow *.example.org",
                "a.list:5:6 deny bad.example.org",
                "a.list:6:9 include more of it.list",
                "a.list:7:1 allow unix:/run/a#b",
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_letter() {
        let (statements, complaints) = read(
            "example.com:0\n  deny\nallow\t\ninclude #\ndeny  bücher..example\nexample.com 443\nok.example\n",
        );
        let told: Vec<String> = complaints.iter().map(ToString::to_string).collect();
        assert_eq!(statements.len(), 1, "the rest is read all the same");
        for (line, start) in told.iter().zip([
            "a.list:1:13: expected a port",
            "a.list:2:7: expected a rule after deny",
            "a.list:3:6: expected a rule after allow",
            "a.list:4:8: expected the path",
            "a.list:5:8: expected a label",
            "a.list:6:12: expected no space",
        ]) {
            assert!(line.starts_with(start), "{line}");
        }
        assert_eq!(told.len(), 6);
    }

    #[test]
    fn one_way_of_writing_is_left() {
        let text = "\n\n  # head \r\nexample.com  # why\n\n\n\nallow\t example.org\ninclude  a b.list\n\n";
        let formatted = "# head\nexample.com  # why\n\nallow example.org\ninclude a b.list\n";
        assert_eq!(format(text), formatted);
        assert_eq!(format(formatted), formatted);
    }

    proptest! {
        #[test]
        fn formatting_changes_no_statement(
            text in "((allow|deny|include)?[ \t]{0,2}[a-c.*:/#0-9 \t]{0,12}(\r?\n)?){0,6}",
        ) {
            let plain = |text: &str| -> Vec<Statement> {
                read(text).0.into_iter().map(|(statement, _)| statement).collect()
            };
            if read(&text).1.is_empty() {
                let formatted = format(&text);
                prop_assert_eq!(plain(&formatted), plain(&text));
                prop_assert_eq!(format(&formatted), formatted);
            }
        }
    }
}
