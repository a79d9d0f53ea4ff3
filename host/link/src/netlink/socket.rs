//! The socket that carries the requests, and reads their acknowledgements.

use super::message::{HEADER_LENGTH, Requests};
use packet::DeviceError;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice};

/// Room for one read of acknowledgements in bytes: each is 36, or the request and 20 where it failed.
const ANSWER_BYTES: usize = 8192;

/// A NETLINK_ROUTE socket of the network namespace in which it was opened.
#[derive(Debug)]
pub struct RouteSocket {
    fd: OwnedFd,
}

impl RouteSocket {
    /// Opens the socket in the caller's network namespace.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn open() -> Result<Self, DeviceError> {
        // NETLINK_ROUTE is protocol 0.
        let flags = SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None);
        Ok(Self { fd: fd.map_err(failed("opening a netlink socket"))? })
    }

    /// The number of the interface called `name`.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub fn interface_index(&self, name: &str) -> Result<u32, DeviceError> {
        netdevice::name_to_index(&self.fd, name).map_err(failed("looking up an interface"))
    }

    /// Sends all requests at once and waits until the kernel has done each.
    ///
    /// # Errors
    ///
    /// The first request that failed, by what it does. Those after it were tried too.
    pub fn perform(&self, requests: &Requests) -> Result<(), DeviceError> {
        const DOING: &str = "talking to the kernel by netlink";
        if requests.doing().is_empty() {
            return Ok(());
        }
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::net::sendto(&self.fd, requests.bytes(), SendFlags::empty(), &kernel)
            .map_err(failed(DOING))?;
        let mut waiting = requests.doing().len();
        let mut first_error = None;
        let mut buffer = [0; ANSWER_BYTES];
        while waiting > 0 {
            let (_, length) =
                rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::empty()).map_err(failed(DOING))?;
            for (sequence, code) in Acknowledgements(&buffer[..length.min(ANSWER_BYTES)]) {
                waiting = waiting.saturating_sub(1);
                let doing = requests.doing().get(sequence as usize).copied().unwrap_or(DOING);
                if code != 0 && first_error.is_none() {
                    first_error = Some(DeviceError { doing, code });
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

impl AsFd for RouteSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn failed(doing: &'static str) -> impl Fn(Errno) -> DeviceError {
    move |error| DeviceError { doing, code: error.raw_os_error() }
}

/// The acknowledgements in one answer: sequence number, and error number or 0.
struct Acknowledgements<'a>(&'a [u8]);

impl Iterator for Acknowledgements<'_> {
    type Item = (u32, i32);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (header, rest) = self.0.split_first_chunk::<HEADER_LENGTH>()?;
            let [l0, l1, l2, l3, t0, t1, _, _, s0, s1, s2, s3, ..] = *header;
            let length = (u32::from_ne_bytes([l0, l1, l2, l3]) as usize).max(HEADER_LENGTH);
            self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
            if i32::from(u16::from_ne_bytes([t0, t1])) == libc::NLMSG_ERROR {
                let code = i32::from_ne_bytes(*rest.first_chunk()?);
                return Some((u32::from_ne_bytes([s0, s1, s2, s3]), code.wrapping_neg()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_read_and_other_messages_passed_over() {
        let message = |kind: u16, sequence: u32, code: i32| {
            let mut bytes = 20u32.to_ne_bytes().to_vec();
            bytes.extend_from_slice(&kind.to_ne_bytes());
            bytes.extend_from_slice(&[0; 2]);
            bytes.extend_from_slice(&sequence.to_ne_bytes());
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&code.to_ne_bytes());
            bytes
        };
        let answer = [message(2, 0, 0), message(16, 9, 9), message(2, 1, -17)].concat();
        let read: Vec<_> = Acknowledgements(&answer).collect();
        assert_eq!(read, [(0, 0), (1, 17)]);
        assert_eq!(Acknowledgements(&answer[..19]).count(), 0, "cut short");
        assert_eq!(Acknowledgements(&[0; 64]).count(), 0, "lengths of zero still move on");
    }

    #[test]
    fn the_kernel_says_which_request_it_refused() {
        let socket = RouteSocket::open().expect("a socket");
        assert_eq!(socket.interface_index("lo"), Ok(1));
        assert!(socket.interface_index("no-such-link").is_err());
        let mut requests = Requests::new();
        // No interface has this number, so that nothing is changed even where the test may.
        requests.add_address(0x7fff_fff0, "192.0.2.1".parse().unwrap(), 32);
        let error = socket.perform(&requests).expect_err("must fail");
        assert_eq!(error.doing, "adding an address");
        assert!(error.code == libc::ENODEV || error.code == libc::EPERM, "{error}");
    }
}
