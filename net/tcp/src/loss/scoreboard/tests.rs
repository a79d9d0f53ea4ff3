//! The scoreboard beside a model that keeps every number apart.

use super::*;
use proptest::prelude::*;
use std::vec::Vec;

const SPAN: u32 = 400;

fn at(ms: u64) -> Instant {
    Instant::from_millis(1_000 + ms)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number {
    sent_at: Instant,
    fate: Fate,
    repeated: bool,
}

/// Every number from SND.UNA on.
#[derive(Debug, Default)]
struct Model {
    una: u32,
    numbers: Vec<Number>,
}

impl Model {
    fn count(&self, fate: Fate) -> u32 {
        self.numbers.iter().filter(|number| number.fate == fate).count() as u32
    }

    fn lose(&mut self, mut which: impl FnMut(usize, &Number) -> bool) {
        for (offset, number) in self.numbers.iter_mut().enumerate() {
            if number.fate == Fate::Flying && which(offset, number) {
                number.fate = Fate::Lost;
            }
        }
    }

    fn next_lost(&self) -> Option<(u32, u32)> {
        let start = self.numbers.iter().position(|number| number.fate == Fate::Lost)?;
        let length = self.numbers[start..].iter().take_while(|number| number.fate == Fate::Lost).count();
        Some((self.una + start as u32, self.una + (start + length) as u32))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(u32),
    Acknowledge(u32),
    Sack(u32, u32),
    Repeat(u32),
    RepeatLast(u32),
    Deem { newest_ms: u64, patience_ms: u64 },
    LoseFirst(u32),
    LoseAll { ago_ms: Option<u64> },
    FindAll,
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..40_u32).prop_map(Step::Send),
        2 => (0..60_u32).prop_map(Step::Acknowledge),
        5 => (0..SPAN, 1..30_u32).prop_map(|(left, length)| Step::Sack(left, length)),
        4 => (1..40_u32).prop_map(Step::Repeat),
        1 => (1..40_u32).prop_map(Step::RepeatLast),
        4 => (0..40_u64, 0..20_u64).prop_map(|(newest_ms, patience_ms)| Step::Deem { newest_ms, patience_ms }),
        1 => (1..20_u32).prop_map(Step::LoseFirst),
        1 => prop::option::of(0..10_u64).prop_map(|ago_ms| Step::LoseAll { ago_ms }),
        1 => Just(Step::FindAll),
        6 => (0..4_u64).prop_map(Step::Pass),
    ]
}

/// Both, on a stream that begins at `base`.
struct Beside {
    base: SequenceNumber,
    board: Scoreboard,
    model: Model,
    now_ms: u64,
}

impl Beside {
    fn number(&self, n: u32) -> SequenceNumber {
        self.base + n
    }

    fn end(&self) -> u32 {
        self.model.una + self.model.numbers.len() as u32
    }

