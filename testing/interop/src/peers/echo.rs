//! Small servers inside this process: one that sends back what it is sent, one that only counts who came, and one that
//! takes connections and never reads. Their threads end with the process.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::namespace::Namespace;
use crate::wait;

/// Sends back what it is sent.
#[derive(Debug)]
pub struct Echo;

impl Echo {
    /// An echo over TCP.
    ///
    /// # Panics
    ///
    /// Where the address is taken.
    pub fn tcp(namespace: &Namespace, address: impl Into<SocketAddr>) {
        let address = address.into();
        let listener = namespace.within(|| TcpListener::bind(address)).expect("an echo's address");
        namespace.spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || echo(stream));
            }
        });
    }

    /// An echo over UDP.
    ///
    /// # Panics
    ///
    /// Where the address is taken.
    pub fn udp(namespace: &Namespace, address: impl Into<SocketAddr>) {
        let address = address.into();
        let socket = namespace.within(|| UdpSocket::bind(address)).expect("an echo's address");
        namespace.spawn(move || {
            let mut datagram = vec![0; 65_536];
            while let Ok((length, from)) = socket.recv_from(&mut datagram) {
                drop(socket.send_to(&datagram[..length], from));
            }
        });
    }
}

fn echo(mut stream: TcpStream) {
    let mut part = [0; 16_384];
    while let Ok(length @ 1..) = stream.read(&mut part) {
        if stream.write_all(&part[..length]).is_err() {
            return;
        }
    }
}

/// Notices everything that reaches an address, and answers TCP with a line so that a client that came through succeeds.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    seen: Arc<AtomicUsize>,
}

impl Witness {
    /// A witness over TCP and UDP.
    ///
    /// # Panics
    ///
    /// Where the address is taken.
    #[must_use]
    pub fn at(namespace: &Namespace, address: impl Into<SocketAddr>) -> Self {
        let address = address.into();
        let witness = Self::default();
        let listener = namespace.within(|| TcpListener::bind(address)).expect("a witness's address");
        let socket = namespace.within(|| UdpSocket::bind(address)).expect("a witness's address");
        let seen = witness.seen.clone();
        namespace.spawn(move || {
            for mut stream in listener.incoming().flatten() {
                seen.fetch_add(1, Ordering::SeqCst);
                drop(stream.write_all(b"reached\n"));
                drop(stream.shutdown(Shutdown::Write));
                // Closed with bytes unread, the kernel would reset, and the line above could be lost on its way.
                std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
            }
        });
        let seen = witness.seen.clone();
        namespace.spawn(move || {
            let mut datagram = vec![0; 65_536];
            while let Ok((_, from)) = socket.recv_from(&mut datagram) {
                seen.fetch_add(1, Ordering::SeqCst);
                drop(socket.send_to(b"reached\n", from));
            }
        });
        witness
    }

    /// How many connections and datagrams arrived.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

/// Accepts connections and reads nothing, until told to.
#[derive(Debug)]
pub struct Stalled {
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Stalled {
    /// A stalled peer.
    ///
    /// # Panics
    ///
    /// Where the address is taken.
    #[must_use]
    pub fn at(namespace: &Namespace, address: impl Into<SocketAddr>) -> Self {
        let address = address.into();
        let listener = namespace.within(|| TcpListener::bind(address)).expect("a stalled peer's address");
        let streams = Arc::new(Mutex::new(Vec::new()));
        let accepted = streams.clone();
        namespace.spawn(move || {
            for stream in listener.incoming().flatten() {
                accepted.lock().expect("no thread panicked with the streams").push(stream);
            }
        });
        Self { streams }
    }

    /// How many connections were accepted.
    ///
    /// # Panics
    ///
    /// Where the accepting thread panicked.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.streams.lock().expect("no thread panicked with the streams").len()
    }

    /// Reads the first connection to its end, and gives the number of bytes.
    ///
    /// # Panics
    ///
    /// Where there is none, or its end does not come.
    #[must_use]
    pub fn drain_first(&self) -> u64 {
        let mut stream = wait::until("a connection to the stalled peer", || {
            self.streams.lock().expect("no thread panicked with the streams").pop()
        });
        stream.set_read_timeout(Some(wait::PATIENCE.min(Duration::from_secs(10)))).expect("a timeout");
        std::io::copy(&mut stream, &mut std::io::sink()).expect("the stream's end")
    }
}
