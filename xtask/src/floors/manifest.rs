//! Manifests as a tree: the crates, where they stand, and their arrows.

use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// What kind of dependency an arrow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Of the code, or of a build script.
    Code,
    /// Of the tests alone.
    Tests,
}

/// One dependency with a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// Where the dependency stands, from the root.
    pub to: String,
    /// What it is for.
    pub kind: Kind,
}

/// All manifests.
#[derive(Debug, Default)]
pub struct Tree {
    /// Each crate by where it stands (`net/tcp`), with its arrows.
    pub crates: BTreeMap<String, Vec<Arrow>>,
    /// The members of the main workspace.
    pub members: BTreeSet<String>,
    /// The folders with workspaces of their own.
    pub excluded: BTreeSet<String>,
}

impl Tree {
    /// Reads manifests, given as their paths from the root and their texts.
    pub fn parse(texts: &[(String, String)]) -> Result<Self, String> {
        let mut tables = BTreeMap::new();
        for (path, text) in texts {
            let table: Table = text.parse().map_err(|error| format!("{path}: {error}"))?;
            let directory = path.strip_suffix("Cargo.toml").expect("a manifest's name").trim_end_matches('/');
            tables.insert(directory.to_owned(), table);
        }
        let root = tables.get("").ok_or("there is no Cargo.toml at the root")?;
        let workspace = root.get("workspace").and_then(Value::as_table).ok_or("the root is no workspace")?;
        let shared = workspace.get("dependencies").and_then(Value::as_table);
        let mut tree = Self {
            members: strings(workspace, "members"),
            excluded: strings(workspace, "exclude"),
            ..Self::default()
        };
        for (directory, table) in &tables {
            if table.contains_key("package") {
                let arrows = arrows(directory, table, shared)?;
                tree.crates.insert(directory.clone(), arrows);
            }
        }
        Ok(tree)
    }

    /// How many arrows there are.
    pub fn arrows(&self) -> usize {
        self.crates.values().map(Vec::len).sum()
    }
}

fn strings(table: &Table, key: &str) -> BTreeSet<String> {
    let listed = table.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    listed.iter().filter_map(Value::as_str).map(|text| text.trim_end_matches('/').to_owned()).collect()
}

/// The arrows of one manifest, those for some targets only included.
fn arrows(directory: &str, manifest: &Table, shared: Option<&Table>) -> Result<Vec<Arrow>, String> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets.into_iter().flat_map(|targets| targets.values().filter_map(Value::as_table));
    let mut arrows = BTreeSet::new();
    for table in std::iter::once(manifest).chain(tables) {
        for (section, kind) in [
            ("dependencies", Kind::Code),
            ("build-dependencies", Kind::Code),
            ("dev-dependencies", Kind::Tests),
        ] {
            for (name, value) in table.get(section).and_then(Value::as_table).into_iter().flatten() {
                if let Some(to) = place(directory, name, value, shared)? {
                    arrows.insert(Arrow { to, kind });
                }
            }
        }
    }
    Ok(arrows.into_iter().collect())
}

/// Where a dependency stands; `None` for one from outside.
fn place(
    directory: &str,
    name: &str,
    value: &Value,
    shared: Option<&Table>,
) -> Result<Option<String>, String> {
    if let Some(path) = value.get("path").and_then(Value::as_str) {
        return Ok(Some(join(directory, path)));
    }
    if value.get("workspace").and_then(Value::as_bool) == Some(true) {
        let found = shared
            .and_then(|shared| shared.get(name))
            .ok_or_else(|| format!("{directory}: {name} is not among the workspace's dependencies"))?;
        return Ok(found.get("path").and_then(Value::as_str).map(|path| join("", path)));
    }
    Ok(None)
}

/// `path` from `directory`, as a path from the root. One that leaves the root keeps its `..`, and so is on no floor.
fn join(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined() {
        assert_eq!(join("net/tcp", "../../base/wire"), "base/wire");
        assert_eq!(join("", "./base/wire/"), "base/wire");
        assert_eq!(join("weft", "../../elsewhere"), "../elsewhere");
    }

    #[test]
    fn arrows_of_every_section_are_found() {
        let root =
            "[workspace]\nmembers = ['net/a']\n[workspace.dependencies]\nb = { path = 'base/b' }\nx = '1'";
        let member = "[package]\nname = 'a'\n[dependencies]\nb.workspace = true\nx.workspace = true\ny = '2'\n\
             [dev-dependencies]\nc = { path = '../c' }\n[build-dependencies]\nd = { path = '../d' }\n\
             [target.'cfg(unix)'.dependencies]\ne = { package = 'f', path = '../e' }";
        let texts = [("Cargo.toml", root), ("net/a/Cargo.toml", member)];
        let tree = Tree::parse(&texts.map(|(path, text)| (path.to_owned(), text.to_owned()))).unwrap();
        let found: Vec<_> =
            tree.crates["net/a"].iter().map(|arrow| (arrow.to.as_str(), arrow.kind)).collect();
        assert_eq!(
            found,
            [("base/b", Kind::Code), ("net/c", Kind::Tests), ("net/d", Kind::Code), ("net/e", Kind::Code)]
        );
    }
}
