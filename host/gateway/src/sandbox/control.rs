//! What gateway and init say to each other: one datagram each, over a socket pair that nobody else has.
//!
//! The end of the socket is a message too: without its gateway init ends, and with it everything.

use super::device::Attachment;
use super::error::{During, LaunchError, Step};
use rustix::cmsg_space;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The longest message in bytes, of which the longest path and the longest rule are most; a longer detail is cut.
const MESSAGE_BYTES_MAX: usize = 8_704;
/// The most descriptors that one message carries.
const DESCRIPTORS_MAX: usize = 3;

/// What init tells the gateway.
#[derive(Debug)]
pub(super) enum Report {
    /// Something is not as it should be, and the sandbox does without.
    Warned(LaunchError),
    /// The sandbox cannot be built.
    Failed(LaunchError),
    /// The command waits to be started: the device, the socket tables, the command's pidfd, and whether a guard tells who
    /// calls.
    Ready { attachment: Attachment, device: OwnedFd, socket_tables: OwnedFd, command: OwnedFd, guarded: bool },
    /// Somebody asks for a Unix socket of the host's: who, its path, the rule that decides, whether that, or that there is
    /// none, denies it, and whether a yes opens it all the same. A byte into `answer` is a yes; its end, closed without one,
    /// refuses it.
    Socket {
        number: u64,
        caller: OwnedFd,
        answer: OwnedFd,
        path: String,
        rule: Option<String>,
        denied: bool,
        may_ask: bool,
    },
    /// What came of the one with this number, which was opened.
    SocketOpened { number: u64, error: Option<Errno> },
    /// Somebody waits in a call, until a byte into `answer`, or its end, says that it was looked at.
    Called { caller: OwnedFd, answer: OwnedFd, deed: Deed },
    /// One of the questions above whose descriptors found no place here, so that its answer's end is closed already, which
    /// is a no. Nobody sends it.
    Lost,
    /// The terminal interrupted the command: Ctrl-C.
    Interrupted,
    /// The command was stopped by this signal.
    Stopped(i32),
    /// The command could not be executed.
    NotExecuted(Errno),
    /// The command exited with this status.
    Exited(i32),
    /// The command was ended by this signal.
    Signalled(i32),
}

/// What somebody does who was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It connects the TCP socket that has this inode, by which the kernel's tables know it too. (Not the cookie: a
    /// connection of MPTCP has another than its socket.)
    Connects(u32),
    /// It has that socket connected to nothing any more.
    Disconnects(u32),
    /// It gets this socket for datagrams.
    Makes(u32),
    /// It wants to take connections at a port.
    Listens(Listening),
}

/// Where somebody wants to take connections of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// The inode of the socket.
    pub inode: u32,
    /// The socket's own address, with its port.
    pub address: SocketAddr,
    /// Whether an IPv6 socket takes those of IPv4 as well.
    pub is_dual: bool,
}

/// What the gateway tells init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Your user namespace has its maps: build the rest.
    Build,
    /// Let the command run.
    Start,
}

const WARNED: u8 = 1;
const FAILED: u8 = 2;
const READY: u8 = 3;
const INTERRUPTED: u8 = 4;
const STOPPED: u8 = 5;
const NOT_EXECUTED: u8 = 6;
const EXITED: u8 = 7;
const SIGNALLED: u8 = 8;
const SOCKET: u8 = 9;
const SOCKET_OPENED: u8 = 10;
const CALLED: u8 = 11;
const BUILD: u8 = 1;
const START: u8 = 2;

/// One end.
#[derive(Debug)]
pub(super) struct Control(OwnedFd);

impl Control {
    /// Another handle of the same end.
    pub fn copy(&self) -> Result<Self, LaunchError> {
        self.0.try_clone().map(Self).during(Step::ConnectInit, "")
    }

    /// Both ends.
    pub fn pair() -> Result<(Self, Self), LaunchError> {
        let flags = SocketFlags::CLOEXEC;
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map(|(one, other)| (Self(one), Self(other)))
            .during(Step::ConnectInit, "")
    }

