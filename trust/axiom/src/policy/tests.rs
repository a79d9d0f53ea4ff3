//! Policies, and what they decide.

mod model;

use super::decision::INSIDE;
use super::*;
use crate::addresses::{NotAdmitted, Pins};
use crate::domain::DomainName;
use crate::rules::Protocol;
use crate::{Context, Proposal};
use std::collections::HashSet;

/// Files in memory.
fn files<'a>(files: &'a [(&'a str, &'a str)]) -> impl FnMut(&str) -> Result<Vec<u8>, String> + 'a {
    move |path| match files.iter().find(|(name, _)| *name == path) {
        Some((_, text)) => Ok(text.as_bytes().to_vec()),
        None => Err("no such file".to_owned()),
    }
}

fn cedar(text: &str) -> Policy {
    let texts = [
        ("p.cedar", text),
        ("team.list", "api.example.com:443\n*.example.org\ndeny bad.example.org\n10.0.0.0/8:22"),
    ];
    let mut load = files(&texts);
    let built =
        PolicyBuilder::default().list("team", "team.list", &mut load).file("p.cedar", &mut load).build();
    built.unwrap_or_else(|error| panic!("{error}"))
}

fn wrong(text: &str) -> Vec<String> {
    let texts = [("p.cedar", text)];
    let error = PolicyBuilder::default().file("p.cedar", &mut files(&texts)).build().expect_err(text);
    error.complaints.iter().map(ToString::to_string).collect()
}

fn ask(policy: &Policy, question: &str) -> Decision {
    let question = Question::parse(question).unwrap_or_else(|error| panic!("{question}: {error}"));
    policy.decide(&question.proposal, question.context)
}

#[test]
fn lists_are_groups_that_cedar_decides_about() {
    let policy = cedar(
        r#"// Who of us may what.
@id("our services")
permit (principal, action in [Action::"connect", Action::"resolve"], resource in List::"team");

forbid (principal, action == Action::"connect", resource in Network::"10.1.0.0/16");
"#,
    );
    for (question, allowed, why) in [
        ("connect api.example.com:443", true, "allowed by p.cedar:2:1: our services"),
        ("connect api.example.com:80", false, "no rule allows it"),
        ("connect udp://a.b.example.org:1", true, "allowed by p.cedar:2:1: our services"),
        ("connect bad.example.org:1", false, "no rule allows it"),
        ("connect 10.0.0.1:22", true, "allowed by p.cedar:2:1: our services"),
        ("connect 10.1.0.1:22", false, "denied by p.cedar:5:1: policy 2"),
        ("connect a.example.org:1 address=10.1.0.1", false, "denied by p.cedar:5:1: policy 2"),
        ("resolve api.example.com", true, "allowed by p.cedar:2:1: our services"),
        ("resolve bad.example.org", false, "no rule allows it"),
        ("ping a.example.org", false, "no rule allows it"),
    ] {
        let decision = ask(&policy, question);
        assert_eq!((decision.allowed, decision.to_string().as_str()), (allowed, why), "{question}");
    }
}

#[test]
fn what_is_forbidden_is_so_by_every_way_to_it() {
    let policy = cedar(
        "permit (principal, action, resource);\n\
         forbid (principal, action, resource in List::\"team\");\n\
         forbid (principal, action, resource is Endpoint in Network::\"192.0.2.0/24\");\n",
    );
    for (question, allowed) in [
        ("connect other.example:22", true),
        ("connect other.example:22 address=10.0.0.1", false),
        ("connect other.example:23 address=10.0.0.1", true),
        ("connect [64:ff9b::10.0.0.1]:22", false),
        ("connect api.example.com:443 address=1.1.1.1", false),
        ("connect bad.example.org:1 address=1.1.1.1", true),
        ("connect other.example:1 address=192.0.2.7", false),
        ("connect [64:ff9b::192.0.2.7]:1", false),
        ("connect [64:ff9b::192.0.3.7]:1", true),
    ] {
        assert_eq!(ask(&policy, question).allowed, allowed, "{question}");
    }
    let explanation = policy.explain(&Question::parse("connect 192.0.2.7:1").expect("a question"));
    assert_eq!(explanation.groups, ["Network::\"192.0.2.0/24\""]);
    assert_eq!(explanation.decision.to_string(), "denied by p.cedar:3:1: policy 3");
}

