//! The tables of TCP: connections by addresses and ports, listeners, SYNs that wait, and the keys of the numbers that
//! peers see (RFC 6528, RFC 6056, RFC 7323).

use super::accept::AcceptQueue;
use super::cookie::Cookies;
use super::fast_open::{FastOpening, Pending};
use super::memory::Memory;
use super::request::Request;
use super::unanswered::Unanswered;
use super::{Flow, Tuple};
use crate::bindings::Bindings;
use crate::icmp::Report;
use crate::index::Index;
use crate::path::PathMtu;
use crate::slab::Slab;
use crate::{Config, Listen, PortShare};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hash::Key;
use time::{Duration, Instant, SequenceNumber};

/// The 20 bits of a flow label (RFC 8200 §3).
const FLOW_LABEL_MASK: u32 = (1 << 20) - 1;

/// The keys of what a connection's peer and others see.
#[derive(Debug)]
pub(super) struct Secrets {
    pub(super) initial: Key,
    pub(super) timestamps: Key,
    pub(super) ports: Key,
    labels: Key,
    listeners: Key,
}

/// A listener.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) setup: Listen,
    /// Connections in their handshake.
    pub(super) half_open: usize,
    /// Connections that it has told, where its owner takes them one by one.
    pub(super) accepted: AcceptQueue,
    /// Those that Fast Open took, where it may.
    pub(super) fast_open: Option<Box<Pending>>,
    /// Whether others may have its binding too (SO_REUSEPORT), and, where it is the first of them, those others.
    pub(super) sharing: Option<Vec<u64>>,
}

impl Listener {
    pub(super) fn new(setup: Listen, sharing: Option<Vec<u64>>) -> Self {
        Self { setup, half_open: 0, accepted: AcceptQueue::default(), fast_open: None, sharing }
    }
}

/// Counters of RFC 6056 §3.3.4: a port chosen for one destination moves few others.
pub(super) const PORT_COUNTERS: usize = 64;

/// Connections, listeners, and SYNs that wait.
#[derive(Debug)]
pub(crate) struct Tcp {
    pub(super) flows: Slab<Box<Flow>>,
    pub(super) by_tuple: Index,
    pub(super) listeners: Slab<Listener>,
    pub(super) bindings: Bindings,
    pub(super) requests: Slab<Request>,
    pub(super) requests_by_tuple: Index,
    /// SYNs that wait, the oldest first; some are gone since.
    requests_by_age: VecDeque<u64>,
    /// Connections that a segment of the batch under way has reached, each once.
    pub(super) touched: Vec<u64>,
    /// Connections that have come to TIME-WAIT, the oldest first; some are gone since.
    pub(super) time_wait: VecDeque<u64>,
    pub(super) secrets: Secrets,
    pub(super) cookies: Cookies,
    pub(super) syn_cookies: bool,
    pub(super) fast_open: FastOpening,
    pub(super) unanswered: Unanswered,
    /// What [`share_profile`](Self::share_profile) gave last.
    last_profile: Option<Arc<tcp::Config>>,
    pub(super) port_counters: [u16; PORT_COUNTERS],
    pub(super) ports: PortShare,
    pub(super) connections_max: usize,
    pub(super) memory: Memory,
    pub(super) requests_max: usize,
    pub(super) request_lifetime: Duration,
    /// Bytes in all connections' buffers.
    pub bytes: usize,
}

impl Tcp {
    pub(crate) fn new(config: &Config, seed: &[u8; 32]) -> Self {
        let key = |purpose: u64| Key::derive(seed, 0x100 + purpose);
        Self {
            flows: Slab::new(),
            by_tuple: Index::new(key(0)),
            listeners: Slab::new(),
            bindings: Bindings::new(key(1)),
            requests: Slab::new(),
            requests_by_tuple: Index::new(key(2)),
            requests_by_age: VecDeque::new(),
            touched: Vec::new(),
            time_wait: VecDeque::new(),
            secrets: Secrets {
                initial: key(3),
                timestamps: key(4),
                ports: key(5),
                labels: key(7),
                listeners: key(8),
            },
            cookies: Cookies::new(key(6)),
            syn_cookies: config.syn_cookies,
            fast_open: FastOpening::new(config, key(9), key(10)),
            unanswered: Unanswered::new(),
            last_profile: None,
            port_counters: [0; PORT_COUNTERS],
            ports: config.ports,
            connections_max: config.connections_max,
            memory: Memory::new(config.tcp_bytes_max),
            requests_max: config.requests_max,
            request_lifetime: config.request_lifetime,
            bytes: 0,
        }
    }

    /// A profile that is not the stack's default: connections that are set up alike one after the other share it.
    pub(super) fn share_profile(&mut self, config: tcp::Config) -> Arc<tcp::Config> {
        let profile = match self.last_profile.take() {
            Some(last) if *last == config => last,
            _ => Arc::new(config),
        };
        self.last_profile = Some(Arc::clone(&profile));
        profile
    }

