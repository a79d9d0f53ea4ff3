//! Rules files, and the files that their sets name.

use filter::{Errors, FILE_BYTES_MAX, RulesError, Ruleset};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads a rules file; its sets' files stand beside it, unless their names say otherwise.
pub fn read(file: &Path) -> Result<Ruleset, Errors> {
    let text = text_of(file).map_err(|message| {
        let whole = RulesError { file: None, line: 1, column: 1, message };
        Errors(vec![whole])
    })?;
    let folder = file.parent().unwrap_or(Path::new(""));
    Ruleset::parse_with(&text, |name| text_of(&folder.join(name)))
}

/// The text of a file that is not longer than a rules file may be.
fn text_of(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    let read = File::open(file).and_then(|open| open.take(limit).read_to_string(&mut text));
    read.map_err(|error| error.to_string())?;
    Ok(text)
}
