//! The stack at its seams: frames made by hand go in, frames and events come out.

mod arp;
mod datagrams;
mod fragments;
mod icmp;
mod ip;
mod link;
mod ndp;
mod offload;
mod requests;
