//! What programs ask for, put to the authority: the one way from a packet to a verdict.

use super::cx::{Cx, Opened, Traffic};
use super::gate::{Denial, Entry, Way, is_ours};
use super::held::Held;
use crate::authority::Ended;
use crate::limits::Permit;
use crate::report::{Closing, Event, Process, Target};
use crate::resolver::Wanted;
use axiom::policy::DecidingRule;
use axiom::rules::Protocol;
use axiom::{Committed, Kind, Proposal};
use ledger::{Outcome, Program};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Something that a program asked for, and may have.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Where it goes.
    pub way: Way,
    /// As the authority was asked.
    pub proposal: Proposal,
    /// Who asked, for the report.
    pub process: Option<Process>,
    /// The address that the program used; none for what came in.
    pub wanted: Option<SocketAddr>,
    /// Its right to be open, where there are limits.
    pub permit: Option<Permit>,
    /// What a person has said of it.
    pub consent: Consent,
}

/// What a person has said of something that no rule speaks of, and of nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Consent {
    /// It may be, this once.
    pub is_once: bool,
    /// It may lead to this address, this once.
    pub address: Option<IpAddr>,
    /// Nothing, though it was asked: where it leads it may not.
    pub is_unanswered: bool,
}

/// What a person said to a question, where that has become no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It may be, this once.
    Once,
    /// Nothing.
    Nothing,
}

/// What becomes of what a program asks for and may not have at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    /// It may not be, which is told and written down.
    Refused,
    /// A person is asked: it comes back with the answer.
    Waits,
}

/// Who holds a socket.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    pub process: Option<Process>,
    pub program: Option<Arc<Program>>,
    /// What a person said, who was asked about it.
    pub said: Option<Said>,
}

/// How a program asks: by which protocol, of which address, and from which of its own.
pub(super) type Question = (Protocol, SocketAddr, SocketAddr);

/// Who waits until an entry is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiter {
    /// An attempt of the TCP flow at this index.
    Tcp { index: usize, attempt: usize },
    /// The UDP flow at this index.
    Udp { index: usize },
    /// The echo flow at this index.
    Echo { index: usize },
    /// The question with this number for a Unix socket.
    Socket { number: u64 },
    /// Somebody who is about to listen.
    Listener,
    /// Something that is wanted of the resolver.
    Resolution { wanted: u64 },
}

impl Asked {
    /// The protocol; a connection has one.
    pub fn protocol(&self) -> Protocol {
        self.proposal.protocol.unwrap_or(Protocol::Tcp)
    }

    /// The same, to this address of those that it leads to.
    pub fn leading_to(&self, address: IpAddr) -> Proposal {
        let remote = Some(SocketAddr::new(address, self.way.port()));
        Proposal { remote, ..self.proposal.clone() }
    }

    fn target(&self) -> Target {
        let (protocol, port) = (self.protocol(), self.way.port());
        Target { host: self.way.host(), port: protocol.has_ports().then_some(port), kind: protocol.into() }
    }
}

impl Cx {
    /// What a socket of the command's wants, where that may be. It comes back as `held` where a person is asked.
    pub fn ask(
        &mut self,
        (protocol, wanted, own): Question,
        identity: Identity,
        held: impl FnOnce() -> Held,
    ) -> Result<Asked, Unopened> {
        let Identity { process, program, said } = identity;
        let run = self.authority.run();
        let of = |proposal| Proposal { local: Some(own), program, run, ..proposal };
        let consent = Consent { is_once: said == Some(Said::Once), ..Consent::default() };
        let (way, denial) = match self.gate.way(self.resolver.names(), wanted) {
            Ok(way) => (way, None),
            Err(denial) => (Way::Address(wanted), Some(denial)),
        };
        let proposal = of(way.proposal(protocol));
        let mut asked = Asked { way, proposal, process, wanted: Some(wanted), permit: None, consent };
        if let Some(denial) = denial {
            self.refuse(&asked, denial);
            return Err(Unopened::Refused);
        }
        // Nothing is there to be asked about.
        let is_ours = matches!(&asked.way, Way::Address(address) if is_ours(address.ip()));
        let decision = match is_ours {
            true => self.authority.decide(&asked.proposal, self.now),
            false => match self.consult(&asked.proposal, (asked.process.as_ref(), said), held) {
                Some(decision) => decision,
                None => return Err(Unopened::Waits),
            },
        };
        if !decision.allowed {
            let is_unruled = decision.rule.is_none() && decision.failure.is_none();
            let rejected = self.refuse_decided(&asked.proposal, &decision);
            let denial = Denial::of_rejected(protocol, &asked.way, rejected, is_unruled);
            self.refuse(&asked, denial);
            return Err(Unopened::Refused);
        }
        if is_ours {
            let denial = Denial::unreachable(&asked.way);
            self.refuse(&asked, denial);
            return Err(Unopened::Refused);
        }
        if self.permit(&mut asked) { Ok(asked) } else { Err(Unopened::Refused) }
    }

