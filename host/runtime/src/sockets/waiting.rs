//! Tasks and threads that wait for one thing.

use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// So many wait before it is asked whether they do.
const UNASKED_MAX: usize = 32;
/// So long nobody is asked again: those who were woken come back in their own time, one after the other.
const CALLS_APART: Duration = Duration::from_secs(1);

/// Who waits; nearly always one at most.
///
/// A task that was cancelled, or waits for something else by now, leaves its waker behind, and nothing tells so. Where
/// many have gathered all are woken, once a second at most: who still waits comes back, and the list may be twice as long
/// as those are many before all are woken again. So it is bounded by those who wait, and come within a second, and none
/// of them is forgotten.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    wakers: Vec<Waker>,
    roll_call: Option<Box<RollCall>>,
}

/// Who was woken for having waited long.
#[derive(Debug)]
struct RollCall {
    at: Instant,
    absent: Vec<Waker>,
    returned: usize,
}

impl Waiting {
    /// The task of `cx` waits.
    pub fn park(&mut self, cx: &Context<'_>) {
        let same = |waker: &Waker| waker.will_wake(cx.waker());
        if self.wakers.iter().any(same) {
            return;
        }
        let mut limit = UNASKED_MAX;
        if let Some(call) = &mut self.roll_call {
            if let Some(at) = call.absent.iter().position(same) {
                call.absent.swap_remove(at);
                call.returned += 1;
            }
            limit = limit.max(2 * call.returned);
        }
        let rested = |call: &RollCall| call.at.elapsed() >= CALLS_APART;
        if self.wakers.len() >= limit && self.roll_call.as_deref().is_none_or(rested) {
            let absent = std::mem::take(&mut self.wakers);
            absent.iter().for_each(Waker::wake_by_ref);
            self.roll_call = Some(Box::new(RollCall { at: Instant::now(), absent, returned: 0 }));
        }
        self.wakers.push(cx.waker().clone());
    }

    /// What they wait for has come.
    pub fn wake(&mut self) {
        if let Some(call) = &mut self.roll_call {
            call.absent = Vec::new();
        }
        for waker in std::mem::take(&mut self.wakers) {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, VecDeque};
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    /// Tasks that are to be polled, in their order.
    type Woken = Arc<Mutex<VecDeque<usize>>>;

    struct Task(usize, Woken);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.1.lock().expect("no test has failed").push_back(self.0);
        }
    }

    fn tasks(count: usize) -> (Vec<Waker>, Woken) {
        let woken = Woken::default();
        ((0..count).map(|n| Arc::new(Task(n, woken.clone())).into()).collect(), woken)
    }

    /// Polls those who are to be, the first first, until nobody is; how often.
    fn run(waiting: &mut Waiting, wakers: &[Waker], woken: &Woken, polls_max: usize) -> usize {
        for polls in 0..polls_max {
            let next = woken.lock().expect("no test has failed").pop_front();
            let Some(next) = next else { return polls };
            waiting.park(&Context::from_waker(&wakers[next]));
        }
        panic!("they wake each other for ever");
    }

    #[test]
    fn however_many_wait_all_are_woken_and_none_wakes_the_others_for_ever() {
        for count in [1, 2, 31, 32, 33, 49, 50, 64, 65, 1_000] {
            let (wakers, woken) = tasks(count);
            let mut waiting = Waiting::default();
            // All want to wait, and whenever something has come, again.
            woken.lock().expect("no test has failed").extend(0..count);
            for _ in 0..5 {
                let polls = run(&mut waiting, &wakers, &woken, 20 * count);
                assert!(polls <= 3 * count, "{polls} polls of {count} tasks");
                waiting.wake();
                let all: BTreeSet<usize> =
                    woken.lock().expect("no test has failed").iter().copied().collect();
                assert_eq!(all.len(), count, "nobody is forgotten");
            }
        }
    }

    #[test]
    fn those_who_are_gone_do_not_gather() {
        let (wakers, woken) = tasks(100);
        let mut waiting = Waiting::default();
        for waker in &wakers {
            waiting.park(&Context::from_waker(waker));
        }
        assert!(waiting.wakers.len() + 32 <= wakers.len(), "those before were asked");
        let call = waiting.roll_call.as_mut().expect("they were asked");
        call.at = call.at.checked_sub(CALLS_APART).expect("the machine has been up for a second");
        // One of them still waits, and somebody new.
        waiting.park(&Context::from_waker(&wakers[3]));
        assert_eq!(waiting.wakers.len(), 1, "the others are asked too");
        waiting.wake();
        assert!(woken.lock().expect("no test has failed").iter().rev().any(|n| *n == 3));
    }

    #[test]
    fn who_waits_twice_is_woken_once() {
        let (wakers, woken) = tasks(1);
        let mut waiting = Waiting::default();
        for _ in 0..2 {
            waiting.park(&Context::from_waker(&wakers[0]));
        }
        waiting.wake();
        assert_eq!(woken.lock().expect("no test has failed").len(), 1);
    }
}
