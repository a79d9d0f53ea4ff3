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
        KeyTask::New { name, algorithm, output, json } => (make(&name, &algorithm, &output), json),
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

fn make(name: &str, algorithms: &[Algorithm], output: &Path) -> Result<Vec<PublicKey>, String> {
    let algorithms = if algorithms.is_empty() { &Algorithm::ALL } else { algorithms };
    let mut keys: Vec<SecretKey> = Vec::new();
    for algorithm in algorithms {
        // Each of them has a seed of its own: who breaks one has not broken the other.
        let mut seed = zeroize::Zeroizing::new([0; identity::secret::SEED_BYTES]);
        // Up to 256 bytes come whole, once the kernel has them: getrandom(2).
        let length = getrandom(&mut seed[..], GetRandomFlags::empty());
        if length != Ok(seed.len()) {
            return Err("the kernel gives no random bytes to make a key of".into());
        }
        let key = SecretKey::from_seed(name, *algorithm, &seed);
        keys.push(key.map_err(|error| format!("no key for the name '{name}': {error}"))?);
    }
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
