//! Attacks by whoever can send packets with any source, and sees no answer but those to its own address: floods,
//! guesses, and peers that draw more out of a stack than they put in. Each is counted, and what it may cost is asserted.

mod arena;
mod blind;
mod churn;
mod flood;
mod numbers;