#[test]
fn programs_runs_names_and_circumstances_are_seen() {
    let policy = cedar(
        r#"
permit (principal in Program::"/usr/bin/npm", action, resource in Domain::"npm.example");
permit (principal == Program::"/usr/bin/curl", action, resource == Endpoint::"tcp://one.example:443")
when { principal has user && principal.user == 1000 && principal.command_line like "curl*" };
permit (principal in Run::"00000000000000000000000000000007", action, resource)
when { context.bytes < 1000 && context.time < datetime("2027-01-01") && context.run == Run::"00000000000000000000000000000007" };
permit (principal is Program, action == Action::"accept", resource)
when { resource.port == 80 && resource has address && resource.address.isInRange(ip("192.0.2.0/24")) && resource.protocol == "tcp" };
permit (principal, action == Action::"listen", resource)
when { !(resource has name) && principal has digest && principal.digest == "0101010101010101010101010101010101010101010101010101010101010101" };
"#,
    );
    for (question, allowed) in [
        ("connect a.npm.example:443 program=/bin/sh parents=/usr/bin/npm,/bin/bash", true),
        ("connect npm.example:443 program=/usr/bin/npm parents=/usr/bin/npm", true),
        ("connect npm.example:443 program=/bin/sh", false),
        ("connect npm.example:443", false),
        ("connect xnpm.example:443 program=/usr/bin/npm", false),
        ("connect one.example:443 program=/usr/bin/curl user=1000 command=\"curl -v\"", true),
        ("connect one.example:443 program=/usr/bin/curl user=1001 command=\"curl -v\"", false),
        ("connect one.example:443 program=/usr/bin/curl command=\"curl -v\"", false),
        ("connect one.example:444 program=/usr/bin/curl user=1000 command=\"curl -v\"", false),
        ("connect one.example:443 program=/usr/bin/curl user=1000 command=wget", false),
        (
            "connect x.example:1 run=00000000000000000000000000000007 bytes=999 time=2026-12-31T23:59:59Z",
            true,
        ),
        ("connect x.example:1 run=00000000000000000000000000000007 program=/bin/a", true),
        ("connect x.example:1 run=00000000000000000000000000000007 bytes=1000", false),
        ("connect x.example:1 run=00000000000000000000000000000007 time=2027-01-01", false),
        ("connect x.example:1 run=00000000000000000000000000000008", false),
        ("accept 192.0.2.9:80 program=/bin/a", true),
        ("accept 192.0.2.9:80", false),
        ("accept 198.51.100.1:80 program=/bin/a", false),
        ("accept udp://192.0.2.9:80 program=/bin/a", false),
        (
            "listen 0.0.0.0:80 program=/bin/a digest=0101010101010101010101010101010101010101010101010101010101010101",
            true,
        ),
        ("bind udp://0.0.0.0:80 program=/bin/a", false),
    ] {
        assert_eq!(ask(&policy, question).allowed, allowed, "{question}");
    }
    assert!(!policy.is_lasting() && policy.looks_at_principal() && policy.looks_at_run());
    let plain = cedar(r#"permit (principal, action, resource in List::"team");"#);
    assert!(plain.is_lasting() && !plain.looks_at_principal() && !plain.looks_at_run());
}

#[test]
fn a_name_that_leads_inside_needs_a_flag_for_its_address_too() {
    let policy = Policy::of_rules(&["tcp://10.0.0.5:5432".into()], &[]).expect("a policy");
    for (question, hint) in [
        ("connect a.test:80 address=127.0.0.1", "--allow tcp://a.test:80 --allow tcp://127.0.0.1:80"),
        ("connect a.test:5432 address=10.0.0.5", "--allow tcp://a.test:5432"),
        ("connect a.test:80 address=1.1.1.1", "--allow tcp://a.test:80"),
        ("ping a.test address=::1", "--allow icmp://a.test --allow icmp://[::1]"),
        ("connect 127.0.0.1:80", "--allow tcp://127.0.0.1:80"),
        ("resolve a.test", ""),
    ] {
        let question = Question::parse(question).expect("a question");
        let told = policy.explain(&question).hint.unwrap_or_default();
        assert_eq!(told, hint);
        if !hint.is_empty() {
            let flags: Vec<String> = told.split("--allow ").map(|flag| flag.trim().to_owned()).collect();
            let rules = [&["tcp://10.0.0.5:5432".to_owned()], &flags[1..]].concat();
            let wider = Policy::of_rules(&rules, &[]).expect("a policy");
            assert!(wider.answer(&question).allowed, "{told}");
        }
    }
}

#[test]
fn a_program_is_in_a_run_that_no_policy_names() {
    let question = "connect x.example:1 run=00000000000000000000000000000007 program=/bin/a";
    for condition in ["principal in context.run", "principal has user || [context.run].contains(context.run)"]
    {
        let policy = cedar(&format!("permit (principal, action, resource) when {{ {condition} }};"));
        assert!(ask(&policy, question).allowed, "{condition}");
    }
    let of_listeners = cedar("permit (principal, action == Action::\"listen\", resource);");
    assert!(!ask(&of_listeners, question).allowed);
    assert!(ask(&of_listeners, "bind udp://0.0.0.0:80 program=/bin/a").allowed);
}

#[test]
fn what_is_wrong_with_cedar_is_told_with_line_and_letter() {
    for (text, expected) in [
        ("permit (principal, action, resource)", "p.cedar:1:37: unexpected end of input"),
        (
            "\n  permit (principal, action, resource) when { resource.prot == 1 };",
            "p.cedar:2:47: attribute `prot`",
        ),
        ("permit (principal, action == Action::\"fly\", resource);", "p.cedar:1:30: "),
        ("permit (principal == User::\"a\", action, resource);", "p.cedar:1:22: "),
        (
            "permit (principal, action, resource) when { resource.name == \"a\" };",
            "p.cedar:1:45: unable to guarantee",
        ),
        ("permit (principal, action, resource in List::\"tem\");", "p.cedar:1:40: there is no list \"tem\""),
        (
            "permit (principal, action, resource in Domain::\"*.a.example\");",
            "p.cedar:1:40: \"*.a.example\" is no name",
        ),
        (
            "permit (principal, action, resource in Domain::\"A.example\");",
            "p.cedar:1:40: no name is compared",
        ),
        (
            "permit (principal, action, resource in Network::\"10.0.0.1/8\");",
            "p.cedar:1:40: \"10.0.0.1/8\" is no network",
        ),
        (
            "permit (principal, action, resource == Endpoint::\"a.example:443\");",
            "p.cedar:1:40: \"a.example:443\" is no endpoint",
        ),
        ("permit (principal == ?principal, action, resource);", "p.cedar:1:22: a template"),
        ("allow example.com", "p.cedar:1:7: unexpected token"),
    ] {
        let complaints = wrong(text);
        assert!(complaints[0].starts_with(expected), "{text}: {complaints:?}");
    }
    let several = wrong(
        "permit (principal, action, resource in List::\"a\");\nforbid (principal, action, resource in List::\"b\");",
    );
    assert!(several[0].starts_with("p.cedar:1:40") && several[1].starts_with("p.cedar:2:40"), "{several:?}");
    assert!(several[0].contains("--list a=FILE"), "{several:?}");
}

#[test]
fn a_policy_that_nothing_fulfils_is_warned_of() {
    let policy = cedar("\npermit (principal, action == Action::\"resolve\", resource) when { false };");
    assert!(policy.warnings()[0].to_string().starts_with("p.cedar:2:1: "), "{:?}", policy.warnings());
}

#[test]
fn a_policy_that_cannot_be_evaluated_denies() {
    let policy = cedar(
        "permit (principal, action, resource);\n\
         forbid (principal, action, resource) when { context.bytes + 1 > 100 };",
    );
    assert!(ask(&policy, "connect a.example:1 bytes=98").allowed);
    assert!(!ask(&policy, "connect a.example:1 bytes=100").allowed);
    let decision = ask(&policy, &format!("connect a.example:1 bytes={}", u64::MAX));
    assert!(!decision.allowed && decision.failure.is_some(), "{decision}");
    assert!(decision.to_string().starts_with("the policy gives no answer: "), "{decision}");
}

#[test]
fn a_port_inside_needs_no_rule_and_any_layer_may_forbid_it() {
    let texts = [(
        "p.cedar",
        "@id(\"no ssh\") forbid (principal, action == Action::\"listen\", resource) when { resource.port == 22 };\n\
         @id(\"web\") permit (principal, action == Action::\"listen\", resource) when { resource.port == 80 };\n\
         forbid (principal, action == Action::\"listen\", resource) when { context.bytes + 9223372036854775807 > 0 &&\n\
         resource.port == 9 };",
    )];
    let own = PolicyBuilder::default().file("p.cedar", &mut files(&texts)).build().expect("a policy");
    let outer = Policy::of_rules(&[], &["127.0.0.1".into()]).expect("a policy");
    let both = own.and(&outer).expect("two layers");
    for (question, why) in [
        ("listen 0.0.0.0:81", INSIDE),
        ("bind udp://[::]:81", INSIDE),
        ("listen 0.0.0.0:80", "allowed by p.cedar:2:1: web"),
        ("listen 0.0.0.0:22", "denied by p.cedar:1:1: no ssh"),
        ("listen 127.0.0.1:80", "denied by --deny 127.0.0.1 in the policy of an outer run"),
    ] {
        let question = Question::parse(question).expect("a question");
        let decision = both.answer(&question);
        assert_eq!(decision.to_string(), why);
        assert_eq!(decision.allowed, !why.starts_with("denied"));
        assert!(!decision.is_unruled() && both.explain(&question).hint.is_none());
    }
    let question = Question::parse("listen 0.0.0.0:9 bytes=1").expect("a question");
    let decision = both.answer(&question);
    assert!(!decision.allowed && decision.failure.is_some(), "{decision}");
    // Nobody outside reaches it by that.
    assert!(ask(&both, "listen 0.0.0.0:81").is_unruled());
    let expected =
        Expectations::parse("e", "allow listen 0.0.0.0:81 by=-\ndeny listen 0.0.0.0:22").expect("some");
    assert!(expected.hold_against(&both).is_met());
}

#[test]
fn flags_and_files_are_one_policy() {
    let texts = [(
        "p.cedar",
        "permit (principal, action == Action::\"connect\", resource in Domain::\"b.example\");",
    )];
    let policy = PolicyBuilder::default()
        .rules(&["a.example:443".into()], &["bad.b.example".into()])
        .publish(Protocol::Tcp, 80)
        .file("p.cedar", &mut files(&texts))
        .build()
        .expect("a policy");
    for (question, why) in [
        ("connect a.example:443", "allowed by --allow a.example:443"),
        ("connect x.b.example:1", "allowed by p.cedar:1:1: policy 1"),
        ("connect bad.b.example:1", "denied by --deny bad.b.example"),
        ("resolve a.example", "allowed by --allow a.example:443"),
        ("resolve bad.b.example", "denied by --deny bad.b.example"),
        ("accept 192.0.2.1:80", "allowed by --publish 80"),
        ("listen 0.0.0.0:80", "allowed by --publish 80"),
        ("listen 0.0.0.0:81", "no rule allows it"),
    ] {
        assert_eq!(ask(&policy, question).to_string(), why, "{question}");
    }
    let texts = [("a.list", "deny *.example\nx.example:1\nunix:/run/a.sock"), ("b.list", "x.example")];
    let mut load = files(&texts);
    let list = PolicyBuilder::default()
        .file("a.list", &mut load)
        .file("b.list", &mut load)
        .build()
        .expect("a policy");
    assert_eq!(ask(&list, "connect x.example:1").to_string(), "denied by a.list:1:6: *.example");
    assert_eq!(list.unix_paths(), ["/run/a.sock"]);
}

#[test]
fn lists_have_names_of_their_own_and_a_bound() {
    let texts = [("l", "a.example"), ("u", "unix:/run/a")];
    let mut load = files(&texts);
    for (name, path, expected) in [
        ("allow", "l", "--list: a list called allow is weft's own"),
        ("a b", "l", "--list: 'a b' is no name of a list"),
        ("", "l", "--list: '' is no name"),
        ("a", "none", "none:1:1: it cannot be read: no such file"),
        ("a", "u", "u:1:1: unix:/run/a has no meaning"),
    ] {
        let error = PolicyBuilder::default().list(name, path, &mut load).build().expect_err(name);
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    let two = PolicyBuilder::default().list("a", "l", &mut load).list("a", "l", &mut load).build();
    assert_eq!(two.expect_err("two").to_string(), "--list: there are two lists called a");
    let many = (0..=LISTS_MAX)
        .fold(PolicyBuilder::default(), |builder, index| builder.list(&format!("l{index}"), "l", &mut load));
    assert_eq!(many.build().expect_err("many").to_string(), "--list: there are more than 64 lists");
    let text = "permit (principal, action, resource);\n".repeat(CEDAR_POLICIES_MAX + 1);
    assert!(wrong(&text)[0].starts_with("p.cedar:1025:1: the policy has more than 1024"));
}

#[test]
fn a_run_inside_another_can_only_take_away() {
    let outer = Policy::of_rules(&["*.example.com".into(), "unix:/run/a".into()], &[]).expect("outer");
    let inner = Policy::of_rules(
        &["api.example.com".into(), "example.org".into(), "unix:/run/a".into(), "unix:/run/b".into()],
        &[],
    )
    .expect("inner");
    let both = inner.and(&outer).expect("two");
    assert!(ask(&both, "connect api.example.com:1").allowed);
    assert_eq!(ask(&both, "connect www.example.com:1").to_string(), "no rule allows it");
    let outside = ask(&both, "connect example.org:1");
    assert_eq!(
        (outside.outer, outside.to_string().as_str()),
        (1, "no rule allows it in the policy of an outer run")
    );
    assert_eq!(both.unix_paths(), ["/run/a"]);
    assert!(!inner.would_still_allow(
        &Proposal::connect(Protocol::Tcp, name("www.example.com"), 1),
        Context::default()
    ));
    let mut deep = outer.clone();
    for _ in 1..LAYERS_MAX {
        deep = deep.and(&outer).expect("not too deep");
    }
    assert_eq!(deep.and(&outer).expect_err("too deep"), TooDeep);
}

fn name(text: &str) -> DomainName {
    text.parse().expect(text)
}

#[test]
fn a_name_leads_to_an_inner_address_only_by_rule_or_pin() {
    let policy = Policy::of_rules(
        &["db.example".into(), "tcp://10.0.0.5:5432".into(), "host.weft.internal:80".into()],
        &["203.0.113.0/24".into()],
    )
    .expect("a policy");
    let mut pins = Pins::default();
    pins.add(name("db.example"), "192.168.7.7".parse().expect("an address"));
    let own = HashSet::new();
    let admit = |host: &str, address: &str, port| {
        let proposal = Proposal::connect(Protocol::Tcp, name(host), port);
        policy.admit(
            &proposal,
            address.parse().expect("an address"),
            Context::default(),
            (&pins, &own),
            false,
        )
    };
    assert_eq!(admit("db.example", "1.1.1.1", 5432), Ok(()));
    assert_eq!(admit("db.example", "10.0.0.5", 5432), Ok(()));
    assert_eq!(admit("db.example", "192.168.7.7", 22), Ok(()));
    assert_eq!(admit("host.weft.internal", "127.0.0.1", 80), Ok(()));
    assert_eq!(
        admit("db.example", "203.0.113.7", 1),
        Err(NotAdmitted::Denied { why: "denied by --deny 203.0.113.0/24".into() })
    );
    match admit("db.example", "10.0.0.5", 22) {
        Err(NotAdmitted::Class { hint, .. }) => assert_eq!(hint, "--allow tcp://10.0.0.5:22"),
        other => panic!("{other:?}"),
    }
    assert!(admit("db.example", "169.254.169.254", 80).is_err());
}

#[test]
fn an_explanation_names_what_nearly_decided() {
    let policy = cedar(
        "@id(\"late\")\npermit (principal, action == Action::\"connect\", resource in List::\"team\")\n\
         when { context.bytes > 10 };\n",
    );
    let explain = |question: &str| policy.explain(&Question::parse(question).expect("a question"));
    let explanation = explain("connect api.example.com:443");
    assert_eq!(
        explanation.to_string(),
        "connect tcp://api.example.com:443: denied\n  no rule allows it\n  nearly: p.cedar:1:1: late (its condition does \
         not hold)\n  in: List::\"team\"\n  --allow tcp://api.example.com:443 would allow it\n"
    );
    let allowed = explain("connect api.example.com:443 bytes=11").to_json();
    assert_eq!((allowed["allowed"].as_bool(), allowed["decided_by"]["line"].as_u64()), (Some(true), Some(1)));
    let both = Policy::of_rules(&["a.example".into()], &["*.example:1-9".into()]).expect("a policy");
    let explanation = both.explain(&Question::parse("connect a.example:5").expect("a question"));
    assert_eq!(
        explanation.to_string(),
        "connect tcp://a.example:5: denied\n  denied by --deny *.example:1-9\n  also: --allow a.example\n"
    );
}

#[test]
fn cedar_is_formatted_and_keeps_its_comments() {
    let text = "// one\npermit(principal,action,resource)when{true};// end\n";
    let formatted = format("p.cedar", text).expect("formatted");
    assert_eq!(formatted, "// one\npermit (principal, action, resource)\nwhen { true }; // end\n");
    assert_eq!(format("p.cedar", &formatted).expect("again"), formatted);
    let error = format("p.cedar", "permit (principal").expect_err("wrong");
    assert!(error.to_string().starts_with("p.cedar:1:18: "), "{error}");
}

#[test]
fn the_hash_is_of_all_that_was_read() {
    let digest = |texts: &[(&str, &str)]| {
        PolicyBuilder::default().file("a", &mut files(texts)).build().expect("a policy").digest()
    };
    let one = digest(&[("a", "include b"), ("b", "x.example")]);
    assert_eq!(one, digest(&[("a", "include b"), ("b", "x.example")]));
    assert_ne!(one, digest(&[("a", "include b"), ("b", "y.example")]));
    assert_ne!(one, digest(&[("a", "x.example")]));
}

/// The blocks of code in a page: lines that are indented by four spaces.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in page.lines() {
        let Some(block) = blocks.last_mut() else { continue };
        match line.strip_prefix("    ") {
            Some(code) => *block += &format!("{code}\n"),
            None if line.is_empty() && !block.is_empty() => block.push('\n'),
            None if !block.is_empty() => blocks.push(String::new()),
            None => {}
        }
    }
    blocks
}

