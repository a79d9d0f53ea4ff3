//! `weft ledger verify`: of a ledger, of a copy or an exported file, and of proofs.

use super::{AnySource, Failure, open_source, path_of, tell_path};
use crate::args::Place;
use crate::print;
use identity::{PublicKey, SecretKey};
use ledger::archive::Archive;
use ledger::checkpoint::Checkpoint;
use ledger::proof::{ConsistencyProof, INCLUSION_HEADER, InclusionProof, PROOF_BYTES_MAX, ProofError};
use ledger::shards::{self, SHARDS_MAX, ShardsFinding, ShardsReport};
use ledger::{Entry, EntryNumber, Extent, Finding, Record, Report, ShardNumber, layout, note, regular};
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// The bound of a file of public keys or of checkpoints, in bytes: those of all shards fit, with both signatures.
const TEXT_BYTES_MAX: u64 = 512 << 10;
/// The bound of a file of proofs, in bytes: as many consistency proofs as there may be shards, of 8 KiB each at most.
const PROOFS_BYTES_MAX: u64 = SHARDS_MAX * (8 << 10);

pub fn verify(
    path: Option<PathBuf>,
    keys: &[String],
    checkpoints: &[PathBuf],
    is_partial: bool,
    json: bool,
) -> Result<ExitCode, Failure> {
    let keys = read_keys(keys)?;
    let mut notes = Vec::new();
    for path in checkpoints {
        notes.extend(read_notes(path)?);
    }
    let path = path.map_or_else(|| path_of(&Place { ledger: None }), Ok)?;
    if let Some(text) = read_proof(&path)? {
        return tell_proof(&text, &keys, &notes, json);
    }
    let (source, whole) = open_whole_or_cut(&path)?;
    let extent = match (is_partial, path.is_dir()) {
        (true, _) => Extent::Part,
        (false, true) => Extent::Kept,
        (false, false) => Extent::Exported,
    };
    match shards::verify_extent(&source, &keys, &notes, extent) {
        Ok(report) => {
            whole?;
            let text = match json {
                true => format!("{:#}\n", report_json(&report)),
                false => tell_report(&path, &report),
            };
            Ok(print(text.as_bytes()))
        }
        Err(ShardsFinding::Within { shard, finding: Finding::Read(error) }) => {
            let words = if shard == ShardNumber::FIRST {
                error.to_string()
            } else {
                format!("shard {shard}: {error}")
            };
            Err(tell_path(&path, words))
        }
        Err(finding) => Ok(tell_finding(&finding, json)),
    }
}

/// A directory, or an exported file and whether that is whole: of one that is cut off, what is missing has a name.
fn open_whole_or_cut(path: &Path) -> Result<(AnySource, Result<(), Failure>), Failure> {
    if !path.is_file() {
        return Ok((open_source(path)?, Ok(())));
    }
    let archive = Archive::open_cut(path).map_err(|error| tell_path(path, error))?;
    let whole = archive.expect_whole().map_err(|error| tell_path(path, error));
    Ok((Box::new(archive), whole))
}

/// What was verified, as JSON.
pub fn report_json(report: &ShardsReport) -> Value {
    let log =
        |log: &Checkpoint| json!({ "origin": log.origin, "size": log.size, "root": log.root.to_string() });
    let shard = |shard: &Report| {
        json!({
            "shard": shard.shard.number(), "first": shard.first, "next": shard.next,
            "logs": shard.logs.iter().map(log).collect::<Vec<_>>(),
            "unfinished": shard.is_unfinished, "unpublished": shard.is_unpublished, "let_go": shard.is_retired, "checkpoint": shard.note,
        })
    };
    json!({
        "verified": true,
        "entries": count(report),
        "shards": report.shards.iter().map(shard).collect::<Vec<_>>(),
        "absent": report.absent.iter().map(|shard| shard.number()).collect::<Vec<_>>(),
    })
}

fn count(report: &ShardsReport) -> u64 {
    report.shards.iter().map(|shard| shard.next - shard.first).sum()
}

