//! Which connections move their bytes, and in which order: those that a limit held are the first, one after the other,
//! then those that have something, one turn each.

use super::{Closing, Denial, Phase, Pumped, TURN_BYTES_MAX, TcpFlows};
use crate::engine::cx::Cx;
use crate::limits::{Direction, Limits};
use std::collections::VecDeque;
use time::Instant;

/// Flows that a limit holds, by direction, in the order in which they came: each that has had its share of what there is
/// goes behind the others, so that none starves. A flow is in here once for each direction that is held.
#[derive(Debug, Default)]
pub(super) struct Turns {
    up: VecDeque<usize>,
    down: VecDeque<usize>,
    /// When there is room for the first of them.
    ready_at: Option<Instant>,
}

impl Turns {
    /// When [`TcpFlows::pump`] is due for them.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ready_at
    }

    /// The flow at `index` has ended.
    pub fn forget(&mut self, direction: Direction, index: usize) {
        self.queue(direction).retain(|held| *held != index);
    }

    /// The next flow that there is room for, and in which direction.
    fn next(&mut self, limits: &mut Limits, now: Instant) -> Option<(usize, Direction)> {
        let first = limits.first();
        [first, first.other()].into_iter().find_map(|direction| {
            let queue = self.queue(direction);
            let has_room = !queue.is_empty() && limits.room(direction, now) > 0;
            has_room.then(|| queue.pop_front()).flatten().map(|index| (index, direction))
        })
    }

    fn schedule(&mut self, limits: &mut Limits, now: Instant) {
        let waiting = [Direction::Up, Direction::Down].into_iter();
        let waiting = waiting.filter(|direction| !self.queue(*direction).is_empty());
        self.ready_at = waiting.map(|direction| limits.ready_at(direction, now)).min();
    }

    fn queue(&mut self, direction: Direction) -> &mut VecDeque<usize> {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

impl TcpFlows {
    /// Moves the bytes of the flows that have some, one turn each, as many as one turn of the gateway has room for: the
    /// others are the first of the next.
    pub fn pump(&mut self, cx: &mut Cx) {
        let mut moved = 0;
        while moved < TURN_BYTES_MAX
            && let Some(limits) = &mut cx.limits
            && let Some((index, direction)) = self.turns.next(limits, cx.now)
        {
            if let Some(Phase::Relaying { relay, .. }) = self.flows.get_mut(index).map(|flow| &mut flow.phase)
            {
                relay.release(direction);
                moved += self.pump_flow(cx, index);
            }
        }
        for _ in 0..self.ready.len() {
            if moved >= TURN_BYTES_MAX {
                break;
            }
            let Some(index) = self.ready.pop_front() else { break };
            if let Some(flow) = self.flows.get_mut(index) {
                flow.queued = false;
                moved += self.pump_flow(cx, index);
            }
        }
        if let Some(limits) = &mut cx.limits {
            self.turns.schedule(limits, cx.now);
        }
        cx.authority.add_carried(moved);
    }

    /// One flow's turn. How many bytes it moved.
    fn pump_flow(&mut self, cx: &mut Cx, index: usize) -> u64 {
        let Some(flow) = self.flows.get_mut(index) else { return 0 };
        let Phase::Relaying { relay, .. } = &mut flow.phase else { return 0 };
        let (before, bytes) = (relay.left(), relay.traffic());
        let was_held = [Direction::Up, Direction::Down].map(|direction| relay.is_held(direction));
        let pumped = relay.pump(&mut cx.stack, &cx.pool, self.left, cx.limits.as_deref_mut(), cx.now);
        self.left = self.left + relay.left() - before;
        let moved = relay.traffic().total() - bytes.total();
        for (direction, was_held) in [Direction::Up, Direction::Down].into_iter().zip(was_held) {
            if relay.is_held(direction) && !was_held {
                self.turns.queue(direction).push_back(index);
            }
        }
        match pumped {
            Pumped::Waiting => {}
            Pumped::More => self.queue(index),
            Pumped::Done => self.close(cx, index, Closing::Finished),
            Pumped::Broken(error) => self.close(cx, index, Closing::Broken(error.to_string())),
            Pumped::Refused(refusal) => {
                let denial = Denial::by_inspection(&flow.asked.way, &refusal);
                cx.refuse(&flow.asked, denial);
                self.close(cx, index, Closing::Refused);
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;

    /// What each of four flows moved in ten seconds at 1 MB/s, where each has more than there is room for.
    #[test]
    fn flows_that_are_held_have_equal_shares() {
        let limit = "down=1M/s:10K".parse().expect("a limit");
        let mut limits = Limits::new(&[limit], Instant::ZERO).expect("one").expect("one");
        let (mut turns, mut moved) = (Turns::default(), [0_u64; 4]);
        turns.down.extend(0..moved.len());
        let mut now = Instant::ZERO;
        while now < Instant::from_secs(10) {
            while let Some((index, direction)) = turns.next(&mut limits, now) {
                let bytes = limits.room(direction, now).min(3_000);
                limits.take(direction, bytes, now);
                moved[index] += bytes;
                turns.queue(direction).push_back(index);
            }
            turns.schedule(&mut limits, now);
            now = turns
                .poll_timeout()
                .expect("there is a moment at which there is room")
                .max(now + Duration::from_nanos(1));
        }
        let total: u64 = moved.iter().sum();
        assert!((9_900_000..=10_010_000).contains(&total), "{moved:?}");
        assert!(moved.iter().all(|bytes| bytes.abs_diff(total / 4) <= 20_000), "{moved:?}");
    }

    #[test]
    fn a_direction_that_is_held_does_not_hold_the_other_and_what_ended_is_forgotten() {
        let given = ["up=1K/s", "down=1M/s"].map(|text| text.parse().expect("a limit"));
        let mut limits = Limits::new(&given, Instant::ZERO).expect("two kinds").expect("some");
        let now = Instant::ZERO;
        limits.take(Direction::Up, 1_000, now);
        let mut turns = Turns::default();
        turns.up.extend([1, 2]);
        turns.down.extend([2, 3]);
        assert_eq!(turns.next(&mut limits, now), Some((2, Direction::Down)));
        turns.forget(Direction::Down, 3);
        assert_eq!(turns.next(&mut limits, now), None);
        turns.schedule(&mut limits, now);
        assert_eq!(turns.poll_timeout(), Some(now + Duration::from_secs(1)), "when the first may go up");
        assert_eq!(turns.next(&mut limits, now + Duration::from_secs(1)), Some((1, Direction::Up)));
    }
}
