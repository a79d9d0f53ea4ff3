//! Rules, and what they decide.

use super::*;
use crate::domain::DomainName;
use proptest::prelude::*;
use std::net::IpAddr;

fn rules(allow: &[&str], deny: &[&str]) -> Rules {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    Rules::parse(&owned(allow), &owned(deny)).expect("rules")
}

fn name(text: &str) -> DomainName {
    text.parse().expect(text)
}

fn address(text: &str) -> IpAddr {
    text.parse().expect(text)
}

#[test]
fn rules_are_read_as_they_are_written() {
    for (text, protocol, ports) in [
        ("example.com", None, None),
        ("TCP://Example.com.:443", Some(Protocol::Tcp), Some((443, 443))),
        ("udp://*.example.com:1-65535", Some(Protocol::Udp), Some((1, 65535))),
        ("icmp://192.0.2.1", Some(Protocol::Icmp), None),
        ("10.0.0.0/8:22", None, Some((22, 22))),
        ("[fd00::]/8:443", None, Some((443, 443))),
        ("[fd00::/8]:443", None, Some((443, 443))),
        ("[::1]", None, None),
        ("fd00::/8", None, None),
        ("[1:2:3:4:5:6:7:8]", None, None),
        ("0.0.0.0/0", None, None),
        ("_sip._udp.example.com", None, None),
        ("bücher.example:443", None, Some((443, 443))),
    ] {
        let rule: Rule = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(rule.protocol(), protocol, "{text}");
        assert_eq!(rule.ports().map(|ports| (ports.first, ports.last)), ports, "{text}");
    }
    let same: [Rule; 2] = ["[fd00::]/8".parse().expect("one"), "[fd00::/8]".parse().expect("other")];
    assert_eq!(same[0].target(), same[1].target());
    let mapped: Rule = "[::ffff:10.0.0.0]/104".parse().expect("mapped");
    assert_eq!(mapped.target(), &Target::Network(Network::new(address("10.0.0.0"), 8).expect("network")));
}

#[test]
fn a_wrong_rule_names_its_column() {
    for (text, column, expected) in [
        ("", 1, "a name"),
        (":443", 1, "a name"),
        ("tcp://", 7, "a name"),
        ("https://example.com", 1, "tcp://"),
        ("tcp:/example.com", 5, "a port"),
        ("example.com/", 12, "'/' only after an address"),
        ("exa mple.com", 4, "no space"),
        ("example.com ", 12, "no space"),
        ("exam\u{0}ple.com", 5, "a letter"),
        ("user@example.com", 5, "a letter"),
        ("a..b", 3, "a label"),
        (".example.com", 1, "a label"),
        (".", 1, "a label"),
        ("*", 2, "*.name"),
        ("*.", 2, "*.name"),
        ("*example.com", 2, "*.name"),
        ("a.*.com", 3, "no star"),
        ("*.*.com", 3, "no star"),
        ("*..com", 3, "a label"),
        ("*.1.2.3.4", 9, "a last label"),
        ("example.com:", 13, "a port"),
        ("example.com:0", 13, "a port"),
        ("example.com:080", 13, "a port"),
        ("example.com:+80", 13, "a port"),
        ("example.com:65536", 13, "a port"),
        ("example.com:80-", 16, "a port"),
        ("example.com:80-79", 16, "not below 80"),
        ("example.com:80-90-99", 16, "a port"),
        ("example.com:http", 13, "a port"),
        ("icmp://example.com:7", 19, "no ports"),
        ("1.2.3", 6, "four numbers"),
        ("1.2.3.4.5", 9, "four numbers"),
        ("1.2.3.256", 7, "0 to 255"),
        ("1.02.3.4", 3, "leading zeros"),
        ("1..3.4", 3, "0 to 255"),
        ("0x7f.1", 6, "a last label"),
        ("10.0.0.1/8", 1, "10.0.0.0/8"),
        ("10.0.0.0/33", 10, "0 to 32"),
        ("10.0.0.0/08", 10, "0 to 32"),
        ("10.0.0.0/", 10, "0 to 32"),
        ("10.0.0.0/8/8", 10, "0 to 32"),
        ("/8", 1, "'/' only"),
        ("[fd00::1]443", 10, "':'"),
        ("[fd00::1", 9, "']'"),
        ("[fd00::1]:0", 11, "a port"),
        ("[fd00::1]/8", 2, "fd00::/8"),
        ("[fd00::1/8]", 2, "fd00::/8"),
        ("[fd00::/8]/8", 11, "':'"),
        ("[fd00::]/129", 10, "0 to 128"),
        ("[10.0.0.1]", 2, "IPv6"),
        ("[fe80::1%eth0]", 9, "no zone"),
        ("[]", 2, "IPv6"),
        ("a:b:c", 1, "IPv6"),
        ("bü cher.example", 3, "no space"),
        ("bücher..example", 2, "a label"),
        ("bücher.example:0", 16, "a port"),
    ] {
        let error = text.parse::<Rule>().expect_err(text);
        assert_eq!(error.column, column, "{error}");
        assert!(error.message.contains(expected), "{error}");
    }
    let long = format!("{}:443", "a".repeat(RULE_BYTES_MAX));
    assert_eq!(long.parse::<Rule>().expect_err("too long").column, RULE_BYTES_MAX + 1);
}

