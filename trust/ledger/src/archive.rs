//! A ledger in one file: a tar archive (POSIX.1-2001 ustar) of its logs as C2SP tlog-tiles has them, which any tool
//! unpacks into a directory that any tool reads.

use crate::edge::{self, ReadError, read_tile};
use crate::hash::leaf_hash;
use crate::layout;
use crate::reader::{LogView, Reader};
use crate::regular;
use crate::storage::{FILE_BYTES_MAX, Source};
use crate::tile::{self, Records, TILE_WIDTH, Tile};
use crate::tree::levels;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The length of a header, and what a file's content is filled up to, in bytes.
const BLOCK_BYTES: usize = 512;
/// The bound of the files in an archive: four billion entries.
const FILES_MAX: usize = 1 << 25;

/// Why a ledger was not exported.
#[derive(Debug)]
pub enum ExportError {
    /// It cannot be read.
    Read(ReadError),
    /// The file cannot be written.
    Write(io::Error),
}

/// Writes a ledger, or one of its shards, as one file, with all its entries in tiles;
/// [`Shards::export`](crate::shards::Shards::export) writes all of them.
///
/// # Errors
///
/// Where it cannot be read, or the file not be written.
pub fn export<S: Source>(reader: &Reader<S>, out: &mut impl Write) -> Result<(), ExportError> {
    write_logs(reader, "", out)?;
    finish(out)
}

/// Writes the logs of a ledger or a shard as files in this folder, or in none.
pub(crate) fn write_logs<S: Source>(
    reader: &Reader<S>,
    folder: &str,
    out: &mut impl Write,
) -> Result<(), ExportError> {
    let within = |log: &LogView, path: &dyn fmt::Display| {
        let path = layout::in_log(log.number, path);
        if folder.is_empty() { path } else { format!("{folder}/{path}") }
    };
    for log in reader.logs() {
        write_file(out, &within(log, &"checkpoint"), log.note.as_bytes()).map_err(ExportError::Write)?;
        let grown = grown_tiles(reader, log).map_err(ExportError::Read)?;
        let levels = std::iter::once(None).chain((0..levels(log.size) as u32).map(Some));
        for level in levels {
            let tile = |index| Tile::of_size(level, index, log.size);
            for tile in (0..).map(tile).take_while(|tile| tile.width > 0) {
                let bytes = match grown.get(&tile) {
                    Some(bytes) => bytes.clone(),
                    None => read_tile(reader.source(), log.number, tile).map_err(ExportError::Read)?,
                };
                write_file(out, &within(log, &tile), &bytes).map_err(ExportError::Write)?;
            }
        }
    }
    Ok(())
}

/// Ends an archive.
pub(crate) fn finish(out: &mut impl Write) -> Result<(), ExportError> {
    // Two empty blocks end an archive.
    out.write_all(&[0; 2 * BLOCK_BYTES]).and_then(|()| out.flush()).map_err(ExportError::Write)
}

/// The tiles and bundles that have entries which only the journal has.
fn grown_tiles<S: Source>(reader: &Reader<S>, log: &LogView) -> Result<BTreeMap<Tile, Vec<u8>>, ReadError> {
    let mut tiles = BTreeMap::new();
    if log.tiled == log.size {
        return Ok(tiles);
    }
    let (mut tree, _) = edge::load(reader.source(), log.number, log.tiled)?;
    for record in Records::new(reader.journaled()).flatten() {
        tree.push(leaf_hash(record), |tile, nodes| drop(tiles.insert(tile, tile::bytes(nodes))));
    }
    tiles.extend(tree.partials().map(|(tile, nodes)| (tile, tile::bytes(nodes))));
    for index in log.tiled / TILE_WIDTH..log.size.div_ceil(TILE_WIDTH) {
        tiles.insert(Tile::of_size(None, index, log.size), reader.bundle(log, index)?);
    }
    Ok(tiles)
}

