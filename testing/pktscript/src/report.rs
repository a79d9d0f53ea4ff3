//! What is told: one line a script, and a total.

use crate::run::Outcome;
use serde_json::json;
use std::fmt;
use std::path::Path;

/// How many scripts ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// As they say.
    pub pass: usize,
    /// Otherwise.
    pub fail: usize,
    /// Not at all.
    pub unsupported: usize,
}

impl Total {
    /// One more.
    pub fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Pass => self.pass += 1,
            Outcome::Fail(_) => self.fail += 1,
            Outcome::Unsupported(_) => self.unsupported += 1,
        }
    }

    /// The total as one JSON object.
    pub fn json(&self) -> String {
        json!({ "total": { "pass": self.pass, "fail": self.fail, "unsupported": self.unsupported } })
            .to_string()
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pass, fail, unsupported } = self;
        write!(f, "{pass} passed, {fail} failed, {unsupported} unsupported")
    }
}

/// One script's line.
pub fn line(path: &Path, outcome: &Outcome) -> String {
    let path = path.display();
    match outcome {
        Outcome::Pass => format!("pass {path}"),
        Outcome::Fail(stop) => format!("fail {path}:{}: {}", stop.line, stop.text),
        Outcome::Unsupported(stop) => format!("unsupported {path}:{}: {}", stop.line, stop.text),
    }
}

/// One script as a JSON object.
pub fn json_line(path: &Path, outcome: &Outcome) -> String {
    let (name, stop) = match outcome {
        Outcome::Pass => ("pass", None),
        Outcome::Fail(stop) => ("fail", Some(stop)),
        Outcome::Unsupported(stop) => ("unsupported", Some(stop)),
    };
    let mut value = json!({ "script": path.to_string_lossy(), "outcome": name });
    if let Some(stop) = stop {
        value["line"] = stop.line.into();
        value["text"] = stop.text.clone().into();
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_is_counted_apart() {
        let mut total = Total::default();
        let outcomes = [Outcome::Pass, Outcome::fail(3, "ack"), Outcome::unsupported(1, "SACK")];
        outcomes.iter().for_each(|outcome| total.count(outcome));
        assert_eq!(total.to_string(), "1 passed, 1 failed, 1 unsupported");
        assert_eq!(line(Path::new("a.pkt"), &outcomes[1]), "fail a.pkt:3: ack");
        let told: serde_json::Value =
            serde_json::from_str(&json_line(Path::new("a.pkt"), &outcomes[2])).expect("JSON");
        let expected = json!({"line": 1, "outcome": "unsupported", "script": "a.pkt", "text": "SACK"});
        assert_eq!(told, expected);
    }
}
