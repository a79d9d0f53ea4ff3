//! The stack at its seams: frames made by hand go in, frames and events come out.

mod arp;
mod datagrams;
mod link;
mod requests;
