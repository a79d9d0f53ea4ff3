//! A directory that holds a ledger.

use crate::regular;
use crate::storage::{FILE_BYTES_MAX, Source, Storage, SyncJob};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many files are synced one by one; of more, the whole file system is. Each that is new takes a commit of the file
/// system's own journal, milliseconds where others write as well.
const SYNCS_MAX: usize = 16;

/// The file that a writer locks.
const LOCK: &str = "lock";

/// A directory that is read: a ledger, or a copy of one.
///
/// ```
/// use ledger::directory::Directory;
/// use ledger::storage::Source;
///
/// let nothing = Directory::open("/nonexistent");
/// assert_eq!(nothing.read("checkpoint")?, None);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

/// A directory that is written, by one at a time: the same one, however it or what it lies in is renamed meanwhile.
#[derive(Debug)]
pub struct DirectoryStorage {
    directory: Directory,
    /// What `directory` leads to.
    held: Arc<File>,
    /// The same for who waits beside: each is told of a failure of the disk.
    held_beside: Arc<File>,
    /// Held as long as it is written.
    _lock: File,
    /// The file that was appended to last; who waits for the disk has it too.
    appended: Option<(String, Arc<File>)>,
    /// What is not known to be on disk: files, and folders whose names have changed.
    dirty: BTreeSet<PathBuf>,
    /// Whether the last wait beside for all of it is over: what that was for is not in `dirty`.
    is_synced_beside: Arc<AtomicBool>,
    /// Folders whose own names are on disk, or are synced with the rest: who made them may not have done it.
    known: BTreeSet<PathBuf>,
}

impl Directory {
    /// The directory of this path. Nothing is looked at yet.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn resolve(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.path.clone() } else { self.path.join(path) }
    }

    /// Holds to it that what a path leads through are folders, as far as they are there.
    fn hold_to_folders(&self, path: &str) -> io::Result<()> {
        let mut folders =
            path.match_indices('/').map(|(at, _)| &path[..at]).filter(|folder| !folder.is_empty());
        folders.try_for_each(|folder| regular::hold_to_folder(&self.resolve(folder), folder))
    }
}

impl Source for Directory {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match regular::open_with(OpenOptions::new().read(true), &self.resolve(path), path) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return self.hold_to_folders(path).map(|()| None),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len().min(FILE_BYTES_MAX);
        let mut bytes = Vec::with_capacity(length as usize + 1);
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > FILE_BYTES_MAX {
            true => Err(io::Error::new(ErrorKind::FileTooLarge, "the file is longer than a ledger's can be")),
            false => Ok(Some(bytes)),
        }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.resolve(folder)) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => {
                return self.hold_to_folders(&format!("{folder}/")).map(|()| Vec::new());
            }
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            // Names that are not text are not the ledger's.
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// What is not known to be on disk.
enum Dirty {
    All(Arc<File>),
    Each(Vec<File>),
}

impl Dirty {
    fn sync(self) -> io::Result<()> {
        match self {
            Self::All(held) => Ok(rustix::fs::syncfs(&*held)?),
            Self::Each(files) => files.iter().try_for_each(File::sync_all),
        }
    }
}

/// Makes a folder and those above it. Gives those in which a name is new.
fn make_folder(path: &Path) -> io::Result<Vec<PathBuf>> {
    let absent = path.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.exists());
    let parent = |made: &Path| match made.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let above = absent.map(parent).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    Ok(above)
}

/// What has no name any more takes all that is written to it, and nobody finds it again.
fn check_name(file: &File) -> io::Result<()> {
    match file.metadata()?.nlink() {
        0 => Err(io::Error::new(ErrorKind::NotFound, "it was removed while it was written")),
        _ => Ok(()),
    }
}

/// A path below a file is as absent as one that leads nowhere.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

