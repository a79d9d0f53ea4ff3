//! The ledger: its shards in turn, a step of each, for as long as there is something to ship.

use super::{Agent, AgentError, Notice, now_ns};
use crate::position::Position;
use crate::shipping::{Resume, Shipping};
use crate::spool::{self, Signed, Spool, SpoolError, Step};
use crate::state::{GAPS_MAX, ShardState};
use ledger::{ReadError, ShardNumber};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

/// How often the ledger is looked at where all of it is shipped.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// The first wait after a failure; each further one is twice as long.
const RETRY_WAIT_MIN: Duration = Duration::from_millis(200);
/// The longest wait after failures, with a connection. A new connection ends it.
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);
/// The least time between two writings of how far is shipped, while there is more to ship.
const WRITE_INTERVAL: Duration = Duration::from_millis(500);
/// How often the stream is asked whether it still has what it acknowledged, besides after each connection.
const ASK_INTERVAL: Duration = Duration::from_secs(30);
/// A look at a ledger takes at most this part of the time until the next: a journal that grows is read anew each time.
const LOOK_SHARE: u32 = 10;

/// One shard, and how it goes.
struct Shard {
    number: ShardNumber,
    /// Where it is read; `None` while it is being read.
    spool: Option<Spool>,
    shipping: Shipping,
    /// `None` until the stream was asked, where nothing is known.
    position: Option<Position>,
    /// The connection for which the stream was asked where to go on, and when.
    asked: Option<(u64, Instant)>,
    is_held: bool,
    /// Whether it is a ledger that can be read, as far as is known.
    is_shippable: bool,
    look_at: Instant,
    retry_at: Instant,
    retry_wait: Duration,
}

impl Shard {
    fn signed(&self) -> (ShardNumber, (u64, u64)) {
        (self.number, self.position.as_ref().map_or((0, 0), Position::signed))
    }
}

/// Whether there was something to do.
type Done = bool;

