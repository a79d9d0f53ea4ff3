//! What upstream said about one question, read out of its messages.
//!
//! RFC 1034 §3.6.2 (aliases), RFC 2308 (negative answers), RFC 5452 §6 (only what was asked for is believed).

use axiom::domain::DomainName;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::net::IpAddr;
use time::Duration;

/// How many aliases are followed, within messages and across them.
pub const ALIASES_MAX: usize = 16;
/// How long a negative answer is believed at most (RFC 2308 §5), and one without a SOA record.
const NEGATIVE_LIFETIME_MAX: Duration = Duration::from_secs(300);
const NEGATIVE_LIFETIME_PLAIN: Duration = Duration::from_secs(5);
/// How long a failure is believed (RFC 9520 §3.2: at least one second).
const FAILURE_LIFETIME: Duration = Duration::from_secs(2);

/// One question, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) name: DomainName,
    pub(super) record_type: RecordType,
}

/// An answer: aliases from the question's name to the one that has the records, those records, and how it ended.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    /// CNAME records, each owned by the target of the one before.
    pub(super) aliases: Vec<Record>,
    /// Records of the type asked for, all of one owner.
    pub(super) finals: Vec<Record>,
    /// Says for how long a negative answer holds.
    pub(super) authority: Option<Box<Record>>,
}

/// What following one message brought.
#[derive(Debug)]
pub(super) enum Followed {
    /// The answer is whole.
    Whole(Answer),
    /// The aliases end in a name of which the message says nothing: it must be asked for.
    Alias {
        /// That name.
        name: Name,
        /// The aliases that lead to it.
        aliases: Vec<Record>,
    },
    /// Aliases in a circle, or too many.
    TooLong,
}

impl Answer {
    /// A failure to get one.
    pub(super) fn failure(code: ResponseCode) -> Self {
        Self { code, aliases: Vec::new(), finals: Vec::new(), authority: None }
    }

    pub(super) fn records(&self) -> usize {
        self.aliases.len() + self.finals.len()
    }

    /// The shortest lifetime of anything in it.
    pub(super) fn lifetime(&self) -> Duration {
        let seconds = |ttl: u32| Duration::from_secs(u64::from(effective_ttl(ttl)));
        let records = self.aliases.iter().chain(&self.finals).map(|record| seconds(record.ttl));
        let end = match self.code {
            ResponseCode::NoError if !self.finals.is_empty() => None,
            // RFC 2308 §5: the lesser of the SOA record's TTL and its MINIMUM.
            ResponseCode::NoError | ResponseCode::NXDomain => Some(match self.authority.as_deref() {
                Some(Record { ttl, data: RData::SOA(soa), .. }) => {
                    seconds(*ttl).min(seconds(soa.minimum)).min(NEGATIVE_LIFETIME_MAX)
                }
                _ => NEGATIVE_LIFETIME_PLAIN,
            }),
            _ => Some(FAILURE_LIFETIME),
        };
        records.chain(end).min().unwrap_or(NEGATIVE_LIFETIME_PLAIN)
    }

    /// The addresses among its records.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.finals.iter().filter_map(|record| record.data.ip_addr())
    }
}

/// RFC 2181 §8: a TTL with its highest bit set counts as zero.
pub(super) fn effective_ttl(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

/// Follows a message's aliases from `start`, adding them to `aliases`, to records of the type asked for.
///
/// Records that do not hang on the chain are nobody's answer and are not looked at: that is the whole bailiwick rule
/// for a resolver with one upstream, which is believed in what it was asked (RFC 5452 §6).
pub(super) fn follow(
    message: &Message,
    start: &Name,
    record_type: RecordType,
    mut aliases: Vec<Record>,
) -> Followed {
    let mut current = start.clone();
    let of_type = |owner: &Name, wanted: RecordType| {
        let owner = owner.clone();
        message.answers.iter().filter(move |record| {
            record.dns_class == DNSClass::IN && record.name == owner && record.record_type() == wanted
        })
    };
    loop {
        let finals: Vec<Record> = of_type(&current, record_type).cloned().collect();
        if !finals.is_empty() {
            let answer = Answer { code: ResponseCode::NoError, aliases, finals, authority: None };
            return Followed::Whole(answer);
        }
        let alias = of_type(&current, RecordType::CNAME).next();
        let Some((alias, RData::CNAME(target))) = alias.map(|record| (record, &record.data)) else { break };
        let seen = aliases.iter().any(|earlier| earlier.name == target.0) || target.0 == alias.name;
        if seen || aliases.len() >= ALIASES_MAX {
            return Followed::TooLong;
        }
        aliases.push(alias.clone());
        current = target.0.clone();
    }
    // A SOA record tells about this name only where it stands above it.
    let authority = message.authorities.iter().find(|record| {
        matches!(record.data, RData::SOA(_))
            && record.dns_class == DNSClass::IN
            && record.name.zone_of(&current)
    });
    let code = message.metadata.response_code;
    if code == ResponseCode::NoError && authority.is_none() && current != *start {
        return Followed::Alias { name: current, aliases };
    }
    let answer = Answer { code, aliases, finals: Vec::new(), authority: authority.cloned().map(Box::new) };
    Followed::Whole(answer)
}

/// The name as rules compare it; `None` where it has letters that no host name has.
pub(super) fn to_domain(name: &Name) -> Option<DomainName> {
    let mut text = String::with_capacity(name.len());
    for label in name.iter() {
        // A label's bytes are taken as they are: one with a dot inside would otherwise read as two.
        if !label.is_ascii() || label.contains(&b'.') {
            return None;
        }
        text.extend(label.iter().map(|byte| char::from(*byte)));
        text.push('.');
    }
    DomainName::parse(&text).ok()
}

/// The name as messages write it.
pub(super) fn to_wire(name: &DomainName) -> Option<Name> {
    Name::from_labels(name.as_str().split('.').map(str::as_bytes)).ok()
}
