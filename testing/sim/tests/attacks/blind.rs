//! Somebody who knows both addresses and both ports of a connection, and none of its numbers (RFC 5961, RFC 5927): what
//! each kind of guess does, over the whole of the sequence space.

use crate::arena::*;
use packet::Bytes;
use sim::{Random, for_each_seed};
use stack::Drop;
use std::net::SocketAddr;
use time::{Duration, SequenceNumber};
use wire::icmpv4::{Message, Unreachable};
use wire::tcp::{Flags, Header, Options, Timestamps};

/// Challenges in five seconds (RFC 5961 §7).
const CHALLENGES: usize = 10;
/// A guess in every such step falls into any window of this size at least once. The server's is larger: 4 MiB.
const STEP: u32 = 65_535;
const WINDOW_BYTES_MAX: u32 = 4 << 20;

/// A connection, and where each side of it stands.
struct Target {
    arena: Arena,
    joined: Joined,
    /// What the server expects next.
    next: SequenceNumber,
    /// What the server has sent and the client acknowledged.
    acknowledged: SequenceNumber,
    /// A timestamp that would pass.
    timestamp: Timestamps,
}

impl Target {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut arena = Arena::new();
        arena.listen(16);
        // Each seed's connection stands elsewhere in both sequence spaces.
        arena.pass(Duration::from_millis(random.below(20_000_000)));
        let joined = arena.connected();
        arena.carry(joined, true, &[7; 1_000]);
        arena.carry(joined, false, &[7; 1_000]);
        let mut target = Self {
            arena,
            joined,
            next: SequenceNumber(0),
            acknowledged: SequenceNumber(0),
            timestamp: Timestamps { value: 0, echo: 0 },
        };
        target.look();
        target
    }

    /// Reads where the connection stands from a segment that passes, as no attacker of this file can.
    fn look(&mut self) {
        let (client, now) = (self.joined.client, self.arena.now);
        self.arena.client.stack.tcp_write(client, &mut Bytes::from_static(b"."), now);
        let packets = self.arena.client.sent(now);
        let (header, length) = header_of(&packets[0]);
        (self.next, self.acknowledged) = (header.sequence + length as u32, header.acknowledgement);
        self.timestamp = header.options.timestamps.expect("both sides have timestamps");
        self.arena.server.receive(packets, now);
        let (server, now) = (self.joined.server, self.arena.now);
        while self.arena.server.stack.tcp_read(server, 100, now).is_some() {}
        self.arena.exchange();
    }

    /// What the attacker sends for the client.
    fn forged(&self, header: Header, payload: &[u8]) -> Bytes {
        segment(self.joined.remote, header, payload)
    }

    /// A guess at every step of the sequence space but those that `spared` says; how many answers they draw.
    fn sweep(&mut self, step: u32, of: impl Fn(SequenceNumber) -> (Header, &'static [u8])) -> usize {
        let tries = u64::from(u32::MAX) / u64::from(step) + 1;
        let mut answers = 0;
        for at in 0..tries {
            let (header, payload) = of(SequenceNumber((at * u64::from(step)) as u32));
            let packet = self.forged(header, payload);
            answers += self.arena.answers([packet]).len();
        }
        answers
    }

    fn is_alive(&mut self) -> bool {
        self.arena.is_alive(self.joined)
    }
}

/// The header of a guess. A timestamp is one more thing to know, and an old one is answered before anything else: so the
/// attacker is given a good one wherever that makes it stronger.
fn guess(
    flags: Flags,
    sequence: SequenceNumber,
    acknowledgement: SequenceNumber,
    stamp: Timestamps,
) -> Header {
    let options = Options { timestamps: Some(stamp), ..Options::default() };
    Header { sequence, acknowledgement, flags, window: 64_240, options, ..Header::default() }
}

#[test]
fn resets_in_every_window_kill_nothing_and_draw_ten_challenges() {
    for_each_seed(8, |seed| {
        let mut target = Target::new(seed);
        let (next, now) = (target.next, target.arena.now);
        // The one number that does kill is spared: it has one chance in 2^32 for each packet.
        let answers = target.sweep(STEP, |at| {
            let at = if at == next { at + 1 } else { at };
            (Header { sequence: at, flags: Flags::RST, ..Header::default() }, b"")
        });
        assert!((1..=CHALLENGES).contains(&answers), "{answers} answers");
        assert_eq!(target.arena.now, now, "all in one moment");
        let server = &target.arena.server;
        let (near, far) =
            (server.refused(tcp::Drop::ResetNotExact), server.refused(tcp::Drop::OutsideWindow));
        assert!(
            (1..=u64::from(WINDOW_BYTES_MAX / STEP) + 2).contains(&near),
            "{near} guesses are in the window"
        );
        assert_eq!(near + far, u64::from(u32::MAX / STEP) + 1);
        assert!(target.is_alive());
        target.look();
        let exact = Header { sequence: target.next, flags: Flags::RST, ..Header::default() };
        let packet = target.forged(exact, b"");
        target.arena.attack([packet]);
        assert_eq!(target.arena.server.stack.memory().connections, 1, "its owner still holds it");
        assert!(target.arena.server.events.iter().any(|event| matches!(
            event,
            stack::Event::Tcp { event: tcp::Event::Closed(tcp::CloseReason::Reset), .. }
        )));
    });
}

