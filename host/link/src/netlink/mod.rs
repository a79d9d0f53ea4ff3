//! Interfaces, addresses, routes and neighbours by rtnetlink (rtnetlink(7)): the few requests that a namespace's link needs,
//! sent in one batch, so that setting it up costs two system calls and no process.
//!
//! ```no_run
//! use link::netlink::{Requests, RouteSocket};
//! let socket = RouteSocket::open()?;
//! let index = socket.interface_index("eth0")?;
//! let mut requests = Requests::new();
//! requests.set_up(index, Some(1500), None);
//! requests.add_address(index, "10.0.2.15".parse().unwrap(), 24);
//! requests.add_default_route(index, "10.0.2.2".parse().unwrap());
//! requests.add_neighbour(index, "10.0.2.2".parse().unwrap(), [2, 0, 0, 0, 0, 2]);
//! socket.perform(&requests)?;
//! # Ok::<(), packet::DeviceError>(())
//! ```

mod message;
mod socket;

pub use message::{Mac, Requests};
pub use socket::RouteSocket;
