//! What is read from first bytes, whole and in pieces.

use super::*;
use proptest::prelude::*;
use rustls::crypto::aws_lc_rs;
use rustls::quic::{Connection as QuicConnection, Suite, Version};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Side};
use std::sync::Arc;
use time::Instant;

fn domain(text: &str) -> DomainName {
    text.parse().expect(text)
}

fn client_config(post_quantum: bool, sni: bool) -> Arc<ClientConfig> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = if post_quantum {
        vec![aws_lc_rs::kx_group::X25519MLKEM768]
    } else {
        vec![aws_lc_rs::kx_group::X25519]
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.enable_sni = sni;
    Arc::new(config)
}

/// The first bytes that rustls' client sends, as records.
fn hello(name: &str, post_quantum: bool, sni: bool) -> Vec<u8> {
    let server = name.to_owned().try_into().expect("a server name");
    let mut client = ClientConnection::new(client_config(post_quantum, sni), server).expect("a client");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("a hello");
    bytes
}

/// The handshake bytes of a QUIC client's hello.
fn quic_hello(name: &str, post_quantum: bool) -> Vec<u8> {
    let server = name.to_owned().try_into().expect("a server name");
    let config = client_config(post_quantum, true);
    let client =
        rustls::quic::ClientConnection::new(config, Version::V1, server, vec![1, 2, 3]).expect("a client");
    let mut bytes = Vec::new();
    let mut client = QuicConnection::Client(client);
    assert!(client.write_hs(&mut bytes).is_none());
    bytes
}

fn named(name: &str) -> TlsOutcome {
    TlsOutcome::Tls(Hello { server_name: Some(domain(name)) })
}

/// Handshake bytes as records of this length.
fn records(handshake: &[u8], fragment_bytes: usize) -> Vec<u8> {
    let record =
        |fragment: &[u8]| [&[22, 3, 1], &(fragment.len() as u16).to_be_bytes()[..], fragment].concat();
    handshake.chunks(fragment_bytes).flat_map(record).collect()
}

/// A hello with these extensions.
fn built(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend_from_slice(&[7; 32]);
    body.push(0);
    body.extend_from_slice(&[0, 2, 0x13, 1, 1, 0]);
    let list: Vec<u8> = extensions
        .iter()
        .flat_map(|(kind, data)| [&kind.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat())
        .collect();
    body.extend_from_slice(&(list.len() as u16).to_be_bytes());
    body.extend_from_slice(&list);
    [&[1], &(body.len() as u32).to_be_bytes()[1..], &body].concat()
}

/// A server name extension's data with these names.
fn server_names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let list: Vec<u8> = names
        .iter()
        .flat_map(|(kind, name)| [&[*kind], &(name.len() as u16).to_be_bytes()[..], name].concat())
        .collect();
    [&(list.len() as u16).to_be_bytes()[..], &list].concat()
}

fn outcome(bytes: &[u8]) -> TlsOutcome {
    TlsInspector::default().push(bytes)
}

#[test]
fn a_clients_hello_tells_its_server_name() {
    assert_eq!(outcome(&hello("example.com", false, true)), named("example.com"));
    assert_eq!(outcome(&hello("example.com", true, true)), named("example.com"));
    assert_eq!(outcome(&hello("example.com", false, false)), TlsOutcome::Tls(Hello { server_name: None }));
    assert_eq!(outcome(&hello("192.0.2.1", false, true)), TlsOutcome::Tls(Hello { server_name: None }));
}

#[test]
fn what_is_not_tls_is_let_go_at_its_first_byte() {
    for first in [b'G', b'S', 0, 0x15, 0x17, 0x7f] {
        assert_eq!(outcome(&[first]), TlsOutcome::NotTls, "{first:#x}");
    }
    assert_eq!(outcome(&[22]), TlsOutcome::NeedMore);
    assert_eq!(outcome(&[22, 2]), TlsOutcome::NotTls);
    assert_eq!(outcome(&[0x80, 0x2e, 2]), TlsOutcome::NotTls);
    assert_eq!(outcome(&[0xff, 0xff, 0xff]), TlsOutcome::NotTls);
}

#[test]
fn an_ssl_2_hello_is_tls_without_a_name() {
    assert_eq!(outcome(&[0x80, 0x2e, 1, 3]), TlsOutcome::NeedMore);
    assert_eq!(outcome(&[0x80, 0x2e, 1, 3, 1]), TlsOutcome::Tls(Hello { server_name: None }));
    assert_eq!(outcome(&[0x80, 0x2e, 1, 0, 2]), TlsOutcome::Tls(Hello { server_name: None }));
}

