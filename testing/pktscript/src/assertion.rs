//! Assertions: `assert EXPRESSION, TEXT`, one a line, over whole numbers and names; `print(..)` beside them.
//!
//! ```text
//! or -> and -> not -> comparison -> | -> & -> + - -> * / // % -> - -> (..), number, name
//! ```

/// Why an assertion does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It does not hold; its text, and the names in it with their values.
    Fails(String),
    /// It needs what is not known here.
    Unsupported(String),
}

/// Checks every assertion of `code`; `lookup` knows the names.
///
/// # Errors
///
/// The first that does not pass.
pub fn check(code: &str, lookup: &dyn Fn(&str) -> Option<i64>) -> Result<(), Failure> {
    for statement in statements(code) {
        // What a script tells its reader on the way decides nothing.
        if statement.strip_prefix("print").is_some_and(|rest| rest.trim_start().starts_with('(')) {
            continue;
        }
        let Some(rest) = statement.strip_prefix("assert").filter(|rest| rest.starts_with([' ', '(', '\t']))
        else {
            let construct = statement.split(['(', ' ']).next().unwrap_or_default();
            return Err(Failure::Unsupported(format!("statement {construct}")));
        };
        let mut reader = Reader { tokens: tokens(rest)?, at: 0, depth: 0, lookup, used: Vec::new() };
        let holds = reader.or()? != 0;
        if !reader.is_at(",") && reader.at != reader.tokens.len() {
            let token = reader.tokens[reader.at].clone();
            return Err(Failure::Unsupported(format!("{token} in an assertion")));
        }
        if !holds {
            let values: Vec<String> =
                reader.used.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            let text = rest.split(',').next().unwrap_or(rest).trim();
            return Err(Failure::Fails(format!("{text} ({})", values.join(", "))));
        }
    }
    Ok(())
}

/// The statements: lines without comments, those within brackets joined.
fn statements(code: &str) -> Vec<String> {
    let (mut out, mut current, mut depth) = (Vec::new(), String::new(), 0_i32);
    for line in code.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (line, goes_on) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        depth += line.matches('(').count() as i32 - line.matches(')').count() as i32;
        current.push_str(line);
        current.push(' ');
        if depth <= 0 && !goes_on {
            out.extend(current.split(';').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
            current.clear();
        }
    }
    out.extend(Some(current.trim().to_owned()).filter(|rest| !rest.is_empty()));
    out
}

const SIGNS: [&str; 18] =
    ["==", "!=", "<=", ">=", "<<", ">>", "//", "<", ">", "|", "&", "+", "-", "*", "/", "%", "(", ")"];

fn tokens(text: &str) -> Result<Vec<String>, Failure> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let length = match rest.as_bytes()[0] {
            _ if word > 0 => word,
            b',' => {
                // What follows is only told when it fails.
                out.push(",".to_owned());
                return Ok(out);
            }
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => sign.len(),
                None => return Err(Failure::Unsupported(format!("`{rest}` in an assertion"))),
            },
        };
        out.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(out)
}

struct Reader<'a> {
    tokens: Vec<String>,
    at: usize,
    depth: usize,
    lookup: &'a dyn Fn(&str) -> Option<i64>,
    used: Vec<(String, i64)>,
}

/// How deep brackets and signs may stand in each other.
const DEPTH_MAX: usize = 64;

