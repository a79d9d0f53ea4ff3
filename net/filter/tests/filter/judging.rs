//! What becomes of packets, clause by clause.

use super::Bench;
use filter::{Answer, Config, Filter, FilterError, Hook, INTERFACES_MAX, RuleId, Ruleset, State, Verdict};

const SSH: &str = "tcp 192.0.2.1:7000 > 198.51.100.2:22 flags syn";

#[test]
fn the_first_rule_that_decides_is_the_one() {
    let mut bench =
        Bench::new("receive default drop\n count\n accept tcp\n drop tcp to port 22\n accept udp");
    let judgement = bench.judge(SSH);
    assert_eq!(judgement.rule, Some(RuleId { hook: Hook::Receive, number: 1 }));
    assert!(judgement.verdict.passes());
    assert_eq!(bench.verdict("icmp 192.0.2.1 > 192.0.2.2"), Verdict::Dropped);
    assert_eq!(bench.counted(Hook::Receive), [2, 1, 0, 0]);
    assert_eq!(bench.filter.default_counter(Hook::Receive).packets, 1);
}

#[test]
fn a_hook_that_is_not_written_accepts_and_each_has_its_own_rules() {
    let mut bench = Bench::new("receive default drop\nsend default reject\n accept udp");
    assert_eq!(bench.verdict(SSH), Verdict::Dropped);
    assert_eq!(bench.verdict(&format!("forward {SSH}")), Verdict::Accepted);
    assert_eq!(bench.verdict(&format!("send {SSH}")), Verdict::Rejected(Answer::Fitting));
    assert!(bench.passes("send udp 192.0.2.1:1 > 192.0.2.2:2"));
}

#[test]
fn each_clause_matches_what_it_says_and_nothing_else() {
    for (clause, packet, matches) in [
        ("on wan", "on wan 132 192.0.2.1 > 192.0.2.2", true),
        ("on wan", "on lan 132 192.0.2.1 > 192.0.2.2", false),
        ("on not wan", "on lan 132 192.0.2.1 > 192.0.2.2", true),
        ("tcp", SSH, true),
        ("udp", SSH, false),
        ("protocol not udp", SSH, true),
        ("protocol 132", "132 192.0.2.1 > 192.0.2.2", true),
        ("from 192.0.2.0/25", SSH, true),
        ("from not 192.0.2.0/25", SSH, false),
        ("from 198.51.100.2", SSH, false),
        ("to 198.51.100.2", SSH, true),
        ("to @far", SSH, true),
        ("from @far", SSH, false),
        ("to not 192.0.2.1, @far", SSH, false),
        ("tcp from port 7000", SSH, true),
        ("tcp from port 22", SSH, false),
        ("tcp to port 80, 20-25", SSH, true),
        ("tcp to port not 20-25", SSH, false),
        ("tcp, udp to port 22", "udp 192.0.2.1:1 > 192.0.2.2:22", true),
        ("tcp to port 22", "udp 192.0.2.1:1 > 192.0.2.2:22", false),
        ("tcp flags syn", "tcp 192.0.2.1:1 > 192.0.2.2:2 flags syn,ack", true),
        ("tcp flags syn/syn,ack", "tcp 192.0.2.1:1 > 192.0.2.2:2 flags syn,ack", false),
        ("tcp flags none/fin,syn", "tcp 192.0.2.1:1 > 192.0.2.2:2 flags ack", true),
        ("icmp type echo-request", "icmp 192.0.2.1 > 192.0.2.2 type echo-request", true),
        ("icmp type echo-request", "icmp 192.0.2.1 > 192.0.2.2 type echo-reply", false),
        ("icmp type not echo-request", "icmp 192.0.2.1 > 192.0.2.2 type redirect", true),
        ("icmp type 3 code 4", "icmp 192.0.2.1 > 192.0.2.2 type 3 code 4", true),
        ("icmp type 3 code 4", "icmp 192.0.2.1 > 192.0.2.2 type 3 code 1", false),
        ("icmpv6 type packet-too-big", "icmpv6 ::1 > ::2 type 2", true),
        ("icmp type 2", "icmpv6 ::1 > ::2 type 2", false),
        ("from 192.0.2.1 to 198.51.100.2", SSH, true),
        ("from 192.0.2.1 to 198.51.100.3", SSH, false),
    ] {
        let rules = format!("set far {{ 198.51.100.0/24 }}\nreceive default drop\n accept {clause}");
        assert_eq!(Bench::new(&rules).passes(packet), matches, "{clause}: {packet}");
    }
}

