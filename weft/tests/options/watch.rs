//! A device that writes down what passes it, and can be cut.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use weft::device::{Batch, Capabilities, Device, DeviceError, FrameSocket, Packet};
use weft::sockets::{ConnectOptions, ListenOptions, Sockets, TcpListener, TcpStream};

/// Nothing here takes longer, on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of the Ethernet header, and of IPv4's and TCP's without options.
const LINK: usize = 14;
const IP: usize = 20;

/// One segment or datagram that has left.
#[derive(Clone, Debug)]
pub struct Sent {
    pub traffic_class: u8,
    pub may_be_fragmented: bool,
    pub udp: bool,
    pub syn: bool,
    pub reset: bool,
    pub acknowledgement: u32,
    pub window: u16,
    pub payload: usize,
    /// Where each piece of the payload lies in memory.
    pub at: Vec<usize>,
}

/// What a watched device has seen, and whether it still carries anything inwards.
#[derive(Clone, Debug)]
pub struct Log {
    sent: Arc<Mutex<Vec<Sent>>>,
    received_at: Arc<Mutex<Vec<std::ops::Range<usize>>>>,
    cut: Arc<AtomicBool>,
    news: watch::Sender<()>,
}

/// A cable's end that writes down what leaves.
#[derive(Debug)]
pub struct Watched {
    inner: FrameSocket,
    log: Log,
}

impl Log {
    /// Nothing arrives any more.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// All that has left so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().expect("no panic").clone()
    }

    /// How many segments with data have left.
    pub fn data(&self) -> usize {
        self.sent().iter().filter(|sent| !sent.udp && sent.payload > 0).count()
    }

    pub fn holds(&self, address: usize) -> bool {
        self.received_at.lock().expect("no panic").iter().any(|range| range.contains(&address))
    }

    /// Waits until what has left is as it should be.
    pub async fn until(&self, mut holds: impl FnMut(&[Sent]) -> bool) {
        let mut news = self.news.subscribe();
        let waiting = async {
            while !holds(&self.sent()) {
                news.changed().await.expect("the device is there");
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("in time");
    }
}

fn parse(packet: &Packet) -> Option<Sent> {
    let at = packet.body.chunks().map(|chunk| chunk.as_ptr() as usize).collect();
    let frame = packet.clone().into_bytes();
    let ip = frame.get(LINK..).filter(|_| frame[12..14] == [8, 0])?;
    let whole = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let sent = Sent {
        traffic_class: ip[1],
        may_be_fragmented: ip[6] & 0x40 == 0,
        udp: ip[9] == 17,
        syn: false,
        reset: false,
        acknowledgement: 0,
        window: 0,
        payload: whole - IP,
        at,
    };
    if ip[9] != 6 {
        return Some(sent);
    }
    let tcp = &ip[IP..whole];
    Some(Sent {
        syn: tcp[13] & 2 != 0,
        reset: tcp[13] & 4 != 0,
        acknowledgement: u32::from_be_bytes([tcp[8], tcp[9], tcp[10], tcp[11]]),
        window: u16::from_be_bytes([tcp[14], tcp[15]]),
        payload: tcp.len() - usize::from(tcp[12] >> 4) * 4,
        ..sent
    })
}

impl Device for Watched {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn receive(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        self.inner.receive(batch)?;
        if self.log.cut.load(Ordering::SeqCst) {
            while batch.pop().is_some() {}
        }
        let mut received = self.log.received_at.lock().expect("no panic");
        for chunk in batch.iter().flat_map(|packet| packet.body.chunks()) {
            let start = chunk.as_ptr() as usize;
            received.push(start..start + chunk.len());
        }
        Ok(())
    }

    fn transmit(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        self.log.sent.lock().expect("no panic").extend(batch.iter().filter_map(parse));
        self.log.news.send_replace(());
        self.inner.transmit(batch)
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// A client whose device is watched, and a server.
pub struct Pair {
    pub client: Sockets,
    pub server: Sockets,
    pub log: Log,
}

impl Pair {
    pub fn new() -> Self {
        let (left, right) = FrameSocket::pair(1_500).expect("a cable");
        let log = Log {
            sent: Arc::default(),
            received_at: Arc::default(),
            cut: Arc::default(),
            news: watch::Sender::new(()),
        };
        let watched = Watched { inner: left, log: log.clone() };
        let near = ["192.0.2.1/24", "2001:db8::1/64"].map(|prefix| prefix.parse().expect("a prefix"));
        let far = ["192.0.2.2/24", "2001:db8::2/64"].map(|prefix| prefix.parse().expect("a prefix"));
        let client = Sockets::start(watched, &near, &[]).expect("a stack");
        let server = Sockets::start(right, &far, &[]).expect("a stack");
        Self { client, server, log }
    }

    pub fn listen(&self, options: ListenOptions) -> TcpListener {
        self.server.listen_with(([0, 0, 0, 0], 0).into(), options).expect("a listener")
    }

    pub async fn connected(&self) -> (TcpStream, TcpStream) {
        self.connected_with(ConnectOptions::default()).await
    }

    /// The client's end of a connection, and the server's.
    pub async fn connected_with(&self, options: ConnectOptions) -> (TcpStream, TcpStream) {
        let listener = self.listen(ListenOptions::default());
        let to = address(&listener);
        let stream = self.client.connect_with(to, options).await.expect("a connection");
        (stream, listener.accept().await.expect("a connection").0)
    }

    /// A turn of the client's stack: when this datagram has left, so has all that could leave before it.
    pub async fn turn(&self) {
        let before = self.log.sent().iter().filter(|sent| sent.udp).count();
        let socket = self.client.bind_udp(([0, 0, 0, 0], 0).into()).expect("a socket");
        socket.send_to(b"x", ([192, 0, 2, 2], 9).into()).expect("it leaves");
        self.log.until(|sent| sent.iter().filter(|sent| sent.udp).count() > before).await;
    }
}

/// Where the server of a pair listens.
pub fn address(listener: &TcpListener) -> std::net::SocketAddr {
    ([192, 0, 2, 2], listener.local_addr().expect("known").port()).into()
}
