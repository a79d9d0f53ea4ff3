//! What a caller is told when something is refused or over, in the words of `std::io`.

use packet::DeviceError;
use stack::{BindError, ConnectError, SendError};
use std::fmt;
use std::io::{self, ErrorKind};
use tcp::{CloseReason, ConfigError};

/// Why nothing turns a stack any more: what every call on its sockets is told from then on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stopped {
    /// The device failed.
    Device(DeviceError),
    /// The device's descriptor cannot be watched, for this reason.
    Watch(ErrorKind),
    /// What turned it panicked.
    Panicked,
    /// The program stopped it.
    Asked,
    /// What turned it was dropped: the program ended the task, or the runtime that it ran in.
    Dropped,
}

impl Stopped {
    /// As `NotConnected`: nothing leads from the stack to anywhere.
    pub(super) fn error(self) -> io::Error {
        io::Error::new(ErrorKind::NotConnected, self)
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stack has stopped: ")?;
        match self {
            Self::Device(error) if error.code > 0 => {
                write!(f, "{}: {}", error.doing, io::Error::from_raw_os_error(error.code))
            }
            Self::Device(error) => write!(f, "{} failed", error.doing),
            Self::Watch(kind) => write!(f, "watching its device: {kind}"),
            Self::Asked => f.write_str("its program stopped it"),
            Self::Panicked => f.write_str("what turned it has panicked"),
            Self::Dropped => f.write_str("what turned it was dropped"),
        }
    }
}

impl std::error::Error for Stopped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Device(error) => Some(error),
            Self::Watch(_) | Self::Panicked | Self::Asked | Self::Dropped => None,
        }
    }
}

/// A field of a profile is outside its range.
pub(super) fn invalid(error: ConfigError) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, error)
}

pub(super) fn bind_error(error: BindError) -> io::Error {
    let kind = match error {
        BindError::InUse => ErrorKind::AddrInUse,
        BindError::NotLocal => ErrorKind::AddrNotAvailable,
        BindError::TooMany => ErrorKind::QuotaExceeded,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

pub(super) fn connect_error(error: ConnectError) -> io::Error {
    let kind = match error {
        ConnectError::NoRoute => ErrorKind::NetworkUnreachable,
        ConnectError::NotLocal | ConnectError::NoPort => ErrorKind::AddrNotAvailable,
        ConnectError::BadRemote => ErrorKind::InvalidInput,
        ConnectError::InUse => ErrorKind::AddrInUse,
        ConnectError::TooMany => ErrorKind::QuotaExceeded,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

pub(super) fn send_error(error: SendError) -> io::Error {
    let kind = match error {
        SendError::NoRoute => ErrorKind::NetworkUnreachable,
        SendError::TooLarge | SendError::TooBig { .. } => ErrorKind::InvalidInput,
        SendError::QueueFull => ErrorKind::WouldBlock,
        _ => ErrorKind::AddrNotAvailable,
    };
    io::Error::new(kind, error)
}

pub(super) fn close_error(reason: CloseReason) -> io::Error {
    match reason {
        CloseReason::Finished => ErrorKind::NotConnected,
        CloseReason::Reset => ErrorKind::ConnectionReset,
        CloseReason::Refused => ErrorKind::ConnectionRefused,
        CloseReason::TimedOut => ErrorKind::TimedOut,
        CloseReason::Unreachable => ErrorKind::HostUnreachable,
        CloseReason::Aborted => ErrorKind::ConnectionAborted,
    }
    .into()
}
