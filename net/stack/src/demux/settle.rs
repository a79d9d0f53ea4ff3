//! What follows for a connection when segments came or left, time passed, or its owner called: its events are told,
//! its timer is set, its turn to send is coming, and where it is over it is let go.

use crate::demux::{Owner, Tcp};
use crate::output::Timer;
use crate::stack::Stack;
use crate::{Event, TcpId};
use tcp::{CloseReason, State};
use time::Instant;

impl Stack {
    /// Looks after a connection that something happened to: its events are told, its timer is set, its turn to send
    /// is coming, and where it is over it is let go.
    pub(crate) fn settle(&mut self, number: u64) {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return };
        if !flow.ready && !flow.connection.is_over() {
            flow.ready = true;
            let interface = flow.hop.interface;
            if let Some(interface) = self.output.interface_mut(interface) {
                interface.ready.push_back(number);
            }
        }
        self.settle_sent(number);
    }

    /// As [`settle`](Self::settle), for a connection that has nothing to send.
    pub(super) fn settle_sent(&mut self, number: u64) {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return };
        flow.touched = false;
        while let Some(event) = flow.connection.poll_event() {
            match (flow.owner, event) {
                (Owner::Held, event) => {
                    match event {
                        tcp::Event::Established => {
                            self.tcp.fast_open.learn(flow, None);
                            if let Some(at) = flow.connection.ecn_unanswered_at() {
                                self.tcp.unanswered.learn(flow.tuple.remote().ip(), at);
                            }
                        }
                        tcp::Event::Closed(reason) => self.tcp.fast_open.learn(flow, Some(reason)),
                        _ => {}
                    }
                    self.events.push_back(Event::Tcp { connection: TcpId(number), event });
                }
                (Owner::Listener(listener), tcp::Event::Established) => {
                    flow.owner = Owner::Held;
                    let (local, remote) = (flow.tuple.local(), flow.tuple.remote());
                    self.events.push_back(Event::TcpAccepted {
                        listener,
                        connection: TcpId(number),
                        local,
                        remote,
                    });
                    if let Some(listener) = self.tcp.listeners.find_mut(listener.0) {
                        listener.half_open -= 1;
                    }
                }
                (Owner::Early { listener, released }, event) => {
                    let reset = event == tcp::Event::Closed(CloseReason::Reset);
                    let established = event == tcp::Event::Established;
                    if established || matches!(event, tcp::Event::Closed(_)) {
                        flow.owner = if released { Owner::Released } else { Owner::Held };
                        let listener = self.tcp.listeners.find_mut(listener.0);
                        if let Some(pending) = listener.and_then(|listener| listener.fast_open.as_mut()) {
                            pending.end(reset);
                        }
                    }
                    if !released && !established {
                        self.events.push_back(Event::Tcp { connection: TcpId(number), event });
                    }
                }
                (Owner::Listener(_) | Owner::Released, _) => {}
            }
        }
        let waits_for_memory = flow.waits_for_memory;
        let bytes = flow.buffered();
        self.tcp.bytes = self.tcp.bytes - core::mem::replace(&mut flow.bytes, bytes) + bytes;
        // One that is held is to be released first, and comes back here then.
        let waits = flow.connection.state() == State::TimeWait && flow.owner == Owner::Released;
        let newly = waits && !core::mem::replace(&mut flow.time_wait, true);
        if flow.connection.is_over() {
            self.finish(number);
        } else {
            self.set_tcp_timer(number);
        }
        if waits_for_memory {
            self.call_waiting_writer(number);
        }
        if newly {
            self.tcp.note_time_wait(number);
        }
        if self.tcp.note_bytes() {
            self.end_pressure();
        }
    }

    fn set_tcp_timer(&mut self, number: u64) {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return };
        let deadline = flow.connection.poll_timeout().map_or(Instant::MAX, |(at, _)| at);
        if deadline == flow.deadline {
            return;
        }
        flow.deadline = deadline;
        if deadline == Instant::MAX {
            self.output.wheel.cancel(Timer::Tcp(number));
        } else {
            self.output.wheel.set(Timer::Tcp(number), deadline);
        }
    }

    /// A connection is over: its addresses and ports are free, and where nobody holds it, it is gone.
    fn finish(&mut self, number: u64) {
        self.unhook(number);
        self.let_go(number);
    }

    /// Drops a connection that is over, unless somebody holds it.
    pub(super) fn let_go(&mut self, number: u64) {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return };
        match flow.owner {
            Owner::Held | Owner::Early { released: false, .. } => return,
            Owner::Listener(listener) => {
                if let Some(listener) = self.tcp.listeners.find_mut(listener.0) {
                    listener.half_open -= 1;
                }
            }
            Owner::Early { released: true, .. } | Owner::Released => {}
        }
        if let Some(gone) = self.tcp.flows.remove(number) {
            self.tcp.bytes -= gone.bytes;
        }
    }

    /// Whether one more connection may be: where the table is full, those longest in TIME-WAIT that nobody holds go.
    pub(super) fn has_room(&mut self) -> bool {
        while self.tcp.connections() >= self.tcp.connections_max {
            let Some(number) = self.tcp.time_wait.pop_front() else { return false };
            self.finish(number);
        }
        true
    }

    /// Takes a connection's addresses and ports from it, for another one.
    pub(super) fn unhook(&mut self, number: u64) {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return };
        if !core::mem::replace(&mut flow.over, true) {
            flow.deadline = Instant::MAX;
            self.tcp.by_tuple.remove(&flow.tuple.words(), number);
            self.output.wheel.cancel(Timer::Tcp(number));
        }
    }

    /// Settles every connection that the batch has touched, or whose neighbour it has brought.
    pub(crate) fn settle_touched(&mut self) {
        let mut touched = core::mem::take(&mut self.tcp.touched);
        for number in touched.drain(..) {
            self.settle(number);
        }
        // The list's memory is used again for the next batch.
        self.tcp.touched = touched;
        while let Some(id) = self.output.resumed.pop() {
            self.settle(id.0);
        }
    }

    /// A connection's deadline has come.
    pub(crate) fn handle_tcp_timeout(&mut self, number: u64, now: Instant) {
        let Some(flow) = self.tcp.flows.find_mut(number) else { return };
        flow.deadline = Instant::MAX;
        if let Some(mtu) = flow.handle_timeout(now) {
            self.output.paths.learn(flow.tuple.remote().ip(), mtu, now);
        }
        self.settle(number);
    }

    /// Tells connections whose neighbour did not answer.
    pub(crate) fn tell_unreachable(&mut self, now: Instant) {
        while let Some(id) = self.output.unreachable.pop() {
            let Some(flow) = self.tcp.flows.find_mut(id.0) else { continue };
            // The link itself says so: nobody else can have forged it.
            flow.connection.handle_unreachable(true, now);
            self.settle(id.0);
        }
    }
}

