//! Why a TAP interface could not be made, in words.

use super::TUN_DEVICE;
use packet::DeviceError;
use rustix::io::Errno;
use std::{fmt, io};

/// A TAP interface could not be made: what was tried, for which interface, and why.
///
/// Its `Debug` is its `Display`, so that it can be read where `main` returns it.
///
/// ```
/// use link::TapError;
///
/// let taken = TapError { doing: "making the TAP interface", interface: "weft0".into(), code: 16 };
/// let text = "making the TAP interface failed (weft0): Device or resource busy (os error 16); \
///             another process has it, or the interface is no TAP interface: ip -details link show weft0";
/// assert_eq!(taken.to_string(), text);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TapError {
    /// What was tried, as a gerund: "making the TAP interface".
    pub doing: &'static str,
    /// The interface's name.
    pub interface: String,
    /// The operating system's error number.
    pub code: i32,
}

impl TapError {
    pub(super) fn new(error: DeviceError, interface: &str) -> Self {
        Self { doing: error.doing, interface: interface.into(), code: error.code }
    }

    /// What would help, where it is known.
    ///
    /// ```
    /// use link::TapError;
    ///
    /// let denied = TapError { doing: "opening /dev/net/tun", interface: "weft0".into(), code: 13 };
    /// assert!(denied.remedy().is_some_and(|remedy| remedy.contains("chmod 0666 /dev/net/tun")));
    /// ```
    pub fn remedy(&self) -> Option<String> {
        let name = &self.interface;
        Some(match Errno::from_raw_os_error(self.code) {
            Errno::ACCESS => format!("chmod 0666 {TUN_DEVICE}, or be root"),
            Errno::NOENT | Errno::NODEV | Errno::NXIO => {
                format!("there is no TAP here: modprobe tun, or docker run --device {TUN_DEVICE}")
            }
            Errno::PERM => format!(
                "it takes CAP_NET_ADMIN, or an interface of one's own: ip tuntap add {name} mode tap user USER"
            ),
            Errno::BUSY => format!(
                "another process has it, or the interface is no TAP interface: ip -details link show {name}"
            ),
            Errno::INVAL => {
                "a name has 1 to 15 bytes and no slash, and the interface, where there is one, is a \
                             TAP interface with as many queues as are asked for"
                    .into()
            }
            _ => return None,
        })
    }
}

impl fmt::Display for TapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = io::Error::from_raw_os_error(self.code);
        write!(f, "{} failed ({}): {why}", self.doing, self.interface)?;
        self.remedy().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

impl fmt::Debug for TapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for TapError {}

impl From<TapError> for DeviceError {
    fn from(error: TapError) -> Self {
        Self { doing: error.doing, code: error.code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_that_a_user_can_mend_says_how() {
        let error = |errno: Errno| TapError {
            doing: "opening /dev/net/tun",
            interface: "weft0".into(),
            code: errno.raw_os_error(),
        };
        for (errno, words) in [
            (Errno::ACCESS, "Permission denied (os error 13); chmod 0666 /dev/net/tun"),
            (Errno::NOENT, "modprobe tun"),
            (Errno::PERM, "ip tuntap add weft0 mode tap user"),
            (Errno::BUSY, "another process has it"),
            (Errno::INVAL, "1 to 15 bytes"),
        ] {
            assert!(format!("{:?}", error(errno)).contains(words), "{}", error(errno));
        }
        assert_eq!(error(Errno::NOMEM).remedy(), None);
    }
}
