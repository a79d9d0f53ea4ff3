//! The lock around the machine, and how a call waits for what another thread lets happen.

use crate::calls::{Call, Reply};
use crate::machine::{Flags, Machine};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a call that waits leaves the clock to the other threads, in real time: the tool's other thread calls within
/// microseconds. Where nobody calls at all the one that waits lets time pass by itself.
const IDLE: Duration = Duration::from_millis(100);
/// How long whoever looks for a packet leaves the stack to another thread that is about to call, in real time, before the
/// virtual clock moves.
const GRACE: Duration = Duration::from_millis(5);
/// Steps of time in one wait: so many timers of the stack no script sets off.
const STEPS_MAX: usize = 1_000_000;
/// Adapters alive at once.
const ADAPTERS_MAX: usize = 64;

/// One stack as the tool sees it.
#[derive(Debug)]
pub struct Adapter {
    machine: Mutex<Machine>,
    changed: Condvar,
}

/// Those that are alive: what the tool hands back is compared with them, and never followed.
static ALIVE: Mutex<Vec<Arc<Adapter>>> = Mutex::new(Vec::new());

/// Keeps an adapter until [`release`]; the number by which it is found.
pub fn register(adapter: Adapter) -> usize {
    let adapter = Arc::new(adapter);
    let number = Arc::as_ptr(&adapter) as usize;
    let mut alive = lock(&ALIVE);
    if alive.len() >= ADAPTERS_MAX {
        return 0;
    }
    alive.push(adapter);
    number
}

/// The adapter of a number.
pub fn find(number: usize) -> Option<Arc<Adapter>> {
    lock(&ALIVE).iter().find(|adapter| Arc::as_ptr(adapter) as usize == number).cloned()
}

/// Forgets an adapter. Calls that wait fail.
pub fn release(number: usize) {
    let mut alive = lock(&ALIVE);
    if let Some(at) = alive.iter().position(|adapter| Arc::as_ptr(adapter) as usize == number) {
        let adapter = alive.swap_remove(at);
        drop(alive);
        adapter.with(Machine::end);
    }
}

/// A lock that a panic under it does not spoil: the machine checks what it is given anyhow.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Adapter {
    /// A stack as the flags say.
    ///
    /// # Errors
    ///
    /// The flag that is not understood.
    pub fn new(flags: &str) -> Result<Self, String> {
        let machine = Machine::new(&Flags::parse(flags)?)?;
        Ok(Self { machine: Mutex::new(machine), changed: Condvar::new() })
    }

    /// Does something with the machine, and lets the calls that wait look again.
    pub fn with<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> T {
        let mut machine = lock(&self.machine);
        machine.note_activity();
        let done = act(&mut machine);
        machine.settle();
        self.changed.notify_all();
        done
    }

    /// Makes a call, and waits for it where it `blocks`.
    pub fn call(&self, call: Call, blocks: bool) -> Reply {
        let mut machine = lock(&self.machine);
        machine.note_activity();
        let begun = machine.begin(call, blocks);
        machine.settle();
        self.changed.notify_all();
        let ticket = match begun {
            Ok(reply) => return reply,
            Err(ticket) => ticket,
        };
        loop {
            if let Some(reply) = machine.collect(ticket) {
                self.changed.notify_all();
                return reply;
            }
            let seen = machine.activity();
            let (held, timeout) =
                self.changed.wait_timeout(machine, IDLE).unwrap_or_else(PoisonError::into_inner);
            machine = held;
            if timeout.timed_out() && machine.activity() == seen {
                machine.pass_idle();
                self.changed.notify_all();
            }
        }
    }

    /// Waits a little, in real time, until what another thread does makes `holds` true.
    pub fn await_others(&self, holds: impl Fn(&Machine) -> bool) {
        let machine = lock(&self.machine);
        let waited = self.changed.wait_timeout_while(machine, GRACE, |machine| !holds(machine));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets time pass step by step; between steps whoever has an answer takes it. Ends where `step` says that it is done.
    pub fn pass(&self, mut step: impl FnMut(&mut Machine) -> bool) {
        let mut machine = lock(&self.machine);
        machine.note_activity();
        for _ in 0..STEPS_MAX {
            let done = step(&mut machine);
            machine.settle();
            self.changed.notify_all();
            while machine.has_answers() {
                let (held, timeout) =
                    self.changed.wait_timeout(machine, IDLE).unwrap_or_else(PoisonError::into_inner);
                machine = held;
                if timeout.timed_out() {
                    break;
                }
            }
            if done {
                return;
            }
        }
    }
}
