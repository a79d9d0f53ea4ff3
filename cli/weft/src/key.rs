//! `weft key`: keys that sign.

use crate::args::KeyTask;
use crate::print;
use identity::{Algorithm, PublicKey, SecretKey, file};
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

/// Does what is asked for.
pub fn run(task: KeyTask) -> ExitCode {
    let (keys, json) = match task {
        KeyTask::New { name, algorithm, output, json } => (make(name.as_deref(), &algorithm, &output), json),
        KeyTask::Show { file, json } => (read(&file), json),
    };
    match keys {
        Ok(keys) => {
            let text = match json {
                true => format!("{:#}\n", Value::Array(keys.iter().map(to_json).collect())),
                false => keys.iter().map(|key| format!("{key}\n")).collect(),
            };
            print(text.as_bytes())
        }
        Err(reason) => {
            eprintln!("weft: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Without a name, they get the one that `weft run` gives to those of a new ledger on this host.
fn make(name: Option<&str>, algorithms: &[Algorithm], output: &Path) -> Result<Vec<PublicKey>, String> {
    let algorithms = if algorithms.is_empty() { &Algorithm::ALL } else { algorithms };
    // Each of them has a seed of its own: who breaks one has not broken the other.
    let mut seeds = Vec::new();
    for _ in algorithms {
        let mut seed = zeroize::Zeroizing::new([0; identity::secret::SEED_BYTES]);
        // Up to 256 bytes come whole, once the kernel has them: getrandom(2).
        let length = getrandom(&mut seed[..], GetRandomFlags::empty());
        if length != Ok(seed.len()) {
            return Err("the kernel gives no random bytes to make a key of".into());
        }
        seeds.push(seed);
    }
    let seeds: Vec<_> = algorithms.iter().copied().zip(seeds.iter().map(|seed| &**seed)).collect();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let keys = match name {
        Some(name) => {
            seeds.iter().map(|(algorithm, seed)| SecretKey::from_seed(name, *algorithm, seed)).collect()
        }
        None => SecretKey::for_log(&host, &seeds),
    };
    let keys: Vec<SecretKey> =
        keys.map_err(|error| format!("no key for the name '{}': {error}", name.unwrap_or(&host)))?;
    file::create(output, &keys).map_err(|error| error.to_string())?;
    Ok(keys.iter().map(|key| key.public().clone()).collect())
}

fn read(path: &Path) -> Result<Vec<PublicKey>, String> {
    let keys = file::read(path).map_err(|error| error.to_string())?;
    Ok(keys.iter().map(|key| key.public().clone()).collect())
}

fn to_json(key: &PublicKey) -> Value {
    json!({
        "name": key.name(),
        "id": format!("{:08x}", key.id()),
        "algorithm": key.algorithm().to_string(),
        "key": key.to_string(),
    })
}
