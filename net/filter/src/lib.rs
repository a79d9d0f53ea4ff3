//! The packet filter: rules, connection tracking, rates and address sets, as a value.
//!
//! A [`Filter`] is given packets, on which hook they come, on which interface, and what time it is; it says what becomes
//! of them. What its rules say is a [`Ruleset`], read from a text that docs/filter.md tells of. Nothing here knows of
//! sockets, clocks or threads.
//!
//! ```text
//!                     what is it?                which rules?           in order
//!  packet ---------> connections -------------> finder -------------> conditions -----> verdict
//!                     |  ^ state                 by address, port      sets, rates        |
//!                     |  '------------------------------ accepted: remembered ------------'
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | [`Ruleset`] | the rules as they are written: read, checked, written again |
//! | [`Filter`] | the rules in force, with counters, connections and rates |
//! | [`Packet`] | what is looked at |
//! | [`AddressSet`], [`Bucket`] | sets and rates, for use by themselves as well |
//! | [`Sample`] | a packet described in words, to try rules with |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod chain;
mod config;
mod filter;
mod limiter;
mod network;
mod packet;
mod rate;
mod rules;
mod sample;
mod set;
mod table;
mod track;
mod verdict;

pub use config::{Config, ENTRIES_MAX, FilterError, Timeouts};
pub use filter::{Filter, INTERFACES_MAX, Memory};
pub use network::{Network, NotANetwork};
pub use packet::{Malformed, Packet, Ports};
pub use rate::{AMOUNT_MAX, Bucket, Period, Rate, Unit};
pub use rules::{
    Action, Answer, Chain, DefaultVerdict, ERRORS_MAX, Errors, FILE_BYTES_MAX, FlagsMatch, Hook, ITEMS_MAX,
    IcmpType, LINE_BYTES_MAX, List, Match, NAME_BYTES_MAX, Per, PortRange, RULES_MAX, RateLimit, RateMatch,
    Rule, RulesError, Ruleset, SET_NETWORKS_MAX, SETS_MAX, Set, State, States, Target,
};
pub use sample::{NotASample, Sample};
pub use set::AddressSet;
pub use verdict::{Counter, Judgement, RuleId, Verdict};
pub use wire::Protocol;
pub use wire::tcp::Flags;