    fn take(&mut self, step: &Step) {
        let now = at(self.now_ms);
        match *step {
            Step::Pass(ms) => self.now_ms += ms,
            Step::Send(count) => {
                if self.model.numbers.len() < SPAN as usize {
                    let end = self.end();
                    self.board.send(self.number(end), self.number(end + count), now);
                    let number = Number { sent_at: now, fate: Fate::Flying, repeated: false };
                    self.model.numbers.extend((0..count).map(|_| number));
                }
            }
            Step::Acknowledge(count) => self.acknowledge(count),
            Step::Sack(left, length) => self.sack(left, length),
            Step::Repeat(count) => {
                if let Some((start, end)) = self.board.next_lost() {
                    self.repeat(start - self.base, (end - self.base).min(start - self.base + count));
                }
            }
            Step::RepeatLast(count) => {
                if let Some((start, end)) = self.board.last_flying(count) {
                    self.repeat(start - self.base, end - self.base);
                }
            }
            Step::Deem { newest_ms, patience_ms } => self.deem(newest_ms, patience_ms),
            Step::LoseFirst(count) => {
                // No more than what left together is looked at.
                let first = self.model.numbers.first().copied();
                let length = self.board.runs.front().map_or(0, Run::length).min(count);
                self.board.lose_first(count);
                self.model.lose(|offset, number| offset < length as usize && Some(*number) == first);
            }
            Step::LoseAll { ago_ms } => {
                let until = ago_ms.map(|ago| at(self.now_ms.saturating_sub(ago)));
                let reneged = self.model.numbers.first().is_some_and(|number| number.fate == Fate::Sacked);
                assert_eq!(self.board.is_reneged(), reneged);
                self.board.lose_all(if reneged { None } else { until });
                for (offset, number) in self.model.numbers.iter_mut().enumerate() {
                    if reneged && number.fate == Fate::Sacked {
                        let run = self.board.runs
                            [self.board.index_of(self.base + (self.model.una + offset as u32))];
                        assert!(run.repeated);
                        *number = Number { sent_at: run.sent_at, fate: Fate::Lost, repeated: true };
                    }
                    let old = reneged || until.is_none_or(|at| number.sent_at <= at);
                    if number.fate == Fate::Flying && old {
                        number.fate = Fate::Lost;
                    }
                }
            }
            Step::FindAll => {
                self.board.find_all();
                for number in self.model.numbers.iter_mut().filter(|number| number.fate == Fate::Lost) {
                    number.fate = Fate::Flying;
                }
            }
        }
    }

    fn acknowledge(&mut self, count: u32) {
        let count = count.min(self.model.numbers.len() as u32);
        let mut delivery = Delivery::default();
        self.board.acknowledge(self.number(self.model.una + count), &mut delivery);
        let gone: Vec<_> = self.model.numbers.drain(..count as usize).collect();
        self.model.una += count;
        let news = gone.iter().filter(|number| number.fate != Fate::Sacked);
        assert_eq!(delivery.bytes, news.clone().count() as u32);
        assert_eq!(delivery.original_bytes, news.clone().filter(|number| !number.repeated).count() as u32);
        assert_eq!(delivery.ambiguous, news.clone().any(|number| number.repeated));
        let first = news.filter(|number| !number.repeated).map(|number| number.sent_at).min();
        assert_eq!(delivery.acknowledged_sent_at, first);
        assert_eq!(delivery.sacked, 0);
    }

    fn sack(&mut self, left: u32, length: u32) {
        let left = left.min((self.model.numbers.len() as u32).saturating_sub(1));
        let right = (left + length).min(self.model.numbers.len() as u32);
        if left >= right {
            return;
        }
        let mut delivery = Delivery::default();
        let una = self.model.una;
        self.board.sack((self.number(una + left), self.number(una + right)), &mut delivery);
        let mut news = Vec::new();
        for number in &mut self.model.numbers[left as usize..right as usize] {
            if number.fate != Fate::Sacked {
                news.push(*number);
                number.fate = Fate::Sacked;
            }
        }
        assert_eq!((delivery.bytes, delivery.sacked), (news.len() as u32, news.len() as u32));
        let newest = |repeated| {
            news.iter().filter(|number| number.repeated == repeated).map(|number| number.sent_at).max()
        };
        assert_eq!(delivery.newest_original.map(|sent| sent.at), newest(false));
        assert_eq!(delivery.newest_repeated.map(|sent| sent.at), newest(true));
    }

    fn repeat(&mut self, start: u32, end: u32) {
        let now = at(self.now_ms);
        self.board.send_again(self.number(start), self.number(end), now);
        let una = self.model.una;
        for number in &mut self.model.numbers[(start - una) as usize..(end - una) as usize] {
            *number = Number { sent_at: now, fate: Fate::Flying, repeated: true };
        }
    }

    fn deem(&mut self, newest_ms: u64, patience_ms: u64) {
        // An end before all: of what left at the same time nothing left before it.
        let newest = Sent { at: at(self.now_ms.saturating_sub(newest_ms)), end: self.base - 1 };
        let patience = Duration::from_millis(patience_ms);
        let due = self.board.deem_lost(newest, patience, at(self.now_ms));
        let now = at(self.now_ms);
        self.model.lose(|_, number| number.sent_at < newest.at && number.sent_at + patience <= now);
        let waiting = self.model.numbers.iter();
        let waiting = waiting.filter(|number| number.fate == Fate::Flying && number.sent_at < newest.at);
        assert_eq!(due, waiting.map(|number| number.sent_at + patience).min());
    }

