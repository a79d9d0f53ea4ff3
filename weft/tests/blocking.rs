//! Sockets that block, over two stacks on a cable.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};
use weft::blocking::{Sockets, TcpStream};
use weft::device::FrameSocket;

#[path = "../examples/blocking.rs"]
#[allow(dead_code, reason = "its main is the example's")]
mod blocking;

fn pair() -> (Sockets, Sockets) {
    let (left, right) = FrameSocket::pair(1500).expect("a cable");
    let host = |device, address: &str| {
        Sockets::start(device, &[address.parse().expect("a prefix")], &[]).expect("a stack")
    };
    (host(left, "192.0.2.1/24"), host(right, "192.0.2.2/24"))
}

fn server(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 2], port))
}

/// Both ends of a connection.
fn connected() -> (TcpStream, TcpStream) {
    let (client, host) = pair();
    let listener = host.listen(server(9)).expect("a listener");
    let stream = client.connect(server(9)).expect("a connection");
    let (accepted, peer) = listener.accept().expect("a connection");
    assert_eq!(stream.local_addr().expect("known"), peer);
    assert_eq!(stream.peer_addr().expect("known"), server(9));
    (stream, accepted)
}

#[test]
fn the_example_gives_back_every_byte_to_each_of_many() {
    let (client, host) = pair();
    let listener = host.listen(server(7)).expect("a listener");
    thread::spawn(move || blocking::serve(&listener).map_err(|error| error.to_string()));
    let clients: Vec<_> = (0..8_u8)
        .map(|n| {
            let client = client.clone();
            thread::spawn(move || {
                let question: Vec<u8> = (0..200_000_u32).map(|i| (i * 31 / 7) as u8 ^ n).collect();
                let stream = client.connect(server(7)).expect("a connection");
                let (mut writer, sent) = (stream.try_clone().expect("a clone"), question.clone());
                let writing = thread::spawn(move || {
                    writer.write_all(&sent).expect("it takes bytes");
                    writer.shutdown(Shutdown::Write).expect("it ends");
                });
                let mut answer = Vec::new();
                (&stream).read_to_end(&mut answer).expect("an answer");
                writing.join().expect("it has written");
                assert!(answer == question, "{n}");
            })
        })
        .collect();
    for client in clients {
        client.join().expect("an answer");
    }
}

#[test]
fn timeouts_end_a_wait_and_not_the_stream() {
    let (mut stream, mut accepted) = connected();
    assert_eq!(stream.set_read_timeout(Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::InvalidInput);
    stream.set_read_timeout(Some(Duration::from_millis(30))).expect("a time");
    let began = Instant::now();
    let mut byte = [0];
    assert_eq!(stream.read(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(began.elapsed() >= Duration::from_millis(30));
    accepted.write_all(b"x").expect("it takes bytes");
    stream.set_read_timeout(None).expect("for ever");
    assert_eq!((stream.read(&mut byte).expect("a byte"), byte), (1, *b"x"));

    stream.set_write_timeout(Some(Duration::from_millis(30))).expect("a time");
    let full = (0..10_000).find_map(|_| stream.write(&[0; 65_536]).err());
    assert_eq!(full.map(|error| error.kind()), Some(ErrorKind::WouldBlock));
}

#[test]
fn nobody_answers_and_connect_gives_up_in_time() {
    let (client, _host) = pair();
    let nobody = SocketAddr::from(([192, 0, 2, 77], 9));
    let error = client.connect_timeout(nobody, Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(client.connect(server(80)).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn linger_waits_for_the_acknowledgement_or_resets() {
    let (mut stream, mut accepted) = connected();
    stream.set_linger(Some(Duration::from_secs(30))).expect("open");
    stream.write_all(b"last words").expect("it takes bytes");
    drop(stream);
    let mut heard = String::new();
    accepted.read_to_string(&mut heard).expect("in order");
    assert_eq!(heard, "last words");

    let (stream, mut accepted) = connected();
    stream.set_linger(Some(Duration::ZERO)).expect("open");
    drop(stream);
    assert_eq!(accepted.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn two_threads_read_one_stream_and_a_shut_one_ends() {
    let (stream, mut accepted) = connected();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = stream.try_clone().expect("a clone");
            thread::spawn(move || stream.read(&mut [0]).expect("a byte"))
        })
        .collect();
    accepted.write_all(b"ab").expect("it takes bytes");
    let read: usize = readers.into_iter().map(|reader| reader.join().expect("it has read")).sum();
    assert_eq!(read, 2);
    let mut waiting = stream.try_clone().expect("a clone");
    let reader = thread::spawn(move || waiting.read(&mut [0]).expect("the end"));
    stream.shutdown(Shutdown::Read).expect("it ends");
    assert_eq!(reader.join().expect("it has read"), 0);
}

#[test]
fn datagrams_go_both_ways_and_a_receiver_gives_up() {
    let (client, host) = pair();
    let socket = host.bind_udp(server(5)).expect("a socket");
    let asking = client.bind_udp("192.0.2.1:0".parse().expect("an address")).expect("a socket");
    assert_eq!(asking.send_to(b"question", server(5)).expect("it leaves"), 8);
    let mut into = [0; 64];
    let (length, sender) = socket.recv_from(&mut into).expect("a datagram");
    assert_eq!((&into[..length], sender), (&b"question"[..], asking.local_addr().expect("known")));
    socket.send_to(b"answer", sender).expect("it leaves");
    assert_eq!(asking.recv_from(&mut into[..3]).expect("a datagram"), (3, server(5)));
    asking.set_read_timeout(Some(Duration::from_millis(10))).expect("a time");
    assert_eq!(asking.recv_from(&mut into).unwrap_err().kind(), ErrorKind::WouldBlock);
}
