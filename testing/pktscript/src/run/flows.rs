//! Connections as the script numbers them. A SYN has the number that the script likes, and so has what acknowledges it in a
//! SYN-ACK; all other numbers count from that SYN on, whatever its own was. On the wire both sides chose. Each connection
//! keeps where both began, and which of its timestamps stands for which of ours. Flow labels, which nobody can foretell
//! either, have names.

use crate::syntax::{Number, Segment, TcpOption};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use wire::tcp::Flags;

/// Which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowIndex(usize);

/// One connection.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The stack's address and port.
    pub local: SocketAddr,
    /// The script's.
    pub remote: SocketAddr,
    /// Where the stack's numbers begin; known from its SYN on.
    pub ours: Option<Beginning>,
    /// Where the script's own numbers begin.
    pub theirs: Beginning,
    /// The script's name of a timestamp of the stack, and the timestamp.
    stamps: BTreeMap<u32, u32>,
    /// The first of these.
    stamp_base: Option<(u32, u32)>,
}

/// Where one side's numbers begin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beginning {
    /// The SYN's number on the wire.
    live: u32,
    /// The SYN's number in the script.
    script: u32,
    /// The SYN was there.
    known: bool,
}

impl Beginning {
    fn to_wire(self, number: Number, syn: bool) -> u32 {
        let Number { value, absolute } = number;
        match absolute {
            true => value,
            false => value.wrapping_sub(if syn { self.script } else { 0 }).wrapping_add(self.live),
        }
    }

    fn to_script(self, live: u32, syn: bool) -> u32 {
        live.wrapping_sub(self.live).wrapping_add(if syn { self.script } else { 0 })
    }
}

/// The connections of a script.
#[derive(Clone, Debug, Default)]
pub struct Flows {
    flows: Vec<Flow>,
    /// What the script calls flow labels of the stack, and the labels.
    labels: Vec<(u32, u32)>,
    /// The one that packets without ports belong to.
    pub subject: Option<FlowIndex>,
}

/// Between the numbers of one connection's peer and the next one's; odd, so that they meet every part of the space.
const NUMBERS_APART: u32 = 0x9e37_79b9;

impl Flows {
    /// Adds a connection; it is the subject from now on.
    pub fn add(&mut self, local: SocketAddr, remote: SocketAddr) -> FlowIndex {
        let index = FlowIndex(self.flows.len());
        let live = NUMBERS_APART.wrapping_mul(index.0 as u32 + 1);
        let theirs = Beginning { live, ..Beginning::default() };
        let (stamps, stamp_base) = (BTreeMap::new(), None);
        self.flows.push(Flow { local, remote, ours: None, theirs, stamps, stamp_base });
        self.subject = Some(index);
        index
    }

    /// The newest connection between these ports and addresses.
    pub fn find(&self, local: SocketAddr, remote: SocketAddr) -> Option<FlowIndex> {
        self.flows.iter().rposition(|flow| flow.local == local && flow.remote == remote).map(FlowIndex)
    }

    /// The newest connection between these ports.
    pub fn find_by_ports(&self, local: u16, remote: u16) -> Option<FlowIndex> {
        let found = |flow: &Flow| flow.local.port() == local && flow.remote.port() == remote;
        self.flows.iter().rposition(found).map(FlowIndex)
    }

    /// Whether the script's name of a flow label stands for this label of the stack: one name for one label, and 0 for none.
    /// A name that is new is this label's from now on.
    pub fn is_label(&mut self, script: u32, live: u32) -> bool {
        if script == 0 || live == 0 {
            return script == live;
        }
        match self.labels.iter().find(|(name, label)| *name == script || *label == live) {
            Some(known) => *known == (script, live),
            None => {
                self.labels.push((script, live));
                true
            }
        }
    }

    /// A connection, to learn of.
    pub fn change(&mut self, index: FlowIndex) -> &mut Flow {
        &mut self.flows[index.0]
    }

    /// A connection.
    pub fn at(&self, index: FlowIndex) -> &Flow {
        &self.flows[index.0]
    }
}

