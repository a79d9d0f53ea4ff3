//! Names that say nothing.

use super::Finding;
use super::source::Source;
use std::path::Path;

/// What no file, folder or module is called, nor a part of its name between underscores.
const MODULE_WORDS: [&str; 9] =
    ["common", "helper", "helpers", "impl", "manager", "misc", "util", "utilities", "utils"];

/// What no type's name holds.
const TYPE_WORDS: [&str; 4] = ["Helper", "Manager", "Util", "Impl"];

/// Checks the name of any file; those of its folders are checked with their own files.
pub fn check_path(path: &Path) -> Vec<Finding> {
    let parts = path.iter().filter_map(|part| part.to_str());
    parts
        .flat_map(|part| {
            let stem = part.split('.').next().unwrap_or(part);
            stem.split(['_', '-']).filter(|word| MODULE_WORDS.contains(word))
        })
        .take(1)
        .map(|word| Finding::new("names", path, 1, format!("a name of {word} says nothing")))
        .collect()
}

pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, code) in source.code_lines() {
        let mut words =
            code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            let says_nothing = |name: &str| match word {
                "mod" => name.split('_').any(|part| MODULE_WORDS.contains(&part)),
                "struct" | "enum" | "trait" | "type" => TYPE_WORDS.iter().any(|part| name.contains(part)),
                "fn" => name.starts_with("get_"),
                _ => false,
            };
            if let Some(name) = words.clone().next().filter(|name| says_nothing(name)) {
                let text = format!("{word} {name} says nothing");
                findings.push(Finding::new("names", &source.path, line + 1, text).of(name));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_checked() {
        for path in ["base/util/src/lib.rs", "a/http_helper.rs", "a/common.rs", "a/impl-x/b.rs"] {
            assert_eq!(check_path(Path::new(path)).len(), 1, "{path}");
        }
        for path in ["base/wire/src/lib.rs", "a/utility_pole.rs", "a/commons.rs"] {
            assert_eq!(check_path(Path::new(path)).len(), 0, "{path}");
        }
    }

    #[test]
    fn names_in_code_are_checked() {
        for (text, count) in [
            ("mod util;", 1),
            ("pub struct SocketManager;", 1),
            ("pub(crate) fn get_port() {}", 1),
            ("fn target_port() {}", 0),
            ("impl Socket {}", 0),
            ("// mod util;", 0),
        ] {
            let found = check(&Source::read(Path::new("a.rs"), text));
            assert_eq!(found.len(), count, "{text}");
        }
    }
}
