//! Opening a connection: which address and port it leaves from.

use crate::bindings::{PORT_FIRST, PORTS, plain};
use crate::demux::{Flow, Owner, PORT_COUNTERS, Tuple};
use crate::interface::is_unicast;
use crate::output::Hop;
use crate::stack::Stack;
use crate::{ConnectError, PortShare, TcpId};
use alloc::sync::Arc;
use core::net::{IpAddr, SocketAddr};
use tcp::Connection;
use time::{Instant, SequenceNumber};

/// So that a share has ports enough.
const SHARES_MAX: u16 = 64;

impl PortShare {
    fn len(self) -> u16 {
        PORTS / self.count.clamp(1, SHARES_MAX)
    }

    /// The port of this share that stands at `place`, modulo their number.
    fn of(self, place: u16) -> u16 {
        let count = self.count.clamp(1, SHARES_MAX);
        PORT_FIRST + place % self.len() * count + self.index % count
    }
}

/// What stands between a new connection and its addresses and ports.
enum Vacancy {
    /// Nothing.
    Free,
    /// A connection in TIME-WAIT that may give way; the first sequence number that is safe after it.
    TimeWait { number: u64, initial_min: SequenceNumber },
}

impl Stack {
    /// Opens a connection. Without `local`, or with a port of 0, both are chosen (RFC 6724, RFC 6056).
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    /// let remote = "192.0.2.2:80".parse()?;
    /// let connection = client.tcp_connect(None, remote, Arc::default(), now).expect("there is a route");
    /// let (local, _) = client.tcp_addresses(connection).expect("it is there");
    /// assert!(local.ip().to_string() == "192.0.2.1" && local.port() >= 49_152);
    /// // Nobody listens.
    /// carry(&mut client, &mut server, now);
    /// let told = client.poll_event();
    /// let refused = tcp::Event::Closed(tcp::CloseReason::Refused);
    /// assert!(matches!(told, Some(Event::Tcp { event, .. }) if event == refused));
    /// client.tcp_release(connection, now);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConnectError`] where no SYN can leave.
    pub fn tcp_connect(
        &mut self,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        config: Arc<tcp::Config>,
        now: Instant,
    ) -> Result<TcpId, ConnectError> {
        let flow = self.open(local, remote, config, now)?;
        Ok(self.launch(flow))
    }

    /// Makes a connection whose SYN is due.
    pub(super) fn open(
        &mut self,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        config: Arc<tcp::Config>,
        now: Instant,
    ) -> Result<Flow, ConnectError> {
        if !is_unicast(remote.ip()) || remote.port() == 0 {
            return Err(ConnectError::BadRemote);
        }
        if !self.has_room() {
            return Err(ConnectError::TooMany);
        }
        let remote = plain(remote);
        let hop = self.output.hop(remote.ip()).ok_or(ConnectError::NoRoute)?;
        let interface = self.output.interface(hop.interface).ok_or(ConnectError::NoRoute)?;
        let mtu = interface.capabilities.mtu;
        let address = self.local_address(local, remote.ip(), hop)?;
        let (tuple, vacancy) = match local.map_or(0, |local| local.port()) {
            0 => self.choose_port(address, remote, &config, now)?,
            port => {
                let tuple = Tuple::new(SocketAddr::new(address, port), remote);
                (tuple, self.vacancy(&tuple, &config, now).ok_or(ConnectError::InUse)?)
            }
        };
        let initial = self.tcp.initial_sequence(&tuple, now);
        let initial = match vacancy {
            Vacancy::Free => initial,
            Vacancy::TimeWait { number, initial_min } => {
                self.unhook(number);
                self.let_go(number);
                initial.later(initial_min)
            }
        };
        let offset = self.tcp.timestamp_offset(&tuple);
        let config = self.tcp.advise(config, remote.ip(), now);
        let connection =
            Connection::connect(config, tuple.local().port(), remote.port(), initial, offset, now);
        Ok(Flow::new(tuple, connection, Owner::Held, hop, mtu))
    }

    /// Keeps it, and lets its SYN leave.
    pub(super) fn launch(&mut self, flow: Flow) -> TcpId {
        let number = self.add_flow(flow);
        self.settle(number);
        TcpId(number)
    }

    pub(super) fn local_address(
        &self,
        local: Option<SocketAddr>,
        remote: IpAddr,
        hop: Hop,
    ) -> Result<IpAddr, ConnectError> {
        match local.map(|local| local.ip()).filter(|address| !address.is_unspecified()) {
            Some(address) if address.is_ipv4() == remote.is_ipv4() && self.output.may_send_from(address) => {
                Ok(address)
            }
            Some(_) => Err(ConnectError::NotLocal),
            None => {
                let interface = self.output.interface(hop.interface).ok_or(ConnectError::NoRoute)?;
                interface.source_for(remote, hop.next).ok_or(ConnectError::NotLocal)
            }
        }
    }

    /// Whether a connection may have these addresses and ports.
    fn vacancy(&self, tuple: &Tuple, config: &tcp::Config, now: Instant) -> Option<Vacancy> {
        if self.tcp.find_request(tuple).is_some() {
            return None;
        }
        let Some(number) = self.tcp.find(tuple) else { return Some(Vacancy::Free) };
        let initial_min = self.tcp.flows.find(number)?.connection.may_reopen(now)?;
        config.timestamps.then_some(Vacancy::TimeWait { number, initial_min })
    }

    /// RFC 6056 §3.3.4: where to start is a keyed hash of the destination, where to go on a counter shared by few.
    fn choose_port(
        &mut self,
        address: IpAddr,
        remote: SocketAddr,
        config: &tcp::Config,
        now: Instant,
    ) -> Result<(Tuple, Vacancy), ConnectError> {
        let words = Tuple::new(SocketAddr::new(address, 0), remote).words();
        let hash = self.tcp.secrets.ports.strong(&words);
        let counter = (hash >> 32) as usize % PORT_COUNTERS;
        for _ in 0..self.tcp.ports.len() {
            let step = self.tcp.port_counters[counter];
            self.tcp.port_counters[counter] = step.wrapping_add(1);
            let port = self.tcp.ports.of((hash as u16).wrapping_add(step));
            let tuple = Tuple::new(SocketAddr::new(address, port), remote);
            if let Some(vacancy) = self.vacancy(&tuple, config, now) {
                return Ok((tuple, vacancy));
            }
        }
        Err(ConnectError::NoPort)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn shares_cover_the_range_and_do_not_meet() {
        let ports = |index, count| {
            let share = PortShare { index, count };
            (0..PORTS).map(|place| share.of(place)).collect::<BTreeSet<_>>()
        };
        assert_eq!(ports(0, 1).len(), usize::from(PORTS));
        let (left, right) = (ports(0, 2), ports(1, 2));
        assert!(left.is_disjoint(&right));
        assert_eq!(left.len() + right.len(), usize::from(PORTS));
        assert!(ports(7, 64).iter().all(|&port| port >= PORT_FIRST));
    }
}