impl Flow {
    /// The stack's SYN has the number `live`, and the script calls it `script`.
    pub fn start(&mut self, live: u32, script: u32) {
        self.ours = Some(Beginning { live, script, known: true });
    }

    /// The script's SYN; the first one is where its numbers begin.
    pub fn start_theirs(&mut self, script: u32) {
        if !self.theirs.known {
            self.theirs = Beginning { script, known: true, ..self.theirs };
        }
    }

    /// A number of the stack's bytes, as on the wire; `syn` where the segment has that bit.
    pub fn ours_to_wire(&self, number: Number, syn: bool) -> u32 {
        self.ours.unwrap_or_default().to_wire(number, syn)
    }

    /// A number of the script's bytes, as on the wire.
    pub fn theirs_to_wire(&self, number: Number, syn: bool) -> u32 {
        self.theirs.to_wire(number, syn)
    }

    /// A number of the stack's bytes, as in the script.
    pub fn ours_to_script(&self, live: u32, syn: bool) -> u32 {
        self.ours.unwrap_or_default().to_script(live, syn)
    }

    /// A number of the script's bytes, as in the script.
    pub fn theirs_to_script(&self, live: u32, syn: bool) -> u32 {
        self.theirs.to_script(live, syn)
    }

    /// The options of a segment from the script, as on the wire.
    pub fn options_to_wire(&self, options: &[TcpOption]) -> Vec<TcpOption> {
        let edge = |value: u32| self.ours_to_wire(Number { value, absolute: false }, false);
        let convert = |option: &TcpOption| match option {
            TcpOption::Sack(blocks) => {
                TcpOption::Sack(blocks.iter().map(|&(left, right)| (edge(left), edge(right))).collect())
            }
            &TcpOption::Timestamps { value, echo, echo_absolute } => {
                let echo = if echo_absolute { echo } else { self.stamp_to_wire(echo) };
                TcpOption::Timestamps { value, echo, echo_absolute: true }
            }
            other => other.clone(),
        };
        options.iter().map(convert).collect()
    }

    /// The options of a segment from the stack, as in the script; timestamps stay as they are.
    pub fn options_to_script(&self, options: &[TcpOption]) -> Vec<TcpOption> {
        let convert = |option: &TcpOption| match option {
            TcpOption::Sack(blocks) => {
                let edge = |live: u32| self.theirs_to_script(live, false);
                TcpOption::Sack(blocks.iter().map(|&(left, right)| (edge(left), edge(right))).collect())
            }
            other => other.clone(),
        };
        options.iter().map(convert).collect()
    }

    fn stamp_to_wire(&self, echo: u32) -> u32 {
        match (self.stamps.get(&echo), self.stamp_base) {
            (Some(live), _) => *live,
            (None, Some((script, live))) if echo != 0 => live.wrapping_add(echo.wrapping_sub(script)),
            (None, _) => echo,
        }
    }

    /// How far a timestamp of the stack is from what the script calls it, in ticks since the first one.
    pub fn stamp_difference(&self, script: u32, live: u32) -> u32 {
        let Some((first_script, first_live)) = self.stamp_base else { return 0 };
        let (wanted, seen) = (script.wrapping_sub(first_script), live.wrapping_sub(first_live));
        (wanted.wrapping_sub(seen) as i32).unsigned_abs()
    }

    /// A segment of the stack was what the script expects: its timestamp has a name now.
    pub fn learn(&mut self, expected: &Segment, seen: &super::frames::SeenSegment) {
        if Flags(expected.flags).contains(Flags::SYN)
            && let Some(number) = expected.sequence.filter(|number| !number.absolute)
        {
            self.start(seen.sequence, number.value);
        }
        let stamp = |options: &[TcpOption]| {
            options.iter().find_map(|option| match option {
                TcpOption::Timestamps { value, .. } => Some(*value),
                _ => None,
            })
        };
        let script = expected.options.as_deref().and_then(stamp);
        if let (Some(script), Some(live)) = (script, stamp(&seen.options)) {
            self.stamps.insert(script, live);
            self.stamp_base.get_or_insert((script, live));
        }
    }
}
