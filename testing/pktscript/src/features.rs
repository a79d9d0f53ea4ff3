//! What the stack can do, as far as scripts ask for it. A script that needs what is `false` here is `unsupported`, with the
//! construct's name; when the stack has learned it, one line changes. What shows in a SYN is not written down but looked at.

use crate::profile::Profile;
use crate::run::World;
use crate::syntax::{Action, Body, Direction, Network, Packet, Script, Segment, TcpOption};
use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};
use wire::tcp::Flags;

/// What the stack can do.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// RFC 2018: offers SACK, sends and takes blocks.
    pub sack: bool,
    /// RFC 3168.
    pub ecn: bool,
    /// RFC 9768.
    pub accurate_ecn: bool,
    /// RFC 7413.
    pub fast_open: bool,
    /// RFC 9293 §3.8.5: sends urgent data.
    pub urgent: bool,
    /// RFC 6437: a flow label of its own choice.
    pub flow_label: bool,
    /// A traffic class that the program chooses.
    pub traffic_class: bool,
}

/// The kind of the option that tells user timeouts (RFC 5482 §3.3).
const USER_TIMEOUT: u8 = 28;

/// What [`stack::Stack`] does not show in its SYN.
const HIDDEN: Features = Features {
    sack: false,
    ecn: true,
    accurate_ecn: true,
    fast_open: true,
    urgent: false,
    flow_label: true,
    traffic_class: true,
};

impl Features {
    /// What [`stack::Stack`] can do today.
    pub fn of_stack() -> Self {
        static KNOWN: OnceLock<Features> = OnceLock::new();
        *KNOWN.get_or_init(|| Self { sack: syn_options().contains(&TcpOption::SackPermitted), ..HIDDEN })
    }
}

/// The options of a SYN with everything that Linux's profile offers.
fn syn_options() -> Vec<TcpOption> {
    let (local, remote) = (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(192, 0, 2, 2).into());
    let profile = Profile::Linux;
    let Ok(mut world) = World::new(profile.settings(), profile, local, remote, 1_500) else {
        return Vec::new();
    };
    let config = Arc::new(world.settings.tcp.clone());
    let _ = world.stack.tcp_connect(None, world.remote, config, world.now);
    let _ = world.drain();
    world.seen.pop_front().map_or_else(Vec::new, |seen| seen.tcp_options().to_vec())
}

/// The first construct of a script's packets that the stack cannot do, with its line.
pub fn missing(script: &Script, features: &Features) -> Option<(u32, String)> {
    script.events.iter().find_map(|event| match &event.action {
        Action::Packet(packet) => of_packet(packet, features).map(|what| (event.line, what)),
        Action::Call(_) | Action::Command(_) | Action::Code(_) => None,
    })
}

fn of_packet(packet: &Packet, features: &Features) -> Option<String> {
    let outbound = packet.direction == Direction::Outbound;
    if let Some(what) = of_network(&packet.network, outbound, features) {
        return Some(what.to_owned());
    }
    match &packet.body {
        Body::Tcp(segment) => of_segment(segment, outbound, features),
        Body::Udp(_) => None,
        Body::Icmp(_) => outbound.then(|| "ICMP that the stack sends".to_owned()),
        Body::Other(name) => Some(name.clone()),
    }
}

fn of_network(network: &Network, outbound: bool, features: &Features) -> Option<&'static str> {
    if network.ecn.is_some_and(|ecn| ecn != 0) && !features.ecn {
        return Some("ECN");
    }
    if outbound && network.traffic_class.is_some_and(|class| class != 0) && !features.traffic_class {
        return Some("traffic class");
    }
    (outbound && network.flow_label.is_some() && !features.flow_label).then_some("flow label")
}

fn of_segment(segment: &Segment, outbound: bool, features: &Features) -> Option<String> {
    let flags = Flags(segment.flags);
    if flags.contains(Flags::AE) && !features.accurate_ecn {
        return Some("accurate ECN".to_owned());
    }
    if flags.intersects(Flags::ECE | Flags::CWR) && !features.ecn {
        return Some("ECN".to_owned());
    }
    if outbound && flags.contains(Flags::URG) && !features.urgent {
        return Some("urgent data".to_owned());
    }
    let options = segment.options.as_deref().unwrap_or_default();
    for option in options {
        let missing = match option {
            TcpOption::SackPermitted => outbound && !features.sack,
            TcpOption::Sack(_) => !features.sack,
            TcpOption::FastOpen(_) | TcpOption::FastOpenExperimental(_) => !features.fast_open,
            TcpOption::AccurateEcn { .. } => !features.accurate_ecn,
            // An unknown option may arrive (RFC 9293 §3.1, MUST-6); sent it is not.
            // But for the one of user timeouts (RFC 5482), which has no name in the language.
            TcpOption::Raw(kind, _) => outbound && *kind != USER_TIMEOUT,
            TcpOption::Other(_) => true,
            TcpOption::End | TcpOption::Nop | TcpOption::Mss(_) | TcpOption::WindowScale(_) => false,
            TcpOption::Timestamps { .. } => false,
        };
        if missing {
            return Some(option_name(option));
        }
    }
    None
}

fn option_name(option: &TcpOption) -> String {
    match option {
        TcpOption::SackPermitted => "option sackOK".to_owned(),
        TcpOption::Sack(_) => "option sack".to_owned(),
        TcpOption::FastOpen(_) | TcpOption::FastOpenExperimental(_) => "Fast Open".to_owned(),
        TcpOption::AccurateEcn { .. } => "accurate ECN".to_owned(),
        TcpOption::Raw(kind, _) => format!("option {kind}"),
        TcpOption::Other(name) => format!("option {name}"),
        TcpOption::End
        | TcpOption::Nop
        | TcpOption::Mss(_)
        | TcpOption::WindowScale(_)
        | TcpOption::Timestamps { .. } => "option".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::parse;

    fn stops(event: &str) -> Option<String> {
        let little = Features { ecn: false, accurate_ecn: false, fast_open: false, ..HIDDEN };
        missing(&parse(event).unwrap(), &little).map(|(_, what)| what)
    }

    #[test]
    fn each_construct_that_stops_a_script_has_its_name() {
        let named = |event: &str| stops(event).unwrap_or_default();
        assert_eq!(named("0 > S 0:0(0) <mss 1460,sackOK>"), "option sackOK");
        assert_eq!(named("0 < . 1:1(0) ack 1 <sack 1:2>"), "option sack");
        assert_eq!(named("0 < SEW 0:0(0) win 1"), "ECN");
        assert_eq!(named("0 < [ce] . 1:1(0) ack 1"), "ECN");
        assert_eq!(named("0 > S 0:0(0) <FO aa>"), "Fast Open");
        assert_eq!(named("0 < gre: ipv4 1.1.1.1"), "gre");
        assert_eq!(stops("0 < S 0:0(0) win 1 <mss 1000,sackOK,nop,nop>"), None);
        assert_eq!(stops("0 < [noecn] . 1:1(0) ack 1"), None);
    }
}