#[test]
fn what_the_documentation_shows_is_right() {
    let page = include_str!("../../../../docs/policy.md");
    let block = |mark: &str| {
        blocks(page)
            .into_iter()
            .find(|block| block.contains(mark))
            .unwrap_or_else(|| panic!("no block with {mark}"))
    };
    let (list, cedar) = (block("# What a build needs."), block("@id(\"packages\")"));
    let texts =
        [("run.list", list.as_str()), ("run.cedar", cedar.as_str()), ("team.list", "team.example.org")];
    let mut load = files(&texts);
    let rules = PolicyBuilder::default()
        .file("run.list", &mut load)
        .build()
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(rules.counts(), (6, 0));
    assert_eq!(rules.unix_paths(), ["/run/builder.sock"]);
    let policy =
        PolicyBuilder::default().list("team", "team.list", &mut load).file("run.cedar", &mut load).build();
    let policy = policy.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(policy.counts(), (1, 4));
    assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
    let packages = "connect tcp://registry.example.org:443 program=/usr/bin/node parents=/usr/bin/npm";
    assert_eq!(ask(&policy, packages).rule_text().map(|rule| &**rule), Some("packages"));
    let shell = "connect team.example.org:1 program=/bin/bash command=\"bash -c x\" time=2026-01-01";
    assert_eq!(ask(&policy, shell).rule_text().map(|rule| &**rule), Some("no shell by itself"));
    let expectations = Expectations::parse("run.expect", &block("# LINE = allow|deny QUESTION"));
    let unmet = expectations.expect("the example").hold_against(&rules).unmet;
    assert!(unmet.is_empty(), "{unmet:?}");
    for name in [
        "Program", "Run", "List", "Domain", "Network", "Endpoint", "connect", "listen", "accept", "ping",
        "resolve",
    ] {
        assert!(page.contains(&format!("`{name}")) && SCHEMA.contains(name), "{name} is in both");
    }
}

