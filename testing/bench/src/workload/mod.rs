//! The programs that run inside a sandbox and at the far end: `bench workload NAME ...`.
//!
//! They print figures as plain words, end by themselves, and fail at the first exchange that fails.

mod client;
mod echo;
mod hold;
mod relay;
mod requests;
mod stream;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A request as small clients send it.
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";

/// Runs the workload of the given words.
pub fn run(words: &[String]) -> Result<(), String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["echo", address, first, last] => echo::serve(&endpoints(address, first, last)?),
        ["round-trips", address, port, count] => {
            client::round_trips(endpoints(address, port, port)?[0], number(count)?)
        }
        ["connections", address, first, last, clients, seconds] => client::connections(
            &endpoints(address, first, last)?,
            number(clients)?,
            Duration::from_secs(number(seconds)?),
        ),
        ["idle", address, first, last] => client::idle(&endpoints(address, first, last)?),
        ["hold", source, address, first, last] => {
            let source = source.parse().map_err(|_| format!("not an address: {source}"))?;
            hold::hold(source, &endpoints(address, first, last)?)
        }
        ["send", address, port, seconds] => {
            stream::send(endpoints(address, port, port)?[0], Duration::from_secs(number(seconds)?))
        }
        ["receive", address, port, seconds] => {
            stream::receive(endpoints(address, port, port)?[0], Duration::from_secs(number(seconds)?))
        }
        ["requests", address, port, connections, seconds] => requests::requests(
            endpoints(address, port, port)?[0],
            if port == "80" { GET } else { b"?" },
            number(connections)?,
            Duration::from_secs(number(seconds)?),
        ),
        ["await", address, port] => client::await_server(endpoints(address, port, port)?[0]),
        ["relay", near, first, last, far] => {
            relay::relay(&endpoints(near, first, last)?, endpoints(far, first, first)?[0])
        }
        _ => Err("unknown workload".to_owned()),
    }
}

fn endpoints(address: &str, first: &str, last: &str) -> Result<Vec<SocketAddr>, String> {
    let address: IpAddr = address.parse().map_err(|_| format!("not an address: {address}"))?;
    let ports = number::<u16>(first)?..=number(last)?;
    if ports.is_empty() {
        return Err("no port".to_owned());
    }
    Ok(ports.map(|port| SocketAddr::new(address, port)).collect())
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}
