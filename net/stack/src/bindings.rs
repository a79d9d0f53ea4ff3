//! Who gets what arrives at an address and port: exact bindings first, then ports, then interception.

use crate::index::words_of;
use crate::interface::Reach;
use crate::{BindError, Binding};
use core::net::SocketAddr;
use hash::{Key, Stream};
use hashbrown::HashTable;

/// The dynamic range (RFC 6335 §6).
pub(crate) const PORT_FIRST: u16 = 49_152;
/// How many ports it has.
pub(crate) const PORTS: u16 = u16::MAX - PORT_FIRST + 1;

/// Numbers of listeners or sockets by what they are bound to.
#[derive(Debug)]
pub(crate) struct Bindings {
    key: Key,
    bound: HashTable<(u64, Binding, u64)>,
    /// Looked at only where something of the kind is bound, so that interception alone costs no lookup.
    addresses: usize,
    ports: usize,
    ports_of_version: usize,
    intercept: Option<u64>,
}

impl Bindings {
    pub(crate) const fn new(key: Key) -> Self {
        Self { key, bound: HashTable::new(), addresses: 0, ports: 0, ports_of_version: 0, intercept: None }
    }

    /// Whether something is bound so.
    pub(crate) fn is_bound(&self, binding: Binding) -> bool {
        match binding {
            Binding::Intercept => self.intercept.is_some(),
            Binding::Address(_) => self.find(binding).is_some(),
            // One for both versions and one for either would each claim the same.
            Binding::Port(port) => [binding, Binding::PortV4(port), Binding::PortV6(port)]
                .into_iter()
                .any(|b| self.find(b).is_some()),
            Binding::PortV4(port) | Binding::PortV6(port) => {
                self.find(binding).or_else(|| self.find(Binding::Port(port))).is_some()
            }
        }
    }

    /// RFC 6056 §3.3.1: where `binding` has port 0, the first of the dynamic range from a random one on that is free.
    pub(crate) fn with_port(&self, binding: Binding, random: &mut Stream) -> Result<Binding, BindError> {
        let with = |port: u16| match binding {
            Binding::Address(mut address) if address.port() == 0 => {
                address.set_port(port);
                Some(Binding::Address(address))
            }
            Binding::Port(0) => Some(Binding::Port(port)),
            Binding::PortV4(0) => Some(Binding::PortV4(port)),
            Binding::PortV6(0) => Some(Binding::PortV6(port)),
            Binding::Address(_)
            | Binding::Port(_)
            | Binding::PortV4(_)
            | Binding::PortV6(_)
            | Binding::Intercept => None,
        };
        if with(PORT_FIRST).is_none() {
            return Ok(binding);
        }
        let first = random.below(PORTS.into()) as u16;
        let ports = (0..PORTS).map(|n| PORT_FIRST + (first + n) % PORTS);
        ports.filter_map(with).find(|&binding| !self.is_bound(binding)).ok_or(BindError::TooMany)
    }

    /// What is bound to exactly this.
    pub(crate) fn bound_to(&self, binding: Binding) -> Option<u64> {
        match binding {
            Binding::Intercept => self.intercept,
            Binding::Address(_) | Binding::Port(_) | Binding::PortV4(_) | Binding::PortV6(_) => {
                self.find(binding)
            }
        }
    }

    pub(crate) fn insert(&mut self, binding: Binding, number: u64) -> Result<(), BindError> {
        if self.is_bound(binding) {
            return Err(BindError::InUse);
        }
        match binding {
            Binding::Intercept => {
                self.intercept = Some(number);
                return Ok(());
            }
            Binding::Address(_) => self.addresses += 1,
            Binding::Port(_) => self.ports += 1,
            Binding::PortV4(_) | Binding::PortV6(_) => self.ports_of_version += 1,
        }
        let hash = self.hash(binding);
        self.bound.insert_unique(hash, (hash, binding, number), |entry| entry.0);
        Ok(())
    }

    pub(crate) fn remove(&mut self, binding: Binding) {
        match binding {
            Binding::Intercept => {
                self.intercept = None;
                return;
            }
            Binding::Address(_) => self.addresses -= 1,
            Binding::Port(_) => self.ports -= 1,
            Binding::PortV4(_) | Binding::PortV6(_) => self.ports_of_version -= 1,
        }
        let hash = self.hash(binding);
        if let Ok(entry) = self.bound.find_entry(hash, |entry| entry.1 == binding) {
            entry.remove();
        }
    }

    /// Who gets a packet for `local`, which is of this kind to the interface that it came in by, which may intercept.
    #[inline]
    pub(crate) fn find_for(&self, local: SocketAddr, reach: Reach, intercepts: bool) -> Option<u64> {
        let exact = if self.addresses > 0 { self.find(Binding::Address(local)) } else { None };
        let ours = matches!(reach, Reach::Own | Reach::Broadcast);
        let port = || if ours { self.find_port(local) } else { None };
        let unicast = matches!(reach, Reach::Own | Reach::Intercepted);
        exact.or_else(port).or(if intercepts && unicast { self.intercept } else { None })
    }

    fn find_port(&self, local: SocketAddr) -> Option<u64> {
        let of_version = match (self.ports_of_version, local.is_ipv4()) {
            (0, _) => None,
            (_, true) => self.find(Binding::PortV4(local.port())),
            (_, false) => self.find(Binding::PortV6(local.port())),
        };
        of_version.or_else(|| if self.ports > 0 { self.find(Binding::Port(local.port())) } else { None })
    }

    fn find(&self, binding: Binding) -> Option<u64> {
        let hash = self.hash(binding);
        self.bound.find(hash, |entry| entry.1 == binding).map(|entry| entry.2)
    }

    fn hash(&self, binding: Binding) -> u64 {
        match binding {
            Binding::Address(address) => {
                let [a, b] = words_of(address.ip());
                self.key.quick(&[a, b, address.port().into()])
            }
            Binding::Port(port) => self.key.quick(&[port.into()]),
            Binding::PortV4(port) => self.key.quick(&[port.into(), 4]),
            Binding::PortV6(port) => self.key.quick(&[port.into(), 6]),
            Binding::Intercept => 0,
        }
    }
}

/// The same address and port whatever flow label or scope came with it.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}
