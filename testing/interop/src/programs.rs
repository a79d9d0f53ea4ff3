//! The programs that tests need, where they are, and which package brings them.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// One `program = "package"` a line; `cargo xtask doctor` reads the same file.
const TABLE: &str = include_str!("../programs.toml");

/// Whether all of these can be run. Says what is missing where not.
///
/// # Panics
///
/// Where something is missing and CI=true: there a skip would hide that nothing was tested.
#[must_use]
pub fn present(programs: &[&str]) -> bool {
    let mut missing: Vec<String> = programs
        .iter()
        .filter(|program| find(program).is_none())
        .map(|program| format!("{program} (package {})", package(program)))
        .collect();
    if !rustix::process::geteuid().is_root() {
        missing.push("root, to make network namespaces".to_owned());
    }
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(", ");
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "CI=true and missing: {missing}");
    eprintln!("skipped, missing: {missing}");
    false
}

/// The Debian package of a program.
///
/// # Panics
///
/// Where the table does not have the program.
#[must_use]
pub fn package(program: &str) -> &'static str {
    table()
        .find(|(name, _)| *name == program)
        .map(|(_, package)| package)
        .unwrap_or_else(|| panic!("{program} is not in testing/interop/programs.toml"))
}

fn table() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(program, package)| (program.trim(), package.trim().trim_matches('"')))
}

/// The full path of a program.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    directories().into_iter().map(|directory| directory.join(program)).find(|path| is_executable(path))
}

/// The full path of a program that a test asked for with `needs!`.
///
/// # Panics
///
/// Where it is missing.
#[must_use]
pub fn path(program: &str) -> PathBuf {
    find(program).unwrap_or_else(|| panic!("{program} is missing: package {}", package(program)))
}

/// The search path that programs under test are given: this process's own, less what only root can enter.
#[must_use]
pub fn search_path() -> String {
    let directories: Vec<_> =
        directories().into_iter().map(|directory| directory.to_string_lossy().into_owned()).collect();
    directories.join(":")
}

fn directories() -> Vec<PathBuf> {
    let own = env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = env::split_paths(&own).filter(|path| is_open_to_all(path)).collect();
    directories.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    // Debian keeps the server's programs of each PostgreSQL version out of the path.
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        directories.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    directories
}

fn is_open_to_all(directory: &Path) -> bool {
    directory.is_absolute()
        && directory.ancestors().all(|ancestor| {
            fs::metadata(ancestor)
                .is_ok_and(|found| found.is_dir() && found.permissions().mode() & 0o001 != 0)
        })
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(table().count(), lines);
        assert_eq!(package("dig"), "bind9-dnsutils");
    }

    #[test]
    fn directories_of_root_alone_are_left_out() {
        assert!(is_open_to_all(Path::new("/usr/bin")));
        assert!(!is_open_to_all(Path::new("bin")) && !is_open_to_all(Path::new("/no/such/place")));
    }
}
