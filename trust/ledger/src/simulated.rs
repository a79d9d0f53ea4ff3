//! A disk that loses power, for tests: what was not synced is lost, torn, or kept out of order.
//!
//! Each file's content and each name is on the medium or only in memory. A loss of power keeps of what is only in memory
//! any part: single sectors of a write, a name without its content, a later change without an earlier one. That is
//! harsher than any file system, and all that the seam promises. A process that ends without syncing leaves what the next
//! one knows nothing of: syncing everything means what was written by who syncs.

use crate::storage::{Source, Storage, SyncJob};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What reaches the medium whole or not at all, in bytes.
pub const SECTOR_BYTES: usize = 512;

/// What the disk does at one of its operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Power is lost: this operation and all later ones fail.
    PowerLoss,
    /// Half of it is written; from here on there is no room.
    Full,
    /// It fails, and so do all later ones (`EIO`).
    Broken,
}

/// The disk.
///
/// ```
/// use ledger::simulated::SimulatedDisk;
/// use ledger::storage::{Source, Storage};
///
/// let mut disk = SimulatedDisk::new(7);
/// disk.write("kept", b"a")?;
/// disk.sync_all()?;
/// disk.remove("kept")?;
/// // Whether the removal reached the medium is the seed's choice; the content is whole if it did not.
/// let after = disk.after_power_loss();
/// assert!(matches!(after.read("kept")?.as_deref(), None | Some(b"a")));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    random: u64,
    names: BTreeMap<String, usize>,
    names_on_medium: BTreeMap<String, usize>,
    /// Changes of names that are only in memory, in their order, each with the number of its operation.
    name_changes: Vec<(u64, NameChange)>,
    files: Vec<SimulatedFile>,
    /// Files that were written, and folders in which names have changed, by who writes now, and were not synced since.
    own_files: BTreeSet<usize>,
    own_folders: BTreeSet<String>,
    /// Waits for the disk that were begun, and not known to be over.
    waits: Vec<Wait>,
    /// How many operations that change something there were.
    operations: u64,
    fault: Option<(u64, Fault)>,
}

/// A wait for the disk, and what is on the medium once it is over. Before, nothing of it need be.
#[derive(Clone, Debug, Default)]
struct Wait {
    is_over: Arc<AtomicBool>,
    /// Files, and how long they were.
    files: Vec<(usize, usize)>,
    folders: BTreeSet<String>,
    /// The operation that began it.
    begun: u64,
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(String, usize),
    Remove(String),
    Move(String, String, usize),
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Set(path, file) => drop(names.insert(path, file)),
            Self::Remove(path) => drop(names.remove(&path)),
            Self::Move(from, to, file) => {
                names.remove(&from);
                names.insert(to, file);
            }
        }
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        let (first, second) = match self {
            Self::Set(path, _) | Self::Remove(path) => (path, None),
            Self::Move(from, to, _) => (from, Some(to)),
        };
        std::iter::once(first).chain(second).map(String::as_str)
    }
}

#[derive(Clone, Debug, Default)]
struct SimulatedFile {
    content: Vec<u8>,
    on_medium: Vec<u8>,
    /// What was written since, as places and lengths in the content.
    written: Vec<(usize, usize)>,
}

