//! `weft ledger tail`: the last entries, and those that come, also in shards that are made later.

use super::entry::Style;
use super::select::Selection;
use super::{Failure, decoded, open, path_of, read, tell_lost};
use crate::args::Place;
use ledger::{Reader, ShardNumber, journal, layout};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub fn tail(
    place: &Place,
    mut selection: Selection,
    lines: u64,
    follow: bool,
    json: bool,
) -> Result<ExitCode, Failure> {
    let watch = if follow { Some(Watch::open(path_of(place)?)?) } else { None };
    let style = Style::of_stdout(json);
    let mut out = io::stdout().lock();
    out.write_all(style.header().as_bytes()).map_err(Failure::output)?;
    // Where each shard goes on; a shard that was not there before begins with all that it has.
    let mut next: Option<BTreeMap<ShardNumber, u64>> = None;
    loop {
        // Watched before it is read: what comes in between wakes.
        watch.as_ref().map(Watch::renew).transpose()?;
        let ledger = open(place)?;
        let shards = read(&ledger)?;
        let last = |reader: &Reader<_>| reader.next().saturating_sub(lines).max(reader.first());
        let start = |shard| match &next {
            None => shards.reader(shard).map_or(0, last),
            Some(next) => next.get(&shard).copied().unwrap_or(0),
        };
        // The last of all are among the last of each.
        let count: u64 = shards.readers().iter().map(|(_, reader)| reader.next() - last(reader)).sum();
        let mut skip = if next.is_none() { count.saturating_sub(lines) } else { 0 };
        for found in shards.entries(|shard| start(shard)..u64::MAX) {
            let found = found.map_err(Failure::unable)?;
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let entry = decoded(&found)?;
            if selection.takes(found.number(), entry) {
                out.write_all(style.line(found.shard, &found.record, entry).as_bytes())
                    .map_err(Failure::output)?;
            }
        }
        out.flush().map_err(Failure::output)?;
        tell_lost(&shards);
        next = Some(
            shards
                .readers()
                .iter()
                .map(|(shard, reader)| (*shard, reader.next().max(start(*shard))))
                .collect(),
        );
        let Some(watch) = &watch else { return Ok(ExitCode::SUCCESS) };
        watch.wait()?;
    }
}

/// What wakes where a journal grows, another takes its place, or a shard is made.
struct Watch {
    path: PathBuf,
    queue: OwnedFd,
}

impl Watch {
    fn open(path: PathBuf) -> Result<Self, Failure> {
        let queue = init(CreateFlags::CLOEXEC);
        let queue = queue.map_err(|error| Failure::Unable(format!("inotify: {}", io::Error::from(error))))?;
        Ok(Self { path, queue })
    }

    /// Watches what is there: each folder before it is looked what is in it. One that is watched already stays so.
    fn renew(&self) -> Result<(), Failure> {
        self.add(&self.path.join(journal::FOLDER), true)?;
        self.add(&self.path, true)?;
        self.add(&self.path.join(layout::SHARDS), false)?;
        let source = ledger::directory::Directory::open(&self.path);
        for shard in layout::shards(&source).map_err(Failure::unable)?.unwrap_or_default() {
            let folder = self.path.join(layout::shard(shard));
            self.add(&folder, false)?;
            self.add(&folder.join(journal::FOLDER), false)?;
        }
        Ok(())
    }

    fn add(&self, folder: &Path, must_be: bool) -> Result<(), Failure> {
        match add_watch(&self.queue, folder, WatchFlags::MODIFY | WatchFlags::CREATE) {
            Err(rustix::io::Errno::NOENT) if !must_be => Ok(()),
            Err(error) => {
                let error = io::Error::from(error);
                Err(Failure::Unable(format!("{} cannot be watched: {error}", folder.display())))
            }
            Ok(_) => Ok(()),
        }
    }

    /// Which file has changed does not matter: the ledger is read again.
    fn wait(&self) -> Result<(), Failure> {
        let mut events = [0u8; 4_096];
        match rustix::io::read(&self.queue, &mut events) {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::Unable(format!("inotify: {error}"))),
        }
    }
}
