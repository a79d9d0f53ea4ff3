//! What is told where connections, ports, sockets or memory run out. Nothing panics, and what was there goes on.

use crate::watch::PATIENCE;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Wake};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;
use weft::device::{Device, FrameSocket};
use weft::sockets::{Clock, ConnectOptions, ListenOptions, Sockets, State, TcpStream};
use weft::stack::{Config, Drop, InterfaceConfig, PortShare, Prefix, Stack};

/// A stack with bounds of its own, and one at the other end of its cable.
fn pair(config: Config) -> (Sockets, Sockets) {
    let (left, right) = FrameSocket::pair(1_500).expect("a cable");
    let clock = Clock::start();
    let mut stack = Stack::new(config, [7; 32], clock.now());
    let address = vec![Prefix::new([192, 0, 2, 1], 24)];
    let interface = InterfaceConfig::new(left.capabilities(), [2, 0, 0, 0, 0, 1], address);
    let interface = stack.add_interface(interface, clock.now()).expect("a sound interface");
    let client = Sockets::new(stack, interface, clock);
    tokio::spawn(client.clone().drive(left));
    (client, Sockets::start(right, &["192.0.2.2/24".parse().expect("a prefix")], &[]).expect("a stack"))
}

fn server(port: u16) -> SocketAddr {
    ([192, 0, 2, 2], port).into()
}

#[tokio::test]
async fn no_connection_more_than_may_be_and_one_that_goes_makes_room() {
    let (client, host) = pair(Config { connections_max: 2, ..Config::default() });
    let listener = host.listen(server(80)).expect("a listener");
    let first = client.connect(server(80)).await.expect("a connection");
    let second = client.connect(server(80)).await.expect("a connection");
    let error = client.connect(server(80)).await.expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
    first.set_zero_linger(true).expect("open");
    drop(first);
    // It is gone when its reset has left.
    let gone = async {
        while client.memory().connections == 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("in time");
    let third = client.connect(server(80)).await.expect("there is room again");
    drop((second, third, listener));
}

#[tokio::test]
async fn no_port_is_left_for_one_destination_and_another_has_all() {
    // A 64th of the dynamic range: 256 ports.
    let (client, host) = pair(Config { ports: PortShare { index: 3, count: 64 }, ..Config::default() });
    let listener = host.listen(server(80)).expect("a listener");
    let other = host.listen(server(81)).expect("a listener");
    let mut streams = Vec::new();
    for _ in 0..256 {
        streams.push(client.connect(server(80)).await.expect("a connection"));
    }
    let error = client.connect(server(80)).await.expect_err("no port");
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    client.connect(server(81)).await.expect("another destination");
    // One that is asked for is another matter.
    let local = Some(([192, 0, 2, 1], 4_000).into());
    client
        .connect_with(server(80), ConnectOptions { local, ..ConnectOptions::default() })
        .await
        .expect("a port");
    drop((listener, other));
}

#[tokio::test]
async fn no_socket_more_than_may_be_and_no_port_twice() {
    let (client, _host) = pair(Config { udp_sockets_max: 2, ..Config::default() });
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    let first = client.bind_udp(any).expect("a socket");
    let taken = first.local_addr().expect("known");
    assert_eq!(client.bind_udp(taken).expect_err("taken").kind(), ErrorKind::AddrInUse);
    let _second = client.bind_udp(any).expect("a socket");
    assert_eq!(client.bind_udp(any).expect_err("too many").kind(), ErrorKind::QuotaExceeded);
    drop(first);
    client.bind_udp(taken).expect("there is room again");
}

#[tokio::test]
async fn every_port_listens_and_one_more_is_an_error() {
    let (client, _host) = pair(Config::default());
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    let listeners: Vec<_> = (0..16_384).map(|_| client.listen(any).expect("a port")).collect();
    assert_eq!(client.listen(any).expect_err("no port").kind(), ErrorKind::QuotaExceeded);
    drop(listeners);
    client.listen(any).expect("a port again");
}

#[tokio::test]
async fn a_writer_waits_while_memory_is_short_and_goes_on() {
    let (client, host) = pair(Config { tcp_bytes_max: 64 << 10, ..Config::default() });
    let listener = host.listen(server(80)).expect("a listener");
    let mut stream = client.connect(server(80)).await.expect("a connection");
    let (mut accepted, _) = listener.accept().await.expect("a connection");
    let writing = tokio::spawn(async move { stream.write_bytes(vec![7; 4 << 20].into()).await });
    let mut length = 0;
    while length < 4 << 20 {
        length += timeout(PATIENCE, accepted.read_bytes()).await.expect("in time").expect("bytes").len();
        assert!(client.memory().tcp_bytes <= 64 << 10);
    }
    writing.await.expect("no panic").expect("all is taken");
}

#[tokio::test]
async fn figures_and_options_can_be_asked_for_after_the_end() {
    let (client, host) = pair(Config::default());
    let listener = host.listen(server(80)).expect("a listener");
    let mut stream = client.connect(server(80)).await.expect("a connection");
    let (accepted, _) = listener.accept().await.expect("a connection");
    accepted.set_zero_linger(true).expect("open");
    drop(accepted);
    let error = timeout(PATIENCE, stream.read_bytes()).await.expect("in time").expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(stream.info().map(|info| info.state), Some(State::Closed));
    assert!(!stream.nodelay().expect("known") && stream.mss().expect("known") == 1_448);
}

/// Fills a stream until it takes no more.
fn fill(stream: &TcpStream) -> usize {
    let mut taken = 0;
    loop {
        match stream.try_write(&[7; 4_096]) {
            Ok(count) => taken += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return taken;
            }
        }
    }
}