/// What was verified, in words.
pub fn tell_report(path: &Path, report: &ShardsReport) -> String {
    let logs: usize = report.shards.iter().map(|shard| shard.logs.len()).sum();
    let of_shards = match report.shards.len() {
        1 => String::new(),
        shards => format!(" of {shards} shards"),
    };
    let mut text = format!(
        "{}: {} entries in {logs} {}{of_shards}, all as they were signed\n",
        path.display(),
        count(report),
        if logs == 1 { "log" } else { "logs" },
    );
    for shard in &report.shards {
        let first = EntryNumber { shard: shard.shard, sequence: shard.first };
        if shard.first > 0 {
            let why = if shard.is_retired { "were let go, as a later one tells" } else { "are not here" };
            text += &format!("the first is {first}: older logs {why}\n");
        }
        if shard.is_unpublished {
            let which =
                if report.shards.len() > 1 { format!(" of shard {}", shard.shard) } else { String::new() };
            text += &format!(
                "the newest log{which} is in the journal alone: nothing of it is published, or that was taken away\n"
            );
        }
        if shard.is_unfinished {
            text += "a batch at the end was not written to its end, and is not counted\n";
        }
    }
    if !report.absent.is_empty() {
        let absent: Vec<String> = report.absent.iter().map(ShardNumber::to_string).collect();
        text += &format!("not here, and not verified, is what was seen of shard {}\n", absent.join(", "));
    }
    text
}

/// Tells what is wrong.
pub fn tell_finding(finding: &ShardsFinding, json: bool) -> ExitCode {
    let mut told = json!({
        "verified": false, "wrong": finding.kind(), "shard": finding.shard().number(),
        "sequence": finding.sequence(), "text": finding.to_string(),
    });
    if let Some(witness) = finding.witness() {
        told["witness"] = json!(witness.to_string());
    }
    refuse(&told, json)
}

/// Tells what is wrong.
pub fn refuse(told: &Value, json: bool) -> ExitCode {
    if json {
        print(format!("{told:#}\n").as_bytes());
    } else {
        eprintln!("weft: {}", told["text"].as_str().unwrap_or_default());
    }
    ExitCode::FAILURE
}

