//! System calls, their arguments and results.

use crate::lexer::{Cursor, SyntaxError};
use crate::syntax::{Call, Value};

/// How deep values may stand in each other.
const DEPTH_MAX: usize = 32;

/// `...end name(arguments) = result ERRNO (note)`.
pub fn call(cursor: &mut Cursor<'_>) -> Result<Call, SyntaxError> {
    let until = cursor.eat("...").then(|| cursor.seconds()).transpose()?;
    let name = cursor.word()?.to_owned();
    cursor.expect("(")?;
    let arguments = values(cursor, ")", DEPTH_MAX)?;
    cursor.expect("=")?;
    let result = value(cursor, DEPTH_MAX)?;
    let errno = match cursor.peek_word() {
        "" => None,
        _ => Some(cursor.word()?.to_owned()),
    };
    if cursor.is_at("(") {
        cursor.enclosed("(", ")")?;
    }
    Ok(Call { name, arguments, until, result, errno })
}

/// Values with commas between, up to `close`.
fn values(cursor: &mut Cursor<'_>, close: &str, depth: usize) -> Result<Vec<Value>, SyntaxError> {
    let mut values = Vec::new();
    while !cursor.eat(close) {
        values.push(value(cursor, depth)?);
        if !cursor.eat(",") && !cursor.is_at(close) {
            return Err(cursor.error(&format!("expected , or {close}")));
        }
    }
    Ok(values)
}

fn value(cursor: &mut Cursor<'_>, depth: usize) -> Result<Value, SyntaxError> {
    let first = single(cursor, depth)?;
    if !cursor.is_at("|") {
        return Ok(first);
    }
    let mut parts = vec![first];
    while cursor.eat("|") {
        parts.push(single(cursor, depth)?);
    }
    Ok(Value::Either(parts))
}

fn single(cursor: &mut Cursor<'_>, depth: usize) -> Result<Value, SyntaxError> {
    let Some(depth) = depth.checked_sub(1) else { return Err(cursor.error("values stand too deep")) };
    if cursor.eat("...") {
        return Ok(Value::Ellipsis);
    }
    if cursor.eat("[") {
        return Ok(Value::List(values(cursor, "]", depth)?));
    }
    if cursor.is_at("\"") {
        let mut text = String::new();
        while cursor.is_at("\"") {
            text.push_str(cursor.enclosed("\"", "\"")?);
        }
        cursor.eat("...");
        return Ok(Value::Text(text));
    }
    if cursor.eat("{") {
        return record(cursor, depth);
    }
    if cursor.eat("(") {
        let inner = value(cursor, depth)?;
        cursor.expect(")")?;
        return Ok(inner);
    }
    if cursor.peek_word().is_empty() {
        return cursor.integer().map(Value::Integer);
    }
    let word = cursor.word()?.to_owned();
    // `name (note)` behind a result is no call: a call's bracket follows at once.
    if cursor.raw().starts_with('(') {
        cursor.eat("(");
        return Ok(Value::Apply(word, values(cursor, ")", depth)?));
    }
    Ok(Value::Word(word))
}

/// `{name=a, ...}` or `{a, b}`; `msg_name(...)=...` is a field too.
fn record(cursor: &mut Cursor<'_>, depth: usize) -> Result<Value, SyntaxError> {
    let (mut fields, mut items) = (Vec::new(), Vec::new());
    while !cursor.eat("}") {
        let item = value(cursor, depth)?;
        if cursor.eat("=") {
            let name = match item {
                Value::Word(name) | Value::Apply(name, _) => name,
                _ => return Err(cursor.error("expected a field's name")),
            };
            fields.push((name, value(cursor, depth)?));
        } else {
            items.push(item);
        }
        if !cursor.eat(",") && !cursor.is_at("}") {
            return Err(cursor.error("expected , or }"));
        }
    }
    Ok(if fields.is_empty() { Value::Tuple(items) } else { Value::Record(fields) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn read(text: &str) -> Call {
        let mut cursor = Cursor::new(text);
        let call = call(&mut cursor).unwrap();
        assert!(cursor.is_at_end(), "{}", cursor.rest());
        call
    }

    #[test]
    fn results_have_errors_and_notes() {
        let call = read("connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)");
        assert_eq!((call.result, call.errno.as_deref()), (Value::Integer(-1), Some("EINPROGRESS")));
        let call = read("fcntl(3, F_GETFL) = 0x02 (flags O_RDWR)");
        assert_eq!((call.result, call.errno), (Value::Integer(2), None));
        let call = read("...0.100 read(4, ..., 2000) = 2000");
        assert_eq!(call.until, Some(Duration::from_millis(100)));
    }

    #[test]
    fn structured_arguments_are_read() {
        let call = read(
            "sendmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 1000}], msg_flags=0}, MSG_DONTWAIT|MSG_EOR) = 1000",
        );
        let Value::Record(fields) = &call.arguments[1] else { panic!("{:?}", call.arguments) };
        assert_eq!(fields[1].0, "msg_iov");
        assert_eq!(
            fields[1].1,
            Value::List(vec![Value::Tuple(vec![Value::Ellipsis, Value::Integer(1_000)])])
        );
        let call = read(
            "bind(3, {sa_family = AF_INET, sin_port = htons(0), sin_addr = inet_addr(\"0.0.0.0\")}, ...) = 0",
        );
        let Value::Record(fields) = &call.arguments[1] else { panic!() };
        assert_eq!(fields[1].1, Value::Apply("htons".to_owned(), vec![Value::Integer(0)]));
    }

    #[test]
    fn depth_is_bounded() {
        let text = format!("f({}) = 0", "[".repeat(100));
        assert!(call(&mut Cursor::new(&text)).is_err());
    }
}
