//! An answer of upstream's, as the child may see it.

use super::answer::{Answer, Question, effective_ttl};
use super::message::{ExtendedError, Response};
use super::policy::{LOCAL_TTL, address_record};
use super::service;
use crate::names::Names;
use axiom::domain::DomainName;
use axiom::policy::Policy;
use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::net::IpAddr;
use time::Duration;

/// How long the child may keep an address that stands for a name, in seconds.
pub const SYNTHETIC_TTL_MAX: u32 = 60;

/// The response to `asked`, from an answer that is `age` old.
pub(super) fn shape(
    policy: &Policy,
    names: &mut Names,
    question: &Question,
    asked: &Query,
    answer: &Answer,
    age: Duration,
) -> Response {
    let aged = |record: &Record| {
        let mut record = record.clone();
        record.ttl =
            effective_ttl(record.ttl).saturating_sub(u32::try_from(age.as_secs()).unwrap_or(u32::MAX));
        settle_case(&mut record, &asked.name);
        record
    };
    let mut answers: Vec<Record> = answer.aliases.iter().map(aged).collect();
    match question.record_type {
        RecordType::A | RecordType::AAAA if answer.finals.is_empty() => {}
        RecordType::A | RecordType::AAAA => {
            let ttl = answer.finals.iter().map(|record| aged(record).ttl).min().unwrap_or(0);
            let Some(mut record) = synthetic_record(names, &question.name, asked, ttl) else {
                return Response::of_code(ResponseCode::ServFail).because(ExtendedError::OVERLOADED);
            };
            if let Some(last) = answer.finals.first().map(aged) {
                record.name = last.name;
            }
            answers.push(record);
            for record in &mut answers {
                record.ttl = record.ttl.min(SYNTHETIC_TTL_MAX);
            }
        }
        RecordType::HTTPS | RecordType::SVCB => {
            answers
                .extend(answer.finals.iter().map(aged).filter_map(|record| service::strip(&record, policy)));
        }
        _ => answers.extend(answer.finals.iter().map(aged)),
    }
    Response {
        answers,
        authorities: answer.authority.as_deref().into_iter().map(aged).collect(),
        ..Response::of_code(answer.code)
    }
}

/// The response for a name whose addresses are known here.
pub(super) fn known(names: &mut Names, name: &DomainName, asked: &Query) -> Response {
    match synthetic_record(names, name, asked, LOCAL_TTL) {
        Some(record) => Response::of_answers(vec![record]),
        None => Response::of_code(ResponseCode::ServFail).because(ExtendedError::OVERLOADED),
    }
}

/// The address that stands for a name, in the family that was asked for; `None` where all are in use.
fn synthetic_record(names: &mut Names, name: &DomainName, asked: &Query, ttl: u32) -> Option<Record> {
    let synthetic = names.assign(name)?;
    let addresses = [IpAddr::V4(synthetic.v4), IpAddr::V6(synthetic.v6)];
    addresses.into_iter().find_map(|address| address_record(asked, address, ttl))
}

/// The letters' case that went upstream was random: what comes back from it is not shown to the child, which finds the
/// case of its own question and lower case elsewhere.
fn settle_case(record: &mut Record, asked: &Name) {
    record.name = if record.name == *asked { asked.clone() } else { record.name.to_lowercase() };
    match &mut record.data {
        RData::CNAME(name) => name.0 = name.0.to_lowercase(),
        RData::NS(name) => name.0 = name.0.to_lowercase(),
        RData::PTR(name) => name.0 = name.0.to_lowercase(),
        RData::MX(mx) => mx.exchange = mx.exchange.to_lowercase(),
        RData::SRV(srv) => srv.target = srv.target.to_lowercase(),
        RData::SOA(soa) => {
            soa.mname = soa.mname.to_lowercase();
            soa.rname = soa.rname.to_lowercase();
        }
        RData::SVCB(service) => service.target_name = service.target_name.to_lowercase(),
        RData::HTTPS(service) => service.0.target_name = service.0.target_name.to_lowercase(),
        _ => {}
    }
}