    /// Tells the gateway. A gateway that is gone hears nothing, and init learns it by reading.
    pub fn report(&self, report: &Report) {
        let mut bytes = Vec::new();
        let mut descriptors = Vec::new();
        match report {
            Report::Warned(error) => encode_error(&mut bytes, WARNED, error),
            Report::Failed(error) => encode_error(&mut bytes, FAILED, error),
            Report::Ready { attachment, device, socket_tables, command, guarded } => {
                bytes.extend([READY, u8::from(*attachment == Attachment::Veth), u8::from(*guarded)]);
                descriptors.extend([device.as_fd(), socket_tables.as_fd(), command.as_fd()]);
            }
            Report::Socket { number, caller, answer, path, rule, denied, may_ask } => {
                encode_socket(&mut bytes, *number, path, rule.as_deref(), (*denied, *may_ask));
                descriptors.extend([caller.as_fd(), answer.as_fd()]);
            }
            Report::SocketOpened { number, error } => {
                encode_number(&mut bytes, SOCKET_OPENED, error.map_or(0, Errno::raw_os_error));
                bytes.extend(number.to_ne_bytes());
            }
            Report::Called { caller, answer, deed } => {
                encode_deed(&mut bytes, *deed);
                descriptors.extend([caller.as_fd(), answer.as_fd()]);
            }
            Report::Lost => return,
            Report::Interrupted => bytes.push(INTERRUPTED),
            Report::Stopped(signal) => encode_number(&mut bytes, STOPPED, *signal),
            Report::NotExecuted(error) => encode_number(&mut bytes, NOT_EXECUTED, error.raw_os_error()),
            Report::Exited(status) => encode_number(&mut bytes, EXITED, *status),
            Report::Signalled(signal) => encode_number(&mut bytes, SIGNALLED, *signal),
        }
        bytes.truncate(MESSAGE_BYTES_MAX);
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        let _ = rustix::net::sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL);
    }

    /// The next report; `None` where init is gone.
    ///
    /// # Errors
    ///
    /// EAGAIN where nothing waits and `flags` say not to wait. EMFILE where descriptors came without which nothing can go on,
    /// and there is no place for them. EPROTO where init says what it never does.
    pub fn next_report(&self, flags: RecvFlags) -> Result<Option<Report>, Errno> {
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        let received = loop {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            match rustix::net::recvmsg(&self.0, &mut slices, &mut ancillary, flags) {
                Err(Errno::INTR) => {}
                // A peer that died with our message unread.
                Err(Errno::CONNRESET) => return Ok(None),
                other => break other?,
            }
        };
        let descriptors = ancillary.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
            _ => Vec::new(),
        });
        let bytes = &bytes[..received.bytes];
        if bytes.is_empty() {
            return Ok(None);
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return decode_cut(bytes).map(Some).ok_or(Errno::MFILE);
        }
        decode(bytes, descriptors.collect()).map(Some).ok_or(Errno::PROTO)
    }

    /// Tells init.
    pub fn order(&self, order: Order) -> Result<(), Errno> {
        let byte = match order {
            Order::Build => BUILD,
            Order::Start => START,
        };
        rustix::net::send(&self.0, &[byte], SendFlags::NOSIGNAL).map(drop)
    }

    /// The next order; `None` where the gateway is gone.
    pub fn next_order(&self) -> Option<Order> {
        let mut byte = [0];
        loop {
            match rustix::net::recv(&self.0, &mut byte[..], RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                Ok((_, 1)) if byte[0] == BUILD => return Some(Order::Build),
                Ok((_, 1)) if byte[0] == START => return Some(Order::Start),
                _ => return None,
            }
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn encode_number(bytes: &mut Vec<u8>, kind: u8, number: i32) {
    bytes.push(kind);
    bytes.extend(number.to_ne_bytes());
}

fn encode_error(bytes: &mut Vec<u8>, kind: u8, error: &LaunchError) {
    encode_number(bytes, kind, error.code);
    bytes.push(error.step.number());
    bytes.extend(error.detail.bytes());
}

fn encode_deed(bytes: &mut Vec<u8>, deed: Deed) {
    let (kind, inode) = match deed {
        Deed::Connects(inode) => (0, inode),
        Deed::Disconnects(inode) => (1, inode),
        Deed::Makes(inode) => (2, inode),
        Deed::Listens(Listening { inode, .. }) => (3, inode),
    };
    bytes.extend([CALLED, kind]);
    bytes.extend(inode.to_ne_bytes());
    if let Deed::Listens(Listening { address, is_dual, .. }) = deed {
        let ip = match address.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        bytes.extend(ip.octets());
        bytes.extend(address.port().to_ne_bytes());
        bytes.push(u8::from(is_dual));
    }
}

fn decode_deed(rest: &[u8]) -> Option<Deed> {
    let ([kind, inode @ ..], rest) = rest.split_first_chunk::<5>()?;
    let inode = u32::from_ne_bytes(*inode);
    match (*kind, rest) {
        (0, []) => Some(Deed::Connects(inode)),
        (1, []) => Some(Deed::Disconnects(inode)),
        (2, []) => Some(Deed::Makes(inode)),
        (3, rest) => {
            let (ip, rest) = rest.split_first_chunk::<16>()?;
            let [port @ .., is_dual] = *<&[u8; 3]>::try_from(rest).ok()?;
            // An IPv4 address that an IPv6 socket has is one of IPv4.
            let ip = IpAddr::V6(Ipv6Addr::from(*ip)).to_canonical();
            let address = SocketAddr::new(ip, u16::from_ne_bytes(port));
            Some(Deed::Listens(Listening { inode, address, is_dual: is_dual != 0 }))
        }
        _ => None,
    }
}

/// The number; whether it is denied, and, in the second bit, whether somebody may be asked; the length of the rule, if there
/// is one, which comes first; the path.
fn encode_socket(
    bytes: &mut Vec<u8>,
    number: u64,
    path: &str,
    rule: Option<&str>,
    (denied, may_ask): (bool, bool),
) {
    bytes.push(SOCKET);
    bytes.extend(number.to_ne_bytes());
    bytes.extend([u8::from(denied) | u8::from(may_ask) << 1, u8::from(rule.is_some())]);
    let rule = rule.unwrap_or_default();
    bytes.extend(u16::try_from(rule.len()).unwrap_or(u16::MAX).to_ne_bytes());
    bytes.extend(rule.bytes().chain(path.bytes()));
}

fn decode_socket(rest: &[u8], descriptors: Vec<OwnedFd>) -> Option<Report> {
    let (number, rest) = rest.split_first_chunk()?;
    let ([flags, ruled, low, high], text) = rest.split_first_chunk()?;
    let (rule, path) = text.split_at_checked(usize::from(u16::from_ne_bytes([*low, *high])))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let [caller, answer] = <[OwnedFd; 2]>::try_from(descriptors).ok()?;
    Some(Report::Socket {
        number: u64::from_ne_bytes(*number),
        caller,
        answer,
        path: text(path),
        rule: (*ruled != 0).then(|| text(rule)),
        denied: flags & 1 != 0,
        may_ask: flags & 2 != 0,
    })
}

/// A message that has lost descriptors (unix(7): MSG_CTRUNC).
fn decode_cut(bytes: &[u8]) -> Option<Report> {
    matches!(bytes.first(), Some(&(SOCKET | CALLED))).then_some(Report::Lost)
}

fn decode(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Option<Report> {
    let (kind, rest) = bytes.split_first()?;
    let number = || rest.first_chunk().map(|number| i32::from_ne_bytes(*number));
    let error = || {
        let (step, detail) = rest.get(4..)?.split_first()?;
        let detail = String::from_utf8_lossy(detail).into_owned();
        Some(LaunchError { step: Step::from_number(*step)?, detail, code: number()? })
    };
    Some(match *kind {
        WARNED => Report::Warned(error()?),
        FAILED => Report::Failed(error()?),
        READY => {
            let [attachment, guarded] = *rest.first_chunk()?;
            let attachment = if attachment == 0 { Attachment::Tap } else { Attachment::Veth };
            let [device, socket_tables, command] =
                <[OwnedFd; DESCRIPTORS_MAX]>::try_from(descriptors).ok()?;
            Report::Ready { attachment, device, socket_tables, command, guarded: guarded != 0 }
        }
        SOCKET => decode_socket(rest, descriptors)?,
        CALLED => {
            let [caller, answer] = <[OwnedFd; 2]>::try_from(descriptors).ok()?;
            Report::Called { caller, answer, deed: decode_deed(rest)? }
        }
        SOCKET_OPENED => Report::SocketOpened {
            number: rest.get(4..)?.try_into().ok().map(u64::from_ne_bytes)?,
            error: Some(number()?).filter(|error| *error != 0).map(Errno::from_raw_os_error),
        },
        INTERRUPTED => Report::Interrupted,
        STOPPED => Report::Stopped(number()?),
        NOT_EXECUTED => Report::NotExecuted(Errno::from_raw_os_error(number()?)),
        EXITED => Report::Exited(number()?),
        SIGNALLED => Report::Signalled(number()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn reports_and_orders_arrive_as_they_were_sent() {
        let (gateway, init) = Control::pair().expect("a pair");
        let error = LaunchError::new(Step::AttachTap, "opening", Errno::ACCESS);
        init.report(&Report::Failed(error.clone()));
        init.report(&Report::Exited(7));
        init.report(&Report::NotExecuted(Errno::NOENT));
        let next = || gateway.next_report(RecvFlags::empty()).expect("a report");
        assert!(matches!(next(), Some(Report::Failed(sent)) if sent == error));
        assert!(matches!(next(), Some(Report::Exited(7))));
        assert!(matches!(next(), Some(Report::NotExecuted(Errno::NOENT))));
        gateway.order(Order::Start).expect("send");
        assert_eq!(init.next_order(), Some(Order::Start));
        assert!(matches!(gateway.next_report(RecvFlags::DONTWAIT), Err(Errno::AGAIN)));
        drop(init);
        assert!(matches!(gateway.next_report(RecvFlags::empty()), Ok(None)));
    }

    #[test]
    fn descriptors_travel_with_the_report_that_names_them() {
        let (gateway, init) = Control::pair().expect("a pair");
        let (one, other) = UnixStream::pair().expect("a pair");
        let third = one.try_clone().expect("a copy");
        init.report(&Report::Ready {
            attachment: Attachment::Veth,
            device: one.into(),
            socket_tables: other.into(),
            command: third.into(),
            guarded: true,
        });
        let report = gateway.next_report(RecvFlags::empty()).expect("a report");
        assert!(matches!(report, Some(Report::Ready { attachment: Attachment::Veth, guarded: true, .. })));
        let listens = |address: &str, is_dual| {
            let address = address.parse().expect("an address");
            Deed::Listens(Listening { inode: 7, address, is_dual })
        };
        for sent in [
            Deed::Connects(u32::MAX),
            Deed::Disconnects(1),
            Deed::Makes(2),
            listens("127.0.0.1:80", false),
            listens("[::]:65535", true),
            listens("[fd00::1]:1", false),
        ] {
            let (one, other) = UnixStream::pair().expect("a pair");
            init.report(&Report::Called { caller: one.into(), answer: other.into(), deed: sent });
            let report = gateway.next_report(RecvFlags::empty()).expect("a report");
            assert!(matches!(report, Some(Report::Called { deed, .. }) if deed == sent));
        }
    }

    #[test]
    fn a_question_that_has_lost_its_descriptors_is_told_as_lost_and_answered_by_their_end() {
        // More than fit where they are received, as if no number were left for the last.
        const MANY: usize = 16;
        let (gateway, init) = Control::pair().expect("a pair");
        let send = |bytes: &[u8], answer: OwnedFd| {
            let others: Vec<OwnedFd> = (0..MANY).map(|_| init.copy().expect("a copy").0).collect();
            let descriptors: Vec<_> = others.iter().chain([&answer]).map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MANY + 1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
            let sent =
                rustix::net::sendmsg(&init, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL);
            assert_eq!(sent, Ok(bytes.len()));
        };
        let mut called = Vec::new();
        encode_deed(&mut called, Deed::Connects(7));
        let mut asked = Vec::new();
        encode_socket(&mut asked, 7, "/run/docker.sock", None, (true, false));
        for bytes in [called, asked] {
            let (ours, theirs) = Control::pair().expect("a pair");
            send(&bytes, theirs.0);
            let report = gateway.next_report(RecvFlags::empty());
            assert!(matches!(&report, Ok(Some(Report::Lost))), "{report:?}");
            let answer = rustix::net::recv(&ours, &mut [0][..], RecvFlags::DONTWAIT);
            assert_eq!(answer.map(|(count, _)| count), Ok(0), "its end is a no");
        }
        let (_ours, theirs) = Control::pair().expect("a pair");
        send(&[READY, 0, 0], theirs.0);
        assert!(matches!(gateway.next_report(RecvFlags::empty()), Err(Errno::MFILE)));
        init.report(&Report::Exited(7));
        assert!(matches!(gateway.next_report(RecvFlags::empty()), Ok(Some(Report::Exited(7)))));
    }

    #[test]
    fn what_was_asked_for_arrives_with_who_asked() {
        let (gateway, init) = Control::pair().expect("a pair");
        for (rule, denied, may_ask) in [
            (None, true, true),
            (None, true, false),
            (Some("unix:/run/".to_owned()), false, false),
            (Some(String::new()), true, false),
        ] {
            let (one, other) = UnixStream::pair().expect("a pair");
            let (caller, answer, path) = (one.into(), other.into(), "/run/docker.sock".to_owned());
            let wanted = rule.clone();
            init.report(&Report::Socket { number: 7, caller, answer, path, rule: wanted, denied, may_ask });
            match gateway.next_report(RecvFlags::empty()) {
                Ok(Some(Report::Socket {
                    number, path, rule: heard, denied: refused, may_ask: may, ..
                })) => {
                    assert_eq!((number, path.as_str(), heard), (7, "/run/docker.sock", rule));
                    assert_eq!((refused, may), (denied, may_ask));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_came_of_it_arrives_with_its_number() {
        let (gateway, init) = Control::pair().expect("a pair");
        for error in [None, Some(Errno::CONNREFUSED)] {
            init.report(&Report::SocketOpened { number: u64::MAX, error });
            let heard = gateway.next_report(RecvFlags::empty());
            assert!(
                matches!(heard, Ok(Some(Report::SocketOpened { number: u64::MAX, error: told })) if told == error)
            );
        }
    }

    #[test]
    fn messages_that_make_no_sense_are_none() {
        for bytes in [
            &[][..],
            &[0],
            &[FAILED, 1, 2],
            &[FAILED, 1, 0, 0, 0, 255],
            &[READY, 0],
            &[EXITED, 1],
            &[SOCKET, 0, 0, 9, 0],
            &[SOCKET, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0],
            &[SOCKET_OPENED, 1, 0, 0, 0, 7],
            &[CALLED, 0, 1, 0, 0, 0],
        ] {
            assert!(decode(bytes, Vec::new()).is_none(), "{bytes:?}");
        }
        for bytes in [&[][..], &[0, 1, 2, 3], &[0, 1, 2, 3, 4, 5], &[3, 1, 2, 3, 4], &[4, 1, 2, 3, 4]] {
            assert!(decode_deed(bytes).is_none(), "{bytes:?}");
        }
    }
}