/// The text of a file that is a proof; `None` where it is something else.
fn read_proof(path: &Path) -> Result<Option<String>, Failure> {
    // What it is if not a file is told by who opens a ledger.
    if !path.is_file() {
        return Ok(None);
    }
    let file = regular::open(path).map_err(|error| tell_path(path, error))?;
    let mut bytes = Vec::new();
    file.take(PROOFS_BYTES_MAX.max(PROOF_BYTES_MAX as u64))
        .read_to_end(&mut bytes)
        .map_err(|error| tell_path(path, error))?;
    let is_proof = bytes.starts_with(INCLUSION_HEADER.as_bytes()) || bytes.starts_with(b"old ");
    Ok(is_proof.then(|| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Why a proof was not verified.
enum Unproven {
    /// It does not hold.
    Wrong(String),
    /// It tells nothing about a checkpoint that was given.
    Unable(String),
}

impl From<ProofError> for Unproven {
    fn from(error: ProofError) -> Self {
        Self::Wrong(error.to_string())
    }
}

fn tell_proof(text: &str, keys: &[PublicKey], notes: &[String], json: bool) -> Result<ExitCode, Failure> {
    match prove(text, keys, notes) {
        Ok((told, words)) if json => {
            let mut told = told;
            told["verified"] = json!(true);
            told["text"] = json!(words);
            Ok(print(format!("{told:#}\n").as_bytes()))
        }
        Ok((_, words)) => Ok(print(words.as_bytes())),
        Err(Unproven::Wrong(error)) => {
            let text = format!("the proof does not hold: {error}");
            let told = json!({ "verified": false, "wrong": "proof", "sequence": null, "text": text });
            Ok(refuse(&told, json))
        }
        Err(Unproven::Unable(reason)) => Err(Failure::Unable(reason)),
    }
}

fn prove(text: &str, keys: &[PublicKey], notes: &[String]) -> Result<(Value, String), Unproven> {
    if text.starts_with(INCLUSION_HEADER) {
        let proof = InclusionProof::parse(text)?;
        let log = proof.verify(keys)?;
        for note in notes {
            hold_to_kept(&log, note, keys)?;
        }
        let record = Record { sequence: proof.index, log: 1, index: proof.index, bytes: proof.entry.clone() };
        let mut told = json!({ "origin": log.origin, "index": proof.index, "size": log.size });
        let number = number_of(&proof, keys);
        if let Some(number) = number {
            (told["shard"], told["sequence"]) = (json!(number.shard.number()), json!(number.sequence));
        }
        let mut words = match number {
            Some(number) => format!("entry {number} is in the log {} of {} entries:\n", log.origin, log.size),
            None => format!(
                "entry {} of {}, counted from 0 in that log, is in its {} entries:\n",
                proof.index, log.origin, log.size
            ),
        };
        if let Ok(entry) = Entry::decode(&proof.entry) {
            let mut shown = super::entry::to_json(ShardNumber::FIRST, &record, &entry);
            // A proof tells the index; the number of the entry is the ledger's.
            if let Some(fields) = shown.as_object_mut() {
                fields.retain(|field, _| !["sequence", "shard", "log"].contains(&field.as_str()));
            }
            words += &super::entry::to_page(&shown);
            told["entry"] = shown;
        }
        return Ok((told, words));
    }
    if notes.is_empty() {
        let ConsistencyProof { old, note, .. } = ConsistencyProof::parse(text)?;
        let log = Checkpoint::open(&note, keys).map_err(ProofError::Checkpoint)?;
        return Err(Unproven::Unable(format!(
            "the proof says how {} goes on from a checkpoint of {old} entries: give that one with --checkpoint",
            log.origin
        )));
    }
    let (mut all, mut is_held) = (Vec::new(), vec![false; notes.len()]);
    for text in split_proofs(text) {
        all.push(prove_one(text, keys, notes, &mut is_held)?);
    }
    if let Some((note, _)) = notes.iter().zip(&is_held).find(|(_, is_held)| !**is_held) {
        let kept = Checkpoint::open_kept(note, keys)
            .map_err(|error| Unproven::Wrong(format!("a checkpoint that was given: {error}")))?;
        return Err(Unproven::Unable(format!(
            "nothing in the proof begins or ends at the checkpoint of {} with {} entries that was given",
            kept.origin, kept.size
        )));
    }
    match all.len() {
        1 => Ok(all.swap_remove(0)),
        _ => {
            let (told, words): (Vec<Value>, Vec<String>) = all.into_iter().unzip();
            Ok((json!({ "shards": told }), words.concat()))
        }
    }
}

/// The number in the ledger of the entry that is proven: the index tells it in a shard's first log, and in those that go on
/// from it their own first entry, which the proof does not have.
fn number_of(proof: &InclusionProof, keys: &[PublicKey]) -> Option<EntryNumber> {
    let (_, place) = layout::place_of_note(&proof.note, Some(keys))?;
    (place.log == 1).then_some(EntryNumber { shard: place.shard, sequence: proof.index })
}

/// Holds the checkpoint by which something is proven to one that was kept. Of the same size they are the same; how one of
/// another size goes with it, the hashes of the proof do not tell.
fn hold_to_kept(proven: &Checkpoint, note: &str, keys: &[PublicKey]) -> Result<(), Unproven> {
    let kept = Checkpoint::open_kept(note, keys)
        .map_err(|error| Unproven::Wrong(format!("the checkpoint that was given: {error}")))?;
    let Checkpoint { origin, size, .. } = proven;
    if kept.origin != *origin {
        return Err(Unproven::Unable(format!(
            "the proof is of the log {origin}, and tells nothing about the checkpoint of {} that was given",
            kept.origin
        )));
    }
    if kept.size != *size {
        return Err(Unproven::Unable(format!(
            "the proof is of {origin} with {size} entries, and cannot tell by itself whether that and the checkpoint of {} \
             entries that was given are of one log: weft ledger prove --since that checkpoint does, and weft ledger verify \
             of the ledger",
            kept.size
        )));
    }
    match kept.root == proven.root {
        true => Ok(()),
        false => Err(Unproven::Wrong(format!(
            "it is of another log of {size} entries than the checkpoint that was given"
        ))),
    }
}

/// Consistency proofs, one after the other with an empty line between them.
fn split_proofs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        // A note ends in the lines of its signatures, and none of them begins so.
        let (proof, after) = match text.find("\n\nold ") {
            Some(at) => (&text[..=at], Some(&text[at + 2..])),
            None => (text, None),
        };
        rest = after;
        Some(proof)
    })
}

