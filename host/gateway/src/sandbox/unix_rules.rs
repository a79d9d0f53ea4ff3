//! Which Unix sockets of the host a run opens, of its rules: `unix:/path` is that one, `unix:/directory/` all that lie
//! below it, and `unix:/` every one. Those that the command's own programs make need no rule.
//!
//! What a path leads to can change at any moment. So a rule is text here, and whoever connects compares what the path
//! leads to with what the command asked for.

use axiom::rules::{Rule, Rules, Target};
use std::path::Path;
use std::sync::Arc;

/// A rule that names a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixRule {
    text: Arc<str>,
    path: Arc<str>,
}

impl UnixRule {
    fn of(rule: &Rule) -> Option<Self> {
        match rule.target() {
            Target::Unix(path) => Some(Self { text: rule.text().clone(), path: path.clone() }),
            Target::Name(_) | Target::Below(_) | Target::Network(_) => None,
        }
    }

    /// The rule as it was written.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The socket's path, or the directory's.
    #[must_use]
    pub fn path(&self) -> &Path {
        Path::new(&*self.path)
    }

    /// Whether it speaks of all sockets below its path, rather than of the one there.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.path.ends_with('/')
    }
}

/// All such rules of one run. What is denied stays so.
#[derive(Clone, Debug, Default)]
pub struct UnixRules {
    /// Those that allow.
    pub allow: Vec<UnixRule>,
    /// Those that deny.
    pub deny: Vec<UnixRule>,
}

impl UnixRules {
    /// Of all rules of a run.
    #[must_use]
    pub fn of(rules: &Rules) -> Self {
        let those = |rules: &[Rule]| rules.iter().filter_map(UnixRule::of).collect();
        Self { allow: those(rules.allow()), deny: those(rules.deny()) }
    }

    /// Whether some rule that allows may mean the socket at `path`, by its text.
    #[must_use]
    pub fn mentions(&self, path: &str) -> bool {
        self.allow.iter().any(|rule| {
            let (ruled, path) = (rule.path(), Path::new(path));
            if rule.is_directory() { path.starts_with(ruled) } else { path == ruled }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> UnixRules {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        UnixRules::of(&Rules::parse(&texts(allow), &texts(deny)).expect("good rules"))
    }

    #[test]
    fn rules_about_paths_are_told_from_rules_about_networks() {
        let rules =
            rules(&["unix:/run/docker.sock", "example.com:443", "unix:/tmp/.X11-unix/"], &["10.0.0.0/8"]);
        assert_eq!((rules.allow.len(), rules.deny.len()), (2, 0));
        assert_eq!(rules.allow[0].path(), Path::new("/run/docker.sock"));
        assert!(!rules.allow[0].is_directory() && rules.allow[1].is_directory());
        assert!(rules.mentions("/run/docker.sock") && rules.mentions("/tmp/.X11-unix/X0"));
        assert!(!rules.mentions("/run/docker.sock2") && !rules.mentions("/tmp/.X11-unixes/X0"));
    }

    #[test]
    fn the_root_directory_means_all() {
        let rules = rules(&["unix:/"], &["unix:/run/docker.sock"]);
        assert!(rules.allow[0].is_directory() && rules.mentions("/run/nscd/socket"));
        assert_eq!(rules.deny[0].path(), Path::new("/run/docker.sock"));
    }
}
