//! Queries to the upstream resolver: sent, tried again, checked against forgery.
//!
//! RFC 5452 §9 (what a response must match), RFC 7766 §5 (TCP after truncation), RFC 6891 §6.2.2 (a server without
//! EDNS). The case of a query's letters is random and must come back, which makes a response harder to forge than its
//! 16-bit id does; a server that does not keep it is asked by TCP.

use super::answer::Question;
use super::random::Random;
use super::{Failure, Transport};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use std::collections::{BTreeSet, HashMap, VecDeque};
use time::{Duration, Instant};

/// How long each attempt waits for its answer. Together less than the 10 s that the C library's resolver waits.
const ATTEMPT_TIMEOUTS: [Duration; 4] = [
    Duration::from_millis(1_000),
    Duration::from_millis(2_000),
    Duration::from_millis(3_000),
    Duration::from_millis(3_000),
];
/// The UDP payload that is offered upstream, in bytes: what passes every link unfragmented.
const PAYLOAD_BYTES: u16 = 1_232;

/// What the engine does for the resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// Send a query, from a fresh socket of its own: the random source port is half of what makes forgery hard.
    Send(UpstreamQuery),
    /// Nothing more is expected of the query with this id: close its socket.
    Close(u64),
}

/// A query to an upstream server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamQuery {
    /// Names the query to [`handle_upstream`](super::Resolver::handle_upstream). Each attempt has its own.
    pub id: u64,
    /// Which of the configured servers, from 0.
    pub server: usize,
    /// How it is sent. By TCP the caller puts its length before it ([`frame`](super::frame)).
    pub transport: Transport,
    /// The message.
    pub bytes: Vec<u8>,
}

/// How an exchange ended.
#[derive(Debug)]
pub(super) struct Outcome {
    /// For whose sake it was.
    pub(super) lookup: Question,
    pub(super) result: Result<Message, Failure>,
}

/// All exchanges under way.
#[derive(Debug)]
pub(super) struct Exchanges {
    servers: usize,
    random: Random,
    by_id: HashMap<u64, Exchange>,
    deadlines: BTreeSet<(Instant, u64)>,
    next_id: u64,
    outbox: VecDeque<Upstream>,
    /// Responses that matched no question: late, or forged.
    pub(super) mismatches: u64,
}

#[derive(Debug)]
struct Exchange {
    lookup: Question,
    name: Name,
    record_type: RecordType,
    attempt: usize,
    server: usize,
    transport: Transport,
    with_edns: bool,
    /// Of the attempt under way.
    message_id: u16,
    sent_name: Name,
    deadline: Instant,
}

/// What a response is to the query that waits.
enum Match {
    /// Its answer.
    Answer(Message),
    /// The server changes letters' case, or what it sends cannot be read: TCP needs neither to be believed.
    AskByTcp,
    /// Somebody else's.
    Mismatch,
}

impl Exchanges {
    pub(super) fn new(servers: usize, seed: [u8; 32]) -> Self {
        Self {
            servers: servers.max(1),
            random: Random::new(seed),
            by_id: HashMap::new(),
            deadlines: BTreeSet::new(),
            next_id: 0,
            outbox: VecDeque::new(),
            mismatches: 0,
        }
    }

    /// Asks for a name for the sake of a lookup.
    pub(super) fn start(&mut self, lookup: Question, name: Name, now: Instant) {
        let record_type = lookup.record_type;
        self.send(
            Exchange {
                lookup,
                sent_name: name.clone(),
                name,
                record_type,
                attempt: 0,
                server: 0,
                transport: Transport::Udp,
                with_edns: true,
                message_id: 0,
                deadline: now,
            },
            now,
        );
    }