    /// Whether limits let what was asked for be opened; where they do not, that is told and written down.
    pub fn permit(&mut self, asked: &mut Asked) -> bool {
        let Some(limits) = &mut self.limits else { return true };
        match limits.admit(self.now) {
            Ok(permit) => {
                asked.permit = Some(permit);
                true
            }
            Err(reason) => {
                self.refuse(asked, Denial::limited(&asked.way, reason));
                false
            }
        }
    }

    /// Those of the addresses that what was asked for leads to and that may be used, or why none may be.
    pub fn admit(&self, asked: &Asked, found: &[IpAddr]) -> Result<Vec<IpAddr>, Denial> {
        let (mut denial, mut admitted) = (None, Vec::new());
        for address in found {
            match self.admit_one(asked, *address) {
                Ok(()) => admitted.push(*address),
                Err(why) => denial = Some(Denial::not_admitted(&asked.way, *address, why)),
            }
        }
        match denial {
            Some(denial) if admitted.is_empty() => Err(denial),
            _ => Ok(admitted),
        }
    }

    /// Authorises what was asked for, to this address, and writes it down. From here on it has a number, and an end.
    pub fn commit(&mut self, asked: &Asked, remote: SocketAddr) -> Result<Committed, Denial> {
        let proposal = match asked.way {
            // The host's loopback is asked for, and written down, by the gateway's address.
            Way::Host(_) => asked.proposal.clone(),
            Way::Address(_) | Way::Name(..) => Proposal { remote: Some(remote), ..asked.proposal.clone() },
        };
        let decision = self.decide_with(asked.consent, &proposal);
        let committed = self.authority.conclude(&proposal, &decision, self.now);
        if committed.is_ok() && !decision.is_answered_once() {
            // What was allowed once is no part of the policy.
            let learned = Some(remote).filter(|remote| asked.consent.address != Some(remote.ip()));
            self.learn(&proposal, learned);
        }
        committed.map_err(|rejected| {
            let is_unruled = rejected.rule.is_none() && self.authority.failed().is_none();
            Denial::of_rejected(asked.protocol(), &asked.way, rejected, is_unruled)
        })
    }

    /// What the disk says of a flow's entry: that it is there, or why nothing may leave. `None` where the flow that waited has
    /// ended, and another has its place.
    pub fn settled(
        &self,
        asked: &Asked,
        opened: Option<&Opened>,
        sequence: u64,
        is_durable: bool,
    ) -> Option<Result<(), Denial>> {
        opened.filter(|opened| opened.sequence == sequence)?;
        let unwritten = || Denial::unwritten(&asked.way, self.authority.failed().unwrap_or_default());
        Some(if is_durable { Ok(()) } else { Err(unwritten()) })
    }

    /// Keeps what was allowed in mind, where the run is learned.
    pub fn learn(&mut self, proposal: &Proposal, remote: Option<SocketAddr>) {
        if let Some(lessons) = self.lessons.as_mut().filter(|_| proposal.kind != Kind::Accept) {
            lessons.learn(proposal, remote, (&self.gate.pins, &self.gate.own));
        }
    }

    /// Tells of a denial, and writes it down where that is not done.
    pub fn refuse(&mut self, asked: &Asked, denial: Denial) {
        let sequence = match denial.entry {
            Entry::Written(sequence) => sequence,
            Entry::Unwritten => self.authority.reject(&asked.proposal, &denial.reason, self.now).sequence,
        };
        let Denial { host, port, reason, hint, .. } = denial;
        let protocol = asked.protocol();
        let target = Target { host, port: protocol.has_ports().then_some(port), kind: protocol.into() };
        let entry = self.authority.entry_id(sequence);
        let sockets = asked.proposal.protocol.zip(asked.wanted).zip(asked.proposal.local);
        let process = asked.process.clone().or_else(|| {
            let ((protocol, wanted), own) = sockets?;
            self.find_refused((protocol, wanted, own))
        });
        self.record(&Event::Deny { process, target, reason, hint, entry });
    }

