//! Tests of whole connections: two of them joined by a channel in virtual time ([`pair`]), and one alone with
//! segments written by hand ([`script`]).

mod pair;
mod random;
mod streams;
