//! Which QUIC connections were opened lately, by any flow: none is opened twice.
//!
//! A server keeps what it has read of a connection for a while. Were its first packets read anew here, from the start,
//! what each side has put together could differ.

use std::collections::{HashSet, VecDeque};
use time::{Duration, Instant};

/// How long a connection is remembered: longer than servers wait for a handshake to go on.
pub const REMEMBERED: Duration = Duration::from_secs(300);
/// How many are remembered; beyond, none is opened until one is old enough.
pub const OPENED_MAX: usize = 65_536;

/// The destinations that the first packets of connections have named.
#[derive(Debug, Default)]
pub struct OpenedConnections {
    known: HashSet<Vec<u8>>,
    by_age: VecDeque<(Instant, Vec<u8>)>,
}

impl OpenedConnections {
    /// Whether a connection to `destination` may be opened at `now`; it is remembered then.
    pub fn admit(&mut self, destination: &[u8], now: Instant) -> bool {
        while let Some((at, _)) = self.by_age.front()
            && *at + REMEMBERED <= now
        {
            if let Some((_, old)) = self.by_age.pop_front() {
                self.known.remove(&old);
            }
        }
        if self.by_age.len() >= OPENED_MAX || !self.known.insert(destination.to_vec()) {
            return false;
        }
        self.by_age.push_back((now, destination.to_vec()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_opened_twice_until_it_is_old_and_their_number_is_bounded() {
        let mut opened = OpenedConnections::default();
        let now = Instant::from_secs(1);
        assert!(opened.admit(b"one", now) && opened.admit(b"two", now));
        assert!(!opened.admit(b"one", now));
        assert!(opened.admit(b"one", now + REMEMBERED));
        assert!(!opened.admit(b"one", now + REMEMBERED));
        let later = now + REMEMBERED * 3;
        let admitted = (0..OPENED_MAX as u32 + 10).filter(|n| opened.admit(&n.to_be_bytes(), later)).count();
        assert_eq!(admitted, OPENED_MAX);
        assert_eq!(opened.known.len(), OPENED_MAX);
        assert!(opened.admit(b"one", later + REMEMBERED));
    }
}
