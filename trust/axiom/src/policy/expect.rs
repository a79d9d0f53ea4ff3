//! A file of expected verdicts, held against a policy.
//!
//! ```text
//! LINE = allow|deny QUESTION | (nothing)     each with an optional comment from '#' to the end
//! ```
//!
//! What is expected of the deciding rule stands in the question as `by=RULE`, and `by=-` for no rule at all.

use super::complaint::{COMPLAINTS_MAX, Complaint, Place, PolicyError, place_json};
use super::decision::Decision;
use super::query::Question;
use super::set::Policy;
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;

/// The most expectations of one file.
pub const EXPECTATIONS_MAX: usize = 100_000;

/// Expected verdicts.
///
/// ```
/// use axiom::policy::{Expectations, Policy};
///
/// let policy = Policy::of_rules(&["*.example.com:443".into()], &[])?;
/// let text = "allow connect api.example.com:443\ndeny connect example.org:443 by=-\nallow ping 192.0.2.1\n";
/// let report = Expectations::parse("run.expect", text)?.hold_against(&policy);
/// assert_eq!((report.met, report.unmet.len()), (2, 1));
/// let unmet = &report.unmet[0];
/// assert_eq!(unmet.to_string(), "run.expect:3:1: expected to be allowed, but no rule allows it: ping 192.0.2.1");
/// # Ok::<(), axiom::policy::PolicyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Expectations {
    expectations: Vec<Expectation>,
}

#[derive(Clone, Debug)]
struct Expectation {
    place: Place,
    allowed: bool,
    question: Question,
    text: String,
}

/// What came of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many were met.
    pub met: usize,
    /// Those that were not.
    pub unmet: Vec<Unmet>,
}

/// An expectation that was not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Where it stands.
    pub place: Place,
    /// The question, as it was written.
    pub question: String,
    /// Whether it was expected to be allowed.
    pub expected: bool,
    /// The rule that was expected to decide, where one was told: `-` for none.
    pub expected_by: Option<String>,
    /// What was decided.
    pub decision: Decision,
}

impl Expectations {
    /// Reads a file's text.
    ///
    /// # Errors
    ///
    /// The lines that cannot be understood.
    pub fn parse(path: &str, text: &str) -> Result<Self, PolicyError> {
        let path: Arc<str> = path.into();
        let (mut expectations, mut complaints) = (Vec::new(), Vec::new());
        let text = text.trim_start_matches('\u{feff}');
        for (index, line) in text.lines().enumerate() {
            let content = line[..comment_start(line)].trim_end();
            let start = content.len() - content.trim_start().len();
            let place = |byte: usize| {
                let column = content.get(..byte).unwrap_or(content).chars().count() + 1;
                Place::File { path: path.clone(), line: index + 1, column }
            };
            let Some((word, rest)) = content.trim().split_once([' ', '\t']).or_else(|| {
                let word = content.trim();
                (!word.is_empty()).then_some((word, ""))
            }) else {
                continue;
            };
            let allowed = match word {
                "allow" => true,
                "deny" => false,
                _ => {
                    complaints.push(Complaint::new(place(start), "expected allow or deny, and a question"));
                    continue;
                }
            };
            let rest_start = content.len() - rest.trim_start().len();
            match Question::parse(&content[rest_start..]) {
                Ok(question) => {
                    let text = content[rest_start..].to_owned();
                    expectations.push(Expectation { place: place(start), allowed, question, text });
                }
                Err(error) => {
                    let before = content[..rest_start].chars().count();
                    let place =
                        Place::File { path: path.clone(), line: index + 1, column: before + error.column };
                    complaints.push(Complaint::new(place, error.message));
                }
            }
            if expectations.len() > EXPECTATIONS_MAX {
                let text = format!("the file has more than {EXPECTATIONS_MAX} expectations");
                complaints.push(Complaint::new(place(start), text));
                break;
            }
        }
        if expectations.is_empty() && complaints.is_empty() {
            let place = Place::File { path, line: 1, column: 1 };
            complaints
                .push(Complaint::new(place, "the file has no expectation, as in: allow ping 192.0.2.1"));
        }
        complaints.truncate(COMPLAINTS_MAX);
        match complaints.is_empty() {
            true => Ok(Self { expectations }),
            false => Err(PolicyError { complaints }),
        }
    }

    /// Asks a policy all of it.
    #[must_use]
    pub fn hold_against(&self, policy: &Policy) -> Report {
        let mut report = Report { met: 0, unmet: Vec::new() };
        for Expectation { place, allowed, question, text } in &self.expectations {
            let decision = policy.answer(question);
            let by = question.by.as_deref();
            let decided_by = decision.rule_text().map_or("-", |rule| rule);
            if decision.allowed == *allowed && by.is_none_or(|by| by == decided_by) {
                report.met += 1;
                continue;
            }
            report.unmet.push(Unmet {
                place: place.clone(),
                question: text.clone(),
                expected: *allowed,
                expected_by: by.map(str::to_owned),
                decision,
            });
        }
        report
    }
}

