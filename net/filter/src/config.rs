//! The bounds of a filter, and its timeouts.

use core::fmt;
use time::Duration;

/// How large a filter may grow, and how long it remembers.
///
/// ```
/// use filter::{Config, Filter, Ruleset};
/// let config = Config { connections_max: 1_000, ..Config::default() };
/// assert!(Filter::new(Ruleset::default(), &[], config, &[7; 32]).is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// Connections tracked at once, 1 to 2^24. For one more, that goes which was idle longest of those not answered yet, closing,
    /// or ICMP's; where there is none, the established one idle longest. Default 65,536, about 5 MB.
    pub connections_max: usize,
    /// Addresses and programs for which rates are counted at once, over all rules, 1 to 2^24. For one more, that goes which
    /// was idle longest: its bucket is full again the sooner. Default 65,536, about 9 MB.
    pub rate_keys_max: usize,
    /// How long idle connections are remembered.
    pub timeouts: Timeouts,
}

/// The most that a table may be set to hold.
pub const ENTRIES_MAX: usize = 1 << 24;

impl Default for Config {
    fn default() -> Self {
        Self { connections_max: 65_536, rate_keys_max: 65_536, timeouts: Timeouts::default() }
    }
}

/// How long connections are remembered that carry nothing. The defaults are the least that the RFCs allow or, where they
/// recommend more, that.
///
/// ```
/// use filter::{Config, Filter, FilterError, Ruleset, Timeouts};
/// use time::Duration;
/// let timeouts = Timeouts { icmp: Duration::from_secs(30), ..Timeouts::default() };
/// let config = Config { timeouts, ..Config::default() };
/// let refused = Filter::new(Ruleset::default(), &[], config, &[7; 32]).unwrap_err();
/// assert_eq!(refused, FilterError::TimeoutTooShort { which: "icmp", least: Duration::from_secs(60) });
/// ```
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// TCP, both sides open. Default and least 2 hours and 4 minutes (RFC 5382 §5, REQ-5).
    pub tcp_established: Duration,
    /// TCP that opens, closes, or was reset. Default and least 4 minutes (RFC 5382 §5, REQ-5).
    pub tcp_transitory: Duration,
    /// UDP that was answered. Default 5 minutes, least 2 (RFC 4787 §4.3, REQ-5).
    pub udp_answered: Duration,
    /// UDP that was not answered. Default and least 2 minutes (RFC 4787 §4.3, REQ-5).
    pub udp_unanswered: Duration,
    /// ICMP queries. Default and least a minute (RFC 5508 §3.2, REQ-2).
    pub icmp: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_established: Duration::from_secs(7_440),
            tcp_transitory: Duration::from_secs(240),
            udp_answered: Duration::from_secs(300),
            udp_unanswered: Duration::from_secs(120),
            icmp: Duration::from_secs(60),
        }
    }
}

/// Why a filter cannot be made of its rules.
///
/// ```
/// use filter::{Config, Filter, FilterError, Ruleset};
/// let rules = Ruleset::parse("receive default accept\n drop on wan")?;
/// let refused = Filter::new(rules, &["lan"], Config::default(), &[7; 32]).unwrap_err();
/// assert_eq!(refused, FilterError::NoInterface { line: 2, name: "wan".into() });
/// # Ok::<(), filter::Errors>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterError {
    /// A rule names an interface that the filter's owner has not.
    NoInterface {
        /// The rule's line.
        line: u32,
        /// The name.
        name: alloc::string::String,
    },
    /// More interfaces than can be told apart.
    TooManyInterfaces,
    /// A timeout is shorter than its RFC allows.
    TimeoutTooShort {
        /// The field of [`Timeouts`].
        which: &'static str,
        /// The least.
        least: Duration,
    },
    /// A bound of [`Config`] is 0 or above 2^24.
    Bound {
        /// The field.
        which: &'static str,
    },
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInterface { line, name } => write!(f, "line {line}: there is no interface {name}"),
            Self::TooManyInterfaces => {
                write!(f, "there are more than {} interfaces", crate::filter::INTERFACES_MAX)
            }
            Self::TimeoutTooShort { which, least } => write!(f, "the timeout {which} is below {least:?}"),
            Self::Bound { which } => write!(f, "{which} is not between 1 and {ENTRIES_MAX}"),
        }
    }
}

impl core::error::Error for FilterError {}

impl Config {
    /// Whether everything is within its range.
    pub(crate) fn check(&self) -> Result<(), FilterError> {
        let bounds = [("connections_max", self.connections_max), ("rate_keys_max", self.rate_keys_max)];
        if let Some((which, _)) = bounds.into_iter().find(|(_, bound)| !(1..=ENTRIES_MAX).contains(bound)) {
            return Err(FilterError::Bound { which });
        }
        let Timeouts { tcp_established, tcp_transitory, udp_answered, udp_unanswered, icmp } = self.timeouts;
        let least = [
            ("tcp_established", tcp_established, 7_440),
            ("tcp_transitory", tcp_transitory, 240),
            ("udp_answered", udp_answered, 120),
            ("udp_unanswered", udp_unanswered, 120),
            ("icmp", icmp, 60),
        ];
        for (which, timeout, seconds) in least {
            let least = Duration::from_secs(seconds);
            if timeout < least {
                return Err(FilterError::TimeoutTooShort { which, least });
            }
        }
        Ok(())
    }
}
