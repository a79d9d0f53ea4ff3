//! The one place where the state changes, and what each new state brings with it.

use super::Connection;
use crate::reset::Reset;
use crate::state::Phase;
use crate::{CloseReason, Event, Why};
use alloc::boxed::Box;
use time::Instant;

impl Connection {
    /// Moves to another state; the table of `state.rs` has to know the move.
    pub(super) fn enter(&mut self, phase: Phase, now: Instant) {
        let (from, to) = (self.phase.state(), phase.state());
        assert!(from.may_become(to), "no move leads from {from:?} to {to:?}");
        let told = matches!(self.phase, Phase::TimeWait { .. });
        self.phase = phase;
        if let Some(opening) = &mut self.opening {
            opening.changed_at = now;
        }
        match self.phase {
            Phase::Established => {
                self.events.push(Event::Established);
                if let Some(keep_alive) = self.config.keep_alive {
                    self.timers.set(Why::KeepAlive, now + keep_alive.idle);
                }
            }
            Phase::FinWait2 { .. } => self.events.push(Event::SendingDone),
            Phase::TimeWait { .. } if !told => {
                self.quiesce();
                self.events.push(Event::Closed(CloseReason::Finished));
            }
            Phase::Closed(reason) => {
                self.quiesce();
                if !told {
                    self.events.push(Event::Closed(reason));
                }
            }
            Phase::SynSent(_)
            | Phase::SynReceived(_)
            | Phase::FinWait1
            | Phase::CloseWait
            | Phase::Closing
            | Phase::LastAck
            | Phase::TimeWait { .. } => {}
        }
    }

    /// Over. What was received stays to be read.
    pub(super) fn finish(&mut self, reason: CloseReason, now: Instant) {
        self.enter(Phase::Closed(reason), now);
    }

    /// Nothing is sent any more, and nothing is waited for.
    fn quiesce(&mut self) {
        self.timers.stop_all();
        self.send.clear();
        self.receive.drop_pieces();
        self.keep_alive_due = false;
    }

    /// Our FIN is acknowledged (RFC 9293 §3.6).
    pub(super) fn handle_fin_acknowledged(&mut self, now: Instant) {
        match self.phase {
            Phase::FinWait1 => {
                let until =
                    if self.receive.is_closed() { now + self.config.fin_wait_2 } else { Instant::MAX };
                self.enter(Phase::FinWait2 { until }, now);
            }
            Phase::Closing => {
                self.events.push(Event::SendingDone);
                self.enter(Phase::TimeWait { until: now + self.config.time_wait }, now);
            }
            Phase::LastAck => {
                self.events.push(Event::SendingDone);
                self.finish(CloseReason::Finished, now);
            }
            Phase::SynSent(_)
            | Phase::SynReceived(_)
            | Phase::Established
            | Phase::FinWait2 { .. }
            | Phase::CloseWait
            | Phase::TimeWait { .. }
            | Phase::Closed(_) => {}
        }
    }

    /// The peer's FIN has its turn (RFC 9293 §3.10.7.4, eighth).
    pub(super) fn handle_fin(&mut self, now: Instant) {
        self.events.push(Event::PeerClosed);
        match self.phase {
            Phase::Established => self.enter(Phase::CloseWait, now),
            // Nothing of ours is to come that could carry the acknowledgement.
            Phase::FinWait1 => {
                self.receive.acks_mut().set_now();
                self.enter(Phase::Closing, now);
            }
            Phase::FinWait2 { .. } => {
                self.receive.acks_mut().set_now();
                self.enter(Phase::TimeWait { until: now + self.config.time_wait }, now);
            }
            Phase::SynSent(_)
            | Phase::SynReceived(_)
            | Phase::CloseWait
            | Phase::Closing
            | Phase::LastAck
            | Phase::TimeWait { .. }
            | Phase::Closed(_) => {}
        }
    }

    /// A reset is due that the peer will take: `<SEQ=SND.NXT><CTL=RST>`.
    pub(super) fn reset_peer(&mut self) {
        self.reset = Some(Box::new(Reset {
            sequence: self.send.acceptable_sequence(),
            acknowledgement: Some(self.receive.next()),
        }));
    }
}
