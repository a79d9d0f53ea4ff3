//! The threads that write the ledger: they may wait for the disk, and nobody waits for them.
//!
//! ```text
//! log's head ── Batch ──> ledger ── wait ──> ledger-disk
//!      ^ Begun, Written ──┘  ^───── done ────────┘
//! ```
//!
//! The first writes batches into the journal's file, the second waits until they are on disk. Then the first brings them into
//! tiles, one at a time, and the next batch goes before the next tile. So what was decided is out of this process's hands soon,
//! however long the disk takes.

use ledger::directory::DirectoryStorage;
use ledger::storage::SyncJob;
use ledger::writer::Reach;
use ledger::{Batch, WriteError, Writer, Written};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is in the journal's file, and the next may come.
    Begun,
    /// The oldest that was not is on disk.
    Written(Written),
    /// It was not written; why, in words.
    Failed(String),
}

/// What the thread that writes is told.
enum Work {
    Batch(Batch),
    /// A wait for the disk is over that reaches so far.
    Synced(Reach, io::Result<()>),
    /// There is nothing more.
    End,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Recorder {
    work: Sender<Work>,
    answers: Receiver<Answer>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Starts the threads around a writer.
    ///
    /// # Errors
    ///
    /// Where there is no descriptor or no thread to be had.
    pub fn start(writer: Writer<DirectoryStorage>) -> io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (work, to_do) = channel();
        let (waits, to_wait) = channel();
        let (answers, answered) = channel();
        let done = work.clone();
        let disk = std::thread::Builder::new()
            .name("ledger-disk".to_owned())
            .spawn(move || wait_for_disk(&to_wait, &done))?;
        let mut scribe = Scribe { writer, waits, is_waiting: false, answers, bell: wake.clone() };
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || {
            scribe.run(&to_do);
            // It ends with what it is given.
            drop(scribe);
            // A thread that panicked has told so itself.
            let _ = disk.join();
        })?;
        Ok(Self { work, answers: answered, wake, thread: Some(thread) })
    }

    /// Readable when there is an answer.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Hands a batch over.
    ///
    /// # Errors
    ///
    /// Where the thread has ended, in words: its own, if it has left some.
    pub fn write(&mut self, batch: Batch) -> Result<(), String> {
        let failed = |answer| if let Answer::Failed(reason) = answer { Some(reason) } else { None };
        let sent = self.work.send(Work::Batch(batch));
        sent.map_err(|_| self.answers.try_iter().find_map(failed).unwrap_or_else(ended))
    }

    /// The next answer, where there is one.
    pub fn poll(&mut self) -> Option<Answer> {
        let mut count = [0; 8];
        // Nothing to read is nothing to forget; what comes now wakes again.
        let _ = rustix::io::read(&*self.wake, &mut count);
        self.answers.try_recv().ok()
    }

    /// The next answer, once there is one.
    pub fn wait(&mut self) -> Answer {
        self.answers.recv().unwrap_or_else(|_| Answer::Failed(ended()))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // A thread that has ended needs no word.
        let _ = self.work.send(Work::End);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has told so itself.
            let _ = thread.join();
        }
    }
}

fn ended() -> String {
    "the thread that writes it has ended".to_owned()
}

/// The thread that waits for the disk.
fn wait_for_disk(waits: &Receiver<(SyncJob, Reach)>, done: &Sender<Work>) {
    for (job, reach) in waits {
        if done.send(Work::Synced(reach, job())).is_err() {
            return;
        }
    }
}

/// The thread that writes.
struct Scribe {
    writer: Writer<DirectoryStorage>,
    waits: Sender<(SyncJob, Reach)>,
    is_waiting: bool,
    answers: Sender<Answer>,
    bell: Arc<OwnedFd>,
}

impl Scribe {
    fn run(&mut self, work: &Receiver<Work>) {
        loop {
            // What was decided goes before the tiles of what is on disk.
            let next = match self.writer.is_behind() {
                true => work.try_recv().ok(),
                false => Some(work.recv().unwrap_or(Work::End)),
            };
            let done = match next {
                Some(Work::Batch(batch)) => self.begin(batch),
                Some(Work::Synced(reach, done)) => self.settle(reach, done),
                Some(Work::End) => return self.end(),
                None => self.write_next(),
            };
            if let Err(reason) = done {
                self.answer(Answer::Failed(reason));
                return;
            }
        }
    }

    fn begin(&mut self, batch: Batch) -> Result<(), String> {
        self.writer.begin(batch).map_err(|error| error.to_string())?;
        self.answer(Answer::Begun);
        self.wait()
    }

    fn settle(&mut self, reach: Reach, done: io::Result<()>) -> Result<(), String> {
        self.is_waiting = false;
        done.map_err(|error| format!("cannot sync the journal: {error}"))?;
        self.writer.settle(reach).map_err(|error| error.to_string())?;
        self.wait()
    }

    fn write_next(&mut self) -> Result<(), String> {
        let written = self.writer.write_next();
        self.tell(written)?;
        self.wait()
    }

    /// Leaves one journal, so that who opens the ledger next need not wait for the disk. Whoever was to be told has gone, and
    /// what fails here is found by the next.
    fn end(&mut self) {
        let _ = self.writer.flush();
    }

    /// Has the other thread wait for what is not on disk yet, unless it waits already. What is on disk is in tiles first: so there
    /// is not ever more to write.
    fn wait(&mut self) -> Result<(), String> {
        if self.is_waiting || self.writer.is_behind() || !self.writer.is_ahead() {
            return Ok(());
        }
        let wait = self.writer.sync_beside().map_err(|error| error.to_string())?;
        self.is_waiting = true;
        self.waits.send(wait).map_err(|_| ended())
    }

    fn tell(&self, written: Result<Vec<Written>, WriteError>) -> Result<(), String> {
        let written = written.map_err(|error| error.to_string())?;
        written.into_iter().for_each(|written| self.answer(Answer::Written(written)));
        Ok(())
    }

    fn answer(&self, answer: Answer) {
        // Whoever is gone needs no answer.
        let _ = self.answers.send(answer);
        // A counter that is full is readable as well.
        let _ = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
    }
}
