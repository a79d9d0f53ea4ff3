//! Connections that stay, from one address of several: one process has neither descriptors nor ports for all.

use std::io::{BufRead, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use crate::statistics;

/// The first connection's port, and each has the next: the kernel's own search for a free one grows with those taken.
const PORT_FIRST: u16 = 20_000;
/// An answer that takes longer has failed.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Obeys the lines of standard input until it ends. A number: that many connections are held, told as "open NUMBER". Else
/// each of them sends a byte and waits for it, told as "asked" with the 99th percentile of how long that took, in
/// microseconds.
pub fn hold(source: IpAddr, addresses: &[SocketAddr]) -> Result<(), String> {
    let mut streams: Vec<TcpStream> = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        if let Ok(count) = line.trim().parse::<usize>() {
            while streams.len() < count {
                let address = addresses[streams.len() % addresses.len()];
                let stream = open(SocketAddr::new(source, PORT_FIRST + streams.len() as u16), address);
                streams.push(stream.map_err(|error| format!("connection {}: {error}", streams.len() + 1))?);
            }
            println!("open {count}");
            continue;
        }
        let mut samples = Vec::with_capacity(streams.len());
        for (number, stream) in streams.iter_mut().enumerate() {
            let (asked, mut byte) = (Instant::now(), [b'?']);
            let answered = stream.write_all(&byte).and_then(|()| stream.read_exact(&mut byte));
            answered.map_err(|error| format!("connection {}: {error}", number + 1))?;
            samples.push(asked.elapsed().as_secs_f64() * 1e6);
        }
        println!("asked {:.2}", statistics::percentile(&samples, 99.0).ok_or("no sample")?);
    }
    Ok(())
}

fn open(source: SocketAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &source)?;
    connect(&socket, &to)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
