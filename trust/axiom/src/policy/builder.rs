//! From texts to a policy, or to what is wrong with them.

use super::ask::{Actors, Places};
use super::cedar::Statements;
use super::complaint::{Complaint, Place, PolicyError};
use super::layer::{Layer, OWN_LISTS, OWN_POLICIES, OwnLists};
use super::set::Policy;
use super::source::{Lines, Load, Reader};
use crate::rules::{Protocol, Rule};
use cedar_policy::Authorizer;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most lists that `--list` names.
pub const LISTS_MAX: usize = 64;

/// Everything that a policy is made of, told piece by piece; [`build`](Self::build) puts it together.
///
/// ```
/// use axiom::policy::PolicyBuilder;
///
/// // Files come through whoever can read them: here from memory.
/// let mut load = |path: &str| match path {
///     "run.cedar" => Ok(br#"permit (principal, action == Action::"connect", resource in List::"team");"#.to_vec()),
///     "team.list" => Ok(b"api.example.com:443\n".to_vec()),
///     _ => Err("no such file".to_owned()),
/// };
/// let policy = PolicyBuilder::default()
///     .rules(&["icmp://192.0.2.1".into()], &[])
///     .list("team", "team.list", &mut load)
///     .file("run.cedar", &mut load)
///     .build()?;
/// assert_eq!(policy.counts(), (2, 1));
/// # Ok::<(), axiom::policy::PolicyError>(())
/// ```
#[derive(Debug, Default)]
pub struct PolicyBuilder {
    reader: Reader,
    own: Lines,
    published: Vec<(Protocol, u16)>,
    lists: Vec<(Arc<str>, Lines)>,
    cedar: Vec<(Arc<str>, String)>,
    /// Policies in Cedar that come of answers.
    answered: Vec<(Place, String)>,
}

impl PolicyBuilder {
    /// Adds rules of `--allow` and `--deny`.
    #[must_use]
    pub fn rules(mut self, allow: &[String], deny: &[String]) -> Self {
        for text in allow {
            self.flag(text, "--allow");
        }
        for text in deny {
            self.flag(text, "--deny");
        }
        self
    }

    fn flag(&mut self, text: &str, flag: &'static str) {
        self.rule(text, flag, Place::Flag(flag), flag == "--deny");
    }

    /// Takes a rule in that somebody gave as `what`.
    fn rule(&mut self, text: &str, what: &str, place: Place, denies: bool) {
        self.reader.hash(what.as_bytes());
        self.reader.hash(text.as_bytes());
        match text.parse::<Rule>() {
            Ok(rule) => {
                let lines = if denies { &mut self.own.deny } else { &mut self.own.allow };
                self.reader.take(lines, rule, place);
            }
            Err(error) => self.reader.complain(Complaint::new(place, error.to_string())),
        }
    }

    /// Adds what a person answered at the terminal: endpoints that are always allowed, and those that never are, as rules
    /// write them.
    #[must_use]
    pub fn answers(mut self, always: &[String], never: &[String]) -> Self {
        for text in always {
            self.rule(text, "always", Place::Answer("always"), false);
        }
        for text in never {
            self.rule(text, "never", Place::Answer("never"), true);
        }
        self
    }

    /// The same for each program by itself: policies in Cedar, whose ids are the endpoints.
    #[must_use]
    pub fn answers_in_cedar(mut self, always: &str, never: &str) -> Self {
        for (answer, text) in [("always", always), ("never", never)] {
            self.reader.hash(answer.as_bytes());
            self.reader.hash(text.as_bytes());
            self.answered.push((Place::Answer(answer), text.to_owned()));
        }
        self
    }

    /// Adds a port of the program that connections from outside reach: `--publish`.
    #[must_use]
    pub fn publish(mut self, protocol: Protocol, port: u16) -> Self {
        self.reader.hash(format!("--publish {protocol}:{port}").as_bytes());
        if !self.published.contains(&(protocol, port)) {
            self.published.push((protocol, port));
        }
        self
    }

    /// Adds a file: policies in Cedar where its name ends in `.cedar`, else rules in the short format.
    #[must_use]
    pub fn file(mut self, path: &str, load: &mut Load<'_>) -> Self {
        let path: Arc<str> = path.into();
        if !path.ends_with(".cedar") {
            self.reader.list(&path, &mut self.own, load);
        } else if let Some(text) = self.reader.text(&path, None, load) {
            self.cedar.push((path, text));
        }
        self
    }

    /// Adds a list, which policies in Cedar name as `List::"NAME"`: a file in the short format.
    #[must_use]
    pub fn list(mut self, name: &str, path: &str, load: &mut Load<'_>) -> Self {
        let complaint = |text: String| Some(Complaint::new(Place::Flag("--list"), text));
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let wrong = if name.is_empty() || !name.chars().all(is_word) {
            complaint(format!("'{name}' is no name of a list: letters, digits, '-', '_' and '.' are"))
        } else if OWN_LISTS.contains(&name) {
            complaint(format!("a list called {name} is weft's own: call it otherwise"))
        } else if self.lists.iter().any(|(other, _)| **other == *name) {
            complaint(format!("there are two lists called {name}"))
        } else if self.lists.len() >= LISTS_MAX {
            complaint(format!("there are more than {LISTS_MAX} lists"))
        } else {
            None
        };
        if let Some(wrong) = wrong {
            self.reader.complain(wrong);
            return self;
        }
        self.reader.hash(name.as_bytes());
        let mut lines = Lines::default();
        self.reader.list(&path.into(), &mut lines, load);
        let unix = lines.allow.iter().chain(&lines.deny).find(|(rule, _)| rule.is_unix());
        if let Some((rule, place)) = unix {
            let wrong = format!("{rule} has no meaning in a list that Cedar names");
            let help = "write it into a policy in the short format, or give it with --allow";
            self.reader.complain(Complaint::new(place.clone(), wrong).helped(help));
        }
        self.lists.push((name.into(), lines));
        self
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// All that is wrong with its texts. Nothing is allowed by what is not wrong of it.
    pub fn build(self) -> Result<Policy, PolicyError> {
        let Self { mut reader, own, published, lists, cedar, answered } = self;
        let mut statements = Statements::default();
        let place = Place::Flag("--policy");
        for (line, is_needed) in OWN_POLICIES.trim().lines().zip([
            !own.allow.is_empty(),
            !own.allow.is_empty(),
            !published.is_empty(),
            !own.deny.is_empty(),
        ]) {
            if is_needed {
                statements.add_own(line, &place);
            }
        }
        let names: BTreeSet<Arc<str>> = lists.iter().map(|(name, _)| name.clone()).collect();
        for (path, text) in &cedar {
            statements.add(path, text, &names, &mut reader);
        }
        for (place, text) in &answered {
            statements.add_answers(place, text, &mut reader);
        }
        let digest = reader.finish()?;
        let uid = |name: &str| super::cedar::uid(&super::cedar::VOCABULARY.list, name);
        Ok(Policy::of_layer(Layer {
            digest,
            own: own.into_list(),
            published,
            lists: lists.into_iter().map(|(name, lines)| (uid(&name), lines.into_list())).collect(),
            places: Places::new(&statements.reads),
            statements,
            actors: Actors::default(),
            own_lists: OwnLists::default(),
            authorizer: Authorizer::new(),
        }))
    }
}
