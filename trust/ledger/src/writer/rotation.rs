//! Going on in a new log, and letting old ones go.

use super::{GrowingLog, OpenError, WriteError, Writer, failed};
use crate::checkpoint::Checkpoint;
use crate::edge;
use crate::entry::{Entry, Event, LogStart, RunId};
use crate::journal::Frame;
use crate::layout;
use crate::storage::Storage;

impl<S: Storage> Writer<S> {
    /// Ends the newest log and begins the next, whose first entry names the last checkpoint of the old one, with these
    /// entries behind it.
    pub(super) fn rotate(&mut self, time_ns: u64, records: &[u8]) -> Result<(), WriteError> {
        self.publish(self.log.published())?;
        let sequence = self.next();
        let oldest = self.oldest_kept(time_ns)?;
        let start = LogStart { sequence, previous: self.log.note.clone(), oldest: Some(oldest) };
        let entry = Entry::new(time_ns, RunId::default(), Event::LogStart(start));
        let entry = entry.encode().expect("a log's first entry is bounded");
        // An entry has at most 65,535 bytes.
        let mut all = (entry.len() as u16).to_be_bytes().to_vec();
        all.extend_from_slice(&entry);
        all.extend_from_slice(records);
        let old = self.log.number;
        self.log = GrowingLog::empty(old + 1, sequence);
        let first = self.sign();
        let base = Frame { first: 0, entry_bytes: 0, synced: 0, records: &[], note: &first }.encode();
        let full = self.log.extend(&all);
        self.log.note = self.sign();
        let frame =
            Frame { first: 0, entry_bytes: 0, synced: 0, records: &all, note: &self.log.note }.encode();
        // The tiles of the old log are on disk before the journal goes that has the same.
        self.storage.sync_all().map_err(failed("sync", layout::in_log(old, "checkpoint")))?;
        self.replace_journal(&[base, frame].concat())?;
        self.log.synced = self.log.tree.size();
        // A new log tells that it is there, with no entries yet: so where there are tiles there is a checkpoint.
        self.write_checkpoint(&first)?;
        full.into_iter().try_for_each(|full| self.write_full(full))?;
        self.publish(self.log.published())?;
        self.retire(oldest)
    }

    /// The oldest log that stays once the next begins, as its first entry tells. A log that somebody has taken away, and that
    /// was to stay, stays in what is told: it is missed until its time is over.
    fn oldest_kept(&self, now_ns: u64) -> Result<u64, WriteError> {
        let logs = layout::logs(&self.storage).map_err(failed("list", "the logs"))?;
        let (newest, current) = (self.log.number + 1, self.log.number);
        let first = edge::first_record(&self.storage, current, self.log.tree.size());
        let told = match first.and_then(|first| Entry::decode(&first).ok()).map(|entry| entry.event) {
            _ if current == 1 => Some(1),
            Some(Event::LogStart(start)) => start.oldest,
            _ => None,
        };
        let told = told.or(logs.first().copied()).unwrap_or(current).min(current);
        let keep = self.config.keep_logs.unwrap_or(layout::LOGS_MAX).clamp(1, layout::LOGS_MAX) as u64;
        let start = told.max((newest + 1).saturating_sub(keep));
        // The chain has no gaps: what is younger than one that stays does as well.
        let left = logs.into_iter().filter(|log| (start..newest).contains(log));
        let too_old = left.take_while(|log| self.is_too_old(*log, newest, now_ns)).last();
        Ok(too_old.map_or(start, |log| log + 1))
    }

    /// Removes the logs before this one.
    fn retire(&mut self, oldest: u64) -> Result<(), WriteError> {
        let logs = layout::logs(&self.storage).map_err(failed("list", "the logs"))?;
        let newest = self.log.number;
        logs.into_iter().filter(|log| *log < oldest.min(newest)).try_for_each(|log| self.remove_log(log))
    }

    /// Its checkpoint goes first: half a log is not taken for one.
    fn remove_log(&mut self, log: u64) -> Result<(), WriteError> {
        let path = layout::in_log(log, "checkpoint");
        self.storage.remove(&path).map_err(failed("remove", &path))?;
        self.storage.sync_all().map_err(failed("sync", &path))?;
        self.storage.remove(&log.to_string()).map_err(failed("remove", log.to_string()))
    }

    /// Removes what is left of logs whose removal was interrupted: perhaps before it was on disk that the checkpoint is gone.
    pub(super) fn remove_rests(&mut self) -> Result<(), WriteError> {
        let (logs, newest) =
            (layout::logs(&self.storage).map_err(failed("list", "the logs"))?, self.log.number);
        for log in logs.into_iter().filter(|log| *log < newest) {
            let path = layout::in_log(log, "checkpoint");
            if self.storage.read(&path).map_err(failed("read", &path))?.is_none() {
                self.remove_log(log)?;
            }
        }
        Ok(())
    }

    /// Whether there may be such. The oldest goes first.
    pub(super) fn has_rests(&self) -> Result<bool, OpenError> {
        let oldest = layout::logs(&self.storage).map_err(OpenError::Io)?.into_iter().next();
        let Some(oldest) = oldest.filter(|log| *log < self.log.number) else { return Ok(false) };
        let note = self.storage.read(&layout::in_log(oldest, "checkpoint")).map_err(OpenError::Io)?;
        Ok(note.is_none())
    }

    /// A log ended when the next began; the newest begins now.
    fn is_too_old(&self, log: u64, newest: u64, now_ns: u64) -> bool {
        let Some(keep_age_ns) = self.config.keep_age_ns else { return false };
        let ended_ns = match log + 1 == newest {
            true => Some(now_ns),
            false => self.size_of(log + 1).and_then(|size| self.started_ns(log + 1, size)),
        };
        ended_ns.is_some_and(|ended_ns| now_ns.saturating_sub(ended_ns) > keep_age_ns)
    }

    /// How many entries a log has that is complete.
    fn size_of(&self, log: u64) -> Option<u64> {
        let note = self.storage.read(&layout::in_log(log, "checkpoint")).ok()??;
        let checkpoint = Checkpoint::parse_unverified(str::from_utf8(&note).ok()?).ok()?;
        Some(checkpoint.size)
    }

    /// The time of the first entry of a log that has so many in its tiles; `None` where it cannot be told, which lets
    /// nothing go.
    pub(super) fn started_ns(&self, log: u64, size: u64) -> Option<u64> {
        let record = edge::first_record(&self.storage, log, size)?;
        Entry::decode(&record).ok().map(|entry| entry.time_ns)
    }
}
