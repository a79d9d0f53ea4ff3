//! One connection that lives: what its peer sends, what its owner asks, and how time passes.
//!
//! The first byte's bit 0 says whether the stack opens actively, bit 1 whether over IPv6, bit 2 whether two bytes of a
//! [`profile`] follow, and segments carry what newer peers say. Then instructions follow, each a byte whose lowest three bits say what happens, and what that needs:
//!
//! | bits | what | needs |
//! |---|---|---|
//! | 0 to 2 | a segment from the peer | see [`Peer::segment`] |
//! | 3 | time passes | u8: 2^n microseconds |
//! | 4 | the owner writes | u16: so many bytes |
//! | 5 | the owner reads | u16: at most so many bytes |
//! | 6 | the owner's limit | u16: 16 times so many bytes |
//! | 7 | the owner ends: shut down, close for reading, or abort | the upper bits, 1 in 8 each |
//! | 7 | the owner changes the profile, or asks for quick acknowledgements | the upper bits 12 to 15, u8 and u8; or 16 to 19 |
//! | 7 | a router says what passes | the upper bits 20 to 23, u16: bytes; IPv4 alone |

use crate::input::Input;
use crate::peer::{INTERFACE, OWN_PORT, PEER_PORT, Peer};
use crate::profile::profile;
use crate::subject::Subject;
use packet::{Bytes, Medium};
use stack::{Binding, Event, Listen, ListenerId, TcpId};
use std::net::SocketAddr;
use std::sync::Arc;
use time::Duration;

/// Gives one live connection what its peer and its owner may do.
///
/// # Panics
///
/// Where the stack panics, sends a malformed frame, or keeps something at the end.
pub fn tcp_live(data: &[u8]) {
    let mut input = Input::new(data);
    let first = input.u8();
    let v6 = first & 2 != 0;
    let mut subject = Subject::new();
    let mut peer = Peer::new(v6);
    peer.speaks_more = first & 4 != 0;
    let config: Arc<tcp::Config> = Arc::new(if peer.speaks_more {
        profile(&tcp::Config::default(), input.u8(), input.u8())
    } else {
        tcp::Config::default()
    });
    let (listener, mut connection) = open(&mut subject, &peer, first & 1 != 0, config);
    let mut others = Vec::new();
    while !input.is_empty() {
        let instruction = input.u8();
        match instruction & 7 {
            0..=2 => {
                let packet = peer.segment(instruction, &mut input);
                subject.receive(usize::from(INTERFACE), packet);
            }
            3 => {
                let span = Duration::from_micros(1 << (input.u8() % 36));
                for (_, frame) in subject.pass(span) {
                    peer.note(&frame);
                }
            }
            7 if (20..24).contains(&(instruction >> 3)) => {
                if let Some(packet) = peer.too_big(input.u16()) {
                    subject.receive(usize::from(INTERFACE), packet);
                }
            }
            _ => ask(&mut subject, connection, instruction, &mut input),
        }
        let (sent, events) = subject.drain();
        for (medium, frame) in sent {
            assert_eq!(medium, Medium::Ip, "the connection left by another interface");
            peer.note(&frame);
        }
        subject.assert_bounded();
        if let Some(connection) = connection {
            check_figures(&subject, connection);
        }
        for event in events {
            if let Event::TcpAccepted { connection: accepted, .. } = event {
                others.extend(connection.replace(accepted));
            }
        }
    }
    for connection in others.into_iter().chain(connection) {
        subject.stack.tcp_release(connection, subject.now);
    }
    if let Some(listener) = listener {
        subject.stack.tcp_unlisten(listener);
    }
    subject.assert_comes_to_rest();
}

/// Connects, or listens.
fn open(
    subject: &mut Subject,
    peer: &Peer,
    actively: bool,
    config: Arc<tcp::Config>,
) -> (Option<ListenerId>, Option<TcpId>) {
    if actively {
        let remote = SocketAddr::new(peer.address, PEER_PORT);
        let local = SocketAddr::new(peer.other, OWN_PORT);
        let now = subject.now;
        let opened = if peer.speaks_more {
            let mut data = Bytes::from(vec![0x5a; 3_000]);
            subject.stack.tcp_connect_fast(Some(local), remote, &mut data, config, now)
        } else {
            subject.stack.tcp_connect(Some(local), remote, config, now)
        };
        (None, Some(opened.expect("a route and a port")))
    } else {
        let listen = Listen { binding: Binding::Port(OWN_PORT), defer: false, backlog: 4, config };
        let listening = subject.stack.tcp_listen(listen).expect("free");
        if peer.speaks_more {
            subject.stack.tcp_set_fast_open(listening, 4);
        }
        (Some(listening), None)
    }
}

/// What the connection tells of itself is possible.
fn check_figures(subject: &Subject, connection: TcpId) {
    let stack = &subject.stack;
    let Some((info, config)) = stack.tcp_info(connection, subject.now).zip(stack.tcp_config(connection))
    else {
        return;
    };
    if info.state == tcp::State::Closed {
        return;
    }
    // A profile that asks for less takes nothing away.
    let most = tcp::Config::default().send_buffer_bytes.max(config.send_buffer_bytes);
    assert!(info.queued_bytes <= most, "the send buffer holds too much: {info:?}");
    let most = tcp::Config::default().receive_buffer_bytes.max(config.receive_buffer_bytes);
    assert!(info.readable_bytes <= most, "the receive buffer holds too much: {info:?}");
    // The FIN and the SYN are more than was written.
    assert!(info.unacknowledged_bytes <= info.queued_bytes + 2, "in flight without a source: {info:?}");
    let told = info.sacked_bytes.max(info.lost_bytes).max(info.repeated_in_flight_bytes);
    assert!(told <= info.unacknowledged_bytes, "more than all is held, lost or repeated: {info:?}");
    let is_open = info.state == tcp::State::Established;
    assert!(info.congestion_window_bytes > 0 || !is_open, "nothing can ever leave: {info:?}");
}

/// One call of the connection's owner.
fn ask(subject: &mut Subject, connection: Option<TcpId>, instruction: u8, input: &mut Input<'_>) {
    let Some(connection) = connection else { return };
    let (stack, now) = (&mut subject.stack, subject.now);
    match instruction & 7 {
        4 => {
            let mut data = Bytes::from(vec![0x5a; input.u16().into()]);
            let offered = data.len();
            let taken = stack.tcp_write(connection, &mut data, now);
            assert_eq!(taken + data.len(), offered, "what did not fit stays");
        }
        5 => {
            let bytes_max = usize::from(input.u16());
            let readable = stack.tcp_readable(connection);
            let read = stack.tcp_read(connection, bytes_max, now).map_or(0, |data| data.len());
            assert!(read <= bytes_max.min(readable), "read more than there was or was asked for");
        }
        6 => stack.tcp_set_receive_limit(connection, usize::from(input.u16()) * 16, now),
        _ => match instruction >> 3 {
            0..=3 => stack.tcp_shutdown(connection, now),
            4..=7 => stack.tcp_close_receive(connection, now),
            8..=11 => stack.tcp_abort(connection, now),
            12..=15 => {
                let (first, second) = (input.u8(), input.u8());
                let changed =
                    stack.tcp_configure(connection, now, |config| *config = profile(config, first, second));
                assert_eq!(changed, Ok(()), "every profile is in its range");
            }
            16..=19 => stack.tcp_set_quick_ack(connection, instruction & 8 != 0),
            _ => {}
        },
    }
}
