//! Header views and checksums, a file per header.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod tcp;
