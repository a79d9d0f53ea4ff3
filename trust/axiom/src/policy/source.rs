//! The files of a policy, read through whoever can read files, within bounds.

use super::complaint::{COMPLAINTS_MAX, Complaint, Place, PolicyError};
use super::list::{self, Statement};
use crate::rules::{Rule, Rules};
use std::sync::Arc;

/// The most bytes that all texts of one policy have together: 10,000 hosts are 0.3 MB.
pub const POLICY_BYTES_MAX: usize = 16 << 20;
/// The most files that one policy is read from, those that it includes counted.
pub const FILES_MAX: usize = 256;
/// How deep a file may include a file that includes a file.
pub const INCLUDE_DEPTH_MAX: usize = 8;
/// The most rules of all lists of one policy.
pub const RULES_MAX: usize = 250_000;

/// Reads a file: its path, as it was given or made from an `include`, to its content, or to why it cannot be read.
///
/// Policies are read through one of these, so that nothing here opens a file by itself.
pub type Load<'a> = dyn FnMut(&str) -> Result<Vec<u8>, String> + 'a;

/// Rules with their places, in the order in which they were written.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub allow: Vec<(Rule, Place)>,
    pub deny: Vec<(Rule, Place)>,
}

impl Lines {
    /// Made for lookup, and the places of its rules in the same order.
    pub fn into_list(self) -> List {
        let (allow, allow_places) = self.allow.into_iter().unzip();
        let (deny, deny_places) = self.deny.into_iter().unzip();
        List { rules: Rules::new(allow, deny), allow_places, deny_places }
    }
}

/// A list of rules, and where each of them stands.
#[derive(Debug, Default)]
pub(super) struct List {
    pub rules: Rules,
    pub allow_places: Vec<Place>,
    pub deny_places: Vec<Place>,
}

/// What has been read so far, and what was wrong with it.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub complaints: Vec<Complaint>,
    /// Everything that was read, each text behind its length, to be hashed.
    hasher: blake3::Hasher,
    bytes: usize,
    files: usize,
    rules: usize,
}

impl Reader {
    pub fn complain(&mut self, complaint: Complaint) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(complaint);
        }
    }

    /// The error, where anything was wrong.
    pub fn finish(self) -> Result<[u8; 32], PolicyError> {
        match self.complaints.is_empty() {
            true => Ok(*self.hasher.finalize().as_bytes()),
            false => Err(PolicyError { complaints: self.complaints }),
        }
    }

    /// Text that is part of the policy, for its hash.
    pub fn hash(&mut self, text: &[u8]) {
        self.hasher.update(&(text.len() as u64).to_le_bytes()).update(text);
    }

    /// A file's text; `None` where it cannot be had, which is complained of at `place`.
    pub fn text(&mut self, path: &Arc<str>, place: Option<&Place>, load: &mut Load<'_>) -> Option<String> {
        let start = Place::File { path: path.clone(), line: 1, column: 1 };
        // In the place of an `include` it has to be told which file is meant.
        let unread =
            if place.is_some() { format!("{path} cannot be read") } else { "it cannot be read".into() };
        let place = place.unwrap_or(&start).clone();
        self.files += 1;
        if self.files > FILES_MAX {
            self.complain(Complaint::new(place, format!("the policy has more than {FILES_MAX} files")));
            return None;
        }
        let bytes = match load(path) {
            Ok(bytes) => bytes,
            Err(reason) => {
                self.complain(Complaint::new(place, format!("{unread}: {reason}")));
                return None;
            }
        };
        self.bytes += bytes.len();
        if self.bytes > POLICY_BYTES_MAX {
            let text = format!("the policy's files have more than {} MiB", POLICY_BYTES_MAX >> 20);
            self.complain(Complaint::new(place, text));
            return None;
        }
        self.hash(&bytes);
        match String::from_utf8(bytes) {
            Ok(text) => Some(text.trim_start_matches('\u{feff}').to_owned()),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
                let place = Place::of_offset(path, &text, valid);
                self.complain(Complaint::new(place, "expected text in UTF-8"));
                None
            }
        }
    }

    /// The rules of a file in the short format, and of those that it includes.
    pub fn list(&mut self, path: &Arc<str>, lines: &mut Lines, load: &mut Load<'_>) {
        self.list_below(path, None, &mut Vec::new(), lines, load);
    }

    fn list_below(
        &mut self,
        path: &Arc<str>,
        place: Option<&Place>,
        above: &mut Vec<Arc<str>>,
        lines: &mut Lines,
        load: &mut Load<'_>,
    ) {
        let Some(text) = self.text(path, place, load) else { return };
        let (statements, complaints) = list::parse(path, &text);
        complaints.into_iter().for_each(|complaint| self.complain(complaint));
        above.push(path.clone());
        for (statement, place) in statements {
            match statement {
                Statement::Allow(rule) => self.take(&mut lines.allow, rule, place),
                Statement::Deny(rule) => self.take(&mut lines.deny, rule, place),
                Statement::Include(file) => {
                    let included: Arc<str> = beside(path, &file).into();
                    if above.contains(&included) {
                        let text = format!("{included} includes itself");
                        self.complain(Complaint::new(place, text));
                    } else if above.len() >= INCLUDE_DEPTH_MAX {
                        let text = format!("files include each other more than {INCLUDE_DEPTH_MAX} deep");
                        self.complain(Complaint::new(place, text));
                    } else {
                        self.list_below(&included, Some(&place), above, lines, load);
                    }
                }
            }
        }
        above.pop();
    }

    /// Takes a rule in, as long as there are not too many.
    pub fn take(&mut self, rules: &mut Vec<(Rule, Place)>, rule: Rule, place: Place) {
        self.rules += 1;
        match self.rules.cmp(&(RULES_MAX + 1)) {
            std::cmp::Ordering::Less => rules.push((rule, place)),
            std::cmp::Ordering::Equal => {
                self.complain(Complaint::new(place, format!("the policy has more than {RULES_MAX} rules")));
            }
            std::cmp::Ordering::Greater => {}
        }
    }
}