impl DirectoryStorage {
    /// The directory of this path, made where there is none, with access for its owner only; nobody else writes it as
    /// long as this value lives.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] where another writes it, and whatever keeps it from being made or locked.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let above = make_folder(&path)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = regular::open_with(&mut options, &path.join(LOCK), LOCK)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                io::Error::new(ErrorKind::WouldBlock, "another process writes this ledger")
            }
            TryLockError::Error(error) => error,
        })?;
        let held = Arc::new(File::open(&path)?);
        let held_beside = Arc::new(File::open(&path)?);
        // Its path may be another's later: what is written goes to what was locked.
        let by_descriptor = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
        let path = if by_descriptor.is_dir() { by_descriptor } else { path };
        let dirty = above.into_iter().chain([path.clone()]).collect();
        let known = BTreeSet::from([path.clone()]);
        Ok(Self {
            directory: Directory { path },
            held,
            held_beside,
            _lock: lock,
            appended: None,
            dirty,
            is_synced_beside: Arc::new(AtomicBool::new(true)),
            known,
        })
    }

    /// What is to be synced so that everything is on disk; this leads to the file system.
    fn take_dirty(&mut self, held: Arc<File>) -> io::Result<Dirty> {
        let is_beside = !self.is_synced_beside.load(Ordering::Acquire);
        if self.dirty.len() > SYNCS_MAX || is_beside {
            self.dirty.clear();
            return Ok(Dirty::All(held));
        }
        let open = |path| {
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(regular::no_wait()).open(path)
        };
        // Opened now: what is removed while somebody waits for it is not missed.
        let files = self.dirty.iter().map(open).collect::<io::Result<_>>()?;
        self.dirty.clear();
        Ok(Dirty::Each(files))
    }

    /// Has the names of these folders above it be on disk with all else: another may have made them, just now.
    pub(crate) fn sync_above(&mut self, folders: impl IntoIterator<Item = PathBuf>) {
        self.dirty.extend(folders);
    }

    fn make_folders(&mut self, path: &Path) -> io::Result<()> {
        let Some(folder) = path.parent() else { return Ok(()) };
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            self.known.remove(folder);
        }
        self.mark_folder(folder);
        Ok(())
    }

    /// Names in this folder have changed.
    fn mark_folder(&mut self, folder: &Path) {
        let unknown = folder.ancestors().take_while(|above| !self.known.contains(*above));
        let unknown: Vec<PathBuf> = unknown.map(Path::to_owned).collect();
        self.dirty.extend(unknown.iter().filter_map(|folder| folder.parent()).map(Path::to_owned));
        self.known.extend(unknown);
        self.dirty.insert(folder.to_owned());
    }

    fn forget(&mut self, path: &str) {
        self.appended.take_if(|(open, _)| open == path);
    }
}

impl Source for DirectoryStorage {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.directory.read(path)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.directory.list(folder)
    }
}

