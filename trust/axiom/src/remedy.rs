//! What would allow what was refused, told afterwards from the ledger's entry alone: the policy of then is gone.
//!
//! An entry says in words why it was refused. They are this crate's own ([`Decision`](crate::policy::Decision),
//! [`NotAdmitted`](crate::addresses::NotAdmitted)), or those of whoever refused for another reason than the policy, which no
//! rule changes.

use crate::addresses::{RESOLVES_TO, classify};
use crate::domain::DomainName;
use crate::policy::{DENIED_BY, NO_RULE, OF_AN_OUTER_RUN, UNANSWERED};
use crate::rules::{Host, Protocol, hint};
use ledger::{Authorization, Direction, Event, Verdict};
use std::collections::HashSet;
use std::net::IpAddr;

/// What would allow it.
///
/// ```
/// use axiom::Remedy;
/// use ledger::{Authorization, Direction, Event, Protocol};
///
/// let refused = Authorization {
///     reason: "no rule allows it".into(),
///     protocol: Some(Protocol::Tcp),
///     direction: Some(Direction::Connect),
///     name: Some("docs.example".into()),
///     port: Some(443),
///     ..Authorization::default()
/// };
/// let remedy = Remedy::of(&Event::ConnectionAuthorize(refused));
/// assert_eq!(remedy.flags, ["--allow tcp://docs.example:443"]);
/// assert!(remedy.take_back.is_none() && !remedy.is_outer);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remedy {
    /// The flags of `weft run` that are needed, all of them; none where it was allowed, or where no rule would do.
    pub flags: Vec<String>,
    /// The rule that denies it, with where it stands: nothing allows it as long as that is there.
    pub take_back: Option<String>,
    /// Whether that concerns the policy of a run around this one.
    pub is_outer: bool,
}

/// What the reason of a refusal says.
#[derive(Debug, PartialEq, Eq)]
struct Words<'a> {
    /// The address that the name led to, where that was what was refused.
    resolved: Option<IpAddr>,
    why: &'a str,
    is_outer: bool,
}

impl Remedy {
    /// What would allow what this event refuses.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let Some(asked) = event.authorization().filter(|asked| asked.verdict == Verdict::Refused) else {
            return Self::default();
        };
        let words = Words::of(&asked.reason);
        let denied = words.why.strip_prefix(DENIED_BY).or(asked.rule.as_deref());
        let (flags, take_back) = match denied {
            Some(rule) => (Vec::new(), Some(rule.to_owned())),
            None if words.why == NO_RULE || words.resolved.is_some() => (flags(event, asked, &words), None),
            None => (Vec::new(), None),
        };
        let is_outer = words.is_outer && (take_back.is_some() || !flags.is_empty());
        Self { flags, take_back, is_outer }
    }
}

impl<'a> Words<'a> {
    fn of(reason: &'a str) -> Self {
        let reason = reason.strip_suffix(UNANSWERED).unwrap_or(reason);
        let (reason, is_outer) = match reason.strip_suffix(OF_AN_OUTER_RUN) {
            Some(reason) => (reason, true),
            None => (reason, false),
        };
        let led = reason.strip_prefix(RESOLVES_TO).and_then(|rest| rest.split_once(", "));
        match led.and_then(|(address, why)| Some((address.parse().ok()?, why))) {
            Some((address, why)) => Self { resolved: Some(address), why, is_outer },
            None => Self { resolved: None, why: reason, is_outer },
        }
    }
}

fn flags(event: &Event, asked: &Authorization, words: &Words<'_>) -> Vec<String> {
    if let Some(path) = &asked.path {
        return vec![format!("--allow unix:{path}")];
    }
    let name = asked.name.as_deref().map(DomainName::parse);
    let address = asked.remote.map(|remote| remote.ip());
    let host = match (name, address) {
        (Some(Ok(name)), _) => Host::Name(name),
        (None, Some(address)) => address.into(),
        // A name that was cut is another name.
        (Some(Err(_)), _) => return Vec::new(),
        (None, None) => return publish(asked),
    };
    if matches!(event, Event::ResolveAuthorize(_)) {
        return vec![format!("--allow {host}")];
    }
    if !matches!(asked.direction, None | Some(Direction::Connect)) {
        return publish(asked);
    }
    let Some(protocol) = protocol(asked) else { return Vec::new() };
    let port = asked.port.or(asked.remote.map(|remote| remote.port())).unwrap_or(0);
    let mut flags = vec![hint(protocol, host.clone(), port)];
    flags.extend(inner_address(&host, address, words).map(|address| hint(protocol, address, port)));
    flags
}

