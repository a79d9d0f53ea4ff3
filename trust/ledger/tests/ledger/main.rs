//! The ledger as a whole: on storages of all kinds, through losses of power and killed writers, and under attack.

mod crash;
mod entries;
mod journal;
mod kept;
mod killed;
mod opening;
mod rotation;
mod shards;
mod special;
mod storage;
mod tamper;
mod witnesses;