    /// A flow was opened. What its end is to be told with.
    pub fn report_connect(
        &mut self,
        asked: &Asked,
        address: Option<SocketAddr>,
        committed: &Committed,
    ) -> Opened {
        let (process, target, sequence) = (asked.process.clone(), asked.target(), committed.sequence);
        let opened =
            Opened { at: self.now, process: process.clone(), target: target.clone(), address, sequence };
        let rule = rule_text(committed.rule.as_ref());
        let entry = self.authority.entry_id(Some(sequence));
        self.record(&Event::Connect { process, target, address, rule, entry });
        opened
    }

    /// A flow was allowed, and could not be opened.
    pub fn report_failure(&mut self, asked: &Asked, reason: String) {
        self.record(&Event::Fail { process: asked.process.clone(), target: asked.target(), reason });
    }

    /// A flow ended.
    pub fn report_close(&mut self, opened: Opened, traffic: Traffic, closing: Closing) {
        let Opened { at, process, target, address, sequence } = opened;
        let duration = self.now.since(at);
        let Traffic { up: sent_bytes, down: received_bytes } = traffic;
        let outcome = outcome(&closing);
        self.authority.close(Ended { sequence, sent_bytes, received_bytes, duration, outcome }, self.now);
        let entry = self.authority.entry_id(Some(sequence));
        self.record(&Event::Close {
            process,
            target,
            address,
            bytes_sent: sent_bytes,
            bytes_received: received_bytes,
            duration,
            closing,
            entry,
        });
    }

    /// What was authorised came to nothing.
    pub fn abandon(&mut self, sequence: u64, since: time::Instant, outcome: Outcome) {
        let duration = self.now.since(since);
        self.authority
            .close(Ended { sequence, sent_bytes: 0, received_bytes: 0, duration, outcome }, self.now);
    }

    /// Puts what the resolver is asked for to the authority, once it is known who asks.
    pub fn handle_wanted(&mut self, wanted: Wanted, asker: Option<Question>) {
        let Some((protocol, server, own)) = asker else {
            return self.decide_resolution(wanted, None, Identity::default());
        };
        let held = || Held::Resolution(wanted.clone(), asker);
        if let Some(identity) = self.identify(protocol, server, own, held) {
            self.decide_resolution(wanted, asker, identity);
        }
    }

    /// The same, now that it is known.
    pub fn decide_resolution(&mut self, wanted: Wanted, asker: Option<Question>, identity: Identity) {
        let Identity { process, program, said } = identity;
        let run = self.authority.run();
        let local = asker.map(|(_, _, own)| own);
        let proposal = Proposal { local, program, run, ..Proposal::resolve(wanted.host.clone()) };
        if self.stands_in(&wanted, &proposal, (process.as_ref(), said)) {
            return;
        }
        let (id, who) = (wanted.id, (process.as_ref(), said));
        let Some(decision) = self.consult(&proposal, who, || Held::Resolution(wanted, asker)) else { return };
        let verdict = match decision.allowed {
            true => self.authority.conclude(&proposal, &decision, self.now),
            false => Err(self.refuse_decided(&proposal, &decision)),
        };
        match verdict {
            Ok(committed) => {
                if !decision.is_answered_once() {
                    self.learn(&proposal, None);
                }
                let waiter = Waiter::Resolution { wanted: id };
                if self.authority.settle(committed.sequence, waiter).is_none() {
                    self.resolver.handle_verdict(id, true, self.now);
                }
            }
            Err(rejected) => {
                self.resolver.handle_verdict(id, false, self.now);
                let process = process.or_else(|| self.find_refused(asker?));
                let target = Target::of_question(&proposal.endpoint().to_string());
                let is_unruled = rejected.rule.is_none() && self.authority.failed().is_none();
                let hint = is_unruled.then(|| format!("--allow {}", target.host));
                let (reason, entry) = (rejected.reason, self.authority.entry_id(rejected.sequence));
                self.record(&Event::Deny { process, target, reason, hint, entry });
            }
        }
    }
}

/// A rule as it was written.
fn rule_text(rule: Option<&Arc<DecidingRule>>) -> Option<Arc<str>> {
    rule.map(|rule| rule.text.clone())
}

/// How the ledger names an end.
fn outcome(closing: &Closing) -> Outcome {
    match closing {
        Closing::Finished => Outcome::Finished,
        Closing::Reset | Closing::Broken(_) => Outcome::Reset,
        Closing::TimedOut => Outcome::TimedOut,
        Closing::Unreachable => Outcome::Unreachable,
        Closing::Aborted => Outcome::Aborted,
        Closing::Refused => Outcome::Revoked,
        Closing::Limited => Outcome::Limited,
        Closing::Evicted | Closing::Idle | Closing::Replaced => Outcome::Evicted,
    }
}
