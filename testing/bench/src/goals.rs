//! Goals for weft's figures, and whether a run meets them.

use crate::candidates::Candidate;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Rates.
    Higher,
    /// Times and sizes.
    Lower,
    /// Shares.
    NearerToOne,
}

/// What weft's figure is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// No more than this, in the table's unit.
    Under(f64),
    /// No less than this, in the table's unit.
    AtLeast(f64),
    /// At least this many times as good as a peer in the same run.
    Times(f64, Candidate),
    /// No less than the first and no more than the second.
    Between(f64, f64),
}

/// What a run says of a goal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Reached, with the ratio: how many times as good as the peer, or as the limit.
    Met(f64),
    /// Not reached, with the ratio.
    NotMet(f64),
    /// A figure is missing.
    NotMeasured,
}

impl Goal {
    /// Holds weft's median against the goal.
    pub fn verdict(
        self,
        better: Better,
        weft: Option<f64>,
        median_of: impl Fn(Candidate) -> Option<f64>,
    ) -> Verdict {
        let (other, factor) = match self {
            Self::Under(limit) | Self::AtLeast(limit) => (Some(limit), 1.0),
            Self::Times(factor, peer) => (median_of(peer), factor),
            Self::Between(low, high) => {
                return match weft {
                    Some(weft) if (low..=high).contains(&weft) => Verdict::Met(weft),
                    Some(weft) => Verdict::NotMet(weft),
                    None => Verdict::NotMeasured,
                };
            }
        };
        let (Some(weft), Some(other)) = (weft, other) else { return Verdict::NotMeasured };
        let times = times_as_good(better, weft, other);
        if times >= factor { Verdict::Met(times) } else { Verdict::NotMet(times) }
    }

    /// The goal in words.
    pub fn text(self, unit: &str) -> String {
        match self {
            Self::Under(limit) => format!("under {limit} {unit}"),
            Self::AtLeast(limit) => format!("at least {limit} {unit}"),
            Self::Between(low, high) => format!("between {low} and {high}"),
            Self::Times(1.0, peer) => format!("no worse than {}", peer.name()),
            Self::Times(factor, peer) => format!("{factor} x {}", peer.name()),
        }
    }
}

impl Verdict {
    /// The verdict in words.
    pub fn text(self) -> String {
        match self {
            Self::Met(times) => format!("met ({times:.2} x)"),
            Self::NotMet(times) => format!("NOT MET ({times:.2} x)"),
            Self::NotMeasured => "not measured".to_owned(),
        }
    }
}

/// How many times as good one figure is as another.
pub fn times_as_good(better: Better, one: f64, other: f64) -> f64 {
    match better {
        Better::Higher => one / other,
        Better::Lower => other / one,
        Better::NearerToOne => one.min(1.0 / one) / other.min(1.0 / other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_must_reach_the_factor() {
        let goal = Goal::Times(2.0, Candidate::Slirp4netns);
        let peer = |_| Some(3.0);
        assert_eq!(goal.verdict(Better::Higher, Some(6.0), peer), Verdict::Met(2.0));
        assert_eq!(goal.verdict(Better::Higher, Some(3.0), peer), Verdict::NotMet(1.0));
    }

    #[test]
    fn a_time_must_stay_under() {
        assert_eq!(Goal::Under(40.0).verdict(Better::Lower, Some(20.0), |_| None), Verdict::Met(2.0));
        assert_eq!(Goal::Under(40.0).verdict(Better::Lower, Some(80.0), |_| None), Verdict::NotMet(0.5));
    }

    #[test]
    fn a_rate_must_not_be_less() {
        assert_eq!(Goal::AtLeast(2.0).verdict(Better::Higher, Some(3.0), |_| None), Verdict::Met(1.5));
        assert_eq!(Goal::AtLeast(2.0).verdict(Better::Higher, Some(1.0), |_| None), Verdict::NotMet(0.5));
    }

    #[test]
    fn a_share_must_be_within_both_bounds() {
        let verdict = |share| Goal::Between(0.7, 1.4).verdict(Better::NearerToOne, share, |_| None);
        assert_eq!(verdict(Some(0.7)), Verdict::Met(0.7));
        assert_eq!(verdict(Some(1.5)), Verdict::NotMet(1.5));
        assert_eq!(verdict(None), Verdict::NotMeasured);
        assert_eq!(times_as_good(Better::NearerToOne, 0.5, 2.0), 1.0);
    }

    #[test]
    fn a_missing_figure_meets_nothing() {
        let goal = Goal::Times(1.0, Candidate::Pasta);
        assert_eq!(goal.verdict(Better::Lower, Some(1.0), |_| None), Verdict::NotMeasured);
        assert_eq!(goal.verdict(Better::Lower, None, |_| Some(1.0)), Verdict::NotMeasured);
    }
}
