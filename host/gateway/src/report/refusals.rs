//! One line for each refusal, and a count where it is repeated.

use super::event::{Kind, Process, Target};
use std::collections::{HashMap, HashSet};
use time::{Duration, Instant};

/// How many different refusals are told one by one; of more only their number is told.
pub const REFUSALS_MAX: usize = 256;
/// How often repetitions are told.
pub const REPEATS_INTERVAL: Duration = Duration::from_secs(10);

/// What was refused, and how often.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    known: HashMap<Key, usize>,
    /// Targets of which something was told.
    targets: HashSet<Target>,
    told: Vec<Told>,
    /// Refusals of which nothing was told, there being too many different ones.
    untold: u64,
    total: u64,
    next: Option<Instant>,
}

/// Refusals with the same key are repetitions, whichever process of a program they come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    program: Option<String>,
    target: Target,
}

#[derive(Debug)]
struct Told {
    /// How it is named when it is told again.
    subject: String,
    kind: Kind,
    repeats: u64,
}

impl Refusals {
    /// Counts one. The line that tells of it, where it is new.
    pub(super) fn count(
        &mut self,
        process: Option<&Process>,
        target: &Target,
        reason: &str,
        hint: Option<&str>,
        now: Instant,
    ) -> Option<String> {
        self.total += 1;
        let key = Key { program: process.map(|process| process.name.clone()), target: target.clone() };
        if let Some(index) = self.known.get(&key) {
            let told = &mut self.told[*index];
            // A program that asks for one name asks several times: for both families, and again with its domains.
            if told.kind != Kind::Dns {
                told.repeats += 1;
                self.next.get_or_insert(now + REPEATS_INTERVAL);
            }
            return None;
        }
        if self.told.len() == REFUSALS_MAX {
            self.untold += 1;
            return None;
        }
        let subject = match process {
            Some(process) => format!("{process} {target}"),
            None => format!("an unknown program {target}"),
        };
        // What a program wants that cannot be found is no news where one was named that wanted the same.
        let is_news = self.targets.insert(target.clone()) || process.is_some();
        let mut line = format!("weft: refused {subject}: {}", super::escape(reason));
        if let Some(hint) = hint {
            line += &format!("; allow with {}", super::escape(hint));
        }
        self.known.insert(key, self.told.len());
        self.told.push(Told { subject, kind: target.kind, repeats: u64::from(!is_news) });
        if !is_news {
            self.next.get_or_insert(now + REPEATS_INTERVAL);
        }
        is_news.then_some(line)
    }

    /// Lines that tell of repetitions. Without `now` they are the last.
    pub(super) fn repeats(&mut self, now: Option<Instant>) -> Vec<String> {
        self.next = None;
        let mut lines = Vec::new();
        for told in &mut self.told {
            match std::mem::take(&mut told.repeats) {
                0 => {}
                1 => lines.push(format!("weft: refused {} once more", told.subject)),
                repeats => lines.push(format!("weft: refused {} {repeats} more times", told.subject)),
            }
        }
        if now.is_none() && self.untold > 0 {
            let untold = self.untold;
            lines
                .push(format!("weft: refused {untold} times more, beyond {REFUSALS_MAX} different refusals"));
        }
        lines
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }
}