#[test]
fn a_path_of_a_unix_socket_is_written_in_one_way() {
    for (text, column, expected) in [
        ("unix:", 6, "an absolute path"),
        ("unix:run/a.sock", 6, "an absolute path"),
        ("unix://run/a.sock", 7, "no '//'"),
        ("unix:/run/../a.sock", 11, "no '//', '.' or '..'"),
        ("unix:/run/./a.sock", 11, "no '//', '.' or '..'"),
        ("unix:/run//", 11, "no '//'"),
        ("unix:/run/a\u{1}", 12, "no control"),
        ("unix:/run/a b", 12, "no space"),
    ] {
        let error = text.parse::<Rule>().expect_err(text);
        assert_eq!(error.column, column, "{error}");
        assert!(error.message.contains(expected), "{error}");
    }
    let long = format!("unix:/{}", "a".repeat(UNIX_PATH_BYTES_MAX));
    assert_eq!(long.parse::<Rule>().expect_err("too long").column, "unix:".len() + UNIX_PATH_BYTES_MAX + 1);
    assert!(long[..long.len() - 1].parse::<Rule>().is_ok());
    assert!("unix:/run/".parse::<Rule>().is_ok() && "unix:/".parse::<Rule>().is_ok());
}

#[test]
fn a_directory_of_unix_sockets_is_all_below_it() {
    let rules = rules(&["unix:/run/", "unix:/tmp/.X11-unix/X0"], &["unix:/run/docker/"]);
    let decide = |path: &str| rules.decide_unix(path);
    assert_eq!(decide("/run/a/b.sock"), Decision { allowed: true, by: Some("unix:/run/".into()) });
    assert_eq!(decide("/run/docker/b"), Decision { allowed: false, by: Some("unix:/run/docker/".into()) });
    assert!(!decide("/running").allowed && !decide("/tmp/.X11-unix/X01").allowed && !decide("/run").allowed);
}

#[test]
fn an_ipv6_address_needs_brackets_whose_place_is_shown() {
    for (text, column, expected) in [
        ("fd00::1:443", 1, "brackets: [fd00::1:443], or [fd00::1]:443"),
        ("fd00::1:abcd", 1, "brackets: [fd00::1:abcd]"),
        ("::1", 1, "brackets: [::1]"),
        ("::1:80", 1, "brackets: [::1:80], or [::1]:80"),
        ("tcp://fd00::1:443", 7, "brackets"),
        ("fd00::/8:443", 1, "brackets"),
        ("fd00::1]:443", 1, "brackets"),
    ] {
        let error = text.parse::<Rule>().expect_err(text);
        assert_eq!(error.column, column, "{error}");
        assert!(error.message.contains(expected), "{error}");
    }
}

