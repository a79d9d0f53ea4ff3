//! The whole of a script, and each event's time.

use super::{call, packet};
use crate::lexer::{Cursor, SyntaxError};
use crate::syntax::{Action, Direction, Event, Script, Time};

/// Reads a script whose text was [preprocessed](crate::preprocess).
///
/// # Errors
///
/// Where it is not one.
pub fn parse(text: &str) -> Result<Script, SyntaxError> {
    let mut cursor = Cursor::new(text);
    let mut script = Script::default();
    while cursor.is_at("--") || cursor.is_at("-D") {
        script.options.push(option(&mut cursor));
    }
    if cursor.is_at("`") {
        let line = cursor.line();
        script.setup = Some((line, cursor.enclosed("`", "`")?.to_owned()));
    }
    while !cursor.is_at_end() {
        if cursor.is_at("`") {
            script.cleanup = Some(cursor.enclosed("`", "`")?.to_owned());
            if !cursor.is_at_end() {
                return Err(cursor.error("expected nothing behind the clean-up"));
            }
            break;
        }
        script.events.push(event(&mut cursor)?);
    }
    Ok(script)
}

/// `--name=value`, `--name`, or `-D NAME=value`.
fn option(cursor: &mut Cursor<'_>) -> (String, String) {
    if cursor.eat("-D") {
        return ("define".to_owned(), cursor.take_until(&[]).to_owned());
    }
    cursor.eat("--");
    let name = cursor.take_until(&['=']).to_owned();
    let value = if cursor.raw().starts_with('=') {
        cursor.advance(1);
        match cursor.raw().strip_prefix('"').and_then(|rest| rest.find('"').map(|end| &rest[..end])) {
            Some(quoted) => {
                cursor.advance(quoted.len() + 2);
                quoted.to_owned()
            }
            None => cursor.take_until(&[]).to_owned(),
        }
    } else {
        String::new()
    };
    (name, value)
}

fn event(cursor: &mut Cursor<'_>) -> Result<Event, SyntaxError> {
    let line = cursor.line();
    let time = time(cursor)?;
    let action = if cursor.is_at("<") || cursor.is_at(">") {
        Action::Packet(packet::packet(cursor)?)
    } else if cursor.is_at("`") {
        Action::Command(cursor.enclosed("`", "`")?.to_owned())
    } else if cursor.is_at("%{") {
        Action::Code(cursor.enclosed("%{", "}%")?.to_owned())
    } else {
        Action::Call(call::call(cursor)?)
    };
    let sent = matches!(&action, Action::Packet(packet) if packet.direction == Direction::Outbound);
    if !sent && !matches!(time, Time::Absolute(_) | Time::Relative(_)) {
        return Err(SyntaxError {
            line,
            text: "a range of times stands only before what is sent".to_owned(),
        });
    }
    Ok(Event { line, time, action })
}

fn time(cursor: &mut Cursor<'_>) -> Result<Time, SyntaxError> {
    if cursor.eat("*") {
        return Ok(Time::Any);
    }
    let relative = cursor.eat("+");
    let from = cursor.seconds()?;
    let to = match cursor.eat("~") {
        true => {
            cursor.eat("+");
            Some(cursor.seconds()?)
        }
        false => None,
    };
    match to {
        Some(to) if to < from => Err(cursor.error("a range of times runs backwards")),
        Some(to) if relative => Ok(Time::RelativeRange(from, to)),
        Some(to) => Ok(Time::AbsoluteRange(from, to)),
        None if relative => Ok(Time::Relative(from)),
        None => Ok(Time::Absolute(from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn head_events_and_tail_are_told_apart() {
        let script = parse(
            "--ip_version=ipv4\n-D A=b\n`set up`\n0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n\
             +0.1 `mid`\n* > . 1:1(0) ack 1\n1~2 > R 1:1(0)\n+.1~+.2 > R 1:1(0)\n`clean up`\n",
        )
        .unwrap();
        assert_eq!(script.options.len(), 2);
        assert_eq!(script.setup, Some((3, "set up".to_owned())));
        let lines: Vec<u32> = script.events.iter().map(|event| event.line).collect();
        assert_eq!(lines, [4, 5, 6, 7, 8]);
        let ms = Duration::from_millis;
        assert_eq!(script.events[1].time, Time::Relative(ms(100)));
        assert_eq!(script.events[2].time, Time::Any);
        assert_eq!(script.events[3].time, Time::AbsoluteRange(ms(1_000), ms(2_000)));
        assert_eq!(script.events[4].time, Time::RelativeRange(ms(100), ms(200)));
        assert_eq!(script.cleanup.as_deref(), Some("clean up"));
    }

    #[test]
    fn what_is_no_script_has_its_line() {
        assert_eq!(parse("0 socket( = 3").unwrap_err().line, 1);
        assert_eq!(parse("\n\n+0 < Q 0:0(0) win 1").unwrap_err().line, 3);
        assert_eq!(parse("0 < S 0:2(1) win 1").unwrap_err().line, 1);
        assert!(parse("* < S 0:0(0) win 1").is_err());
        assert!(parse("2~1 > S 0:0(0)").is_err());
    }
}
