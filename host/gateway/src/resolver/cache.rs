//! What the upstream resolver said, for as long as it may be believed.

use super::answer::{Answer, Question};
use std::collections::{BTreeMap, HashMap};
use time::{Duration, Instant};

/// How many answers are kept: more names than programs use, at about 300 bytes each.
pub const ANSWERS_MAX: usize = 4_096;
/// The most records that an answer in the cache has; longer ones are answered and not kept.
const RECORDS_MAX: usize = 64;
/// An answer is not believed for longer than this, whatever its TTL: an hour.
const LIFETIME_MAX: Duration = Duration::from_secs(3_600);
/// An answer is kept at least this long: the connection that it was asked for is opened within it.
/// DEVIATES RFC 1035 §3.2.1: a TTL of zero would cost a second query for each connection.
const LIFETIME_MIN: Duration = Duration::from_secs(2);

/// Answers by question. When full, the one that would expire first is evicted.
#[derive(Debug, Default)]
pub(super) struct Cache {
    answers: HashMap<Question, Entry>,
    /// When which question expires; the number keeps equal moments apart.
    expiries: BTreeMap<(Instant, u64), Question>,
    inserted: u64,
}

#[derive(Debug)]
struct Entry {
    answer: Answer,
    stored: Instant,
    expiry: (Instant, u64),
}

impl Cache {
    /// The answer and how long ago it came.
    pub(super) fn find(&self, question: &Question, now: Instant) -> Option<(&Answer, Duration)> {
        let entry = self.answers.get(question)?;
        (now < entry.expiry.0).then(|| (&entry.answer, now - entry.stored))
    }

    pub(super) fn insert(&mut self, question: Question, answer: Answer, now: Instant) {
        self.expire(now);
        self.remove(&question);
        if answer.records() > RECORDS_MAX {
            return;
        }
        if self.answers.len() >= ANSWERS_MAX
            && let Some((_, first)) = self.expiries.pop_first()
        {
            self.answers.remove(&first);
        }
        self.inserted += 1;
        let expiry = (now + answer.lifetime().clamp(LIFETIME_MIN, LIFETIME_MAX), self.inserted);
        self.expiries.insert(expiry, question.clone());
        self.answers.insert(question, Entry { answer, stored: now, expiry });
    }

    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    fn remove(&mut self, question: &Question) {
        if let Some(entry) = self.answers.remove(question) {
            self.expiries.remove(&entry.expiry);
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some(first) = self.expiries.first_entry() {
            if first.key().0 > now {
                break;
            }
            self.answers.remove(&first.remove());
        }
    }
}
