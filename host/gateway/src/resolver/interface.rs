//! What goes into the resolver and what comes out of it.

use crate::names::NAMES_MAX;
use axiom::addresses::Pins;
use axiom::domain::DomainName;
use axiom::policy::Policy;
use axiom::rules::Host;
use hickory_proto::rr::RecordType;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// What the resolver is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// The run's policy, for names that answers lead to. What the child asks for is its owner's to decide.
    pub policy: Policy,
    /// Names whose addresses the user gave.
    pub pins: Arc<Pins>,
    /// Names of the host's hosts file.
    pub hosts: HashMap<DomainName, Vec<IpAddr>>,
    /// Domains of the search list, which makes names below them of short ones, and tries the next where one does not exist.
    pub search: Vec<DomainName>,
    /// The gateway's addresses inside, which are `host.weft.internal`'s.
    pub gateway_v4: Ipv4Addr,
    /// As above.
    pub gateway_v6: Ipv6Addr,
    /// How many upstream servers there are, at least one.
    pub servers: usize,
    /// How many names have an address inside at once, at most [`NAMES_MAX`].
    pub names_max: usize,
    /// 32 random bytes: message ids and letters' case come from them.
    pub seed: [u8; 32],
}

impl Config {
    /// With nothing pinned, no hosts file, one server, and the gateway's usual addresses.
    #[must_use]
    pub fn new(policy: Policy, seed: [u8; 32]) -> Self {
        Self {
            policy,
            pins: Arc::default(),
            hosts: HashMap::new(),
            search: Vec::new(),
            gateway_v4: Ipv4Addr::new(10, 0, 2, 2),
            gateway_v6: Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2),
            servers: 1,
            names_max: NAMES_MAX,
            seed,
        }
    }

    /// Whether a name may be what the search list made of a short one.
    pub(super) fn is_searched(&self, name: &DomainName) -> bool {
        name.ancestors().any(|above| self.search.iter().any(|domain| domain.as_str() == above))
    }

    /// The addresses of a name that needs no resolver: pinned names before the hosts file's.
    pub(super) fn known_addresses(&self, name: &DomainName) -> Option<&[IpAddr]> {
        self.pins.addresses(name).or_else(|| self.hosts.get(name).map(Vec::as_slice))
    }
}

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A stream of messages behind their lengths ([`frame`](super::frame), [`Deframer`](super::Deframer)).
    Tcp,
}

/// Who asked: a number of the caller's choice that comes back with the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// The caller's number.
    pub token: u64,
    /// How the query came, and how the reply goes.
    pub transport: Transport,
}

/// What the child wants to know, which somebody has to allow first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The number by which [`handle_verdict`](super::Resolver::handle_verdict) answers it.
    pub id: u64,
    /// Who asks.
    pub client: Client,
    /// The name, or the address whose name is asked for.
    pub host: Host,
}

/// A reply to the child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Who asked.
    pub client: Client,
    /// The message, without a length before it.
    pub bytes: Vec<u8>,
}

/// Why nothing came from an upstream server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No answer in time.
    Timeout,
    /// No route, or no socket.
    Unreachable,
    /// Nobody listens there, or the connection was closed.
    Refused,
    /// What came cannot be read.
    Malformed,
}

/// Why a name has no addresses to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResolveError {
    /// The name does not exist, or no rule allows it.
    NoSuchName,
    /// The upstream resolver could not find out.
    ServerFailure,
    /// The upstream resolver did not answer.
    NoReply,
    /// Too many names are being resolved.
    Overloaded,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4, asked for by A.
    V4,
    /// IPv6, asked for by AAAA.
    V6,
}

impl Family {
    pub(super) const fn record_type(self) -> RecordType {
        match self {
            Self::V4 => RecordType::A,
            Self::V6 => RecordType::AAAA,
        }
    }

    pub(super) fn holds(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

/// What is known of one family of a name's addresses; an empty list where the name exists and has none of it.
pub type Addresses = Result<Vec<IpAddr>, ResolveError>;

/// A name's real addresses, as far as they are known at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// IPv4; `None` where [`poll_resolved`](super::Resolver::poll_resolved) will tell.
    pub v4: Option<Addresses>,
    /// IPv6, likewise.
    pub v6: Option<Addresses>,
}

/// One family of a name that a connection waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The name.
    pub name: DomainName,
    /// Which addresses.
    pub family: Family,
    /// The addresses, in upstream's order.
    pub addresses: Addresses,
}

/// What happened, for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something was asked for that no host can be called, so that no rule can allow it. No resolver has heard of it.
    Nameless {
        /// Who asked.
        client: Client,
        /// What was asked for, with everything odd escaped.
        name: String,
    },
    /// A question was answered.
    Answered {
        /// Who asked.
        client: Client,
        /// The name.
        name: String,
        /// The type that was asked for.
        record_type: String,
        /// The response code.
        code: u16,
        /// Real addresses that stand behind the answer.
        addresses: Vec<IpAddr>,
    },
    /// A question could not be answered, for no server did: told besides its answer, which is SERVFAIL.
    Unanswered {
        /// Who asked.
        client: Client,
        /// The name.
        name: String,
    },
}

impl Event {
    /// Who asked.
    #[must_use]
    pub fn client(&self) -> Client {
        let (Self::Nameless { client, .. } | Self::Answered { client, .. } | Self::Unanswered { client, .. }) =
            self;
        *client
    }
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Queries of the child.
    pub queries: u64,
    /// Those that were no queries, and were told so or not answered.
    pub malformed: u64,
    /// Those for names that no rule allows.
    pub refused: u64,
    /// Questions that the cache answered.
    pub cache_hits: u64,
    /// Questions for which there was no room.
    pub overloaded: u64,
    /// Upstream's messages that matched no question.
    pub mismatches: u64,
    /// Answers in the cache now.
    pub cached: usize,
    /// Lookups under way now.
    pub lookups: usize,
}
