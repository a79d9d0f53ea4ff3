//! What executables hold: the BLAKE3 hash of their content, found by a thread of its own, because a file of 100 MB takes
//! longer than a connection should wait behind another's.
//!
//! ```text
//!    gateway's thread      digest ──> Known | Unknown | Pending(ticket)          readable ──> poll ──> ticket, digest
//!                                                          │ at most QUEUE_MAX         │
//!    worker's thread                                  open, read, hash ────────── event descriptor
//! ```
//!
//! The thread is started by the first file that has to be read, because whoever launches a sandbox must have one thread.

use super::executable::{Executable, Version};
use ledger::Digest;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{self, read, write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The bound of a file that is read, in bytes: some seconds of one processor. A larger one has no digest.
pub const FILE_BYTES_MAX: u64 = 1 << 30;
/// How many files wait to be read, the one that is being read included. What comes then has no digest.
pub const QUEUE_MAX: usize = 64;
/// How many files are remembered; the one that was asked for longest ago goes first.
pub const REMEMBERED_MAX: usize = 256;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 256 * 1_024;

/// A file that was changed this shortly before it was read is not remembered: it may be changed once more with the same
/// time, for file systems keep time in steps, FAT's of two seconds the coarsest.
const SETTLED: Duration = Duration::from_secs(2);

/// Finds the digests of executables.
///
/// ```
/// use gateway::attribution::Digests;
///
/// // Nothing is started before something is asked for.
/// let mut digests = Digests::new()?;
/// assert!(digests.poll().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Digests {
    /// What was found lately, the latest last; without a digest what could not be read, or was another file by then.
    remembered: Vec<(Version, Option<Digest>)>,
    pending: Vec<(Version, Ticket)>,
    next: u64,
    /// Readable once something was found.
    found: Arc<OwnedFd>,
    worker: Option<Worker>,
}

/// What is known of an executable's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digesting {
    /// This is it.
    Known(Digest),
    /// It is being found. [`Digests::poll`] will tell; who asks for the same file meanwhile has the same ticket. The file
    /// may be on a file system that never answers: who waits sets a limit.
    Pending(Ticket),
    /// It cannot be told: the file is too large, cannot be read, or is not what it was; or too many wait.
    Unknown,
}

/// Names what is being found; no two are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl Digests {
    /// None yet.
    ///
    /// # Errors
    ///
    /// Where no descriptor can be had.
    pub fn new() -> io::Result<Self> {
        let found = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        Ok(Self { remembered: Vec::new(), pending: Vec::new(), next: 0, found, worker: None })
    }

    /// The digest of an executable, now or later.
    pub fn digest(&mut self, executable: &Executable) -> Digesting {
        let version = executable.version();
        if let Some(at) = self.remembered.iter().rposition(|(known, _)| *known == version) {
            let known = self.remembered.remove(at);
            self.remembered.push(known);
            return known.1.map_or(Digesting::Unknown, Digesting::Known);
        }
        if let Some((_, ticket)) = self.pending.iter().find(|(pending, _)| *pending == version) {
            return Digesting::Pending(*ticket);
        }
        if version.bytes() > FILE_BYTES_MAX || self.pending.len() >= QUEUE_MAX {
            return Digesting::Unknown;
        }
        self.start(executable).map_or(Digesting::Unknown, Digesting::Pending)
    }

    /// Hands a file to the worker; `None` where a descriptor or the thread cannot be had.
    fn start(&mut self, executable: &Executable) -> Option<Ticket> {
        let (version, ticket) = (executable.version(), Ticket(self.next));
        let place = executable.as_fd().try_clone_to_owned().ok()?;
        let worker = match &mut self.worker {
            Some(worker) => worker,
            None => self.worker.insert(Worker::start(self.found.clone()).ok()?),
        };
        worker.jobs.as_ref()?.send(Job { ticket, place, version }).ok()?;
        self.next += 1;
        self.pending.push((version, ticket));
        Some(ticket)
    }

    /// What has been found since it was last asked for: until `None` once the descriptor is readable. Without a digest where
    /// it cannot be told.
    pub fn poll(&mut self) -> Option<(Ticket, Option<Digest>)> {
        // Before the look, so that what is found behind it makes it readable again. It fails where nothing was found.
        let _ = read(&*self.found, &mut [0; 8]);
        let Found { ticket, digest, is_settled } = self.worker.as_ref()?.found.try_recv().ok()?;
        let at = self.pending.iter().position(|(_, pending)| *pending == ticket)?;
        let (version, _) = self.pending.swap_remove(at);
        if is_settled {
            if self.remembered.len() == REMEMBERED_MAX {
                self.remembered.remove(0);
            }
            self.remembered.push((version, digest));
        }
        Some((ticket, digest))
    }
}

