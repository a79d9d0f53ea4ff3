//! A naive policy interpreter, and Cedar's answers beside its own: on random rules, lists, policies and questions.
//!
//! The interpreter reads everything one by one, and shares nothing with the tables or with what Cedar is told.

use super::{ask, files};
use crate::policy::ask::Actors;
use crate::policy::cedar::PARSED_SCHEMA;
use crate::policy::{Policy, PolicyBuilder, Question};
use crate::rules::{Host, Protocol, Rule, Rules, Target};
use crate::{Context, Kind, Proposal};
use proptest::prelude::*;
use std::collections::HashSet;
use std::net::IpAddr;

/// One policy of ours, from which both Cedar's text and the answer are made.
#[derive(Clone, Debug)]
struct Statement {
    permits: bool,
    principal: Who,
    actions: Vec<&'static str>,
    resource: What,
    condition: Option<(bool, Condition)>,
}

#[derive(Clone, Debug)]
enum Who {
    Anybody,
    Exactly(&'static str),
    Under(&'static str),
    OfRun(u8),
    AnyProgram,
    AnyRun,
}

#[derive(Clone, Debug)]
enum What {
    Anything,
    List(&'static str),
    Domain(&'static str),
    Network(&'static str),
    Endpoint(&'static str),
}

#[derive(Clone, Debug)]
enum Condition {
    Port(u16),
    PortBelow(u16),
    Protocol(&'static str),
    Name(&'static str),
    NameEnds(&'static str),
    Address(&'static str),
    User(u32),
    Command(&'static str),
    Carried(u64),
    Before(u64),
    In(What),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

const PROGRAMS: [&str; 3] = ["/bin/a", "/bin/b", "/bin/c"];
const NAMES: [&str; 5] = ["a", "b", "a.b", "b.b", "a.a.b"];
const NETWORKS: [&str; 4] = ["10.0.0.0/8", "10.0.0.0/30", "10.0.0.1", "fd00::/16"];
const ENDPOINTS: [&str; 4] = ["tcp://a.b:1", "udp://10.0.0.1:2", "icmp://a", "b.b"];
const LISTS: [&str; 2] = ["one", "two"];

fn who_text(who: &Who) -> String {
    match who {
        Who::Anybody => "principal".to_owned(),
        Who::Exactly(path) => format!("principal == Program::{path:?}"),
        Who::Under(path) => format!("principal in Program::{path:?}"),
        Who::OfRun(run) => format!("principal in Run::\"{:032x}\"", run),
        Who::AnyProgram => "principal is Program".to_owned(),
        Who::AnyRun => "principal is Run".to_owned(),
    }
}

fn what_text(what: &What) -> String {
    match what {
        What::Anything => "resource".to_owned(),
        What::List(name) => format!("resource in List::{name:?}"),
        What::Domain(name) => format!("resource in Domain::{name:?}"),
        What::Network(network) => format!("resource in Network::{network:?}"),
        What::Endpoint(id) => format!("resource == Endpoint::{id:?}"),
    }
}

fn condition_text(condition: &Condition) -> String {
    match condition {
        Condition::Port(port) => format!("resource.port == {port}"),
        Condition::PortBelow(port) => format!("resource.port < {port}"),
        Condition::Protocol(protocol) => format!("resource.protocol == {protocol:?}"),
        Condition::Name(name) => format!("(resource has name && resource.name == {name:?})"),
        Condition::NameEnds(end) => format!("(resource has name && resource.name like \"*{end}\")"),
        Condition::Address(network) => {
            format!("(resource has address && resource.address.isInRange(ip({network:?})))")
        }
        Condition::User(user) => {
            format!("(principal is Program && principal has user && principal.user == {user})")
        }
        Condition::Command(words) => format!("(principal is Program && principal.command_line == {words:?})"),
        Condition::Carried(bytes) => format!("context.bytes < {bytes}"),
        Condition::Before(second) => format!("context.time < datetime(\"1970-01-01T00:00:{second:02}Z\")"),
        Condition::In(What::Anything) => "true".to_owned(),
        Condition::In(what) => what_text(what),
        Condition::Not(one) => format!("!({})", condition_text(one)),
        Condition::And(one, other) => format!("({} && {})", condition_text(one), condition_text(other)),
        Condition::Or(one, other) => format!("({} || {})", condition_text(one), condition_text(other)),
    }
}

fn text(statement: &Statement) -> String {
    let effect = if statement.permits { "permit" } else { "forbid" };
    let actions: Vec<String> = statement.actions.iter().map(|action| format!("Action::{action:?}")).collect();
    let action =
        if actions.is_empty() { "action".to_owned() } else { format!("action in [{}]", actions.join(", ")) };
    let condition = statement.condition.as_ref().map_or_else(String::new, |(when, condition)| {
        format!(" {} {{ {} }}", if *when { "when" } else { "unless" }, condition_text(condition))
    });
    format!(
        "{effect} ({}, {action}, {}){condition};\n",
        who_text(&statement.principal),
        what_text(&statement.resource)
    )
}

/// What a rule says of a connection, read off its parts.
fn rule_matches(rule: &Rule, protocol: Protocol, host: &Host, port: u16) -> bool {
    let target = match (rule.target(), host) {
        (Target::Name(wanted), Host::Name(name)) => wanted == name,
        (Target::Below(above), Host::Name(name)) => name.as_str().ends_with(&format!(".{above}")),
        (Target::Network(network), Host::Address(address)) => network.contains(*address),
        _ => false,
    };
    let ports = match rule.ports() {
        None => true,
        Some(ports) => protocol != Protocol::Icmp && (ports.first..=ports.last).contains(&port),
    };
    target && ports && rule.protocol().is_none_or(|only| only == protocol)
}

fn hosts(proposal: &Proposal) -> (Vec<Host>, Option<Host>) {
    let name = proposal.name.clone().map(Host::Name);
    let address = proposal.address().map(Host::Address);
    let main = name.clone().or_else(|| address.clone());
    (name.into_iter().chain(address).collect(), main)
}

/// Whether a proposal is in a list.
fn list_holds(rules: &Rules, proposal: &Proposal) -> bool {
    let (all, Some(main)) = hosts(proposal) else { return false };
    let allows = |protocol, port| rules.allow().iter().any(|rule| rule_matches(rule, protocol, &main, port));
    let denies = |protocol, port, hosts: &[Host]| {
        hosts.iter().any(|host| rules.deny().iter().any(|rule| rule_matches(rule, protocol, host, port)))
    };
    match proposal.protocol {
        Some(protocol) => {
            let port = proposal.port.unwrap_or(0);
            allows(protocol, port) && !denies(protocol, port, &all)
        }
        None => Protocol::ALL.into_iter().any(|protocol| {
            // No rule here names a port above these.
            (0..20).any(|port| allows(protocol, port) && !denies(protocol, port, std::slice::from_ref(&main)))
        }),
    }
}

/// Whether a list names any of a proposal's names and addresses: what a policy forbids by its scope.
fn list_is_reached(rules: &Rules, proposal: &Proposal) -> bool {
    let Some(protocol) = proposal.protocol else { return list_holds(rules, proposal) };
    let port = proposal.port.unwrap_or(0);
    let says = |list: &[Rule], host: &Host| list.iter().any(|rule| rule_matches(rule, protocol, host, port));
    hosts(proposal).0.iter().any(|host| says(rules.allow(), host) && !says(rules.deny(), host))
}

fn speaks_of_who(who: &Who, proposal: &Proposal) -> bool {
    let program = proposal.program.as_ref();
    match who {
        Who::Anybody => true,
        Who::Exactly(path) => program.is_some_and(|program| program.executable == *path),
        Who::Under(path) => program.is_some_and(|program| {
            program.executable == *path || program.parents.iter().any(|parent| parent.executable == *path)
        }),
        Who::OfRun(run) => proposal.run.0 == u128::from(*run).to_be_bytes(),
        Who::AnyProgram => program.is_some(),
        Who::AnyRun => program.is_none(),
    }
}

fn speaks_of_what(what: &What, proposal: &Proposal, lists: &[Rules; 2]) -> bool {
    match what {
        What::Anything => true,
        What::List(name) => {
            let index = LISTS.iter().position(|list| list == name).expect("a list");
            list_holds(&lists[index], proposal)
        }
        What::Domain(above) => proposal
            .name
            .as_ref()
            .is_some_and(|name| name.as_str() == *above || name.as_str().ends_with(&format!(".{above}"))),
        What::Network(network) => proposal.address().is_some_and(|address| in_network(network, address)),
        What::Endpoint(id) => proposal.endpoint().to_string() == *id,
    }
}

/// Bit by bit.
fn in_network(network: &str, address: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => format!("4{:032b}", v4.to_bits()),
        IpAddr::V6(v6) => format!("6{:0128b}", v6.to_bits()),
    };
    let (first, length) =
        network.split_once('/').map_or((network, None), |(first, length)| (first, Some(length)));
    let first = bits(first.parse().expect("an address"));
    let length = length.map_or(first.len() - 1, |length| length.parse().expect("a length"));
    bits(address).starts_with(&first[..=length])
}

fn holds(condition: &Condition, proposal: &Proposal, context: Context, lists: &[Rules; 2]) -> bool {
    let again = |one: &Condition| holds(one, proposal, context, lists);
    let (port, program) = (proposal.port.unwrap_or(0), proposal.program.as_ref());
    let name = proposal.name.as_ref().map(|name| name.as_str());
    match condition {
        Condition::Port(wanted) => port == *wanted,
        Condition::PortBelow(limit) => port < *limit,
        Condition::Protocol(wanted) => proposal.protocol.map_or("dns", Protocol::scheme) == *wanted,
        Condition::Name(wanted) => name == Some(wanted),
        Condition::NameEnds(end) => name.is_some_and(|name| name.ends_with(end)),
        Condition::Address(network) => proposal.address().is_some_and(|address| in_network(network, address)),
        Condition::User(user) => program.is_some_and(|program| program.user == Some(*user)),
        Condition::Command(words) => program.is_some_and(|program| program.command_line.join(" ") == *words),
        Condition::Carried(limit) => context.carried_bytes < *limit,
        Condition::Before(second) => context.time_ns < second * 1_000_000_000,
        Condition::In(what) => speaks_of_what(what, proposal, lists),
        Condition::Not(one) => !again(one),
        Condition::And(one, other) => again(one) && again(other),
        Condition::Or(one, other) => again(one) || again(other),
    }
}

fn applies(statement: &Statement, proposal: &Proposal, context: Context, lists: &[Rules; 2]) -> bool {
    let action = match proposal.kind {
        Kind::Bind => "listen",
        kind => kind.name(),
    };
    let condition =
        statement.condition.as_ref().is_none_or(|(when, one)| holds(one, proposal, context, lists) == *when);
    (statement.actions.is_empty() || statement.actions.contains(&action))
        && speaks_of_who(&statement.principal, proposal)
        && match &statement.resource {
            What::List(name) if !statement.permits => {
                let index = LISTS.iter().position(|list| list == name).expect("a list");
                list_is_reached(&lists[index], proposal)
            }
            what => speaks_of_what(what, proposal, lists),
        }
        && condition
}

fn any_of(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> + Clone {
    proptest::sample::select(words)
}

fn any_what() -> impl Strategy<Value = What> {
    prop_oneof![
        Just(What::Anything),
        any_of(&LISTS).prop_map(What::List),
        any_of(&NAMES).prop_map(What::Domain),
        any_of(&NETWORKS).prop_map(What::Network),
        any_of(&ENDPOINTS).prop_map(What::Endpoint),
    ]
}

fn any_condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        (0u16..4).prop_map(Condition::Port),
        (0u16..5).prop_map(Condition::PortBelow),
        any_of(&["tcp", "udp", "icmp", "dns"]).prop_map(Condition::Protocol),
        any_of(&NAMES).prop_map(Condition::Name),
        any_of(&["a", ".b", "x"]).prop_map(Condition::NameEnds),
        any_of(&NETWORKS).prop_map(Condition::Address),
        (0u32..3).prop_map(Condition::User),
        any_of(&["a b", "ab", ""]).prop_map(Condition::Command),
        (0u64..4).prop_map(Condition::Carried),
        (0u64..4).prop_map(Condition::Before),
        any_what().prop_map(Condition::In),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| Condition::Not(Box::new(one))),
            (inner.clone(), inner.clone())
                .prop_map(|(one, other)| Condition::And(Box::new(one), Box::new(other))),
            (inner.clone(), inner).prop_map(|(one, other)| Condition::Or(Box::new(one), Box::new(other))),
        ]
    })
}

fn any_statement() -> impl Strategy<Value = Statement> {
    let who = prop_oneof![
        3 => Just(Who::Anybody),
        1 => any_of(&PROGRAMS).prop_map(Who::Exactly),
        1 => any_of(&PROGRAMS).prop_map(Who::Under),
        1 => (0u8..3).prop_map(Who::OfRun),
        1 => Just(Who::AnyProgram),
        1 => Just(Who::AnyRun),
    ];
    let actions = proptest::sample::subsequence(vec!["connect", "listen", "accept", "resolve", "ping"], 0..4);
    let condition = proptest::option::of((any::<bool>(), any_condition()));
    (proptest::bool::weighted(0.7), who, actions, any_what(), condition).prop_map(
        |(permits, principal, actions, resource, condition)| Statement {
            permits,
            principal,
            actions,
            resource,
            condition,
        },
    )
}

fn any_question() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        any_of(&NAMES).prop_map(str::to_owned),
        (0u8..6).prop_map(|low| format!("10.0.0.{low}")),
        (0u8..3).prop_map(|low| format!("11.0.0.{low}")),
        (0u8..3).prop_map(|low| format!("[fd00::{low}]")),
    ];
    let address = (0u8..6).prop_map(|low| format!("10.0.0.{low}"));
    let about = (0usize..6, host, address.clone(), any_of(&["tcp", "udp"]), 1u16..4).prop_map(
        |(kind, host, address, protocol, port)| match Kind::ALL[kind] {
            kind @ (Kind::Bind | Kind::Listen | Kind::Accept) => {
                format!("{kind} {protocol}://{address}:{port}")
            }
            Kind::Connect => format!("connect {protocol}://{host}:{port}"),
            kind @ (Kind::Ping | Kind::Resolve) => format!("{kind} {host}"),
        },
    );
    let program = proptest::option::of((
        any_of(&PROGRAMS),
        proptest::sample::subsequence(PROGRAMS.to_vec(), 0..3),
        proptest::option::of(0u32..3),
        any_of(&["a b", "ab"]),
    ));
    (about, program, 0u8..3, 0u64..4, 0u64..4, proptest::option::weighted(0.3, address)).prop_map(
        |(about, program, run, bytes, second, address)| {
            let mut question =
                format!("{about} run={run:032x} bytes={bytes} time=1970-01-01T00:00:{second:02}Z");
            if let Some((path, parents, user, command)) = program {
                question += &format!(" program={path} command=\"{command}\"");
                if !parents.is_empty() {
                    question += &format!(" parents={}", parents.join(","));
                }
                if let Some(user) = user {
                    question += &format!(" user={user}");
                }
            }
            let takes_address = Question::parse(&question).is_ok_and(|question| {
                question.proposal.name.is_some() && question.proposal.kind != Kind::Resolve
            });
            match address.filter(|_| takes_address) {
                Some(address) => format!("{question} address={address}"),
                None => question,
            }
        },
    )
}

fn any_rule() -> impl Strategy<Value = String> {
    let target = prop_oneof![
        any_of(&NAMES).prop_map(str::to_owned),
        any_of(&["a", "b", "a.b"]).prop_map(|name| format!("*.{name}")),
        any_of(&["10.0.0.0/8", "10.0.0.0/30", "10.0.0.1", "[fd00::]/16"]).prop_map(str::to_owned),
    ];
    let ports = prop_oneof![
        Just(String::new()),
        (1u16..4).prop_map(|port| format!(":{port}")),
        Just(":1-65535".to_owned()),
    ];
    (any_of(&["", "tcp://", "udp://"]), target, ports)
        .prop_map(|(scheme, target, ports)| format!("{scheme}{target}{ports}"))
}

fn any_rules() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    (proptest::collection::vec(any_rule(), 0..6), proptest::collection::vec(any_rule(), 0..3))
}

proptest! {
    // Each case parses and validates a policy: as many as take a second or two without optimisation.
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn cedar_answers_as_the_naive_interpreter_does(
        statements in proptest::collection::vec(any_statement(), 1..6),
        lists in [any_rules(), any_rules()],
        questions in proptest::collection::vec(any_question(), 1..12),
    ) {
        let texts: Vec<String> = lists
            .iter()
            .map(|(allow, deny)| {
                let deny = deny.iter().map(|rule| format!("deny {rule}"));
                allow.iter().cloned().chain(deny).collect::<Vec<_>>().join("\n")
            })
            .collect();
        let policies: String = statements.iter().map(text).collect();
        let files_of = [("p.cedar", policies.as_str()), ("one", texts[0].as_str()), ("two", texts[1].as_str())];
        let mut load = files(&files_of);
        let builder = LISTS.iter().fold(PolicyBuilder::default(), |builder, list| builder.list(list, list, &mut load));
        let policy = builder.file("p.cedar", &mut load).build().map_err(|error| TestCaseError::fail(error.to_string()))?;
        let rules = lists.map(|(allow, deny)| Rules::parse(&allow, &deny).expect("rules"));
        for question in questions {
            let decision = ask(&policy, &question);
            let asked = Question::parse(&question).expect("a question");
            let said = |permits: bool| {
                let applying = statements.iter().enumerate().filter(|(_, one)| one.permits == permits);
                applying.filter(|(_, one)| applies(one, &asked.proposal, asked.context, &rules)).map(|(at, _)| at + 1).next()
            };
            let (permitted, forbidden) = (said(true), said(false));
            prop_assert_eq!(&decision.failure, &None, "{}", question);
            prop_assert_eq!(decision.allowed, permitted.is_some() && forbidden.is_none(), "{}\n{}", question, policies);
            let by = forbidden.or(permitted).map(|number| format!("policy {number}"));
            prop_assert_eq!(decision.rule_text().map(|rule| rule.to_string()), by, "{}\n{}", question, policies);
        }
    }

    #[test]
    fn flags_decide_as_the_tables_of_rules_do(
        (allow, deny) in any_rules(),
        hosts in proptest::collection::vec((any_question(), 0usize..3), 1..12),
    ) {
        let policy = Policy::of_rules(&allow, &deny).expect("a policy");
        let rules = Rules::parse(&allow, &deny).expect("rules");
        for (question, protocol) in hosts {
            let asked = Question::parse(&question).expect("a question").proposal;
            let protocol = Protocol::ALL[protocol];
            let port = asked.port.unwrap_or(1);
            let Some(host) = asked.name.clone().map(Host::Name).or_else(|| asked.remote.map(|end| Host::from(end.ip())))
            else { continue };
            let (opened, resolved) = match &host {
                Host::Name(name) => (rules.decide_name(protocol, name, port), rules.may_resolve(name)),
                Host::Address(address) => (rules.decide_address(protocol, *address, port), rules.may_reach(*address)),
            };
            let decided = |proposal: Proposal| policy.decide(&proposal, Context::default());
            let open = decided(Proposal::connect(protocol, host.clone(), port));
            prop_assert_eq!((open.allowed, open.rule_text().cloned()), (opened.allowed, opened.by));
            let resolve = decided(Proposal::resolve(host));
prop_assert_eq!(resolve.allowed, resolved.allowed);
            // Of several that deny together the policy may name another one than the tables do.
            if resolved.allowed {
                prop_assert_eq!(resolve.rule_text().cloned(), resolved.by);
            }
        }
    }

    #[test]
    fn what_cedar_is_told_holds_against_the_schema(question in any_question()) {
        let asked = Question::parse(&question).expect("a question");
        // A policy that looks at everything has everything told.
        let everything = "permit (principal, action, resource == Endpoint::\"a\") when { \
            principal in Program::\"/x\" && principal is Program && principal.executable == \"\" && \
            principal has digest && principal.command_line == \"\" && principal has user && principal has container && \
            resource.protocol == \"\" && resource has name && resource has address && resource.port == 0 && \
            context.bytes == 0 && context.time < datetime(\"1970-01-01\") && context.run == Run::\"\" };";
        let policy = PolicyBuilder::default().file("p.cedar", &mut files(&[("p.cedar", everything)])).build();
        let policy = policy.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let reads = &policy.layers()[0].statements.reads;
        let told = Actors::default().ask(reads, &asked.proposal, asked.context, HashSet::new());
        let (request, entities) = told.map_err(TestCaseError::fail)?;
        let schema = &*PARSED_SCHEMA;
        let again = cedar_policy::Entities::from_entities(entities, Some(schema));
        prop_assert!(again.is_ok(), "{:?}", again.err());
        let parts = (request.principal(), request.action(), request.resource(), request.context());
        let (Some(principal), Some(action), Some(resource), Some(context)) = parts else {
            return Err(TestCaseError::fail("a request has all parts"));
        };
        let again = cedar_policy::Request::new(
            principal.clone(),
            action.clone(),
            resource.clone(),
            context.clone(),
            Some(schema),
        );
        prop_assert!(again.is_ok(), "{:?}", again.err());
    }
}
