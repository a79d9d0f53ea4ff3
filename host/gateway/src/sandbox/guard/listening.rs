//! Sockets that are to take connections: what each of them is, and at which address.
//!
//! The verdict is about a socket and its address. Other threads of the caller may have the same socket, and let go of its
//! address meanwhile, so it is looked at once more when the socket listens, and one that listens elsewhere is stopped.

use super::caller::Identity;
use crate::sandbox::control::Listening;
use crate::sandbox::process;
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::io::{self, Errno};
use rustix::net::{AddressFamily, Shutdown, SocketType, sockopt};
use std::net::SocketAddr;

/// The network namespace of a socket (linux/sockios.h).
const SIOCGSKNS: libc::Ioctl = 0x894c;

/// States of TCP in `tcp_info` (net/tcp_states.h).
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

/// What a socket is that is to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Socket {
    /// TCP in the sandbox's network namespace. It has a port.
    Tcp(Listening),
    /// A Unix socket: it remembers who had it listen.
    Unix,
    /// Something else, of which no policy speaks, or a socket of another network namespace.
    Other,
}

/// Looks at a socket, and gives one of TCP a port that has none, as listen would.
///
/// # Errors
///
/// ENOTSOCK where it is none, EINVAL where it is connected, and where no port can be had.
pub(super) fn look_at(socket: &OwnedFd, network: Identity) -> io::Result<Socket> {
    match sockopt::socket_domain(socket)? {
        AddressFamily::UNIX => return Ok(Socket::Unix),
        AddressFamily::INET | AddressFamily::INET6 => {}
        _ => return Ok(Socket::Other),
    }
    let protocol = sockopt::socket_protocol(socket)?.map_or(0, |protocol| protocol.as_raw().get());
    let is_tcp = [libc::IPPROTO_TCP as u32, libc::IPPROTO_MPTCP as u32].contains(&protocol);
    let is_stream = sockopt::socket_type(socket)? == SocketType::STREAM;
    if !is_tcp || !is_stream || network_of(socket)?.is_some_and(|other| other != network) {
        return Ok(Socket::Other);
    }
    // Whether it is connected still when it is to listen another thread could change.
    if state(socket).is_some_and(|state| ![CLOSE, LISTEN].contains(&state)) {
        return Err(Errno::INVAL);
    }
    take_port(socket)?;
    where_it_is(socket).map(Socket::Tcp)
}

/// Has a socket listen that may where `judged` says.
pub(super) fn listen_at(socket: &OwnedFd, judged: Listening, backlog: i32) -> io::Result<()> {
    rustix::net::listen(socket, backlog)?;
    if where_it_is(socket) == Ok(judged) {
        return Ok(());
    }
    // It is what stops a socket from listening.
    let _ = rustix::net::shutdown(socket, Shutdown::Read);
    Err(Errno::INVAL)
}

fn where_it_is(socket: &OwnedFd) -> io::Result<Listening> {
    let address = address_of(socket)?;
    let takes_all = address.is_ipv6() && address.ip().is_unspecified();
    let is_dual = takes_all && !sockopt::ipv6_v6only(socket)?;
    Ok(Listening { inode: super::pool::inode_of(socket)?, address, is_dual })
}

/// The socket's own address as policies have it: an IPv4 address that an IPv6 socket has is one of IPv4.
fn address_of(socket: &OwnedFd) -> io::Result<SocketAddr> {
    let address = SocketAddr::try_from(rustix::net::getsockname(socket)?)?;
    Ok(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

fn take_port(socket: &OwnedFd) -> io::Result<()> {
    let name = rustix::net::getsockname(socket)?;
    let bound = SocketAddr::try_from(name.clone())?;
    if bound.port() != 0 {
        return Ok(());
    }
    // A socket may have an address and leave its port to connect or listen (ip(7)).
    let (option, off) = (libc::IP_BIND_ADDRESS_NO_PORT, 0i32);
    let bytes = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel reads one number.
    unsafe { libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, option, (&raw const off).cast(), bytes) };
    match rustix::net::bind(socket, &name) {
        // Another thread was first.
        Err(Errno::INVAL) if address_of(socket)?.port() != 0 => Ok(()),
        other => other,
    }
}

/// The state of TCP, where the kernel tells: the first byte of `tcp_info`.
fn state(socket: &OwnedFd) -> Option<u8> {
    let (mut state, mut bytes) = (0u8, 1);
    let (level, option) = (libc::IPPROTO_TCP, libc::TCP_INFO);
    // SAFETY: the kernel writes one byte, and how many it wrote.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut state).cast(), &raw mut bytes)
    };
    (result == 0 && bytes == 1).then_some(state)
}

