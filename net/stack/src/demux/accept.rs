//! Connections that a listener's owner has not taken yet, and what becomes of others while as many wait as may.
//!
//! ```text
//!   SYN ─> half open ─> told as accepted, waits ─> taken
//!           dropped while the queue is full: the peer sends again
//! ```
//!
//! Nothing is reset: what finds the queue full may find room a second later.

use crate::ListenerId;
use crate::stack::Stack;

/// How many wait, and how many may.
#[derive(Debug)]
pub(super) struct AcceptQueue {
    waiting: usize,
    waiting_max: usize,
}

impl Default for AcceptQueue {
    /// One that is never full: its owner takes each connection when it is told of it.
    fn default() -> Self {
        Self { waiting: 0, waiting_max: usize::MAX }
    }
}

impl AcceptQueue {
    /// One more was told.
    pub(super) fn add(&mut self) {
        self.waiting = self.waiting.saturating_add(1);
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting >= self.waiting_max
    }
}

impl Stack {
    /// Bounds the connections that `listener` has told as `Event::TcpAccepted` and that were not taken by
    /// [`tcp_take_accepted`](Self::tcp_take_accepted) yet. While as many wait, SYNs and the acknowledgements that would end a
    /// handshake are dropped (`Drop::TcpAcceptQueueFull`), and peers send them again. At first there is no bound, and nothing
    /// needs to be taken.
    ///
    /// ```
    #[doc = include_str!("../two_hosts.md")]
    /// let listen = Listen { binding: Binding::Port(80), defer: false, backlog: 8, config: Arc::default() };
    /// let listener = server.tcp_listen(listen)?;
    /// server.tcp_set_accept_queue_max(listener, 1);
    /// let remote = "192.0.2.2:80".parse().expect("an address");
    /// let mut accepted = |client: &mut Stack, server: &mut Stack| {
    ///     client.tcp_connect(None, remote, Arc::default(), now).expect("there is a route");
    ///     carry(client, server, now);
    ///     core::iter::from_fn(|| server.poll_event()).count()
    /// };
    /// assert_eq!((accepted(&mut client, &mut server), accepted(&mut client, &mut server)), (1, 0));
    /// server.tcp_take_accepted(listener);
    /// assert_eq!(accepted(&mut client, &mut server), 1);
    /// # Ok::<(), BindError>(())
    /// ```
    pub fn tcp_set_accept_queue_max(&mut self, listener: ListenerId, waiting_max: usize) {
        if let Some(listener) = self.tcp.listeners.find_mut(listener.0) {
            listener.accepted.waiting_max = waiting_max;
        }
    }

    /// The owner of `listener` has taken one of the connections that it told. An example is at
    /// [`tcp_set_accept_queue_max`](Self::tcp_set_accept_queue_max).
    pub fn tcp_take_accepted(&mut self, listener: ListenerId) {
        if let Some(listener) = self.tcp.listeners.find_mut(listener.0) {
            listener.accepted.waiting = listener.accepted.waiting.saturating_sub(1);
        }
    }
}
