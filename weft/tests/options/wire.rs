//! One test for each socket option: what it does, seen where the frames leave, or by the program.

use crate::watch::{PATIENCE, Pair, address};
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::timeout;
use weft::sockets::{Config, CongestionAlgorithm, ConnectOptions, KeepAlive, ListenOptions, PathDiscovery};

fn profile(config: Config) -> ConnectOptions {
    ConnectOptions { config, ..ConnectOptions::default() }
}

/// The segment that carries data, once it has left.
async fn first_data(pair: &Pair) -> crate::watch::Sent {
    pair.log.until(|sent| sent.iter().any(|sent| !sent.udp && sent.payload > 0)).await;
    pair.log.sent().into_iter().find(|sent| !sent.udp && sent.payload > 0).expect("it has left")
}

#[tokio::test]
async fn tcp_nodelay_lets_a_small_write_leave_before_the_last_is_acknowledged() {
    let pair = Pair::new();
    let (stream, _accepted) = pair.connected().await;
    pair.log.cut();
    stream.try_write(b"a").expect("room");
    stream.try_write(b"b").expect("room");
    pair.turn().await;
    stream.try_write(b"c").expect("room");
    pair.turn().await;
    assert_eq!(pair.log.data(), 1);
    assert!(!stream.nodelay().expect("open"));
    stream.set_nodelay(true).expect("open");
    assert!(stream.nodelay().expect("open"));
    pair.log.until(|sent| sent.iter().filter(|sent| !sent.udp && sent.payload > 0).count() == 2).await;
}

#[tokio::test]
async fn tcp_cork_holds_a_small_write_until_it_is_off() {
    let pair = Pair::new();
    let (stream, _accepted) = pair.connected().await;
    stream.set_cork(true).expect("open");
    stream.try_write(b"head").expect("room");
    pair.turn().await;
    assert_eq!((pair.log.data(), stream.cork().expect("open")), (0, true));
    stream.try_write(b"body").expect("room");
    stream.set_cork(false).expect("open");
    assert_eq!(first_data(&pair).await.payload, 8);
}

#[tokio::test]
async fn tcp_maxseg_bounds_what_leaves() {
    let pair = Pair::new();
    let config = Config { mss_max: 500, ..Config::linux() };
    let (mut stream, mut accepted) = pair.connected_with(profile(config)).await;
    // Timestamps take 12 bytes of each.
    assert_eq!((stream.mss().expect("open"), accepted.mss().expect("open")), (488, 488));
    let breach = Config { mss_max: 87, ..Config::linux() };
    let refused = pair.client.connect_with(([192, 0, 2, 2], 9).into(), profile(breach)).await;
    assert_eq!(refused.expect_err("too small").kind(), ErrorKind::InvalidInput);
    accepted.write_bytes("x".into()).await.expect("it takes bytes");
    stream.write_bytes(vec![7; 2_000].into()).await.expect("it takes bytes");
    pair.log.until(|sent| sent.iter().map(|sent| sent.payload).sum::<usize>() >= 2_000).await;
    assert!(pair.log.sent().iter().all(|sent| sent.payload <= 500));
}

#[tokio::test]
async fn so_keepalive_asks_a_silent_peer_and_gives_it_up() {
    let pair = Pair::new();
    let (mut stream, _accepted) = pair.connected().await;
    assert_eq!(stream.keepalive().expect("open"), None);
    let second = Duration::from_secs(1);
    let probes = KeepAlive { idle: second, interval: second, probes: 2 };
    stream.set_keepalive(Some(probes)).expect("in range");
    assert_eq!(stream.keepalive().expect("open"), Some(probes));
    pair.turn().await;
    pair.log.cut();
    let before = pair.log.sent().iter().filter(|sent| !sent.udp).count();
    let error = timeout(PATIENCE, stream.read_bytes()).await.expect("in time").expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(stream.take_error().expect("asked").map(|error| error.kind()), Some(ErrorKind::TimedOut));
    assert!(stream.take_error().expect("asked").is_none());
    let after: Vec<_> = pair.log.sent().into_iter().filter(|sent| !sent.udp).skip(before).collect();
    // As many as TCP_KEEPCNT says, and a reset perhaps.
    assert_eq!(after.iter().filter(|sent| !sent.reset).count(), 2);
}

