//! Whether what was sent again need not have been, so that the window was reduced for nothing: by the timestamp that
//! the first acknowledgement echoes (Eifel detection, RFC 3522 §3.2), or by duplicates that the peer reports for all of
//! it (RFC 3708 §3, with RFC 2883). What follows is RFC 4015's answer: the window that was, the segments that were, and
//! a timeout that has learned from it.

use crate::rtt::Estimate;
use crate::sack::Block;
use alloc::boxed::Box;
use time::{Duration, Instant, SequenceNumber};

/// One reduction of the window, and what would show that it was wrong.
#[derive(Debug, Default)]
pub(crate) struct Undo {
    /// Not there while all is well.
    episode: Option<Box<Episode>>,
}

#[derive(Clone, Copy, Debug)]
struct Episode {
    /// SND.UNA and SND.NXT when it began.
    from: SequenceNumber,
    until: SequenceNumber,
    /// When something was first sent again.
    repeated_at: Option<Instant>,
    /// Bytes that were sent again and of which no duplicate was reported.
    unreported: u32,
    /// No acknowledgement has moved SND.UNA yet.
    first: bool,
    /// What was thought of the round trip when it began, where it began with a timeout.
    before: Option<Estimate>,
    /// It was for nothing, and since when that is known: only the timeout has yet to learn from it.
    wrong_since: Option<Instant>,
}

impl Undo {
    /// The window is reduced; by a timeout, with what was thought of the round trip `before`.
    pub(crate) fn begin(&mut self, una: SequenceNumber, nxt: SequenceNumber, before: Option<Estimate>) {
        let episode = Episode {
            from: una,
            until: nxt,
            repeated_at: None,
            unreported: 0,
            first: true,
            before,
            wrong_since: None,
        };
        self.episode = Some(Box::new(episode));
    }

    /// It was for nothing. Where it began with a timeout, the next measurement is of interest.
    pub(crate) fn handle_wrong(&mut self, now: Instant) {
        match &mut self.episode {
            Some(episode) if episode.before.is_some() => {
                **episode = Episode { unreported: 0, first: false, wrong_since: Some(now), ..**episode };
            }
            episode => *episode = None,
        }
    }

    /// A round trip was measured by something that left at `sent_at`. What was thought of it before the last timeout,
    /// where that was wrong and this is the first that left since (RFC 4015 §3.3).
    pub(crate) fn take_estimate(&mut self, sent_at: Instant) -> Option<Estimate> {
        let episode = self.episode.take_if(|episode| episode.wrong_since.is_some_and(|at| sent_at >= at))?;
        episode.before
    }

    /// Nothing can be undone any more.
    pub(crate) fn end(&mut self) {
        self.episode = None;
    }

    /// `bytes` leave again.
    pub(crate) fn handle_repeated(&mut self, bytes: u32, now: Instant) {
        if let Some(episode) = self.episode.as_mut().filter(|episode| episode.wrong_since.is_none()) {
            episode.repeated_at.get_or_insert(now);
            episode.unreported = episode.unreported.saturating_add(bytes);
        }
    }

    /// SND.UNA moves. Returns whether the echo, which is `echo_age` old in whole milliseconds, is of a segment that
    /// left before anything was sent again.
    pub(crate) fn handle_progress(&mut self, echo_age: Option<Duration>, now: Instant) -> bool {
        let Some(episode) = &mut self.episode else { return false };
        // RFC 3522 §3.2, steps 3 and 4: the first acceptable acknowledgement decides.
        let first = core::mem::take(&mut episode.first);
        let (Some(repeated_at), Some(echo_age), true) = (episode.repeated_at, echo_age, first) else {
            return false;
        };
        echo_age > Duration::from_millis(now.as_millis() - repeated_at.as_millis())
    }

    /// `block` came twice. Returns whether with it all that was sent again did.
    pub(crate) fn handle_duplicate(&mut self, block: Block) -> bool {
        let Some(episode) = &mut self.episode else { return false };
        if block.0.before(episode.from) || block.1.after(episode.until) || episode.unreported == 0 {
            return false;
        }
        episode.unreported = episode.unreported.saturating_sub(block.1 - block.0);
        episode.unreported == 0
    }

    /// SND.UNA has come to `una`: a round trip after the end, what is reported is of another time.
    pub(crate) fn expire(&mut self, una: SequenceNumber, round: u32) {
        self.episode.take_if(|episode| episode.wrong_since.is_none() && una.after(episode.until + round));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtt::Rtt;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(5_000 + ms)
    }

    fn begun() -> Undo {
        let mut undo = Undo::default();
        undo.begin(SequenceNumber(100), SequenceNumber(900), None);
        undo.handle_repeated(50, at(10));
        undo.handle_repeated(50, at(12));
        undo
    }

    #[test]
    fn an_echo_from_before_the_repetition_undoes_if_it_is_the_first() {
        let mut undo = begun();
        assert!(undo.handle_progress(Some(Duration::from_millis(11)), at(20)));
        let mut undo = begun();
        assert!(!undo.handle_progress(Some(Duration::from_millis(10)), at(20)));
        assert!(!undo.handle_progress(Some(Duration::from_millis(19)), at(20)));
        assert!(!begun().handle_progress(None, at(20)));
    }

    #[test]
    fn duplicates_of_all_that_was_repeated_undo() {
        let block = |left, right| (SequenceNumber(left), SequenceNumber(right));
        let mut undo = begun();
        assert!(!undo.handle_duplicate(block(100, 150)));
        assert!(!undo.handle_duplicate(block(50, 100)), "from before");
        assert!(!undo.handle_duplicate(block(900, 950)), "from after");
        assert!(undo.handle_duplicate(block(200, 250)));
        let mut undo = begun();
        undo.expire(SequenceNumber(1_000), 100);
        assert!(!undo.handle_duplicate(block(100, 150)));
        undo.expire(SequenceNumber(1_001), 100);
        assert!(!undo.handle_duplicate(block(200, 250)));
    }

    #[test]
    fn the_timeout_learns_from_the_first_that_left_after_it_was_found_wrong() {
        let mut rtt = Rtt::default();
        rtt.sample(Duration::from_millis(100));
        let mut undo = Undo::default();
        undo.begin(SequenceNumber(100), SequenceNumber(900), rtt.estimate());
        undo.handle_repeated(50, at(10));
        assert_eq!(undo.take_estimate(at(20)), None, "not known to be wrong");
        undo.handle_wrong(at(30));
        undo.handle_repeated(50, at(31));
        undo.expire(SequenceNumber(2_000), 100);
        assert!(!undo.handle_duplicate((SequenceNumber(100), SequenceNumber(150))));
        assert_eq!(undo.take_estimate(at(29)), None);
        assert_eq!(undo.take_estimate(at(30)), rtt.estimate());
        assert_eq!(undo.take_estimate(at(31)), None);
    }
}
