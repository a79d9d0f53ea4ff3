//! What becomes of a query: before it has its verdict, and after.

use super::Config;
use super::answer::{Question, to_domain};
use super::message::Response;
use super::service::service_owner;
use crate::names::{Names, is_synthetic, parse_reverse};
use axiom::domain::DomainName;
use axiom::rules::Host;
use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, HINFO, PTR};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How long the child may keep an answer that this resolver gives by itself, in seconds. No longer than
/// [`SYNTHETIC_TTL_MAX`](super::SYNTHETIC_TTL_MAX): its address may be another name's later.
pub(super) const LOCAL_TTL: u32 = 60;
/// The networks inside, which no resolver outside knows: the link's and the synthetic ranges' site.
const INSIDE_V4: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 0, 2, 0), 24);
const INSIDE_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0), 48);

/// What to do with a query.
#[derive(Debug)]
pub(super) enum Plan {
    /// Answer it now.
    Local(Response),
    /// It is for no name that a host has: no rule can allow it.
    Nameless,
    /// Ask for a verdict about this, then do as [`allowed`] says.
    Propose(Host),
}

/// What to do with a query that is allowed.
#[derive(Debug)]
pub(super) enum Allowed {
    /// Answer it now.
    Local(Response),
    /// The name's addresses are known here: answer with the address that stands for it, where it has one of the
    /// family that was asked for.
    Known { name: DomainName, exists: bool },
    /// Ask upstream.
    Forward(Question),
}

/// What one query comes to without its verdict.
pub(super) fn plan(config: &Config, names: &Names, question: &Query) -> Plan {
    if question.query_class != DNSClass::IN {
        return Plan::Local(Response::of_code(ResponseCode::Refused));
    }
    match question.query_type {
        // Transfers and questions about transactions are not a stub resolver's (RFC 5936, RFC 8945, RFC 2930).
        RecordType::AXFR | RecordType::IXFR => return Plan::Local(Response::of_code(ResponseCode::Refused)),
        RecordType::OPT | RecordType::TSIG | RecordType::ZERO => {
            return Plan::Local(Response::of_code(ResponseCode::FormErr));
        }
        _ => {}
    }
    let Some(name) = to_domain(&question.name) else {
        return Plan::Nameless;
    };
    if let Some(response) = special_use(&name, question) {
        return Plan::Local(response);
    }
    if let Some(address) = parse_reverse(name.as_str()) {
        return plan_reverse(config, names, question, address);
    }
    Plan::Propose(Host::Name(match question.query_type {
        RecordType::HTTPS | RecordType::SVCB => service_owner(&name),
        _ => name,
    }))
}

/// What one query that was proposed comes to, now that it may be asked.
pub(super) fn allowed(config: &Config, question: &Query) -> Allowed {
    let Some(name) = to_domain(&question.name) else {
        return Allowed::Local(Response::of_code(ResponseCode::ServFail));
    };
    if question.query_type == RecordType::ANY {
        return Allowed::Local(minimal_any(question));
    }
    if name.is_host() {
        return Allowed::Local(address_answer(
            question,
            [config.gateway_v4.into(), config.gateway_v6.into()],
        ));
    }
    if let Some(known) = config.known_addresses(&name) {
        let exists = match question.query_type {
            RecordType::A => known.iter().any(IpAddr::is_ipv4),
            RecordType::AAAA => known.iter().any(IpAddr::is_ipv6),
            _ => false,
        };
        return Allowed::Known { name, exists };
    }
    Allowed::Forward(Question { name, record_type: question.query_type })
}

/// What one query that was proposed can be answered with while nobody has allowed it, so that nothing of it leaves: the
/// address that stands for its name, whether or not the name exists. Whoever looks for a service finds none, and connects to
/// the name itself (RFC 9460 §3). A name of the search list's making has to be known not to exist before the next is tried.
pub(super) fn stand_in(config: &Config, question: &Query) -> Option<Allowed> {
    match allowed(config, question) {
        Allowed::Forward(Question { name, record_type: RecordType::A | RecordType::AAAA })
            if !config.is_searched(&name) =>
        {
            Some(Allowed::Known { name, exists: true })
        }
        Allowed::Forward(Question { record_type: RecordType::HTTPS | RecordType::SVCB, .. }) => {
            Some(Allowed::Local(Response::of_answers(Vec::new())))
        }
        Allowed::Forward(_) => None,
        known => Some(known),
    }
}

/// Names that mean the same everywhere and are asked of no server.
fn special_use(name: &DomainName, question: &Query) -> Option<Response> {
    let top = name.as_str().rsplit('.').next().unwrap_or_default();
    match top {
        // RFC 6761 §6.3: the program's own loopback, which never leaves its namespace.
        "localhost" => {
            Some(address_answer(question, [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]))
        }
        // RFC 6761 §6.4, RFC 7686 §2.
        "invalid" | "onion" => Some(Response::of_code(ResponseCode::NXDomain)),
        _ => None,
    }
}

fn plan_reverse(config: &Config, names: &Names, question: &Query, address: IpAddr) -> Plan {
    let gateway = [IpAddr::V4(config.gateway_v4), IpAddr::V6(config.gateway_v6)].contains(&address);
    let inside = match address {
        IpAddr::V4(v4) => v4.to_bits() >> (32 - INSIDE_V4.1) == INSIDE_V4.0.to_bits() >> (32 - INSIDE_V4.1),
        IpAddr::V6(v6) => v6.to_bits() >> (128 - INSIDE_V6.1) == INSIDE_V6.0.to_bits() >> (128 - INSIDE_V6.1),
    };
    if inside || is_synthetic(address) {
        let name = match names.name_of(address) {
            None if gateway => DomainName::parse(axiom::domain::HOST_NAME).ok(),
            found => found.cloned(),
        };
        let Some(target) = name.as_ref().and_then(super::answer::to_wire) else {
            return Plan::Local(Response::of_code(ResponseCode::NXDomain));
        };
        let answers = match question.query_type {
            RecordType::PTR => vec![record(question, RData::PTR(PTR(target)))],
            _ => Vec::new(),
        };
        return Plan::Local(Response::of_answers(answers));
    }
    Plan::Propose(Host::Address(address))
}

/// Addresses as the answer to a question for one family; nothing for another type.
fn address_answer(question: &Query, addresses: [IpAddr; 2]) -> Response {
    let answers = addresses.into_iter().filter_map(|address| address_record(question, address, LOCAL_TTL));
    Response::of_answers(answers.collect())
}

/// The record for an address, where the question is for its family.
pub(super) fn address_record(question: &Query, address: IpAddr, ttl: u32) -> Option<Record> {
    let data = match (question.query_type, address) {
        (RecordType::A, IpAddr::V4(v4)) => RData::A(A(v4)),
        (RecordType::AAAA, IpAddr::V6(v6)) => RData::AAAA(AAAA(v6)),
        _ => return None,
    };
    Some(Record::from_rdata(question.name.clone(), ttl, data))
}

/// RFC 8482 §4.2: a question for everything is answered with one made-up record.
fn minimal_any(question: &Query) -> Response {
    Response::of_answers(vec![record(question, RData::HINFO(HINFO::new("RFC8482".into(), String::new())))])
}

fn record(question: &Query, data: RData) -> Record {
    Record::from_rdata(question.name.clone(), LOCAL_TTL, data)
}
