//! The laws that a connection can be asked for, by name.

/// A law of congestion control; [`Config::congestion`](crate::Config::congestion) names the one to start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CongestionAlgorithm {
    /// NewReno (RFC 5681, RFC 6582).
    NewReno,
    /// CUBIC (RFC 9438).
    Cubic,
}

impl CongestionAlgorithm {
    /// Every one of them.
    pub const ALL: [Self; 2] = [Self::NewReno, Self::Cubic];

    /// Its name as programs write it: TCP_CONGESTION of Linux.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewReno => "reno",
            Self::Cubic => "cubic",
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
