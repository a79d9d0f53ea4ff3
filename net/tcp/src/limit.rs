//! How many acknowledgements a peer, or someone who poses as one, can draw from us (RFC 5961 §7).

use time::{Duration, Instant};

/// Answers in one span: the figure of RFC 5961 §7.
const ANSWERS_MAX: u8 = 10;
/// The span.
const SPAN: Duration = Duration::from_secs(5);

/// Counts answers to segments that are out of place.
#[derive(Debug, Default)]
pub(crate) struct AnswerLimit {
    /// When the span began, in milliseconds modulo 2^32: once in 50 days a span may seem to be still under way.
    since_ms: u32,
    answers: u8,
}

impl AnswerLimit {
    /// Whether one more answer may leave.
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        let now_ms = now.as_millis() as u32;
        if u128::from(now_ms.wrapping_sub(self.since_ms)) >= SPAN.as_millis() || self.answers == 0 {
            *self = Self { since_ms: now_ms, answers: 0 };
        }
        if self.answers == ANSWERS_MAX {
            return false;
        }
        self.answers += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_answers_in_five_seconds() {
        let mut limit = AnswerLimit::default();
        let start = Instant::from_secs(1);
        let admitted = (0..50).filter(|_| limit.admit(start)).count();
        assert_eq!(admitted, 10);
        assert!(!limit.admit(start + Duration::from_millis(4_999)));
        assert!(limit.admit(start + SPAN));
    }
}