    /// Connections, TIME-WAIT included.
    pub(crate) const fn connections(&self) -> usize {
        self.flows.len()
    }

    /// Of the listeners that share a binding with `first`, the one whose turn a connection is.
    pub(super) fn one_of_sharing(&self, first: u64, tuple: &Tuple) -> u64 {
        let others = self.listeners.find(first).and_then(|listener| listener.sharing.as_deref());
        match others.unwrap_or_default() {
            [] => first,
            others => {
                let hash = self.secrets.listeners.quick(&tuple.words());
                let turn = (u128::from(hash) * (others.len() as u128 + 1)) >> 64;
                turn.checked_sub(1).and_then(|turn| others.get(turn as usize)).copied().unwrap_or(first)
            }
        }
    }

    /// A listener that was removed gives up its binding, or its place among those that share it.
    pub(super) fn leave_binding(&mut self, number: u64, gone: &Listener) {
        let binding = gone.setup.binding;
        let Some(first) = self.bindings.bound_to(binding) else { return };
        if first != number {
            let sharing = self.listeners.find_mut(first).and_then(|listener| listener.sharing.as_mut());
            if let Some(others) = sharing {
                others.retain(|&other| other != number);
            }
            return;
        }
        self.bindings.remove(binding);
        let [next, rest @ ..] = gone.sharing.as_deref().unwrap_or_default() else { return };
        if let Some(heir) = self.listeners.find_mut(*next) {
            heir.sharing = Some(rest.to_vec());
            // It was free a moment ago.
            let _ = self.bindings.insert(binding, *next);
        }
    }

    /// SYNs that wait for their verdict.
    pub(crate) const fn requests(&self) -> usize {
        self.requests.len()
    }

    #[inline]
    pub(crate) fn find(&self, tuple: &Tuple) -> Option<u64> {
        self.by_tuple.find(&tuple.words(), |n| self.flows.find(n).is_some_and(|flow| flow.tuple == *tuple))
    }

    pub(super) fn find_request(&self, tuple: &Tuple) -> Option<u64> {
        self.requests_by_tuple
            .find(&tuple.words(), |n| self.requests.find(n).is_some_and(|r| r.opening.tuple == *tuple))
    }

    /// A SYN waits from now on.
    pub(super) fn note_request(&mut self, number: u64) {
        self.requests_by_age.push_back(number);
        if self.requests_by_age.len() > 2 * self.requests_max {
            let requests = &self.requests;
            self.requests_by_age.retain(|number| requests.find(*number).is_some());
        }
    }

    /// The SYN that has waited longest.
    pub(super) fn oldest_request(&mut self) -> Option<u64> {
        loop {
            let oldest = self.requests_by_age.pop_front()?;
            if self.requests.find(oldest).is_some() {
                return Some(oldest);
            }
        }
    }

    /// RFC 6528 §3: a clock of four microseconds, and a keyed hash of the connection's addresses and ports.
    pub(super) fn initial_sequence(&self, tuple: &Tuple, now: Instant) -> SequenceNumber {
        let clock = (now.as_micros() / 4) as u32;
        SequenceNumber(clock.wrapping_add(self.secrets.initial.strong(&tuple.words()) as u32))
    }

    /// RFC 7323 §5.4: an offset of the connection's own, the same for the same addresses and ports, so that a later
    /// connection's timestamps follow an earlier one's (RFC 6191).
    pub(super) fn timestamp_offset(&self, tuple: &Tuple) -> u32 {
        self.secrets.timestamps.strong(&tuple.words()) as u32
    }

    /// RFC 6437 §3: the label of a connection's packets, the same as long as it lasts, and nobody's to foretell; never
    /// the 0 that stands for none.
    pub(super) fn flow_label(&self, tuple: &Tuple) -> u32 {
        if tuple.remote().is_ipv4() {
            return 0;
        }
        (self.secrets.labels.strong(&tuple.words()) as u32 & FLOW_LABEL_MASK).max(1)
    }

    /// An ICMP error that quotes a segment from `tuple.local` to `tuple.remote`. `None` where none such is in flight;
    /// otherwise the MTU of the path, if that is to be remembered.
    pub(crate) fn report(
        &mut self,
        tuple: &Tuple,
        quoted: SequenceNumber,
        report: Report,
        now: Instant,
    ) -> Option<Option<PathMtu>> {
        let number = self.find(tuple)?;
        let flow = self.flows.find_mut(number).filter(|flow| flow.connection.is_outstanding(quoted))?;
        let learnt = flow.handle_report(report, now);
        self.touch(number);
        Some(learnt)
    }

    /// Remembers that a connection has to be looked after when the batch is through.
    #[inline]
    pub(super) fn touch(&mut self, number: u64) {
        if let Some(flow) = self.flows.find_mut(number)
            && !core::mem::replace(&mut flow.touched, true)
        {
            self.touched.push(number);
        }
    }
}
