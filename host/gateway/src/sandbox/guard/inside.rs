//! Connections that stay inside, on the loopback interface: no packet of theirs comes to the gateway.

use crate::sandbox::plan;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether this address, as the kernel takes it, is the sandbox's own. To the unspecified one is to oneself (ip(7)).
pub(super) fn stays(address: &[u8]) -> bool {
    ip_of(address).is_some_and(|ip| {
        let own = [IpAddr::V4(plan::ADDRESS_V4), IpAddr::V6(plan::ADDRESS_V6)];
        let ip = ip.to_canonical();
        ip.is_loopback() || ip.is_unspecified() || own.contains(&ip)
    })
}

/// `sockaddr_in` is family, port, address; `sockaddr_in6` is family, port, flow information, address.
fn ip_of(address: &[u8]) -> Option<IpAddr> {
    let (family, rest) = address.split_first_chunk()?;
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => rest.get(2..)?.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes).into()),
        libc::AF_INET6 => rest.get(6..)?.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(ip: &str) -> Vec<u8> {
        let family = |family: i32| (family as u16).to_ne_bytes().to_vec();
        match ip.parse().expect("an address") {
            IpAddr::V4(v4) => [family(libc::AF_INET), vec![0, 80], v4.octets().to_vec(), vec![0; 8]].concat(),
            IpAddr::V6(v6) => {
                [family(libc::AF_INET6), vec![0, 80, 0, 0, 0, 0], v6.octets().to_vec(), vec![0; 4]].concat()
            }
        }
    }

    #[test]
    fn what_is_the_sandboxs_own_stays_and_nothing_else() {
        let own = [plan::ADDRESS_V4.to_string(), plan::ADDRESS_V6.to_string()];
        let stay = ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"];
        for ip in stay.into_iter().chain(own.iter().map(String::as_str)) {
            assert!(stays(&bytes(ip)), "{ip}");
        }
        for ip in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "126.255.255.255"] {
            assert!(!stays(&bytes(ip)), "{ip}");
        }
        assert!(!stays(&bytes("127.0.0.1")[..7]) && !stays(b"") && !stays(&[1, 0, 47]), "no address at all");
    }
}
