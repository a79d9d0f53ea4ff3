//! Rules files as they are read and written.

use filter::{Action, ERRORS_MAX, FILE_BYTES_MAX, ITEMS_MAX, LINE_BYTES_MAX, RULES_MAX, Ruleset, SETS_MAX};
use filter::{Hook, SET_NETWORKS_MAX};
use proptest::prelude::*;

/// Everything that rules can say, in the form in which it is written again.
const WHOLE: &str = "\
# who may administer
set office { 192.0.2.0/24, 2001:db8::/32, 198.51.100.7 }
set none { }
set feed file \"feed.txt\"

# what comes in
receive default drop
    accept state established, related
    drop state invalid  # no answer to anything
    # twice the same word
    drop from @feed
    accept tcp from @office to port 22
    accept tcp, udp from not 192.0.2.1, @office port 1024-65535 to 198.51.100.2 port 53, 853
    accept on lan, wan icmp type echo-request, destination-unreachable code 4 rate 5/second burst 10 per source
    reject on not wan tcp to port not 113
    reject with port udp
    count \"pings # not a comment\" icmpv6 type not packet-too-big, 200
    limit 5 mbytes/second burst 64 kbytes per destination protocol not 132
    limit 300/minute per program tcp flags syn/fin,syn,rst,ack
    drop protocol 47, tcp rate over 1 gbytes/hour
    drop tcp flags none/fin,syn,ack
    reject with host to ::1
    reject with prohibited
    count

forward default reject

send default accept
# the end
";

fn load(path: &str) -> Result<String, String> {
    match path {
        "feed.txt" => Ok("203.0.113.0/24\n\n  # nobody\n2001:db8:bad::/48 # a remark\n".to_owned()),
        _ => Err("there is no such file".to_owned()),
    }
}

#[test]
fn what_is_read_is_written_the_same() {
    let rules = Ruleset::parse_with(WHOLE, load).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(rules.to_string(), WHOLE);
    assert_eq!(Ruleset::parse_with(&rules.to_string(), load), Ok(rules.clone()));
    assert_eq!(rules.sets[2].networks.len(), 2);
    assert_eq!(rules.chain(Hook::Receive).rules[1].remark.as_deref(), Some("no answer to anything"));
    assert_eq!(rules.closing, ["the end"]);
}

#[test]
fn what_is_written_by_hand_is_put_in_order() {
    let text =
        "set a {\n 192.0.2.1 ,   # one\n 192.0.2.2 }\n  receive   default drop\n accept to @a tcp\n\n\n";
    let rules = Ruleset::parse(text).unwrap_or_else(|errors| panic!("{errors}"));
    let tidy = "set a { 192.0.2.1, 192.0.2.2 }\n\n# one\nreceive default drop\n    accept tcp to @a\n";
    assert_eq!(rules.to_string(), tidy);
}

