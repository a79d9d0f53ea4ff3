//! A network stack in user space: the face for Rust programs.
#![forbid(unsafe_code)]
