//! How a corpus is written by hand: each input is a file of its target's folder.

use std::fs;
use std::path::Path;

/// Writes the inputs of a target, by their names.
///
/// # Panics
///
/// Where the folder cannot be written.
pub fn write(target: &str, inputs: Vec<(&str, Vec<u8>)>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).expect("the corpus can be written");
    for (name, input) in inputs {
        fs::write(folder.join(name), input).expect("the corpus can be written");
    }
}

/// One frame or packet with its control byte and length.
#[must_use]
pub fn one(control: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![control];
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
    out
}
