//! The filter and the naive model, by random rules and random packets: the same verdict, by the same rule.

use super::model::Model;
use filter::{Config, Filter, Hook, Ruleset, Sample};
use proptest::prelude::*;
use proptest::sample::select;
use time::{Duration, Instant};

const SETS: &str =
    "set near { 192.0.2.0/30, 2001:db8::/127 }\nset far { 198.51.100.1, 198.51.100.2, 2001:db8::4 }\n";

/// Few of everything, so that rules, connections and rates meet.
fn address(v6: bool) -> impl Strategy<Value = &'static str> {
    select(match v6 {
        false => vec!["192.0.2.1", "192.0.2.2", "192.0.2.5", "198.51.100.1", "198.51.100.3"],
        true => vec!["2001:db8::1", "2001:db8::4", "2001:db8:1::1"],
    })
}

fn target() -> impl Strategy<Value = String> {
    let one = prop_oneof![
        4 => any::<bool>().prop_flat_map(address).prop_map(str::to_owned),
        2 => select(vec!["@near", "@far", "192.0.2.0/24", "198.51.100.0/31", "2001:db8::/32", "0.0.0.0/0", "::/0"])
            .prop_map(str::to_owned),
    ];
    (prop::bool::weighted(0.2), proptest::collection::vec(one, 1..3))
        .prop_map(|(not, items)| if not { format!("not {}", items.join(", ")) } else { items.join(", ") })
}

fn ports() -> impl Strategy<Value = String> {
    select(vec!["53", "80", "80", "7000", "53, 80", "1-79", "not 80", "60-90, 7000"]).prop_map(str::to_owned)
}

fn rate() -> impl Strategy<Value = String> {
    let rate = select(vec!["1/second", "3/minute", "2/hour", "300 bytes/second", "1 kbytes/minute"]);
    let per = select(vec!["", " per source", " per destination", " per program"]);
    (rate, select(vec![0, 0, 1, 4]), per).prop_map(|(rate, burst, per)| match burst {
        0 => format!("{rate}{per}"),
        burst if rate.contains("bytes") => format!("{rate} burst {} bytes{per}", burst * 200),
        burst => format!("{rate} burst {burst}{per}"),
    })
}

fn rule() -> impl Strategy<Value = String> {
    let action = prop_oneof![
        6 => select(vec!["accept", "accept", "drop", "reject", "reject with port", "count"]).prop_map(str::to_owned),
        1 => rate().prop_map(|rate| format!("limit {rate}")),
    ];
    let protocol =
        select(vec!["", "", "tcp", "udp", "tcp, udp", "icmp", "icmpv6", "protocol not tcp", "protocol 132"]);
    let details = (
        proptest::option::weighted(0.5, target()),
        proptest::option::weighted(0.5, target()),
        proptest::option::weighted(0.3, ports()),
        proptest::option::weighted(0.5, ports()),
        proptest::option::weighted(0.2, select(vec!["syn/syn,ack", "ack", "rst", "none/fin,rst"])),
        proptest::option::weighted(
            0.3,
            select(vec!["echo-request", "echo-reply, 13", "not echo-request", "3 code 1"]),
        ),
    );
    let state = select(vec![
        "",
        "",
        "new",
        "established",
        "established, related",
        "invalid, untracked",
        "new, invalid",
    ]);
    let on = select(vec!["", "", "", "on lan", "on not lan", "on lan, wan"]);
    let rate = proptest::option::weighted(0.15, (any::<bool>(), rate()));
    (action, protocol, details, state, on, rate).prop_map(
        |(action, protocol, (from, to, from_port, to_port, flags, types), state, on, rate)| {
            let has_ports = matches!(protocol, "tcp" | "udp" | "tcp, udp");
            let mut rule = format!("{action} {on} {protocol}");
            for (word, target, ports) in [("from", from, from_port), ("to", to, to_port)] {
                let ports = ports.filter(|_| has_ports).map(|ports| format!("port {ports}"));
                if target.is_some() || ports.is_some() {
                    rule += &format!(" {word} {} {}", target.unwrap_or_default(), ports.unwrap_or_default());
                }
            }
            if let Some(flags) = flags.filter(|_| protocol == "tcp") {
                rule += &format!(" flags {flags}");
            }
            if let Some(types) = types.filter(|_| protocol == "icmp") {
                rule += &format!(" type {types}");
            }
            if !state.is_empty() {
                rule += &format!(" state {state}");
            }
            if let Some((over, rate)) = rate {
                rule += &format!(" rate {}{rate}", if over { "over " } else { "" });
            }
            rule
        },
    )
}