/// The host's own loopback is meant by its name, and by the gateway's address inside.
#[test]
fn the_host_is_reached_by_its_name_or_the_gateways_address() {
    let decide = |allow: &[&str], deny: &[&str], port: u16| {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let policy = Policy::of_rules(&owned(allow), &owned(deny)).expect("rules");
        let gateway = std::net::IpAddr::from([10, 0, 2, 2]);
        let host = crate::domain::DomainName::parse(crate::domain::HOST_NAME).ok();
        let proposal = Proposal { name: host, ..Proposal::connect(Protocol::Tcp, gateway, port) };
        policy.decide(&proposal, Context::default()).allowed
    };
    assert!(decide(&["host.weft.internal:80"], &[], 80) && !decide(&["host.weft.internal:80"], &[], 81));
    assert!(decide(&["10.0.2.2:80"], &["host.weft.internal:81"], 80));
    assert!(decide(&["10.0.2.2"], &["host.weft.internal:81"], 80));
    assert!(!decide(&["10.0.2.2"], &["host.weft.internal:81"], 81));
    assert!(!decide(&["host.weft.internal"], &["10.0.2.2:81"], 81));
}

#[test]
fn answers_are_rules_like_others_and_say_that_they_are_answers() {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let always = texts(&["tcp://a.example:443", "dns://c.example"]);
    let never = texts(&["tcp://b.example:443", "dns://d.example"]);
    let policy = PolicyBuilder::default().answers(&always, &never).build().expect("a policy");
    let by = |text: &str| ask(&policy, text).to_string();
    let allowed = "allowed by the answer always at the terminal: tcp://a.example:443";
    assert_eq!((by("connect a.example:443").as_str(), by("resolve a.example").as_str()), (allowed, allowed));
    assert_eq!(
        by("connect b.example:443"),
        "denied by the answer never at the terminal: tcp://b.example:443"
    );
    assert_eq!(by("resolve c.example"), "allowed by the answer always at the terminal: dns://c.example");
    assert_eq!(by("resolve d.example"), "denied by the answer never at the terminal: dns://d.example");
    for text in ["connect a.example:80", "connect b.example:80", "resolve b.example", "connect c.example:1"] {
        assert!(ask(&policy, text).is_unruled(), "{text}");
    }
    let wrong = PolicyBuilder::default().answers(&texts(&["tcp://a.example:0"]), &[]).build();
    let wrong = wrong.expect_err("no port").to_string();
    assert!(wrong.starts_with("the answer always at the terminal: rule is wrong"), "{wrong}");
}

