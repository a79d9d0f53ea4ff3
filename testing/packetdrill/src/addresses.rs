//! Socket addresses as C has them: a family in the machine's order, then a port and an address in the network's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of `sockaddr_in` and of `sockaddr_in6`.
pub const V4_LENGTH: usize = 16;
/// Bytes of `sockaddr_in6`.
pub const V6_LENGTH: usize = 28;

/// Reads an address.
///
/// # Errors
///
/// `EINVAL` where it is too short for its family, `EAFNOSUPPORT` where that is none of IP's.
pub fn read(bytes: &[u8]) -> Result<SocketAddr, i32> {
    let Some((family, rest)) = bytes.split_first_chunk::<2>() else { return Err(libc::EINVAL) };
    let Some((port, rest)) = rest.split_first_chunk::<2>() else { return Err(libc::EINVAL) };
    let port = u16::from_be_bytes(*port);
    let ip: IpAddr = match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET if bytes.len() >= V4_LENGTH => {
            let octets = rest.first_chunk::<4>().ok_or(libc::EINVAL)?;
            Ipv4Addr::from(*octets).into()
        }
        libc::AF_INET6 if bytes.len() >= V6_LENGTH => {
            // Behind the flow label.
            let octets = rest.get(4..).and_then(|rest| rest.first_chunk::<16>()).ok_or(libc::EINVAL)?;
            Ipv6Addr::from(*octets).into()
        }
        libc::AF_INET | libc::AF_INET6 => return Err(libc::EINVAL),
        _ => return Err(libc::EAFNOSUPPORT),
    };
    Ok(SocketAddr::new(ip, port))
}

/// Writes an address.
pub fn write(address: SocketAddr) -> Vec<u8> {
    let (family, length) = match address {
        SocketAddr::V4(_) => (libc::AF_INET, V4_LENGTH),
        SocketAddr::V6(_) => (libc::AF_INET6, V6_LENGTH),
    };
    let mut bytes = Vec::with_capacity(length);
    bytes.extend((family as u16).to_ne_bytes());
    bytes.extend(address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) => bytes.extend(ip.octets()),
        IpAddr::V6(ip) => {
            bytes.extend([0; 4]);
            bytes.extend(ip.octets());
        }
    }
    bytes.resize(length, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["192.0.2.1:8080", "[2001:db8::1]:443"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(read(&write(address)), Ok(address));
        }
    }

    #[test]
    fn what_is_short_or_foreign_is_refused() {
        let whole = write("192.0.2.1:8080".parse().unwrap());
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), Err(libc::EINVAL), "{length}");
        }
        let mut six = whole.clone();
        six[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
        assert_eq!(read(&six), Err(libc::EINVAL));
        assert_eq!(read(&[0xff; 28]), Err(libc::EAFNOSUPPORT));
    }
}
