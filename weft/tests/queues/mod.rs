//! Two stacks on the two queues of one interface, and a switch that keeps connections apart as a device does.

use super::PATIENCE;
use rustix::event::{PollFd, PollFlags, poll};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use weft::device::{Batch, Device, FrameSocket, Packet};
use weft::sockets::{Sockets, TcpStream};

/// Connections each way: that all of them come to one queue is as likely as that many coins fall on one side.
const CONNECTIONS: usize = 32;

/// The ports of a TCP segment in an Ethernet frame, the client's first.
fn ports_of(frame: &[u8], from_client: bool) -> Option<[u8; 4]> {
    let is_tcp = frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&6);
    let ports: [u8; 4] = frame.get(34..38)?.try_into().ok()?;
    let [a, b, c, d] = ports;
    is_tcp.then_some(if from_client { ports } else { [c, d, a, b] })
}

/// Carries frames between the client and the queues until one of them is closed: as a TAP does, a connection's to the
/// queue that last sent for it, else to one by its ports; everything else to the first.
fn switch(mut client: FrameSocket, mut queues: [FrameSocket; 2]) {
    let mut batch = Batch::with_capacity(64);
    let mut known = BTreeMap::new();
    let send = |packet: Packet, to: &mut FrameSocket| {
        let mut one = Batch::with_capacity(1);
        one.push(packet).expect("there is room");
        to.transmit(&mut one).is_ok()
    };
    let mut open = true;
    while open {
        open &= client.receive(&mut batch).is_ok();
        while let Some(packet) = batch.pop() {
            let queue = ports_of(&packet.clone().into_bytes(), true).map_or(0, |ports| {
                let sum: usize = ports.iter().map(|&byte| usize::from(byte)).sum();
                known.get(&ports).copied().unwrap_or(sum % 2)
            });
            open &= send(packet, &mut queues[queue]);
        }
        for (number, queue) in queues.iter_mut().enumerate() {
            open &= queue.receive(&mut batch).is_ok();
            while let Some(packet) = batch.pop() {
                if let Some(ports) = ports_of(&packet.clone().into_bytes(), false) {
                    known.insert(ports, number);
                }
                open &= send(packet, &mut client);
            }
        }
        let [left, right] = &queues;
        let mut ends = [&client, left, right].map(|end| PollFd::new(end, PollFlags::IN));
        open &= poll(&mut ends, None).is_ok();
        open &= ends.iter().all(|end| !end.revents().intersects(PollFlags::HUP | PollFlags::ERR));
    }
}

async fn exchange(mut stream: TcpStream) {
    let mut byte = [7];
    stream.write_all(&byte).await.expect("it takes a byte");
    timeout(PATIENCE, stream.read_exact(&mut byte)).await.expect("in time").expect("an answer");
}

async fn echo(mut stream: TcpStream) {
    let mut byte = [0];
    while stream.read_exact(&mut byte).await.is_ok() {
        stream.write_all(&byte).await.expect("it takes a byte");
    }
}

#[tokio::test]
async fn stacks_on_two_queues_share_addresses_and_spread_connections() {
    let cables: [_; 3] = std::array::from_fn(|_| FrameSocket::pair(1500).expect("a cable"));
    let [(near, far), (left, left_end), (right, right_end)] = cables;
    thread::spawn(move || switch(far, [left_end, right_end]));
    let prefix = |text: &str| text.parse().expect("a prefix");
    let client = Sockets::start(near, &[prefix("192.0.2.1/24")], &[]).expect("a stack");
    let members = Sockets::group(vec![left, right], &[prefix("192.0.2.2/24")], &[]).expect("two stacks");
    let servers: Vec<Sockets> = members.into_iter().map(|member| member.start()).collect();

    // Each gets some of the client's connections.
    let (told, mut accepted) = tokio::sync::mpsc::unbounded_channel();
    for (number, server) in servers.iter().enumerate() {
        let listener = server.listen(SocketAddr::from(([192, 0, 2, 2], 7))).expect("a listener");
        let told = told.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = told.send(number);
                tokio::spawn(echo(stream));
            }
        });
    }
    let mut by_queue = [0; 2];
    for _ in 0..CONNECTIONS {
        let stream = timeout(PATIENCE, client.connect(SocketAddr::from(([192, 0, 2, 2], 7))));
        exchange(stream.await.expect("in time").expect("a connection")).await;
        by_queue[timeout(PATIENCE, accepted.recv()).await.expect("in time").expect("a number")] += 1;
    }
    assert!(by_queue.iter().all(|&count| count > 0), "{by_queue:?}");

    // What answers the second stack's question for the client's hardware address comes on the first queue.
    let listener = client.listen(SocketAddr::from(([192, 0, 2, 1], 9))).expect("a listener");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    let mut ports = [BTreeSet::new(), BTreeSet::new()];
    for (server, ports) in servers.iter().zip(&mut ports) {
        for _ in 0..CONNECTIONS {
            let connecting = timeout(PATIENCE, server.connect(SocketAddr::from(([192, 0, 2, 1], 9))));
            let stream = connecting.await.expect("in time").expect("a connection");
            ports.insert(stream.local_addr().expect("an address").port());
            exchange(stream).await;
        }
    }
    assert!(ports[0].is_disjoint(&ports[1]));
    assert!(ports[0].iter().all(|port| port % 2 == 0) && ports[1].iter().all(|port| port % 2 == 1));
}
