//! F-RTO (RFC 5682): after a timeout only the first segment leaves again. If the next acknowledgements are of segments
//! that left once, the timeout was wrong: they were late, not lost.

/// Where the algorithm stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Forward {
    /// It does not run, or it has found that segments are lost.
    #[default]
    Off,
    /// RFC 5682 §2.1 and §3.1, step 1: the first segment has left again.
    Repeated,
    /// Step 2b: new segments leave in the place of old ones.
    Probing,
}

/// What it says of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing.
    None,
    /// The timeout was wrong.
    Spurious,
}

impl Forward {
    /// An acknowledgement after the timeout, which does not cover all that was in flight then. `advanced` where SND.UNA
    /// has moved, `original` where bytes in flight at the timeout have arrived that left once, `news` where new data
    /// can leave.
    pub(crate) fn handle_acknowledgement(&mut self, advanced: bool, original: bool, news: bool) -> Finding {
        match *self {
            Self::Off => {}
            // §3.1, step 2b; with nothing new to send, the usual recovery.
            Self::Repeated if advanced => *self = if news { Self::Probing } else { Self::Off },
            // Step 2a: a duplicate before anything else, and so something is missing.
            Self::Repeated => *self = Self::Off,
            // Step 3b: acknowledged, and not sent again.
            Self::Probing => {
                *self = Self::Off;
                if original {
                    return Finding::Spurious;
                }
            }
        }
        Finding::None
    }

    /// Whether new segments leave before those that seem to be lost.
    pub(crate) fn prefers_news(self) -> bool {
        self == Self::Probing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_acknowledgements_of_what_left_once_make_the_timeout_wrong() {
        let mut forward = Forward::Repeated;
        assert_eq!(forward.handle_acknowledgement(true, false, true), Finding::None);
        assert!(forward.prefers_news());
        assert_eq!(forward.handle_acknowledgement(true, true, true), Finding::Spurious);
        assert_eq!(forward, Forward::Off);
    }

    #[test]
    fn a_duplicate_or_nothing_new_to_send_means_the_usual_recovery() {
        for (advanced, news) in [(false, true), (true, false)] {
            let mut forward = Forward::Repeated;
            assert_eq!(forward.handle_acknowledgement(advanced, true, news), Finding::None);
            assert_eq!(forward, Forward::Off);
        }
        let mut forward = Forward::Probing;
        assert_eq!(forward.handle_acknowledgement(false, false, true), Finding::None);
        assert_eq!(forward, Forward::Off);
    }
}
