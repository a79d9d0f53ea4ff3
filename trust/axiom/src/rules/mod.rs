//! Which connections are allowed: rules by name and by address. Deny wins, and what no rule names is denied.
//!
//! ```text
//! RULE   = [tcp://|udp://|icmp://] TARGET [:PORT[-PORT]] | dns://TARGET | unix:PATH[/]
//! TARGET = name | *.name | IPv4 | [IPv6] | IPv4/BITS | [IPv6]/BITS | [IPv6/BITS]
//! ```
//!
//! - Without a scheme a rule speaks of TCP, UDP and ICMP alike. With a port it does not speak of ICMP, which has none.
//! - Without a port it speaks of every port.
//! - `dns://name` lets the name be asked for and nothing be connected to; denied, it keeps the name from being asked for.
//! - A name is that name alone; `*.name` is every name below it at any depth, and not the name itself.
//! - A name rule says nothing about connections opened by address, an address rule nothing about names. An address rule
//!   does let a name that is allowed lead to an inner address ([`addresses`](crate::addresses)), and an address that is
//!   denied stays so by whichever name it is reached.
//! - IPv4-mapped IPv6 addresses are IPv4 here. A deny rule for an IPv4 address also holds for the IPv6 forms that carry
//!   it (NAT64, 6to4, Teredo); an allow rule does not.
//! - `unix:/path` is the Unix socket with this path on the host and says nothing about networks; a network's rule says
//!   nothing about Unix sockets. The path is written in its shortest absolute form. `unix:/directory/` is every socket below
//!   it, at any depth, and `unix:/` every one.
//! - An IPv6 address without brackets is understood where it can mean one thing only, and never with a port.

mod host;
mod parse;
mod ports;
mod rule;
mod set;
mod table;
#[cfg(test)]
mod tests;

pub use host::{Host, hint};
pub use parse::{RULE_BYTES_MAX, RuleError, UNIX_PATH_BYTES_MAX};
pub(crate) use rule::masked;
pub use rule::{Network, Ports, Protocol, Rule, Target};
pub use set::{Decision, Rules};
