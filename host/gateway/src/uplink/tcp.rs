//! TCP on the host's stack.

use super::{family, room, would_block};
use packet::{Bytes, Chain, Pool};
use runtime::Readiness;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{self, Errno, IoSlice};
use rustix::net::{self, Shutdown, SocketAddrAny, SocketFlags, SocketType, sockopt};
use std::net::SocketAddr;
use std::time::Duration;

/// How much one read takes at most, in bytes: 45 segments of 1,448, so that what is read leaves as one frame
/// under 65,536 bytes with its headers.
pub const READ_BYTES_MAX: usize = 65_160;

/// Reads below this many bytes are copied out, so that they do not pin a buffer of [`READ_BYTES_MAX`].
const COPY_BYTES_MAX: usize = 16_384;

/// How many chunks one write gathers.
const GATHER_MAX: usize = 16;

/// What a read brought.
#[derive(Debug)]
pub enum Received {
    /// Bytes, and whether the read filled its buffer, so that more may wait.
    Bytes(Bytes, bool),
    /// The peer has closed its side.
    End,
    /// Nothing waits.
    Empty,
}

/// A connection of the host's stack.
#[derive(Debug)]
pub struct TcpSocket(OwnedFd);

impl TcpSocket {
    /// Starts to connect to `remote`; the socket becomes writable when the outcome is known.
    ///
    /// # Errors
    ///
    /// The kernel's, where the attempt failed at once: no route; `MFILE` where no descriptor is left for flows.
    pub fn connect(remote: SocketAddr) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = room::keep(net::socket_with(family(remote), SocketType::STREAM, flags, None)?)?;
        // The program's own stack has decided already when its bytes leave: Nagle here would hold them twice.
        sockopt::set_tcp_nodelay(&socket, true)?;
        match net::connect(&socket, &remote) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Self(socket)),
            Err(error) => Err(error),
        }
    }

    /// How the attempt to connect ended, once the socket reported.
    ///
    /// # Errors
    ///
    /// Why it failed; `INPROGRESS` where it has not ended.
    pub fn outcome(&self, readiness: Readiness) -> io::Result<()> {
        if readiness.writable && !readiness.ended {
            // Only a connected socket that did not fail can be written to.
            return Ok(());
        }
        sockopt::socket_error(&self.0)??;
        match net::getpeername(&self.0) {
            Ok(_) => Ok(()),
            Err(Errno::NOTCONN) => Err(Errno::INPROGRESS),
            Err(error) => Err(error),
        }
    }

    /// Reads once, at most `bytes_max` and never more than 65,160 bytes.
    ///
    /// # Errors
    ///
    /// The kernel's, where the connection is broken.
    pub fn read(&self, pool: &Pool, bytes_max: usize) -> io::Result<Received> {
        let mut buffer = pool.take();
        let wanted = READ_BYTES_MAX.min(buffer.len()).min(bytes_max);
        match io::read(&self.0, &mut buffer[..wanted]) {
            Ok(0) => Ok(Received::End),
            Ok(count) if count < COPY_BYTES_MAX => {
                Ok(Received::Bytes(Bytes::copy_from_slice(&buffer[..count]), count == wanted))
            }
            Ok(count) => Ok(Received::Bytes(buffer.freeze(count), count == wanted)),
            Err(error) if would_block(error) || error == Errno::INTR => Ok(Received::Empty),
            Err(error) => Err(error),
        }
    }

    /// Writes the front of `data` and takes what was written out of it. Whether all of it went.
    ///
    /// # Errors
    ///
    /// The kernel's, where the connection is broken.
    pub fn write(&self, data: &mut Chain) -> io::Result<bool> {
        while !data.is_empty() {
            let written = {
                let mut slices = [IoSlice::new(&[]); GATHER_MAX];
                let mut count = 0;
                for (slice, chunk) in slices.iter_mut().zip(data.chunks()) {
                    *slice = IoSlice::new(chunk);
                    count += 1;
                }
                match &slices[..count] {
                    [one] => io::write(&self.0, one),
                    several => io::writev(&self.0, several),
                }
            };
            match written {
                Ok(count) => data.advance(count),
                Err(Errno::INTR) => {}
                Err(error) if would_block(error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Tells the peer that no more bytes come.
    pub fn shutdown(&self) {
        // A connection that is broken already needs no FIN.
        let _ = net::shutdown(&self.0, Shutdown::Write);
    }

    /// Closes with a reset instead of a FIN, as the program did.
    pub fn reset(self) {
        let _ = sockopt::set_socket_linger(&self.0, Some(Duration::ZERO));
    }
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A listening socket of the host's stack.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// Listens at `local`.
    ///
    /// # Errors
    ///
    /// The kernel's, where the address is taken or not allowed.
    pub fn bind(local: SocketAddr) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(family(local), SocketType::STREAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        if local.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        net::bind(&socket, &local)?;
        net::listen(&socket, 1_024)?;
        Ok(Self(socket))
    }

    /// Takes a connection that waits, if one does.
    ///
    /// # Errors
    ///
    /// `MFILE` where no descriptor is left for flows, and the kernel's. The connection waits on.
    pub fn accept(&self) -> io::Result<Option<(TcpSocket, SocketAddr)>> {
        room::expect_room(&self.0)?;
        loop {
            match net::acceptfrom_with(&self.0, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((socket, remote)) => {
                    sockopt::set_tcp_nodelay(&socket, true)?;
                    let remote = remote.and_then(|any: SocketAddrAny| SocketAddr::try_from(any).ok());
                    return Ok(remote.map(|remote| (TcpSocket(socket), remote)));
                }
                Err(error) if would_block(error) => return Ok(None),
                // It is gone; others may wait behind it.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