impl Storage for DirectoryStorage {
    fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.forget(path);
        let (name, path) = (path, self.directory.resolve(path));
        self.make_folders(&path)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let mut file = regular::open_with(&mut options, &path, name)?;
        self.dirty.insert(path);
        // A writer that opens a ledger writes tiles as they are already: who reads them, or kills it, finds them whole.
        if file.metadata()?.len() > bytes.len() as u64 {
            file.set_len(bytes.len() as u64)?;
        }
        file.write_all(bytes)
    }

    fn append(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let is_open = self.appended.as_ref().is_some_and(|(open, _)| open == path);
        if !is_open {
            let mut options = OpenOptions::new();
            let file = regular::open_with(options.append(true), &self.directory.resolve(path), path)?;
            self.appended = Some((path.to_owned(), Arc::new(file)));
        }
        self.dirty.insert(self.directory.resolve(path));
        let (_, file) = self.appended.as_ref().expect("it is open now");
        check_name(file)?;
        (&**file).write_all(bytes)
    }

    fn adopt(&mut self, path: &str) {
        let path = self.directory.resolve(path);
        if let Some(folder) = path.parent() {
            self.mark_folder(folder);
        }
        self.dirty.insert(path);
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.forget(from);
        self.forget(to);
        let (from, to) = (self.directory.resolve(from), self.directory.resolve(to));
        fs::rename(&from, &to)?;
        if self.dirty.remove(&from) {
            self.dirty.insert(to.clone());
        }
        self.dirty.extend([&from, &to].into_iter().filter_map(|path| path.parent()).map(Path::to_owned));
        Ok(())
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        self.forget(path);
        let path = self.directory.resolve(path);
        let removed = match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::IsADirectory => fs::remove_dir_all(&path),
            removed => removed,
        };
        match removed {
            Err(error) if is_absent(&error) => {}
            removed => removed?,
        }
        self.dirty.retain(|dirty| !dirty.starts_with(&path));
        self.known.retain(|known| !known.starts_with(&path));
        // What is not there may be on disk: who removed it has not synced that.
        self.dirty.extend(path.parent().filter(|folder| folder.is_dir()).map(Path::to_owned));
        Ok(())
    }

    fn sync_beside(&mut self, path: &str) -> io::Result<SyncJob> {
        let file = match &self.appended {
            Some((open, file)) if open == path => file.clone(),
            _ => Arc::new(regular::open(&self.directory.resolve(path))?),
        };
        // Now: by the time that the wait is over its writer may have let it go.
        check_name(&file)?;
        Ok(Box::new(move || file.sync_data()))
    }

    fn sync_all_beside(&mut self) -> io::Result<SyncJob> {
        let dirty = self.take_dirty(self.held_beside.clone())?;
        let is_synced = Arc::new(AtomicBool::new(false));
        self.is_synced_beside = is_synced.clone();
        if let Some((_, appended)) = &self.appended {
            check_name(appended)?;
        }
        Ok(Box::new(move || {
            dirty.sync()?;
            is_synced.store(true, Ordering::Release);
            Ok(())
        }))
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.take_dirty(self.held.clone())?.sync()?;
        self.is_synced_beside = Arc::new(AtomicBool::new(true));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_writes_at_a_time_and_nobody_else_reads() {
        let path = std::env::temp_dir().join(format!("weft-ledger-lock-{}", std::process::id()));
        let storage = DirectoryStorage::open(&path).unwrap();
        assert_eq!(DirectoryStorage::open(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        drop(storage);
        let mut storage = DirectoryStorage::open(&path).unwrap();
        storage.write("a/b", b"c").unwrap();
        assert_eq!(fs::metadata(path.join("a/b")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(storage.dirty.len(), 3);
        // More than are synced one by one.
        (0..SYNCS_MAX).for_each(|number| storage.write(&format!("{number}"), b"").unwrap());
        storage.sync_all().unwrap();
        assert!(storage.dirty.is_empty());
        // Who waits beside has what was written before; what it has not done is synced by who waits himself.
        storage.write("a/c", b"d").unwrap();
        let job = storage.sync_all_beside().unwrap();
        storage.remove("a/c").unwrap();
        assert!(matches!(storage.take_dirty(storage.held.clone()), Ok(Dirty::All(_))));
        job().unwrap();
        assert!(matches!(storage.take_dirty(storage.held.clone()), Ok(Dirty::Each(_))));
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn what_was_removed_takes_nothing_and_is_not_synced() {
        let path = std::env::temp_dir().join(format!("weft-ledger-removed-{}", std::process::id()));
        let mut storage = DirectoryStorage::open(&path).unwrap();
        storage.write("journal/1", b"a").unwrap();
        storage.append("journal/1", b"b").unwrap();
        fs::remove_dir_all(&path).unwrap();
        let synced = storage.sync_beside("journal/1").map(drop);
        for error in [storage.append("journal/1", b"c").unwrap_err(), synced.unwrap_err()] {
            assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("removed"), "{error}");
        }
    }
}
