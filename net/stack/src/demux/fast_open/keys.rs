//! The server's cookies (RFC 7413 §4.1.2): a keyed hash of both addresses, so that nothing is kept for those that were
//! given. A cookie shows that whoever sends it has received packets at its address before.

use core::net::IpAddr;
use hash::Key;
use time::{Duration, Instant};
use wire::tcp::FastOpen;

/// How long cookies are made with one key; they are good for as long again (RFC 7413 §4.1.2: the server changes its key
/// from time to time, so that cookies expire).
const KEY_LIFETIME: Duration = Duration::from_secs(6 * 3_600);

/// The keys that cookies are made and judged with.
#[derive(Debug)]
pub(super) struct CookieKeys {
    master: Key,
    /// Which lifetime `current` is of.
    age: u64,
    current: Key,
    previous: Option<Key>,
    /// The owner has given the keys, and changes them.
    given: bool,
}

/// What a cookie is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It holds.
    Good,
    /// It holds, but not for long: it was made with the key before.
    Ageing,
    /// It does not hold.
    None,
}

impl CookieKeys {
    pub(super) fn new(master: Key) -> Self {
        Self { master, age: 0, current: of_age(master, 0), previous: None, given: false }
    }

    /// Cookies are made with `current` from now on, and those of `previous` hold too.
    pub(super) fn give(&mut self, current: [u8; 16], previous: Option<[u8; 16]>) {
        self.current = Key::from_bytes(current);
        self.previous = previous.map(Key::from_bytes);
        self.given = true;
    }

    /// The cookie of a client at `remote` for our address `local`.
    pub(super) fn make(&mut self, remote: IpAddr, local: IpAddr, now: Instant) -> FastOpen {
        self.rotate(now);
        cookie(self.current, remote, local)
    }

    /// What the cookie that came from `remote` is worth.
    pub(super) fn judge(&mut self, told: &FastOpen, remote: IpAddr, local: IpAddr, now: Instant) -> Worth {
        self.rotate(now);
        let is_of = |key: Key| cookie(key, remote, local).cookie() == told.cookie();
        match self.previous {
            _ if is_of(self.current) => Worth::Good,
            Some(previous) if is_of(previous) => Worth::Ageing,
            _ => Worth::None,
        }
    }

    fn rotate(&mut self, now: Instant) {
        let age = now.as_millis() / KEY_LIFETIME.as_millis() as u64;
        if !self.given && age != self.age {
            self.age = age;
            self.current = of_age(self.master, age);
            self.previous = age.checked_sub(1).map(|before| of_age(self.master, before));
        }
    }
}

fn of_age(master: Key, age: u64) -> Key {
    let word = |half: u64| master.strong(&[age, half]).to_le_bytes();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&word(0));
    bytes[8..].copy_from_slice(&word(1));
    Key::from_bytes(bytes)
}

/// SipHash-2-4 over the client's address and then ours, as they stand in the SYN, least significant byte first: as Linux,
/// so that servers with the same key know each other's cookies.
fn cookie(key: Key, remote: IpAddr, local: IpAddr) -> FastOpen {
    let hash = match (remote, local) {
        (IpAddr::V4(remote), IpAddr::V4(local)) => {
            let word = |a: core::net::Ipv4Addr| u64::from(u32::from_le_bytes(a.octets()));
            key.strong(&[word(local) << 32 | word(remote)])
        }
        (remote, local) => {
            let number = |a: IpAddr| u128::from_le_bytes(crate::index::number_of(a).to_be_bytes());
            let (remote, local) = (number(remote), number(local));
            key.strong(&[remote as u64, (remote >> 64) as u64, local as u64, (local >> 64) as u64])
        }
    };
    FastOpen::new(&hash.to_le_bytes()).unwrap_or(FastOpen::REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};

    const REMOTE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1));

    fn keys() -> CookieKeys {
        CookieKeys::new(Key::derive(&[7; 32], 1))
    }

    #[test]
    fn a_cookie_is_of_both_addresses_and_of_the_key() {
        let now = Instant::from_secs(1);
        let made = keys().make(REMOTE, LOCAL, now);
        assert_eq!(made.cookie().len(), 8);
        assert_eq!(keys().judge(&made, REMOTE, LOCAL, now), Worth::Good);
        let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
        assert_eq!(keys().judge(&made, other, LOCAL, now), Worth::None);
        assert_eq!(keys().judge(&made, REMOTE, other, now), Worth::None);
        assert_eq!(CookieKeys::new(Key::derive(&[8; 32], 1)).judge(&made, REMOTE, LOCAL, now), Worth::None);
        let six = |last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
        let made = keys().make(six(1), six(2), now);
        assert_eq!(keys().judge(&made, six(1), six(2), now), Worth::Good);
        assert_eq!(keys().judge(&made, six(2), six(1), now), Worth::None);
    }

    /// The cookies that Linux's packet scripts are written with, for the key of their set-up and for one of zeros.
    #[test]
    fn a_given_key_makes_the_cookies_that_linux_makes_of_it() {
        let mut keys = keys();
        let words = [0xa1u8, 0xb2, 0xc3, 0xd4];
        let key: [u8; 16] = core::array::from_fn(|i| words[i / 4]);
        keys.give(key, None);
        let made = keys.make(REMOTE, LOCAL, Instant::ZERO);
        assert_eq!(made.cookie(), 0x3021_b9d8_8901_7eeb_u64.to_be_bytes());
        keys.give([0; 16], None);
        let made = keys.make(REMOTE, LOCAL, Instant::ZERO);
        assert_eq!(made.cookie(), 0xb7c1_2350_a90d_c8f5_u64.to_be_bytes());
    }

    #[test]
    fn a_cookie_ages_with_its_key_and_expires_with_the_next() {
        let mut keys = keys();
        let start = Instant::from_secs(100_000_000);
        let made = keys.make(REMOTE, LOCAL, start);
        assert_eq!(keys.judge(&made, REMOTE, LOCAL, start + KEY_LIFETIME), Worth::Ageing);
        assert_eq!(keys.judge(&made, REMOTE, LOCAL, start + KEY_LIFETIME * 2), Worth::None);
        keys.give([1; 16], None);
        let made = keys.make(REMOTE, LOCAL, start);
        assert_eq!(
            keys.judge(&made, REMOTE, LOCAL, start + KEY_LIFETIME * 9),
            Worth::Good,
            "as the owner says"
        );
        keys.give([2; 16], Some([1; 16]));
        assert_eq!(keys.judge(&made, REMOTE, LOCAL, start), Worth::Ageing);
        keys.give([2; 16], None);
        assert_eq!(keys.judge(&made, REMOTE, LOCAL, start), Worth::None);
    }
}
