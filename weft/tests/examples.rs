//! The library from outside: what the examples do, over two stacks on a cable, and stacks on several queues.

mod queues;

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use weft::device::FrameSocket;
use weft::sockets::{Bytes, Sockets, TcpStream};

macro_rules! examples {
    ($($name:ident = $path:literal),*) => {
        $(#[path = $path]
        #[allow(dead_code, reason = "its main is the example's")]
        mod $name;)*
    };
}

examples!(
    echo = "../examples/echo.rs",
    forward = "../examples/forward.rs",
    http = "../examples/http.rs",
    udp = "../examples/udp.rs"
);

/// Nothing here takes longer, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client's and a server's stack.
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

async fn ask(client: &Sockets, port: u16, question: &[u8]) -> String {
    let mut stream =
        timeout(PATIENCE, client.connect(server(port))).await.expect("in time").expect("a connection");
    stream.write_all(question).await.expect("it takes bytes");
    stream.shutdown().await.expect("it ends");
    read_all(&mut stream).await
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("in time").expect("an answer");
    answer
}

#[tokio::test]
async fn echo_gives_back_every_byte_and_the_end() {
    let (client, host) = pair();
    let listener = host.listen(server(7)).expect("a listener");
    tokio::spawn(async move { echo::serve(listener).await.map_err(|error| error.to_string()) });
    let question: String = (0..100_000).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    let stream = client.connect(server(7)).await.expect("a connection");
    assert_eq!(stream.peer_addr().expect("known"), server(7));
    assert_eq!(stream.local_addr().expect("known").ip().to_string(), "192.0.2.1");
    let (mut from, mut to) = stream.into_split();
    let sent = question.clone();
    tokio::spawn(async move {
        to.write_all(sent.as_bytes()).await.expect("it takes bytes");
        // Dropped here, the half tells the other side that no more comes.
    });
    let mut answer = String::new();
    timeout(PATIENCE, from.read_to_string(&mut answer)).await.expect("in time").expect("an answer");
    assert!(answer == question);
}

#[tokio::test]
async fn http_answers_by_hyper() {
    let (client, host) = pair();
    let listener = host.listen(server(80)).expect("a listener");
    tokio::spawn(async move { http::serve(listener).await.map_err(|error| error.to_string()) });
    let mut stream = client.connect(server(80)).await.expect("a connection");
    let question = b"GET /there HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(question).await.expect("it takes bytes");
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("asked for /there\n"), "{answer}");
}

#[tokio::test]
async fn udp_tells_the_senders_address() {
    let (client, host) = pair();
    let socket = host.bind_udp(server(9)).expect("a socket");
    tokio::spawn(async move { udp::answer(socket).await.map_err(|error| error.to_string()) });
    let own = SocketAddr::from(([192, 0, 2, 1], 4_000));
    let socket = client.bind_udp(own).expect("a socket");
    socket.send_bytes_to(Bytes::from_static(b"who am I?"), server(9)).expect("it leaves");
    let (answer, from) =
        timeout(PATIENCE, socket.recv_bytes_from()).await.expect("in time").expect("an answer");
    assert_eq!((&answer[..], from), (format!("{own}\n").as_bytes(), server(9)));
}

#[tokio::test]
async fn forward_leads_to_the_hosts_network_and_back() {
    let (client, host) = pair();
    let target = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port of the host's");
    let address = target.local_addr().expect("its address");
    let listener = host.listen(server(80)).expect("a listener");
    tokio::spawn(async move { forward::forward(listener, address).await.map_err(|error| error.to_string()) });
    tokio::spawn(async move {
        let (mut stream, _) = target.accept().await.expect("a connection");
        let mut question = String::new();
        stream.read_to_string(&mut question).await.expect("a question");
        stream.write_all(format!("heard {question}").as_bytes()).await.expect("it takes bytes");
    });
    assert_eq!(ask(&client, 80, b"something").await, "heard something");
}
