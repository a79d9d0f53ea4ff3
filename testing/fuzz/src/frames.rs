//! Frames of any kind.
//!
//! ```text
//!  control  length      bytes                 control  length ...
//!  +--------+-----------+---------------------+--------+---
//!  | u8     | u16       | `length` bytes      | u8     |
//!  +--------+-----------+---------------------+--------+---
//!  bit 0: the interface · bit 1: repair checksums · bit 2: to the stack's hardware address
//!  bits 3 to 7: time passes first, 2^n microseconds (0: none)
//! ```

use crate::input::Input;
use crate::repair::repair;
use crate::subject::{HARDWARE, Subject};
use stack::{Binding, Event, Listen, Refusal};
use time::Duration;
use wire::ethernet;

/// Bytes of a frame at most.
const FRAME_MAX: usize = 4_000;

/// Gives a stack with listeners and UDP sockets frames of any kind; its owner answers every event.
///
/// # Panics
///
/// Where the stack panics, sends a malformed frame, exceeds a bound, or keeps something at the end.
pub fn frames(data: &[u8]) {
    let mut subject = Subject::new();
    let config: std::sync::Arc<tcp::Config> = std::sync::Arc::default();
    let listen = |binding, defer| Listen { binding, defer, backlog: 8, config: config.clone() };
    let listeners = [listen(Binding::Port(80), false), listen(Binding::Intercept, true)]
        .map(|listen| subject.stack.tcp_listen(listen).expect("free"));
    let sockets =
        [Binding::Port(53), Binding::Intercept].map(|binding| subject.stack.udp_bind(binding).expect("free"));
    let mut held = Vec::new();
    let mut input = Input::new(data);
    while !input.is_empty() {
        let control = input.u8();
        let length = usize::from(input.u16()).min(FRAME_MAX);
        let mut frame = input.take(length).to_vec();
        let interface = usize::from(control & 1);
        let link_header = if interface == 0 { ethernet::HEADER_LENGTH } else { 0 };
        if control & 2 != 0 && frame.len() > link_header {
            repair(&mut frame[link_header..]);
        }
        if control & 4 != 0 && interface == 0 && frame.len() >= link_header {
            frame[..6].copy_from_slice(&HARDWARE);
        }
        if control >> 3 != 0 {
            subject.pass(Duration::from_micros(1 << (control >> 3)));
        }
        subject.receive(interface, frame);
        let (_, events) = subject.drain();
        answer(&mut subject, events, &config, &mut held);
        for socket in sockets {
            while let Some(datagram) = subject.stack.udp_receive(socket) {
                subject.stack.refuse_datagram(&datagram, Refusal::Prohibited, subject.now);
            }
        }
    }
    for connection in held {
        subject.stack.tcp_release(connection, subject.now);
    }
    for listener in listeners {
        subject.stack.tcp_unlisten(listener);
    }
    for socket in sockets {
        subject.stack.udp_close(socket);
    }
    subject.assert_comes_to_rest();
}

/// Admits every other SYN and refuses the rest, echoes what is asked.
fn answer(
    subject: &mut Subject,
    events: Vec<Event>,
    config: &std::sync::Arc<tcp::Config>,
    held: &mut Vec<stack::TcpId>,
) {
    let now = subject.now;
    for event in events {
        match event {
            Event::TcpRequest { request, remote, .. } if remote.port() % 2 == 0 => {
                held.extend(subject.stack.tcp_admit(request, config.clone(), now));
            }
            Event::TcpRequest { request, .. } => subject.stack.tcp_refuse(request, Refusal::Prohibited, now),
            Event::TcpAccepted { connection, .. } => held.push(connection),
            Event::Tcp { connection, event: tcp::Event::Readable } => {
                while subject.stack.tcp_read(connection, usize::MAX, now).is_some() {}
            }
            Event::EchoRequest(echo) => {
                // A full queue is a fair answer.
                let _ = subject.stack.icmp_reply(echo, now);
            }
            _ => {}
        }
    }
}
