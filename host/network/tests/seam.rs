//! Both networks behind the seam, held to the same behaviour: the host's sockets, and two stacks of ours on a cable.

use link::FrameSocket;
use network::{BoxStream, Host, InProcess, Network, Target};
use packet::Device;
use runtime::{Clock, Sockets};
use stack::{Config, InterfaceConfig, Prefix, Stack};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Two hosts on a cable: a client that knows the server as `server.test`, and the server.
fn cable() -> (InProcess, InProcess) {
    let (left, right) = FrameSocket::pair(1500).expect("a cable");
    let names = HashMap::from([("server.test".to_owned(), vec![address(2)])]);
    (host(left, 1, names), host(right, 2, HashMap::new()))
}

fn address(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

fn host(device: FrameSocket, number: u8, names: HashMap<String, Vec<IpAddr>>) -> InProcess {
    let clock = Clock::start();
    let mut stack = Stack::new(Config::default(), [number; 32], clock.now());
    let hardware = [2, 0, 0, 0, 0, number];
    let interface =
        InterfaceConfig::new(device.capabilities(), hardware, vec![Prefix::new(address(number), 24)]);
    let interface = stack.add_interface(interface, clock.now()).expect("the interface is sound");
    let sockets = Sockets::new(stack, interface, clock);
    tokio::spawn(sockets.clone().drive(device));
    InProcess::new(sockets, names)
}

/// Gives back what comes until it ends.
async fn echo(mut stream: BoxStream) {
    let mut buffer = vec![0; 4096];
    loop {
        let count = stream.read(&mut buffer).await.expect("the client sends");
        if count == 0 {
            return stream.shutdown().await.expect("the end is told");
        }
        stream.write_all(&buffer[..count]).await.expect("the client reads");
    }
}

/// Opens a connection to `target`, sends 300,000 bytes, half-closes, and expects them all back.
async fn exchange(client: &dyn Network, target: &Target) {
    let stream = client.connect(target).await.expect("the server listens");
    let sent: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let to_send = sent.clone();
    let writing = tokio::spawn(async move {
        writer.write_all(&to_send).await.expect("the server reads");
        writer.shutdown().await.expect("half a close");
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.expect("the server answers");
    writing.await.expect("the writer ends");
    assert_eq!(received, sent);
}

async fn serve(server: &dyn Network, local: SocketAddr) -> SocketAddr {
    let mut listener = server.listen(local).await.expect("the port is free");
    let bound = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    bound
}

#[tokio::test]
async fn a_stream_in_process_carries_every_byte_and_half_closes() {
    let (client, server) = cable();
    serve(&server, SocketAddr::new(address(2), 7)).await;
    exchange(&client, &Target::name("Server.Test", 7)).await;
    exchange(&client, &SocketAddr::new(address(2), 7).into()).await;
}

#[tokio::test]
async fn a_stream_of_the_host_carries_every_byte_and_half_closes() {
    let bound = serve(&Host, "127.0.0.1:0".parse().expect("address")).await;
    exchange(&Host, &Target::name("localhost", bound.port())).await;
}

#[tokio::test]
async fn many_streams_at_once_do_not_mix() {
    let (client, server) = cable();
    serve(&server, SocketAddr::new(address(2), 7)).await;
    let target = Target::name("server.test", 7);
    let runs: Vec<_> = (0..20).map(|_| exchange(&client, &target)).collect();
    for run in runs {
        run.await;
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_refuses() {
    let (client, _server) = cable();
    let refused = client.connect(&SocketAddr::new(address(2), 9).into()).await.err().expect("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let unknown = client.connect(&Target::name("other.test", 7)).await.err().expect("no such name");
    assert_eq!(unknown.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn datagrams_pass_both_networks() {
    let (client, server) = cable();
    datagrams_pass(&client, &server, address(2)).await;
    datagrams_pass(&Host, &Host, [127, 0, 0, 1].into()).await;
}

async fn datagrams_pass(client: &dyn Network, server: &dyn Network, ip: IpAddr) {
    let there = server.bind_udp(SocketAddr::new(ip, 0)).await.expect("a port");
    let to = there.local_addr().expect("bound");
    let here = client.bind_udp("0.0.0.0:0".parse().expect("any")).await.expect("a port");
    here.send(b"question", to).await.expect("sent");
    let mut buffer = [0; 64];
    let (count, from) = there.receive(&mut buffer).await.expect("received");
    assert_eq!(&buffer[..count], b"question");
    there.send(b"answer", from).await.expect("sent");
    let (count, from) = here.receive(&mut buffer).await.expect("received");
    assert_eq!((&buffer[..count], from), (&b"answer"[..], to));
}
