//! IP: what arrives ([`receive`]), what is too large and leaves in pieces ([`fragment`]), pieces put together again
//! ([`reassembly`]), and the identifications that keep them apart.

mod fragment;
mod identification;
pub(crate) mod reassembly;
mod receive;
mod receive_v4;
mod receive_v6;

pub(crate) use identification::Identifications;
pub(crate) use receive::Incoming;
