//! SYN cookies (RFC 4987 §3.6): where a listener's backlog is full, what a SYN asks for is not kept but put into our
//! initial sequence number and our timestamp, and read back from the acknowledgement of both.
//!
//! ```text
//! initial sequence number = keyed hash of addresses and ports + peer's initial number
//!                         + age, its low 8 bits << 24
//!                         + (keyed hash with the whole age + place in the table of segment sizes) mod 2^24
//! timestamp, low 6 bits   = window scale, 4 bits (15: none) | SACK permitted, 1 bit | ECN, 1 bit
//! ```
//!
//! Without timestamps neither window scale nor SACK are agreed, nor ECN but for accurate feedback, which the acknowledgement
//! itself tells of (RFC 9768 §5.1). A SYN-ACK that is lost is not sent again: the peer's
//! SYN is answered again.

use super::Tuple;
use hash::Key;
use tcp::EcnFeedback;
use time::{Duration, Instant, SequenceNumber};
use wire::Ecn;
use wire::tcp::{Flags, Header, Options, Timestamps};

/// How long one age lasts.
const AGE: Duration = Duration::from_secs(64);
/// A cookie is good for its own age and the next.
const AGES: u32 = 2;
/// The segment sizes that can be told; a peer's is rounded down (RFC 4987 §3.6), and one whose segments are smaller yet gets no
/// cookie: a table that went further down would help guessing more than it would help anybody.
const SEGMENT_SIZES: [u16; 8] = [536, 1_220, 1_300, 1_380, 1_440, 1_460, 4_312, 8_940];
/// Bits of the cookie below its age.
const LOW_BITS: u32 = 24;
const LOW_MASK: u32 = (1 << LOW_BITS) - 1;
/// The low bits of a timestamp that hold options; it is at most so many milliseconds slow.
const OPTION_BITS: u32 = 0x3f;
const NO_SCALE: u32 = 15;
const SACK_BIT: u32 = 1 << 4;
const ECN_BIT: u32 = 1 << 5;
/// What a SYN asks for ECN by (RFC 3168 §6.1.1), and for accurate feedback (RFC 9768 §3.1.1).
const ECN_SETUP: Flags = Flags(Flags::ECE.0 | Flags::CWR.0);
const ACCURATE_SETUP: Flags = Flags(ECN_SETUP.0 | Flags::AE.0);

/// The keyed cookies of a stack.
#[derive(Debug)]
pub(super) struct Cookies {
    key: Key,
    /// When the last one that was sent is no longer good.
    good_until: Instant,
}

impl Cookies {
    pub(super) fn new(key: Key) -> Self {
        Self { key, good_until: Instant::ZERO }
    }

    /// Whether one that was sent may still be good.
    pub(super) fn are_out(&self, now: Instant) -> bool {
        now < self.good_until
    }

    /// The cookie that answers `syn`; `None` where its segment size cannot be told.
    pub(super) fn make(&mut self, tuple: &Tuple, syn: &Header, now: Instant) -> Option<SequenceNumber> {
        let told = syn.options.mss.unwrap_or(SEGMENT_SIZES[0]);
        let place = SEGMENT_SIZES.iter().rposition(|size| *size <= told)?;
        self.good_until = now + AGE * AGES;
        let age = age(now);
        let low = self.hash(tuple, age + 1).wrapping_add(place as u32) & LOW_MASK;
        let base = self.hash(tuple, 0).wrapping_add(syn.sequence.0);
        Some(SequenceNumber(base.wrapping_add((age as u32) << LOW_BITS).wrapping_add(low)))
    }

    /// The SYN that the acknowledgement of a cookie stands for, where `accept` was agreed to at most; `None` where it is
    /// none of ours, or too old.
    pub(super) fn open(
        &self,
        tuple: &Tuple,
        header: &Header,
        accept: EcnFeedback,
        now: Instant,
    ) -> Option<Header> {
        let (peer, cookie) = (header.sequence - 1, header.acknowledgement - 1);
        let rest = cookie.0.wrapping_sub(self.hash(tuple, 0)).wrapping_sub(peer.0);
        let now_age = age(now);
        let since = (now_age as u32).wrapping_sub(rest >> LOW_BITS) & 0xff;
        if since >= AGES {
            return None;
        }
        let then = now_age.wrapping_sub(since.into());
        let place = rest.wrapping_sub(self.hash(tuple, then.wrapping_add(1))) & LOW_MASK;
        let size = *SEGMENT_SIZES.get(place as usize)?;
        let agreed = header.options.timestamps.map_or_else(Options::default, |peer| Options {
            timestamps: Some(Timestamps { value: peer.value, echo: 0 }),
            window_scale: Some((peer.echo & NO_SCALE) as u8).filter(|scale| u32::from(*scale) != NO_SCALE),
            sack_permitted: peer.echo & SACK_BIT != 0,
            ..Options::default()
        });
        let options = Options { mss: Some(size), ..agreed };
        let asked = header.options.timestamps.map(|peer| peer.echo & ECN_BIT != 0);
        // RFC 9768 §5.1: 0b010 and more is written by those alone who asked for accurate feedback and got it.
        let accurate = accept == EcnFeedback::Accurate && header.flags.intersects(Flags::AE | Flags::CWR);
        let flags = match asked {
            Some(true) | None if accurate => Flags::SYN | ACCURATE_SETUP,
            Some(true) => Flags::SYN | ECN_SETUP,
            Some(false) | None => Flags::SYN,
        };
        Some(Header { sequence: peer, flags, options, ..*header })
    }

