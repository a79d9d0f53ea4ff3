//! Who gets what arrives at an address and port: exact bindings first, then ports, then interception.

use crate::hash::Key;
use crate::index::words_of;
use crate::interface::Reach;
use crate::{BindError, Binding};
use core::net::SocketAddr;
use hashbrown::HashTable;

/// Numbers of listeners or sockets by what they are bound to.
#[derive(Debug)]
pub(crate) struct Bindings {
    key: Key,
    bound: HashTable<(u64, Binding, u64)>,
    /// Looked at only where something of the kind is bound, so that interception alone costs no lookup.
    addresses: usize,
    ports: usize,
    intercept: Option<u64>,
}

impl Bindings {
    pub(crate) const fn new(key: Key) -> Self {
        Self { key, bound: HashTable::new(), addresses: 0, ports: 0, intercept: None }
    }

    /// Whether something is bound so.
    pub(crate) fn is_bound(&self, binding: Binding) -> bool {
        match binding {
            Binding::Intercept => self.intercept.is_some(),
            Binding::Address(_) | Binding::Port(_) => self.find(binding).is_some(),
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
        let shared = self.ports > 0 && matches!(reach, Reach::Own | Reach::Broadcast);
        let port = || if shared { self.find(Binding::Port(local.port())) } else { None };
        let unicast = matches!(reach, Reach::Own | Reach::Intercepted);
        exact.or_else(port).or(if intercepts && unicast { self.intercept } else { None })
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
            Binding::Intercept => 0,
        }
    }
}

/// The same address and port whatever flow label or scope came with it.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}
