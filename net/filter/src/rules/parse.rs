//! The file: sets, and for each hook a line that says the default, with the hook's rules below it.
//!
//! ```text
//!  set NAME { ADDRESS[/BITS][, ...] }        # on one line or on several
//!  set NAME file "PATH"                      # one address or network a line
//!  receive default drop                      # or forward, or send
//!      ACTION CLAUSES                        # a rule a line
//! ```

use super::clause;
use super::error::{Errors, RulesError};
use super::lexer::{Cursor, Stop, split_comment};
use super::ruleset::{Chain, DefaultVerdict, Hook, Rule, Ruleset, Set};
use crate::network::Network;
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// Bytes of a rules file, and of a set's: a million IPv6 networks and their line ends.
pub const FILE_BYTES_MAX: usize = 64 << 20;
/// Bytes of one line: a longer one is not for reading any more.
pub const LINE_BYTES_MAX: usize = 4_096;
/// Rules of all hooks together.
pub const RULES_MAX: usize = 65_536;
/// Sets of one file.
pub const SETS_MAX: usize = 1_024;
/// Addresses and networks of one set.
pub const SET_NETWORKS_MAX: usize = 1_000_000;
/// Items of one list in a rule: they are looked through one by one, where a set is not.
pub const ITEMS_MAX: usize = 64;
/// Bytes of the name of a set, a counter or an interface.
pub const NAME_BYTES_MAX: usize = 64;
/// Errors that are told of one file.
pub const ERRORS_MAX: usize = 20;

/// Which set has which number.
pub(super) struct SetNames(BTreeMap<String, usize>);

impl SetNames {
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.0.get(name).copied()
    }
}

impl Ruleset {
    /// Reads a rules file that names no other file.
    ///
    /// # Errors
    ///
    /// What cannot be understood, with line and column.
    pub fn parse(text: &str) -> Result<Self, Errors> {
        Self::parse_with(text, |_| Err("files are not read here".to_owned()))
    }

    /// Reads a rules file; `load` gives the text of the files that sets name, or says why it cannot.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    ///
    /// ```
    /// let load = |path: &str| match path {
    ///     "feed.txt" => Ok("# one a line\n192.0.2.1\n198.51.100.0/24\n".to_string()),
    ///     _ => Err("there is no such file".to_string()),
    /// };
    /// let rules = filter::Ruleset::parse_with("set feed file \"feed.txt\"", load)?;
    /// assert_eq!(rules.sets[0].networks.len(), 2);
    /// let errors = filter::Ruleset::parse_with("set feed file \"fed.txt\"", load).unwrap_err();
    /// assert_eq!(errors.to_string(), "1:15: fed.txt: there is no such file");
    /// # Ok::<(), filter::Errors>(())
    /// ```
    pub fn parse_with(text: &str, load: impl FnMut(&str) -> Result<String, String>) -> Result<Self, Errors> {
        let mut reader = Reader {
            load,
            rules: Self::default(),
            names: SetNames(BTreeMap::new()),
            place: Place::Top,
            comments: Vec::new(),
            rule_count: 0,
            errors: Vec::new(),
        };
        reader.read(text);
        match reader.errors.is_empty() {
            true => Ok(reader.rules),
            false => Err(Errors(reader.errors)),
        }
    }
}

/// Where in the file the reader is.
enum Place {
    /// In front of the first hook.
    Top,
    /// Between the braces of the last set, which a wrong beginning may have left without one.
    Set { known: bool },
    /// Among the rules of a hook.
    Hook(Hook),
}

struct Reader<F> {
    load: F,
    rules: Ruleset,
    names: SetNames,
    place: Place,
    /// Comments that belong to what comes next.
    comments: Vec<String>,
    rule_count: usize,
    errors: Vec<RulesError>,
}

impl<F: FnMut(&str) -> Result<String, String>> Reader<F> {
    fn read(&mut self, text: &str) {
        let mut number = 0;
        for line in lines(text) {
            number += 1;
            let read = line.and_then(|line| self.read_line(line, number).map_err(|stop| stop.in_line(line)));
            if let Err((column, message)) = read {
                self.errors.push(RulesError { file: None, line: number, column, message });
            }
            if self.errors.len() >= ERRORS_MAX {
                return;
            }
        }
        if let Place::Set { .. } = self.place {
            let message = "expected } to end the set".to_owned();
            self.errors.push(RulesError { file: None, line: number, column: 1, message });
        }
        self.rules.closing = core::mem::take(&mut self.comments);
    }