#[test]
fn server_names_that_say_two_things_or_nothing_are_malformed() {
    let with = |data: Vec<u8>| outcome(&records(&built(&[(0, data)]), 16_384));
    assert_eq!(with(server_names(&[(0, b"Example.COM")])), named("example.com"));
    assert_eq!(with(server_names(&[(9, b"\xff\xff"), (0, b"example.com")])), named("example.com"));
    let wrong = [
        server_names(&[(0, b"a.example"), (0, b"b.example")]),
        server_names(&[(0, b"")]),
        server_names(&[(0, b"192.0.2.1")]),
        server_names(&[(0, b"a.example\0.b.example")]),
        server_names(&[(0, "b\u{fc}cher.example".as_bytes())]),
        server_names(&[]),
        vec![],
        [server_names(&[(0, b"a.example")]), vec![0]].concat(),
        vec![0, 5, 0, 0, 9, b'a', b'b'],
    ];
    for data in wrong {
        assert!(matches!(with(data.clone()), TlsOutcome::Malformed(_)), "{data:?}");
    }
    let one = server_names(&[(0, b"a.example")]);
    let twice = built(&[(0, one.clone()), (0, one)]);
    assert_eq!(outcome(&records(&twice, 100)), TlsOutcome::Malformed("two server name extensions"));
    // GREASE (RFC 8701) and unknown extensions are passed over.
    let grease = built(&[(0x0a0a, vec![]), (0, server_names(&[(0, b"a.example")])), (0xfafa, vec![0])]);
    assert_eq!(outcome(&records(&grease, 100)), named("a.example"));
}

#[test]
fn records_that_no_hello_has_are_malformed() {
    let handshake = built(&[]);
    let mut other_kind = records(&handshake, 20);
    other_kind[25] = 23;
    for bytes in [
        vec![22, 3, 1, 0, 0],
        vec![22, 3, 1, 0x40, 1],
        vec![22, 3, 1, 0, 1, 2],
        vec![22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff],
        other_kind,
    ] {
        assert!(matches!(outcome(&bytes), TlsOutcome::Malformed(_)), "{bytes:?}");
    }
    let mut short = handshake.clone();
    short[3] -= 1;
    assert!(matches!(outcome(&records(&short, 100)), TlsOutcome::Malformed(_)));
    let long = built(&[(21, vec![0; 20_000])]);
    assert_eq!(
        outcome(&records(&long, 1)),
        TlsOutcome::Malformed("the ClientHello is spread over too many records")
    );
    let longest = built(&[(21, vec![0; 30_000]), (0, server_names(&[(0, b"a.example")]))]);
    assert_eq!(outcome(&records(&longest, 16_384)), named("a.example"));
}

#[test]
fn only_the_name_that_was_opened_passes() {
    let says = |name: Option<&str>| Hello { server_name: name.map(domain) };
    let opened = domain("example.com");
    assert_eq!(judge(&says(Some("example.com")), &opened, false), Ok(()));
    assert_eq!(
        judge(&says(Some("www.example.com")), &opened, true),
        Err(Refusal::OtherName(domain("www.example.com")))
    );
    assert_eq!(judge(&says(None), &opened, false), Err(Refusal::NoName));
    assert_eq!(judge(&says(None), &opened, true), Ok(()));
}

proptest! {
    #[test]
    fn a_hello_is_read_however_it_is_cut(
        fragment_bytes in 1usize..600,
        cuts in proptest::collection::vec(1usize..400, 1..8),
    ) {
        let handshake = built(&[(21, vec![0; 300]), (0, server_names(&[(0, b"a.example")]))]);
        let stream = records(&handshake, fragment_bytes);
        let (mut inspector, mut at) = (TlsInspector::default(), 0);
        for cut in cuts.iter().cycle() {
            let end = stream.len().min(at + cut);
            let outcome = inspector.push(&stream[at..end]);
            if end == stream.len() {
                prop_assert_eq!(outcome, named("a.example"));
                break;
            }
            prop_assert_eq!(outcome, TlsOutcome::NeedMore);
            at = end;
        }
    }

    #[test]
    fn a_damaged_hello_never_reads_as_another_name(position in 0usize..230, value in any::<u8>()) {
        let mut bytes = hello("example.com", false, true);
        let position = position.min(bytes.len() - 1);
        bytes[position] = value;
        // The name's own letters may change; nothing panics, whatever changes.
        let _ = outcome(&bytes);
    }
}

