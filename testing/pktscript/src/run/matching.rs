//! Whether what the stack sent is what the script expects, field by field; the first that differs is told.

use super::flows::{Flow, FlowIndex};
use super::frames::{Seen, SeenBody, SeenSegment};
use super::world::World;
use crate::profile::Profile;
use crate::syntax::{Body, ECT_EITHER, Network, Number, Packet, Segment, TcpOption};
use std::fmt::Write;
use std::net::SocketAddr;
use wire::tcp::Flags;

/// What a script says of how exactly packets are compared.
#[derive(Clone, Copy, Debug)]
pub struct Exactness {
    /// Segments have the lengths that the script has.
    pub strict_segments: bool,
    /// Microseconds of one tick of our timestamps; `None`: they are not compared.
    pub tick_us: Option<u32>,
    /// How many ticks a timestamp may be away.
    pub ticks_off_max: u32,
}

/// Compares what the stack sent first with `expected`, and takes it.
///
/// # Errors
///
/// The first field that differs.
pub fn take(world: &mut World, expected: &Packet, exactness: Exactness) -> Result<Seen, String> {
    let seen = world.seen.pop_front().ok_or("nothing was sent")?;
    compare_network(&expected.network, &seen)?;
    if let Some(label) = expected.network.flow_label
        && !world.flows.is_label(label, seen.flow_label)
    {
        return Err(format!("flowlabel: expected {label:#x}, sent {:#x}", seen.flow_label));
    }
    match (&expected.body, &seen.body) {
        (Body::Tcp(segment), SeenBody::Tcp(_)) => take_segment(world, expected, segment, seen, exactness),
        (Body::Udp(length), SeenBody::Udp(source, destination, seen_length)) => {
            if let Some(ports) = expected.ports {
                differ("ports", ports, (*source, *destination))?;
            }
            differ("length", length, seen_length)?;
            Ok(seen)
        }
        (_, SeenBody::Tcp(_)) => Err("protocol: TCP was sent".to_owned()),
        (_, SeenBody::Udp(..)) => Err("protocol: UDP was sent".to_owned()),
        (_, SeenBody::Other(number)) => Err(format!("protocol: {number} was sent")),
    }
}

fn differ<T: PartialEq + std::fmt::Debug>(field: &str, expected: T, seen: T) -> Result<(), String> {
    if expected == seen { Ok(()) } else { Err(format!("{field}: expected {expected:?}, sent {seen:?}")) }
}

fn compare_network(expected: &Network, seen: &Seen) -> Result<(), String> {
    match expected.ecn {
        Some(ECT_EITHER) if !matches!(seen.traffic_class & 3, 1 | 2) => {
            return Err(format!("ecn: expected ECT(0) or ECT(1), sent {}", seen.traffic_class & 3));
        }
        Some(ecn) if ecn != ECT_EITHER => differ("ecn", ecn, seen.traffic_class & 3)?,
        Some(_) | None => {}
    }
    if let Some(class) = expected.traffic_class {
        differ("tos", class, seen.traffic_class)?;
    }
    expected.hop_limit.map_or(Ok(()), |hop_limit| differ("ttl", hop_limit, seen.hop_limit))
}

fn take_segment(
    world: &mut World,
    packet: &Packet,
    expected: &Segment,
    first: Seen,
    exactness: Exactness,
) -> Result<Seen, String> {
    let SeenBody::Tcp(segment) = &first.body else { return Err("protocol".to_owned()) };
    if let Some(ports) = packet.ports {
        differ("ports", ports, (segment.source_port, segment.destination_port))?;
    }
    let mut segment = segment.clone();
    let index = flow_of(world, &first, &segment);
    if !exactness.strict_segments {
        let alone = segment.length;
        join(world, &mut segment, &first, expected);
        // Linux ends with PSH whatever it leaves to the device to cut. Where a burst is cut differs with the device.
        if world.profile == Profile::Linux && segment.length > alone {
            segment.flags.0 |= expected.flags & Flags::PSH.0;
        }
    }
    let flow = world.flows.change(index);
    let syn = Flags(expected.flags).contains(Flags::SYN) && segment.flags.contains(Flags::SYN);
    if syn && let Some(number) = expected.sequence.filter(|number| !number.absolute) {
        flow.start(segment.sequence, number.value);
    }
    compare_segment(expected, &segment, flow, exactness)?;
    flow.learn(expected, &segment);
    Ok(Seen { body: SeenBody::Tcp(segment), ..first })
}

