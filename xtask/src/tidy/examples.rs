//! What a program sees of the stack has an example: each type in the crates that `weft` gives on.

use super::Finding;
use super::source::Source;

/// Their sources, in which a type that is `pub` can be reached from outside.
const SEEN: [&str; 6] = [
    "base/packet/src/",
    "net/tcp/src/",
    "net/filter/src/",
    "net/stack/src/",
    "host/runtime/src/",
    "host/network/src/",
];

/// How a type begins that anybody may use.
const TYPES: [&str; 3] = ["pub struct ", "pub enum ", "pub trait "];

pub fn check(source: &Source) -> Vec<Finding> {
    let path = source.path.to_string_lossy();
    if !SEEN.iter().any(|seen| path.starts_with(seen)) {
        return Vec::new();
    }
    let types = source.code_lines().filter_map(|(line, code)| {
        let rest = TYPES.iter().find_map(|begin| code.trim_start().strip_prefix(begin))?;
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        (!source.is_test(line) && !has_example(source, line)).then_some((line, name))
    });
    let tell = |(line, name): (usize, String)| {
        let text = format!("{name} is seen outside and has no example");
        Finding::new("examples", &source.path, line + 1, text).of(name)
    };
    types.map(tell).collect()
}

/// Whether a block of code stands in the documentation above a line.
fn has_example(source: &Source, line: usize) -> bool {
    let above = source.lines[..line].iter().rev().map(|line| line.trim_start());
    let belongs = |line: &&str| line.starts_with("///") || line.starts_with("#[");
    above.take_while(belongs).any(|line| line.starts_with("/// ```"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn items(path: &str, text: &str) -> Vec<String> {
        check(&Source::read(Path::new(path), text)).into_iter().map(|finding| finding.item).collect()
    }

    #[test]
    fn types_that_are_seen_have_an_example() {
        let shown = "/// One.\n///\n/// ```\n/// a();\n/// ```\n#[derive(Debug)]\npub struct One(u8);\n";
        let bare = "/// Two.\n#[derive(Debug)]\npub enum Two<T> { A(T) }\n";
        assert_eq!(items("net/stack/src/a.rs", shown), [""; 0]);
        assert_eq!(items("net/stack/src/a.rs", bare), ["Two"]);
        assert_eq!(items("net/stack/src/a.rs", &(shown.to_owned() + bare)), ["Two"]);
        assert_eq!(items("host/network/src/a.rs", "/// Three.\npub trait Three: Send {}\n"), ["Three"]);
    }

    #[test]
    fn nothing_is_asked_of_what_nobody_sees() {
        let inner = "/// One.\npub(crate) struct One;\nstruct Two;\n#[cfg(test)]\nmod tests {\n    pub struct A;\n}\n";
        assert_eq!(items("net/stack/src/a.rs", inner), [""; 0]);
        assert_eq!(items("net/stack/tests/a.rs", "pub struct A;\n"), [""; 0]);
        assert_eq!(items("testing/sim/src/a.rs", "pub struct A;\n"), [""; 0]);
    }
}
