//! Which files the rules mean. Where a rule leads is settled before the command runs: a symbolic link that it makes
//! afterwards, in the place of a socket or of a directory on the way there, leads nowhere.

use super::caller::Identity;
use crate::sandbox::{UnixRule, UnixRules};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The rules of a run.
#[derive(Debug)]
pub(in crate::sandbox) struct Opened {
    allow: Vec<Place>,
    deny: Vec<Place>,
}

/// What one rule means.
#[derive(Debug)]
struct Place {
    rule: Arc<str>,
    /// Without symbolic links, as far as it was there.
    path: PathBuf,
    is_directory: bool,
}

impl Opened {
    /// Of rules, as the file system is now.
    pub fn now(rules: &UnixRules) -> Self {
        let places = |rules: &[UnixRule]| rules.iter().map(Place::now).collect();
        Self { allow: places(&rules.allow), deny: places(&rules.deny) }
    }

    /// The rule that opens this file, which was found at `path`.
    pub(super) fn allows(&self, file: Identity, path: &Path) -> Option<String> {
        means(&self.allow, file, path)
    }

    /// The rule that closes it.
    pub(super) fn denies(&self, file: Identity, path: &Path) -> Option<String> {
        means(&self.deny, file, path)
    }
}

fn means(places: &[Place], file: Identity, path: &Path) -> Option<String> {
    places.iter().find(|place| place.means(file, path)).map(|place| place.rule.to_string())
}

impl Place {
    fn now(rule: &UnixRule) -> Self {
        let path = rule.path();
        // A socket may be made later, in a directory that is there.
        let above = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
        let whole = path.canonicalize().ok().or_else(above).unwrap_or_else(|| path.to_owned());
        Self { rule: rule.text().clone(), path: whole, is_directory: rule.is_directory() }
    }

    /// Whether this is the file. `path` is only where to look: in a mount namespace of its own a program can give anything
    /// any name.
    fn means(&self, file: Identity, path: &Path) -> bool {
        let at = match self.is_directory {
            true if path.starts_with(&self.path) => path,
            true => return false,
            false => &self.path,
        };
        lies_at(file, at)
    }
}

/// Whether this file is what lies at a path, for everybody inside who has mounted nothing of its own.
pub(super) fn lies_at(file: Identity, path: &Path) -> bool {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    opened.and_then(rustix::fs::fstat).is_ok_and(|stat| Identity::of(&stat) == file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axiom::rules::Rules;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_made_afterwards_opens_nothing_and_one_from_before_does() {
        let directory = std::env::temp_dir().join(format!("weft-opened-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("real")).expect("a directory");
        let within = |name: &str| directory.join(name);
        for name in ["real/one", "real/secret"] {
            std::fs::write(within(name), "").expect("a file");
        }
        symlink(within("real"), within("before")).expect("a link");
        let texts = ["before/one", "later", "below/"].map(|name| format!("unix:{}", within(name).display()));
        let opened = Opened::now(&UnixRules::of(&Rules::parse(&texts, &[]).expect("good rules")));
        let identity = |name: &str| Identity::at(within(name).to_str().expect("text")).expect("a file");
        let allows = |name: &str| opened.allows(identity(name), &within(name));
        assert_eq!(allows("real/one").as_deref(), Some(&*texts[0]), "by the link that was there");
        assert_eq!(allows("real/secret"), None);
        symlink(within("real/secret"), within("later")).expect("a link");
        symlink(within("real"), within("below")).expect("a link");
        assert_eq!(allows("real/secret"), None, "one file, or a directory, in the place of another");
        assert_eq!(opened.allows(identity("real/secret"), &within("below/secret")), None);
        std::fs::remove_file(within("later")).expect("gone");
        std::fs::write(within("later"), "").expect("a file");
        assert_eq!(allows("later").as_deref(), Some(&*texts[1]), "a file that was made later");
        std::fs::remove_dir_all(directory).expect("gone");
    }
}