#[tokio::test]
async fn tcp_user_timeout_gives_up_what_nobody_acknowledges() {
    let pair = Pair::new();
    let (mut stream, _accepted) = pair.connected().await;
    let short = Some(Duration::from_millis(50));
    stream.set_user_timeout(short).expect("in range");
    assert_eq!(stream.user_timeout().expect("open"), short);
    pair.log.cut();
    stream.try_write(b"anybody?").expect("room");
    let error = timeout(PATIENCE, stream.read_bytes()).await.expect("in time").expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn tcp_congestion_chooses_the_law() {
    let pair = Pair::new();
    let (mut stream, mut accepted) = pair.connected().await;
    assert_eq!(stream.congestion().expect("open"), CongestionAlgorithm::Cubic);
    stream.set_congestion(CongestionAlgorithm::Bbr).expect("open");
    assert_eq!(stream.congestion().expect("open"), CongestionAlgorithm::Bbr);
    stream.write_bytes(vec![7; 50_000].into()).await.expect("it takes bytes");
    let mut length = 0;
    while length < 50_000 {
        length += accepted.read_bytes().await.expect("bytes").len();
    }
    // Only BBR asks how fast the path delivers.
    assert!(stream.info().expect("open").delivery_rate.is_some());
}

#[tokio::test]
async fn tcp_fastopen_lets_the_second_syn_bring_data() {
    for (pending_max, brought) in [(4, true), (0, false)] {
        let pair = Pair::new();
        let options = ListenOptions { fast_open_pending_max: pending_max, ..ListenOptions::default() };
        let listener = pair.listen(options);
        for _ in 0..2 {
            let opened = pair.client.connect_fast(address(&listener), ConnectOptions::default(), "hi".into());
            let stream = opened.await.expect("a connection");
            let (mut accepted, _) = listener.accept().await.expect("a connection");
            assert_eq!(accepted.read_bytes().await.expect("bytes"), "hi");
            stream.close().await.expect("in order");
        }
        assert_eq!(pair.log.sent().iter().any(|sent| sent.syn && sent.payload == 2), brought);
    }
}

#[tokio::test]
async fn tcp_defer_accept_tells_nothing_before_there_is_data() {
    let pair = Pair::new();
    let config = Config { accept_defer_retries: 3, ..Config::linux() };
    let listener = pair.listen(ListenOptions { config, ..ListenOptions::default() });
    let stream = pair.client.connect(address(&listener)).await.expect("a connection");
    pair.turn().await;
    let mut accepting = pin!(listener.accept());
    let early = poll_fn(|cx| Poll::Ready(accepting.as_mut().poll(cx).is_ready())).await;
    assert!(!early);
    stream.try_write(b"hello").expect("room");
    let (mut accepted, _) = timeout(PATIENCE, accepting).await.expect("in time").expect("a connection");
    assert_eq!(accepted.read_bytes().await.expect("bytes"), "hello");
}

#[tokio::test]
async fn tcp_notsent_lowat_bounds_what_has_not_left() {
    let pair = Pair::new();
    let (stream, _accepted) = pair.connected().await;
    stream.set_unsent_low_water(2_000).expect("in range");
    assert_eq!(stream.unsent_low_water().expect("open"), 2_000);
    pair.log.cut();
    loop {
        pair.turn().await;
        match stream.try_write(&[7; 500]) {
            Ok(_) => {}
            Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    let info = stream.info().expect("open");
    assert!((1..=2_500).contains(&info.unsent_bytes), "{info:?}");
    assert!(info.unacknowledged_bytes > 2_500);
}

#[tokio::test]
async fn tcp_linger2_bounds_the_wait_for_the_peers_end() {
    let pair = Pair::new();
    let (stream, mut accepted) = pair.connected().await;
    stream.set_fin_wait_timeout(Duration::from_millis(20)).expect("in range");
    assert_eq!(stream.fin_wait_timeout().expect("open"), Duration::from_millis(20));
    drop(stream);
    assert!(accepted.read_bytes().await.expect("the end").is_empty());
    // The peer has not closed, and the stack forgets the connection all the same.
    let forgotten = async {
        while pair.client.memory().connections > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, forgotten).await.expect("in time");
}

#[tokio::test]
async fn tcp_syncnt_bounds_the_repetitions_of_a_syn() {
    let pair = Pair::new();
    let listener = pair.listen(ListenOptions::default());
    drop(pair.client.connect(address(&listener)).await.expect("a connection"));
    pair.log.cut();
    let before = pair.log.sent().iter().filter(|sent| sent.syn).count();
    let config = Config { syn_retries: 2, rto_initial: Duration::from_millis(10), ..Config::linux() };
    let config = Config { rto_min: Duration::from_millis(10), ..config };
    let connecting = pair.client.connect_with(address(&listener), profile(config));
    let error = timeout(PATIENCE, connecting).await.expect("in time").expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(pair.log.sent().iter().filter(|sent| sent.syn).count() - before, 3);
}

#[tokio::test]
async fn tcp_quickack_lets_acknowledgements_leave_at_once() {
    let pair = Pair::new();
    let config = Config { delayed_ack: Duration::from_millis(500), ..Config::linux() };
    let (stream, accepted) = pair.connected_with(profile(config)).await;
    let acknowledged = |pair: &Pair| {
        let sent = pair.log.sent();
        let numbers = sent.iter().filter(|sent| !sent.udp && !sent.syn).map(|sent| sent.acknowledgement);
        numbers.collect::<std::collections::BTreeSet<_>>().len()
    };
    stream.set_quickack(true).expect("open");
    assert!(stream.quickack().expect("open"));
    accepted.try_write(b"x").expect("room");
    stream.readable().await.expect("a byte");
    pair.turn().await;
    assert_eq!(acknowledged(&pair), 2);
    stream.set_quickack(false).expect("open");
    assert!(!stream.quickack().expect("open"));
    accepted.try_write(b"y").expect("room");
    while stream.info().expect("open").readable_bytes < 2 {
        tokio::task::yield_now().await;
    }
    pair.turn().await;
    assert_eq!(acknowledged(&pair), 2);
}

#[tokio::test]
async fn so_linger_of_zero_resets() {
    let pair = Pair::new();
    let (stream, mut accepted) = pair.connected().await;
    stream.set_zero_linger(true).expect("open");
    assert!(stream.zero_linger().expect("open"));
    drop(stream);
    assert_eq!(accepted.read_bytes().await.expect_err("reset").kind(), ErrorKind::ConnectionReset);
    assert!(pair.log.sent().iter().any(|sent| sent.reset));
}

#[tokio::test]
async fn so_rcvbuf_bounds_the_window_and_so_sndbuf_what_is_written() {
    let pair = Pair::new();
    let config = Config { receive_buffer_bytes: 4_096, receive_start_bytes: 4_096, ..Config::linux() };
    let (stream, accepted) = pair.connected_with(profile(config)).await;
    assert!(pair.log.sent().iter().filter(|sent| sent.syn).all(|sent| sent.window <= 4_096));
    assert!(accepted.info().expect("open").window_peer_bytes <= 4_096);
    stream.set_recv_buffer_size(65_536).expect("in range");
    assert_eq!(stream.recv_buffer_size().expect("open"), 65_536);

    stream.set_send_buffer_size(5_000).expect("in range");
    assert_eq!(stream.send_buffer_size().expect("open"), 5_000);
    pair.log.cut();
    let written: usize = std::iter::from_fn(|| stream.try_write(&[7; 700]).ok()).sum();
    assert_eq!(written, 5_000);
}

#[tokio::test]
async fn so_reuseaddr_holds_always_and_so_reuseport_where_all_ask_for_it() {
    let pair = Pair::new();
    let listener = pair.listen(ListenOptions::default());
    let at = address(&listener);
    let stream = pair.client.connect(at).await.expect("a connection");
    let (accepted, _) = listener.accept().await.expect("a connection");
    drop((listener, accepted));
    // The server's side is in FIN-WAIT or TIME-WAIT, and the port is free for a listener.
    let alone = pair.server.listen(at).expect("free");
    let shared = ListenOptions { reuse_port: true, ..ListenOptions::default() };
    assert_eq!(pair.server.listen_with(at, shared.clone()).expect_err("alone").kind(), ErrorKind::AddrInUse);
    drop((alone, stream));

    let both = [(); 2].map(|()| pair.server.listen_with(at, shared.clone()).expect("shared"));
    let mut streams = Vec::new();
    let mut counts = [0; 2];
    for _ in 0..32 {
        streams.push(pair.client.connect(at).await.expect("a connection"));
        let [left, right] = &both;
        let number = tokio::select! { taken = left.accept() => { streams.push(taken.expect("one").0); 0 }
        taken = right.accept() => { streams.push(taken.expect("one").0); 1 } };
        counts[number] += 1;
    }
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

#[tokio::test]
async fn ip_tos_and_ip_mtu_discover_stand_in_the_header() {
    let pair = Pair::new();
    let (stream, _accepted) = pair.connected().await;
    assert!(pair.log.sent().iter().filter(|sent| !sent.udp).all(|sent| !sent.may_be_fragmented));
    stream.set_tos(0xb8).expect("in range");
    stream.set_path_discovery(PathDiscovery::Dont).expect("in range");
    assert_eq!(stream.tos().expect("open"), 0xb8);
    assert_eq!(stream.path_discovery().expect("open"), PathDiscovery::Dont);
    stream.try_write(b"voice").expect("room");
    let sent = first_data(&pair).await;
    assert_eq!((sent.traffic_class, sent.may_be_fragmented), (0xb8, true));
}

#[tokio::test]
async fn ip_tos_and_ip_mtu_discover_stand_in_the_header_of_datagrams() {
    let pair = Pair::new();
    let socket = pair.client.bind_udp(([0, 0, 0, 0], 0).into()).expect("a socket");
    let remote = ([192, 0, 2, 2], 9).into();
    let log = pair.log.clone();
    let headers = async |count: usize| -> Vec<(u8, bool)> {
        log.until(|sent| sent.len() >= count).await;
        log.sent().iter().map(|sent| (sent.traffic_class, sent.may_be_fragmented)).collect()
    };
    socket.send_to(b"x", remote).expect("it leaves");
    socket.set_tos(0xba).expect("any will do");
    socket.set_path_discovery(PathDiscovery::Do).expect("any will do");
    socket.send_to(&[0; 1_472], remote).expect("it leaves");
    assert_eq!(headers(2).await, [(0, true), (0xba, false)]);
    let refused = socket.send_to(&[0; 1_473], remote).expect_err("the link takes 1,500 bytes");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    socket.set_path_discovery(PathDiscovery::Dont).expect("any will do");
    socket.send_to(&[0; 1_473], remote).expect("it leaves");
    assert_eq!(headers(4).await[2..], [(0xba, true), (0xba, true)]);
    assert_eq!((socket.tos().unwrap(), socket.path_discovery().unwrap()), (0xba, PathDiscovery::Dont));
}

#[tokio::test]
async fn ipv6_v6only_leaves_ipv4_alone() {
    let pair = Pair::new();
    for (only_v6, port) in [(true, 80), (false, 81)] {
        let options = ListenOptions { only_v6, ..ListenOptions::default() };
        let listener = pair.server.listen_with(([0_u16; 8], port).into(), options).expect("free");
        let six = (std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2), port).into();
        pair.client.connect(six).await.expect("a connection");
        let four = pair.client.connect(([192, 0, 2, 2], port).into()).await;
        assert_eq!(four.err().map(|error| error.kind()), only_v6.then_some(ErrorKind::ConnectionRefused));
        drop(listener);
    }
}

#[tokio::test]
async fn tcp_info_counts_what_was_sent() {
    let pair = Pair::new();
    let (mut stream, mut accepted) = pair.connected().await;
    stream.write_bytes(vec![7; 10_000].into()).await.expect("it takes bytes");
    let mut length = 0;
    while length < 10_000 {
        length += accepted.read_bytes().await.expect("bytes").len();
    }
    stream.close().await.expect("all has arrived");
    let info = accepted.info().expect("open");
    assert_eq!((info.bytes_received, info.bytes_acked), (10_000, 0));
    assert_eq!(info.mss_bytes, 1_448);
}

#[tokio::test]
async fn a_write_after_the_end_is_an_error() {
    let pair = Pair::new();
    let (stream, _accepted) = pair.connected().await;
    pair.log.cut();
    while stream.try_write(&[7; 65_536]).is_ok() {}
    let (_from, mut to) = stream.into_split();
    tokio::io::AsyncWriteExt::shutdown(&mut to).await.expect("it ends");
    let error = timeout(PATIENCE, to.write_bytes("more".into())).await.expect("in time").expect_err("ended");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}
