//! Several stacks on the queues of one interface, each for a thread of its own: they share addresses, and nothing else.
//!
//! The device keeps the packets of a connection on one queue, so a connection lives in one stack for all its life. What
//! concerns every stack arrives on one queue all the same, and is handed on: what a neighbour tells of itself, what a
//! router advertises, ICMP errors about somebody's packet.
//!
//! Fragments are not handed on, for nobody can tell whose they are: TCP's packets are not fragmented on the way (RFC 1191
//! §3), and a datagram that was arrives where its first fragment's addresses lead.

use super::Sockets;
use super::core::Shared;
use super::start::Setup;
use packet::{Batch, Device, Medium, Packet};
use stack::{PortShare, Prefix};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};
use wire::Protocol;
use wire::ethernet::{self, EtherType};

/// Frames handed on at once; more of them in one turn are lost, as on a wire.
const HANDED_MAX: usize = 64;

/// One stack of a group, before it is started on its thread.
///
/// Made by [`Sockets::group`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (left, right) = link::FrameSocket::pair(1_500)?;
/// # let queues = vec![left, right];
/// use runtime::{Member, Sockets};
///
/// let members = Sockets::group(queues, &["192.0.2.2/24".parse()?], &[])?;
/// // On one thread, where one serves for all.
/// let stacks: Vec<Sockets> = members.into_iter().map(Member::start).collect();
/// for stack in &stacks {
///     assert_eq!(stack.listen(([0, 0, 0, 0], 80).into())?.local_addr()?.port(), 80);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Member<D> {
    sockets: Sockets,
    device: D,
    siblings: Siblings,
}

impl Sockets {
    /// A stack for each of `devices`, which are the queues of one interface: with the same addresses, and each with its
    /// part of the ports for connections that it opens. A listener is opened in every one, and each gets the connections
    /// that come on its queue.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (left, right) = link::FrameSocket::pair(1_500)?;
    /// # let queues = vec![left, right];
    /// let members = Sockets::group(queues, &["192.0.2.2/24".parse()?], &[])?;
    /// let threads = members.into_iter().map(|member| {
    ///     std::thread::spawn(move || {
    ///         let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    ///         runtime.block_on(async {
    ///             let listener = member.start().listen(([0, 0, 0, 0], 80).into())?;
    ///             // Here it would accept and serve.
    ///             listener.local_addr()
    ///         })
    ///     })
    /// });
    /// for thread in threads {
    ///     assert_eq!(thread.join().expect("it does not panic")?.port(), 80);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn group<D>(devices: Vec<D>, addresses: &[Prefix], gateways: &[IpAddr]) -> io::Result<Vec<Member<D>>>
    where
        D: Device + AsFd + Send + 'static,
    {
        let setup = Setup::new(addresses, gateways)?;
        let count = u16::try_from(devices.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let opened: Vec<(Sockets, D)> = (0..)
            .zip(devices)
            .map(|(index, device)| Ok((setup.sockets(&device, PortShare { index, count })?, device)))
            .collect::<io::Result<_>>()?;
        let all: Vec<Weak<Shared>> =
            opened.iter().map(|(sockets, _)| Arc::downgrade(&sockets.shared)).collect();
        let member = |(sockets, device): (Sockets, D)| {
            let own = Arc::downgrade(&sockets.shared);
            let others = all.iter().filter(|other| !other.ptr_eq(&own)).cloned().collect();
            let siblings = Siblings { medium: device.capabilities().medium, others };
            Member { sockets, device, siblings }
        };
        Ok(opened.into_iter().map(member).collect())
    }
}

impl<D: Device + AsFd + Send + 'static> Member<D> {
    /// Its sockets; a task of the tokio runtime that this is called in turns the stack until the device fails. Examples are
    /// at [`Member`] and at [`Sockets::group`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start(self) -> Sockets {
        tokio::spawn(self.sockets.clone().drive_among(self.device, self.siblings));
        self.sockets
    }
}

/// The other stacks of a group.
#[derive(Debug)]
pub(super) struct Siblings {
    medium: Medium,
    others: Vec<Weak<Shared>>,
}

impl Default for Siblings {
    fn default() -> Self {
        Self { medium: Medium::Ip, others: Vec::new() }
    }
}

impl Siblings {
    pub(super) fn is_empty(&self) -> bool {
        self.others.is_empty()
    }

    /// Keeps a copy of a frame that concerns all.
    pub(super) fn look(&self, frame: &Packet, for_all: &mut Vec<Packet>) {
        if for_all.len() < HANDED_MAX && concerns_all(self.medium, frame) {
            for_all.push(frame.clone());
        }
    }

    /// Hands frames to the others, in this thread.
    pub(super) fn hand_over(&self, frames: Vec<Packet>) {
        if frames.is_empty() {
            return;
        }
        for other in self.others.iter().filter_map(Weak::upgrade) {
            let mut batch = Batch::with_capacity(HANDED_MAX);
            for frame in &frames {
                // No more were kept than there is room for.
                let _ = batch.push(frame.clone());
            }
            let now = other.clock.now();
            let mut state = other.lock();
            state.stack.handle_batch(other.interface, &mut batch, now);
            state.dispatch(now);
            drop(state);
            other.work.notify_one();
        }
    }
}

/// Whether a frame tells something that every stack with these addresses has to know.
fn concerns_all(medium: Medium, frame: &Packet) -> bool {
    let first = frame.body.chunks().next().map_or(&[][..], |chunk| &chunk[..]);
    let (ether_type, packet) = match medium {
        Medium::Ip if first.first().is_some_and(|byte| byte >> 4 == 4) => (EtherType::IPV4, first),
        Medium::Ip => (EtherType::IPV6, first),
        Medium::Ethernet => match ethernet::Header::parse(first) {
            Ok((header, length)) => (header.ether_type, &first[length..]),
            Err(_) => return false,
        },
    };
    match ether_type {
        // A question is answered by the one that it reaches; what is answered is for all.
        EtherType::ARP => wire::arp::Packet::parse(packet)
            .is_ok_and(|packet| packet.operation == wire::arp::Operation::Reply),
        EtherType::IPV4 => {
            let kind = wire::ipv4::Header::parse(packet)
                .ok()
                .filter(|(header, _)| header.protocol == Protocol::ICMP && header.fragment_offset == 0)
                .and_then(|(_, length)| packet.get(length));
            // Unreachable, time exceeded, parameter problem (RFC 792).
            matches!(kind, Some(3 | 11 | 12))
        }
        EtherType::IPV6 => {
            let kind = wire::ipv6::Header::parse(packet)
                .ok()
                .filter(|(header, _)| header.next_header == Protocol::ICMPV6)
                .and_then(|(_, length)| packet.get(length));
            // Errors (RFC 4443 §2.1), router and neighbour advertisements, redirects (RFC 4861 §4).
            matches!(kind, Some(..128 | 134 | 136 | 137))
        }
        _ => false,
    }
}
