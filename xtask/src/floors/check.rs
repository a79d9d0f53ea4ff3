//! The arrows held against the table.

use super::manifest::{Arrow, Kind, Tree};
use super::table::{FLOORS, Floor, NEVER, TEST_IMPORTS, WHOLE_FLOORS, covers, floor};
use std::collections::BTreeSet;
use std::fmt;

/// What is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A crate outside the floors.
    Outside {
        /// Where it stands.
        place: String,
    },
    /// A manifest that no workspace knows.
    Stray {
        /// Where it stands.
        place: String,
    },
    /// An arrow that the table does not have.
    Arrow {
        /// From where.
        from: String,
        /// To where, and for what.
        arrow: Arrow,
        /// The rule that it breaks.
        rule: String,
    },
    /// Crates that import each other in a circle.
    Circle(Vec<String>),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside { place } => {
                let names: Vec<_> = FLOORS.iter().map(|floor| floor.name).collect();
                write!(
                    f,
                    "{place}: stands on no floor; a crate is FLOOR/CRATE with a floor of {}",
                    names.join(", ")
                )
            }
            Self::Stray { place } => {
                write!(f, "{place}: neither a member nor excluded in the workspace's Cargo.toml")
            }
            Self::Arrow { from, arrow, rule } => {
                let kind = match arrow.kind {
                    Kind::Code => "imports",
                    Kind::Tests => "imports for its tests",
                };
                write!(f, "{from} {kind} {}: {rule}", arrow.to)
            }
            Self::Circle(places) => write!(f, "{}: a circle", places.join(" imports ")),
        }
    }
}

/// All that is wrong.
pub fn check(tree: &Tree) -> Vec<Wrong> {
    let mut wrongs = Vec::new();
    for (place, arrows) in &tree.crates {
        if !tree.members.contains(place) && !tree.excluded.iter().any(|folder| covers(folder, place)) {
            wrongs.push(Wrong::Stray { place: place.clone() });
        }
        let Some(floor) = floor_of(place) else {
            wrongs.push(Wrong::Outside { place: place.clone() });
            continue;
        };
        for arrow in arrows {
            // A part of a crate's own folder, as a package of its own, is still that crate.
            if covers(place, &arrow.to) {
                continue;
            }
            if let Some(rule) = broken_rule(floor, place, arrow) {
                wrongs.push(Wrong::Arrow { from: place.clone(), arrow: arrow.clone(), rule });
            }
        }
    }
    wrongs.extend(circle(tree).map(Wrong::Circle));
    wrongs
}

/// The floor on which a crate stands.
fn floor_of(place: &str) -> Option<&'static Floor> {
    let (first, rest) = place.split_once('/').map_or((place, None), |(first, rest)| (first, Some(rest)));
    let is_whole = WHOLE_FLOORS.contains(&first);
    floor(first).filter(|_| rest.is_some() != is_whole)
}

/// The rule that an arrow breaks.
fn broken_rule(floor: &Floor, from: &str, arrow: &Arrow) -> Option<String> {
    let to = arrow.to.as_str();
    let Some(target) = floor_of(to) else {
        return Some("that stands on no floor".to_owned());
    };
    if arrow.kind == Kind::Tests && covers(TEST_IMPORTS, to) {
        return None;
    }
    if let Some(never) = NEVER.iter().find(|never| covers(never.from, from) && covers(never.to, to)) {
        return Some(format!("never, for {}", never.reason));
    }
    if floor.imports.iter().any(|pattern| covers(pattern, to)) {
        return None;
    }
    Some(match (target.name, floor.imports) {
        (TEST_IMPORTS, _) => format!("{TEST_IMPORTS} may be imported for tests alone"),
        (_, []) => format!("{} imports nothing of the project", floor.name),
        (_, imports) => format!("{} may import {}", floor.name, imports.join(", ")),
    })
}

/// A circle among the arrows of the code, if there is one. Tests may lead back: what they import does not import them.
fn circle(tree: &Tree) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    tree.crates.keys().find_map(|place| walk(tree, place, &mut Vec::new(), &mut done))
}

