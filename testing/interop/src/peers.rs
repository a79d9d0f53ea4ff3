//! The servers that programs under weft talk to: each a program that no one here wrote, but for the echo.

pub mod caddy;
pub mod echo;
pub mod iperf;
pub mod nginx;
pub mod postgres;
pub mod registry;
pub mod sshd;
pub mod stack;
