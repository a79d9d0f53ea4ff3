//! The near end: what runs inside a sandbox.

use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::statistics;

/// An exchange that takes longer has failed.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(5);
/// Round trips before the first that counts.
const WARM_UP: u32 = 500;

/// Waits until somebody listens.
pub fn await_server(address: SocketAddr) -> Result<(), String> {
    let until = Instant::now() + EXCHANGE_LIMIT;
    loop {
        match connect(address) {
            Ok(_) => return Ok(()),
            Err(reason) if Instant::now() >= until => return Err(reason),
            // Nobody tells of a listener: it is asked again.
            Err(_) => std::thread::yield_now(),
        }
    }
}

/// Prints the median and the 99th percentile of `count` round trips on one connection, in microseconds.
pub fn round_trips(address: SocketAddr, count: u32) -> Result<(), String> {
    let mut stream = connect(address)?;
    for _ in 0..WARM_UP {
        exchange(&mut stream)?;
    }
    let mut samples = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let start = Instant::now();
        exchange(&mut stream)?;
        samples.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let (median, high) = (statistics::median(&samples), statistics::percentile(&samples, 99.0));
    println!("{:.2} {:.2}", median.ok_or("no sample")?, high.ok_or("no sample")?);
    Ok(())
}

/// Prints how many connections a second `clients` threads opened, used once and closed.
pub fn connections(addresses: &[SocketAddr], clients: usize, time: Duration) -> Result<(), String> {
    let failed = AtomicBool::new(false);
    let start = Instant::now();
    let counts = std::thread::scope(|scope| {
        let one = |client: usize| {
            let mut count = 0;
            while start.elapsed() < time && !failed.load(Ordering::Relaxed) {
                let address = addresses[(client + count) % addresses.len()];
                let outcome = connect(address).and_then(|mut stream| exchange(&mut stream));
                if outcome.is_err() {
                    failed.store(true, Ordering::Relaxed);
                }
                outcome.map_err(|reason| format!("connection {count}: {reason}"))?;
                count += 1;
            }
            Ok(count)
        };
        let threads: Vec<_> = (0..clients).map(|client| scope.spawn(move || one(client))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a client does not panic"))
            .collect::<Result<Vec<usize>, String>>()
    })?;
    println!("{:.1}", counts.iter().sum::<usize>() as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

/// Holds as many connections as the last line of standard input says, until it ends.
pub fn idle(addresses: &[SocketAddr]) -> Result<(), String> {
    let mut streams: Vec<TcpStream> = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let count: usize = line.trim().parse().map_err(|_| format!("not a number: {line}"))?;
        while streams.len() < count {
            let address = addresses[streams.len() % addresses.len()];
            let stream = connect(address).and_then(|mut stream| exchange(&mut stream).map(|()| stream));
            streams.push(stream.map_err(|reason| format!("connection {}: {reason}", streams.len() + 1))?);
        }
        println!("open {count}");
    }
    Ok(())
}

/// A connection whose small writes leave at once, and whose reads and writes do not hang.
pub fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let stream =
        TcpStream::connect_timeout(&address, EXCHANGE_LIMIT).map_err(|error| format!("connect: {error}"))?;
    let ready = stream
        .set_nodelay(true)
        .and_then(|()| stream.set_read_timeout(Some(EXCHANGE_LIMIT)))
        .and_then(|()| stream.set_write_timeout(Some(EXCHANGE_LIMIT)));
    ready.map(|()| stream).map_err(|error| error.to_string())
}

fn exchange(stream: &mut TcpStream) -> Result<(), String> {
    let mut byte = [b'?'];
    stream
        .write_all(&byte)
        .and_then(|()| stream.read_exact(&mut byte))
        .map_err(|error| format!("exchange: {error}"))
}
