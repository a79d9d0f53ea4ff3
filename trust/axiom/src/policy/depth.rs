//! How deep a text in Cedar can lead whoever walks it, and the stack for that.
//!
//! Cedar reads a text without recursion, but all that it does with what it has read walks a tree, and recurs: a text that is
//! deep enough overflows the stack, which ends the process. So the text is counted before Cedar sees it. Every bracket,
//! operator and keyword that can make the tree one level deeper counts, nested or not: that is never fewer than there are
//! levels. The count is each policy's own, since Cedar's parser is back at its start behind each `;`.

use super::complaint::{Complaint, Place};
use std::sync::Arc;

/// The most brackets, dots, operators and words such as `if`, `in` and `has` of one policy in Cedar: each may be a level of
/// its own.
pub const CEDAR_DEPTH_MAX: usize = 512;

/// The most tokens of one policy in Cedar, commas and all: what writes a policy anew recurs over them too, and takes a
/// time that grows with their square.
pub const CEDAR_TOKENS_MAX: usize = 16_384;

/// What one level takes of the stack at most, in bytes, with a margin of four: 103 KiB for one that is made into JSON and
/// back, 58 KiB for one that is read or asked, where Cedar is not optimised, as in a build for development.
const LEVEL_BYTES: usize = 416 << 10;

/// What one token takes in the formatter: at most 375 bytes, with a margin of five.
const TOKEN_BYTES: usize = 2 << 10;

/// What is needed beside: Cedar's own parts of it stop, and say nothing, where less than 100 KiB are left.
const BASE_BYTES: usize = 1 << 20;

/// Words of Cedar that stand between or before expressions.
const DEEPENING: [&[u8]; 5] = [b"if", b"in", b"is", b"has", b"like"];

/// Operators of two letters that are one token.
const PAIRS: [&[u8; 2]; 6] = [b"||", b"&&", b"==", b"!=", b"<=", b">="];

/// How deep the deepest policy of a text may be, and how long the longest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Depth {
    levels: usize,
    tokens: usize,
}

impl Depth {
    /// Of a text, or what is too much of it, where.
    pub fn of(path: &Arc<str>, text: &str) -> Result<Self, Complaint> {
        let (mut deepest, mut policy) = (Self::default(), Self::default());
        let mut tokens = Tokens { text: text.as_bytes(), at: 0 };
        while let Some((offset, token)) = tokens.next() {
            match token {
                Token::End => policy = Self::default(),
                Token::Deepens => policy.levels += 1,
                Token::Other => {}
            }
            policy.tokens += 1;
            deepest = deepest.max(policy);
            let wrong = if policy.levels > CEDAR_DEPTH_MAX {
                format!("this policy has more than {CEDAR_DEPTH_MAX} operators and brackets")
            } else if policy.tokens > CEDAR_TOKENS_MAX {
                format!("this policy has more than {CEDAR_TOKENS_MAX} words and signs")
            } else {
                continue;
            };
            let help = "name what it speaks of in a list (resource in List::\"NAME\", with --list NAME=FILE), \
                        or write several policies";
            return Err(Complaint::new(Place::of_offset(path, text, offset), wrong).helped(help));
        }
        Ok(deepest)
    }

    /// The greater of each.
    pub fn max(self, other: Self) -> Self {
        Self { levels: self.levels.max(other.levels), tokens: self.tokens.max(other.tokens) }
    }

    /// Does something with what is read of the text, on a stack that is large enough for it.
    pub fn with_stack<R>(self, work: impl FnOnce() -> R) -> R {
        let bytes = BASE_BYTES + self.levels * LEVEL_BYTES;
        stacker::maybe_grow(bytes, bytes, work)
    }

    /// The same for writing it anew.
    pub fn with_stack_to_write<R>(self, work: impl FnOnce() -> R) -> R {
        let bytes = BASE_BYTES + self.levels * LEVEL_BYTES + self.tokens * TOKEN_BYTES;
        stacker::maybe_grow(bytes, bytes, work)
    }
}

/// What a token is to the depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Deepens,
    Other,
    /// `;`
    End,
}

/// The tokens of a text, cut as Cedar's parser cuts them. It stops at the first that it does not know; what is counted
/// behind that is too much, never too little.
#[derive(Debug)]
struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
}