/// The connection that a segment of the stack belongs to.
fn flow_of(world: &mut World, seen: &Seen, segment: &SeenSegment) -> FlowIndex {
    let local = SocketAddr::new(seen.source, segment.source_port);
    let remote = SocketAddr::new(seen.destination, segment.destination_port);
    world.flows.find(local, remote).unwrap_or_else(|| world.flows.add(local, remote))
}

/// Whether what was sent so far is the beginning of a longer expected segment, and more of it may come.
pub fn is_partial(world: &World, expected: &Packet, exactness: Exactness) -> bool {
    let Body::Tcp(expected) = &expected.body else { return false };
    let mut seen = world.seen.iter().map(|seen| match &seen.body {
        SeenBody::Tcp(segment) => Some(segment),
        SeenBody::Udp(..) | SeenBody::Other(_) => None,
    });
    let Some(Some(first)) = seen.next() else { return false };
    let mut end = first.sequence.wrapping_add(first.length);
    let mut length = first.length;
    for next in seen {
        let Some(next) = next.filter(|next| next.sequence == end && next.length == first.length) else {
            return false;
        };
        end = end.wrapping_add(next.length);
        length += next.length;
    }
    !exactness.strict_segments && first.length > 0 && length < expected.length
}

/// Takes the segments that follow directly, of the same size but for the last, up to the expected length.
fn join(world: &mut World, segment: &mut SeenSegment, first: &Seen, expected: &Segment) {
    let size = segment.length;
    let mut last = size;
    while segment.length < expected.length && last == size && size > 0 {
        let Some(Seen { body: SeenBody::Tcp(next), source, destination, .. }) = world.seen.front() else {
            return;
        };
        let follows = (*source, *destination) == (first.source, first.destination)
            && (next.source_port, next.destination_port) == (segment.source_port, segment.destination_port)
            && next.sequence == segment.sequence.wrapping_add(segment.length)
            && next.acknowledgement == segment.acknowledgement
            && (1..=size).contains(&next.length)
            && segment.length + next.length <= expected.length;
        if !follows {
            return;
        }
        last = next.length;
        segment.length += next.length;
        segment.flags |= next.flags;
        segment.zeros &= next.zeros;
        world.seen.pop_front();
    }
}

fn compare_segment(
    expected: &Segment,
    seen: &SeenSegment,
    flow: &Flow,
    exactness: Exactness,
) -> Result<(), String> {
    if expected.flags != seen.flags.0 {
        return Err(format!(
            "flags: expected {}, sent {}",
            letters(Flags(expected.flags)),
            letters(seen.flags)
        ));
    }
    let syn = seen.flags.contains(Flags::SYN);
    let number = |wanted: Number, live: u32, script: u32| if wanted.absolute { live } else { script };
    if let Some(wanted) = expected.sequence {
        differ("seq", wanted.value, number(wanted, seen.sequence, flow.ours_to_script(seen.sequence, syn)))?;
    }
    if let Some(wanted) = expected.acknowledgement
        && seen.flags.contains(Flags::ACK)
    {
        let script = flow.theirs_to_script(seen.acknowledgement, syn);
        differ("ack", wanted.value, number(wanted, seen.acknowledgement, script))?;
    }
    differ("length", expected.length, seen.length)?;
    if let Some(window) = expected.window {
        differ("win", window, seen.window)?;
    }
    if let Some(urgent) = expected.urgent {
        differ("urg", urgent, seen.urgent)?;
    }
    if let Some(options) = &expected.options {
        compare_options(options, seen, flow, exactness)?;
    }
    if seen.zeros { Ok(()) } else { Err("payload: sent bytes that were not written".to_owned()) }
}

fn compare_options(
    expected: &[TcpOption],
    seen: &SeenSegment,
    flow: &Flow,
    exactness: Exactness,
) -> Result<(), String> {
    // What a script leaves out of a bare segment's options is padding and timestamps' company at most.
    let sent = flow.options_to_script(&seen.options);
    let told = || format!("options: expected <{}>, sent <{}>", option_text(expected), option_text(&sent));
    if expected.len() != sent.len() {
        return Err(told());
    }
    for (wanted, sent) in expected.iter().zip(&sent) {
        let same = match (wanted, sent) {
            (
                &TcpOption::Timestamps { value, echo, .. },
                &TcpOption::Timestamps { value: seen_value, echo: seen_echo, .. },
            ) => {
                let off = exactness.tick_us.map_or(0, |_| flow.stamp_difference(value, seen_value));
                echo == seen_echo && off <= exactness.ticks_off_max
            }
            (wanted, sent) => wanted == sent,
        };
        if !same {
            return Err(told());
        }
    }
    Ok(())
}

