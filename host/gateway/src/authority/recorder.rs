//! The thread that writes the ledger: it may wait for the disk, and nobody waits for it.

use ledger::directory::DirectoryStorage;
use ledger::{Batch, Writer, Written};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// What became of a batch; in words where it was not written.
type Answer = Result<Written, String>;

/// See the module. One batch is on its way at a time: the log's head sees to that.
#[derive(Debug)]
pub(super) struct Recorder {
    /// Dropped first, so that the thread ends.
    batches: Option<Sender<Batch>>,
    answers: Receiver<Answer>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Starts the thread around a writer.
    ///
    /// # Errors
    ///
    /// Where there is no descriptor or no thread to be had.
    pub fn start(writer: Writer<DirectoryStorage>) -> io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (batches, to_write) = channel();
        let (answer, answers) = channel();
        let bell = wake.clone();
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || write_all(writer, &to_write, &answer, &bell))?;
        Ok(Self { batches: Some(batches), answers, wake, thread: Some(thread) })
    }

    /// Readable when there is an answer.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Hands a batch over.
    ///
    /// # Errors
    ///
    /// Where the thread has ended, in words.
    pub fn write(&mut self, batch: Batch) -> Result<(), String> {
        let sent = self.batches.as_ref().map(|batches| batches.send(batch));
        sent.and_then(Result::ok).ok_or_else(ended)
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
        self.answers.recv().unwrap_or_else(|_| Err(ended()))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has told so itself.
            let _ = thread.join();
        }
    }
}

fn ended() -> String {
    "the thread that writes it has ended".to_owned()
}

fn write_all(
    mut writer: Writer<DirectoryStorage>,
    batches: &Receiver<Batch>,
    answers: &Sender<Answer>,
    bell: &OwnedFd,
) {
    for batch in batches {
        let answer = writer.write(batch).map_err(|error| error.to_string());
        if answers.send(answer).is_err() {
            return;
        }
        // A counter that is full is readable as well.
        let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
    }
}