impl Reader<'_> {
    fn is_at(&self, token: &str) -> bool {
        self.tokens.get(self.at).is_some_and(|next| next == token)
    }

    fn eat(&mut self, choices: &[&'static str]) -> Option<&'static str> {
        let found = choices.iter().find(|token| self.is_at(token)).copied();
        self.at += usize::from(found.is_some());
        found
    }

    /// One bracket or sign deeper.
    fn enter(&mut self) -> Result<(), Failure> {
        self.depth += 1;
        match self.depth {
            0..=DEPTH_MAX => Ok(()),
            _ => Err(Failure::Unsupported("an assertion that deep".to_owned())),
        }
    }

    fn or(&mut self) -> Result<i64, Failure> {
        let mut value = self.and()?;
        while self.eat(&["or"]).is_some() {
            let other = self.and()?;
            value = if value != 0 { value } else { other };
        }
        Ok(value)
    }

    fn and(&mut self) -> Result<i64, Failure> {
        let mut value = self.not()?;
        while self.eat(&["and"]).is_some() {
            let other = self.not()?;
            value = if value == 0 { value } else { other };
        }
        Ok(value)
    }

    fn not(&mut self) -> Result<i64, Failure> {
        let mut turned = false;
        while self.eat(&["not"]).is_some() {
            turned = !turned;
        }
        let value = self.comparison()?;
        Ok(if turned { i64::from(value == 0) } else { value })
    }

    fn comparison(&mut self) -> Result<i64, Failure> {
        let mut left = self.binary(0)?;
        let mut holds = None;
        while let Some(sign) = self.eat(&["==", "!=", "<=", ">=", "<", ">"]) {
            let right = self.binary(0)?;
            let this = match sign {
                "==" => left == right,
                "!=" => left != right,
                "<=" => left <= right,
                ">=" => left >= right,
                "<" => left < right,
                _ => left > right,
            };
            holds = Some(holds.unwrap_or(true) && this);
            left = right;
        }
        Ok(holds.map_or(left, i64::from))
    }

    /// The levels of arithmetic, from the loosest.
    fn binary(&mut self, level: usize) -> Result<i64, Failure> {
        const LEVELS: [&[&str]; 5] = [&["|"], &["&"], &["<<", ">>"], &["+", "-"], &["*", "//", "/", "%"]];
        let Some(signs) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(sign) = self.eat(signs) {
            let right = self.binary(level + 1)?;
            let value = match sign {
                "|" => Some(left | right),
                "&" => Some(left & right),
                "<<" => u32::try_from(right).ok().and_then(|right| left.checked_shl(right)),
                ">>" => u32::try_from(right).ok().and_then(|right| left.checked_shr(right)),
                "+" => left.checked_add(right),
                "-" => left.checked_sub(right),
                "*" => left.checked_mul(right),
                "%" => left.checked_rem_euclid(right),
                _ => left.checked_div_euclid(right),
            };
            left = value.ok_or_else(|| Failure::Fails(format!("{left} {sign} {right} has no value")))?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<i64, Failure> {
        if self.eat(&["-"]).is_some() {
            self.enter()?;
            let value = self.unary()?;
            self.depth -= 1;
            return Ok(value.wrapping_neg());
        }
        if self.eat(&["("]).is_some() {
            self.enter()?;
            let value = self.or()?;
            self.depth -= 1;
            return match self.eat(&[")"]) {
                Some(_) => Ok(value),
                None => Err(Failure::Unsupported("brackets that do not match".to_owned())),
            };
        }
        let token = self.tokens.get(self.at).cloned().unwrap_or_default();
        self.at += 1;
        let value = match token.as_str() {
            "True" => Some(1),
            "False" => Some(0),
            digits if digits.starts_with("0x") => i64::from_str_radix(&digits[2..], 16).ok(),
            digits if digits.starts_with(|c: char| c.is_ascii_digit()) => digits.parse().ok(),
            name => (self.lookup)(name).inspect(|value| self.used.push((name.to_owned(), *value))),
        };
        value.ok_or_else(|| {
            Failure::Unsupported(if token.is_empty() { "half an assertion".to_owned() } else { token })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(code: &str) -> Result<(), Failure> {
        check(code, &|name| (name == "tcpi_state").then_some(7))
    }

    #[test]
    fn python_binds_as_python_does() {
        for holds in [
            "assert 1 + 2 * 3 == 7 and not 0, 'text'",
            "assert (1 | 6) & 3 == 3",
            "assert 7 % 4 == 3 or nonsense_is_not_reached == 1 or 1",
            "assert tcpi_state == 7, tcpi_state",
            "assert 1 < 2 <= 2 != 3\nassert -7 // 2 == -4 # floor",
            "assert (tcpi_state ==\n  7)",
            "assert 0x10 >> 2 == 4; assert True",
            "print(tcpi_state); assert tcpi_state == 7",
        ] {
            let known = check(holds, &|name| Some(if name == "tcpi_state" { 7 } else { 0 }));
            assert_eq!(known, Ok(()), "{holds}");
        }
    }

    #[test]
    fn what_fails_says_why_and_what_is_unknown_is_named() {
        let failure = says("assert tcpi_state == 1, 'x'").unwrap_err();
        assert_eq!(failure, Failure::Fails("tcpi_state == 1 (tcpi_state = 7)".to_owned()));
        assert_eq!(says("assert tcpi_other == 1"), Err(Failure::Unsupported("tcpi_other".to_owned())));
        assert_eq!(says("import os"), Err(Failure::Unsupported("statement import".to_owned())));
        assert!(says("assert 1 / 0 == 1").is_err());
        assert!(says("assert tcpi_state tcpi_state").is_err());
        assert!(says(&format!("assert {}1", "(".repeat(100_000))).is_err());
        assert!(says(&format!("assert {}1", "-".repeat(100_000))).is_err());
    }
}