/// Verifies a consistency proof by the checkpoint that it begins at, and marks those of the given ones that it holds.
fn prove_one(
    text: &str,
    keys: &[PublicKey],
    notes: &[String],
    is_held: &mut [bool],
) -> Result<(Value, String), ProofError> {
    let proof = ConsistencyProof::parse(text)?;
    let (mut last, mut proven) = (ProofError::Other, None);
    for (note, is_held) in notes.iter().zip(is_held.iter_mut()) {
        match proof.verify(note, keys) {
            Ok(log) => {
                *is_held = true;
                proven = Some(log);
            }
            // What is told is about the checkpoint that the proof is about, where it was given.
            Err(ProofError::Other) => {}
            Err(error) => last = error,
        }
    }
    let Some(log) = proven else { return Err(last) };
    // The other end of it may have been kept as well.
    for (note, is_held) in notes.iter().zip(is_held.iter_mut()) {
        *is_held |= Checkpoint::open_kept(note, keys).is_ok_and(|kept| kept == log);
    }
    let told = json!({ "origin": log.origin, "from": proof.old, "to": log.size });
    let words = format!("{} goes on from {} to {} entries\n", log.origin, proof.old, log.size);
    Ok((told, words))
}

/// Keys, each as text or in a file with one a line.
pub fn read_keys(given: &[String]) -> Result<Vec<PublicKey>, Failure> {
    let mut keys = Vec::new();
    for given in given {
        if let Ok(key) = given.parse::<PublicKey>() {
            keys.push(key);
            continue;
        }
        let path = Path::new(given);
        let text = Zeroizing::new(read_text(path).map_err(|failure| match is_like_key(given) {
            // It may be a secret that lacks its first words: it is not repeated.
            true => Failure::Unable("a --key is neither a public key nor a file of such".into()),
            false => failure,
        })?);
        if SecretKey::is_in(&text) {
            let why = "it holds a secret key, which proves nothing to others: give the public one, as weft key show prints it";
            return Err(tell_path(path, why));
        }
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            keys.push(line.parse().map_err(|error| tell_path(path, format!("no public key: {error}")))?);
        }
    }
    match keys.is_empty() {
        true => Err(Failure::Unable("there is no public key to verify with".into())),
        false => Ok(keys),
    }
}

/// Whether this has the three parts of a key's text.
fn is_like_key(text: &str) -> bool {
    let is_id = |id: &str| id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split('+').skip(1).any(is_id)
}

/// What stands before the checkpoint in the line that ends a run.
const LINE_PREFIX: &str = "weft: checkpoint ";

/// The checkpoint in a line of `weft run`, given as it stands; or those in a file, as signed notes: one at least.
pub fn read_notes(path: &Path) -> Result<Vec<String>, Failure> {
    let text = path.to_string_lossy();
    if let Ok(checkpoint) = Checkpoint::of_line(text.trim().strip_prefix(LINE_PREFIX).unwrap_or(text.trim()))
    {
        return Ok(vec![checkpoint.line()]);
    }
    let notes: Vec<String> = note::split(&read_text(path)?).map(str::to_owned).collect();
    if notes.is_empty() { Err(tell_path(path, "there is no checkpoint in it")) } else { Ok(notes) }
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read =
        regular::open_given(path).and_then(|file| file.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text));
    match read.map_err(|error| tell_path(path, error))? as u64 > TEXT_BYTES_MAX {
        true => Err(tell_path(path, format!("it is longer than {} KiB", TEXT_BYTES_MAX >> 10))),
        false => Ok(text),
    }
}
