//! Which rule speaks for a port: intervals that do not overlap, found by binary search.

use super::rule::{Ports, Protocol, Rule};
use std::collections::BTreeSet;

/// The rules of one target, by protocol and port. Cost of a lookup: the logarithm of its rules.
#[derive(Clone, Debug, Default)]
pub(super) struct PortMap {
    by_protocol: [Vec<Interval>; Protocol::ALL.len()],
    /// The first rule that speaks of questions alone.
    question: Option<usize>,
}

/// Ports from `first` to `last`, for which the rule with this index speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) rule: usize,
}

impl PortMap {
    /// Of rules (index and rule) of one target. Where several speak for a port the first written is named.
    pub(super) fn new(rules: &[(usize, &Rule)]) -> Self {
        let by_protocol = Protocol::ALL.map(|protocol| {
            let intervals =
                rules.iter().filter(|(_, rule)| rule.covers_protocol(protocol)).map(|(index, rule)| {
                    // Port 0 is what ICMP is asked about, and what a hostile program may send to.
                    let Ports { first, last } = rule.ports().unwrap_or(Ports { first: 0, last: u16::MAX });
                    Interval { first, last, rule: *index }
                });
            flatten(intervals)
        });
        let question = rules.iter().find(|(_, rule)| rule.is_question()).map(|(index, _)| *index);
        Self { by_protocol, question }
    }

    /// The rule that speaks of questions alone.
    pub(super) fn question(&self) -> Option<usize> {
        self.question
    }

    /// The rule that speaks for this port.
    pub(super) fn find(&self, protocol: Protocol, port: u16) -> Option<usize> {
        self.containing(protocol, port).map(|interval| interval.rule)
    }

    /// The interval that holds this port.
    pub(super) fn containing(&self, protocol: Protocol, port: u16) -> Option<Interval> {
        let intervals = self.intervals(protocol);
        let after = intervals.partition_point(|interval| interval.first <= port);
        let candidate = intervals.get(after.checked_sub(1)?)?;
        (candidate.last >= port).then_some(*candidate)
    }

    /// All intervals, the lowest port first.
    pub(super) fn intervals(&self, protocol: Protocol) -> &[Interval] {
        &self.by_protocol[protocol.index()]
    }
}

/// Overlapping intervals as disjoint ones, each with the lowest index that covers it.
fn flatten(intervals: impl Iterator<Item = Interval>) -> Vec<Interval> {
    // Each interval opens at its first port and closes behind its last; between two edges one rule speaks.
    let mut edges: Vec<(u32, bool, usize)> = intervals
        .flat_map(|interval| {
            [
                (u32::from(interval.first), true, interval.rule),
                (u32::from(interval.last) + 1, false, interval.rule),
            ]
        })
        .collect();
    edges.sort_unstable();
    let mut open = BTreeSet::new();
    let mut flat: Vec<Interval> = Vec::new();
    let mut edges = edges.into_iter().peekable();
    while let Some((at, opens, rule)) = edges.next() {
        if opens {
            open.insert(rule);
        } else {
            open.remove(&rule);
        }
        let next = edges.peek().map_or(at, |(next, _, _)| *next);
        let (Some(rule), true) = (open.first(), next > at) else { continue };
        // Neither fails: an interval is open only between 0 and 65,536.
        let (Ok(first), Ok(last)) = (u16::try_from(at), u16::try_from(next - 1)) else { continue };
        match flat.last_mut() {
            Some(previous) if previous.rule == *rule && u32::from(previous.last) + 1 == at => {
                previous.last = last
            }
            _ => flat.push(Interval { first, last, rule: *rule }),
        }
    }
    flat
}
