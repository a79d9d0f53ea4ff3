//! The DNS server that the child sees, as a value: it owns no socket and reads no clock.
//!
//! ```text
//!  child ── handle_query ──▶ plan ──┬─▶ answered here ─────────────▶ poll_reply ──▶ child
//!                                   └─▶ poll_wanted ──▶ who decides
//!           handle_verdict ◀──────────────────────────────┘
//!             ├─▶ refused: NXDOMAIN, EDE 15 ────────────────────────▶ poll_reply ──▶ child
//!             └─▶ known here, the cache, or a lookup ──▶ poll_upstream ──▶ upstream
//!  connect ── resolve_for_connect ────────┘        ▲
//!             ▲                              handle_upstream ◀── upstream
//!             └── poll_resolved
//! ```
//!
//! - A name that is not allowed never reaches a resolver.
//! - An allowed name is asked for upstream, so that what does not exist does not exist inside either; the answer keeps
//!   the aliases and has, instead of the real addresses, the one that stands for the name ([`names`](crate::names)).
//! - Where a person is asked first, what can be told without a resolver outside is told before ([`stand_in`](Resolver::stand_in)).
//! - The real addresses are what [`resolve_for_connect`](Resolver::resolve_for_connect) yields.
//! - An alias of an allowed name may lead through any name: rules speak of the name that a program asks for.
//!
//! RFC 1034, 1035, 2308 (negative answers), 5452 (forgery), 6761 (special names), 6891 (EDNS), 7766 (TCP), 8482 (ANY),
//! 8914 (extended errors), 9460 (HTTPS and SVCB), 9619 (one question).

mod answer;
mod cache;
mod exchange;
mod frame;
mod interface;
mod message;
mod policy;
mod random;
mod service;
mod shape;

pub use answer::ALIASES_MAX;
pub use cache::ANSWERS_MAX;
pub use exchange::{Upstream, UpstreamQuery};
pub use frame::{BUFFER_BYTES_MAX, Deframer, frame};
pub use interface::{
    Addresses, Client, Config, Event, Failure, Family, Reply, Resolution, ResolveError, Resolved, Statistics,
    Transport, Wanted,
};
pub use message::UDP_BYTES_MAX;
pub use shape::SYNTHETIC_TTL_MAX;

use crate::names::Names;
use answer::{Answer, Followed, Question, follow, to_wire};
use axiom::domain::DomainName;
use cache::Cache;
use exchange::{Exchanges, Outcome};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, Record, RecordType};
use message::{ExtendedError, Malformed, Request, Response};
use policy::{Allowed, Plan};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use time::{Duration, Instant};

/// How many names are asked for upstream at once. Each costs about 1 KB; who asks for more is answered SERVFAIL.
pub const LOOKUPS_MAX: usize = 1_024;
/// How many questions wait for those lookups, and how many for their verdict. More are answered SERVFAIL.
pub const WAITERS_MAX: usize = 4_096;

/// A question that upstream is being asked, and who waits for it.
#[derive(Debug, Default)]
struct Lookup {
    aliases: Vec<Record>,
    /// The name that is asked for now, where aliases led away from the question's.
    target: Option<Name>,
    waiting: Vec<Request>,
    connection_waits: bool,
}

/// The DNS server that the child sees.
#[derive(Debug)]
pub struct Resolver {
    config: Config,
    names: Names,
    cache: Cache,
    lookups: HashMap<Question, Lookup>,
    waiters: usize,
    /// Queries that wait for their verdict, in the order of their numbers.
    proposed: VecDeque<(u64, Request)>,
    wanted: VecDeque<Wanted>,
    next_id: u64,
    exchanges: Exchanges,
    replies: VecDeque<Reply>,
    resolved: VecDeque<Resolved>,
    events: VecDeque<Event>,
    statistics: Statistics,
}

