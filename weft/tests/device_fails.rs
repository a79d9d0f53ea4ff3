//! A device that fails, or a stack that is stopped: whoever waits for a socket is told, and so is whoever calls later.

use rustix::io::Errno;
use std::io::{self, ErrorKind, PipeWriter, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use weft::blocking;
use weft::device::{Batch, Capabilities, Device, DeviceError, FrameSocket};
use weft::sockets::{Sockets, TcpListener, TcpStream};

/// Nothing here takes longer, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

const WORKS: u8 = 0;
const FAILS: u8 = 1;
const PANICS: u8 = 2;

/// A cable's end that fails when it is told to, as a TAP does that is removed.
struct Frail {
    inner: FrameSocket,
    fate: Arc<AtomicU8>,
}

impl Device for Frail {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn receive(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        match self.fate.load(Ordering::SeqCst) {
            WORKS => self.inner.receive(batch),
            FAILS => {
                Err(DeviceError { doing: "reading from the frail end", code: Errno::NODEV.raw_os_error() })
            }
            _ => panic!("the device panics, as it is asked to"),
        }
    }

    fn transmit(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        self.inner.transmit(batch)
    }
}

impl AsFd for Frail {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

fn here() -> SocketAddr {
    ([192, 0, 2, 1], 7).into()
}

fn there() -> SocketAddr {
    ([192, 0, 2, 2], 7).into()
}

/// Nobody has it.
fn nowhere() -> SocketAddr {
    ([192, 0, 2, 77], 7).into()
}

fn start(device: impl Device + AsFd + Send + 'static, address: &str) -> Sockets {
    Sockets::start(device, &[address.parse().expect("a prefix")], &[]).expect("a stack")
}

/// A stack behind a frail device, and another at the other end of its cable.
fn pair() -> (Sockets, Sockets, Arc<AtomicU8>) {
    let (inner, far) = FrameSocket::pair(1_500).expect("a cable");
    let fate = Arc::new(AtomicU8::new(WORKS));
    let frail = Frail { inner, fate: fate.clone() };
    (start(frail, "192.0.2.1/24"), start(far, "192.0.2.2/24"), fate)
}

async fn connected(from: &Sockets, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let (connected, accepted) = tokio::join!(from.connect(there()), listener.accept());
    (connected.expect("a connection"), accepted.expect("a connection").0)
}

/// What a call is told within the time of a test.
async fn told<T>(waiting: impl Future<Output = io::Result<T>>) -> String {
    let told = tokio::time::timeout(PATIENCE, waiting).await.expect("nobody waits for ever");
    said(told.err().expect("nothing succeeds any more"))
}

fn said(error: io::Error) -> String {
    assert_eq!(error.kind(), ErrorKind::NotConnected, "{error}");
    error.to_string()
}

/// Whoever waits on `client`, and whoever comes later, while `end` ends what turns it. What each was told.
async fn all_told(client: &Sockets, server: &Sockets, end: impl FnOnce()) -> Vec<String> {
    let listening = server.listen(there()).expect("a listener");
    let (mut reading, _far_reading) = connected(client, &listening).await;
    let (mut writing, _far_writing) = connected(client, &listening).await;
    let (idle, _far_idle) = connected(client, &listening).await;
    let (listener, datagrams) =
        (client.listen(here()).expect("a listener"), client.bind_udp(here()).expect("a socket"));
    let mut into = [0; 8];
    let waiting = async {
        tokio::join!(
            told(reading.read_bytes()),
            // More than both buffers hold.
            told(writing.write_bytes(vec![0; 64 << 20].into())),
            told(listener.accept()),
            told(client.connect(nowhere())),
            told(datagrams.recv_from(&mut into)),
            async {
                // All of the others wait by now.
                end();
                // It arrives, so the device is asked for it.
                let wakes = server.bind_udp(([192, 0, 2, 2], 0).into()).expect("a socket");
                wakes.send_to(b"x", here()).expect("it leaves");
                let _ = datagrams.send_to(b"x", there());
            },
        )
    };
    let (read, written, accepted, connected, received, ()) = waiting.await;
    tokio::time::timeout(PATIENCE, idle.readable()).await.expect("in time").expect("as tokio's");
    tokio::time::timeout(PATIENCE, idle.writable()).await.expect("in time").expect("as tokio's");
    let mut all = vec![read, written, accepted, connected, received];
    all.push(said(idle.take_error().expect("as tokio's").expect("an error")));
    all.push(said(idle.try_read(&mut [0]).unwrap_err()));
    all.push(said(idle.try_write(b"x").unwrap_err()));
    all.push(said(datagrams.send_to(b"x", there()).unwrap_err()));
    all.push(said(client.bind_udp(([0, 0, 0, 0], 0).into()).unwrap_err()));
    all.push(said(client.listen(([0, 0, 0, 0], 0).into()).unwrap_err()));
    all.push(told(client.connect(there())).await);
    all.push(told(listener.accept()).await);
    all
}

fn assert_all(told: &[String], what: &str) {
    assert!(told.iter().all(|told| told.contains(what)), "{told:#?}");
}

#[tokio::test]
async fn everybody_who_waits_is_told_what_the_device_failed_with() {
    let (client, server, fate) = pair();
    let told = all_told(&client, &server, || fate.store(FAILS, Ordering::SeqCst)).await;
    let reason = io::Error::from(Errno::NODEV).to_string();
    assert_all(&told, &format!("reading from the frail end: {reason}"));
}

#[tokio::test]
async fn everybody_who_waits_is_told_of_a_panic() {
    let (client, server, fate) = pair();
    let told = all_told(&client, &server, || fate.store(PANICS, Ordering::SeqCst)).await;
    assert_all(&told, "has panicked");
}

#[tokio::test]
async fn everybody_who_waits_is_told_that_the_program_has_stopped_it() {
    let (client, server, _fate) = pair();
    let told = all_told(&client, &server, || client.stop()).await;
    assert_all(&told, "its program stopped it");
}

#[tokio::test]
async fn a_stack_that_is_stopped_lets_go_of_its_device() {
    let (inner, _far) = FrameSocket::pair(1_500).expect("a cable");
    let fate = Arc::new(AtomicU8::new(WORKS));
    let stopped = start(Frail { inner, fate: fate.clone() }, "192.0.2.1/24");
    stopped.stop();
    let gone = async {
        while Arc::strong_count(&fate) > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the task ends");
    let turning = {
        let (left, _right) = FrameSocket::pair(1_500).expect("a cable");
        stopped.clone().drive(left)
    };
    tokio::time::timeout(PATIENCE, turning).await.expect("it ends at once").expect("as it was asked to");
}

#[tokio::test]
async fn what_turns_a_stack_tells_even_where_it_never_ran() {
    let (left, _right) = FrameSocket::pair(1_500).expect("a cable");
    let stopped = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _within = runtime.enter();
        // The runtime ends without a turn.
        start(left, "192.0.2.1/24")
    });
    let stopped = stopped.join().expect("a stack");
    assert_all(&[told(stopped.connect(there())).await], "was dropped");
}

#[tokio::test]
async fn a_cable_whose_other_end_is_gone_is_told_by_what_is_sent() {
    let (left, right) = FrameSocket::pair(1_500).expect("a cable");
    let client = start(left, "192.0.2.1/24");
    drop(right);
    // The first frame is lost, as on a wire; the next finds that nobody is there.
    assert_all(&[told(client.connect(there())).await], "writing to the cable");
}

/// A frail device whose descriptor tells of nothing but an error.
struct Removed {
    frail: Frail,
    descriptor: PipeWriter,
}

impl Device for Removed {
    fn capabilities(&self) -> Capabilities {
        self.frail.capabilities()
    }

    fn receive(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        self.frail.receive(batch)
    }

    fn transmit(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        self.frail.transmit(batch)
    }
}

impl AsFd for Removed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The descriptor of a TAP that is removed has an error, and nothing to be read.
#[tokio::test]
async fn a_device_that_is_removed_while_nothing_moves_is_told() {
    let (inner, _far) = FrameSocket::pair(1_500).expect("a cable");
    let (reader, descriptor) = io::pipe().expect("a pipe");
    let fate = Arc::new(AtomicU8::new(WORKS));
    let removed = Removed { frail: Frail { inner, fate: fate.clone() }, descriptor };
    let listener = start(removed, "192.0.2.1/24").listen(here()).expect("a listener");
    // By then it does not look by itself any more.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    fate.store(FAILS, Ordering::SeqCst);
    drop(reader);
    assert_all(&[told(listener.accept()).await], "reading from the frail end");
}

#[tokio::test]
async fn what_has_arrived_is_read_before_the_error() {
    let (client, server, fate) = pair();
    let listener = server.listen(there()).expect("a listener");
    let (mut stream, mut accepted) = connected(&client, &listener).await;
    accepted.write_bytes("last words".into()).await.expect("it takes bytes");
    stream.readable().await.expect("it arrives");
    fate.store(FAILS, Ordering::SeqCst);
    accepted.write_bytes("unheard".into()).await.expect("it takes bytes");
    let listening = client.listen(here()).expect("a listener");
    told(listening.accept()).await;
    assert_eq!(stream.read_bytes().await.expect("what has arrived"), "last words");
    told(stream.read_bytes()).await;
}

#[test]
fn threads_that_block_are_told() {
    let (inner, far) = FrameSocket::pair(1_500).expect("a cable");
    let fate = Arc::new(AtomicU8::new(WORKS));
    let host = |device: Frail, address: &str| {
        blocking::Sockets::start(device, &[address.parse().expect("a prefix")], &[]).expect("a stack")
    };
    let client = host(Frail { inner, fate: fate.clone() }, "192.0.2.1/24");
    let server = host(Frail { inner: far, fate: Arc::default() }, "192.0.2.2/24");
    let far_listener = server.listen(there()).expect("a listener");
    let mut stream = client.connect(there()).expect("a connection");
    let _accepted = far_listener.accept().expect("a connection");
    let listener = client.listen(here()).expect("a listener");
    let socket = client.bind_udp(here()).expect("a socket");

    let (tell, told) = std::sync::mpsc::channel();
    let spawn = |wait: Box<dyn FnOnce() -> io::Error + Send>| {
        let tell = tell.clone();
        std::thread::spawn(move || tell.send(wait()));
    };
    let mut reading = stream.try_clone().expect("a clone");
    spawn(Box::new(move || reading.read(&mut [0]).unwrap_err()));
    spawn(Box::new(move || stream.write_all(&vec![0; 64 << 20]).unwrap_err()));
    spawn(Box::new(move || listener.accept().unwrap_err()));
    spawn(Box::new(move || socket.recv_from(&mut [0]).unwrap_err()));
    spawn(Box::new(move || client.connect(nowhere()).unwrap_err()));

    fate.store(FAILS, Ordering::SeqCst);
    let wakes = server.bind_udp(([192, 0, 2, 2], 0).into()).expect("a socket");
    wakes.send_to(b"x", here()).expect("it leaves");
    for _ in 0..5 {
        let told = said(told.recv_timeout(PATIENCE).expect("nobody waits for ever"));
        assert!(told.contains("reading from the frail end"), "{told}");
    }
}
