//! base and net in a program that has no standard library, no C library, no clock and no random source: two
//! stacks, joined in memory, open a TCP connection, and one reads what the other wrote.
//!
//! The program exits with 0 where that worked, with 1 where bytes did not arrive, and with 2 after a panic. Were there
//! a crate below that brings the standard library, it would not build: its panic handler would be the second one.

#![no_std]
#![no_main]

extern crate alloc;

#[cfg(feature = "sneak")]
use sneak as _;

mod blocks;
mod memory;
mod start;

use alloc::sync::Arc;
use alloc::vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use packet::{Batch, Bytes, Capabilities, Medium};
use stack::{Binding, Config, Event, InterfaceConfig, InterfaceId, Listen, Prefix, Stack};
use time::{Duration, Instant};

/// What is sent.
const MESSAGE: &[u8] = b"nothing below but the processor";
/// Packets that pass at once.
const BATCH_PACKETS: usize = 16;
/// Turns after which it has failed: resolving, handshake and data take fewer than ten.
const TURNS_MAX: u64 = 50;
/// The port that listens.
const PORT: u16 = 7;

/// A stack with its one interface.
struct Host {
    stack: Stack,
    interface: InterfaceId,
    address: IpAddr,
}

impl Host {
    fn new(number: u8, now: Instant) -> Option<Self> {
        let mut stack = Stack::new(Config::default(), [number; 32], now);
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, number));
        let capabilities = Capabilities {
            medium: Medium::Ethernet,
            mtu: 1_500,
            transmit_checksum: false,
            segmentation_bytes_max: 0,
        };
        let prefixes = vec![Prefix::new(address, 24)];
        let config = InterfaceConfig::new(capabilities, [2, 0, 0, 0, 0, number], prefixes);
        let interface = stack.add_interface(config, now).ok()?;
        Some(Self { stack, interface, address })
    }

    /// Hands what waits here to the other.
    fn pass_to(&mut self, other: &mut Self, now: Instant) {
        let mut batch = Batch::with_capacity(BATCH_PACKETS);
        self.stack.poll_transmit(self.interface, &mut batch, now);
        other.stack.handle_batch(other.interface, &mut batch, now);
    }
}

/// The conversation; `None` where it fails.
fn converse() -> Option<()> {
    let mut now = Instant::ZERO;
    let (mut client, mut server) = (Host::new(1, now)?, Host::new(2, now)?);
    let config = Arc::new(tcp::Config::linux());
    let listen = Listen { binding: Binding::Port(PORT), defer: false, backlog: 1, config: config.clone() };
    server.stack.tcp_listen(listen).ok()?;
    let remote = SocketAddr::new(server.address, PORT);
    let connection = client.stack.tcp_connect(None, remote, config, now).ok()?;
    let mut message = Bytes::from_static(MESSAGE);
    let mut accepted = None;
    for _ in 0..TURNS_MAX {
        client.pass_to(&mut server, now);
        server.pass_to(&mut client, now);
        while let Some(event) = client.stack.poll_event() {
            if let Event::Tcp { event: tcp::Event::Established, .. } = event {
                client.stack.tcp_write(connection, &mut message, now);
            }
        }
        while let Some(event) = server.stack.poll_event() {
            if let Event::TcpAccepted { connection, .. } = event {
                accepted = Some(connection);
            }
        }
        let received = accepted.and_then(|accepted| server.stack.tcp_read(accepted, MESSAGE.len(), now));
        if let Some(received) = received {
            return (received == MESSAGE).then_some(());
        }
        now += Duration::from_millis(10);
        client.stack.handle_timeout(now);
        server.stack.handle_timeout(now);
    }
    None
}