#[test]
fn a_long_set_is_written_on_lines_that_can_be_read() {
    let networks: Vec<String> = (0..40).map(|number| format!("198.51.100.{number}")).collect();
    let text = format!("set long {{ {} }}", networks.join(", "));
    let rules = Ruleset::parse(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let written = rules.to_string();
    assert!(written.lines().count() > 5 && written.lines().all(|line| line.len() <= 100), "{written}");
    let read = Ruleset::parse(&written).unwrap_or_else(|errors| panic!("{errors}\n{written}"));
    assert_eq!(read.sets[0].networks, rules.sets[0].networks);
    assert_eq!(read.to_string(), written);
}

#[test]
fn every_slip_has_its_line_and_column() {
    for (text, at, says) in [
        ("accept tcp", (1, 1), "in front of the first rule"),
        ("receive drop", (1, 9), "expected default"),
        ("receive default allow", (1, 17), "accept, drop or reject"),
        ("receive default drop now", (1, 22), "end of the line"),
        ("send default drop\nsend default drop", (2, 1), "line 1 already"),
        ("send default drop\n alow tcp", (2, 2), "expected accept, drop"),
        ("send default drop\n accept tpc", (2, 9), "expected on, a protocol"),
        ("send default drop\n accept from 192.0.2.300", (2, 14), "address"),
        ("send default drop\n accept from 192.0.2.1/24", (2, 14), "behind the prefix"),
        ("send default drop\n accept from @nobody", (2, 14), "no set of this name"),
        ("send default drop\n accept to port 80", (2, 12), "tcp, udp or both"),
        ("send default drop\n accept icmp to port 80", (2, 17), "tcp, udp or both"),
        ("send default drop\n accept tcp to port 80-79", (2, 21), "lower one first"),
        ("send default drop\n accept tcp to port 65536", (2, 21), "65535"),
        ("send default drop\n accept tcp to port", (2, 20), "a port"),
        ("send default drop\n accept udp flags syn", (2, 13), "only TCP has flags"),
        ("send default drop\n accept tcp flags sin", (2, 19), "expected fin, syn"),
        ("send default drop\n accept tcp flags syn/ack", (2, 26), "among those that are looked at"),
        ("send default drop\n accept type echo-request", (2, 9), "icmp and icmpv6"),
        ("send default drop\n accept icmp type packet-too-big", (2, 19), "a type's name"),
        ("send default drop\n accept state old", (2, 15), "expected new"),
        ("send default drop\n accept state new, new", (2, 20), "said before"),
        ("send default drop\n accept tcp tcp", (2, 13), "said before"),
        ("send default drop\n accept to ::1 to ::2", (2, 16), "said before"),
        ("send default drop\n limit fast", (2, 8), "expected a rate"),
        ("send default drop\n limit 5/fortnight", (2, 8), "expected a rate"),
        ("send default drop\n limit 0/second", (2, 8), "at least 1"),
        ("send default drop\n limit 5 kbytes/second burst 7", (2, 31), "bytes, kbytes"),
        ("send default drop\n limit 5/second per user", (2, 21), "source, destination"),
        ("send default drop\n reject with nothing", (2, 14), "prohibited, port or host"),
        ("send default drop\n count \"open", (2, 13), "a quote that ends"),
        ("send default drop\nset a { }", (2, 5), "in front of the first hook"),
        ("set a { 192.0.2.1 192.0.2.2 }", (1, 19), "a comma"),
        ("set a { 192.0.2.1", (1, 1), "expected }"),
        ("set a { }\nset a { ::1 }", (2, 5), "stands above"),
        ("set a b", (1, 7), "{ and addresses, or file"),
        ("set ä { }", (1, 5), "the name of a set"),
        ("set a file \"gone\"", (1, 12), "there is no such file"),
    ] {
        let errors = Ruleset::parse_with(text, load).expect_err(text);
        let [error] = &errors.0[..] else { panic!("{text}: {errors}") };
        assert_eq!((error.line, error.column), at, "{text}: {error}");
        assert!(error.message.contains(says), "{text}: {error}");
    }
}

#[test]
fn a_wrong_line_of_a_sets_file_is_told_with_its_file() {
    let load = |_: &str| Ok("192.0.2.1\n192.0.2.1 192.0.2.2\nlocalhost\n".to_owned());
    let errors = Ruleset::parse_with("set a file \"list\"", load).expect_err("two lines are wrong");
    assert_eq!(
        errors.to_string(),
        "list:2:11: expected the end of the line\nlist:3:1: expected an IPv4 or IPv6 address"
    );
}

#[test]
fn one_slip_does_not_hide_the_next_and_many_are_enough() {
    let text = "set a { 192.0.2 }\nsend default maybe\n accept tcp to @b\n accept tcp to @a\n drop udp\n";
    let errors = Ruleset::parse(text).expect_err("three lines are wrong");
    assert_eq!(errors.0.iter().map(|error| error.line).collect::<Vec<_>>(), [1, 2, 3]);
    let errors = Ruleset::parse(&"nonsense\n".repeat(1_000)).expect_err("all is wrong");
    assert_eq!(errors.0.len(), ERRORS_MAX);
}

#[test]
fn every_bound_of_a_file_is_reached() {
    let wrong = |text: &str| Ruleset::parse(text).expect_err("it is too much").0[0].message.clone();
    let rules = |count: usize| "send default drop\n".to_owned() + &"drop\n".repeat(count);
    assert!(Ruleset::parse(&rules(RULES_MAX)).is_ok());
    assert!(wrong(&rules(RULES_MAX + 1)).contains("at most 65536 rules"));
    let sets = |count: usize| (0..count).map(|number| format!("set s{number} {{ }}\n")).collect::<String>();
    assert!(Ruleset::parse(&sets(SETS_MAX)).is_ok());
    assert!(wrong(&sets(SETS_MAX + 1)).contains("1024 sets"));
    let items = |count: usize| format!("send default drop\n drop to ::1{}", ", ::1".repeat(count - 1));
    assert!(Ruleset::parse(&items(ITEMS_MAX)).is_ok());
    assert!(wrong(&items(ITEMS_MAX + 1)).contains("at most 64"));
    let line = |length: usize| "#".repeat(length);
    assert!(Ruleset::parse(&line(LINE_BYTES_MAX)).is_ok());
    assert!(wrong(&line(LINE_BYTES_MAX + 1)).contains("at most 4096 bytes"));
    assert!(wrong(&"\n".repeat(FILE_BYTES_MAX + 1)).contains("longer than"));
    let full = "::1\n".repeat(SET_NETWORKS_MAX);
    assert!(Ruleset::parse_with("set a file \"f\"", |_| Ok(full.clone())).is_ok());
    let more = full.clone() + "::2";
    let errors = Ruleset::parse_with("set a file \"f\"", |_| Ok(more.clone())).expect_err("it is too much");
    assert!(errors.0[0].message.contains("at most 1000000"));
}

#[test]
fn a_negated_list_and_a_single_item_differ() {
    let rules =
        Ruleset::parse("send default drop\n drop to not ::1").unwrap_or_else(|errors| panic!("{errors}"));
    let rule = &rules.chain(Hook::Send).rules[0];
    assert!(rule.matches.destinations.negated && rule.action == Action::Drop);
}

/// Words of rules in any order, so that many lines are nearly right.
fn any_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        8 => proptest::sample::select(vec![
            "accept", "drop", "reject", "count", "limit", "with", "port", "tcp", "udp", "icmp", "icmpv6", "from", "to",
            "not", "on", "lan", "192.0.2.1", "::1/128", "@a", "80", "1-2", ",", "flags", "syn/syn,ack", "type",
            "echo-request", "code", "3", "state", "new", "rate", "over", "5/second", "2 kbytes/hour", "burst", "per",
            "source", "receive default drop\n", "send default accept\n", "set a {", "}", "protocol", "#", "\"x\"", "\n",
            "\n", "\n",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,4}",
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_and_written_again(text in any_text()) {
        match Ruleset::parse(&text) {
            Ok(rules) => {
                let written = rules.to_string();
                let read = Ruleset::parse(&written).map_err(|errors| TestCaseError::fail(format!("{errors}\n{written}")))?;
                prop_assert_eq!(read.to_string(), written);
                prop_assert_eq!(read.chains.map(|chain| chain.rules.len()), rules.chains.map(|chain| chain.rules.len()));
            }
            Err(errors) => {
                let lines = text.lines().count().max(1) as u32;
                for error in errors.0 {
                    prop_assert!((1..=lines).contains(&error.line) && error.column >= 1, "{}", error);
                }
            }
        }
    }
}
