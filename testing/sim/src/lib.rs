//! Stacks joined by impaired links, in virtual time, from one seed.
//!
//! - [`World`]: hosts, links and the clock; [`World::run_until`] lets time pass from one event to the next
//! - [`Link`]: delay, rate, queue, loss, reordering, duplication, corruption, MTU, offloads of one link
//! - [`World::router`], [`World::join`]: paths of several links, each another there than back
//! - [`Port`]: a link's end as a [`packet::Device`], for whatever is no stack of the world's own
//! - [`Transfer`]: bytes both ways over one TCP connection, compared with what was sent
//! - [`Flows`]: connections that send as much as they may, side by side
//! - [`for_each_seed`]: runs a test under many seeds; a failing one says how to replay it (`WEFT_SEED`)
//! - [`Trace`]: what passed, as pcap (`WEFT_PCAP`)
#![forbid(unsafe_code)]

mod examine;
mod finish;
mod flows;
mod joining;
mod link;
mod narrow;
mod port;
mod random;
mod router;
mod scenario;
mod seeds;
mod sighting;
mod stream;
mod trace;
mod transfer;
mod wire_end;
mod world;

pub use examine::{Fault, examine};
pub use finish::finish;
pub use flows::Flows;
pub use joining::{Node, RouterId};
pub use link::{Burst, Link, Offloading, Reorder};
pub use narrow::Narrow;
pub use port::Port;
pub use random::Random;
pub use router::Refusals;
pub use scenario::{Conduct, Cut, End, Hop, Network, Opening, Outcome, Scale, Scenario, Talk};
pub use seeds::for_each_seed;
pub use sighting::{Seen, Sighting};
pub use trace::Trace;
pub use transfer::{Plan, Transfer};
pub use wire_end::Passage;
pub use world::{HostId, LinkId, World};