/// The address to which the name alone does not lead.
fn inner_address(host: &Host, address: Option<IpAddr>, words: &Words<'_>) -> Option<IpAddr> {
    let Host::Name(name) = host else { return None };
    let is_inner = |address: &IpAddr| !classify(*address, &HashSet::new()).is_reachable_by_name();
    match words.resolved {
        // It was of a kind that asks for a rule, as may be one that only an interface of that host tells.
        Some(address) if words.why != NO_RULE => Some(address),
        // The host's own loopback is meant by its name.
        _ if name.is_host() => None,
        resolved => resolved.or(address).filter(is_inner),
    }
}

/// Ports are taken where they are published.
fn publish(asked: &Authorization) -> Vec<String> {
    let is_taken = matches!(asked.direction, Some(Direction::Bind | Direction::Listen | Direction::Accept));
    let Some(port) = asked.port.filter(|_| is_taken) else { return Vec::new() };
    match protocol(asked) {
        Some(Protocol::Tcp) => vec![format!("--publish {port}:{port}")],
        Some(Protocol::Udp) => vec![format!("--publish {port}:{port}/udp")],
        Some(Protocol::Icmp) | None => Vec::new(),
    }
}

fn protocol(asked: &Authorization) -> Option<Protocol> {
    match asked.protocol? {
        ledger::Protocol::Tcp => Some(Protocol::Tcp),
        ledger::Protocol::Udp => Some(Protocol::Udp),
        ledger::Protocol::Icmp => Some(Protocol::Icmp),
        ledger::Protocol::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::Pins;
    use crate::policy::{Policy, PolicyBuilder, Question};
    use crate::{Axiom, Moment, Proposal, Verdict};
    use ledger::{Log, LogConfig, Position};
    use time::Instant;

    const NOW: Moment = Moment { now: Instant::ZERO, time_ns: 1 };

    fn ask(text: &str) -> Proposal {
        Question::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).proposal
    }

    fn policy(allow: &[&str], deny: &[&str]) -> Policy {
        let rules = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>();
        Policy::of_rules(&rules(allow), &rules(deny)).expect("a policy")
    }

    /// What the ledger's entry says after this policy was asked.
    fn remedy(policy: Policy, proposal: &Proposal) -> Remedy {
        let mut axiom = Axiom::new(policy, Log::start(Position::default(), LogConfig::default()));
        let rejected = match axiom.submit(proposal, NOW) {
            Verdict::Rejected(rejected) => Some(rejected.reason),
            Verdict::Committed(_) => None,
        };
        // The host's own loopback is no address of a name's.
        let led = proposal.name.as_ref().is_some_and(|name| !name.is_host());
        let address = proposal.address().filter(|_| led);
        let known = (&Pins::default(), &HashSet::new());
        let inner = address.and_then(|address| {
            Some((address, axiom.policy().admit(proposal, address, axiom.context(NOW), known, false).err()?))
        });
        if let (None, Some((address, why))) = (&rejected, inner) {
            let _ = axiom.reject(proposal, why.reason(address), NOW);
        }
        let batch = axiom.log_mut().poll_write(Instant::from_secs(9)).expect("an entry");
        let mut records = ledger::tile::Records::new(batch.records());
        let last = records.by_ref().flatten().last().expect("an entry");
        Remedy::of(&ledger::Entry::decode(last).expect("an entry").event)
    }

    #[test]
    fn what_no_rule_allows_is_allowed_by_the_flags_that_are_told() {
        for (question, flags) in [
            ("connect tcp://docs.example:443", "--allow tcp://docs.example:443"),
            ("connect udp://[2001:db8::90]:53", "--allow udp://[2001:db8::90]:53"),
            ("connect tcp://10.0.0.5:22", "--allow tcp://10.0.0.5:22"),
            ("ping icmp://docs.example", "--allow icmp://docs.example"),
            ("resolve docs.example", "--allow docs.example"),
            ("resolve [2001:db8::1]", "--allow [2001:db8::1]"),
            ("listen 0.0.0.0:8080", "--publish 8080:8080"),
            ("bind udp://[::]:53", "--publish 53:53/udp"),
            ("accept 192.0.2.1:80", "--publish 80:80"),
            ("connect docs.example:443 address=203.0.113.80", "--allow tcp://docs.example:443"),
            (
                "connect db.example:5432 address=10.0.0.5",
                "--allow tcp://db.example:5432 --allow tcp://10.0.0.5:5432",
            ),
            ("connect host.weft.internal:5432 address=10.0.2.2", "--allow tcp://host.weft.internal:5432"),
        ] {
            let proposal = ask(question);
            let told = remedy(policy(&[], &[]), &proposal);
            assert_eq!(told, Remedy { flags: told.flags.clone(), ..Remedy::default() }, "{question}");
            assert_eq!(told.flags.join(" "), flags, "{question}");
            // With them it is allowed.
            let words: Vec<&str> = flags.split(' ').collect();
            let mut builder = PolicyBuilder::default();
            for pair in words.chunks(2) {
                builder = match (pair[0], &proposal.protocol) {
                    ("--allow", _) => builder.rules(&[pair[1].to_owned()], &[]),
                    (_, protocol) => builder.publish(protocol.expect("one"), proposal.port.expect("one")),
                };
            }
            let policy = builder.build().expect("a policy");
            assert_eq!(remedy(policy, &proposal), Remedy::default(), "{question}");
        }
    }

    #[test]
    fn an_inner_address_behind_a_name_takes_a_rule_for_each() {
        let proposal = ask("connect db.example:5432 address=10.0.0.5");
        let told = remedy(policy(&["db.example"], &[]), &proposal);
        assert_eq!(told.flags, ["--allow tcp://db.example:5432", "--allow tcp://10.0.0.5:5432"]);
        assert_eq!(remedy(policy(&["db.example", "10.0.0.5"], &[]), &proposal), Remedy::default());
        // That it is one of the host's own, only the host could tell.
        let words = Words::of("it resolves to 203.0.113.9, an address of this host");
        let host = Host::Name(DomainName::parse("db.example").expect("a name"));
        assert_eq!(inner_address(&host, None, &words), Some([203, 0, 113, 9].into()));
    }

    #[test]
    fn what_a_rule_denies_is_told_with_where_that_stands() {
        let told = |policy, question| remedy(policy, &ask(question)).take_back;
        let of_flags = policy(&["*.example"], &["old.example", "10.0.0.0/8"]);
        assert_eq!(told(of_flags.clone(), "connect old.example:443").as_deref(), Some("--deny old.example"));
        assert_eq!(
            told(of_flags, "connect db.example:443 address=10.0.0.5").as_deref(),
            Some("--deny 10.0.0.0/8")
        );
        let mut load =
            |path: &str| match path {
                "team.list" => Ok(b"*.example\ndeny old.example".to_vec()),
                _ => Ok(b"@id(\"no old\") forbid (principal, action, resource in Domain::\"old.example\");"
                    .to_vec()),
            };
        let list = PolicyBuilder::default().file("team.list", &mut load).build().expect("a policy");
        assert_eq!(told(list, "connect old.example:443").as_deref(), Some("team.list:2:6: old.example"));
        let cedar = PolicyBuilder::default().file("run.cedar", &mut load).build().expect("a policy");
        assert_eq!(told(cedar, "resolve old.example").as_deref(), Some("run.cedar:1:1: no old"));
    }

    #[test]
    fn a_run_around_this_one_is_told_of() {
        let outer = |allow: &[&str], deny: &[&str]| {
            policy(&["docs.example"], &[]).and(&policy(allow, deny)).expect("two layers")
        };
        let proposal = ask("connect docs.example:443");
        let told = remedy(outer(&[], &[]), &proposal);
        assert_eq!(told.flags, ["--allow tcp://docs.example:443"]);
        assert!(told.is_outer);
        let told = remedy(outer(&["docs.example"], &["docs.example:443"]), &proposal);
        assert_eq!((told.take_back.as_deref(), told.is_outer), (Some("--deny docs.example:443"), true));
    }

    #[test]
    fn no_rule_changes_what_was_refused_for_another_reason() {
        let asked = Authorization {
            protocol: Some(ledger::Protocol::Tcp),
            name: Some("docs.example".into()),
            port: Some(443),
            ..Authorization::default()
        };
        let of = |reason: &str| {
            Remedy::of(&Event::ConnectionAuthorize(Authorization { reason: reason.into(), ..asked.clone() }))
        };
        for reason in
            ["", "its TLS names ads.example", "the policy gives no answer: overflow", "it resolves to "]
        {
            assert_eq!(of(reason), Remedy::default(), "{reason}");
        }
        assert!(!of(NO_RULE).flags.is_empty());
        assert_eq!(of(&format!("{NO_RULE}{UNANSWERED}")), of(NO_RULE));
        let allowed = Authorization { verdict: ledger::Verdict::Allowed, ..asked };
        assert_eq!(Remedy::of(&Event::ConnectionAuthorize(allowed)), Remedy::default());
        assert_eq!(Remedy::of(&Event::RunEnd(ledger::RunEnd::default())), Remedy::default());
    }

    #[test]
    fn what_lacks_its_half_has_no_flag() {
        for asked in [
            Authorization { reason: NO_RULE.into(), ..Authorization::default() },
            Authorization { reason: NO_RULE.into(), name: Some("?".into()), ..Authorization::default() },
            Authorization {
                reason: NO_RULE.into(),
                remote: "192.0.2.1:1".parse().ok(),
                protocol: Some(ledger::Protocol::Other(132)),
                ..Authorization::default()
            },
        ] {
            assert_eq!(
                Remedy::of(&Event::ConnectionAuthorize(asked.clone())),
                Remedy::default(),
                "{asked:?}"
            );
        }
    }
}
