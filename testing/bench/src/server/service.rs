//! What the servers do at which port.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Sends back what comes (RFC 862); several ports, so that clients do not run out of theirs.
pub const ECHO: RangeInclusive<u16> = 7_000..=7_015;
/// Reads and forgets (RFC 863).
pub const DISCARD: u16 = 9;
/// Sends for as long as it is read (RFC 864, in bulk).
pub const GENERATE: u16 = 19;
/// Answers GET requests.
pub const HTTP: u16 = 80;

/// Bytes of one piece of what [`GENERATE`] sends.
const PIECE_BYTES: usize = 64 * 1024;

/// What a server is started for: one that has to set up its sockets beforehand needs to know how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// One stream.
    Bulk,
    /// 64 connections that stay.
    Requests,
    /// 16 connections at a time that do not.
    Connections,
    /// 64 connections of HTTP.
    Http,
}

impl Purpose {
    /// By its name.
    pub fn of(name: &str) -> Result<Self, String> {
        [Self::Bulk, Self::Requests, Self::Connections, Self::Http]
            .into_iter()
            .find(|purpose| purpose.name() == name)
            .ok_or_else(|| format!("no purpose is called {name}"))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Requests => "requests",
            Self::Connections => "connections",
            Self::Http => "http",
        }
    }

    /// The ports, each with how many connections it takes at once.
    pub fn listeners(self) -> Vec<(u16, usize)> {
        match self {
            Self::Bulk => vec![(DISCARD, 2), (GENERATE, 2)],
            Self::Requests => vec![(*ECHO.start(), 66)],
            Self::Connections => ECHO.map(|port| (port, 18)).collect(),
            Self::Http => vec![(HTTP, 66)],
        }
    }
}

/// All ports.
pub fn ports() -> impl Iterator<Item = u16> {
    ECHO.chain([DISCARD, GENERATE, HTTP])
}

/// What is done on one connection.
#[derive(Debug)]
pub enum Service {
    /// See [`ECHO`].
    Echo,
    /// See [`DISCARD`].
    Discard,
    /// See [`GENERATE`].
    Generate,
    /// See [`HTTP`].
    Http(Requests),
}

impl Service {
    /// What is served at `port`.
    pub fn at(port: u16) -> Self {
        match port {
            DISCARD => Self::Discard,
            GENERATE => Self::Generate,
            HTTP => Self::Http(Requests::default()),
            _ => Self::Echo,
        }
    }
}

/// What [`GENERATE`] sends, over and over.
pub fn piece() -> &'static [u8] {
    static PIECE: [u8; PIECE_BYTES] = [b'w'; PIECE_BYTES];
    &PIECE
}

/// Counts the requests of a connection: heads without a body, each ended by an empty line (RFC 9112 §2.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Requests {
    /// How much of the end of a head stood at the end of what came before.
    matched: u8,
}

impl Requests {
    /// How many requests end in `bytes`.
    pub fn count(&mut self, bytes: &[u8]) -> usize {
        let mut ended = 0;
        for &byte in bytes {
            self.matched = match (self.matched, byte) {
                (1, b'\n') => 2,
                (2, b'\r') => 3,
                (3, b'\n') => {
                    ended += 1;
                    0
                }
                (_, b'\r') => 1,
                _ => 0,
            };
        }
        ended
    }
}

/// The answer to a request, its date renewed every second (RFC 9110 §6.6.1).
#[derive(Debug)]
pub struct Answer {
    text: Vec<u8>,
    until: Instant,
}

impl Answer {
    /// As of now.
    pub fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let text = format!(
            "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: {}\r\nContent-Type: text/plain\r\n\
             Content-Length: 13\r\nConnection: keep-alive\r\n\r\nHello, world\n",
            date(since.as_secs())
        );
        Self { text: text.into_bytes(), until: Instant::now() + Duration::from_secs(1) }
    }

    /// Renews it where its second is over. Whether it was.
    pub fn renew(&mut self) -> bool {
        let over = Instant::now() >= self.until;
        if over {
            *self = Self::new();
        }
        over
    }

    /// The answer's bytes.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

/// An IMF-fixdate (RFC 9110 §5.6.7).
fn date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = seconds / 86_400;
    let (year, month, day) = time::calendar::date(days);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let (weekday, month) = (DAYS[(days % 7) as usize], MONTHS[month as usize - 1]);
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_counted_wherever_it_is_cut() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /\r\r\n\r\n\n";
        for cut in 0..text.len() {
            let mut requests = Requests::default();
            let (left, right) = text.split_at(cut);
            assert_eq!(requests.count(left) + requests.count(right), 2, "cut at {cut}");
        }
    }

    #[test]
    fn a_date_is_written_as_http_wants_it() {
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