    fn check(&mut self) {
        let mut next = self.model.una;
        let mut last = None;
        for run in &self.board.runs {
            assert_eq!(run.start, self.number(next), "runs follow each other");
            assert!(run.end.after(run.start));
            let sacked = run.fate == Fate::Sacked;
            assert!(!(sacked && last == Some(Fate::Sacked)), "neighbours that the peer holds are one");
            last = Some(run.fate);
            while self.number(next) != run.end {
                let number = self.model.numbers[(next - self.model.una) as usize];
                assert_eq!(number.fate, run.fate);
                if !sacked {
                    assert_eq!((number.sent_at, number.repeated), (run.sent_at, run.repeated));
                }
                next += 1;
            }
        }
        assert_eq!(next, self.end());
        let counts = [self.board.flying(), self.board.sacked(), self.board.lost()];
        assert_eq!(counts, [Fate::Flying, Fate::Sacked, Fate::Lost].map(|fate| self.model.count(fate)));
        let lost = self.board.next_lost().map(|(start, end)| (start - self.base, end - self.base));
        assert_eq!(lost, self.model.next_lost());
        if self.model.numbers.is_empty() {
            assert_eq!(self.board.capacity(), 0);
        }
    }
}

proptest! {
    #[test]
    fn it_agrees_with_a_model_of_single_numbers(
        base in any::<u32>(),
        steps in prop::collection::vec(any_step(), 0..150),
    ) {
        let model = Model::default();
        let mut beside =
            Beside { base: SequenceNumber(base), board: Scoreboard::default(), model, now_ms: 50 };
        for step in &steps {
            beside.take(step);
            beside.check();
        }
    }
}

#[test]
fn what_leaves_in_one_turn_is_one_run_until_a_part_of_it_arrives() {
    let mut board = Scoreboard::default();
    let number = SequenceNumber;
    board.send(number(0), number(64_000), at(0));
    board.send(number(64_000), number(128_000), at(0));
    assert_eq!(board.runs.len(), 1);
    board.sack((number(10_000), number(20_000)), &mut Delivery::default());
    assert_eq!(board.runs.len(), 3);
    board.sack((number(20_000), number(30_000)), &mut Delivery::default());
    assert_eq!(board.runs.len(), 3);
    board.acknowledge(number(5_000), &mut Delivery::default());
    assert_eq!((board.flying(), board.sacked()), (103_000, 20_000));
}

#[test]
fn the_number_of_runs_is_bounded_and_a_timeout_forgets_the_details() {
    let mut board = Scoreboard::default();
    let number = SequenceNumber;
    board.send(number(0), number(100_000), at(0));
    for n in 0..40_000 {
        board.sack((number(2 * n + 1), number(2 * n + 2)), &mut Delivery::default());
    }
    assert!(board.runs.len() <= RUNS_MAX && board.sacked() < 40_000);
    let told = board.sacked();
    // What needs no new run is believed all the same.
    board.sack((number(1), number(4)), &mut Delivery::default());
    assert_eq!(board.sacked(), told);
    while !board.is_full() {
        let end = board.runs.back().map_or(number(0), |run| run.end);
        board.send(end, end + 1, at(u64::from(end.0)));
    }
    board.lose_all(None);
    assert_eq!((board.runs.len(), board.sacked(), board.flying()), (1, 0, 0));
}

#[test]
fn what_was_sent_again_is_noted_within_bounds() {
    let mut board = Scoreboard::default();
    board.send(SequenceNumber(0), SequenceNumber(100), at(0));
    for round in 0..1_000 {
        board.lose_all(None);
        for n in 0..10 {
            board.send_again(
                SequenceNumber(10 * n),
                SequenceNumber(10 * n + 10),
                at(10 * round + u64::from(n)),
            );
        }
        assert!(board.capacity() < 200);
    }
}
