//! The stack at its seams: frames made by hand go in, frames and events come out.

mod accept;
mod arp;
mod connections;
mod cookies;
mod datagrams;
mod ecn;
mod fast_open;
mod filtering;
mod fragments;
mod hostile;
mod icmp;
mod ip;
mod link;
mod memory;
mod ndp;
mod offload;
mod options;
mod pair;
mod path;
mod requests;
mod segments;
mod unforeseeable;
