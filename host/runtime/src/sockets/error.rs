//! What a caller is told when something is refused or over, in the words of `std::io`.

use stack::{BindError, ConnectError, SendError};
use std::io::{self, ErrorKind};
use tcp::{CloseReason, ConfigError};

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
