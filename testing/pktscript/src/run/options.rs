//! The options at a script's head.

use std::net::IpAddr;
use std::time::Duration;

/// What a script says of how it is to be run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// IP version 6.
    pub ipv6: bool,
    /// The stack's address.
    pub local: Option<IpAddr>,
    /// The script's.
    pub remote: Option<IpAddr>,
    /// The link's MTU.
    pub mtu: u16,
    /// Bytes of the segments that a larger packet from the script counts as.
    pub mss: Option<u16>,
    /// How far a time may be off at least.
    pub tolerance: Option<Duration>,
    /// Microseconds of one tick of our timestamps.
    pub tick_us: Option<u32>,
    /// Segments have the lengths that the script has.
    pub strict_segments: bool,
}

impl Options {
    /// Sets one.
    ///
    /// # Errors
    ///
    /// The option, where it is not known.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let unknown = || format!("option --{name}={value}");
        match name {
            "ip_version" => match value {
                "ipv4" => self.ipv6 = false,
                "ipv6" => self.ipv6 = true,
                _ => return Err(unknown()),
            },
            "local_ip" => self.local = Some(address(value).ok_or_else(unknown)?),
            "remote_ip" => self.remote = Some(address(value).ok_or_else(unknown)?),
            "mtu" => self.mtu = value.parse().map_err(|_| unknown())?,
            "mss" => self.mss = Some(value.parse().map_err(|_| unknown())?),
            "tolerance_usecs" => {
                self.tolerance = Some(Duration::from_micros(value.parse().map_err(|_| unknown())?));
            }
            "tcp_ts_tick_usecs" => self.tick_us = Some(value.parse().map_err(|_| unknown())?),
            "strict_segments" => self.strict_segments = true,
            // Read before the script is parsed, or without a meaning here.
            "define" | "gateway_ip" | "netmask_ip" | "send_omit_free" | "verbose" | "non_fatal" => {}
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

/// An address, with or without a prefix length.
fn address(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}