#[test]
fn answers_in_cedar_tell_programs_apart() {
    let permit = "@id(\"tcp://a.example:443\") permit (principal == Program::\"/p\", \
                  action == Action::\"connect\", resource == Endpoint::\"tcp://a.example:443\");";
    let forbid = permit.replace("permit", "forbid").replace("443", "80");
    let policy = PolicyBuilder::default().answers_in_cedar(permit, &forbid).build().expect("a policy");
    let by = |text: &str| ask(&policy, text).to_string();
    assert_eq!(
        by("connect a.example:443 program=/p"),
        "allowed by the answer always at the terminal: tcp://a.example:443"
    );
    assert_eq!(
        by("connect a.example:80 program=/p"),
        "denied by the answer never at the terminal: tcp://a.example:80"
    );
    assert!(ask(&policy, "connect a.example:443 program=/q").is_unruled());
    assert_eq!(policy.counts(), (0, 0), "nobody has written them");
    let other = PolicyBuilder::default().answers_in_cedar("", permit).build();
    assert_ne!(policy.digest(), other.expect("a policy").digest());
    let many = permit.repeat(CEDAR_POLICIES_MAX + 1);
    let wrong = PolicyBuilder::default().answers_in_cedar(&many, "").build().expect_err("too many");
    assert!(wrong.to_string().contains("more than 1024 policies"), "{wrong}");
    assert!(PolicyBuilder::default().answers_in_cedar("permit", "").build().is_err());
}

