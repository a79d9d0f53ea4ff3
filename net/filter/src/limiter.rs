//! The buckets of all rates, one for each rule and whom it counts for.

use crate::network::words_of;
use crate::packet::Packet;
use crate::rate::Bucket;
use crate::rules::{Per, RateLimit};
use crate::table::{Hashed, Table};
use core::net::IpAddr;
use hash::Key;
use time::Instant;

/// Which bucket: of which rate, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BucketKey {
    rate: u32,
    whom: Whom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    All,
    Address(IpAddr),
    Program(Option<u64>),
}

impl Hashed for BucketKey {
    fn hash(&self, key: Key) -> u64 {
        let [a, b, c] = match self.whom {
            Whom::All => [0; 3],
            Whom::Address(address) => words_of(address),
            Whom::Program(program) => [program.unwrap_or(0), program.is_some().into(), 1],
        };
        key.quick(&[a, b, c, self.rate.into()])
    }
}

#[cfg(test)]
pub(crate) const BUCKET_SLOT_BYTES: usize = crate::table::slot_bytes::<BucketKey, Bucket>();

/// Buckets in the order of last use: for a new one, that goes which was idle longest.
#[derive(Debug)]
pub(crate) struct Limiter {
    table: Table<BucketKey, Bucket, 1>,
    keys_max: usize,
}

impl Limiter {
    pub(crate) const fn new(key: Key, keys_max: usize) -> Self {
        Self { table: Table::new(key), keys_max }
    }

    /// Whether a packet comes within a rate, whose number among all rates is `rate`.
    pub(crate) fn take(&mut self, rate: u32, limit: &RateLimit, packet: &Packet<'_>, now: Instant) -> bool {
        let whom = match limit.per {
            Per::Rule => Whom::All,
            Per::Source => Whom::Address(packet.source),
            Per::Destination => Whom::Address(packet.destination),
            Per::Program => Whom::Program(packet.program),
        };
        let key = BucketKey { rate, whom };
        let place = match self.table.find(&key) {
            Some(place) => place,
            None => {
                if self.table.len() >= self.keys_max
                    && let Some((oldest, _)) = self.table.oldest(0)
                {
                    self.table.remove(oldest);
                }
                self.table.insert(key, Bucket::new(limit.rate, limit.burst, now), 0, now)
            }
        };
        self.table.touch(place, 0, now);
        self.table.at_mut(place).take(limit.rate.unit.cost_of(packet.length_bytes), now)
    }

    /// Buckets that are held.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Every rate begins anew.
    pub(crate) fn clear(&mut self) {
        self.table.clear();
    }
}
