//! What is let through all the same: one entry a line, and each no longer than it is needed.
//!
//! ```text
//! RULE PATH [ITEM] [MEASURE] # why
//! ```

use super::Finding;
use std::path::PathBuf;

/// One entry.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    line: usize,
    rule: String,
    path: PathBuf,
    item: String,
    measure: Option<usize>,
}

/// The list.
#[derive(Debug, Default)]
pub struct Exceptions {
    entries: Vec<Entry>,
}

impl Exceptions {
    /// Reads the list; says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut entries = Vec::new();
        for (index, content) in text.lines().enumerate() {
            let line = index + 1;
            if content.trim().is_empty() || content.starts_with('#') {
                continue;
            }
            let (entry, reason) = content.split_once('#').unwrap_or((content, ""));
            if reason.trim().is_empty() {
                return Err(format!("line {line} gives no reason after a #"));
            }
            let mut words: Vec<&str> = entry.split_whitespace().collect();
            let measure = words.last().and_then(|word| word.parse().ok());
            if measure.is_some() {
                words.pop();
            }
            let (rule, path, item) = match words[..] {
                [rule, path] => (rule, path, ""),
                [rule, path, item] => (rule, path, item),
                _ => return Err(format!("line {line} is not RULE PATH [ITEM] [MEASURE] # why")),
            };
            let (rule, path, item) = (rule.to_owned(), PathBuf::from(path), item.to_owned());
            entries.push(Entry { line, rule, path, item, measure });
        }
        Ok(Self { entries })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The findings that are left, and what is wrong with the entries themselves.
    pub fn apply(&self, findings: Vec<Finding>) -> (Vec<Finding>, Vec<String>) {
        let covers = |entry: &Entry, finding: &Finding| {
            entry.rule == finding.rule && entry.path == finding.path && entry.item == finding.item
        };
        let mut stale = Vec::new();
        for entry in &self.entries {
            let matching = || findings.iter().filter(|finding| covers(entry, finding));
            let Entry { line, rule, path, item, measure } = entry;
            let most = matching().filter_map(|finding| finding.measure).max();
            if matching().next().is_none() {
                stale.push(format!("line {line}: {rule} {} {item} is no longer needed", path.display()));
            } else if let (Some(allowed), Some(most)) = (*measure, most)
                && most < allowed
            {
                stale.push(format!("line {line}: {rule} {} {item} is down to {most}", path.display()));
            } else if measure.is_some() != most.is_some() {
                stale.push(format!(
                    "line {line}: {rule} has {}",
                    if most.is_some() { "a measure" } else { "none" }
                ));
            }
        }
        let is_excused = |finding: &Finding| {
            self.entries.iter().any(|entry| covers(entry, finding) && finding.measure <= entry.measure)
        };
        (findings.into_iter().filter(|finding| !is_excused(finding)).collect(), stale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn finding(measure: usize) -> Finding {
        Finding::new("function-lines", Path::new("a.rs"), 1, "").of("f").measuring(measure)
    }

    #[test]
    fn an_entry_excuses_what_it_names_and_no_more() {
        let list = Exceptions::parse("# head\n\nfunction-lines a.rs f 80 # a table\n").unwrap();
        assert_eq!(list.len(), 1);
        assert_eq!(list.apply(vec![finding(80)]), (vec![], vec![]));
        assert_eq!(list.apply(vec![finding(81)]), (vec![finding(81)], vec![]));
        let other = Finding::new("sleep", Path::new("a.rs"), 1, "");
        assert_eq!(list.apply(vec![finding(80), other.clone()]).0, [other]);
    }

    #[test]
    fn an_entry_that_is_not_needed_any_more_is_told() {
        let list = Exceptions::parse("function-lines a.rs f 80 # a table\n").unwrap();
        assert!(list.apply(vec![]).1[0].contains("no longer needed"));
        assert!(list.apply(vec![finding(79)]).1[0].contains("down to 79"));
        let unmeasured = Exceptions::parse("function-lines a.rs f # a table\n").unwrap();
        assert_eq!(unmeasured.apply(vec![finding(79)]).1.len(), 1);
        assert_eq!(unmeasured.apply(vec![finding(79)]).0.len(), 1);
    }

    #[test]
    fn an_entry_gives_its_reason() {
        for text in ["sleep a.rs", "sleep a.rs #", "sleep # why", "a b c d # why"] {
            assert!(Exceptions::parse(text).is_err(), "{text}");
        }
    }
}
