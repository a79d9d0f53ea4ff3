//! What is asked for: a connection, a port, a name; and who asks.

use crate::domain::DomainName;
use crate::rules::{Host, Protocol};
use ledger::{Program, RunId};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What kind of thing is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The program opens a connection, or sends its first datagram to an endpoint.
    Connect,
    /// The program takes a port of its own for datagrams.
    Bind,
    /// The program waits for connections on a port of its own.
    Listen,
    /// Somebody connects to a port of the program.
    Accept,
    /// The program sends an echo request.
    Ping,
    /// The program asks for a name's addresses, or for an address's name.
    Resolve,
}

impl Kind {
    /// All of them, in a fixed order.
    pub const ALL: [Self; 6] =
        [Self::Connect, Self::Bind, Self::Listen, Self::Accept, Self::Ping, Self::Resolve];

    /// How a question in words names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Bind => "bind",
            Self::Listen => "listen",
            Self::Accept => "accept",
            Self::Ping => "ping",
            Self::Resolve => "resolve",
        }
    }

    /// The action of the schema: a policy speaks of bind and listen as of one.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::Bind => "listen",
            Self::Connect | Self::Listen | Self::Accept | Self::Ping | Self::Resolve => self.name(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is asked for, and by whom.
///
/// ```
/// use axiom::{Proposal, rules::Protocol};
/// use axiom::domain::DomainName;
///
/// let name = DomainName::parse("api.example.com")?;
/// let proposal = Proposal::connect(Protocol::Tcp, name, 443);
/// assert_eq!(proposal.endpoint().to_string(), "tcp://api.example.com:443");
/// # Ok::<(), axiom::domain::DomainError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// What kind of thing.
    pub kind: Kind,
    /// By which protocol; `None` for a name that is resolved.
    pub protocol: Option<Protocol>,
    /// The program's own end.
    pub local: Option<SocketAddr>,
    /// The far end, where it is known.
    pub remote: Option<SocketAddr>,
    /// The name that it is asked for by.
    pub name: Option<DomainName>,
    /// What is asked for by name and can be no host's, so that no rule speaks of it; as RFC 1035 §5.1 writes it.
    pub nameless: Option<Arc<str>>,
    /// The path of a Unix socket of the host's, where that is asked for.
    pub socket: Option<Arc<str>>,
    /// The port of whoever is connected to: the far end's of what is opened, the program's own of what it takes.
    pub port: Option<u16>,
    /// Who asks; `None` where that cannot be told.
    pub program: Option<Arc<Program>>,
    /// The run that it belongs to.
    pub run: RunId,
}

impl Proposal {
    fn new(kind: Kind, protocol: Option<Protocol>, port: Option<u16>) -> Self {
        let (local, remote, name, nameless, socket, program) = (None, None, None, None, None, None);
        Self { kind, protocol, local, remote, name, nameless, socket, port, program, run: RunId::default() }
    }

    /// A connection to a name or an address; of ICMP it is an echo request, and the port is nothing.
    #[must_use]
    pub fn connect(protocol: Protocol, host: impl Into<Host>, port: u16) -> Self {
        let (kind, port) = match protocol.has_ports() {
            true => (Kind::Connect, Some(port)),
            false => (Kind::Ping, None),
        };
        let proposal = Self::new(kind, Some(protocol), port);
        match host.into() {
            Host::Name(name) => Self { name: Some(name), ..proposal },
            Host::Address(address) => {
                Self { remote: Some(SocketAddr::new(address, port.unwrap_or(0))), ..proposal }
            }
        }
    }

    /// A connection to a Unix socket of the host's, by its path as the program sees it.
    #[must_use]
    pub fn socket(path: impl Into<Arc<str>>) -> Self {
        Self { socket: Some(path.into()), ..Self::new(Kind::Connect, None, None) }
    }

    /// A port of the program, on which it waits.
    #[must_use]
    pub fn listen(protocol: Protocol, local: SocketAddr) -> Self {
        let kind = if protocol == Protocol::Tcp { Kind::Listen } else { Kind::Bind };
        Self { local: Some(local), ..Self::new(kind, Some(protocol), Some(local.port())) }
    }

    /// A connection from outside to a port of the program.
    #[must_use]
    pub fn accept(protocol: Protocol, remote: SocketAddr, local: SocketAddr) -> Self {
        let port = protocol.has_ports().then_some(local.port());
        Self { local: Some(local), remote: Some(remote), ..Self::new(Kind::Accept, Some(protocol), port) }
    }

    /// A question for a name's addresses, or for an address's name.
    #[must_use]
    pub fn resolve(host: impl Into<Host>) -> Self {
        let proposal = Self::new(Kind::Resolve, None, None);
        match host.into() {
            Host::Name(name) => Self { name: Some(name), ..proposal },
            Host::Address(address) => Self { remote: Some(SocketAddr::new(address, 0)), ..proposal },
        }
    }

    /// A question for a name that no host can have, with everything odd in it escaped.
    ///
    /// ```
    /// use axiom::Proposal;
    ///
    /// assert_eq!(Proposal::resolve_nameless("x!y.example").endpoint().to_string(), "x!y.example");
    /// ```
    #[must_use]
    pub fn resolve_nameless(text: impl Into<Arc<str>>) -> Self {
        Self { nameless: Some(text.into()), ..Self::new(Kind::Resolve, None, None) }
    }

    /// The address that a policy looks at, in canonical form: the far end's, or the program's own where it waits.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        let end = match self.kind {
            Kind::Bind | Kind::Listen => self.local,
            Kind::Connect | Kind::Accept | Kind::Ping | Kind::Resolve => self.remote,
        };
        end.map(|end| end.ip().to_canonical())
    }

    /// What is asked for, as a rule would write it.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint<'_> {
        Endpoint(self)
    }
}

/// What a proposal is about: `tcp://api.example.com:443`, `icmp://192.0.2.1`, `api.example.com`, `unix:/run/docker.sock`. A
/// name stands before an address.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a>(&'a Proposal);

impl fmt::Display for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(proposal) = self;
        if let Some(path) = &proposal.socket {
            return write!(f, "unix:{path}");
        }
        if let Some(protocol) = proposal.protocol {
            write!(f, "{protocol}://")?;
        }
        match (&proposal.name, proposal.address()) {
            (Some(name), _) => write!(f, "{name}")?,
            (None, Some(address)) => write!(f, "{}", Host::Address(address))?,
            (None, None) => f.write_str(proposal.nameless.as_deref().unwrap_or("?"))?,
        }
        match proposal.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// What a decision depends on besides the proposal.
///
/// ```
/// use axiom::Context;
/// let context = Context { time_ns: 1_795_000_000_000_000_000, carried_bytes: 0 };
/// assert!(context.time_ns > Context::default().time_ns);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Now: nanoseconds since 1970-01-01 00:00 UTC, without leap seconds.
    pub time_ns: u64,
    /// Bytes of payload that the run has carried so far, both ways together.
    pub carried_bytes: u64,
}