impl SimulatedDisk {
    /// An empty disk, all whose choices come from this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: seed, ..Self::default() }
    }

    /// Has this happen at the operation of this number, counted from the disk's first that changes or syncs anything.
    pub fn set_fault(&mut self, operation: u64, fault: Fault) {
        self.fault = Some((operation, fault));
    }

    /// How many operations that change or sync anything there were.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// The disk as it is found when power is back.
    #[must_use]
    pub fn after_power_loss(mut self) -> Self {
        self.take_in();
        let mut names = std::mem::take(&mut self.names_on_medium);
        for (_, change) in std::mem::take(&mut self.name_changes) {
            if self.draw(2) == 1 {
                change.apply(&mut names);
            }
        }
        let mut after = Self { random: self.random, ..Self::default() };
        for (path, file) in names {
            let file = self.files[file].clone();
            let content = self.survive(file);
            let index = after.files.len();
            after.files.push(SimulatedFile { content: content.clone(), on_medium: content, written: vec![] });
            after.names.insert(path, index);
        }
        after.names_on_medium = after.names.clone();
        after.random = self.random;
        after
    }

    /// The disk as it is found when its fault was cleared and nothing lost, by another process than the one that wrote.
    #[must_use]
    pub fn repaired(mut self) -> Self {
        self.take_in();
        self.waits.clear();
        self.fault = None;
        self.own_files.clear();
        self.own_folders.clear();
        self
    }

    /// What is left of a file: each sector that was written since it was synced, or what was there before.
    fn survive(&mut self, file: SimulatedFile) -> Vec<u8> {
        let mut content = file.on_medium;
        for (start, length) in file.written {
            // Most often all of it or nothing, as it is.
            let mode = self.draw(4);
            for sector in (start..start + length).step_by(SECTOR_BYTES) {
                let is_kept = mode == 0 || (mode > 1 && self.draw(2) == 0);
                let end = (sector + SECTOR_BYTES).min(start + length).min(file.content.len());
                if is_kept && sector < end {
                    content.resize(content.len().max(end), 0);
                    content[sector..end].copy_from_slice(&file.content[sector..end]);
                }
            }
        }
        content
    }

    /// A number below a bound, by SplitMix64.
    fn draw(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Counts an operation; the fault that it meets.
    fn begin(&mut self) -> Option<Fault> {
        self.take_in();
        let number = self.operations;
        self.operations += 1;
        self.fault.filter(|(at, _)| number >= *at).map(|(_, fault)| fault)
    }

    /// How many bytes of a write go through, and how it ends.
    fn begin_write(&mut self, length: usize) -> (usize, io::Result<()>) {
        match self.begin() {
            None => (length, Ok(())),
            // It was on its way: any part of it may have reached the medium.
            Some(Fault::PowerLoss) => (length, Err(io::Error::other("power was lost"))),
            Some(Fault::Full) => (length / 2, Err(ErrorKind::StorageFull.into())),
            Some(Fault::Broken) => (0, Err(io::Error::other("input/output error"))),
        }
    }

    fn begin_change(&mut self) -> io::Result<()> {
        match self.begin() {
            None | Some(Fault::Full) => Ok(()),
            Some(Fault::PowerLoss) => Err(io::Error::other("power was lost")),
            Some(Fault::Broken) => Err(io::Error::other("input/output error")),
        }
    }

    fn file(&self, path: &str) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Names have changed in memory.
    fn change_name(&mut self, change: NameChange) {
        self.own_folders.extend(change.paths().map(folder_of).map(str::to_owned));
        self.name_changes.push((self.operations, change));
    }

    /// What waits that are over were for is on the medium.
    fn take_in(&mut self) {
        let (over, waits) = std::mem::take(&mut self.waits)
            .into_iter()
            .partition(|wait| wait.is_over.load(Ordering::Acquire));
        self.waits = waits;
        let over: Vec<Wait> = over;
        over.iter().for_each(|wait| self.settle(wait));
    }

    fn settle(&mut self, wait: &Wait) {
        for (number, length) in &wait.files {
            let file = &mut self.files[*number];
            // A file only grows: another of its name is another file.
            if file.on_medium.len() < *length {
                file.on_medium = file.content[..*length].to_vec();
            }
            file.written.retain(|(start, written)| start + written > *length);
            if file.written.is_empty() {
                self.own_files.remove(number);
            }
        }
        // A folder is synced as a whole, whoever has changed what names in it.
        for (number, change) in std::mem::take(&mut self.name_changes) {
            let is_synced =
                number < wait.begun && change.paths().any(|path| wait.folders.contains(folder_of(path)));
            match is_synced {
                true => change.apply(&mut self.names_on_medium),
                false => self.name_changes.push((number, change)),
            }
        }
        let changes = &self.name_changes;
        let is_changed = |folder: &String| {
            changes.iter().any(|(_, change)| change.paths().any(|path| folder_of(path) == folder))
        };
        self.own_folders.retain(|folder| !wait.folders.contains(folder) || is_changed(folder));
    }

    /// A wait for these files as they are now, and for these folders.
    fn wait(&self, files: impl IntoIterator<Item = usize>, folders: BTreeSet<String>) -> Wait {
        let files = files.into_iter().map(|file| (file, self.files[file].content.len())).collect();
        Wait { files, folders, begun: self.operations, ..Wait::default() }
    }

    /// The job of a wait, which fails as this says.
    fn beside(&mut self, wait: Wait, outcome: io::Result<()>) -> SyncJob {
        let is_over = wait.is_over.clone();
        self.waits.push(wait);
        Box::new(move || {
            is_over.store(outcome.is_ok(), Ordering::Release);
            outcome
        })
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Source for SimulatedDisk {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.names.get(path).map(|file| self.files[*file].content.clone()))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let below = self.names.keys().filter_map(|path| path.strip_prefix(&prefix));
        let names: BTreeSet<&str> = below.map(|path| path.split('/').next().unwrap_or(path)).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }
}

impl Storage for SimulatedDisk {
    fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let (length, outcome) = self.begin_write(bytes.len());
        // A new file in the place of the old: what of the old one is still on the medium is not told apart from nothing.
        let file = self.files.len();
        let content = bytes[..length].to_vec();
        self.files.push(SimulatedFile { content, on_medium: Vec::new(), written: vec![(0, length)] });
        self.names.insert(path.to_owned(), file);
        self.own_files.insert(file);
        self.change_name(NameChange::Set(path.to_owned(), file));
        outcome
    }

    fn append(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(path)?;
        let (length, outcome) = self.begin_write(bytes.len());
        self.own_files.insert(file);
        let file = &mut self.files[file];
        file.written.push((file.content.len(), length));
        file.content.extend_from_slice(&bytes[..length]);
        outcome
    }

    fn adopt(&mut self, path: &str) {
        self.own_files.extend(self.names.get(path));
        self.own_folders.insert(folder_of(path).to_owned());
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let file = self.file(from)?;
        self.begin_change()?;
        self.names.remove(from);
        self.names.insert(to.to_owned(), file);
        self.change_name(NameChange::Move(from.to_owned(), to.to_owned(), file));
        Ok(())
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        self.begin_change()?;
        // What is not there may be on the medium: who removed it has not synced that.
        self.own_folders.insert(folder_of(path).to_owned());
        let folder = format!("{path}/");
        let is_in = |name: &&String| *name == path || name.starts_with(&folder);
        for name in self.names.keys().filter(is_in).cloned().collect::<Vec<_>>() {
            self.names.remove(&name);
            self.change_name(NameChange::Remove(name));
        }
        Ok(())
    }

    fn sync_beside(&mut self, path: &str) -> io::Result<SyncJob> {
        let outcome = self.begin_change();
        let wait = self.wait([self.file(path)?], BTreeSet::new());
        Ok(self.beside(wait, outcome))
    }

    fn sync_all_beside(&mut self) -> io::Result<SyncJob> {
        let outcome = self.begin_change();
        let wait = self.wait(self.own_files.clone(), self.own_folders.clone());
        Ok(self.beside(wait, outcome))
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.begin_change()?;
        let wait = self.wait(self.own_files.clone(), self.own_folders.clone());
        self.settle(&wait);
        Ok(())
    }
}