/// Somebody who waits, and has been told to look again.
#[derive(Default)]
struct Waiter(Notify);

impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// The future has to wait. Who is told when it need not.
fn waits(future: Pin<&mut impl Future<Output = io::Result<()>>>) -> Arc<Waiter> {
    let waiter = Arc::new(Waiter::default());
    assert!(future.poll(&mut Context::from_waker(&waiter.clone().into())).is_pending());
    waiter
}

async fn read(accepted: &mut TcpStream, mut length: usize) {
    while length > 0 {
        length -= timeout(PATIENCE, accepted.read_bytes()).await.expect("in time").expect("bytes").len();
    }
}

#[tokio::test]
async fn who_waits_for_memory_without_a_write_that_was_refused_is_told() {
    let (client, host) = pair(Config { tcp_bytes_max: 64 << 10, ..Config::default() });
    let listener = host.listen(server(80)).expect("a listener");
    let greedy = client.connect(server(80)).await.expect("a connection");
    let (mut accepted, _) = listener.accept().await.expect("a connection");
    let patient = client.connect(server(80)).await.expect("a connection");
    let written = fill(&greedy);
    // What anybody may always write; nothing is refused.
    assert_eq!(patient.try_write(&[7; 4_096]).expect("room"), 4_096);
    let mut room = pin!(patient.writable());
    let waiter = waits(room.as_mut());
    read(&mut accepted, written).await;
    timeout(PATIENCE, waiter.0.notified()).await.expect("told in time");
    timeout(PATIENCE, room).await.expect("in time").expect("there is room");
}

#[tokio::test]
async fn who_waits_for_room_that_an_option_took_is_told() {
    let (client, host) = pair(Config::default());
    let listener = host.listen(server(80)).expect("a listener");
    let stream = client.connect(server(80)).await.expect("a connection");
    let (mut accepted, _) = listener.accept().await.expect("a connection");
    // More than the reader's window, and less than the buffer: no write is refused.
    let written: usize = (0..2).map(|_| stream.try_write(&[7; 50_000]).expect("room")).sum();
    stream.set_unsent_low_water(1_000).expect("in range");
    let mut room = pin!(stream.writable());
    let waiter = waits(room.as_mut());
    read(&mut accepted, written).await;
    timeout(PATIENCE, waiter.0.notified()).await.expect("told in time");
    timeout(PATIENCE, room).await.expect("in time").expect("there is room");
}

#[tokio::test]
async fn a_stream_that_is_closed_before_its_handshake_is_over_waits_for_it() {
    let (client, _host) = pair(Config::default());
    let stream = client.connect_fast(server(80), ConnectOptions::default(), "hello".into()).await;
    let closed = timeout(PATIENCE, stream.expect("a SYN").close()).await.expect("in time");
    assert_eq!(closed.expect_err("nobody listens").kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn who_comes_while_nobody_accepts_is_served_when_somebody_does() {
    for backlog in [0, 2] {
        let (client, host) = pair(Config::default());
        let options = ListenOptions { backlog, ..ListenOptions::default() };
        let listener = host.listen_with(server(80), options).expect("a listener");
        let mut asking = tokio::task::JoinSet::new();
        for number in 0..6u8 {
            let client = client.clone();
            asking.spawn(async move {
                let mut stream = client.connect(server(80)).await?;
                stream.write_all(&[number]).await?;
                let mut answer = [0];
                stream.read_exact(&mut answer).await.map(|_| answer == [number])
            });
        }
        // More have tried than have room.
        let full = async {
            while host.counters().dropped(Drop::TcpAcceptQueueFull) == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, full).await.expect("in time");
        let serving = async {
            let mut accepted = Vec::new();
            for _ in 0..6 {
                let (mut stream, _) = listener.accept().await?;
                let mut question = [0];
                stream.read_exact(&mut question).await?;
                stream.write_all(&question).await?;
                accepted.push(stream);
            }
            io::Result::Ok(accepted)
        };
        let accepted = timeout(PATIENCE, serving).await.expect("in time").expect("none is reset");
        let answers = timeout(PATIENCE, asking.join_all()).await.expect("in time");
        assert!(answers.into_iter().all(|answer| answer.is_ok_and(|right| right)));
        drop(accepted);
    }
}
