//! What a ledger's files hold, of any bytes.

use ::ledger::checkpoint::Checkpoint;
use ::ledger::journal::Journal;
use ::ledger::note::Note;
use ::ledger::proof::{ConsistencyProof, InclusionProof};
use ::ledger::tile::Records;
use ::ledger::tree::Tree;
use ::ledger::{Entry, Event, Glance, Refusal, Verdict};
use std::str;

/// Reads any bytes as an entry.
///
/// # Panics
///
/// Where reading panics, an entry that can be read has other bytes when it is written, or its head says something else than
/// the whole.
pub fn ledger_entry(data: &[u8]) {
    let (head, refusal) = (Glance::of(data), Refusal::of(data));
    let Ok(entry) = Entry::decode(data) else { return };
    assert_eq!(entry.encode().as_deref(), Ok(data), "an entry has one form");
    // Of one without the shape of an entry nothing is told but its bytes.
    if matches!(entry.event, Event::Shapeless(_)) {
        return;
    }
    let head = head.expect("an entry has a head");
    assert_eq!((head.time_ns, head.run), (entry.time_ns, entry.run));
    // Where a field is of another kind than it must be, the whole is a kind that is not known.
    if let Some(asked) = entry.event.authorization() {
        let is_refused = asked.verdict == Verdict::Refused;
        assert_eq!((head.is_refusal(), refusal.is_some()), (is_refused, is_refused));
        assert!(refusal.is_none_or(|refusal| refusal.count == asked.count));
    }
}

/// Reads any text as a signed note, a checkpoint and a proof.
///
/// # Panics
///
/// Where reading panics, or what nobody signed is taken for signed.
pub fn ledger_note(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(note) = Note::parse(text) {
        assert!(text.starts_with(note.text) && !note.signatures.is_empty());
    }
    if let Ok(checkpoint) = Checkpoint::parse_unverified(text) {
        assert!(text.starts_with(&checkpoint.text()), "a checkpoint has one form");
    }
    assert!(Checkpoint::open(text, &[]).is_err(), "no key has signed it");
    if let Ok(proof) = InclusionProof::parse(text) {
        assert_eq!(InclusionProof::parse(&proof.to_string()).as_ref(), Ok(&proof));
        assert!(proof.verify(&[]).is_err());
    }
    if let Ok(proof) = ConsistencyProof::parse(text) {
        assert_eq!(ConsistencyProof::parse(&proof.to_string()).as_ref(), Ok(&proof));
        assert!(proof.verify(text, &[]).is_err());
    }
}

/// Reads any bytes as a journal and as a bundle of entries.
///
/// # Panics
///
/// Where reading panics, or a journal's entries are not in its tree.
pub fn ledger_journal(data: &[u8]) {
    let bytes: usize = Records::new(data).flatten().map(|record| record.len() + 2).sum();
    assert!(bytes <= data.len());
    let mut tree = Tree::default();
    if let Ok(journal) = Journal::replay(data, None, &mut tree) {
        let count =
            |frame: &::ledger::journal::Frame<'_>| Records::new(frame.records).flatten().count() as u64;
        let in_frames: u64 = journal.frames.iter().map(count).sum();
        assert_eq!(tree.size(), journal.base.size + in_frames);
    }
}
