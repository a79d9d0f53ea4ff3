//! The programs at either end, the same code over the kernel's sockets and over weft's.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use weft::sockets::Sockets;

use super::link;
use super::pattern::Pattern;

/// Where the receiver listens.
const PORT: u16 = 7_000;
/// Bytes handed over at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// The law that both sides obey.
const CONGESTION: &str = "cubic";

/// Runs one end: `linux`, `linux-paced` or `cable:PATH ADDRESS`.
pub fn run(place: &str, role: &str, own: Ipv4Addr, far: Ipv4Addr, words: &[&str]) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("tokio: {error}"))?;
    runtime.block_on(async {
        let failed = |error: std::io::Error| format!("{role}: {error}");
        let sockets = match place.strip_prefix("cable:") {
            Some(path) => {
                let prefix = format!("{own}/24").parse().map_err(|error| format!("{own}: {error}"))?;
                Some(Sockets::start(link::connect(path)?, &[prefix], &[]).map_err(failed)?)
            }
            None => None,
        };
        let (near, far) = (SocketAddr::from((own, PORT)), SocketAddr::from((far, PORT)));
        match (role, words) {
            ("send", [seed]) => {
                let seed = number(seed)?;
                match sockets {
                    Some(sockets) => send(sockets.connect(far).await.map_err(failed)?, seed).await,
                    None => {
                        let paced = place == "linux-paced";
                        send(connect_linux(far, paced).await.map_err(failed)?, seed).await
                    }
                }
            }
            ("receive", [seed, seconds, count]) => {
                let wanted = Wanted {
                    seed: number(seed)?,
                    time: Duration::from_secs(number(seconds)?),
                    count: number(count)?,
                };
                match sockets {
                    Some(sockets) => {
                        let listener = sockets.listen(near).map_err(failed)?;
                        println!("listening");
                        let mut streams = Vec::new();
                        for _ in 0..wanted.count {
                            streams.push(listener.accept().await.map_err(failed)?);
                        }
                        report(streams, &wanted).await
                    }
                    None => {
                        let listener = tokio::net::TcpListener::bind(near).await.map_err(failed)?;
                        println!("listening");
                        let mut streams = Vec::new();
                        for _ in 0..wanted.count {
                            streams.push(listener.accept().await.map_err(failed)?);
                        }
                        report(streams, &wanted).await
                    }
                }
            }
            _ => Err("send SEED, or receive SEED SECONDS CONNECTIONS".to_owned()),
        }
    })
}

/// What the receiver is to do.
struct Wanted {
    seed: u64,
    time: Duration,
    count: u64,
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}

async fn connect_linux(far: SocketAddr, paced: bool) -> std::io::Result<tokio::net::TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    // Before it is open: one that has been under BBR is paced for ever.
    rustix::net::sockopt::set_tcp_congestion(&socket, CONGESTION)?;
    let stream = socket.connect(far).await?;
    if paced {
        rustix::net::sockopt::set_tcp_congestion(&stream, "bbr")?;
        rustix::net::sockopt::set_tcp_congestion(&stream, CONGESTION)?;
    }
    Ok(stream)
}

/// Sends until nobody takes it any more.
async fn send(mut stream: impl AsyncWrite + Unpin, seed: u64) -> Result<(), String> {
    let mut pattern = Pattern::new(seed);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        pattern.fill(&mut chunk);
        if stream.write_all(&chunk).await.is_err() {
            return Ok(());
        }
    }
}

/// Receives on all streams for as long as is wanted from the first byte on, and prints each one's sender and Mbit/s.
async fn report<S>(streams: Vec<(S, SocketAddr)>, wanted: &Wanted) -> Result<(), String>
where
    S: AsyncRead + Unpin + Send + 'static,
{
    let (seed, time) = (wanted.seed, wanted.time);
    let tasks: Vec<_> =
        streams.into_iter().map(|(stream, peer)| (peer, tokio::spawn(receive(stream, seed, time)))).collect();
    for (peer, task) in tasks {
        let bytes = task.await.map_err(|error| error.to_string())??;
        println!("{} {:.4}", peer.ip(), bytes as f64 * 8.0 / time.as_secs_f64() / 1e6);
    }
    Ok(())
}

/// Receives for `time` from the first byte on; how many bytes came, each where it belongs.
async fn receive(mut stream: impl AsyncRead + Unpin, seed: u64, time: Duration) -> Result<u64, String> {
    let mut pattern = Pattern::new(seed);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut until = None;
    loop {
        let deadline = until.unwrap_or_else(|| Instant::now() + Duration::from_secs(30));
        let count = match tokio::time::timeout_at(deadline, stream.read(&mut chunk)).await {
            Err(_) if until.is_some() => return Ok(pattern.offset()),
            Err(_) => return Err("nothing arrives".to_owned()),
            Ok(Ok(0)) => return Err("the sender has closed".to_owned()),
            Ok(Ok(count)) => count,
            Ok(Err(error)) => return Err(format!("receive: {error}")),
        };
        until.get_or_insert_with(|| Instant::now() + time);
        pattern.check(&chunk[..count]).map_err(|at| format!("byte {at} is wrong"))?;
    }
}