#[test]
fn resets_all_over_the_window_draw_ten_challenges_in_five_seconds() {
    let mut target = Target::new(1);
    let (next, began) = (target.next, target.arena.now);
    let mut answers = 0;
    for offset in 1..60_000 {
        let packet =
            target.forged(Header { sequence: next + offset, flags: Flags::RST, ..Header::default() }, b"");
        answers += target.arena.answers([packet]).len();
        target.arena.now += Duration::from_micros(500);
    }
    let spans = target.arena.now.since(began).as_secs() as usize / 5 + 1;
    assert!(answers <= spans * CHALLENGES, "{answers} answers in {spans} spans of five seconds");
    assert!(target.is_alive());
}

#[test]
fn syns_at_every_window_kill_nothing_and_draw_ten_challenges() {
    for_each_seed(4, |seed| {
        let mut target = Target::new(seed);
        let stamp = target.timestamp;
        let of = |at| (guess(Flags::SYN, at, SequenceNumber(0), stamp), &b""[..]);
        let answers = target.sweep(STEP, of);
        // Outside of the window a SYN is challenged as well, but no more often.
        assert!(answers <= CHALLENGES, "{answers} answers");
        assert!(target.is_alive());
    });
}

#[test]
fn data_with_a_guessed_acknowledgement_never_reaches_the_program() {
    for_each_seed(4, |seed| {
        let mut target = Target::new(seed);
        let (next, stamp, acknowledged) = (target.next, target.timestamp, target.acknowledged);
        // The attacker is even given the right sequence number; the acknowledgement it guesses (RFC 5961 §5.2). Those that
        // would pass are the window before what is acknowledged: one try in 65,536.
        let passes = |at: SequenceNumber| at.at_or_before(acknowledged) && acknowledged - at <= 1 << 22;
        let answers = target.sweep(STEP, |at| {
            let at = if passes(at) { acknowledged + 1 } else { at };
            (guess(Flags::ACK, next, at, stamp), b"injected")
        });
        assert!(answers <= CHALLENGES, "{answers} answers");
        assert_eq!(target.arena.server.stack.tcp_readable(target.joined.server), 0);
        assert!(target.is_alive());
    });
}

#[test]
fn acknowledgements_of_what_was_never_sent_move_nothing() {
    for_each_seed(4, |seed| {
        let mut target = Target::new(seed);
        let (server, now) = (target.joined.server, target.arena.now);
        let mut data = Bytes::from(vec![9; 50_000]);
        target.arena.server.stack.tcp_write(server, &mut data, now);
        let sent = target.arena.server.sent(now);
        let end = target.acknowledged + sent.iter().map(|packet| header_of(packet).1 as u32).sum::<u32>();
        let (next, stamp) = (target.next, target.timestamp);
        let before =
            target.arena.server.stack.tcp_info(server, now).expect("it is open").unacknowledged_bytes;
        let answers: usize = (1..5_000)
            .map(|ahead| {
                let packet = target.forged(guess(Flags::ACK, next, end + ahead * 400_000, stamp), b"");
                target.arena.answers([packet]).len()
            })
            .sum();
        assert!(answers <= CHALLENGES, "{answers} answers");
        let after = target.arena.server.stack.tcp_info(server, now).expect("it is open").unacknowledged_bytes;
        assert_eq!(after, before, "nothing counts as acknowledged");
        target.arena.client.receive(sent, now);
        target.arena.pass(Duration::from_secs(5));
        let read =
            std::iter::from_fn(|| target.arena.client.stack.tcp_read(target.joined.client, 9_000, now));
        assert_eq!(read.map(|bytes| bytes.len()).sum::<usize>(), 50_000);
    });
}

#[test]
fn challenges_of_one_connection_tell_nothing_about_another() {
    // Linux once had one limit for all connections: whoever had one of its own saw by the challenges left over whether its
    // guesses at another one's numbers were right (CVE-2016-5696).
    let challenges_of_own = |guesses_in_window: bool| {
        let mut target = Target::new(3);
        let own = target.arena.connected();
        let (next, stamp) = (target.next, target.timestamp);
        for number in 0..500 {
            let at = if guesses_in_window { next + 1 + number } else { next - 1_000_000 - number };
            let packet = target.forged(guess(Flags::RST, at, SequenceNumber(0), stamp), b"");
            let _ = target.arena.answers([packet]);
        }
        // Now it asks for as many as it can get on its own connection.
        let mut syn = syn(1);
        syn.options.timestamps = None;
        let own_syn = Header { sequence: SequenceNumber(1), flags: Flags::RST, ..syn };
        let at = own_number(&mut target.arena, own);
        (0..200)
            .map(|offset| {
                let header = Header { sequence: at + 1 + offset, ..own_syn };
                let packet = segment(own.remote, header, b"");
                target.arena.answers([packet]).len()
            })
            .sum::<usize>()
    };
    let (right, wrong) = (challenges_of_own(true), challenges_of_own(false));
    assert_eq!((right, wrong), (CHALLENGES, CHALLENGES));
}

