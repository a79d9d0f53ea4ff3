//! A connection with its addresses, its way out, and what the stack knows of it.

use crate::ListenerId;
use crate::demux::path::FlowPath;
use crate::icmp::Report;
use crate::index::number_of;
use crate::neighbour::NeighbourId;
use crate::output::{Hop, Output, ip_header_length};
use crate::path::PathMtu;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tcp::Connection;
use time::Instant;

/// The addresses and ports of a connection, small and quick to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuple {
    local: Address,
    remote: Address,
    local_port: u16,
    remote_port: u16,
}

/// An address as two words: as one number of 128 bits it would be aligned to 16 bytes, and every connection be larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address {
    high: u64,
    low: u64,
}

/// The upper half of the lower word of an IPv4-mapped address (RFC 4291 §2.5.5.2).
const MAPPED: u64 = 0xffff;

impl Address {
    #[inline]
    fn new(address: IpAddr) -> Self {
        let number = number_of(address);
        Self { high: (number >> 64) as u64, low: number as u64 }
    }

    #[inline]
    fn ip(self) -> IpAddr {
        if self.high == 0 && self.low >> 32 == MAPPED {
            return IpAddr::V4(Ipv4Addr::from_bits(self.low as u32));
        }
        IpAddr::V6(Ipv6Addr::from_bits(u128::from(self.high) << 64 | u128::from(self.low)))
    }
}

impl Tuple {
    #[inline]
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local: Address::new(local.ip()),
            remote: Address::new(remote.ip()),
            local_port: local.port(),
            remote_port: remote.port(),
        }
    }

    /// Our side.
    #[inline]
    pub(crate) fn local(&self) -> SocketAddr {
        SocketAddr::new(self.local.ip(), self.local_port)
    }

    /// The other side.
    #[inline]
    pub(crate) fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.remote.ip(), self.remote_port)
    }

    /// The words that it is hashed by.
    #[inline]
    pub(crate) fn words(&self) -> [u64; 5] {
        let ports = u64::from(self.local_port) << 16 | u64::from(self.remote_port);
        [self.local.high, self.local.low, self.remote.high, self.remote.low, ports]
    }
}

/// Who holds a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The stack's owner: it is told of events, and releases it.
    Held,
    /// Nobody yet: it is in its handshake, for this listener.
    Listener(ListenerId),
    /// The stack's owner, who was told of it before its handshake was over, by this listener (RFC 7413); or, once
    /// `released`, nobody any more.
    Early { listener: ListenerId, released: bool },
    /// Nobody any more: it closes by itself.
    Released,
}

impl Owner {
    /// Whether the stack's owner has it, and is told of its events.
    pub(crate) const fn is_told(self) -> bool {
        matches!(self, Self::Held | Self::Early { released: false, .. })
    }
}

/// A connection in the stack.
#[derive(Debug)]
pub(crate) struct Flow {
    pub tuple: Tuple,
    pub connection: Connection,
    pub owner: Owner,
    pub hop: Hop,
    /// The neighbour found for the last segment.
    pub neighbour: Option<NeighbourId>,
    /// What is known of the path's MTU.
    pub path: FlowPath,
    /// The flow label of its IPv6 packets; 0 with IPv4.
    pub label: u32,
    /// It is in its interface's ready list.
    pub ready: bool,
    /// It is in the list of those touched by the batch under way.
    pub touched: bool,
    /// Its addresses and ports are free for others: it only waits to be released.
    pub over: bool,
    /// It is in the list of those whose writer waits for memory.
    pub waits_for_memory: bool,
    /// It is in the list of those in TIME-WAIT that nobody holds.
    pub time_wait: bool,
    /// What its timer is set to; [`Instant::MAX`] where it is not.
    pub deadline: Instant,
    /// Bytes in its buffers when they were last counted.
    pub bytes: usize,
}

impl Flow {
    pub(crate) fn new(tuple: Tuple, connection: Connection, owner: Owner, hop: Hop, mtu: u16) -> Self {
        Self {
            tuple,
            connection,
            owner,
            hop,
            neighbour: None,
            path: FlowPath::new(mtu),
            label: 0,
            ready: false,
            touched: false,
            over: false,
            waits_for_memory: false,
            time_wait: false,
            deadline: Instant::MAX,
            bytes: 0,
        }
    }

    /// Bytes in its buffers now.
    pub(crate) fn buffered(&self) -> usize {
        self.connection.buffered()
    }

    /// Finds the path's MTU where it may have changed.
    #[inline]
    pub(crate) fn look_up_path(&mut self, output: &Output, now: Instant) {
        if self.path.is_to_be_looked_up(output.paths.changes(), now) {
            let link = output.interface(self.hop.interface).map(|interface| interface.capabilities.mtu);
            let discovery = self.connection.config().path_discovery;
            self.path.look_up(link, discovery, self.tuple.remote().ip(), &output.paths, now);
        }
    }

    /// An ICMP error about a segment that is in flight. The MTU of the path, where that is to be remembered.
    pub(crate) fn handle_report(&mut self, report: Report, now: Instant) -> Option<PathMtu> {
        match report {
            Report::Unreachable { hard } => {
                self.connection.handle_unreachable(hard, now);
                None
            }
            Report::TooBig(mtu) => {
                let header_length = ip_header_length(self.hop.next) as u16;
                self.path.handle_report(mtu, header_length, &mut self.connection, now)
            }
        }
    }

    /// The connection's timer went off. The MTU of the path, where one that was doubted is believed now.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<PathMtu> {
        self.connection.handle_timeout(now);
        self.path.handle_timeout(ip_header_length(self.hop.next) as u16, &mut self.connection, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million idle connections fit in 2 GB, and one in 1 KB with its places in the tables.
    #[test]
    fn a_connection_in_the_stack_is_small() {
        let size = core::mem::size_of::<Flow>();
        assert!(size <= 968, "{size} bytes");
    }

    #[test]
    fn addresses_come_back_as_they_were() {
        for text in ["192.0.2.1:80", "0.0.0.0:1", "[2001:db8::1]:443", "[::1]:7", "[::192.0.2.1]:7"] {
            let address: SocketAddr = text.parse().expect("an address");
            let tuple = Tuple::new(address, address);
            assert_eq!((tuple.local(), tuple.remote()), (address, address));
        }
    }
}