impl Tokens<'_> {
    /// The next, and the byte where it starts.
    fn next(&mut self) -> Option<(usize, Token)> {
        loop {
            let start = self.at;
            let rest = self.text.get(start..)?;
            let letter = *rest.first()?;
            let (length, token) = match letter {
                b'/' if rest.starts_with(b"//") => {
                    (length_while(rest, |letter| !b"\r\n".contains(&letter)), None)
                }
                b'"' => (string_length(rest), Some(Token::Other)),
                b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                    let length =
                        length_while(rest, |letter| letter == b'_' || letter.is_ascii_alphanumeric());
                    let deepens = DEEPENING.contains(&&rest[..length]);
                    (length, Some(if deepens { Token::Deepens } else { Token::Other }))
                }
                b'0'..=b'9' => (length_while(rest, |letter| letter.is_ascii_digit()), Some(Token::Other)),
                b';' => (1, Some(Token::End)),
                b':' if rest.starts_with(b"::") => (2, Some(Token::Other)),
                b',' | b':' | b'@' | b')' | b']' | b'}' | b'?' => (1, Some(Token::Other)),
                _ if letter.is_ascii_punctuation() => {
                    let is_pair = PAIRS.iter().any(|pair| rest.starts_with(*pair));
                    (if is_pair { 2 } else { 1 }, Some(Token::Deepens))
                }
                _ => (1, None),
            };
            self.at += length;
            if let Some(token) = token {
                return Some((start, token));
            }
        }
    }
}

fn length_while(text: &[u8], is_part: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|letter| !is_part(*letter)).unwrap_or(text.len())
}