fn rules() -> impl Strategy<Value = String> {
    let few_or_many = prop_oneof![Just(2_usize), Just(12)];
    let rules = || few_or_many.clone().prop_flat_map(|most| proptest::collection::vec(rule(), 0..most));
    let chain = || (select(vec!["accept", "accept", "accept", "drop", "reject"]), rules());
    [chain(), chain(), chain()].prop_map(|chains| {
        let mut text = SETS.to_owned();
        // Half of them look at states, whatever else they say.
        let looks = if chains[0].1.len() % 2 == 0 { "count state new" } else { "count" };
        for (hook, (default, rules)) in Hook::ALL.into_iter().zip(chains) {
            text += &format!("{} default {default}\n{looks}\n{}\n", hook.name(), rules.join("\n"));
        }
        text
    })
}

/// A packet, in parts: so that the next one can go back the same way.
#[derive(Clone, Debug)]
struct Parts {
    place: (&'static str, &'static str),
    protocol: &'static str,
    ends: [(&'static str, &'static str); 2],
    flags: &'static str,
    kind: &'static str,
    length: u32,
    program: u32,
    after_ms: u32,
}

impl Parts {
    fn text(&self) -> String {
        let Self { place: (hook, interface), protocol, ends, flags, kind, length, program, after_ms } = self;
        let [from, to] = ends.map(|(address, port)| match (*protocol, address.contains(':')) {
            ("tcp" | "udp", false) => format!("{address}:{port}"),
            ("tcp" | "udp", true) => format!("[{address}]:{port}"),
            _ => address.to_owned(),
        });
        let details = match *protocol {
            "tcp" => format!("flags {flags}"),
            "icmp" => format!("type {kind} id {program}"),
            _ => String::new(),
        };
        let about = format!("length {length} program {program} after {after_ms}");
        format!("{hook} on {interface} {protocol} {from} > {to} {details} {about}")
    }

    /// The same ends again, or the other way round.
    fn following(&self, before: &Self, reversed: bool) -> Self {
        let [from, to] = before.ends;
        let ends = if reversed { [to, from] } else { [from, to] };
        Self { ends, protocol: before.protocol, program: before.program, ..self.clone() }
    }
}

fn parts() -> impl Strategy<Value = Parts> {
    let flags = select(vec![
        "syn", "syn", "syn,ack", "ack", "ack", "psh,ack", "fin,ack", "rst", "rst,ack", "syn,fin", "psh",
    ]);
    let port = || select(vec!["53", "80", "7000", "7001"]);
    let protocol = select(vec!["tcp", "tcp", "tcp", "udp", "udp", "icmp", "132"]);
    let place = (select(vec!["receive", "receive", "send", "send", "forward"]), select(vec!["lan", "wan"]));
    let kind = select(vec!["echo-request", "echo-reply", "13", "14", "15", "3 code 1"]);
    let after_ms =
        select(vec![0_u32, 0, 1, 100, 999, 30_000, 59_999, 60_000, 119_999, 240_000, 299_999, 7_439_999]);
    let ends = any::<bool>().prop_flat_map(|v6| (address(v6), address(v6)));
    (place, protocol, ends, (port(), port()), (flags, kind), 0_u32..3, after_ms, 0_u32..3).prop_map(
        |(place, protocol, (from, to), ports, (flags, kind), length, after_ms, program)| {
            let protocol = if from.contains(':') && protocol == "icmp" { "udp" } else { protocol };
            let length = 60 + length * 200;
            Parts {
                place,
                protocol,
                ends: [(from, ports.0), (to, ports.1)],
                flags,
                kind,
                length,
                program,
                after_ms,
            }
        },
    )
}

/// The segments of a connection from SYN to SYN, and which side sends them.
const CONVERSATION: [(&str, bool); 9] = [
    ("syn", false),
    ("syn,ack", true),
    ("ack", false),
    ("psh,ack", true),
    ("fin,ack", false),
    ("fin,ack", true),
    ("ack", false),
    ("syn", false),
    ("syn,ack", true),
];

/// What comes next.
#[derive(Clone, Debug)]
enum Step {
    /// Any packet, which may go on with what the one before it was about.
    Packet(Parts, u32),
    /// A connection's segments, but for those whose bit is clear, and one that comes out of turn.
    Conversation(Parts, u16, Parts),
}

