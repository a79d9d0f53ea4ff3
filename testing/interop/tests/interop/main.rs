//! Real programs under `weft run`, against real servers.

mod ask;
mod bulk;
mod callers;
mod datagram;
mod first_steps;
mod hostile;
mod ledger;
mod lifecycle;
mod limits;
mod listeners;
mod names;
mod nmap;
mod policy;
mod probe;
mod refusal;
mod report;
mod server_name;
mod status;
mod takers;
mod tap;
mod tools;
mod unix;
mod web;
