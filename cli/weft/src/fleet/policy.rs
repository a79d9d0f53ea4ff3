//! `weft fleet policy`: handed out, shown, taken away.

use super::{Failure, connect, tell_path};
use crate::args::{CommonArguments, FleetPolicyTask, USAGE_STATUS};
use crate::policy::refuse;
use crate::print;
use axiom::policy::Complaint;
use fleet::HostName;
use fleet::policies::{self, Policies};
use fleet::policy::{Document, DocumentError, POLICY_BYTES_MAX, word};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

pub async fn run(task: FleetPolicyTask) -> Result<ExitCode, Failure> {
    match task {
        FleetPolicyTask::Push { file, common, host, sign } => {
            push(&file, common, host, sign.as_deref()).await
        }
        FleetPolicyTask::Show { common, host } => {
            let json = common.json;
            let bucket = Policies::open(&connect(common).await?).await?;
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
                            "note": document.note,
                        });
                        format!("{told:#}\n")
                    }
                    false => document.text,
                }
                .as_bytes(),
            ))
        }
        FleetPolicyTask::Remove { common, host } => {
            let json = common.json;
            let removed = Policies::open(&connect(common).await?).await?.remove(&host).await?;
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

async fn push(
    file: &Path,
    common: CommonArguments,
    host: Option<HostName>,
    sign: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let json = common.json;
    // Checked before anything is sent: a policy that is wrong would be refused by every host.
    let mut document = read(file)?;
    let policy = match document.check(&file.to_string_lossy()) {
        Ok(policy) => policy,
        Err(DocumentError::Wrong(error)) => return Ok(refuse(&error, json, ExitCode::from(USAGE_STATUS))),
        Err(error) => return Err(tell_path(file, error)),
    };
    let warnings = policy.warnings();
    if !json {
        warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    }
    if let Some(path) = sign {
        // What is wrong with it names its file.
        let keys = identity::file::read(path).map_err(|error| Failure::Unable(error.to_string()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        document = document.signed(&policies::key(host.as_ref()), time_ns, &keys);
    }
    let value = document.encode().map_err(|error| tell_path(file, error))?;
    let bucket = Policies::open(&connect(common).await?).await?;
    let revision = bucket.push(host.as_ref(), value).await?;
    let text = match json {
        true => {
            let warnings: Value = warnings.iter().map(Complaint::to_json).collect();
            let told = json!({
                "key": revision.key, "revision": revision.number, "digest": policy.digest().to_string(),
                "warnings": warnings,
            });
            format!("{told:#}\n")
        }
        false => format!("{}: revision {} of {}\n", file.display(), revision.number, revision.key),
    };
    Ok(print(text.as_bytes()))
}

/// The policy of a file, and no more of it than a policy may have.
fn read(path: &Path) -> Result<Document, Failure> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| tell_path(path, error))?;
    let read = file.take(POLICY_BYTES_MAX as u64 + 1).read_to_string(&mut text);
    read.map_err(|error| tell_path(path, error))?;
    Ok(Document::of_file(&path.to_string_lossy(), text))
}
