//! `weft fleet policy`: handed out, shown, taken away.

use super::{Failure, connect, tell_path};
use crate::args::FleetPolicyTask;
use crate::print;
use fleet::policies::Policies;
use fleet::policy::{Document, POLICY_BYTES_MAX, word};
use serde_json::json;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

pub async fn run(task: FleetPolicyTask) -> Result<ExitCode, Failure> {
    match task {
        FleetPolicyTask::Push { file, access, host, json } => {
            // Checked before anything is sent: a policy that is wrong would be refused by every host.
            let document = read(&file)?;
            let policy = document.check(&file.to_string_lossy());
            let policy = policy.map_err(|error| Failure::Unable(error.to_string()))?;
            policy.warnings().iter().for_each(|warning| eprintln!("warning: {warning}"));
            let value = document.encode().map_err(|error| tell_path(&file, error))?;
            let bucket = Policies::open(&connect(access).await?).await?;
            let revision = bucket.push(host.as_ref(), value).await?;
            let digest = policy.digest().to_string();
            Ok(print(
                match json {
                    true => {
                        let told =
                            json!({ "key": revision.key, "revision": revision.number, "digest": digest });
                        format!("{told:#}\n")
                    }
                    false => {
                        format!("{}: revision {} of {}\n", file.display(), revision.number, revision.key)
                    }
                }
                .as_bytes(),
            ))
        }
        FleetPolicyTask::Show { access, host, json } => {
            let bucket = Policies::open(&connect(access).await?).await?;
            let found = bucket.find(host.as_ref()).await?;
            let found = found.ok_or_else(|| Failure::Absent("no policy is handed out".into()))?;
            let document =
                Document::decode(&found.value).map_err(|error| Failure::Absent(error.to_string()))?;
            Ok(print(
                match json {
                    true => {
                        let told = json!({
                            "key": found.revision.key, "revision": found.revision.number,
                            "language": word(document.language), "text": document.text,
                        });
                        format!("{told:#}\n")
                    }
                    false => document.text,
                }
                .as_bytes(),
            ))
        }
        FleetPolicyTask::Remove { access, host, json } => {
            let removed = Policies::open(&connect(access).await?).await?.remove(&host).await?;
            if !removed {
                return Err(Failure::Absent(format!("{host} has no policy of its own")));
            }
            Ok(if json {
                print(format!("{:#}\n", json!({ "removed": host.as_str() })).as_bytes())
            } else {
                ExitCode::SUCCESS
            })
        }
    }
}

/// The policy of a file, and no more of it than a policy may have.
fn read(path: &Path) -> Result<Document, Failure> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| tell_path(path, error))?;
    let read = file.take(POLICY_BYTES_MAX as u64 + 1).read_to_string(&mut text);
    read.map_err(|error| tell_path(path, error))?;
    Ok(Document::of_file(&path.to_string_lossy(), text))
}
