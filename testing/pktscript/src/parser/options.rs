//! TCP options between `<` and `>`.

use crate::lexer::{Cursor, SyntaxError};
use crate::syntax::TcpOption;

/// The list; `None` for `<...>`.
pub fn options(cursor: &mut Cursor<'_>) -> Result<Option<Vec<TcpOption>>, SyntaxError> {
    cursor.expect("<")?;
    if cursor.eat("...") {
        cursor.expect(">")?;
        return Ok(None);
    }
    let mut list = Vec::new();
    while !cursor.eat(">") {
        list.push(option(cursor)?);
        if !cursor.eat(",") && !cursor.is_at(">") {
            return Err(cursor.error("expected , or > in TCP options"));
        }
    }
    Ok(Some(list))
}

fn option(cursor: &mut Cursor<'_>) -> Result<TcpOption, SyntaxError> {
    if cursor.peek_word().is_empty() {
        let kind = cursor.number()?;
        return Ok(TcpOption::Raw(kind, blob(cursor)?));
    }
    Ok(match cursor.word()? {
        "eol" => TcpOption::End,
        "nop" => TcpOption::Nop,
        "mss" => TcpOption::Mss(cursor.number()?),
        "wscale" => TcpOption::WindowScale(cursor.number()?),
        "sackOK" | "sackok" => TcpOption::SackPermitted,
        "sack" => TcpOption::Sack(blocks(cursor)?),
        "TS" => timestamps(cursor)?,
        "FO" => TcpOption::FastOpen(blob(cursor)?),
        "FOEXP" => TcpOption::FastOpenExperimental(blob(cursor)?),
        "ECN" => accurate_ecn(cursor)?,
        "md5" => other(cursor, "MD5"),
        name => {
            let name = name.to_owned();
            other(cursor, &name)
        }
    })
}

fn timestamps(cursor: &mut Cursor<'_>) -> Result<TcpOption, SyntaxError> {
    if !cursor.eat_word("val") {
        return Err(cursor.error("expected val"));
    }
    let value = cursor.number()?;
    cursor.eat("!");
    if !cursor.eat_word("ecr") {
        return Err(cursor.error("expected ecr"));
    }
    let echo = cursor.number()?;
    Ok(TcpOption::Timestamps { value, echo, echo_absolute: cursor.eat("!") })
}

/// `e0b 1 ceb 0 e1b 1`, or the other way round, or less of it.
fn accurate_ecn(cursor: &mut Cursor<'_>) -> Result<TcpOption, SyntaxError> {
    let ect1_first = cursor.peek_word() != "e0b";
    let names = if ect1_first { ["e1b", "ceb", "e0b"] } else { ["e0b", "ceb", "e1b"] };
    let mut counters = Vec::new();
    for name in names {
        if !cursor.eat_word(name) {
            break;
        }
        counters.push(cursor.number()?);
    }
    Ok(TcpOption::AccurateEcn { ect1_first, counters })
}

fn blocks(cursor: &mut Cursor<'_>) -> Result<Vec<(u32, u32)>, SyntaxError> {
    let mut blocks = Vec::new();
    while cursor.rest().starts_with(|c: char| c.is_ascii_digit()) {
        let left = cursor.number()?;
        cursor.expect(":")?;
        blocks.push((left, cursor.number()?));
    }
    Ok(blocks)
}

/// Bytes in hexadecimal, none where the option ends at once.
fn blob(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, SyntaxError> {
    let mut ahead = cursor.clone();
    let digits = ahead.take_until(&[',', '>']);
    let bytes = digits.strip_prefix("0x").unwrap_or(digits).as_bytes();
    let pairs: Option<Vec<u8>> = bytes
        .chunks(2)
        .map(|pair| core::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    let bytes = pairs.ok_or_else(|| cursor.error("expected bytes in hexadecimal"))?;
    *cursor = ahead;
    Ok(bytes)
}

/// Skips what belongs to an option that only has a name.
fn other(cursor: &mut Cursor<'_>, name: &str) -> TcpOption {
    let rest = cursor.rest();
    cursor.advance(rest.find([',', '>']).unwrap_or(rest.len()));
    TcpOption::Other(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<TcpOption> {
        options(&mut Cursor::new(text)).unwrap().unwrap()
    }

    #[test]
    fn options_keep_their_order() {
        let read = read("<mss 1460,nop,wscale 6,sackOK,TS val 100 ecr 7!,eol>");
        let timestamps = TcpOption::Timestamps { value: 100, echo: 7, echo_absolute: true };
        let scale = TcpOption::WindowScale(6);
        let expected = [
            TcpOption::Mss(1_460),
            TcpOption::Nop,
            scale,
            TcpOption::SackPermitted,
            timestamps,
            TcpOption::End,
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn blocks_cookies_and_names_are_read() {
        let expected = [
            TcpOption::Sack(vec![(1, 2), (5, 9)]),
            TcpOption::FastOpen(vec![0xaa, 0x0b]),
            TcpOption::FastOpen(vec![]),
            TcpOption::Raw(253, vec![0xf9]),
            TcpOption::AccurateEcn { ect1_first: true, counters: vec![1, 0, 1] },
            TcpOption::AccurateEcn { ect1_first: false, counters: vec![7] },
        ];
        assert_eq!(read("<sack 1:2 5:9, FO aa0b, FO, 0xfd f9, ECN e1b 1 ceb 0 e0b 1, ECN e0b 7>"), expected);
        assert_eq!(options(&mut Cursor::new("<...>")), Ok(None));
        assert!(options(&mut Cursor::new("<mss 1460 nop>")).is_err());
    }
}
