//! The socket tables of a sandbox: from a connection's addresses to its socket.

use super::diag::{self, DiagSocket};
use super::ping;
use axiom::rules::Protocol;
use rustix::fd::OwnedFd;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;

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

    /// The inode of the ping socket that has this address and identifier.
    fn ping_socket(&self, local: SocketAddr) -> Option<u32> {
        let leaf = if local.is_ipv4() { "icmp" } else { "icmp6" };
        let mut table = String::new();
        let file = File::open(format!("/proc/{}/net/{leaf}", self.member)).ok()?;
        file.take(ping::TABLE_BYTES_MAX + 1).read_to_string(&mut table).ok()?;
        ping::find_identifier(&table, local.port())
    }
}