/// `None` where the kernel does not tell: it has only one then.
fn network_of(socket: &OwnedFd) -> io::Result<Option<Identity>> {
    // SAFETY: takes no argument.
    let number = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS) };
    if number < 0 {
        return match process::last_error() {
            Errno::NOTTY | Errno::OPNOTSUPP => Ok(None),
            error => Err(error),
        };
    }
    // SAFETY: the kernel has just opened it for us, and nothing else owns it.
    let namespace = unsafe { OwnedFd::from_raw_fd(number) };
    Ok(Some(Identity::of(&rustix::fs::fstat(&namespace)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixDatagram;

    fn own_network() -> Identity {
        Identity::at("/proc/self/ns/net").expect("a namespace")
    }

    fn socket(family: AddressFamily, kind: SocketType) -> OwnedFd {
        rustix::net::socket(family, kind, None).expect("a socket")
    }

    fn look(socket: &OwnedFd) -> io::Result<Socket> {
        look_at(socket, own_network())
    }

    #[test]
    fn sockets_of_which_no_policy_speaks_are_told_apart() {
        let (unix, _other) = UnixDatagram::pair().expect("a pair");
        assert_eq!(look(&unix.into()), Ok(Socket::Unix));
        assert_eq!(look(&socket(AddressFamily::INET, SocketType::DGRAM)), Ok(Socket::Other));
        assert_eq!(look(&socket(AddressFamily::NETLINK, SocketType::RAW)), Ok(Socket::Other));
        let file = std::fs::File::open("/dev/null").expect("a file");
        assert_eq!(look(&file.into()), Err(Errno::NOTSOCK));
    }

    #[test]
    fn a_socket_without_a_port_gets_one_at_the_address_that_it_has() {
        for (bound, is_delayed) in [(None, false), (Some("127.0.0.1:0"), false), (Some("127.0.0.1:0"), true)]
        {
            let socket = socket(AddressFamily::INET, SocketType::STREAM);
            let on = i32::from(is_delayed);
            // SAFETY: the kernel reads one number.
            unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::IPPROTO_IP,
                    libc::IP_BIND_ADDRESS_NO_PORT,
                    (&raw const on).cast(),
                    4,
                )
            };
            if let Some(bound) = bound {
                rustix::net::bind(&socket, &bound.parse::<SocketAddr>().expect("an address")).expect("bound");
            }
            take_port(&socket).expect("a port");
            let there = where_it_is(&socket).expect("an address");
            assert!(there.address.port() != 0 && !there.is_dual);
            assert_eq!(there.address.ip().to_string(), if bound.is_some() { "127.0.0.1" } else { "0.0.0.0" });
            listen_at(&socket, there, 1).expect("it listens");
            assert_eq!(state(&socket), Some(LISTEN));
        }
    }

    #[test]
    fn a_socket_that_listens_otherwise_than_it_may_is_stopped() {
        for is_elsewhere in [true, false] {
            let socket = socket(AddressFamily::INET6, SocketType::STREAM);
            take_port(&socket).expect("a port");
            let there = where_it_is(&socket).expect("an address");
            let elsewhere = Listening { address: SocketAddr::new(there.address.ip(), 1), ..there };
            let otherwise = Listening { is_dual: !there.is_dual, ..there };
            let judged = if is_elsewhere { elsewhere } else { otherwise };
            assert_eq!(listen_at(&socket, judged, 1), Err(Errno::INVAL));
            assert_eq!(state(&socket), Some(CLOSE));
        }
    }

    #[test]
    fn the_state_of_a_connection_is_neither() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        assert_eq!(state(&stream.into()), Some(1));
        assert_eq!(state(&listener.into()), Some(LISTEN));
    }
}
