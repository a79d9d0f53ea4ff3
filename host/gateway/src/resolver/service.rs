//! HTTPS and SVCB records as the child may see them.
//!
//! RFC 9460. Address hints would lead past the name, and an encrypted ClientHello (RFC 9849) would hide it: both are
//! taken out. A record that cannot be used without them, or that leads to a name that no rule allows, is left out.

use super::answer::to_domain;
use axiom::domain::DomainName;
use axiom::policy::Policy;
use axiom::{Context, Proposal};
use hickory_proto::rr::rdata::HTTPS;
use hickory_proto::rr::rdata::svcb::{SVCB, SvcParamKey, SvcParamValue};
use hickory_proto::rr::{RData, Record};

/// The record without hints and ECH; `None` where nothing useful is left of it.
pub(super) fn strip(record: &Record, policy: &Policy) -> Option<Record> {
    let data = match &record.data {
        RData::HTTPS(HTTPS(service)) => RData::HTTPS(HTTPS(strip_service(service, policy)?)),
        RData::SVCB(service) => RData::SVCB(strip_service(service, policy)?),
        _ => return None,
    };
    let mut stripped = Record::from_rdata(record.name.clone(), record.ttl, data);
    stripped.dns_class = record.dns_class;
    Some(stripped)
}

fn strip_service(service: &SVCB, policy: &Policy) -> Option<SVCB> {
    // RFC 9460 §2.5: "." is the owner itself, in ServiceMode.
    if !service.target_name.is_root() {
        let target = to_domain(&service.target_name)?;
        // Who would ask for it is not known here: what only some programs may ask for is left out for all.
        policy.decide(&Proposal::resolve(target), Context::default()).allowed.then_some(())?;
    }
    let mut params = Vec::new();
    for (key, value) in &service.svc_params {
        match (key, value) {
            (SvcParamKey::Ipv4Hint | SvcParamKey::Ipv6Hint | SvcParamKey::EchConfigList, _) => {}
            // RFC 9460 §8: a client that does not know a mandatory key does not use the record. Without the
            // key that it asks for, neither can this one.
            (_, SvcParamValue::Mandatory(mandatory)) if mandatory.0.iter().any(is_stripped) => return None,
            _ => params.push((*key, value.clone())),
        }
    }
    Some(SVCB::new(service.svc_priority, service.target_name.clone(), params))
}

fn is_stripped(key: &SvcParamKey) -> bool {
    matches!(key, SvcParamKey::Ipv4Hint | SvcParamKey::Ipv6Hint | SvcParamKey::EchConfigList)
}

/// The name whose service a question for HTTPS or SVCB asks for: `_8443._https.example.com` is about
/// `example.com` (RFC 9460 §2.3, §9.1). Another form stands for itself.
pub(super) fn service_owner(name: &DomainName) -> DomainName {
    let mut labels = name.as_str().splitn(3, '.');
    let (Some(port), Some("_https"), Some(owner)) = (labels.next(), labels.next(), labels.next()) else {
        return name.clone();
    };
    let number = port.strip_prefix('_').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    match number.and_then(|digits| digits.parse::<u16>().ok()).and_then(|_| DomainName::parse(owner).ok()) {
        Some(owner) => owner,
        None => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_question_with_a_port_is_about_its_owner() {
        for (asked, owner) in [
            ("_8443._https.example.com", "example.com"),
            ("_x._https.example.com", "_x._https.example.com"),
            ("_70000._https.example.com", "_70000._https.example.com"),
            ("_https.example.com", "_https.example.com"),
            ("example.com", "example.com"),
        ] {
            let asked = DomainName::parse(asked).expect(asked);
            assert_eq!(service_owner(&asked).as_str(), owner);
        }
    }
}
