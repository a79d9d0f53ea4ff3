//! What happens to a script's text before it is parsed: conditions of the FreeBSD dialect and defined names. Lines keep
//! their numbers.

use std::collections::BTreeMap;

/// Names and what stands in their place.
pub type Defines = BTreeMap<String, String>;

/// The text without the lines whose condition does not hold, and with defined names replaced.
///
/// # Errors
///
/// The line and what is wrong with it.
pub fn preprocess(text: &str, defines: &Defines) -> Result<String, (u32, String)> {
    let mut known = defines.clone();
    collect_defines(text, &mut known);
    let mut conditions: Vec<bool> = Vec::new();
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.lines().enumerate() {
        let number = index as u32 + 1;
        let mut words = line.split_whitespace();
        let directive = words.next().unwrap_or_default();
        let name = words.next().unwrap_or_default();
        match directive {
            "#ifdef" => conditions.push(known.contains_key(name)),
            "#ifndef" => conditions.push(!known.contains_key(name)),
            "#else" => {
                let last = conditions.last_mut().ok_or((number, "#else without #ifdef".to_owned()))?;
                *last = !*last;
            }
            "#endif" => {
                conditions.pop().ok_or((number, "#endif without #ifdef".to_owned()))?;
            }
            _ if conditions.iter().all(|holds| *holds) => replace(line, &known, &mut out),
            _ => {}
        }
        out.push('\n');
    }
    match conditions.is_empty() {
        true => Ok(out),
        false => Err((text.lines().count() as u32, "#ifdef without #endif".to_owned())),
    }
}

/// The script's own `-D NAME=value` and `--define=NAME=value`.
fn collect_defines(text: &str, known: &mut Defines) {
    for line in text.lines().map(str::trim) {
        let Some(rest) = line.strip_prefix("--define=").or_else(|| line.strip_prefix("-D")) else { continue };
        if let Some((name, value)) = rest.trim().split_once('=') {
            known.insert(name.trim().to_owned(), value.trim().trim_matches('"').to_owned());
        }
    }
}

/// Appends a line with each whole word that is defined replaced; option lines stay as they are.
fn replace(line: &str, known: &Defines, out: &mut String) {
    if known.is_empty() || line.starts_with("-D") || line.starts_with("--") {
        out.push_str(line);
        return;
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = line;
    while let Some(start) = rest.find(is_word) {
        let end = rest[start..].find(|c| !is_word(c)).map_or(rest.len(), |length| start + length);
        let word = &rest[start..end];
        out.push_str(&rest[..start]);
        out.push_str(known.get(word).map_or(word, String::as_str));
        rest = &rest[end..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hide_lines_and_names_are_replaced_as_whole_words() {
        let text =
            "-D COOKIE=aabb\n#ifdef YES\nFO COOKIE COOKIES\n#else\nno\n#endif\n#ifdef NO\nnever\n#endif\nend";
        let defines = Defines::from([("YES".to_owned(), String::new())]);
        let out = preprocess(text, &defines).unwrap();
        assert_eq!(out, "-D COOKIE=aabb\n\nFO aabb COOKIES\n\n\n\n\n\n\nend\n");
    }

    #[test]
    fn an_unbalanced_condition_has_its_line() {
        assert_eq!(preprocess("a\n#endif", &Defines::new()).unwrap_err().0, 2);
        assert!(preprocess("#ifdef A\nx", &Defines::new()).is_err());
    }
}
