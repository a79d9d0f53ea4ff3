//! The names by which DNS asks for an address: `in-addr.arpa` (RFC 1035 §3.5) and `ip6.arpa` (RFC 3596 §2.5).

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The name whose PTR record names the address.
#[must_use]
pub fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let mut name = String::with_capacity(72);
            for octet in v6.octets().iter().rev() {
                // Writing into a String does not fail.
                let _ = write!(name, "{:x}.{:x}.", octet & 0xf, octet >> 4);
            }
            name + "ip6.arpa"
        }
    }
}

/// The address that a name of these two domains asks for; `None` where it is another name, or not a whole address.
#[must_use]
pub fn parse_reverse(name: &str) -> Option<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut labels = labels.split('.');
        for octet in octets.iter_mut().rev() {
            let label = labels.next()?;
            let canonical = label == "0" || !label.starts_with('0');
            *octet = label.parse().ok().filter(|_| canonical && !label.starts_with('+'))?;
        }
        return labels.next().is_none().then_some(IpAddr::V4(Ipv4Addr::from(octets)));
    }
    let mut labels = name.strip_suffix(".ip6.arpa")?.split('.');
    let mut bits: u128 = 0;
    for position in 0..32 {
        let label = labels.next().filter(|label| label.len() == 1)?;
        let nibble = u128::from(label.chars().next()?.to_digit(16)?);
        bits |= nibble << (4 * position);
    }
    labels.next().is_none().then_some(IpAddr::V6(Ipv6Addr::from_bits(bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reverse_name_leads_back_to_its_address() {
        for text in ["192.0.2.7", "0.0.0.0", "255.255.255.255", "::", "2001:db8::567:89ab", "ff02::1"] {
            let address: IpAddr = text.parse().expect(text);
            assert_eq!(parse_reverse(&reverse_name(address)), Some(address));
        }
        // The example of RFC 3596 §2.5.
        assert_eq!(
            reverse_name("4321:0:1:2:3:4:567:89ab".parse().expect("address")),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa"
        );
    }

    #[test]
    fn what_is_not_a_whole_address_is_none() {
        for name in [
            "2.0.192.in-addr.arpa",
            "1.2.3.4.5.in-addr.arpa",
            "256.0.0.1.in-addr.arpa",
            "01.2.3.4.in-addr.arpa",
            "+1.2.3.4.in-addr.arpa",
            "1.ip6.arpa",
            "example.com",
            "in-addr.arpa",
            "",
        ] {
            assert_eq!(parse_reverse(name), None, "{name}");
        }
    }
}
