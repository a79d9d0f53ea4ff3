//! ICMP and ICMPv6: echoes answered, errors sent within limits, errors received and believed only where they quote
//! something that we sent.

mod echo;
mod error;
mod receive;

pub(crate) use error::Problem;
pub(crate) use receive::Report;