#[test]
fn a_later_fragment_has_no_ports_and_no_connection() {
    let header = wire::ipv4::Header {
        traffic_class: 0,
        total_length: 28,
        identification: 1,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 8,
        ttl: 64,
        protocol: wire::Protocol::UDP,
        source: [192, 0, 2, 1].into(),
        destination: [198, 51, 100, 2].into(),
    };
    let mut bytes = [0; 28];
    header.emit(&mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut bench =
        Bench::new("receive default drop\n drop udp to port 0-65535\n accept udp state untracked");
    let judgement = bench.judge(&format!("hex {hex}"));
    assert_eq!((judgement.state, judgement.verdict), (State::Untracked, Verdict::Accepted));
}

#[test]
fn rejecting_says_how() {
    for (rule, answer) in [
        ("reject", Answer::Fitting),
        ("reject with port", Answer::Port),
        ("reject with host", Answer::Host),
        ("reject with prohibited", Answer::Prohibited),
    ] {
        let mut bench = Bench::new(&format!("receive default accept\n {rule} tcp"));
        assert_eq!(bench.verdict(SSH), Verdict::Rejected(answer));
    }
}

#[test]
fn a_limit_passes_the_rate_on_and_drops_the_rest() {
    let mut bench =
        Bench::new("receive default drop\n limit 2/second per source tcp\n accept tcp\n accept udp");
    let verdicts = [SSH; 4].map(|packet| bench.verdict(packet));
    assert_eq!(verdicts, [Verdict::Accepted, Verdict::Accepted, Verdict::Limited, Verdict::Limited]);
    assert!(bench.passes(&SSH.replace("192.0.2.1", "192.0.2.9")), "another source has its own");
    assert!(bench.passes(&format!("{SSH} after 500")) && !bench.passes(SSH));
    let counter = bench.filter.counters(Hook::Receive)[0];
    assert_eq!((counter.packets, counter.over), (7, 3));
    assert!(bench.passes("udp 192.0.2.1:1 > 192.0.2.2:2"), "it is none of the rule's");
}

#[test]
fn a_rate_is_counted_for_whom_the_rule_says() {
    let other_source = SSH.replace("192.0.2.1", "192.0.2.9");
    let other_destination = SSH.replace("198.51.100.2", "198.51.100.9");
    let other_program = format!("{SSH} program 2");
    for (per, apart) in [
        ("", [false, false, false]),
        ("per source", [true, false, false]),
        ("per destination", [false, true, false]),
        ("per program", [false, false, true]),
    ] {
        let rules = format!("receive default drop\n accept rate 1/minute {per}");
        for (other, is_apart) in [&other_source, &other_destination, &other_program].into_iter().zip(apart) {
            let mut bench = Bench::new(&rules);
            assert!(bench.passes(&format!("{SSH} program 1")));
            let other = if per == "per program" { other.clone() } else { other.replace(" program 2", "") };
            let other = if other.contains("program") { other } else { format!("{other} program 1") };
            assert_eq!(bench.passes(&other), is_apart, "{per}: {other}");
        }
    }
}

#[test]
fn over_a_rate_is_what_is_not_within() {
    let mut bench = Bench::new("receive default accept\n drop udp rate over 3 kbytes/second burst 3 kbytes");
    let packet = "udp 192.0.2.1:1 > 192.0.2.2:2 length 1000";
    assert_eq!([packet; 5].map(|packet| bench.passes(packet)), [true, true, true, false, false]);
    assert!(bench.passes(&format!("{packet} after 334")));
}

#[test]
fn a_rate_is_asked_only_of_what_matches_else() {
    let mut bench = Bench::new("receive default drop\n accept tcp to port 22 rate 1/minute");
    assert!(!bench.passes("tcp 192.0.2.1:1 > 192.0.2.2:23 flags syn"));
    assert!(bench.passes(SSH), "the packet before cost nothing");
}

#[test]
fn other_rules_take_the_place_of_the_old_ones_and_connections_stay() {
    let mut bench = Bench::new("receive default drop\n accept state established\nsend default accept");
    assert!(bench.passes("send tcp 198.51.100.2:7000 > 192.0.2.1:80 flags syn"));
    let answer = "tcp 192.0.2.1:80 > 198.51.100.2:7000 flags syn,ack";
    let stricter =
        Ruleset::parse("receive default drop\n accept tcp state established\nsend default drop").unwrap();
    bench.filter.replace(stricter, &["lan"]).expect("it names no interface");
    assert!(bench.passes(answer));
    assert_eq!(bench.counted(Hook::Receive), [1], "counters begin anew");
    let broken = Ruleset::parse("receive default accept\n drop on dmz").unwrap();
    let refused = bench.filter.replace(broken, &["lan"]).unwrap_err();
    assert_eq!(refused.to_string(), "line 2: there is no interface dmz");
    assert!(bench.passes(answer) && !bench.passes(SSH), "everything is as it was");
}

#[test]
fn a_filter_that_cannot_be_is_refused() {
    let names: Vec<String> = (0..=INTERFACES_MAX).map(|number| format!("if{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = |config| Filter::new(Ruleset::default(), &names, config, &[7; 32]).unwrap_err();
    assert_eq!(all(Config::default()), FilterError::TooManyInterfaces);
    let none = Config { connections_max: 0, ..Config::default() };
    assert_eq!(all(none), FilterError::Bound { which: "connections_max" });
    let many = Config { rate_keys_max: filter::ENTRIES_MAX + 1, ..Config::default() };
    assert_eq!(all(many), FilterError::Bound { which: "rate_keys_max" });
    // The last one that can be told apart is.
    let rules = Ruleset::parse("receive default drop\n accept on if63").unwrap();
    let mut filter = Filter::new(rules, &names[..INTERFACES_MAX], Config::default(), &[7; 32]).unwrap();
    let sample: filter::Sample = SSH.parse().unwrap();
    let packet = sample.packet().unwrap();
    let mut on =
        |interface| filter.judge(Hook::Receive, interface, &packet, time::Instant::ZERO).verdict.passes();
    assert_eq!([63, 62, 64, u16::MAX].map(&mut on), [true, false, false, false]);
}