impl Resolver {
    /// Of its configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            names: Names::new(config.names_max),
            exchanges: Exchanges::new(config.servers, config.seed),
            config,
            cache: Cache::default(),
            lookups: HashMap::new(),
            waiters: 0,
            proposed: VecDeque::new(),
            wanted: VecDeque::new(),
            next_id: 0,
            replies: VecDeque::new(),
            resolved: VecDeque::new(),
            events: VecDeque::new(),
            statistics: Statistics::default(),
        }
    }

    /// Which addresses stand for which names.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// To pin the names that connections use.
    pub fn names_mut(&mut self) -> &mut Names {
        &mut self.names
    }

    /// Decides by another policy which names answers may lead to.
    pub fn set_policy(&mut self, policy: axiom::policy::Policy) {
        self.config.policy = policy;
    }

    /// Takes one message of the child. Its reply comes from [`poll_reply`](Self::poll_reply), now or later; what has to be
    /// allowed first from [`poll_wanted`](Self::poll_wanted).
    pub fn handle_query(&mut self, client: Client, query: &[u8]) {
        self.statistics.queries += 1;
        let request = match Request::parse(client, query) {
            Ok(request) => request,
            Err(malformed) => {
                self.statistics.malformed += 1;
                if let Malformed::Reply(bytes) = malformed {
                    self.replies.push_back(Reply { client, bytes });
                }
                return;
            }
        };
        match policy::plan(&self.config, &self.names, &request.question) {
            Plan::Local(response) => self.reply(&request, &response, Vec::new()),
            Plan::Nameless => {
                self.statistics.refused += 1;
                self.events.push_back(Event::Nameless { client, name: request.question.name.to_ascii() });
                self.send(&request, &Response::blocked());
            }
            Plan::Propose(_) if self.proposed.len() >= WAITERS_MAX => self.overload(&request),
            Plan::Propose(host) => {
                let id = self.next_id;
                self.next_id += 1;
                self.proposed.push_back((id, request));
                self.wanted.push_back(Wanted { id, client, host });
            }
        }
    }

    /// What has to be allowed or refused next.
    pub fn poll_wanted(&mut self) -> Option<Wanted> {
        self.wanted.pop_front()
    }

    /// Whether what was [`Wanted`] may be asked for.
    pub fn handle_verdict(&mut self, id: u64, is_allowed: bool, now: Instant) {
        let Ok(place) = self.proposed.binary_search_by_key(&id, |(id, _)| *id) else { return };
        let Some((_, request)) = self.proposed.remove(place) else { return };
        if !is_allowed {
            self.statistics.refused += 1;
            return self.send(&request, &Response::blocked());
        }
        match policy::allowed(&self.config, &request.question) {
            Allowed::Forward(question) => self.forward(request, question, now),
            known => self.reply_known(&request, known),
        }
    }

    /// Answers what was [`Wanted`] as far as that can be done without asking anybody outside, for an owner who has a person
    /// asked about the connection that follows: with an address that stands for the name, whether or not it exists. Whether
    /// it is answered; else it waits for its verdict.
    pub fn stand_in(&mut self, id: u64) -> bool {
        let Ok(place) = self.proposed.binary_search_by_key(&id, |(id, _)| *id) else { return true };
        let Some(known) = policy::stand_in(&self.config, &self.proposed[place].1.question) else {
            return false;
        };
        if let Some((_, request)) = self.proposed.remove(place) {
            self.reply_known(&request, known);
        }
        true
    }

    /// Replies with what is known here.
    fn reply_known(&mut self, request: &Request, known: Allowed) {
        match known {
            Allowed::Known { name, exists } => {
                let addresses = self.config.known_addresses(&name).unwrap_or_default().to_vec();
                let response = if exists {
                    shape::known(&mut self.names, &name, &request.question)
                } else {
                    Response::of_answers(Vec::new())
                };
                self.reply(request, &response, addresses);
            }
            Allowed::Local(response) => self.reply(request, &response, Vec::new()),
            Allowed::Forward(_) => {}
        }
    }

    /// The real addresses of a name, for a connection that is allowed and about to be opened. What is not known yet comes from
    /// [`poll_resolved`](Self::poll_resolved), once for all who wait for this name.
    pub fn resolve_for_connect(&mut self, name: &DomainName, now: Instant) -> Resolution {
        let of_known = |known: &[IpAddr]| {
            let family = |family: Family| {
                Some(Ok(known.iter().copied().filter(|address| family.holds(*address)).collect()))
            };
            Resolution { v4: family(Family::V4), v6: family(Family::V6) }
        };
        if name.is_host() {
            return of_known(&[Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        if let Some(known) = self.config.known_addresses(name) {
            return of_known(known);
        }
        Resolution {
            v4: self.resolve_family(name, Family::V4, now),
            v6: self.resolve_family(name, Family::V6, now),
        }
    }

    fn resolve_family(&mut self, name: &DomainName, family: Family, now: Instant) -> Option<Addresses> {
        let question = Question { name: name.clone(), record_type: family.record_type() };
        if let Some((answer, _)) = self.cache.find(&question, now) {
            self.statistics.cache_hits += 1;
            return Some(addresses_of(answer));
        }
        match self.start_or_join(question, now) {
            Some(lookup) => lookup.connection_waits = true,
            None => return Some(Err(ResolveError::Overloaded)),
        }
        None
    }

    /// What the engine should do upstream.
    pub fn poll_upstream(&mut self) -> Option<Upstream> {
        self.exchanges.poll()
    }

    /// What came from upstream for a query: a message (without a length before it), or that its socket failed. The
    /// socket stays open until [`Upstream::Close`]: what came may have been forged.
    pub fn handle_upstream(&mut self, id: u64, result: Result<&[u8], Failure>, now: Instant) {
        if let Some(outcome) = self.exchanges.handle(id, result, now) {
            self.handle_outcome(outcome, now);
        }
    }

    /// Gives up what has waited too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        for outcome in self.exchanges.handle_timeout(now) {
            self.handle_outcome(outcome, now);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): an upstream server has not answered.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.exchanges.poll_timeout()
    }

    /// The next reply to the child.
    pub fn poll_reply(&mut self) -> Option<Reply> {
        self.replies.pop_front()
    }

    /// The next addresses that connections wait for.
    pub fn poll_resolved(&mut self) -> Option<Resolved> {
        self.resolved.pop_front()
    }

    /// What happened, for the report.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Counts since the start.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            mismatches: self.exchanges.mismatches,
            cached: self.cache.len(),
            lookups: self.lookups.len(),
            ..self.statistics
        }
    }

    fn forward(&mut self, request: Request, question: Question, now: Instant) {
        if let Some((answer, age)) = self.cache.find(&question, now) {
            self.statistics.cache_hits += 1;
            let answer = answer.clone();
            return self.answer(&request, &question, &answer, age);
        }
        let room = self.waiters < WAITERS_MAX;
        match self.start_or_join(question, now).filter(|_| room) {
            Some(lookup) => {
                lookup.waiting.push(request);
                self.waiters += 1;
            }
            None => self.overload(&request),
        }
    }

    fn overload(&mut self, request: &Request) {
        self.statistics.overloaded += 1;
        let response = Response::of_code(ResponseCode::ServFail).because(ExtendedError::OVERLOADED);
        self.reply(request, &response, Vec::new());
    }

    /// The lookup for a question, started where there is none; `None` where there is no room for another.
    fn start_or_join(&mut self, question: Question, now: Instant) -> Option<&mut Lookup> {
        if !self.lookups.contains_key(&question) {
            if self.lookups.len() >= LOOKUPS_MAX {
                return None;
            }
            self.exchanges.start(question.clone(), to_wire(&question.name)?, now);
        }
        Some(self.lookups.entry(question).or_default())
    }

    fn handle_outcome(&mut self, Outcome { lookup: question, result }: Outcome, now: Instant) {
        let Some(lookup) = self.lookups.get_mut(&question) else { return };
        let message = match result {
            Ok(message) => message,
            Err(failure) => return self.finish(question, Err(failure), now),
        };
        let Some(start) = lookup.target.take().or_else(|| to_wire(&question.name)) else { return };
        let aliases = std::mem::take(&mut lookup.aliases);
        match follow(&message, &start, question.record_type, aliases) {
            Followed::Whole(answer) => self.finish(question, Ok(answer), now),
            Followed::TooLong => self.finish(question, Ok(Answer::failure(ResponseCode::ServFail)), now),
            Followed::Alias { name, aliases } => {
                lookup.aliases = aliases;
                lookup.target = Some(name.clone());
                self.exchanges.start(question, name, now);
            }
        }
    }

    /// Ends a lookup: tells who waits, and keeps what was found.
    fn finish(&mut self, question: Question, result: Result<Answer, Failure>, now: Instant) {
        let Some(lookup) = self.lookups.remove(&question) else { return };
        self.waiters -= lookup.waiting.len();
        let (answer, addresses) = match result {
            Ok(answer) => {
                let addresses = addresses_of(&answer);
                for request in &lookup.waiting {
                    self.answer(request, &question, &answer, Duration::ZERO);
                }
                (answer, addresses)
            }
            Err(failure) => {
                let error = match failure {
                    Failure::Timeout | Failure::Malformed => ExtendedError::UNREACHABLE,
                    Failure::Unreachable | Failure::Refused => ExtendedError::NETWORK,
                };
                let response = Response::of_code(ResponseCode::ServFail).because(error);
                for request in &lookup.waiting {
                    self.reply(request, &response, Vec::new());
                    let name = request.question.name.to_ascii();
                    self.events.push_back(Event::Unanswered { client: request.client, name });
                }
                (Answer::failure(ResponseCode::ServFail), Err(ResolveError::NoReply))
            }
        };
        if lookup.connection_waits {
            let family = if question.record_type == RecordType::A { Family::V4 } else { Family::V6 };
            self.resolved.push_back(Resolved { name: question.name.clone(), family, addresses });
        }
        self.cache.insert(question, answer, now);
    }

    fn answer(&mut self, request: &Request, question: &Question, answer: &Answer, age: Duration) {
        let response =
            shape::shape(&self.config.policy, &mut self.names, question, &request.question, answer, age);
        self.reply(request, &response, answer.addresses().collect());
    }

    fn reply(&mut self, request: &Request, response: &Response, addresses: Vec<IpAddr>) {
        self.events.push_back(Event::Answered {
            client: request.client,
            name: request.question.name.to_ascii(),
            record_type: request.question.query_type.to_string(),
            code: response.code.into(),
            addresses,
        });
        self.send(request, response);
    }

    fn send(&mut self, request: &Request, response: &Response) {
        self.replies.push_back(Reply { client: request.client, bytes: request.respond(response) });
    }
}

/// What an answer is to somebody who wants to connect.
fn addresses_of(answer: &Answer) -> Addresses {
    match answer.code {
        ResponseCode::NoError => Ok(answer.addresses().collect()),
        ResponseCode::NXDomain => Err(ResolveError::NoSuchName),
        _ => Err(ResolveError::ServerFailure),
    }
}

#[cfg(test)]
mod tests;
