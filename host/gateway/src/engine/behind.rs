//! Packets behind the first of a flow that waits: they go on after it, in the order in which they came. What comes from another
//! socket meanwhile is none of that flow, and is lost.

use super::held::Held;
use super::inquiry::Flow;
use super::origin::Origin;
use std::collections::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Behind {
    flows: HashMap<Flow, (Origin, Vec<Held>)>,
    count: usize,
}

impl Behind {
    /// The first packet of a flow waits, if this is one.
    pub fn begin(&mut self, first: &Held) {
        if let Some(flow) = first.flow() {
            self.flows.entry(flow).or_insert((first.origin(), Vec::new()));
        }
    }

    /// Whether the first packet of a flow waits.
    pub fn has(&self, flow: Flow) -> bool {
        self.flows.contains_key(&flow)
    }

    /// How many there are, of all flows together.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Keeps one, as long as its flow has fewer than `most`; else it is lost.
    pub fn push(&mut self, flow: Flow, packet: impl FnOnce() -> Held, most: usize) {
        let Some((origin, packets)) = self.flows.get_mut(&flow).filter(|(_, packets)| packets.len() < most)
        else {
            return;
        };
        let packet = packet();
        if origin.covers(packet.origin()) {
            packets.push(packet);
            self.count += 1;
        }
    }

    /// What follows this one, which waits no more.
    pub fn take(&mut self, first: &Held) -> Vec<Held> {
        let flow = first.flow().and_then(|flow| self.flows.remove(&flow));
        let packets = flow.map(|(_, packets)| packets).unwrap_or_default();
        self.count -= packets.len();
        packets
    }
}