    pub(super) fn poll(&mut self) -> Option<Upstream> {
        self.outbox.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(when, _)| *when)
    }

    /// What came for the query with this id: bytes, or that the socket failed.
    pub(super) fn handle(
        &mut self,
        id: u64,
        result: Result<&[u8], Failure>,
        now: Instant,
    ) -> Option<Outcome> {
        let exchange = self.by_id.get(&id)?;
        let bytes = match result {
            Ok(bytes) => bytes,
            Err(failure) => return self.retry(id, failure, now),
        };
        match exchange.matches(bytes) {
            Match::Mismatch => {
                self.mismatches += 1;
                // By UDP the true answer may still come. By TCP nobody else can have sent this.
                match exchange.transport {
                    Transport::Udp => None,
                    Transport::Tcp => self.retry(id, Failure::Malformed, now),
                }
            }
            Match::AskByTcp => self.change(id, now, |exchange| exchange.transport = Transport::Tcp),
            Match::Answer(message) => self.handle_answer(id, message, now),
        }
    }

    fn handle_answer(&mut self, id: u64, message: Message, now: Instant) -> Option<Outcome> {
        let exchange = self.by_id.get(&id)?;
        if message.metadata.truncation && exchange.transport == Transport::Udp {
            return self.change(id, now, |exchange| exchange.transport = Transport::Tcp);
        }
        match message.metadata.response_code {
            ResponseCode::FormErr | ResponseCode::NotImp if exchange.with_edns => {
                self.change(id, now, |exchange| exchange.with_edns = false)
            }
            ResponseCode::NoError | ResponseCode::NXDomain => self.finish(id, Ok(message)),
            // Another server may know; where there is none its answer is passed on.
            _ if exchange.attempt + 1 < self.servers.min(ATTEMPT_TIMEOUTS.len()) => {
                self.retry(id, Failure::Refused, now)
            }
            _ => self.finish(id, Ok(message)),
        }
    }

    /// Gives up the attempts whose time is over.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some((when, id)) = self.deadlines.first().copied() {
            if when > now {
                break;
            }
            outcomes.extend(self.retry(id, Failure::Timeout, now));
        }
        outcomes
    }

    /// The next attempt, with the next server; or the end with this failure where none is left.
    fn retry(&mut self, id: u64, failure: Failure, now: Instant) -> Option<Outcome> {
        let servers = self.servers;
        let exchange = self.by_id.get_mut(&id)?;
        if exchange.attempt + 1 >= ATTEMPT_TIMEOUTS.len() {
            return self.finish(id, Err(failure));
        }
        // A failed connection says nothing about UDP, and the next server may speak EDNS.
        self.change(id, now, |exchange| {
            exchange.server = (exchange.server + 1) % servers;
            exchange.transport = Transport::Udp;
            exchange.with_edns = true;
        })
    }

    /// The next attempt, changed. A server that would always have something changed runs out of attempts.
    fn change(&mut self, id: u64, now: Instant, change: impl FnOnce(&mut Exchange)) -> Option<Outcome> {
        let mut exchange = self.take(id)?;
        exchange.attempt += 1;
        if exchange.attempt >= ATTEMPT_TIMEOUTS.len() {
            return Some(Outcome { lookup: exchange.lookup, result: Err(Failure::Malformed) });
        }
        change(&mut exchange);
        self.send(exchange, now);
        None
    }

    fn finish(&mut self, id: u64, result: Result<Message, Failure>) -> Option<Outcome> {
        self.take(id).map(|exchange| Outcome { lookup: exchange.lookup, result })
    }

    fn take(&mut self, id: u64) -> Option<Exchange> {
        let exchange = self.by_id.remove(&id)?;
        self.deadlines.remove(&(exchange.deadline, id));
        self.outbox.push_back(Upstream::Close(id));
        Some(exchange)
    }

    fn send(&mut self, mut exchange: Exchange, now: Instant) {
        self.next_id += 1;
        let id = self.next_id;
        exchange.message_id = self.random.next() as u16;
        exchange.sent_name = mixed_case(&exchange.name, &mut self.random);
        exchange.deadline = now + ATTEMPT_TIMEOUTS[exchange.attempt];
        self.deadlines.insert((exchange.deadline, id));
        let bytes = exchange.message();
        let query = UpstreamQuery { id, server: exchange.server, transport: exchange.transport, bytes };
        self.outbox.push_back(Upstream::Send(query));
        self.by_id.insert(id, exchange);
    }
}

impl Exchange {
    fn message(&self) -> Vec<u8> {
        let mut message = Message::new(self.message_id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.queries.push(Query::query(self.sent_name.clone(), self.record_type));
        if self.with_edns {
            let mut edns = Edns::new();
            edns.set_max_payload(PAYLOAD_BYTES);
            message.edns = Some(edns);
        }
        // A name that was read from a message, or is canonical, always fits into one.
        message.to_vec().unwrap_or_default()
    }

    fn matches(&self, bytes: &[u8]) -> Match {
        // RFC 5452 §9.1: the id and the question; address and port are the socket's to check.
        let Some([high, low, flags, ..]) = bytes.get(..12) else { return Match::Mismatch };
        if u16::from_be_bytes([*high, *low]) != self.message_id || flags & 0x80 == 0 {
            return Match::Mismatch;
        }
        let Ok(message) = Message::from_vec(bytes) else {
            return match self.transport {
                Transport::Udp => Match::AskByTcp,
                Transport::Tcp => Match::Mismatch,
            };
        };
        // Some servers leave the question out of an error about a message that they could not read.
        let code = message.metadata.response_code;
        if message.queries.is_empty() && matches!(code, ResponseCode::FormErr | ResponseCode::NotImp) {
            return Match::Answer(message);
        }
        let [question] = message.queries.as_slice() else { return Match::Mismatch };
        if question.query_type != self.record_type
            || question.query_class != hickory_proto::rr::DNSClass::IN
            || question.name != self.name
        {
            return Match::Mismatch;
        }
        match self.transport {
            Transport::Udp if !question.name.eq_case(&self.sent_name) => Match::AskByTcp,
            _ => Match::Answer(message),
        }
    }
}

/// The name with the case of each letter chosen at random.
fn mixed_case(name: &Name, random: &mut Random) -> Name {
    let mut bits = 0;
    let mut left = 0;
    let labels: Vec<Vec<u8>> = name
        .iter()
        .map(|label| {
            let flip = |byte: &u8| {
                if left == 0 {
                    (bits, left) = (random.next(), u64::BITS);
                }
                let upper = bits & 1 == 1;
                bits >>= 1;
                left -= 1;
                if upper { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() }
            };
            label.iter().map(flip).collect()
        })
        .collect();
    Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap_or_else(|_| name.clone())
}
