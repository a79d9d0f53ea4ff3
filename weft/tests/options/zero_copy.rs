//! Bytes that are handed over lie where they lay until the device has them, and those of the device until the reader has
//! them.

use crate::watch::Pair;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use weft::sockets::Bytes;

#[tokio::test]
async fn what_is_handed_over_leaves_from_where_it_lies() {
    let pair = Pair::new();
    let (mut stream, _accepted) = pair.connected().await;
    let data = Bytes::from(vec![7; 2_000]);
    let start = data.as_ptr() as usize;
    stream.write_bytes(data.clone()).await.expect("it takes bytes");
    pair.log.until(|sent| sent.iter().map(|sent| sent.payload).sum::<usize>() >= data.len()).await;
    let at: Vec<usize> =
        pair.log.sent().iter().filter(|sent| sent.payload > 0).flat_map(|sent| sent.at.clone()).collect();
    assert_eq!(at[0], start);
    assert!(at.iter().all(|at| (start..start + data.len()).contains(at)), "{at:?} and not {start}");
}

#[tokio::test]
async fn what_arrives_is_read_where_the_device_has_put_it() {
    let pair = Pair::new();
    let (mut stream, mut accepted) = pair.connected().await;
    accepted.write_bytes(vec![7; 1_000].into()).await.expect("it takes bytes");
    let bytes = stream.read_bytes().await.expect("bytes");
    assert!(pair.log.holds(bytes.as_ptr() as usize));
    let socket = pair.client.bind_udp(([0, 0, 0, 0], 53).into()).expect("a socket");
    let asking = pair.server.bind_udp(([0, 0, 0, 0], 0).into()).expect("a socket");
    asking.send_to(&[7; 1_000], ([192, 0, 2, 1], 53).into()).expect("it leaves");
    let (payload, _) = socket.recv_bytes_from().await.expect("a datagram");
    assert!(pair.log.holds(payload.as_ptr() as usize));
}

#[tokio::test]
async fn several_buffers_leave_as_one_segment() {
    let pair = Pair::new();
    let (mut stream, _accepted) = pair.connected().await;
    assert!(stream.is_write_vectored());
    let parts = [b"head".as_slice(), b"", b"body", b"tail"].map(std::io::IoSlice::new);
    assert_eq!(stream.write_vectored(&parts).await.expect("it takes bytes"), 12);
    pair.log.until(|sent| sent.iter().any(|sent| sent.payload == 12)).await;
    assert_eq!(pair.log.data(), 1);
}
