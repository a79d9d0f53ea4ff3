//! The servers that `bench tcp` measures: `bench server NAME PURPOSE [ADDRESS]`.
//!
//! Each serves the same things ([`service`]) on one thread, says "listening" and goes on until it is killed. Those with a
//! stack of their own open the TAP interface [`TAP`] in the namespace that they are started in.
//!
//! - [`weft`]: on the stack's own face, a turn at a time
//! - [`tasks`]: on the library's sockets, a task a connection; HTTP by hyper
//! - [`smoltcp`]: on smoltcp, with its own device or with one that leaves segmentation to the kernel
//! - [`kernel`]: on the kernel's sockets
//! - [`responder`]: no TCP at all, only answers: what the device and the other side allow
//! - [`bridge`]: two TAPs and nothing between them, so that the kernel's TCP can be behind one too

mod bridge;
mod kernel;
mod responder;
mod service;
mod smoltcp;
mod smoltcp_device;
mod tasks;
mod weft;

pub use service::{DISCARD, ECHO, GENERATE, HTTP, Purpose};

use std::net::{IpAddr, Ipv4Addr};

/// The TAP interface between a stack and the kernel.
pub const TAP: &str = "tap0";
/// The address that every server has.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The client's address.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The version of smoltcp that is measured: the one that this workspace's manifest asks for.
pub const SMOLTCP_VERSION: &str = "0.14";
/// Queues and threads of the server that has several: as many as the processors of the machines that this runs on.
const QUEUES: usize = 2;
/// The link's MTU, in bytes.
const MTU: u16 = 1_500;

/// Runs the server of the given words.
pub fn run(words: &[String]) -> Result<(), String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["weft", _] => weft::serve(),
        ["sockets", _] => tasks::serve(false),
        ["queues", _] => tasks::serve_queues(QUEUES),
        ["hyper", _] => tasks::serve(true),
        ["smoltcp", purpose] => smoltcp::serve(false, Purpose::of(purpose)?),
        ["smoltcp-offload", purpose] => smoltcp::serve(true, Purpose::of(purpose)?),
        ["responder", _] => responder::serve(),
        ["kernel", _] => kernel::serve(IpAddr::V4(ADDRESS)),
        ["bridge", left, right] => bridge::serve(left, right),
        _ => Err("unknown server".to_owned()),
    }
}

/// Tells the one who started this server.
fn tell_listening() {
    println!("listening");
}