impl Tcp {
    /// A connection that nobody holds has come to TIME-WAIT. Those that are through with it leave the front of the list: most wait for
    /// the same time.
    fn note_time_wait(&mut self, number: u64) {
        if self.time_wait.len() > 2 * self.flows.len() {
            // Whose peer sends its FIN again waits longer, and those behind it are over. Who lives is in the list once, so
            // that this is done once for as many as come anew.
            let flows = &self.flows;
            self.time_wait.retain(|number| flows.find(*number).is_some_and(|flow| !flow.over));
        }
        self.time_wait.push_back(number);
        while let Some(&oldest) = self.time_wait.front()
            && self.flows.find(oldest).is_none_or(|flow| flow.over)
        {
            self.time_wait.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demux::{Flow, Tuple};
    use crate::output::Hop;
    use crate::{Config, InterfaceId};
    use alloc::boxed::Box;
    use core::net::SocketAddr;
    use tcp::Connection;
    use time::SequenceNumber;

    #[test]
    fn who_stays_in_time_wait_keeps_nobody_else_in_the_list() {
        let mut tcp = Tcp::new(&Config::default(), &[7; 32]);
        let now = Instant::from_secs(1);
        let (local, remote) = (SocketAddr::from(([10, 0, 2, 2], 80)), SocketAddr::from(([10, 0, 2, 15], 9)));
        let hop = Hop { interface: InterfaceId(0), next: remote.ip() };
        let insert = |tcp: &mut Tcp| {
            let connection = Connection::connect(Default::default(), 80, 9, SequenceNumber(7), 0, now);
            let flow = Flow::new(Tuple::new(local, remote), connection, Owner::Released, hop, 1_500);
            let number = tcp.flows.insert(Box::new(flow));
            tcp.note_time_wait(number);
            number
        };
        let stays = insert(&mut tcp);
        for _ in 0..10_000 {
            let number = insert(&mut tcp);
            tcp.flows.remove(number);
            assert!(tcp.time_wait.len() < 8, "{} places", tcp.time_wait.len());
        }
        assert_eq!(tcp.time_wait.front(), Some(&stays));
    }
}
