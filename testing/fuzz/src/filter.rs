//! Rules files of any kind, and packets of any kind to a filter.
//!
//! ```text
//!  control  length      bytes                 control  length ...
//!  +--------+-----------+---------------------+--------+---
//!  | u8     | u16       | `length` bytes      | u8     |
//!  +--------+-----------+---------------------+--------+---
//!  bits 0 and 1: the hook · bit 2: the interface · bits 3 to 7: time passes first, 2^n milliseconds (0: none)
//! ```

use crate::input::Input;
use crate::repair::repair;
use ::filter::{Config, Filter, Hook, Packet, Ruleset, Sample, State, Verdict};
use time::{Duration, Instant};

/// Bytes of a packet at most.
const PACKET_MAX: usize = 2_000;
/// Connections that the filter under test knows at most.
const CONNECTIONS_MAX: usize = 16;
/// Addresses for which it counts rates at most.
const RATE_KEYS_MAX: usize = 8;

/// Rules that ask for everything that rules can ask.
const RULES: &str = "\
set near { 10.0.0.0/8, fd00::/8 }
receive default drop
    drop state invalid
    accept state established, related
    accept on lan tcp from @near to port 22, 80-89 flags syn/syn,ack rate 3/second per source
    limit 10 kbytes/second per destination udp
    accept udp to not 192.0.2.1 port not 53
    accept icmp type echo-request, 13
    accept icmpv6 type not 137
forward default reject
    count state new, untracked
    accept on not lan from not @near rate over 1/minute
send default accept
    reject with port tcp to port 25
";

/// Reads any text as a rules file; what can be read is written and read again, and packets are judged by it.
///
/// # Panics
///
/// Where reading panics, an error points outside of the text, or what is written is read as something else.
pub fn filter_rules(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    // A set's file is as hostile as the rules.
    let load = |path: &str| if path.is_empty() { Err("no name".to_owned()) } else { Ok(text.to_owned()) };
    let rules = match Ruleset::parse_with(text, load) {
        Ok(rules) => rules,
        Err(errors) => {
            let lines = text.lines().count().max(1);
            for error in &errors.0 {
                assert!(error.line as usize <= lines && error.column >= 1, "{error}");
            }
            return;
        }
    };
    let written = rules.to_string();
    let again = Ruleset::parse_with(&written, load).unwrap_or_else(|errors| panic!("{errors}\n{written}"));
    assert_eq!(again.to_string(), written);
    let interfaces: Vec<String> = rules.interfaces().into_iter().map(str::to_owned).collect();
    let interfaces: Vec<&str> = interfaces.iter().map(String::as_str).collect();
    let Ok(mut filter) = Filter::new(rules, &interfaces, Config::default(), &[7; 32]) else { return };
    for packet in
        ["tcp 10.0.0.1:7000 > 192.0.2.1:80 flags syn", "send udp [fd00::1]:53 > [::1]:53", "47 ::1 > ::2"]
    {
        let sample: Sample = packet.parse().expect("a packet");
        let packet = sample.packet().expect("it is well-formed");
        let judgement = filter.judge(sample.hook, 0, &packet, Instant::ZERO);
        assert!(judgement.rule.is_none_or(|rule| filter.rule(rule).is_some()));
    }
}

/// Gives a filter packets of any kind, on every hook.
///
/// # Panics
///
/// Where the filter panics, exceeds a bound, or lets pass what its rules do not.
pub fn filter_packets(data: &[u8]) {
    let rules = Ruleset::parse(RULES).expect("the rules can be read");
    let config =
        Config { connections_max: CONNECTIONS_MAX, rate_keys_max: RATE_KEYS_MAX, ..Config::default() };
    let mut filter = Filter::new(rules, &["lan", "wan"], config, &[7; 32]).expect("they can be obeyed");
    let mut now = Instant::from_secs(1);
    let mut input = Input::new(data);
    let mut judged = 0;
    while !input.is_empty() {
        let control = input.u8();
        let length = usize::from(input.u16()).min(PACKET_MAX);
        let mut bytes = input.take(length).to_vec();
        if control >> 3 != 0 {
            now += Duration::from_millis(1 << (control >> 3));
        }
        repair(&mut bytes);
        let Ok(packet) = Packet::parse(&bytes) else { continue };
        let hook = Hook::ALL[usize::from(control & 3) % Hook::ALL.len()];
        let before = filter.memory();
        let judgement = filter.judge(hook, u16::from(control >> 2 & 1), &packet, now);
        let after = filter.memory();
        judged += 1;
        assert!(after.connections <= CONNECTIONS_MAX && after.rate_keys <= RATE_KEYS_MAX);
        if hook == Hook::Receive && judgement.state == State::Invalid {
            assert_eq!(judgement.verdict, Verdict::Dropped);
        }
        if !judgement.verdict.passes() || judgement.state != State::New {
            assert!(after.connections <= before.connections, "only what opens and passes is remembered");
        }
    }
    let defaults = Hook::ALL.map(|hook| filter.default_counter(hook).packets);
    assert!(defaults.iter().sum::<u64>() <= judged);
    filter.handle_timeout(Instant::MAX);
    assert_eq!(filter.memory().connections, 0);
}
