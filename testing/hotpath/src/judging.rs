//! What the packet filter costs a packet, by how much it has to know.

use filter::{Config, Filter, Hook, Packet, Ruleset};
use std::fmt::Write;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use time::{Duration, Instant};
use wire::Protocol;
use wire::tcp::Flags;

/// Different packets, each in its turn: more than caches close to the processor keep the tables' places of.
const PACKETS: usize = 8_192;
/// Virtual time between two packets.
const STEP: Duration = Duration::from_micros(1);

/// One thing to know, and packets to judge by it.
struct Course {
    name: &'static str,
    rules: String,
    /// The number of the packet's other side, of those that there are.
    sources: u32,
    /// Whether every connection is opened first.
    opened: bool,
}

/// Prints nanoseconds a packet for each course.
pub fn run(packets: usize) {
    for course in courses() {
        println!("{} {:.1} ns", course.name, cost(&course, packets));
    }
}

fn courses() -> Vec<Course> {
    let course = |name, rules: String| Course { name, rules, sources: 100_000, opened: false };
    let accept = "receive default drop\n accept tcp to port 80\n";
    let scanned = |count: u32| {
        let mut rules = String::from("receive default accept\n");
        for number in 0..count {
            let first = 1_000 + number;
            let _ = writeln!(rules, " drop tcp to port {first}-{}", first + 10);
        }
        rules
    };
    let networks = (0..10_000_u32).fold(String::from("receive default accept\n"), |rules, number| {
        let network = Ipv4Addr::from_bits(0xac00_0000 | number << 8);
        rules + &format!(" drop from {network}/24\n")
    });
    let addresses = each_address(10_000, |rules, address| {
        let _ = writeln!(rules, " accept from {address}");
    });
    let states = "receive default drop\n accept state new, established\nsend default accept\n";
    let rates = "receive default drop\n accept rate 1000000/second per source\n";
    vec![
        course("default", "receive default accept\n".to_owned()),
        course("rules-1", accept.to_owned()),
        course("rules-100-scanned", scanned(100)),
        course("rules-10000-scanned", scanned(10_000)),
        course("rules-10000-networks", networks),
        course("rules-10000-addresses", format!("receive default drop\n{addresses}")),
        course("set-1", set(1)),
        course("set-100000", set(100_000)),
        Course { sources: 1, opened: true, ..course("connections-1", states.to_owned()) },
        Course { sources: 60_000, opened: true, ..course("connections-60000", states.to_owned()) },
        Course { sources: 1, ..course("rates-1", rates.to_owned()) },
        Course { sources: 60_000, ..course("rates-60000", rates.to_owned()) },
    ]
}

fn each_address(count: u32, mut add: impl FnMut(&mut String, Ipv4Addr)) -> String {
    let mut text = String::new();
    for number in 0..count {
        add(&mut text, source(number));
    }
    text
}

/// Rules with a set of so many addresses.
fn set(count: u32) -> String {
    let addresses = each_address(count, |text, address| {
        let _ = writeln!(text, "{address},");
    });
    format!("set known {{\n{addresses}}}\nreceive default drop\n accept from @known\n")
}

/// The other side's address, by its number.
fn source(number: u32) -> Ipv4Addr {
    // Spread, so that neighbours in number are none in memory.
    Ipv4Addr::from_bits(0x0a00_0000 | (number.wrapping_mul(0x9e37_79b1) >> 8 & 0x00ff_ffff))
}

fn cost(course: &Course, count: usize) -> f64 {
    let rules = Ruleset::parse(&course.rules).unwrap_or_else(|errors| panic!("{}: {errors}", course.name));
    let mut filter = Filter::new(rules, &["link"], Config::default(), &[7; 32]).expect("it can be obeyed");
    let mut now = Instant::from_secs(1);
    let own = IpAddr::from([198, 51, 100, 2]);
    let syn = transport(7_000, 80, Flags::SYN);
    let ack = transport(7_000, 80, Flags::ACK);
    let answer = transport(80, 7_000, Flags::SYN | Flags::ACK);
    let packet = |source: IpAddr, destination: IpAddr, transport| Packet {
        source,
        destination,
        protocol: Protocol::TCP,
        transport,
        length_bytes: 1_500,
        is_fragment: false,
        program: None,
    };
    if course.opened {
        for number in 0..course.sources {
            let other = source(number).into();
            for (hook, packet) in [
                (Hook::Receive, packet(other, own, &syn)),
                (Hook::Send, packet(own, other, &answer)),
                (Hook::Receive, packet(other, own, &ack)),
            ] {
                assert!(filter.judge(hook, 0, &packet, now).verdict.passes(), "{} opens", course.name);
            }
        }
    }
    let step = (course.sources as usize / PACKETS).max(1) as u32;
    let packets: Vec<Packet<'_>> = (0..PACKETS as u32)
        .map(|number| packet(source(number * step % course.sources).into(), own, &ack))
        .collect();
    let mut judge = |count: usize| {
        for packet in packets.iter().cycle().take(count) {
            now += STEP;
            let _ = black_box(filter.judge(Hook::Receive, 0, black_box(packet), now));
        }
    };
    judge(PACKETS.min(count));
    let start = std::time::Instant::now();
    judge(count);
    start.elapsed().as_nanos() as f64 / count as f64
}

fn transport(source_port: u16, destination_port: u16, flags: Flags) -> Vec<u8> {
    let header = wire::tcp::Header { source_port, destination_port, flags, ..wire::tcp::Header::default() };
    let mut bytes = vec![0; header.length()];
    header.emit(&mut bytes);
    bytes
}
