//! Programs that take ports inside: each is asked about when it listens, while it waits in that call.
//!
//! Only programs inside reach such a port, so that no rule is needed for it; one that forbids it holds. A port that is
//! published leads to it from outside, and whoever has taken it by other means than listen, as by exec or for datagrams, is
//! asked about when somebody comes ([`published`](super::published)).

use super::asked::{Identity, Waiter};
use super::cx::Cx;
use super::held::Held;
use crate::report::{Event, Process, Target};
use crate::sandbox::{Answer, Listening};
use axiom::policy::Decision;
use axiom::rules::Protocol;
use axiom::{Proposal, Rejected};
use ledger::Program;
use rustix::process::Pid;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// How many programs that have taken a published port are remembered; one that is forgotten is asked about again.
const TAKERS_MAX: usize = 64;

/// How many sockets that listen are remembered; one that is forgotten is asked about again where it is to listen again.
const SOCKETS_MAX: usize = 256;

/// Who has been asked about.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    /// Ports that lead here from outside.
    published: Vec<(Protocol, u16)>,
    /// The latest last, as below.
    takers: VecDeque<Taker>,
    sockets: VecDeque<(Listening, Option<Arc<Program>>)>,
    /// Those whose entries are not on disk yet, by these: no more than the guard has threads.
    awaiting: HashMap<u64, Awaiting>,
}

/// A program that may have a published port.
#[derive(Debug)]
struct Taker {
    protocol: Protocol,
    port: u16,
    program: Arc<Program>,
}

/// One that may listen.
#[derive(Debug)]
struct Awaiting {
    listening: Listening,
    program: Option<Arc<Program>>,
    answer: Answer,
}

/// A program inside waits in listen.
#[derive(Clone, Debug)]
pub(super) struct ListenQuestion {
    /// The number, among the gateway's processes, of the thread that called.
    pub thread: Option<Pid>,
    pub listening: Listening,
    pub answer: Answer,
}

impl Listeners {
    /// A port is published.
    pub fn publish(&mut self, protocol: Protocol, port: u16) {
        self.published.push((protocol, port));
    }

    /// Whether this program has been asked about a published port.
    fn has_taker(&self, protocol: Protocol, port: u16, program: &Program) -> bool {
        let is_it = |known: &Taker| {
            (known.protocol, known.port) == (protocol, port) && is_same(&known.program, program)
        };
        self.takers.iter().any(is_it)
    }

    fn add_taker(&mut self, protocol: Protocol, port: u16, program: Arc<Program>) {
        if self.takers.len() >= TAKERS_MAX {
            self.takers.pop_front();
        }
        self.takers.push_back(Taker { protocol, port, program });
    }

    /// Whether this program has been asked about this socket, which listens at this address already.
    fn has_socket(&self, listening: Listening, program: Option<&Program>) -> bool {
        self.sockets.iter().any(|(known, by)| {
            *known == listening && by.as_deref().zip(program).is_some_and(|(by, other)| is_same(by, other))
        })
    }

    fn add_socket(&mut self, listening: Listening, program: Option<Arc<Program>>) {
        self.sockets.retain(|(known, _)| known.inode != listening.inode);
        if self.sockets.len() >= SOCKETS_MAX {
            self.sockets.pop_front();
        }
        self.sockets.push_back((listening, program));
    }

    /// The policy is another one: everybody is asked about again.
    pub fn forget(&mut self) {
        self.takers.clear();
        self.sockets.clear();
    }
}

impl Cx {
    /// A program is about to listen.
    pub fn handle_listen(&mut self, asked: ListenQuestion) {
        let thread = asked.thread.filter(|_| self.asks_who());
        let asker = thread.and_then(|thread| self.search(|processes| processes.find_thread(thread)));
        let identity = match asker {
            None => Some(Identity::default()),
            Some(asker) => self.with_digest(asker, || Held::Listen(asked.clone())),
        };
        if let Some(identity) = identity {
            self.decide_listen(asked, identity);
        }
    }

    /// The same, now that it is known who that is.
    pub fn decide_listen(&mut self, asked: ListenQuestion, Identity { process, program, .. }: Identity) {
        let ListenQuestion { thread, listening, answer } = asked;
        if self.listeners.has_socket(listening, program.as_deref()) {
            return answer.allow();
        }
        let run = self.authority.run();
        let of = |local| Proposal { program: program.clone(), run, ..Proposal::listen(Protocol::Tcp, local) };
        let (proposal, decision) = self.decide_addresses(listening, of);
        match self.authority.conclude(&proposal, &decision, self.now) {
            Ok(committed) => {
                let awaiting = Awaiting { listening, program, answer };
                match self.authority.settle(committed.sequence, Waiter::Listener) {
                    None => self.let_listen(awaiting),
                    Some(()) => drop(self.listeners.awaiting.insert(committed.sequence, awaiting)),
                }
            }
            Err(rejected) => {
                let find = |thread| self.search(|processes| processes.find_thread(thread));
                let process = process.or_else(|| thread.and_then(find).map(|asker| asker.to_process()));
                // Whoever waits hears it by the answer's end.
                self.refuse_listener(Protocol::Tcp, proposal.local, process, rejected);
            }
        }
    }