impl Agent<'_> {
    /// Ships, for ever; ends where how far it has come cannot be written.
    pub(super) async fn ledgers(&self) -> AgentError {
        let Some(path) = self.config.ledger.clone() else { return std::future::pending().await };
        let mut shards: BTreeMap<ShardNumber, Shard> = BTreeMap::new();
        let mut written = Instant::now();
        let mut connections = self.link.connections();
        loop {
            if let Err(error) = self.find(&path, &mut shards) {
                self.stall(ShardNumber::FIRST, error.to_string());
            }
            let mut is_busy = false;
            let mut signed: Signed =
                shards.values().filter(|shard| shard.is_shippable).map(Shard::signed).collect();
            for shard in shards.values_mut() {
                let advanced = self.advance(shard, &signed).await;
                signed.extend(shard.is_shippable.then(|| shard.signed()));
                match advanced {
                    Ok(done) => is_busy |= done,
                    Err(reason) => {
                        self.stall(shard.number, reason);
                        shard.retry_at = Instant::now() + shard.retry_wait;
                        shard.retry_wait = (shard.retry_wait * 2).min(RETRY_WAIT_MAX);
                    }
                }
            }
            if !is_busy || written.elapsed() >= WRITE_INTERVAL {
                if let Err(error) = self.write_positions() {
                    return error;
                }
                written = Instant::now();
            }
            if !is_busy {
                tokio::select! {
                    () = tokio::time::sleep(LOOK_INTERVAL) => {}
                    Ok(()) = connections.changed() => {
                        let now = Instant::now();
                        shards.values_mut().for_each(|shard| shard.retry_at = now);
                    }
                }
            }
        }
    }

    /// Adds the shards that are new.
    fn find(&self, path: &Path, shards: &mut BTreeMap<ShardNumber, Shard>) -> std::io::Result<()> {
        for (number, path) in spool::shards(path)? {
            shards.entry(number).or_insert_with(|| Shard {
                number,
                spool: Some(Spool::new(path)),
                shipping: Shipping::new(self.link.clone(), self.config.host.clone(), number),
                position: self.positions.borrow().shards.get(&number).cloned(),
                asked: None,
                is_held: false,
                is_shippable: true,
                look_at: Instant::now(),
                retry_at: Instant::now(),
                retry_wait: RETRY_WAIT_MIN,
            });
        }
        Ok(())
    }

    /// Ships one step of a shard.
    async fn advance(&self, shard: &mut Shard, signed: &Signed) -> Result<Done, String> {
        let now = Instant::now();
        if now < shard.retry_at {
            return Ok(false);
        }
        if now >= shard.look_at {
            let looked = self.look(shard).await;
            shard.is_shippable = looked.is_ok();
            match looked {
                // Nobody has written it yet.
                Err(SpoolError::Read(ReadError::Nothing)) => {
                    if shard.number == ShardNumber::FIRST {
                        self.stall(shard.number, self.absent());
                    }
                    return Ok(false);
                }
                looked => looked.map_err(|error| error.to_string())?,
            }
        } else if !shard.is_shippable {
            return Ok(false);
        }
        let connections = self.link.connections().borrow().clone();
        if !connections.is_up {
            // That is told once for all shards.
            return Ok(false);
        }
        let is_known =
            |(count, when): (u64, Instant)| count == connections.count && now < when + ASK_INTERVAL;
        if !shard.asked.is_some_and(is_known) {
            self.resume(shard).await?;
            shard.asked = Some((connections.count, now));
        }
        let Some(position) = shard.position.clone() else { return Ok(false) };
        let is_held = shard.is_held;
        let (held, signed) = (position.clone(), signed.clone());
        let step = read(shard, move |spool| {
            if !is_held {
                spool.hold_to(&held)?;
            }
            spool.step(&held, &signed)
        })
        .await;
        shard.is_shippable = step.is_ok();
        let step = match step {
            Ok(step) => step,
            Err(error) => {
                // The writer may have let go of what was looked at.
                shard.look_at = Instant::now();
                shard.spool.iter_mut().for_each(Spool::forget);
                return Err(error.to_string());
            }
        };
        shard.is_held = true;
        if matches!(step, Step::Idle | Step::After(_)) {
            self.resumed(shard);
            return Ok(false);
        }
        let told = step_told(&step);
        match shard.shipping.ship(&position, step).await {
            Ok(position) => {
                self.shipped(shard, position, told);
                Ok(true)
            }
            Err(error) => {
                // A server that refuses may have let go of what it had.
                shard.asked = None;
                Err(error.to_string())
            }
        }
    }

    /// Why there is nothing to ship.
    fn absent(&self) -> String {
        let path = self.config.ledger.as_deref().unwrap_or(Path::new(""));
        format!("there is no ledger in {}: it is shipped once weft run --ledger has begun it", path.display())
    }

    /// Looks whether the ledger has grown.
    async fn look(&self, shard: &mut Shard) -> Result<(), SpoolError> {
        let began = Instant::now();
        let looked = read(shard, Spool::look).await;
        shard.look_at = Instant::now() + LOOK_INTERVAL.max(began.elapsed() * LOOK_SHARE);
        looked?;
        if let Some(spool) = &shard.spool {
            let mut state = self.state.borrow_mut();
            let state = state.shards.entry(shard.number.number()).or_default();
            (state.next, state.origin) = (spool.next(), spool.origin());
            state.shipped = shard.position.as_ref().map_or(state.shipped, |position| position.next);
        }
        Ok(())
    }

    /// Asks the stream where to go on, after each connection.
    async fn resume(&self, shard: &mut Shard) -> Result<(), String> {
        let resume =
            shard.shipping.resume(shard.position.as_ref()).await.map_err(|error| error.to_string())?;
        let first = shard.spool.as_ref().map_or(0, Spool::first);
        let next = match resume {
            Resume::AsKnown => {
                if let Some(position) = shard.position.as_mut().filter(|position| position.begin == 0) {
                    // An earlier version of the agent did not note it.
                    position.begin = 1;
                }
                return Ok(());
            }
            // What the ledger does not have any more, and the stream has, is no gap.
            Resume::Behind { next, from } if next >= first => from.max(first),
            Resume::Behind { next, .. } => next,
            Resume::AtFirst { .. } | Resume::Beheaded { .. } => first,
        };
        let is_told = shard.position.as_ref().is_some_and(|position| position.last.is_some());
        if is_told || matches!(resume, Resume::Beheaded { .. }) {
            (self.tell)(&Notice::Lost(shard.number, next));
            self.state.borrow_mut().shards.entry(shard.number.number()).or_default().lost_ns = now_ns();
        }
        let begin = match resume {
            Resume::AtFirst { begin } | Resume::Beheaded { begin } => begin,
            // The stream has let go of nothing yet.
            Resume::AsKnown | Resume::Behind { .. } => 1,
        };
        let position = Position { next, begin, ..Position::default() };
        if let Resume::Beheaded { .. } = resume {
            // Another agent goes on with it, and does not take the rest for all.
            self.positions.borrow_mut().shards.insert(shard.number, position.clone());
            self.is_dirty.set(true);
        }
        shard.position = Some(position);
        Ok(())
    }

    fn shipped(&self, shard: &mut Shard, position: Position, told: Told) {
        {
            let mut state = self.state.borrow_mut();
            let state = state.shards.entry(shard.number.number()).or_default();
            state.shipped = position.next;
            match told {
                Told::Entries => {}
                Told::Checkpoint => state.checkpoint_ns = now_ns(),
                Told::Gap(from, to) => {
                    (self.tell)(&Notice::Gap(shard.number, from, to));
                    if state.gaps.len() < GAPS_MAX {
                        state.gaps.push((from, to));
                    }
                }
            }
        }
        self.positions.borrow_mut().shards.insert(shard.number, position.clone());
        self.is_dirty.set(true);
        shard.position = Some(position);
        self.resumed(shard);
    }

    fn resumed(&self, shard: &mut Shard) {
        shard.retry_wait = RETRY_WAIT_MIN;
        let stalled = self.state.borrow_mut().shards.entry(shard.number.number()).or_default().stalled.take();
        if stalled.is_some() {
            (self.tell)(&Notice::Resumed(shard.number));
        }
    }

    fn stall(&self, shard: ShardNumber, reason: String) {
        let mut state = self.state.borrow_mut();
        let state: &mut ShardState = state.shards.entry(shard.number()).or_default();
        if state.stalled.as_ref() != Some(&reason) {
            (self.tell)(&Notice::Stalled(shard, reason.clone()));
            state.stalled = Some(reason);
        }
    }
}

/// What is told of a step that was shipped.
#[derive(Clone, Copy)]
enum Told {
    Entries,
    Checkpoint,
    Gap(u64, u64),
}

fn step_told(step: &Step) -> Told {
    match step {
        Step::Idle | Step::After(_) | Step::Entries(_) => Told::Entries,
        Step::Checkpoint { .. } => Told::Checkpoint,
        Step::Gap { from, to } => Told::Gap(*from, *to),
    }
}

/// Reads on a thread for what may block.
async fn read<T: Send + 'static>(
    shard: &mut Shard,
    what: impl FnOnce(&mut Spool) -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    let mut spool = shard.spool.take().expect("it is put back after each reading");
    let done = spawn_blocking(move || {
        let read = what(&mut spool);
        (spool, read)
    });
    let (spool, read) = done.await.expect("reading a ledger does not panic");
    shard.spool = Some(spool);
    read
}