#[test]
fn an_error_shows_the_rule_with_a_caret_below_the_letter() {
    let error = "tcp://exa\u{1b}mple.com".parse::<Rule>().expect_err("a control character");
    assert_eq!(
        error.to_string(),
        "rule is wrong at column 10: expected a letter, digit, hyphen, underscore or dot of a name\n  \
         tcp://exa\u{fffd}mple.com\n           ^"
    );
}

#[test]
fn names_match_exactly_and_stars_match_below() {
    let rules = rules(&["example.com:443", "*.example.org", "udp://quic.example:443"], &["bad.example.org"]);
    let decide = |host: &str, port| rules.decide_name(Protocol::Tcp, &name(host), port);
    assert_eq!(decide("example.com", 443), Decision { allowed: true, by: Some("example.com:443".into()) });
    assert_eq!(decide("EXAMPLE.com.", 443).by.as_deref(), Some("example.com:443"));
    assert_eq!(decide("example.com", 80), Decision { allowed: false, by: None });
    assert!(!decide("www.example.com", 443).allowed && !decide("notexample.com", 443).allowed);
    assert!(decide("a.example.org", 22).allowed && decide("a.b.c.example.org", 22).allowed);
    assert!(!decide("example.org", 22).allowed && !decide("aexample.org", 22).allowed);
    assert_eq!(
        decide("bad.example.org", 22),
        Decision { allowed: false, by: Some("bad.example.org".into()) }
    );
    assert!(decide("x.bad.example.org", 22).allowed, "a deny rule for a name is for that name");
    assert!(!decide("quic.example", 443).allowed);
    assert!(rules.decide_name(Protocol::Udp, &name("quic.example"), 443).allowed);
}

#[test]
fn a_rule_with_a_port_does_not_speak_of_icmp() {
    let rules = rules(&["example.com:443", "example.org", "icmp://192.0.2.1"], &[]);
    assert!(!rules.decide_name(Protocol::Icmp, &name("example.com"), 0).allowed);
    assert!(rules.decide_name(Protocol::Icmp, &name("example.org"), 0).allowed);
    assert!(rules.decide_address(Protocol::Icmp, address("192.0.2.1"), 0).allowed);
    assert!(!rules.decide_address(Protocol::Tcp, address("192.0.2.1"), 7).allowed);
}

#[test]
fn addresses_match_in_every_form() {
    let rules = rules(
        &["0.0.0.0/0:443", "[::]/0:443", "10.1.2.3:22", "[64:ff9b::]/96"],
        &["10.0.0.0/8:1-1023", "[fd00::/8]"],
    );
    let decide = |text: &str, port| rules.decide_address(Protocol::Tcp, address(text), port);
    assert!(decide("1.1.1.1", 443).allowed && decide("::ffff:1.1.1.1", 443).allowed);
    assert!(!decide("10.1.2.3", 22).allowed, "deny wins over a more specific allow");
    assert_eq!(decide("::ffff:10.9.9.9", 443).by.as_deref(), Some("10.0.0.0/8:1-1023"));
    assert_eq!(decide("64:ff9b::10.9.9.9", 443).by.as_deref(), Some("10.0.0.0/8:1-1023"));
    assert!(decide("64:ff9b::1.1.1.1", 443).allowed);
    assert!(!decide("fd12::1", 443).allowed && decide("2606:4700::1", 443).allowed);
    let wide = super::Rules::parse(&["[::]/0".into()], &[]).expect("rules");
    assert!(!wide.decide_address(Protocol::Tcp, address("::ffff:10.0.0.1"), 443).allowed, "that is IPv4");
}