fn walk<'t>(
    tree: &'t Tree,
    place: &'t str,
    path: &mut Vec<&'t str>,
    done: &mut BTreeSet<&'t str>,
) -> Option<Vec<String>> {
    if let Some(start) = path.iter().position(|visited| *visited == place) {
        return Some(path[start..].iter().chain([&place]).map(|place| (*place).to_owned()).collect());
    }
    if done.contains(place) {
        return None;
    }
    path.push(place);
    let arrows = tree.crates.get(place).map(Vec::as_slice).unwrap_or_default();
    let found = arrows
        .iter()
        .filter(|arrow| arrow.kind == Kind::Code)
        .find_map(|arrow| walk(tree, &arrow.to, path, done));
    path.pop();
    done.insert(place);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of crates, each with its dependencies; `dev:` before one makes it a dependency of the tests.
    fn wrongs(crates: &[(&str, &[&str])]) -> Vec<String> {
        let members: Vec<_> = crates.iter().map(|(place, _)| format!("'{place}'")).collect();
        let root = format!("[workspace]\nmembers = [{}]\nexclude = ['metal/image']", members.join(", "));
        let mut texts = vec![("Cargo.toml".to_owned(), root)];
        for (place, dependencies) in crates {
            let up = "../".repeat(place.split('/').count());
            let mut text = "[package]\nname = 'x'\n".to_owned();
            for (index, dependency) in dependencies.iter().enumerate() {
                let (section, to) = match dependency.strip_prefix("dev:") {
                    Some(to) => ("dev-dependencies", to),
                    None => ("dependencies", *dependency),
                };
                text += &format!("[{section}.d{index}]\npath = '{up}{to}'\n");
            }
            texts.push((format!("{place}/Cargo.toml"), text));
        }
        let tree = Tree::parse(&texts).expect("manifests");
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn arrows_of_the_table_are_allowed() {
        let house: &[(&str, &[&str])] = &[
            ("base/wire", &["base/time"]),
            ("base/time", &[]),
            ("net/tcp", &["base/wire", "dev:testing/sim"]),
            ("net/stack", &["net/tcp", "base/wire"]),
            ("host/network", &["net/stack"]),
            ("host/gateway", &["host/network", "metal/nic"]),
            ("metal/nic", &["base/wire"]),
            ("web/http", &["host/network"]),
            ("cli/weft", &["host/gateway", "web/http", "weft"]),
            ("weft", &["host/network"]),
            ("testing/sim", &["net/stack"]),
            ("xtask", &[]),
        ];
        assert_eq!(wrongs(house), [""; 0]);
    }

    #[test]
    fn every_other_arrow_is_refused_with_its_rule() {
        for (from, to, rule) in [
            ("base/wire", "net/tcp", "base may import base"),
            ("net/tcp", "trust/axiom", "net may import base, net"),
            ("web/http", "net/tcp", "web may import base, trust, host/network, web"),
            ("web/http", "host/gateway", "web may import base, trust, host/network, web"),
            ("host/link", "metal/image", "host may import"),
            ("cli/weft", "metal/image", "cli may import"),
            ("net/tcp", "testing/sim", "testing may be imported for tests alone"),
            ("cli/weft", "testing/sim", "testing may be imported for tests alone"),
            ("netd/client", "netd/server", "never, for they share"),
            ("metal/nic", "net/stack", "never, for they meet"),
            ("xtask", "base/wire", "xtask imports nothing of the project"),
            ("base/wire", "elsewhere", "that stands on no floor"),
            ("base/wire", "../elsewhere", "that stands on no floor"),
        ] {
            let found = wrongs(&[(from, &[to])]);
            assert_eq!(found.len(), 1, "{from} to {to}: {found:?}");
            assert!(found[0].starts_with(&format!("{from} imports ")), "{found:?}");
            assert!(found[0].contains(rule), "{found:?} for {rule}");
        }
    }

    #[test]
    fn tests_may_import_testing_and_nothing_else_besides() {
        assert_eq!(wrongs(&[("net/tcp", &["dev:testing/sim"])]), [""; 0]);
        assert_eq!(wrongs(&[("net/tcp", &["dev:host/link"])]).len(), 1);
    }

    #[test]
    fn crates_outside_the_floors_are_refused() {
        for place in ["attic/old", "base", "weft/inner", "wire"] {
            let found = wrongs(&[(place, &[])]);
            assert!(found.len() == 1 && found[0].contains("stands on no floor"), "{place}: {found:?}");
        }
        let mut tree = Tree::default();
        tree.crates.insert("base/stray".to_owned(), Vec::new());
        assert_eq!(check(&tree), [Wrong::Stray { place: "base/stray".to_owned() }]);
        tree.excluded.insert("base/stray".to_owned());
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn circles_are_found_and_tests_may_lead_back() {
        let found = wrongs(&[("base/a", &["base/b"]), ("base/b", &["base/c"]), ("base/c", &["base/b"])]);
        assert_eq!(found, ["base/b imports base/c imports base/b: a circle"]);
        assert_eq!(wrongs(&[("base/a", &["base/b"]), ("base/b", &["dev:base/a"])]), [""; 0]);
    }
}
