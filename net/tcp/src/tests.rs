//! Tests of whole connections: one alone with segments written by hand ([`script`]), a file for each part of its
//! life, and two joined by a channel in virtual time ([`pair`]).

mod acknowledging;
mod arriving;
mod behaviour;
mod closing;
mod fast_open;
mod hostile;
mod losing;
mod marking;
mod opening;
mod options;
mod pacing;
mod pair;
mod path_size;
mod random;
mod recovering;
mod script;
mod selective;
mod sending;
mod streams;
mod telling;
mod user_timeout;
mod wire;