/// Where the comment of a line starts: at a `#` at its start or behind a space, outside of quotes.
fn comment_start(line: &str) -> usize {
    let is_start = |at: usize| {
        let before = &line[..at];
        (before.is_empty() || before.ends_with([' ', '\t'])) && before.matches('"').count().is_multiple_of(2)
    };
    line.match_indices('#').map(|(at, _)| at).find(|at| is_start(*at)).unwrap_or(line.len())
}

impl Report {
    /// Whether all were met.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.unmet.is_empty()
    }

    /// As an object: `met`, `unmet`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "met": self.met, "unmet": self.unmet.iter().map(Unmet::to_json).collect::<Value>() })
    }
}

impl Unmet {
    /// As an object: its place, `question`, `expected`, `expected_by` and the decision.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = place_json(&self.place);
        object["question"] = self.question.as_str().into();
        object["expected"] = (if self.expected { "allow" } else { "deny" }).into();
        object["expected_by"] = self.expected_by.as_deref().into();
        object["decision"] = self.decision.to_json();
        object
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, question, expected, expected_by, decision } = self;
        let verdict = if *expected { "allowed" } else { "denied" };
        write!(f, "{place}: expected to be {verdict}")?;
        match expected_by.as_deref() {
            // Of what no rule speaks only a port is allowed that a program takes inside.
            Some("-") if *expected => f.write_str(" without a rule")?,
            Some("-") => f.write_str(" because no rule allows it")?,
            Some(rule) => write!(f, " by {rule}")?,
            None => {}
        }
        write!(f, ", but {decision}: {}", super::complaint::shown(question))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_lines_are_told_at_their_letter() {
        let text = "# all\n\n  allow connect example.com\nperhaps ping 192.0.2.1\ndeny\n allow\tping \"192.0.2.1 # x\n";
        let error = Expectations::parse("a.expect", text).expect_err("wrong");
        let told: Vec<String> = error.complaints.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "a.expect:3:28: expected ':' and a port",
                "a.expect:4:1: expected allow or deny, and a question",
                "a.expect:5:5: expected an action, as in connect",
                "a.expect:6:13: expected a second '\"' that ends this",
            ]
        );
    }

    #[test]
    fn verdict_and_deciding_rule_are_held_against_the_policy() {
        let policy = Policy::of_rules(&["a.example:443".into()], &["b.example".into()]).expect("a policy");
        let text = "allow connect a.example:443 by=a.example:443 # yes\nallow connect a.example:443 by=-\n\
                    deny connect b.example:1 by=b.example\ndeny connect a.example:443\n";
        let report = Expectations::parse("e", text).expect("expectations").hold_against(&policy);
        assert_eq!(report.met, 2);
        let told: Vec<String> = report.unmet.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "e:2:1: expected to be allowed without a rule, but allowed by --allow a.example:443: connect a.example:443 \
                 by=-",
                "e:4:1: expected to be denied, but allowed by --allow a.example:443: connect a.example:443",
            ]
        );
        assert_eq!(report.to_json()["unmet"][1]["line"], 4);
    }

    #[test]
    fn an_inner_address_behind_a_name_is_decided_as_a_run_does() {
        let rules = ["priv.test:18080", "inner.test:1", "tcp://10.0.0.5:1"].map(str::to_owned);
        let policy = Policy::of_rules(&rules, &["203.0.113.7".into()]).expect("a policy");
        let text = "deny connect priv.test:18080 address=127.0.0.1\nallow connect priv.test:18080\n\
                    allow connect priv.test:18080 address=1.1.1.1\nallow connect inner.test:1 address=10.0.0.5\n\
                    deny connect inner.test:1 address=10.0.0.6\ndeny connect inner.test:1 address=203.0.113.7\n\
                    allow connect priv.test:18080 address=127.0.0.1\n";
        let report = Expectations::parse("e", text).expect("expectations").hold_against(&policy);
        assert_eq!((report.met, report.unmet.len()), (6, 1));
        assert_eq!(
            report.unmet[0].to_string(),
            "e:7:1: expected to be allowed, but it resolves to 127.0.0.1, a loopback address: connect \
             priv.test:18080 address=127.0.0.1"
        );
        let question = Question::parse("connect priv.test:18080 address=127.0.0.1").expect("a question");
        let explanation = policy.explain(&question);
        assert_eq!(explanation.hint.as_deref(), Some("--allow tcp://127.0.0.1:18080"));
    }

    #[test]
    fn a_file_without_an_expectation_is_wrong() {
        for text in ["", "# allow ping 192.0.2.1\n\n"] {
            let error = Expectations::parse("e", text).expect_err("nothing is expected");
            assert!(error.to_string().contains("has no expectation"), "{error}");
        }
    }

    #[test]
    fn a_file_has_a_bound() {
        let error = Expectations::parse("e", &"deny ping ::1\n".repeat(3)).expect_err("no brackets");
        assert_eq!(error.complaints.len(), 3);
        let text = "deny ping 192.0.2.1\n".repeat(EXPECTATIONS_MAX + 1);
        let error = Expectations::parse("e", &text).expect_err("too many");
        assert!(error.to_string().contains("more than 100000"), "{error}");
    }
}
