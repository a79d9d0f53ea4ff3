//! What a run may use, and what of that is used up.

use super::shaper::Shaper;
use super::words::{Bandwidth, Limit};
use filter::Bucket;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use time::Instant;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the command.
    Up,
    /// To the command.
    Down,
}

impl Direction {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// Two limits of one kind.
///
/// ```
/// use gateway::limits::SameLimit;
/// let same = SameLimit { first: "open=1".parse()?, second: "open=2".parse()? };
/// assert_eq!(same.to_string(), "--limit open=1 and --limit open=2 contradict each other: give one of them");
/// # Ok::<(), gateway::limits::LimitError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SameLimit {
    /// The one that was given first.
    pub first: Limit,
    /// The other.
    pub second: Limit,
}

impl fmt::Display for SameLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second } = self;
        write!(f, "--limit {first} and --limit {second} contradict each other: give one of them")
    }
}

impl std::error::Error for SameLimit {}

/// The right to one connection. It is given back when the last that holds it is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Permit {
    _place: Rc<Place>,
}

/// One of the connections that are open at once, which are counted here.
#[derive(Debug)]
struct Place(Rc<Cell<u64>>);

impl Place {
    fn new(open: &Rc<Cell<u64>>) -> Self {
        open.set(open.get() + 1);
        Self(open.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// The limits of one run, and what of them is used up.
#[derive(Debug)]
pub(crate) struct Limits {
    connections: Option<(Bucket, Limit)>,
    /// The most that may be open at once.
    most: Option<(u64, Limit)>,
    open: Rc<Cell<u64>>,
    both: Option<Shaper>,
    up: Option<Shaper>,
    down: Option<Shaper>,
    bytes: Option<(Bucket, Limit)>,
    /// Whose turn it is where both ways wait for the same bytes: not that which moved some last.
    first: Direction,
    over: Over,
    dropped: u64,
}

/// Whether all bytes that the run may carry are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    No,
    /// What is open is still to be closed.
    Now,
    Done,
}

impl Limits {
    /// Of what was given; `None` where that is nothing.
    ///
    /// # Errors
    ///
    /// Where there are two of one kind.
    pub fn new(given: &[Limit], now: Instant) -> Result<Option<Box<Self>>, SameLimit> {
        for (count, second) in given.iter().enumerate() {
            if let Some(first) = given[..count].iter().find(|first| first.name() == second.name()) {
                return Err(SameLimit { first: *first, second: *second });
            }
        }
        if given.is_empty() {
            return Ok(None);
        }
        let mut limits = Self {
            connections: None,
            most: None,
            open: Rc::default(),
            both: None,
            up: None,
            down: None,
            bytes: None,
            first: Direction::Up,
            over: Over::No,
            dropped: 0,
        };
        for limit in given {
            match *limit {
                Limit::Connections { rate, burst } => {
                    limits.connections = Some((Bucket::new(rate, burst, now), *limit));
                }
                Limit::Open(most) => limits.most = Some((most, *limit)),
                Limit::Bandwidth { of, rate, burst } => {
                    let place = match of {
                        Bandwidth::Both => &mut limits.both,
                        Bandwidth::Up => &mut limits.up,
                        Bandwidth::Down => &mut limits.down,
                    };
                    *place = Some(Shaper::new(rate, burst, now));
                }
                Limit::Bytes(total) => limits.bytes = Some((Bucket::quota(total, now), *limit)),
            }
        }
        Ok(Some(Box::new(limits)))
    }

    /// One more connection, or flow of datagrams, where one may be.
    ///
    /// # Errors
    ///
    /// In words, which limit it is over.
    pub fn admit(&mut self, now: Instant) -> Result<Permit, String> {
        if let Some((_, limit)) = &self.bytes
            && self.over != Over::No
        {
            return Err(over(limit));
        }
        if let Some((most, limit)) = &self.most
            && self.open.get() >= *most
        {
            return Err(over(limit));
        }
        if let Some((bucket, limit)) = &mut self.connections
            && !bucket.take(1, now)
        {
            return Err(over(limit));
        }
        Ok(Permit { _place: Rc::new(Place::new(&self.open)) })
    }

    /// How many bytes a stream may move now; 0 where it has to wait.
    pub fn room(&mut self, direction: Direction, now: Instant) -> u64 {
        let bytes = self.bytes.as_mut().map_or(u64::MAX, |(bucket, _)| bucket.left(now));
        self.shapers(direction).map(|shaper| shaper.room(now)).fold(bytes, u64::min)
    }

    /// A stream that has bytes to move found no [`room`](Self::room) for them.
    pub fn handle_waiting(&mut self, direction: Direction, now: Instant) {
        self.shapers(direction)
            .filter_map(|shaper| (shaper.room(now) == 0).then_some(shaper))
            .for_each(Shaper::handle_waiting);
    }

    /// When there is room again, as far as rates give it.
    pub fn ready_at(&mut self, direction: Direction, now: Instant) -> Instant {
        self.shapers(direction).map(|shaper| shaper.ready_at(now)).max().unwrap_or(now)
    }

    /// A stream moved bytes, of which there was [`room`](Self::room).
    pub fn take(&mut self, direction: Direction, bytes: u64, now: Instant) {
        self.shapers(direction).for_each(|shaper| shaper.take(bytes, now));
        self.first = direction.other();
        if let Some((bucket, _)) = &mut self.bytes {
            let was_there = bucket.take(bytes, now);
            debug_assert!(was_there, "a stream moves no more than there was room for");
            if bucket.left(now) == 0 {
                self.handle_over();
            }
        }
    }

    /// Which way is first to have its turn.
    pub fn first(&self) -> Direction {
        self.first
    }

    /// Whether a datagram passes; where it does not, it is dropped and counted.
    pub fn pass(&mut self, direction: Direction, bytes: usize, now: Instant) -> bool {
        let bytes = bytes as u64;
        if !self.shapers(direction).all(|shaper| shaper.admits(bytes, now)) {
            self.dropped += 1;
            return false;
        }
        if let Some((bucket, _)) = &mut self.bytes {
            let passes = bucket.take(bytes, now);
            if !passes || bucket.left(now) == 0 {
                self.handle_over();
            }
            if !passes {
                self.dropped += 1;
                return false;
            }
        }
        self.shapers(direction).for_each(|shaper| shaper.take_datagram(bytes, now));
        true
    }

    /// Datagrams that were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether everything that is open is to be closed, because all bytes are used up.
    pub fn is_cut_due(&self) -> bool {
        self.over == Over::Now
    }

    /// Everything that was open is closed.
    pub fn handle_cut(&mut self) {
        self.over = Over::Done;
    }

    fn handle_over(&mut self) {
        if self.over == Over::No {
            self.over = Over::Now;
        }
    }

    fn shapers(&mut self, direction: Direction) -> impl Iterator<Item = &mut Shaper> {
        let one = match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        };
        self.both.iter_mut().chain(one)
    }
}

/// Why something is refused.
fn over(limit: &Limit) -> String {
    format!("over the limit of {} (--limit {limit})", limit.words())
}
