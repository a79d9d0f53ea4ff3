//! The ClientHello message (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2) as far as its server name (RFC 6066 §3).

use super::Hello;
use super::reader::Reader;
use axiom::domain::DomainName;

/// The most bytes that a ClientHello has here. With post-quantum key shares they have 1,800; tickets add some hundred.
pub const HELLO_BYTES_MAX: usize = 32_768;
/// Bytes of a handshake message's type and length.
pub(super) const HEADER_BYTES: usize = 4;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: usize = 0;
const HOST_NAME: u8 = 0;

/// What became of the handshake bytes so far.
pub(super) enum Parsed {
    /// They end before the message does.
    NeedMore,
    /// The message is whole.
    Hello(Hello),
    /// It is none.
    Malformed(&'static str),
}

/// Reads a ClientHello from the front of a handshake's bytes.
pub(super) fn parse(handshake: &[u8]) -> Parsed {
    let mut reader = Reader(handshake);
    match reader.u8() {
        None => return Parsed::NeedMore,
        Some(CLIENT_HELLO) => {}
        Some(_) => return Parsed::Malformed("the first handshake message is no ClientHello"),
    }
    let Some(length) = reader.number(3) else { return Parsed::NeedMore };
    if length > HELLO_BYTES_MAX {
        return Parsed::Malformed("the ClientHello is too long");
    }
    let Some(body) = reader.take(length) else { return Parsed::NeedMore };
    match parse_body(body) {
        Ok(hello) => Parsed::Hello(hello),
        Err(what) => Parsed::Malformed(what),
    }
}

fn parse_body(body: &[u8]) -> Result<Hello, &'static str> {
    let mut reader = Reader(body);
    let short = "the ClientHello is cut short";
    reader.take(2 + 32).ok_or(short)?; // legacy_version, random
    reader.vector(1).filter(|id| id.len() <= 32).ok_or("the session id is too long")?;
    reader
        .vector(2)
        .filter(|suites| !suites.is_empty() && suites.len() % 2 == 0)
        .ok_or("no cipher suites")?;
    reader.vector(1).filter(|methods| !methods.is_empty()).ok_or("no compression methods")?;
    if reader.is_empty() {
        return Ok(Hello { server_name: None }); // before TLS 1.3 a hello may end here
    }
    let mut extensions = Reader(reader.vector(2).ok_or(short)?);
    if !reader.is_empty() {
        return Err("bytes stand behind the extensions");
    }
    let mut server_name = None;
    while !extensions.is_empty() {
        let kind = extensions.number(2).ok_or(short)?;
        let data = extensions.vector(2).ok_or(short)?;
        if kind != SERVER_NAME {
            continue;
        }
        // RFC 8446 §4.2: an extension stands once. Which of two a server takes would be anyone's guess.
        if server_name.replace(parse_server_name(data)?).is_some() {
            return Err("two server name extensions");
        }
    }
    Ok(Hello { server_name })
}

fn parse_server_name(data: &[u8]) -> Result<DomainName, &'static str> {
    let mut reader = Reader(data);
    let mut list = Reader(reader.vector(2).ok_or("the server name extension is cut short")?);
    if !reader.is_empty() {
        return Err("bytes stand behind the server names");
    }
    let mut found = None;
    while !list.is_empty() {
        let kind = list.u8().ok_or("a server name is cut short")?;
        let name = list.vector(2).ok_or("a server name is cut short")?;
        if kind != HOST_NAME {
            continue;
        }
        // RFC 6066 §3: no more than one name of a kind; ASCII, not empty, and no address.
        let name = std::str::from_utf8(name).ok().filter(|name| name.is_ascii());
        let name = name.and_then(|name| DomainName::parse(name).ok()).ok_or("the server name is no name")?;
        if found.replace(name).is_some() {
            return Err("two server names");
        }
    }
    found.ok_or("the server name extension has no name")
}