    fn read_line(&mut self, line: &str, number: u32) -> Result<(), Stop> {
        let (line, comment) = split_comment(line);
        let mut cursor = Cursor::new(line);
        if cursor.is_at_end() {
            self.comments.extend(comment.map(|text| text.trim().to_owned()));
            return Ok(());
        }
        if let Place::Set { known } = self.place {
            self.comments.extend(comment.map(|text| text.trim().to_owned()));
            return self.read_networks(&mut cursor, known);
        }
        let start = cursor;
        if let Some(action) = clause::action(&mut cursor)? {
            let Place::Hook(hook) = self.place else {
                return start.expected("receive, forward or send and its default in front of the first rule");
            };
            let matches = clause::matches(&mut cursor, &self.names)?;
            if self.rule_count >= RULES_MAX {
                return start.stop(alloc::format!("there are at most {RULES_MAX} rules"));
            }
            self.rule_count += 1;
            let remark = comment.map(|text| text.trim().to_owned());
            let comments = core::mem::take(&mut self.comments);
            let rule = Rule { action, matches, line: number, comments, remark };
            self.rules.chains[hook as usize].rules.push(rule);
            return Ok(());
        }
        self.comments.extend(comment.map(|text| text.trim().to_owned()));
        let word = cursor.next();
        if word == "set" {
            return self.read_set(&mut cursor, number);
        }
        match Hook::ALL.into_iter().find(|hook| hook.name() == word) {
            Some(hook) => self.read_hook(&start, &mut cursor, hook, number),
            None => start.expected("accept, drop, reject, count, limit, set, receive, forward or send"),
        }
    }

    fn read_hook(
        &mut self,
        start: &Cursor<'_>,
        cursor: &mut Cursor<'_>,
        hook: Hook,
        line: u32,
    ) -> Result<(), Stop> {
        // The rules below are this hook's, whatever is wrong with the line.
        self.place = Place::Hook(hook);
        if !cursor.take("default") {
            return cursor.expected("default, and accept, drop or reject");
        }
        let default = match cursor.peek() {
            "accept" => DefaultVerdict::Accept,
            "drop" => DefaultVerdict::Drop,
            "reject" => DefaultVerdict::Reject,
            _ => return cursor.expected("accept, drop or reject"),
        };
        cursor.next();
        end(cursor)?;
        let chain = &mut self.rules.chains[hook as usize];
        if chain.line != 0 {
            return start.stop(alloc::format!("this hook's rules began on line {} already", chain.line));
        }
        let comments = core::mem::take(&mut self.comments);
        *chain = Chain { default, rules: core::mem::take(&mut chain.rules), line, comments };
        Ok(())
    }

    fn read_set(&mut self, cursor: &mut Cursor<'_>, line: u32) -> Result<(), Stop> {
        let start = *cursor;
        let name = name(cursor, "the name of a set")?;
        if !matches!(self.place, Place::Top) {
            return start.expected("sets in front of the first hook");
        }
        let is_new = self.names.find(&name).is_none() && self.names.0.len() < SETS_MAX;
        let named = match cursor.peek() {
            "{" => None,
            "file" => {
                cursor.next();
                Some((*cursor, cursor.quoted()?))
            }
            _ => return cursor.expected("{ and addresses, or file and its name in quotes"),
        };
        if !is_new {
            // What stands between its braces is passed over.
            if named.is_none() {
                self.place = Place::Set { known: false };
                cursor.next();
                let _ = self.read_networks(cursor, false);
            }
            return start.stop(alloc::format!("a set of this name stands above, or {SETS_MAX} sets do"));
        }
        let comments = core::mem::take(&mut self.comments);
        let mut set = Set { name, file: None, networks: Vec::new(), line, comments };
        self.names.0.insert(set.name.clone(), self.rules.sets.len());
        let Some((at, path)) = named else {
            cursor.next();
            self.rules.sets.push(set);
            self.place = Place::Set { known: true };
            return self.read_networks(cursor, true);
        };
        set.file = Some(path.to_owned());
        let text = (self.load)(path);
        let read = text.map(|text| self.read_file(path, &text, &mut set.networks));
        self.rules.sets.push(set);
        match read {
            Ok(()) => end(cursor),
            Err(reason) => at.stop(alloc::format!("{path}: {reason}")),
        }
    }

