//! Where everything is: the workspace's root, its files, its programs.

use crate::Failure;
use std::env;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the workspace")
}

/// Folders that hold no source: what builds, version control, npm and the fuzzer leave.
const LEFT: [&str; 4] = ["target", ".git", "node_modules", "found"];

/// All files below the root, as paths from the root in order, without [`LEFT`].
pub fn files() -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        let full = root().join(&directory);
        let broken = |error| Failure::Broken(format!("{}: {error}", full.display()));
        for entry in fs::read_dir(&full).map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let path = directory.join(entry.file_name());
            let kind = entry.file_type().map_err(broken)?;
            if kind.is_dir() {
                if !LEFT.iter().any(|left| entry.file_name() == *left) {
                    open.push(path);
                }
            } else if kind.is_file() && path != Path::new(".git") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The text of a file of [`files`]; `None` where it is not UTF-8.
pub fn read(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read(root().join(path)) {
        Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
        Err(error) => Err(Failure::Broken(format!("{}: {error}", path.display()))),
    }
}

/// The status of a task whose reader has seen enough, as in `cargo xtask floors | true`: that of a filter that SIGPIPE
/// ends.
const READER_GONE_STATUS: i32 = 141;

/// A line to standard output; ends the task quietly where its reader is gone.
pub fn say(line: fmt::Arguments<'_>) {
    match writeln!(io::stdout(), "{line}") {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(READER_GONE_STATUS),
        Err(error) => {
            eprintln!("xtask: standard output: {error}");
            std::process::exit(1);
        }
    }
}

/// A command of the same toolchain as this one, in the root.
pub fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words).current_dir(root());
    command
}

/// Runs a command to its end with this one's input and output, and fails where it fails.
pub fn run(mut command: Command) -> Result<(), Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Failure::Found),
        Err(error) => Err(Failure::Broken(format!("{name}: {error}"))),
    }
}

/// Becomes a command, which is the last thing that this one does: signals reach it, and its status is the task's. Returns
/// only where that fails.
pub fn become_command(mut command: Command) -> Failure {
    let name = command.get_program().to_string_lossy().into_owned();
    Failure::Broken(format!("{name}: {}", command.exec()))
}

/// Where a program is: on the path, where only root looks, or among PostgreSQL's, which Debian keeps apart.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let mut directories: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .filter(|path| path.is_absolute())
        .collect();
    directories.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        directories.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    directories.into_iter().map(|directory| directory.join(name)).find(|path| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}