/// Packets of which most belong together.
fn packets() -> impl Strategy<Value = Vec<String>> {
    let mask = (any::<u16>(), any::<u16>()).prop_map(|(one, other)| one | other);
    let step = prop_oneof![
        5 => (parts(), 0_u32..10).prop_map(|(parts, how)| Step::Packet(parts, how)),
        1 => (parts(), mask, parts()).prop_map(|(parts, mask, other)| Step::Conversation(parts, mask, other)),
    ];
    proptest::collection::vec(step, 1..80).prop_map(|steps| {
        let mut packets: Vec<Parts> = Vec::new();
        for step in steps {
            match (step, packets.last()) {
                (Step::Packet(parts, how), Some(before)) if how < 7 => {
                    packets.push(parts.following(before, how < 4));
                }
                (Step::Packet(parts, _), _) => packets.push(parts),
                (Step::Conversation(parts, mask, other), _) => {
                    let opener = Parts { protocol: "tcp", ..parts };
                    let sent = CONVERSATION.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1);
                    packets.extend(sent.map(|(_, &(flags, back))| Parts {
                        flags,
                        after_ms: 1,
                        ..opener.following(&opener, back)
                    }));
                    packets.push(other.following(&opener, mask >> 9 & 1 == 1));
                }
            }
        }
        packets.iter().map(Parts::text).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_filter_agrees_with_the_model(text in rules(), packets in packets()) {
        let rules = Ruleset::parse(&text).map_err(|errors| TestCaseError::fail(format!("{errors}\n{text}")))?;
        let mut model = Model::new(&rules);
        let mut filter = Filter::new(rules, &["lan", "wan"], Config::default(), &[7; 32]).expect("it can be obeyed");
        let mut now = Instant::from_secs(1_000);
        let mut counted = [0; 3];
        for text in &packets {
            let sample: Sample = text.parse().map_err(|wrong| TestCaseError::fail(format!("{text}: {wrong}")))?;
            now += sample.after;
            let packet = sample.packet().expect("it is well-formed");
            let interface = sample.interface.as_deref().expect("one is named");
            let real = filter.judge(sample.hook, u16::from(interface == "wan"), &packet, now);
            let expected = model.judge(sample.hook, interface, &packet, now);
            prop_assert_eq!((real.verdict, real.rule.map(|rule| rule.number), real.state), expected, "{}", text);
            counted[sample.hook as usize] += 1;
        }
        // Every packet was decided once: by a rule that does, or by the default.
        for hook in Hook::ALL {
            let deciding = filter.rules().chain(hook).rules.iter().zip(filter.counters(hook)).map(|(rule, counter)| {
                match rule.action {
                    filter::Action::Count(_) => 0,
                    filter::Action::Limit(_) => counter.over,
                    _ => counter.packets,
                }
            });
            prop_assert_eq!(deciding.sum::<u64>() + filter.default_counter(hook).packets, counted[hook as usize]);
        }
    }
}

#[test]
fn rules_of_more_prefix_lengths_than_are_looked_up_keep_their_order() {
    for (network, address) in [("10.0.0.0", "10.0.0.1"), ("fd00::", "fd00::1")] {
        let mut text = String::from("receive default drop\n");
        let width = if network.contains(':') { 128 } else { 32 };
        for bits in (8..width).rev() {
            text += &format!(" count from {network}/{bits}\n count to {network}/{bits}\n");
        }
        let rules = Ruleset::parse(&text).unwrap_or_else(|errors| panic!("{errors}"));
        let mut filter = Filter::new(rules, &[], Config::default(), &[7; 32]).expect("it can be obeyed");
        let elsewhere = if width == 32 { "192.0.2.1" } else { "2001:db8::1" };
        let sample: Sample = format!("132 {address} > {elsewhere}").parse().expect("a packet");
        let packet = sample.packet().expect("it is well-formed");
        let _ = filter.judge(Hook::Receive, 0, &packet, Instant::ZERO);
        let counted: Vec<u64> =
            filter.counters(Hook::Receive).iter().map(|counter| counter.packets).collect();
        // The sender is in every one of the networks, the receiver in none.
        let expected: Vec<u64> = (8..width).rev().flat_map(|_| [1, 0]).collect();
        assert_eq!(counted, expected, "{network}");
    }
}

#[test]
fn ten_thousand_rules_of_one_address_each_keep_their_order() {
    let mut text = String::from("receive default drop\n");
    for number in 0..10_000_u32 {
        let [_, _, high, low] = number.to_be_bytes();
        let action = if number % 3 == 0 { "drop" } else { "accept" };
        text += &format!(" {action} from 10.0.{high}.{low}\n");
        if number % 1_000 == 0 {
            text += &format!(" drop udp from 10.0.{high}.0/24 to port 9\n count\n");
        }
    }
    let rules = Ruleset::parse(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let mut model = Model::new(&rules);
    let mut filter = Filter::new(rules, &[], Config::default(), &[7; 32]).expect("it can be obeyed");
    let mut now = Instant::from_secs(1);
    for number in (0..10_100_u32).step_by(101) {
        let [_, _, high, low] = number.to_be_bytes();
        now += Duration::from_millis(1);
        for port in [9, 10] {
            let sample: Sample =
                format!("udp 10.0.{high}.{low}:1 > 192.0.2.1:{port}").parse().expect("a packet");
            let packet = sample.packet().expect("it is well-formed");
            let real = filter.judge(Hook::Receive, 0, &packet, now);
            let (verdict, rule, _) = model.judge(Hook::Receive, "lan", &packet, now);
            assert_eq!((real.verdict, real.rule.map(|rule| rule.number)), (verdict, rule));
        }
    }
}
