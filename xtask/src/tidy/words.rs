//! Words that do not belong into what is kept: promises, and places of one machine.

use super::Finding;
use super::source::has_word;
use std::path::Path;

/// Whole words. Written apart here, so that this file does not hold them.
const PROMISES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

/// Paths that exist on one machine or for one user.
const PLACES: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];

/// Hosts of package registries: what is needed from one is asked of its client, wherever that looks.
const REGISTRIES: [&str; 5] = [
    concat!("pypi", ".org"),
    concat!("files.python", "hosted.org"),
    concat!("registry.npm", "js.org"),
    concat!("index.crates", ".io"),
    concat!("deb.debian", ".org"),
];

/// Written by a tool that puts its registry there.
const GENERATED: [&str; 2] = ["Cargo.lock", "package-lock.json"];

pub fn check(path: &Path, text: &str) -> Vec<Finding> {
    let is_generated = path.file_name().is_some_and(|name| GENERATED.iter().any(|file| name == *file));
    // The licences' texts are not ours to change.
    if is_generated || path.to_string_lossy().starts_with("LICENSE") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (line, content) in text.lines().enumerate() {
        let mut find = |word: &str, what: &str| {
            findings.push(Finding::new("words", path, line + 1, format!("{word} is {what}")).of(word));
        };
        PROMISES.iter().filter(|word| has_word(content, word)).for_each(|word| find(word, "a promise"));
        for place in PLACES.iter().filter(|place| starts_path(content, place)) {
            find(place, "a place of one machine");
        }
        for host in REGISTRIES.iter().filter(|host| content.contains(*host)) {
            find(host, "the host of a registry");
        }
    }
    findings
}

/// Whether a path starts with `place` here, rather than having it inside as `http://host/work/` does.
fn starts_path(content: &str, place: &str) -> bool {
    content.match_indices(place).any(|(at, _)| {
        let before = content[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '*' | ')'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_places_and_registries_are_found() {
        for text in [PROMISES[0], &format!("// {}: later", PROMISES[1])] {
            assert_eq!(check(Path::new("a.rs"), text).len(), 1, "{text}");
        }
        for place in PLACES {
            assert_eq!(check(Path::new("a.md"), &format!("see {place}x")).len(), 1, "{place}");
            assert_eq!(check(Path::new("a.md"), &format!("see target{place}x")).len(), 0, "{place}");
        }
        assert_eq!(check(Path::new("a.md"), REGISTRIES[0]).len(), 1);
        assert_eq!(check(Path::new("Cargo.lock"), REGISTRIES[0]).len(), 0);
        assert_eq!(check(Path::new("a.md"), "a todo list, \u{2018}XXXL\u{2019}").len(), 0);
    }
}