/// The next number of the client of a connection, which is the attacker's own.
fn own_number(arena: &mut Arena, own: Joined) -> SequenceNumber {
    let now = arena.now;
    arena.client.stack.tcp_write(own.client, &mut Bytes::from_static(b"x"), now);
    let packets = arena.client.sent(now);
    let (header, length) = header_of(&packets[0]);
    let next = header.sequence + length as u32;
    arena.server.receive(packets, now);
    arena.exchange();
    next
}

#[test]
fn icmp_errors_with_guessed_numbers_are_not_ours() {
    for_each_seed(4, |seed| {
        let mut target = Target::new(seed);
        let (server, now) = (target.joined.server, target.arena.now);
        let mut data = Bytes::from(vec![9; 10_000]);
        target.arena.server.stack.tcp_write(server, &mut data, now);
        let sent = target.arena.server.sent(now);
        let (una, mtu) = (target.acknowledged, path_mtu(&target));
        let to = target.joined.remote;
        let messages = [
            Message::DestinationUnreachable { code: Unreachable::FRAGMENTATION_NEEDED, mtu: 68 },
            Message::DestinationUnreachable { code: Unreachable::PORT, mtu: 0 },
            Message::DestinationUnreachable { code: Unreachable::PROTOCOL, mtu: 0 },
            Message::TimeExceeded { code: 0 },
        ];
        let mut random = Random::new(seed);
        let (mut tries, mut hits) = (0, 0);
        for _ in 0..50_000 {
            let guessed = SequenceNumber(random.draw() as u32);
            if una.at_or_before(guessed) && guessed.before(una + 10_000) {
                // One guess in 430,000 is right; such a one is the next test's.
                hits += 1;
                continue;
            }
            let header = Header { sequence: guessed, flags: Flags::ACK, ..Header::default() };
            target.arena.attack([error(messages[tries % messages.len()], to, header)]);
            tries += 1;
        }
        assert!(hits <= 3, "{hits} of 50,000 guesses were right");
        assert_eq!(target.arena.server.dropped(Drop::IcmpNotOurs), tries as u64);
        assert_eq!(path_mtu(&target), mtu);
        assert!(target.arena.server.sent(now).is_empty(), "nothing is sent again");
        target.arena.client.receive(sent, now);
        target.arena.exchange();
        while target.arena.client.stack.tcp_read(target.joined.client, 9_000, now).is_some() {}
        assert!(target.is_alive());
    });
}

#[test]
fn a_tiny_path_mtu_is_not_believed_even_with_the_right_number() {
    let mut target = Target::new(9);
    let (server, now) = (target.joined.server, target.arena.now);
    let mut data = Bytes::from(vec![9; 10_000]);
    target.arena.server.stack.tcp_write(server, &mut data, now);
    let _ = target.arena.server.sent(now);
    let header = Header { sequence: target.acknowledged, flags: Flags::ACK, ..Header::default() };
    let code = Unreachable::FRAGMENTATION_NEEDED;
    let to = target.joined.remote;
    for mtu in [68, 0, 48, 551] {
        target.arena.attack([error(Message::DestinationUnreachable { code, mtu }, to, header)]);
    }
    assert_eq!(path_mtu(&target), 552);
    let sizes: Vec<usize> = target.arena.server.sent(now).iter().map(Bytes::len).collect();
    assert!(!sizes.is_empty() && sizes.iter().all(|size| (500..=552).contains(size)), "{sizes:?}");
    // And what the attack can repeat, it repeats for nothing: each segment leaves once more, not once for each error.
    for _ in 0..100 {
        target.arena.attack([error(Message::DestinationUnreachable { code, mtu: 68 }, to, header)]);
        assert!(target.arena.server.sent(now).is_empty());
    }
}

fn path_mtu(target: &Target) -> u16 {
    target.arena.server.stack.tcp_info(target.joined.server, target.arena.now).expect("it is open").path_mtu
}

#[test]
fn guesses_at_ports_find_no_connection_and_are_answered_alike() {
    let mut target = Target::new(5);
    let own = target.joined.remote;
    let mut resets = 0;
    for port in (1..=u16::MAX).filter(|port| *port != own.port()).step_by(7) {
        let from = SocketAddr::new(own.ip(), port);
        let header = guess(Flags::ACK, SequenceNumber(5), SequenceNumber(6), target.timestamp);
        let answers = target.arena.answers([segment(from, header, b"")]);
        assert_eq!(answers.len(), 1);
        let (reset, length) = header_of(&answers[0]);
        assert_eq!((reset.flags, reset.sequence, length), (Flags::RST, SequenceNumber(6), 0));
        resets += 1;
    }
    assert_eq!(target.arena.server.dropped(Drop::TcpNoConnection), resets);
    assert!(target.is_alive());
}