/// One file of an archive. Its time is the beginning of 1970 and its owner nobody: the same ledger gives the same archive.
fn write_file(out: &mut impl Write, path: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = [0u8; BLOCK_BYTES];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    // The longest path of a ledger has some 70 bytes, the field 100.
    put(0, path);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", bytes.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.write_all(&header)?;
    out.write_all(bytes)?;
    out.write_all(&vec![0; bytes.len().next_multiple_of(BLOCK_BYTES) - bytes.len()])
}

/// An exported file. Its content is read where it is asked for; a table of what is in it is all that is kept.
#[derive(Debug)]
pub struct Archive {
    file: File,
    /// Where each file's content begins, and its length.
    files: BTreeMap<String, (u64, u64)>,
    /// The last file that it begins, where it ends before its end; empty where it begins none.
    cut_in: Option<String>,
}

impl Archive {
    /// Opens an exported file.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or is no such archive, or one that is cut off.
    pub fn open(path: &Path) -> io::Result<Self> {
        let archive = Self::open_cut(path)?;
        archive.expect_whole().map(|()| archive)
    }

    /// Opens an exported file, or what is whole of one that is cut off: [`Self::expect_whole`] tells which.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or is no such archive.
    pub fn open_cut(path: &Path) -> io::Result<Self> {
        let file = regular::open(path)?;
        let length = file.metadata()?.len();
        let (mut files, mut at, mut last) = (BTreeMap::new(), 0, String::new());
        let mut header = [0; BLOCK_BYTES];
        loop {
            match file.read_exact_at(&mut header, at) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(Self { file, files, cut_in: Some(last) });
                }
                read => read?,
            }
            if header == [0; BLOCK_BYTES] {
                return Ok(Self { file, files, cut_in: None });
            }
            let (path, size) =
                parse_header(&header).ok_or_else(|| bad("a header in it is none of a tar archive"))?;
            at += BLOCK_BYTES as u64;
            if size > FILE_BYTES_MAX || files.len() == FILES_MAX {
                return Err(bad("a file in it is longer than a ledger's can be"));
            }
            if at + size > length {
                return Ok(Self { file, files, cut_in: Some(path) });
            }
            last.clone_from(&path);
            if files.insert(path, (at, size)).is_some() {
                return Err(bad("a file is in it twice"));
            }
            at += size.next_multiple_of(BLOCK_BYTES as u64);
        }
    }

    /// That it is whole.
    ///
    /// # Errors
    ///
    /// Where it is cut off.
    pub fn expect_whole(&self) -> io::Result<()> {
        match self.cut_in.as_deref() {
            None => Ok(()),
            Some("") => Err(bad("it has no end")),
            Some(path) => Err(bad(&format!("it is cut off in {path}, or behind that"))),
        }
    }
}

fn bad(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not an exported ledger: {why}"))
}

/// The path and the length of a plain file.
fn parse_header(header: &[u8; BLOCK_BYTES]) -> Option<(String, u64)> {
    let text = |range: std::ops::Range<usize>| {
        let field = header[range].split(|byte| *byte == 0).next()?;
        str::from_utf8(field).ok().map(str::to_owned)
    };
    let octal = |range| u64::from_str_radix(text(range)?.trim(), 8).ok();
    let is_plain = matches!(header[156], b'0' | 0) && &header[257..262] == b"ustar" && header[345] == 0;
    let sum = header
        .iter()
        .enumerate()
        .map(|(at, byte)| u64::from(if (148..156).contains(&at) { b' ' } else { *byte }));
    let is_whole = octal(148..156)? == sum.sum::<u64>();
    (is_plain && is_whole).then_some((text(0..100)?, octal(124..136)?))
}

impl Source for Archive {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let Some((at, length)) = self.files.get(path) else { return Ok(None) };
        let mut bytes = vec![0; *length as usize];
        self.file.read_exact_at(&mut bytes, *at)?;
        Ok(Some(bytes))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let below = self.files.range(prefix.clone()..).map_while(|(path, _)| path.strip_prefix(&prefix));
        let names: BTreeSet<&str> = below.map(|path| path.split('/').next().unwrap_or(path)).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Write(error) => write!(f, "the export cannot be written: {error}"),
        }
    }
}

impl std::error::Error for ExportError {}