/// Flags as a script writes them.
fn letters(flags: Flags) -> String {
    let names = [
        (Flags::SYN, 'S'),
        (Flags::FIN, 'F'),
        (Flags::RST, 'R'),
        (Flags::PSH, 'P'),
        (Flags::URG, 'U'),
        (Flags::ECE, 'E'),
        (Flags::CWR, 'W'),
        (Flags::AE, 'A'),
        (Flags::ACK, '.'),
    ];
    let text: String =
        names.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| letter).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

fn option_text(options: &[TcpOption]) -> String {
    let name = |option: &TcpOption| match option {
        TcpOption::End => "eol".to_owned(),
        TcpOption::Nop => "nop".to_owned(),
        TcpOption::Mss(mss) => format!("mss {mss}"),
        TcpOption::WindowScale(shift) => format!("wscale {shift}"),
        TcpOption::SackPermitted => "sackOK".to_owned(),
        TcpOption::Sack(blocks) => {
            blocks.iter().fold("sack".to_owned(), |text, (left, right)| format!("{text} {left}:{right}"))
        }
        TcpOption::Timestamps { value, echo, .. } => format!("TS val {value} ecr {echo}"),
        TcpOption::FastOpen(cookie) => format!("FO {cookie:02x?}"),
        TcpOption::FastOpenExperimental(cookie) => format!("FOEXP {cookie:02x?}"),
        TcpOption::AccurateEcn { ect1_first, counters } => {
            let names = if *ect1_first { ["e1b", "ceb", "e0b"] } else { ["e0b", "ceb", "e1b"] };
            let fields = names.iter().zip(counters);
            fields.fold("ECN".to_owned(), |text, (name, count)| format!("{text} {name} {count}"))
        }
        TcpOption::Raw(kind, data) => format!("{kind} {data:02x?}"),
        TcpOption::Other(name) => name.clone(),
    };
    options.iter().map(name).collect::<Vec<_>>().join(",")
}

/// A packet of the stack as a script would write it.
pub fn told(world: &World, seen: &Seen) -> String {
    let SeenBody::Tcp(segment) = &seen.body else { return format!("> {:?}", seen.body) };
    let local = SocketAddr::new(seen.source, segment.source_port);
    let remote = SocketAddr::new(seen.destination, segment.destination_port);
    let flow = world.flows.find(local, remote).map(|index| world.flows.at(index));
    let syn = segment.flags.contains(Flags::SYN);
    let start = flow.map_or(segment.sequence, |flow| flow.ours_to_script(segment.sequence, syn));
    let end = start.wrapping_add(segment.length);
    let mut text = format!("> {} {start}:{end}({})", letters(segment.flags), segment.length);
    if segment.flags.contains(Flags::ACK) {
        let ack =
            flow.map_or(segment.acknowledgement, |flow| flow.theirs_to_script(segment.acknowledgement, syn));
        let _ = write!(text, " ack {ack}");
    }
    let _ = write!(text, " win {}", segment.window);
    let options =
        flow.map_or_else(|| segment.options.clone(), |flow| flow.options_to_script(&segment.options));
    if !options.is_empty() {
        let _ = write!(text, " <{}>", option_text(&options));
    }
    text
}

/// A packet of the script as it is written.
pub fn expected_text(packet: &Packet) -> String {
    let Body::Tcp(segment) = &packet.body else { return format!("> {:?}", packet.body) };
    let mut text = format!("> {}", letters(Flags(segment.flags)));
    match segment.sequence {
        Some(Number { value, .. }) => {
            let end = value.wrapping_add(segment.length);
            let _ = write!(text, " {value}:{end}({})", segment.length);
        }
        None => {
            let _ = write!(text, " ...({})", segment.length);
        }
    }
    if let Some(ack) = segment.acknowledgement {
        let _ = write!(text, " ack {}", ack.value);
    }
    if let Some(window) = segment.window {
        let _ = write!(text, " win {window}");
    }
    match &segment.options {
        None => text.push_str(" <...>"),
        Some(options) if !options.is_empty() => {
            let _ = write!(text, " <{}>", option_text(options));
        }
        Some(_) => {}
    }
    text
}
