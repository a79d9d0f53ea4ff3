//! How a flow ended.

use rustix::io::Errno;

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// Both sides closed in order.
    Finished,
    /// The command reset it.
    Reset,
    /// The command's side did not answer any more, which is a fault of its link.
    TimedOut,
    /// The first bytes were not what it was opened for.
    Refused,
    /// The far side's connection broke.
    Broken(Errno),
    /// There was nothing to carry for long enough.
    Idle,
    /// It was the quietest when there were too many.
    Evicted,
    /// No address of its name could be used.
    Unreachable,
}

impl From<::tcp::CloseReason> for Closing {
    fn from(reason: ::tcp::CloseReason) -> Self {
        use ::tcp::CloseReason;
        match reason {
            CloseReason::Finished => Self::Finished,
            CloseReason::Reset | CloseReason::Refused | CloseReason::Aborted => Self::Reset,
            CloseReason::TimedOut | CloseReason::Unreachable => Self::TimedOut,
        }
    }
}
