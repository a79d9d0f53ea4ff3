//! A question in words, and what can be said to it. The last line has all that the answer is about, wherever the rest has
//! gone on the screen.

use crate::report::escape_whole;

/// What can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// What waits now may be, and nothing more.
    Once,
    /// It may be from here on, and in the policy.
    Always,
    /// It may not be from here on, nor in the policy.
    Never,
}

impl Answer {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// What a line says: an answer's word, or its first letter.
    pub fn read(line: &[u8]) -> Option<Self> {
        let text = str::from_utf8(line).ok()?.trim().to_ascii_lowercase();
        [Self::Once, Self::Always, Self::Never]
            .into_iter()
            .find(|answer| text == answer.word() || text == answer.word()[..1])
    }
}

/// Ends what a program may have begun: a sequence of the terminal's that swallows what follows (CAN), letters that are
/// drawings (SI, and ASCII as G0) or cannot be seen (SGR 0).
const PLAIN: &str = "\x18\x0f\x1b(B\x1b[0m";

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// Who wants what: a sentence without its end.
    pub about: String,
    /// What it is about, as a rule writes it.
    pub endpoint: String,
    /// What `once`, `always` and `never` do.
    pub choices: [String; 3],
}

impl Prompt {
    /// The whole question. Its lines end as a terminal wants it that does nothing by itself. `is_plain` terminals know no
    /// sequences.
    pub fn to_text(&self, is_plain: bool) -> String {
        let start = if is_plain { "" } else { PLAIN };
        let [once, always, never] = self.choices.each_ref().map(|choice| escape_whole(choice));
        format!(
            "{start}weft: {}\r\n  [o]nce    {once}\r\n  [a]lways  {always}\r\n  [n]ever   {never}\r\n{}",
            escape_whole(&self.about),
            self.to_question(),
        )
    }

    /// The line behind which the answer stands.
    pub fn to_question(&self) -> String {
        format!("{} [o/a/n]? ", escape_whole(&self.endpoint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_words_or_their_first_letters_and_nothing_else() {
        for (line, answer) in [
            ("o\n", Some(Answer::Once)),
            (" Always \n", Some(Answer::Always)),
            ("NEVER", Some(Answer::Never)),
            ("n", Some(Answer::Never)),
            ("", None),
            ("\n", None),
            ("al\n", None),
            ("yes\n", None),
            ("o a\n", None),
            ("\u{1b}[<0;1;1Mo\n", None),
        ] {
            assert_eq!(Answer::read(line.as_bytes()), answer, "{line:?}");
        }
        assert_eq!(Answer::read(b"\xffo"), None);
    }

    #[test]
    fn a_question_says_who_what_and_what_follows_and_is_not_driven_by_names() {
        let prompt = Prompt {
            about: "a\u{1b}[2J[7], /bin/a, wants to connect to tcp://a.example:443".into(),
            endpoint: "tcp://a.example:443".into(),
            choices: ["now".into(), "in build\r.rules".into(), "refused".into()],
        };
        let text = prompt.to_text(true);
        assert_eq!(
            text,
            "weft: a\\u{1b}[2J[7], /bin/a, wants to connect to tcp://a.example:443\r\n  [o]nce    now\r\n  \
             [a]lways  in build\\r.rules\r\n  [n]ever   refused\r\ntcp://a.example:443 [o/a/n]? "
        );
        assert_eq!(prompt.to_text(false), format!("{PLAIN}{text}"));
    }
}
