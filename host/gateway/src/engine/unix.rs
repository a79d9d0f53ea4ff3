//! Unix sockets of the host's: what a program asks of the guard is put to the authority, and the program waits for the answer.

use super::asked::{Identity, Waiter};
use super::cx::Cx;
use super::held::Held;
use super::inquiry::Inquiries;
use crate::report::{Event, Process, Target};
use crate::sandbox::{Answer, SocketQuestion};
use axiom::Proposal;
use axiom::policy::Decision;
use ledger::Outcome;
use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::Arc;
use time::Instant;

/// Why a rule that opens a socket does not open it to a run within this one.
const ELSEWHERE: &str = "who asks is in a network namespace made inside, and rules about the host's sockets are for the \
                         command's own alone";

/// Those that are allowed and not connected yet, by their questions' numbers. The guard asks no more at once than it has
/// threads.
#[derive(Debug, Default)]
pub(super) struct Sockets(HashMap<u64, Opening>);

#[derive(Debug)]
struct Opening {
    at: Instant,
    process: Option<Process>,
    path: String,
    rule: Option<Arc<str>>,
    sequence: u64,
    answer: Answer,
}

impl Cx {
    /// A program asks for one.
    pub fn handle_socket(&mut self, asked: SocketQuestion) {
        let asker = asked.thread.and_then(|thread| self.processes.find_thread(thread));
        let held = || Held::Socket(asked.clone());
        let identity = match asker {
            None => Some(Identity::default()),
            Some(asker) => self.with_digest(asker, held),
        };
        if let Some(identity) = identity {
            self.decide_socket(asked, identity);
        }
    }

    /// The same, now that it is known who asks, or what a person has said of it.
    pub fn decide_socket(&mut self, asked: SocketQuestion, Identity { process, program, said }: Identity) {
        // Whoever it was for has ended while a person was asked.
        if said.is_some() && !asked.answer.is_awaited() {
            return;
        }
        let run = self.authority.run();
        let proposal = Proposal { program, run, ..Proposal::socket(asked.path.as_str()) };
        let mut decided = self.authority.decide_socket(&asked.path, asked.rule.as_deref(), asked.denied);
        if decided.is_unruled() && asked.is_elsewhere() {
            decided = Decision { not_admitted: Some(ELSEWHERE.into()), ..decided };
        }
        let may_ask = |inquiries: &Inquiries| asked.may_ask && inquiries.may_ask_about(&proposal);
        let is_asked = decided.is_unruled() && self.inquiries.as_ref().is_some_and(may_ask);
        let decision = match is_asked {
            true => self.consult(&proposal, (process.as_ref(), said), || Held::Socket(asked.clone())),
            false => Some(decided),
        };
        let Some(decision) = decision else { return };
        let committed = match decision.allowed || !is_asked {
            true => self.authority.conclude(&proposal, &decision, self.now),
            false => Err(self.refuse_decided(&proposal, &decision)),
        };
        let SocketQuestion { number, path, rule, answer, .. } = asked;
        let committed = match committed {
            Ok(committed) => committed,
            Err(rejected) => {
                let is_unruled = decision.is_unruled() && rejected.rule.is_none();
                let hint = is_unruled.then(|| format!("--allow unix:{path}"));
                let (target, reason) = (Target::of_socket(&path), rejected.reason);
                let entry = self.authority.entry_id(rejected.sequence);
                // The program, which waits, hears it by the answer's end: whoever it is has been looked up by now.
                return self.record(&Event::Deny { process, target, reason, hint, entry });
            }
        };
        if !decision.is_answered_once() {
            self.learn_socket(&path, rule.as_deref());
        }
        let sequence = committed.sequence;
        let rule = committed.rule.map(|rule| rule.text.clone());
        let at = self.now;
        let opening = Opening { at, process, path, rule, sequence, answer };
        if self.authority.settle(sequence, Waiter::Socket { number }).is_none() {
            opening.answer.allow();
        }
        self.sockets.0.insert(number, opening);
    }

    /// Keeps in mind what was opened, where the run is learned: by what a rule for one socket names, for the path is only
    /// where the program found it.
    fn learn_socket(&mut self, path: &str, rule: Option<&str>) {
        let named = rule.and_then(|rule| rule.strip_prefix("unix:")).filter(|path| !path.ends_with('/'));
        self.learn(&Proposal::socket(named.unwrap_or(path)), None);
    }

    /// The entry of a question is on disk, or cannot be put there.
    pub fn handle_socket_settled(&mut self, number: u64, is_durable: bool) {
        if is_durable {
            if let Some(opening) = self.sockets.0.get(&number) {
                opening.answer.allow();
            }
        } else {
            self.sockets.0.remove(&number);
        }
    }

    /// What came of connecting to one that was allowed.
    pub fn handle_socket_opened(&mut self, number: u64, error: Option<Errno>) {
        let Some(opening) = self.sockets.0.remove(&number) else { return };
        let Opening { at, process, path, rule, sequence, .. } = opening;
        let target = Target::of_socket(&path);
        match error {
            None => {
                let entry = self.authority.entry_id(Some(sequence));
                self.record(&Event::Connect { process, target, address: None, rule, entry });
            }
            Some(error) => {
                let refused = matches!(error, Errno::CONNREFUSED | Errno::NOENT);
                let outcome = if refused { Outcome::Refused } else { Outcome::Aborted };
                self.abandon(sequence, at, outcome);
                self.record(&Event::Fail { process, target, reason: error.to_string() });
            }
        }
    }
}