impl AsFd for Digests {
    /// Readable where [`poll`](Digests::poll) may have something.
    fn as_fd(&self) -> BorrowedFd<'_> {
        (*self.found).as_fd()
    }
}

/// The thread that reads. It ends, and is waited for, when its owner goes; a file that it reads is left where it is.
#[derive(Debug)]
struct Worker {
    jobs: Option<Sender<Job>>,
    found: Receiver<Found>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Job {
    ticket: Ticket,
    place: OwnedFd,
    version: Version,
}

struct Found {
    ticket: Ticket,
    digest: Option<Digest>,
    /// Whether it holds for that version of the file from now on.
    is_settled: bool,
}

impl Worker {
    fn start(wake: Arc<OwnedFd>) -> std::io::Result<Self> {
        // Both are bounded by the number of pending tickets.
        let (jobs, waiting) = channel::<Job>();
        let (tell, found) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let work = move || {
            let mut chunk = vec![0; CHUNK_BYTES];
            while let Ok(Job { ticket, place, version }) = waiting.recv() {
                let is_settled = version.is_settled();
                let digest = digest(&place, version, &mut chunk, &stopped);
                // An event descriptor takes more events than there ever are.
                if tell.send(Found { ticket, digest, is_settled }).is_err()
                    || write(&*wake, &1u64.to_ne_bytes()).is_err()
                {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("weft-digests".to_owned()).spawn(work)?;
        Ok(Self { jobs: Some(jobs), found, stop, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It has said what it had to say, whether or not it panicked.
            let _ = thread.join();
        }
    }
}

/// The digest of a file that is this version of it before and behind.
fn digest(place: &OwnedFd, version: Version, chunk: &mut [u8], stop: &AtomicBool) -> Option<Digest> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    let file = openat(CWD, path, flags, Mode::empty()).ok()?;
    if Version::of_open(&file)? != version {
        return None;
    }
    let (mut hasher, mut left) = (blake3::Hasher::new(), version.bytes());
    while left > 0 && !stop.load(Ordering::Relaxed) {
        let count = read(&file, &mut *chunk).ok().filter(|count| *count > 0)?;
        hasher.update(&chunk[..count]);
        left = left.checked_sub(count as u64)?;
    }
    let is_whole = left == 0 && Version::of_open(&file)? == version;
    is_whole.then(|| Digest(hasher.finalize().into()))
}

impl Version {
    /// Whether the file was last changed so long ago that a change to come will have another time.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        [self.modified(), self.changed()].into_iter().all(|at| at + SETTLED <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};
    use std::fs::{self, File};
    use std::io::Write;
    use std::path::PathBuf;

    /// A file without a name, and what its owner would execute.
    fn file(content: &[u8]) -> (File, Executable) {
        let path = path();
        let mut file = File::create_new(&path).expect("a file");
        file.write_all(content).expect("written");
        fs::remove_file(path).expect("removed");
        let executable = opened(&file);
        (file, executable)
    }

    fn path() -> PathBuf {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        std::env::temp_dir().join(format!("weft-digests-{}-{number}", std::process::id()))
    }

    fn open(path: &std::path::Path) -> Executable {
        let place = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("opened");
        Executable::of(place).expect("a file")
    }

    fn opened(file: &File) -> Executable {
        open(format!("/proc/self/fd/{}", file.as_raw_fd()).as_ref())
    }

    fn wait(digests: &mut Digests) -> (Ticket, Option<Digest>) {
        loop {
            if let Some(found) = digests.poll() {
                return found;
            }
            poll(&mut [PollFd::new(&*digests, PollFlags::IN)], None).expect("waited");
        }
    }

    fn found(digests: &mut Digests, executable: &Executable) -> Option<Digest> {
        let asked = digests.digest(executable);
        let (ticket, digest) = wait(digests);
        assert_eq!(asked, Digesting::Pending(ticket));
        digest
    }

    #[test]
    fn a_digest_is_blake3s_and_that_of_a_large_file_too() {
        let mut digests = Digests::new().expect("a descriptor");
        // As b3sum prints them; the second is in BLAKE3's paper too.
        for (content, expected) in [
            (&b"abc"[..], "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
            (&b""[..], "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        ] {
            let digest = found(&mut digests, &file(content).1).expect("read");
            assert_eq!(digest.to_string(), expected);
        }
        let large: Vec<u8> = (0..CHUNK_BYTES * 2 + 77).map(|index| index as u8).collect();
        let digest = found(&mut digests, &file(&large).1).expect("read");
        assert_eq!(digest.0, *blake3::hash(&large).as_bytes());
    }

    #[test]
    fn a_file_is_read_once() {
        let mut digests = Digests::new().expect("a descriptor");
        let cat = || open("/bin/cat".as_ref());
        let first = digests.digest(&cat());
        let again = digests.digest(&cat());
        assert!(matches!(first, Digesting::Pending(_)) && again == first, "{first:?} {again:?}");
        let (_, digest) = wait(&mut digests);
        assert!(digests.poll().is_none());
        let content = fs::read("/bin/cat").expect("read");
        assert_eq!(digest, Some(Digest(*blake3::hash(&content).as_bytes())));
        assert_eq!(digests.digest(&cat()), Digesting::Known(digest.expect("read")));
    }

    #[test]
    fn what_was_just_written_is_read_each_time() {
        let mut digests = Digests::new().expect("a descriptor");
        let (_file, executable) = file(b"new");
        let first = found(&mut digests, &executable);
        assert!(first.is_some() && found(&mut digests, &executable) == first);
    }

    #[test]
    fn what_is_not_that_file_or_no_file_or_too_large_has_no_digest() {
        let mut digests = Digests::new().expect("a descriptor");
        let (mut written, executable) = file(b"before");
        written.write_all(b" and behind").expect("written");
        assert_eq!(found(&mut digests, &executable), None);
        assert_eq!(found(&mut digests, &open(&std::env::temp_dir())), None);
        let (sparse, _) = file(b"");
        sparse.set_len(FILE_BYTES_MAX + 1).expect("a large file");
        assert_eq!(digests.digest(&opened(&sparse)), Digesting::Unknown);
    }

    #[test]
    fn a_full_queue_takes_no_more_and_ends_at_once() {
        let mut digests = Digests::new().expect("a descriptor");
        let (sparse, _) = file(b"");
        sparse.set_len(FILE_BYTES_MAX).expect("a large file");
        let large = opened(&sparse);
        let files: Vec<_> = (0..QUEUE_MAX).map(|_| file(b"x")).collect();
        assert!(matches!(digests.digest(&large), Digesting::Pending(_)));
        let asked: Vec<_> = files.iter().map(|(_, executable)| digests.digest(executable)).collect();
        let (last, others) = asked.split_last().expect("some");
        assert!(others.iter().all(|asked| matches!(asked, Digesting::Pending(_))));
        assert_eq!(*last, Digesting::Unknown);
        let stop = Arc::downgrade(&digests.worker.as_ref().expect("it reads").stop);
        drop(digests);
        assert!(stop.upgrade().is_none(), "its thread has ended");
    }

    #[test]
    fn the_file_that_was_asked_for_longest_ago_is_forgotten_first() {
        let mut digests = Digests::new().expect("a descriptor");
        let executables: Vec<_> = (0..=REMEMBERED_MAX).map(|_| file(b"x").1).collect();
        let (last, first) = executables.split_last().expect("some");
        let found = Some(Digest([1; 32]));
        digests.remembered.extend(first.iter().map(|executable| (executable.version(), found)));
        assert!(matches!(digests.digest(&first[0]), Digesting::Known(_)));
        let cat = open("/bin/cat".as_ref());
        assert!(matches!(digests.digest(&cat), Digesting::Pending(_)));
        wait(&mut digests);
        assert_eq!(digests.remembered.len(), REMEMBERED_MAX);
        assert!(matches!(digests.digest(&first[0]), Digesting::Known(_)));
        assert!(matches!(digests.digest(&first[1]), Digesting::Pending(_)));
        assert!(matches!(digests.digest(last), Digesting::Pending(_)));
    }
}
