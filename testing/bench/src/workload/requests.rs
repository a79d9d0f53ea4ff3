//! Requests and answers on connections that stay: each sends its next request when the answer to the last is complete.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use super::client::connect;
use crate::statistics;

/// Before anything counts.
const WARM_UP: Duration = Duration::from_millis(300);
/// An answer that takes longer has failed.
const ANSWER_LIMIT: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// An answer is a few hundred bytes.
const READ_BYTES: usize = 4_096;
/// Samples of latency that are kept: the first million.
const SAMPLES_MAX: usize = 1_000_000;

/// One connection and what it waits for.
struct Line {
    stream: TcpStream,
    missing: usize,
    asked: Instant,
}

/// Prints requests a second over all connections, and the median and the 99th percentile of their latency in
/// microseconds.
pub fn requests(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    time: Duration,
) -> Result<(), String> {
    let mut client = Client::open(address, request, connections)?;
    client.run(WARM_UP)?;
    client.samples.clear();
    let start = Instant::now();
    let answered = client.run(time)?;
    let elapsed = start.elapsed();
    let (median, high) = (statistics::median(&client.samples), statistics::percentile(&client.samples, 99.0));
    let rate = answered as f64 / elapsed.as_secs_f64();
    println!("{rate:.1} {:.2} {:.2}", median.ok_or("no answer")?, high.ok_or("no answer")?);
    Ok(())
}

struct Client<'a> {
    poll: OwnedFd,
    lines: Vec<Line>,
    request: &'a [u8],
    answer_length: usize,
    samples: Vec<f64>,
}

impl<'a> Client<'a> {
    fn open(address: SocketAddr, request: &'a [u8], connections: usize) -> Result<Self, String> {
        let failed = |error: Errno| format!("epoll: {error}");
        let poll = epoll::create(CreateFlags::CLOEXEC).map_err(failed)?;
        let answer_length = length_of_answer(connect(address)?, request)?;
        let mut lines = Vec::new();
        for number in 0..connections {
            let stream = connect(address)?;
            stream.set_nonblocking(true).map_err(|error| error.to_string())?;
            epoll::add(&poll, &stream, EventData::new_u64(number as u64), EventFlags::IN).map_err(failed)?;
            let mut line = Line { stream, missing: 0, asked: Instant::now() };
            line.ask(request, answer_length)?;
            lines.push(line);
        }
        Ok(Self { poll, lines, request, answer_length, samples: Vec::new() })
    }

    /// How many answers came in `time`.
    fn run(&mut self, time: Duration) -> Result<usize, String> {
        let until = Instant::now() + time;
        let mut events = Vec::with_capacity(self.lines.len());
        let mut answered = 0;
        let mut now = Instant::now();
        while now < until {
            events.clear();
            match epoll::wait(&self.poll, spare_capacity(&mut events), Some(&ANSWER_LIMIT)) {
                Ok(0) => return Err("an answer takes too long".to_owned()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(format!("epoll: {error}")),
            }
            for event in &events {
                let line = &mut self.lines[event.data.u64() as usize];
                if line.listen()? {
                    if self.samples.len() < SAMPLES_MAX {
                        self.samples.push(line.asked.elapsed().as_secs_f64() * 1e6);
                    }
                    answered += 1;
                    line.ask(self.request, self.answer_length)?;
                }
            }
            now = Instant::now();
        }
        Ok(answered)
    }
}

impl Line {
    fn ask(&mut self, request: &[u8], answer_length: usize) -> Result<(), String> {
        self.asked = Instant::now();
        self.missing = answer_length;
        self.stream.write_all(request).map_err(|error| format!("request: {error}"))
    }

    /// Whether the answer is complete.
    fn listen(&mut self) -> Result<bool, String> {
        let mut buffer = [0; READ_BYTES];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err("the server has closed".to_owned()),
            Ok(count) if count > self.missing => Err("an answer longer than the first".to_owned()),
            Ok(count) => {
                self.missing -= count;
                Ok(self.missing == 0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(format!("answer: {error}")),
        }
    }
}

/// Asks once: a byte is answered by a byte, HTTP by a head and as many bytes as it says (RFC 9112 §6.2).
fn length_of_answer(mut stream: TcpStream, request: &[u8]) -> Result<usize, String> {
    let failed = |error: std::io::Error| format!("first request: {error}");
    stream.write_all(request).map_err(failed)?;
    let mut answer = Vec::new();
    let mut chunk = [0; READ_BYTES];
    loop {
        let count = stream.read(&mut chunk).map_err(failed)?;
        if count == 0 {
            return Err("first request: no answer".to_owned());
        }
        answer.extend_from_slice(&chunk[..count]);
        if request.len() == 1 {
            return Ok(answer.len());
        }
        if let Some(length) = length_of_http(&answer)? {
            return Ok(length);
        }
    }
}

/// The length of the answer whose first bytes these are, once its head is complete.
fn length_of_http(answer: &[u8]) -> Result<Option<usize>, String> {
    let text = String::from_utf8_lossy(answer);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("first request: {}", head.lines().next().unwrap_or_default()));
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.ok_or("first request: an answer without a length")?;
    Ok(Some(head.len() + 4 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_an_answer_is_its_head_and_what_it_says() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        assert_eq!(length_of_http(answer), Ok(Some(answer.len())));
        assert_eq!(length_of_http(&answer[..20]), Ok(None));
        assert!(length_of_http(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
        assert!(length_of_http(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