    /// Addresses between braces, up to the closing one or the end of the line.
    fn read_networks(&mut self, cursor: &mut Cursor<'_>, known: bool) -> Result<(), Stop> {
        let read = self.read_listed(cursor, known);
        if read.is_err() && cursor.line().contains('}') {
            // The set ends where it would have, so that one slip is one error.
            self.place = Place::Top;
        }
        read
    }

    fn read_listed(&mut self, cursor: &mut Cursor<'_>, known: bool) -> Result<(), Stop> {
        while !cursor.is_at_end() {
            if cursor.take("}") {
                self.place = Place::Top;
                return end(cursor);
            }
            let network = network(cursor)?;
            let full = match self.rules.sets.last_mut().filter(|_| known) {
                Some(set) => push(&mut set.networks, network),
                None => false,
            };
            if full {
                return cursor.stop(too_many());
            }
            if !cursor.take(",") && !cursor.is_at_end() && cursor.peek() != "}" {
                return cursor.expected("a comma, or } to end the set");
            }
        }
        Ok(())
    }

    /// A set's own file: one address or network a line.
    fn read_file(&mut self, path: &str, text: &str, networks: &mut Vec<Network>) {
        for (line, number) in lines(text).zip(1..) {
            let read = line.and_then(|line| {
                let mut cursor = Cursor::new(split_comment(line).0);
                if cursor.is_at_end() {
                    return Ok(());
                }
                let read = network(&mut cursor).and_then(|network| {
                    if push(networks, network) {
                        return cursor.stop(too_many());
                    }
                    end(&cursor)
                });
                read.map_err(|stop| stop.in_line(line))
            });
            if let Err((column, message)) = read {
                self.errors.push(RulesError { file: Some(path.to_owned()), line: number, column, message });
            }
            if self.errors.len() >= ERRORS_MAX {
                return;
            }
        }
    }
}

/// The lines of a text, each of a length that can be read; an error for one that cannot, and for a text that is too long.
fn lines(text: &str) -> impl Iterator<Item = Result<&str, (u32, String)>> {
    let too_long = text.len() > FILE_BYTES_MAX;
    let head = too_long.then(|| Err((1, alloc::format!("the file is longer than {FILE_BYTES_MAX} bytes"))));
    let body = if too_long { "" } else { text };
    let checked = body.lines().map(|line| match line.len() > LINE_BYTES_MAX {
        true => Err((1, alloc::format!("a line has at most {LINE_BYTES_MAX} bytes"))),
        false => Ok(line),
    });
    head.into_iter().chain(checked)
}

impl Stop {
    /// The column, counted in letters, and the message.
    fn in_line(self, line: &str) -> (u32, String) {
        let before = line.get(..self.offset).unwrap_or(line);
        (before.chars().count() as u32 + 1, self.message)
    }
}

/// Adds a network, unless there is no room. Whether there was none.
fn push(networks: &mut Vec<Network>, network: Network) -> bool {
    let is_full = networks.len() >= SET_NETWORKS_MAX;
    if !is_full {
        networks.push(network);
    }
    is_full
}

fn too_many() -> String {
    alloc::format!("a set has at most {SET_NETWORKS_MAX} addresses and networks")
}

fn network(cursor: &mut Cursor<'_>) -> Result<Network, Stop> {
    match cursor.peek().parse() {
        Ok(network) => {
            cursor.next();
            Ok(network)
        }
        Err(wrong) => cursor.stop(alloc::format!("{wrong}")),
    }
}

/// A name: letters, digits, and `-`, `_`, `.` in between, as interfaces have.
pub(super) fn name(cursor: &mut Cursor<'_>, what: &str) -> Result<String, Stop> {
    let word = cursor.peek();
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | ':');
    if word.is_empty() || word.len() > NAME_BYTES_MAX || !word.chars().all(is_letter) || word == "not" {
        return cursor.expected(format_args!("{what}: at most {NAME_BYTES_MAX} letters, digits, - _ . or :"));
    }
    cursor.next();
    Ok(word.to_owned())
}

fn end(cursor: &Cursor<'_>) -> Result<(), Stop> {
    if cursor.is_at_end() { Ok(()) } else { cursor.expected("the end of the line") }
}