/// A path that a file names, from where that file is. `.` and `..` are resolved by their letters, so that a file that
/// includes itself by another way of writing its path is seen to.
fn beside(file: &str, path: &str) -> String {
    let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
    let whole = match (path.starts_with('/'), directory) {
        (true, _) => path.to_owned(),
        (false, "") if file.starts_with('/') => format!("/{path}"),
        (false, "") => path.to_owned(),
        (false, directory) => format!("{directory}/{path}"),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if whole.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    let root = if whole.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, String)]) -> (Lines, Vec<String>) {
        let mut load = |path: &str| match files.iter().find(|(name, _)| *name == path) {
            Some((_, text)) => Ok(text.clone().into_bytes()),
            None => Err("no such file".to_owned()),
        };
        let (mut reader, mut lines) = (Reader::default(), Lines::default());
        reader.list(&files[0].0.into(), &mut lines, &mut load);
        (lines, reader.complaints.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_include_stands_for_the_files_rules_and_is_found_beside_the_file() {
        let (lines, complaints) = read(&[
            ("p/main.list", "a.example\ninclude more/b.list\nd.example\n".into()),
            ("p/more/b.list", "deny b.example\ninclude ../c.list".into()),
            ("p/c.list", "c.example".into()),
        ]);
        assert_eq!(complaints, [""; 0]);
        let shown: Vec<String> = lines.allow.iter().map(|(rule, place)| format!("{place} {rule}")).collect();
        assert_eq!(
            shown,
            ["p/main.list:1:1 a.example", "p/c.list:1:1 c.example", "p/main.list:3:1 d.example"]
        );
        assert_eq!(lines.deny[0].1.to_string(), "p/more/b.list:1:6");
    }

    #[test]
    fn circles_depth_and_missing_files_are_told_where_they_are_included() {
        let (_, complaints) = read(&[("a", "include ./b".into()), ("b", "\ninclude ../x/../a".into())]);
        assert_eq!(complaints, ["b:2:9: ../a cannot be read: no such file"]);
        let (_, complaints) = read(&[("a", "include ./b".into()), ("b", "\ninclude x/../a".into())]);
        assert_eq!(complaints, ["b:2:9: a includes itself"]);
        let names: Vec<String> = (0..20).map(|index| format!("/{index}")).collect();
        let chain: Vec<(&str, String)> =
            (0..20).map(|index| (names[index].as_str(), format!("include {}", index + 1))).collect();
        let (_, complaints) = read(&chain);
        assert_eq!(complaints, ["/7:1:9: files include each other more than 8 deep"]);
    }

    #[test]
    fn files_bytes_rules_and_complaints_are_bounded() {
        let two: Vec<(&str, String)> =
            vec![("a", "include b\n".repeat(FILES_MAX)), ("b", "b.example".into())];
        let (lines, complaints) = read(&two);
        assert_eq!((lines.allow.len(), complaints.len()), (FILES_MAX - 1, 1));
        assert_eq!(complaints[0], format!("a:{FILES_MAX}:9: the policy has more than 256 files"));
        let (lines, complaints) = read(&[("a", "#".repeat(POLICY_BYTES_MAX + 1))]);
        assert!(lines.allow.is_empty() && complaints[0].contains("more than 16 MiB"), "{complaints:?}");
        let (lines, complaints) = read(&[("a", "a\n".repeat(RULES_MAX + 2))]);
        assert_eq!((lines.allow.len(), complaints.len()), (RULES_MAX, 1));
        let (_, complaints) = read(&[("a", "?\n".repeat(1_000))]);
        assert_eq!(complaints.len(), COMPLAINTS_MAX);
    }

    #[test]
    fn text_that_is_not_utf_8_is_told_at_its_letter() {
        let mut load = |_: &str| Ok(b"\xef\xbb\xbfa.example\nb\xfc.example".to_vec());
        let mut reader = Reader::default();
        assert_eq!(reader.text(&"a".into(), None, &mut load), None);
        assert_eq!(reader.complaints[0].to_string(), "a:2:2: expected text in UTF-8");
    }
}
