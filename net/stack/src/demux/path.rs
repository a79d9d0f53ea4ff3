//! What a connection knows of its path's MTU: what is remembered of the destination, what routers tell, and whether they
//! are believed (RFC 1191, RFC 8201, RFC 5927 §7).

use crate::path::{PathMtu, Paths};
use alloc::boxed::Box;
use core::net::IpAddr;
use tcp::{Connection, PathDiscovery};
use time::{Instant, SequenceNumber};

/// The path of one connection.
#[derive(Debug)]
pub(crate) struct FlowPath {
    mtu: PathMtu,
    /// How much was known of paths when it was looked up.
    changes: u32,
    /// When what it is from is forgotten.
    until: Instant,
    /// What a router told that is not believed yet.
    claim: Option<Box<Claim>>,
}

#[derive(Debug)]
struct Claim {
    mtu: PathMtu,
    /// The first number that was in flight then.
    first: SequenceNumber,
}

impl FlowPath {
    /// Over a link that takes `mtu` bytes.
    pub(crate) const fn new(mtu: u16) -> Self {
        Self { mtu: PathMtu::of_link(mtu), changes: 0, until: Instant::MAX, claim: None }
    }

    pub(crate) const fn mtu(&self) -> PathMtu {
        self.mtu
    }

    /// Whether routers are kept from fragmenting (IP_MTU_DISCOVER).
    pub(crate) const fn is_whole(&self, discovery: PathDiscovery) -> bool {
        match discovery {
            PathDiscovery::Want => !self.mtu.fragmented,
            PathDiscovery::Do | PathDiscovery::Probe => true,
            PathDiscovery::Dont => false,
        }
    }

    /// It is looked up anew: the connection's options may have changed.
    pub(crate) fn forget(&mut self) {
        self.until = Instant::ZERO;
    }

    #[inline]
    pub(crate) fn is_to_be_looked_up(&self, changes: u32, now: Instant) -> bool {
        self.changes != changes || now >= self.until
    }

    /// RFC 1191 §6.3, RFC 8201 §5.3: what was told long ago is forgotten, and what the link takes is tried again.
    pub(crate) fn look_up(
        &mut self,
        link: Option<u16>,
        discovery: PathDiscovery,
        destination: IpAddr,
        paths: &Paths,
        now: Instant,
    ) {
        self.changes = paths.changes();
        let link = PathMtu::of_link(link.unwrap_or(self.mtu.bytes));
        let known = paths.find(destination, now).filter(|(mtu, _)| {
            mtu.bytes < link.bytes && matches!(discovery, PathDiscovery::Want | PathDiscovery::Do)
        });
        (self.mtu, self.until) = known.unwrap_or((link, Instant::MAX));
    }

    /// A router told that the path carries `mtu`, about a segment that is in flight. What is to be remembered, where it is
    /// believed.
    pub(crate) fn handle_report(
        &mut self,
        mtu: PathMtu,
        header_length: u16,
        connection: &mut Connection,
        now: Instant,
    ) -> Option<PathMtu> {
        // RFC 8201 §4, RFC 1191 §3: a path does not become larger by a router's word.
        let smaller = mtu.bytes < self.mtu.bytes || (mtu.bytes == self.mtu.bytes && mtu.fragmented);
        let heeded = matches!(connection.config().path_discovery, PathDiscovery::Want | PathDiscovery::Do);
        if !smaller || !heeded {
            return None;
        }
        // RFC 5927 §7.2: the path has carried larger segments. It may have changed, and then they are lost from now on; or
        // somebody has forged the report, and then they arrive.
        if connection.has_delivered(mtu.bytes - header_length) && connection.timeouts() == 0 {
            self.claim = Some(Box::new(Claim { mtu, first: connection.first_outstanding() }));
            return None;
        }
        Some(self.shrink(mtu, header_length, connection, now))
    }

    /// The connection's timer went off: whether it was for a segment that a router said was too large.
    pub(crate) fn handle_timeout(
        &mut self,
        header_length: u16,
        connection: &mut Connection,
        now: Instant,
    ) -> Option<PathMtu> {
        let claim = self.claim.as_ref()?;
        if claim.first != connection.first_outstanding() {
            // What was in flight has arrived.
            self.claim = None;
            return None;
        }
        let claim = self.claim.take_if(|_| connection.timeouts() > 0)?;
        Some(self.shrink(claim.mtu, header_length, connection, now))
    }

    fn shrink(
        &mut self,
        mtu: PathMtu,
        header_length: u16,
        connection: &mut Connection,
        now: Instant,
    ) -> PathMtu {
        self.claim = None;
        self.mtu = mtu;
        connection.handle_path_shrunk(mtu.bytes - header_length, now);
        mtu
    }
}