    fn hash(&self, tuple: &Tuple, number: u64) -> u32 {
        let [a, b, c, d, e] = tuple.words();
        self.key.strong(&[a, b, c, d, e, number]) as u32
    }
}

/// What an answer by cookie can agree to: what of `syn`, which arrived with `ecn`, its timestamp has room for.
pub(super) fn answerable(syn: &Header, ecn: Ecn, accept: EcnFeedback) -> Header {
    let timestamps = syn.options.timestamps;
    let options = Options {
        window_scale: syn.options.window_scale.filter(|_| timestamps.is_some()),
        sack_permitted: syn.options.sack_permitted && timestamps.is_some(),
        ..syn.options
    };
    let asks = syn.flags.contains(ECN_SETUP) && timestamps.is_some() && ecn == Ecn::NotEct;
    let accurate = accept == EcnFeedback::Accurate && syn.flags.contains(ACCURATE_SETUP);
    let flags = match (accurate, asks) {
        (true, _) => Flags::SYN | ACCURATE_SETUP,
        (false, true) => Flags::SYN | ECN_SETUP,
        (false, false) => Flags::SYN,
    };
    Header { flags, options, ..*syn }
}

/// How many milliseconds a timestamp of `value` is to be slow, so that its low bits tell the options of `syn`.
pub(super) fn slowness(syn: &Header, value: u32) -> u32 {
    // RFC 7323 §2.3: a shift above 14 counts as 14.
    let scale = syn.options.window_scale.map_or(NO_SCALE, |scale| u32::from(scale.min(14)));
    let sack = if syn.options.sack_permitted { SACK_BIT } else { 0 };
    let told = scale | sack | if syn.flags.contains(ECN_SETUP) { ECN_BIT } else { 0 };
    value.wrapping_sub(told) & OPTION_BITS
}

fn age(now: Instant) -> u64 {
    now.as_millis() / AGE.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::SocketAddr;
    use proptest::prelude::*;

    fn tuple(port: u16) -> Tuple {
        let local = SocketAddr::from(([10, 0, 2, 2], 80));
        Tuple::new(local, SocketAddr::from(([10, 0, 2, 15], port)))
    }

    proptest! {
        #[test]
        fn what_was_put_in_comes_out(
            sequence: u32, mss in proptest::option::of(536u16..), scale in proptest::option::of(0u8..20),
            sack: bool, ecn: bool, stamped: bool, port in 1u16.., at_ms in 0u64..1 << 40, later_ms in 0u64..64_000, clock: u32,
        ) {
            let mut cookies = Cookies::new(Key::derive(&[7; 32], 1));
            let timestamps = stamped.then_some(Timestamps { value: 5, echo: 0 });
            let options = Options { mss, window_scale: scale, sack_permitted: sack, timestamps, ..Options::default() };
            let flags = if ecn { Flags::SYN | ECN_SETUP } else { Flags::SYN };
            let syn = Header { sequence: SequenceNumber(sequence), flags, options, ..Header::default() };
            let syn = answerable(&syn, Ecn::NotEct, EcnFeedback::Classic);
            let now = Instant::from_millis(at_ms);
            let cookie = cookies.make(&tuple(port), &syn, now).expect("a size that can be told");
            let slow = slowness(&syn, clock);
            prop_assert!(slow < 64);
            let echo = timestamps.map(|_| Timestamps { value: 6, echo: clock.wrapping_sub(slow) });
            let acknowledgement = Header {
                sequence: syn.sequence + 1,
                acknowledgement: cookie + 1,
                options: Options { timestamps: echo, ..Options::default() },
                ..Header::default()
            };
            let later = now + Duration::from_millis(later_ms);
            prop_assert!(cookies.are_out(later));
            let opened = cookies.open(&tuple(port), &acknowledgement, EcnFeedback::Classic, later).expect("ours");
            prop_assert_eq!(opened.sequence, syn.sequence);
            prop_assert_eq!(opened.flags, syn.flags);
            prop_assert_eq!(opened.flags.contains(ECN_SETUP), ecn && stamped);
            prop_assert_eq!(opened.options.window_scale, syn.options.window_scale.map(|scale| scale.min(14)));
            prop_assert_eq!(opened.options.sack_permitted, syn.options.sack_permitted);
            let told = opened.options.mss.expect("a size");
            prop_assert!(told <= mss.unwrap_or(536));
            let old = now + AGE * AGES;
            prop_assert!(cookies.open(&tuple(port), &acknowledgement, EcnFeedback::Classic, old).is_none(), "too old");
            prop_assert!(!cookies.are_out(old));
            let elsewhere = cookies.open(&tuple(port ^ 1), &acknowledgement, EcnFeedback::Classic, later);
            prop_assert!(elsewhere.is_none(), "another connection's");
        }
    }

    #[test]
    fn few_guesses_are_taken_for_cookies() {
        let cookies = Cookies::new(Key::derive(&[7; 32], 1));
        let now = Instant::from_secs(1_000);
        let taken = (0..1_000_000u32).filter(|guess| {
            let acknowledgement = SequenceNumber(guess.wrapping_mul(2_654_435_761));
            let header = Header { acknowledgement, ..Header::default() };
            cookies.open(&tuple(9), &header, EcnFeedback::Accurate, now).is_some()
        });
        assert!(taken.count() <= 1, "two ages of 256, eight sizes of 2^24");
    }
}