/// Of a string with its quotes; all of the rest where it does not end.
fn string_length(text: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = text.iter().skip(1).position(|letter| {
        let is_end = *letter == b'"' && !is_escaped;
        is_escaped = *letter == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Policy, PolicyBuilder, PolicyError, Question, format};

    /// Conditions that are `n` deep, one for each way in which they can be.
    fn deep(n: usize) -> Vec<(&'static str, String)> {
        let nested = |open: &str, core: &str, close: &str| [&open.repeat(n), core, &close.repeat(n)].concat();
        vec![
            ("parentheses", nested("(", "resource.port == 1", ")")),
            ("or", nested("", "resource.port == 1", " || resource.port == 2")),
            ("and", nested("", "resource.port == 1", " && resource.port == 1")),
            ("sums", nested("", "0 < 1", " + 1")),
            ("products", nested("", "0 < resource.port", " * 1")),
            ("if, else if", nested("if resource.port == 2 then true else ", "true", "")),
            ("if if", nested("if ", "resource.port == 1", " then true else false")),
            ("then", nested("if resource.port == 1 then ", "true", " else false")),
            ("attributes", nested("", "resource", ".name")),
            ("indices", nested("", "resource", "[\"name\"]")),
            ("calls", nested("", "resource.address", ".isInRange(ip(\"10.0.0.0/8\"))")),
            ("constructors", nested("ip(", "\"10.0.0.1\"", ")")),
            ("sets", nested("[", "1", "]") + ".isEmpty()"),
            ("records", nested("{a: ", "1", "}") + " has a"),
            ("not", nested("!", "true", "")),
            ("not, in parentheses", nested("!(", "resource.port == 1", ")")),
            ("minus", nested("- ", "1", "") + " < 0"),
            ("minus, in parentheses", nested("-(", "resource.port", ")") + " < 9"),
            ("equals", nested("", "true", " == true")),
            ("in", nested("", "resource", " in resource")),
            ("has", nested("", "resource has name", ".name")),
            ("open", "(".repeat(n)),
            ("unended", format!("{}\"", "[".repeat(n))),
        ]
    }

    fn text(condition: &str) -> String {
        format!("permit (principal, action, resource) when {{ {condition} }};")
    }

    fn levels(text: &str) -> usize {
        Depth::of(&"a.cedar".into(), text).map_or(usize::MAX, |depth| depth.levels)
    }

    fn build(text: &str) -> Result<Policy, PolicyError> {
        let mut load = |_: &str| Ok(text.as_bytes().to_vec());
        PolicyBuilder::default().file("a.cedar", &mut load).build()
    }

    fn told(text: &str) -> String {
        build(text).map_or_else(|error| error.to_string(), |_| String::new())
    }

    /// The shape at the most levels that may be, and how many of its own that are.
    fn at_the_limit(shape: usize) -> (&'static str, String) {
        let of = |n| text(&deep(n)[shape].1);
        let each = levels(&of(2)) - levels(&of(1));
        let n = (CEDAR_DEPTH_MAX - levels(&of(1))) / each + 1;
        assert!(levels(&of(n)) <= CEDAR_DEPTH_MAX && levels(&of(n + 1)) == usize::MAX);
        (deep(1)[shape].0, of(n))
    }

    #[test]
    fn what_is_as_deep_as_may_be_is_read_checked_asked_written_and_dropped() {
        let question = Question::parse("connect tcp://a.example:1 address=192.0.2.1").expect("a question");
        for shape in 0..deep(1).len() {
            let (name, text) = at_the_limit(shape);
            let Ok(policy) = build(&text) else { continue };
            let decision = policy.decide(&question.proposal, question.context);
            assert_eq!(decision.failure, None, "{name}");
            let _ = policy.explain(&question);
            let _ = format("a.cedar", &text).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let (name, text) = at_the_limit(0);
        let policy = build(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(policy.decide(&question.proposal, question.context).allowed);
    }

    #[test]
    fn what_is_deeper_is_told_where_it_becomes_too_deep() {
        for shape in 0..deep(1).len() {
            let name = deep(1)[shape].0;
            for n in [CEDAR_DEPTH_MAX + 1, 100_000] {
                let wrong = told(&text(&deep(n)[shape].1));
                assert!(wrong.contains("more than 512 operators and brackets"), "{name}: {wrong}");
                assert!(format("a.cedar", &text(&deep(n)[shape].1)).is_err(), "{name}");
            }
        }
        let text = format!("permit (principal, action, resource) when {{\n{}true }};", "(".repeat(600));
        let wrong = told(&text);
        assert!(wrong.starts_with("a.cedar:2:511: this policy has more than 512"), "{wrong}");
        assert!(wrong.contains("help: name what it speaks of in a list"), "{wrong}");
    }

    #[test]
    fn what_is_wrong_deep_inside_is_found() {
        // Cedar's validator stops without a word where the stack is short.
        let (name, text) = at_the_limit(1);
        let text = text.replace("resource.port == 1", "resource.nothing == 1");
        assert!(told(&text).contains("`nothing`"), "{name}");
    }

    #[test]
    fn a_level_has_four_times_the_stack_that_it_takes() {
        for shape in 0..deep(1).len() {
            let (_, text) = at_the_limit(shape);
            let depth = Depth { levels: levels(&text) / 4, tokens: 0 };
            depth.with_stack(|| {
                use std::str::FromStr;
                let read = cedar_policy::PolicySet::from_str(&text);
                let Ok(set) = read else { return };
                for policy in set.policies() {
                    let json = policy.to_json().expect("a policy");
                    let again = cedar_policy::Policy::from_json(Some(policy.id().clone()), json);
                    drop(again.expect("the same policy"));
                }
            });
        }
    }

    #[test]
    fn a_refusal_that_is_too_deep_to_be_asked_refuses() {
        let (_, deep) = at_the_limit(1);
        let forbid = deep.replace("permit", "forbid");
        let policy = build(&format!("permit (principal, action, resource);\n{forbid}")).expect("a policy");
        let question = Question::parse("connect tcp://a.example:3").expect("a question");
        assert!(policy.decide(&question.proposal, question.context).allowed, "it speaks of other ports");
        let shallow = Depth { levels: 2, tokens: 0 };
        let short = policy.with_depth(shallow);
        let decision = std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(move || short.decide(&question.proposal, question.context))
            .expect("a thread")
            .join()
            .expect("it ends");
        assert!(!decision.allowed && decision.failure.is_some(), "{decision}");
    }

    #[test]
    fn tokens_are_cut_as_cedar_cuts_them() {
        for (text, expected) in [
            ("\"((((\\\"((\" (", 1),
            ("// ((((\n(", 1),
            ("// ((((\r(", 1),
            ("a::b::\"c\", d: 1", 0),
            ("a || b && c == d != e <= f >= g", 6),
            ("! - + * / % < > = . ( [ {", 13),
            ("iffy inner 1if _in has like is in if", 6),
            ("(((;((;(", 3),
            ("\"((((", 0),
            ("größe ( ß(", 2),
            ("?principal @id(\"x\")", 1),
        ] {
            assert_eq!(levels(text), expected, "{text}");
        }
    }

    #[test]
    fn a_policy_has_a_length() {
        let set = |n: usize| text(&format!("[{}].contains(1)", "1, ".repeat(n)));
        let most = (CEDAR_TOKENS_MAX - 40) / 2;
        assert_eq!(told(&set(most)), "");
        assert!(format("a.cedar", &set(most)).is_ok());
        assert!(told(&set(CEDAR_TOKENS_MAX)).contains("more than 16384 words and signs"));
        assert_eq!(told(&set(most).repeat(3)), "", "each policy by itself");
    }
}
