//! What a run's policy is read from, and when it is read again.

use super::answers::Answers;
use super::deeds::Form;
use super::guarded::Guarded;
use super::lessons::EVERYTHING;
use crate::options::Options;
use axiom::Proposal;
use axiom::policy::{Load, POLICY_BYTES_MAX, Policy, PolicyBuilder, PolicyError};
use axiom::rules::Protocol;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use time::{Duration, Instant};

/// How long a change waits for others: an editor writes in several steps, and a policy may have several files.
const SETTLING: Duration = Duration::from_millis(50);

/// Reads a file of a policy, and no more of it than a policy may have.
///
/// # Errors
///
/// Why it cannot be read, in words.
pub fn load_policy(path: &str) -> Result<Vec<u8>, String> {
    let told = |error: io::Error| error.to_string();
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(told)?;
    file.take(POLICY_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(told)?;
    Ok(bytes)
}

/// Flags and files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    allow: Vec<String>,
    deny: Vec<String>,
    publish: Vec<(Protocol, u16)>,
    files: Vec<String>,
    lists: Vec<(String, String)>,
    /// Everything is allowed but what a rule denies, because it is learned.
    is_learning: bool,
    /// What a person has answered for good.
    answers: Answers,
}

impl Source {
    /// What the options name.
    pub fn of(options: &Options) -> Self {
        let publish = options.publish.iter();
        let publish = publish
            .map(|publish| (if publish.udp { Protocol::Udp } else { Protocol::Tcp }, publish.port))
            .collect();
        Self {
            allow: options.allow.clone(),
            deny: options.deny.clone(),
            publish,
            files: options.policy.clone(),
            lists: options.lists.clone(),
            is_learning: options.learn.is_some() && !options.ask,
            answers: Answers::new(options.learn.as_deref().map(Form::of).unwrap_or_default()),
        }
    }

    /// A person has said that something always or never may be. Whether that can be kept.
    pub fn answer(&mut self, proposal: &Proposal, is_allowed: bool) -> bool {
        self.answers.take(proposal, is_allowed)
    }

    /// How the ledger names it.
    pub fn name(&self) -> String {
        if self.files.is_empty() { "the command line".to_owned() } else { self.files.join(", ") }
    }

    /// The policy as it stands now, or what is wrong with it, and what was read for it.
    pub fn read(&self) -> (Result<Policy, PolicyError>, Texts) {
        let mut texts = Texts::new();
        let policy = self.read_by(&mut |path| {
            let text = load_policy(path);
            texts.insert(PathBuf::from(path), text.clone());
            text
        });
        (policy, texts)
    }

    /// The policy while the command runs: of files that it cannot change as they stand now, else of what was read before.
    pub fn read_again(&self, watch: Option<&Watch>) -> Result<Policy, PolicyError> {
        self.read_by(&mut |path| {
            let path = Path::new(path);
            let unread = || Err("it was not read when the run began".to_owned());
            match watch.map(Watch::guarded) {
                Some(Ok(guarded)) => guarded.read(path).map_err(|error| error.to_string()),
                Some(Err(kept)) => kept.texts.get(path).cloned().unwrap_or_else(unread),
                None => unread(),
            }
        })
    }

    fn read_by(&self, load: &mut Load<'_>) -> Result<Policy, PolicyError> {
        let mut builder = PolicyBuilder::default().rules(&self.allow, &self.deny);
        for (protocol, port) in &self.publish {
            builder = builder.publish(*protocol, *port);
        }
        for (name, path) in &self.lists {
            builder = builder.list(name, path, load);
        }
        for path in &self.files {
            builder = builder.file(path, load);
        }
        if self.is_learning {
            builder = builder.file("learn.cedar", &mut |_| Ok(EVERYTHING.as_bytes().to_vec()));
        }
        self.answers.add_to(builder).build()
    }
}

/// Tells when a policy's files have changed: their directories are watched, so that a file may be replaced.
#[derive(Debug)]
pub(crate) struct Watch {
    inotify: OwnedFd,
    due: Option<Instant>,
    /// What the files are read by, where a change counts.
    guarded: Result<Guarded, Kept>,
}

/// What was read for a policy, by its path; or why it could not be.
pub(crate) type Texts = BTreeMap<PathBuf, Result<Vec<u8>, String>>;

/// What holds where no change counts.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The first file that the command may change.
    pub path: PathBuf,
    texts: Texts,
}

impl Watch {
    /// Watches these files, before the command runs. `read_only` are the directories that it cannot write.
    ///
    /// # Errors
    ///
    /// Where the kernel has no room for it.
    pub fn start(texts: Texts, read_only: &[PathBuf]) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let paths: BTreeSet<PathBuf> = texts.keys().cloned().collect();
        let parents = paths.iter().map(|path| path.parent().filter(|parent| !parent.as_os_str().is_empty()));
        let directories: BTreeSet<&Path> = parents.map(|parent| parent.unwrap_or(Path::new("."))).collect();
        for directory in directories {
            let flags = WatchFlags::CLOSE_WRITE
                | WatchFlags::MOVED_TO
                | WatchFlags::MOVED_FROM
                | WatchFlags::DELETE
                | WatchFlags::ONLYDIR;
            inotify::add_watch(&inotify, directory, flags)?;
        }
        let guarded = Guarded::of(&paths, read_only).map_err(|path| Kept { path, texts });
        Ok(Self { inotify, due: None, guarded })
    }

    /// What to read the files by.
    ///
    /// # Errors
    ///
    /// What holds, where the command may change one of them.
    pub fn guarded(&self) -> Result<&Guarded, &Kept> {
        self.guarded.as_ref()
    }

    /// Readable when something has changed.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Takes in that something has changed.
    pub fn handle_readiness(&mut self, now: Instant) {
        let mut room = [MaybeUninit::uninit(); 4_096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut room);
        while reader.next().is_ok() {
            // The last of several: what is written in steps is read when it is whole.
            self.due = Some(now + SETTLING);
        }
    }

    /// Whether it is time to read the policy again.
    pub fn take_due(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    /// When [`take_due`](Self::take_due) is to be asked.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_replaced_or_written_is_due_once_it_is_quiet() {
        let directory = std::env::temp_dir().join(format!("weft-watch-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("policy");
        std::fs::write(&path, "a.example\n").expect("written");
        let source = Source { files: vec![path.to_string_lossy().into_owned()], ..Source::default() };
        let (policy, texts) = source.read();
        assert_eq!(policy.expect("a policy").counts(), (1, 0));
        let mut watch = Watch::start(texts, &[]).expect("a watch");
        let start = Instant::from_secs(1);
        watch.handle_readiness(start);
        assert_eq!(watch.poll_timeout(), None);
        std::fs::write(directory.join("next"), "b.example\nb.example:80\n").expect("written");
        std::fs::rename(directory.join("next"), &path).expect("renamed");
        watch.handle_readiness(start);
        assert_eq!(watch.poll_timeout(), Some(start + SETTLING));
        assert!(!watch.take_due(start) && watch.take_due(start + SETTLING) && !watch.take_due(Instant::MAX));
        assert_eq!(source.read().0.expect("a policy").counts(), (2, 0));
        std::fs::remove_file(&path).expect("removed");
        watch.handle_readiness(start);
        assert!(watch.take_due(start + SETTLING));
        assert!(source.read().0.is_err(), "what is not there allows nothing");
        std::fs::remove_dir_all(&directory).expect("gone");
    }
}
