//! The socket tables of a sandbox: from a connection's addresses to its socket.

use super::diag::{self, DiagSocket, Part};
use super::ping;
use axiom::rules::Protocol;
use rustix::fd::OwnedFd;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;

/// How many sockets may have one port where it is looked whose they are.
pub(super) const SENDERS_MAX: usize = 16;

/// The tables of one network namespace.
#[derive(Debug)]
pub(super) struct SocketTables {
    /// A NETLINK_SOCK_DIAG socket of the namespace.
    diag: OwnedFd,
    /// A process in it.
    member: u32,
    /// Of the last request: a reply to an earlier one, left behind by a failure, is not taken for its own.
    sequence: u32,
}

impl SocketTables {
    /// Those that `diag` was made in; the process `member` is in the same namespace.
    pub fn new(diag: OwnedFd, member: u32) -> Self {
        Self { diag, member, sequence: 0 }
    }

    /// Asks the kernel for the socket with these ends, `local` being its own. It answers at once, before the call that
    /// asks returns.
    pub fn find(&mut self, protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> Option<DiagSocket> {
        if protocol == Protocol::Icmp {
            let inode = self.ping_socket(local)?;
            return Some(DiagSocket { inode, cookie: 0 });
        }
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        self.sequence = self.sequence.wrapping_add(1);
        let request = diag::request(protocol, canonical(local), canonical(remote), self.sequence)?;
        send(&self.diag, &request, SendFlags::DONTWAIT).ok()?;
        let mut reply = [0; 1_024];
        loop {
            let (count, _) = recv(&self.diag, &mut reply[..], RecvFlags::DONTWAIT).ok()?;
            let reply = reply.get(..count)?;
            if diag::sequence(reply) == Some(self.sequence) {
                return diag::parse_reply(reply);
            }
        }
    }

    /// All sockets that datagrams from this address can come from: whatever address a socket is bound to, each datagram may
    /// name another. `None` where the kernel fails, or there are too many.
    pub fn find_senders(&mut self, local: SocketAddr) -> Option<Vec<DiagSocket>> {
        let mut senders = self.find_port(true, local.port())?;
        if local.ip().to_canonical().is_ipv4() {
            senders.append(&mut self.find_port(false, local.port())?);
        }
        (senders.len() <= SENDERS_MAX).then_some(senders)
    }

    /// All UDP sockets of one version of IP that have this port. The answer is read to its end, since there can be no other
    /// question before that.
    fn find_port(&mut self, is_v6: bool, port: u16) -> Option<Vec<DiagSocket>> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = diag::port_request(is_v6, port, self.sequence);
        send(&self.diag, &request, SendFlags::DONTWAIT).ok()?;
        let (mut found, mut reply) = (Vec::new(), [0; 16_384]);
        loop {
            let (count, _) = recv(&self.diag, &mut reply[..], RecvFlags::DONTWAIT).ok()?;
            let part = reply.get(..count)?;
            if diag::sequence(part) != Some(self.sequence) {
                continue;
            }
            let (mut sockets, is_last) = match diag::parse_part(part) {
                Part::Sockets(sockets) => (sockets, false),
                Part::Last(sockets) => (sockets, true),
                Part::Failed => return None,
            };
            sockets.truncate(SENDERS_MAX + 1 - found.len());
            found.append(&mut sockets);
            if is_last {
                return Some(found);
            }
        }
    }

    /// The inode of the ping socket that has this address and identifier.
    fn ping_socket(&self, local: SocketAddr) -> Option<u32> {
        let leaf = if local.is_ipv4() { "icmp" } else { "icmp6" };
        let mut table = String::new();
        let file = File::open(format!("/proc/{}/net/{leaf}", self.member)).ok()?;
        file.take(ping::TABLE_BYTES_MAX + 1).read_to_string(&mut table).ok()?;
        ping::find_identifier(&table, local.port())
    }
}