    /// What is decided about the addresses at which a socket would take connections: by the first that is forbidden, else by
    /// its own.
    fn decide_addresses(
        &self,
        listening: Listening,
        of: impl Fn(SocketAddr) -> Proposal,
    ) -> (Proposal, Decision) {
        let decide = |proposal: &Proposal| self.authority.decide_inside(proposal, self.now);
        let own = of(listening.address);
        let decision = decide(&own);
        let other = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), listening.address.port());
        if decision.allowed && listening.is_dual {
            let other = of(other);
            let decision = decide(&other);
            if !decision.allowed {
                return (other, decision);
            }
        }
        (own, decision)
    }

    /// The entry about a listener is on disk, or cannot be put there.
    pub fn handle_listener_settled(&mut self, sequence: u64, is_durable: bool) {
        let awaiting = self.listeners.awaiting.remove(&sequence);
        if let Some(awaiting) = awaiting.filter(|_| is_durable) {
            self.let_listen(awaiting);
        }
    }

    fn let_listen(&mut self, Awaiting { listening, program, answer }: Awaiting) {
        answer.allow();
        if let Some(program) = &program {
            self.note_taker(listening, program);
        }
        self.listeners.add_socket(listening, program);
    }

    /// Whoever listens at a published port has been asked about it, if it may have it by the addresses inside too.
    fn note_taker(&mut self, listening: Listening, program: &Arc<Program>) {
        let (protocol, port) = (Protocol::Tcp, listening.address.port());
        let is_published = self.listeners.published.contains(&(protocol, port));
        if !is_published || self.listeners.has_taker(protocol, port, program) {
            return;
        }
        let run = self.authority.run();
        let may = |address: IpAddr| {
            let local = SocketAddr::new(address, port);
            let proposal =
                Proposal { program: Some(program.clone()), run, ..Proposal::listen(protocol, local) };
            self.authority.decide_inside(&proposal, self.now).allowed
        };
        let inside = super::published::INSIDE;
        if inside.into_iter().all(may) {
            self.listeners.add_taker(protocol, port, program.clone());
        }
    }

    /// Whether the program that has taken a published port may have it. Where it was not asked about when it listened, it is
    /// when somebody connects to it for the first time, which is told and written down: nobody reached it before. For one
    /// that is not known the run was asked when it began.
    pub fn may_have(&mut self, protocol: Protocol, inside: SocketAddr, taker: &Identity) -> bool {
        let Some(program) = &taker.program else { return true };
        let port = inside.port();
        if self.listeners.has_taker(protocol, port, program) {
            return true;
        }
        let run = self.authority.run();
        let proposal = Proposal { program: Some(program.clone()), run, ..Proposal::listen(protocol, inside) };
        match self.authority.submit(&proposal, self.now) {
            Ok(_) => self.listeners.add_taker(protocol, port, program.clone()),
            Err(rejected) => {
                self.refuse_listener(protocol, Some(inside), taker.process.clone(), rejected);
                return false;
            }
        }
        true
    }

    fn refuse_listener(
        &mut self,
        protocol: Protocol,
        local: Option<SocketAddr>,
        process: Option<Process>,
        rejected: Rejected,
    ) {
        let host = local.map(|local| local.ip().to_string()).unwrap_or_default();
        let target = Target { host, port: local.map(|local| local.port()), kind: protocol.into() };
        let reason = format!("it would listen there; {}", rejected.reason);
        let entry = self.authority.entry_id(rejected.sequence);
        self.record(&Event::Deny { process, target, reason, hint: None, entry });
    }
}

/// Whether two are one program, whichever of its processes: one executable, started with the same arguments.
fn is_same(one: &Program, other: &Program) -> bool {
    let of = |program: &Program| (program.digest, program.user);
    one.executable == other.executable && one.command_line == other.command_line && of(one) == of(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(executable: &str) -> Arc<Program> {
        Arc::new(Program { executable: executable.into(), ..Program::default() })
    }

    fn listening(inode: u32) -> Listening {
        Listening { inode, address: SocketAddr::from(([0, 0, 0, 0], 80)), is_dual: false }
    }

    #[test]
    fn a_socket_that_listens_again_is_known_by_its_address_and_program_and_forgotten_in_time() {
        let mut listeners = Listeners::default();
        let (one, other) = (program("/bin/one"), program("/bin/other"));
        listeners.add_socket(listening(1), Some(one.clone()));
        listeners.add_socket(listening(2), None);
        let elsewhere = Listening { address: SocketAddr::from(([0, 0, 0, 0], 81)), ..listening(1) };
        assert!(listeners.has_socket(listening(1), Some(&one)));
        assert!(
            !listeners.has_socket(listening(1), Some(&other)) && !listeners.has_socket(elsewhere, Some(&one))
        );
        assert!(!listeners.has_socket(listening(2), None), "nobody knows whether that is the same");
        (0..SOCKETS_MAX as u32).for_each(|inode| listeners.add_socket(listening(100 + inode), None));
        assert_eq!(listeners.sockets.len(), SOCKETS_MAX);
        assert!(!listeners.has_socket(listening(1), Some(&one)), "the oldest goes first");
    }

    #[test]
    fn who_has_taken_a_published_port_is_known_by_port_and_program_and_forgotten_in_time() {
        let (mut listeners, one) = (Listeners::default(), program("/bin/one"));
        (0..=TAKERS_MAX as u16).for_each(|port| listeners.add_taker(Protocol::Tcp, port, one.clone()));
        assert!(listeners.has_taker(Protocol::Tcp, 1, &one) && !listeners.has_taker(Protocol::Udp, 1, &one));
        assert!(!listeners.has_taker(Protocol::Tcp, 1, &program("/bin/other")));
        assert!(!listeners.has_taker(Protocol::Tcp, 0, &one), "the oldest goes first");
        listeners.forget();
        assert!(!listeners.has_taker(Protocol::Tcp, 1, &one));
    }
}
