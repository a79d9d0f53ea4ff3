//! One stream of bulk data, one way.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use super::client::connect;

/// Bytes handed over at once, as iperf3 does.
const CHUNK_BYTES: usize = 128 * 1024;
/// Windows have opened, and slow start is over.
const WARM_UP: Duration = Duration::from_millis(300);

/// Writes for as long as is asked for and prints Gbit/s, of what the kernel took after the warm-up in the time until
/// the other side had read the last byte; and how many bytes there were, those of the warm-up included.
pub fn send(address: SocketAddr, time: Duration) -> Result<(), String> {
    let mut stream = connect(address)?;
    let failed = |error: std::io::Error| format!("send: {error}");
    let chunk = vec![b'c'; CHUNK_BYTES];
    let warm = Instant::now() + WARM_UP;
    let mut before = 0;
    while Instant::now() < warm {
        stream.write_all(&chunk).map_err(failed)?;
        before += chunk.len();
    }
    let start = Instant::now();
    let mut bytes = 0;
    while start.elapsed() < time {
        stream.write_all(&chunk).map_err(failed)?;
        bytes += chunk.len();
    }
    stream.shutdown(Shutdown::Write).map_err(failed)?;
    // The server closes when it has read the end.
    stream.read_to_end(&mut Vec::new()).map_err(failed)?;
    print_rate(bytes, start.elapsed(), before + bytes);
    Ok(())
}

/// Reads for as long as is asked for and prints the same.
pub fn receive(address: SocketAddr, time: Duration) -> Result<(), String> {
    let mut stream = connect(address)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut read = |until: Instant| {
        let mut bytes = 0;
        while Instant::now() < until {
            match stream.read(&mut chunk) {
                Ok(0) => return Err("receive: the server has closed".to_owned()),
                Ok(count) => bytes += count,
                Err(error) => return Err(format!("receive: {error}")),
            }
        }
        Ok(bytes)
    };
    let before = read(Instant::now() + WARM_UP)?;
    let start = Instant::now();
    let bytes = read(start + time)?;
    print_rate(bytes, start.elapsed(), before + bytes);
    Ok(())
}

fn print_rate(bytes: usize, elapsed: Duration, total: usize) {
    println!("{:.3} {total}", bytes as f64 * 8.0 / elapsed.as_secs_f64() / 1e9);
}
