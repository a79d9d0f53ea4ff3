//! The laws that a connection can be asked for, by name.

/// A law of congestion control; [`Config::congestion`](crate::Config::congestion) names the one to start with.
///
/// ```
/// use tcp::CongestionAlgorithm;
/// let names = CongestionAlgorithm::ALL.map(CongestionAlgorithm::name);
/// assert_eq!(names, ["reno", "cubic", "bbr"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CongestionAlgorithm {
    /// NewReno (RFC 5681, RFC 6582).
    NewReno,
    /// CUBIC (RFC 9438).
    Cubic,
    /// BBR (draft-cardwell-iccrg-bbr-congestion-control-00).
    Bbr,
}

impl CongestionAlgorithm {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::NewReno, Self::Cubic, Self::Bbr];

    /// Its name as programs write it: TCP_CONGESTION of Linux.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewReno => "reno",
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
        }
    }

    /// The one of that name.
    ///
    /// ```
    /// use tcp::CongestionAlgorithm;
    /// assert_eq!(CongestionAlgorithm::from_name("cubic"), Some(CongestionAlgorithm::Cubic));
    /// assert_eq!(CongestionAlgorithm::from_name("vegas"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}