#[test]
fn a_unix_socket_is_reached_by_its_own_rule_alone() {
    let rules = rules(
        &["unix:/run/a.sock", "unix:/run/b.sock", "0.0.0.0/0", "[::]/0", "*.example"],
        &["unix:/run/b.sock", "unix:/run/c.sock"],
    );
    let decide = |path: &str| rules.decide_unix(path);
    assert_eq!(decide("/run/a.sock"), Decision { allowed: true, by: Some("unix:/run/a.sock".into()) });
    assert_eq!(decide("/run/b.sock"), Decision { allowed: false, by: Some("unix:/run/b.sock".into()) });
    assert_eq!(decide("/run/a.sock.other"), Decision { allowed: false, by: None });
    assert_eq!(rules.unix_paths().collect::<Vec<_>>(), ["/run/a.sock"]);
    assert!(!rules.decide_name(Protocol::Tcp, &name("run"), 1).allowed);
}

#[test]
fn a_name_is_resolved_where_something_of_it_is_left() {
    let rules = rules(
        &["a.example:443", "*.example.org", "b.example:80-90", "c.example"],
        &["*.bad.example.org", "tcp://a.example:443", "udp://b.example", "tcp://b.example:1-89", "c.example"],
    );
    assert!(rules.may_resolve(&name("a.example")).allowed, "UDP is left");
    assert!(rules.may_resolve(&name("b.example")).allowed, "TCP port 90 is left");
    assert!(rules.may_resolve(&name("x.example.org")).allowed);
    assert_eq!(
        rules.may_resolve(&name("x.bad.example.org")),
        Decision { allowed: false, by: Some("*.bad.example.org".into()) }
    );
    assert_eq!(rules.may_resolve(&name("c.example")).by.as_deref(), Some("c.example"));
    assert_eq!(rules.may_resolve(&name("other.example")), Decision { allowed: false, by: None });
}

#[test]
fn the_hint_is_a_rule_that_allows_what_was_refused() {
    for (protocol, host, port) in [
        (Protocol::Tcp, Host::from(name("example.com")), 443),
        (Protocol::Udp, Host::from(address("fd00::1")), 53),
        (Protocol::Icmp, Host::from(address("192.0.2.1")), 0),
    ] {
        let flag = hint(protocol, host.clone(), port);
        let rules = rules(&[flag.strip_prefix("--allow ").expect("an allow flag")], &[]);
        let decision = match &host {
            Host::Name(name) => rules.decide_name(protocol, name, port),
            Host::Address(address) => rules.decide_address(protocol, *address, port),
        };
        assert!(decision.allowed, "{flag}");
    }
}

/// Whether a rule speaks of a connection, read off its parts one by one: the plain meaning that the tables implement.
fn matches(rule: &Rule, protocol: Protocol, host: &Host, port: u16) -> bool {
    let target = match (rule.target(), host) {
        (Target::Name(wanted), Host::Name(name)) => wanted == name,
        (Target::Below(above), Host::Name(name)) => name.as_str().ends_with(&format!(".{above}")),
        (Target::Network(network), Host::Address(address)) => network.contains(*address),
        (Target::Unix(_), _) => false,
        _ => false,
    };
    let ports = match rule.ports() {
        None => true,
        Some(ports) => protocol != Protocol::Icmp && (ports.first..=ports.last).contains(&port),
    };
    target && ports && rule.protocol().is_none_or(|only| only == protocol)
}

fn any_rule() -> impl Strategy<Value = String> {
    let target = prop_oneof![
        "(\\*\\.)?([ab]\\.){0,2}[ab]",
        (any::<u8>(), 0u8..=8).prop_map(|(low, bits)| {
            let low = u16::from(low) & (0xff00u16 >> bits);
            format!("10.0.0.{}/{}", low & 0xff, 24 + bits)
        }),
        (0u16..4).prop_map(|low| format!("[fd00::{low:x}]")),
        (0u8..=8).prop_map(|bits| format!("[fd00::]/{}", 120 + bits)),
    ];
    let ports = prop_oneof![
        Just(String::new()),
        (1u16..10).prop_map(|port| format!(":{port}")),
        (1u16..10, 0u16..4).prop_map(|(first, more)| format!(":{first}-{}", first + more)),
    ];
    (prop_oneof![Just(""), Just("tcp://"), Just("udp://")], target, ports)
        .prop_map(|(scheme, target, ports)| format!("{scheme}{target}{ports}"))
}

