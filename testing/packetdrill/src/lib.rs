//! The stack behind the interface through which the stock packetdrill drives a stack in a shared library
//! (`--so_filename`): a struct of C functions that [`packetdrill_interface_init`] fills in.
//!
//! ```text
//!   packetdrill                      this library
//!   main thread   netdev_send ----> |  Machine: stack, virtual clock, |
//!                 netdev_receive <- |  sockets, calls that wait       |  one lock
//!                 usleep, clock --> |                                 |
//!   second thread accept, read ---> |  waits until its call is done   |
//! ```
//!
//! Time is virtual and moves only by `usleep`, by `netdev_receive` that waits for a packet, and by a microsecond for each
//! look at the clock. A call that blocks is finished by whoever lets the packet in or the time pass that it waits for, so
//! that a script runs the same each time.
//!
//! - [`interface`]: the struct, and the entry point
//! - `entries`: the C functions: pointers are looked at here, and nowhere else
//! - [`adapter`]: the lock, and how a call waits
//! - [`machine`]: the stack with its clock and its packets
//! - [`calls`]: calls that may wait: what each does, and whether it is done
//! - [`descriptors`]: calls that never wait
//! - [`sockets`], [`options`], [`figures`], [`addresses`]: descriptors, their options, TCP_INFO, their addresses
#![cfg(target_os = "linux")]

pub mod adapter;
pub mod addresses;
pub mod calls;
pub mod descriptors;
mod entries;
pub mod figures;
pub mod interface;
pub mod machine;
pub mod options;
pub mod sockets;

pub use interface::packetdrill_interface_init;