#[test]
fn what_is_allowed_once_still_goes_to_no_address_that_a_rule_denies() {
    let policy = Policy::of_rules(&[], &["203.0.113.0/24".into()]).expect("a policy");
    let (pins, own) = (Pins::default(), HashSet::new());
    let proposal = Proposal::connect(Protocol::Tcp, name("a.example"), 443);
    let admit = |address: &str| {
        let address = address.parse().expect("an address");
        policy.admit(&proposal, address, Context::default(), (&pins, &own), true)
    };
    assert_eq!(admit("1.1.1.1"), Ok(()));
    assert!(matches!(admit("203.0.113.7"), Err(NotAdmitted::Denied { .. })));
    assert!(matches!(admit("10.0.0.5"), Err(NotAdmitted::Class { .. })));
    let denied =
        policy.admit(&proposal, "1.1.1.1".parse().expect("one"), Context::default(), (&pins, &own), false);
    assert!(denied.is_err(), "nobody has allowed it");
    let once = Decision::allowed_once("tcp://a.example:443");
    assert!(once.is_answered_once() && !once.is_unruled());
    assert_eq!(once.to_string(), "allowed by the answer once at the terminal: tcp://a.example:443");
}

#[test]
fn endpoints_that_are_named_together_are_found_by_hash() {
    let ports = |ports: std::ops::Range<u16>| {
        ports.map(|port| format!("Endpoint::\"udp://192.0.2.1:{port}\"")).collect::<Vec<_>>().join(", ")
    };
    let policy = cedar(&format!(
        "permit (principal, action == Action::\"connect\", resource) when {{ resource in [{}] }};\n\
         forbid (principal, action, resource) when {{ resource.port < 20 && resource in [{}] }};\n\
         permit (principal, action, resource) when {{ resource == Endpoint::\"tcp://a.example:1\" || resource in List::\"team\" }};",
        ports(1..3_001),
        ports(10..30),
    ));
    for (question, allowed) in [
        ("connect udp://192.0.2.1:1", true),
        ("connect udp://192.0.2.1:3000", true),
        ("connect udp://192.0.2.1:3001", false),
        ("connect tcp://192.0.2.1:1", false),
        ("connect udp://192.0.2.1:10", false),
        ("connect udp://192.0.2.1:20", true),
        ("connect udp://one.example:1 address=192.0.2.1", false),
        ("accept udp://192.0.2.1:1", false),
        ("connect a.example:1", true),
        ("connect api.example.com:443", true),
    ] {
        assert_eq!(ask(&policy, question).allowed, allowed, "{question}");
    }
    let question = Question::parse("connect udp://192.0.2.1:7").expect("a question");
    assert_eq!(policy.explain(&question).groups, [""; 0], "weft's own groups are not told of");
    // That a list should be called so is refused, as any that there is not.
    assert!(wrong("permit (principal, action, resource in List::\"one of 0\");")[0].contains("no list"));
}

#[test]
fn programs_without_a_whole_path_and_ids_that_are_there_twice_are_warned_of() {
    let policy = cedar(
        "@id(\"a\") permit (principal == Program::\"usr/bin/x\", action, resource);\n\
         @id(\"b\") permit (principal == Program::\"/usr/bin/x\", action, resource);\n\
         @id(\"a\") permit (principal, action == Action::\"ping\", resource);\n",
    );
    let told: Vec<String> = policy.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "p.cedar:1:31: no program has the path \"usr/bin/x\"\n  help: write the whole path, as in \
             Program::\"/usr/bin/curl\"",
            "p.cedar:3:1: the policy at p.cedar:1:1 has the id \"a\" too\n  help: give each an @id of its own: \
             what decides is told by it",
        ]
    );
}