/// Protects an Initial packet as a client does (RFC 9001 §5): its header ends in a packet number of `number_bytes`.
fn protect(
    version: Version,
    key_source: &[u8],
    header: &[u8],
    number_bytes: usize,
    frames: &[u8],
) -> Vec<u8> {
    let suite: Suite = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256
        .tls13()
        .and_then(|suite| suite.quic_suite())
        .expect("a suite of QUIC");
    let keys = suite.keys(key_source, Side::Client, version).local;
    let number_offset = header.len() - number_bytes;
    let number = header[number_offset..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let mut payload = frames.to_vec();
    let tag = keys.packet.encrypt_in_place(number, header, &mut payload).expect("protected");
    let mut packet = [header, payload.as_slice(), tag.as_ref()].concat();
    let sample: Vec<u8> = packet[number_offset + 4..number_offset + 20].to_vec();
    let (first, rest) = packet.split_at_mut(1);
    let number = &mut rest[number_offset - 1..header.len() - 1];
    keys.header.encrypt_in_place(&sample, &mut first[0], number).expect("protected");
    packet
}

fn initial(version: Version, destination: &[u8], key_source: &[u8], number: u8, frames: &[u8]) -> Vec<u8> {
    let (kind, number_of_version) = match version {
        Version::V2 => (0xd0, 0x6b33_43cfu32),
        _ => (0xc0, 1),
    };
    let mut header = vec![kind | 1];
    header.extend_from_slice(&number_of_version.to_be_bytes());
    header.push(destination.len() as u8);
    header.extend_from_slice(destination);
    header.extend_from_slice(&[0, 0]); // source, token
    let length = (2 + frames.len() + 16) as u16;
    header.extend_from_slice(&(length | 0x4000).to_be_bytes());
    header.extend_from_slice(&[0, number]);
    protect(version, key_source, &header, 2, frames)
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hexadecimal digit") as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// The client's Initial of RFC 9001 §A.2: its first 32 and last 16 bytes stand there as they come out here, and the
/// latter authenticate all between them.
#[test]
fn the_sample_packet_of_rfc_9001_tells_its_server_name() {
    let frames = hex(concat!(
        "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868",
        "04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578",
        "616d706c652e636f6dff01000100000a00080006001d00170018001000070005",
        "04616c706e000500050100000000003300260024001d00209370b2c9caa47fba",
        "baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400",
        "0d0010000e0403050306030203080408050806002d00020101001c0002400100",
        "3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000",
        "75300901100f088394c8f03e51570806048000ffff",
    ));
    let header = hex("c300000001088394c8f03e5157080000449e00000002");
    let packet = protect(Version::V1, &hex("8394c8f03e515708"), &header, 4, &padded(frames));
    assert_eq!(packet.len(), 1_200);
    assert_eq!(packet[..32], hex("c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11"));
    assert_eq!(packet[1_184..], hex("e221af44860018ab0856972e194cd934"));
    assert_eq!(QuicInspector::default().hear(&packet), quic_named("example.com"));
}

fn crypto(offset: usize, data: &[u8]) -> Vec<u8> {
    let varint = |value: usize| (value as u32 | 0x8000_0000).to_be_bytes();
    [&[6], &varint(offset)[..], &varint(data.len())[..], data].concat()
}

/// Frames padded to what opens a connection.
fn padded(mut frames: Vec<u8>) -> Vec<u8> {
    frames.resize(frames.len().max(1_162), 0);
    frames
}

const DESTINATION: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8];

fn quic_named(name: &str) -> QuicOutcome {
    QuicOutcome::Tls(Hello { server_name: Some(domain(name)) })
}

#[test]
fn a_quic_hello_tells_its_server_name_in_both_versions() {
    let hello = quic_hello("example.com", false);
    for version in [Version::V1, Version::V2] {
        let mut inspector = QuicInspector::default();
        let datagram = initial(version, DESTINATION, DESTINATION, 0, &padded(crypto(0, &hello)));
        assert_eq!(inspector.hear(&datagram), quic_named("example.com"));
        assert_eq!(inspector.hear(&datagram), QuicOutcome::Known, "a retransmission");
        // After the server's answer: another destination, the same keys; an ACK and a short header behind it.
        let mut later = initial(version, b"server", DESTINATION, 1, &[2, 0, 0, 0, 0, 1]);
        later.extend_from_slice(&[0x40; 30]);
        assert_eq!(inspector.hear(&later), QuicOutcome::Known);
    }
}

#[test]
fn a_hello_over_two_datagrams_in_any_order_is_put_together() {
    let hello = quic_hello("example.com", true);
    assert!(hello.len() > 1_200, "a post-quantum hello does not fit one datagram");
    let (front, back) = hello.split_at(700);
    let first = [crypto(300, &front[300..]), vec![1], crypto(0, &front[..300])].concat();
    let datagrams = [
        initial(Version::V1, DESTINATION, DESTINATION, 0, &padded(first)),
        initial(Version::V1, DESTINATION, DESTINATION, 1, &padded(crypto(700, back))),
    ];
    for order in [[0, 1], [1, 0]] {
        let mut inspector = QuicInspector::default();
        assert_eq!(inspector.hear(&datagrams[order[0]]), QuicOutcome::NeedMore);
        assert_eq!(inspector.hear(&datagrams[order[1]]), quic_named("example.com"));
    }
}

#[test]
fn coalesced_packets_are_all_read() {
    let hello = quic_hello("example.com", false);
    let (front, back) = hello.split_at(100);
    let datagram = [
        initial(Version::V1, DESTINATION, DESTINATION, 0, &crypto(0, front)),
        vec![0xd0, 0, 0, 0, 1, 1, 9, 0, 3, 7, 7, 7], // 0-RTT of three bytes
        initial(Version::V1, DESTINATION, DESTINATION, 1, &padded(crypto(100, back))),
    ]
    .concat();
    assert_eq!(QuicInspector::default().hear(&datagram), quic_named("example.com"));
}

#[test]
fn a_second_connection_of_a_flow_is_read_too() {
    let mut inspector = QuicInspector::default();
    let open = |name: &str, destination: &[u8]| {
        initial(Version::V1, destination, destination, 0, &padded(crypto(0, &quic_hello(name, false))))
    };
    assert_eq!(inspector.hear(&[0; 20]), QuicOutcome::NotQuic);
    assert_eq!(inspector.hear(&open("example.com", DESTINATION)), quic_named("example.com"));
    assert_eq!(inspector.hear(&open("other.example", b"destination")), quic_named("other.example"));
    let both = [open("a.example", b"first of two"), open("b.example", b"second of two")].concat();
    assert!(matches!(QuicInspector::default().hear(&both), QuicOutcome::Malformed(_)));
    for number in 0..2 * CONNECTIONS_MAX as u8 {
        inspector.hear(&open("example.com", &[number; 9]));
        assert!(inspector.connections_len() <= CONNECTIONS_MAX);
    }
    let answered = initial(Version::V1, b"server", DESTINATION, 1, &padded(crypto(0, b"x")));
    let outcome = inspector.hear(&answered);
    assert!(matches!(outcome, QuicOutcome::Unprocessable(_)), "the server may still know the first");
}

#[test]
fn a_hello_that_is_not_whole_is_never_forgotten() {
    let hello = quic_hello("other.example", false);
    let begin = |destination: &[u8]| {
        initial(Version::V1, destination, destination, 0, &padded(crypto(0, &hello[..100])))
    };
    let whole = |destination: &[u8]| {
        let hello = quic_hello("example.com", false);
        initial(Version::V1, destination, destination, 0, &padded(crypto(0, &hello)))
    };
    let mut inspector = QuicInspector::default();
    assert_eq!(inspector.hear(&begin(DESTINATION)), QuicOutcome::NeedMore);
    for number in 0..2 * CONNECTIONS_MAX as u8 {
        assert_eq!(inspector.hear(&whole(&[number; 9])), quic_named("example.com"));
        assert!(inspector.is_waiting() && inspector.connections_len() <= CONNECTIONS_MAX);
    }
    let rest = initial(Version::V1, b"server", DESTINATION, 1, &padded(crypto(100, &hello[100..])));
    assert_eq!(inspector.hear(&rest), quic_named("other.example"));
    assert!(!inspector.is_waiting());

    let mut inspector = QuicInspector::default();
    for number in 0..CONNECTIONS_MAX as u8 {
        assert_eq!(inspector.hear(&begin(&[number; 9])), QuicOutcome::NeedMore);
    }
    assert!(
        matches!(inspector.hear(&whole(DESTINATION)), QuicOutcome::Malformed(_)),
        "nothing may be forgotten"
    );
}

/// What a server has put together of a connection outlives what is remembered of it here.
#[test]
fn no_connection_is_opened_a_second_time_by_whatever_flow() {
    let mut opened = OpenedConnections::default();
    let now = Instant::from_secs(1);
    let hello = quic_hello("example.com", false);
    let whole =
        |destination: &[u8]| initial(Version::V1, destination, destination, 0, &padded(crypto(0, &hello)));
    let mut inspector = QuicInspector::default();
    assert_eq!(inspector.push(&whole(DESTINATION), &mut opened, now), quic_named("example.com"));
    assert_eq!(inspector.push(&whole(DESTINATION), &mut opened, now), QuicOutcome::Known);
    for number in 0..CONNECTIONS_MAX as u8 {
        let outcome = inspector.push(&whole(&[number; 9]), &mut opened, now);
        assert_eq!(outcome, quic_named("example.com"));
    }
    for flow in [&mut inspector, &mut QuicInspector::default()] {
        let again = flow.push(&whole(DESTINATION), &mut opened, now);
        assert!(matches!(again, QuicOutcome::Unprocessable(_)), "{again:?}");
    }
    let later = now + REMEMBERED;
    let again = QuicInspector::default().push(&whole(DESTINATION), &mut opened, later);
    assert_eq!(again, quic_named("example.com"));
}

#[test]
fn a_hello_that_contradicts_itself_is_malformed() {
    let mut inspector = QuicInspector::default();
    let send = |name: &str, number| {
        initial(Version::V1, DESTINATION, DESTINATION, number, &padded(crypto(0, &quic_hello(name, false))))
    };
    assert_eq!(inspector.hear(&send("example.com", 0)), quic_named("example.com"));
    assert!(matches!(inspector.hear(&send("other.example", 1)), QuicOutcome::Malformed(_)));
}

#[test]
fn what_is_not_quic_passes_and_what_only_looks_like_it_does_not() {
    let push = |bytes: &[u8]| QuicInspector::default().hear(bytes);
    assert_eq!(push(&[]), QuicOutcome::NotQuic);
    assert_eq!(push(&[0x40; 1_200]), QuicOutcome::NotQuic, "a short header opens nothing");
    assert_eq!(push(b"\x16\xfe\xfd"), QuicOutcome::NotQuic, "DTLS");
    assert_eq!(push(&[0x80, 0x60, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), QuicOutcome::NotQuic, "RTP");
    assert_eq!(push(&[0xc0, 0, 0, 0, 0, 0, 0]), QuicOutcome::NotQuic, "a version negotiation opens nothing");
    let mut unknown = vec![0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8];
    assert_eq!(push(&unknown), QuicOutcome::NotQuic, "too short to open a connection");
    unknown.resize(1_200, 0);
    assert_eq!(push(&unknown), QuicOutcome::UnknownVersion(0x1a2a_3a4a));
    for (id_bytes, what) in [(7, "a destination too short to open a connection"), (21, "one too long")] {
        unknown[5] = id_bytes;
        assert_eq!(push(&unknown), QuicOutcome::NotQuic, "{what}");
    }
    assert!(matches!(push(&[0xc0, 0, 0, 0, 1, 8]), QuicOutcome::Unprocessable(_)));
    assert!(
        matches!(push(&[0xf0, 0, 0, 0, 1, 0, 0, 0]), QuicOutcome::Unprocessable(_)),
        "a client sends no Retry"
    );
    let mut damaged = initial(Version::V1, DESTINATION, DESTINATION, 0, &padded(crypto(0, b"x")));
    damaged[600] ^= 1;
    assert!(matches!(push(&damaged), QuicOutcome::Unprocessable(_)));
    let hello =
        initial(Version::V1, DESTINATION, DESTINATION, 0, &crypto(0, &quic_hello("a.example", false)));
    let behind = [hello, damaged].concat();
    assert!(matches!(push(&behind), QuicOutcome::Malformed(_)), "a hello is not told by what is dropped");
    let mut cleared = initial(Version::V1, DESTINATION, DESTINATION, 0, &padded(vec![8, 0]));
    assert!(matches!(push(&cleared), QuicOutcome::Malformed(_)), "a STREAM frame");
    cleared[0] &= !0x40;
    assert_ne!(push(&cleared), QuicOutcome::NotQuic, "the fixed bit may be clear");
}

proptest! {
    #[test]
    fn no_bytes_make_the_inspectors_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = outcome(&bytes);
        let _ = outcome(&[&[22, 3, 1, 0, 190, 1, 0, 0, 180], bytes.as_slice()].concat());
        let _ = QuicInspector::default().hear(&bytes);
        let _ = QuicInspector::default().hear(&[&[0xc0, 0, 0, 0, 1], bytes.as_slice()].concat());
        let inner = initial(Version::V1, DESTINATION, DESTINATION, 0, &padded(bytes));
        let _ = QuicInspector::default().hear(&inner);
    }
}