fn any_host() -> impl Strategy<Value = Host> {
    prop_oneof![
        "([ab]\\.){0,3}[ab]".prop_map(|text| Host::Name(name(&text))),
        any::<u8>().prop_map(|low| Host::from(address(&format!("10.0.0.{low}")))),
        any::<u8>().prop_map(|low| Host::from(address(&format!("::ffff:10.0.0.{low}")))),
        (0u16..260).prop_map(|low| Host::from(address(&format!("fd00::{low:x}")))),
    ]
}

proptest! {
    #[test]
    fn tables_decide_as_the_plain_reading_does(
        allow in proptest::collection::vec(any_rule(), 0..20),
        deny in proptest::collection::vec(any_rule(), 0..6),
        asked in proptest::collection::vec((any_host(), 0usize..3, 0u16..14), 1..30),
    ) {
        let rules = Rules::parse(&allow, &deny).expect("generated rules are rules");
        for (host, protocol, port) in asked {
            let protocol = Protocol::ALL[protocol];
            let decide = |protocol, port| match &host {
                Host::Name(name) => rules.decide_name(protocol, name, port),
                Host::Address(address) => rules.decide_address(protocol, *address, port),
            };
            let decision = decide(protocol, port);
            let said = |list: &[Rule]| list.iter().any(|rule| matches(rule, protocol, &host, port));
            let (allowed, denied) = (said(rules.allow()), said(rules.deny()));
            prop_assert_eq!(decision.allowed, allowed && !denied);
            prop_assert_eq!(decision.by.is_some(), allowed || denied);
            if let Some(by) = decision.by {
                let list = if denied { rules.deny() } else { rules.allow() };
                let named = list.iter().any(|rule| *rule.text() == by && matches(rule, protocol, &host, port));
                prop_assert!(named, "the rule that is named speaks of it");
            }
            let any_left = Protocol::ALL.into_iter().any(|protocol| (0..20).any(|port| decide(protocol, port).allowed));
            let resolvable = match &host {
                Host::Name(name) => rules.may_resolve(name),
                Host::Address(address) => rules.may_reach(*address),
            };
            prop_assert_eq!(resolvable.allowed, any_left);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic_and_columns_stay_within_it(text in "\\PC{0,40}|[a-f0-9:.\\[\\]/*%-]{0,40}") {
        match text.parse::<Rule>() {
            Ok(rule) => prop_assert_eq!(&**rule.text(), text.as_str()),
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.column)),
        }
    }
}

#[test]
fn a_rule_about_questions_opens_nothing_else() {
    let rules = rules(
        &["dns://a.example", "dns://192.0.2.0/24", "b.example:80"],
        &["dns://b.example", "tcp://a.example"],
    );
    let name = |text: &str| DomainName::parse(text).expect("a name");
    assert!(rules.may_resolve(&name("a.example")).allowed);
    assert!(rules.may_reach("192.0.2.7".parse().expect("an address")).allowed);
    for protocol in Protocol::ALL {
        assert!(!rules.decide_name(protocol, &name("a.example"), 80).allowed);
        assert!(!rules.decide_address(protocol, "192.0.2.7".parse().expect("an address"), 80).allowed);
    }
    // What may not be asked for may be connected to all the same, by whoever knows where it is.
    assert!(!rules.may_resolve(&name("b.example")).allowed);
    assert!(rules.decide_name(Protocol::Tcp, &name("b.example"), 80).allowed);
    let all = Rules::parse(&["dns://a.example".into()], &["a.example".into()]).expect("rules");
    assert_eq!(all.may_resolve(&name("a.example")).to_string(), "denied by --deny a.example");
    for (text, column) in [("dns://a.example:53", 16), ("dnss://a.example", 1), ("dns://", 7)] {
        assert_eq!(text.parse::<Rule>().expect_err(text).column, column, "{text}");
    }
}
