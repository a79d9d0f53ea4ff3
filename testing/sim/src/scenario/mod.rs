//! One number decides a network, what harms it, who talks over it and how: the whole of a case, and what must be true of
//! every one.
//!
//! - [`Scenario`]: all that a seed decides, as data
//! - [`network`]: hops, routers, impairments, links that are cut and come back
//! - [`profile`]: how each side's TCP is set up
//! - [`conduct`]: what each side's program does
//! - [`talk`]: one connection after the other between the same ports, against the model of its byte streams
//! - [`figures`]: what a connection tells of itself
//! - [`flight`]: what the congestion window lets leave
//! - [`watch`]: what the packets themselves must obey
//! - [`run`]: the case from its start until nothing is left

mod conduct;
mod draw;
mod figures;
mod flight;
mod network;
mod profile;
mod run;
mod side;
mod talk;
mod watch;

pub use conduct::{Conduct, End, Opening, Talk};
pub use draw::{Scale, Scenario};
pub use network::{Cut, Hop, Network};
pub use run::Outcome;
