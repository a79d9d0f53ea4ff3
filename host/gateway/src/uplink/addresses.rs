//! The host's own addresses, asked of the kernel by rtnetlink (RTM_GETADDR).

use rustix::io;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_DONE: u16 = 3;
const NLMSG_ERROR: u16 = 2;
/// NLM_F_REQUEST | NLM_F_DUMP.
const REQUEST_DUMP: u16 = 0x301;
/// Bytes of a netlink message header, and of the address message after it.
const MESSAGE_HEADER_BYTES: usize = 16;
const ADDRESS_HEADER_BYTES: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// More interfaces than this many bytes describe do not fit one netlink datagram anyway.
const REPLY_BYTES_MAX: usize = 65_536;

/// Every address that an interface of the host has now.
///
/// # Errors
///
/// The kernel's, where it does not let this process ask.
pub fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let socket = net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None, // NETLINK_ROUTE is protocol 0
    )?;
    net::send(&socket, &request(), SendFlags::empty())?;
    let mut found = Vec::new();
    let mut reply = vec![0; REPLY_BYTES_MAX];
    loop {
        let (count, _) = net::recv(&socket, &mut reply[..], RecvFlags::empty())?;
        if count == 0 || !collect(&reply[..count], &mut found) {
            return Ok(found);
        }
    }
}

fn request() -> [u8; MESSAGE_HEADER_BYTES + ADDRESS_HEADER_BYTES] {
    let mut message = [0; MESSAGE_HEADER_BYTES + ADDRESS_HEADER_BYTES];
    let length = message.len() as u32;
    message[0..4].copy_from_slice(&length.to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_GETADDR.to_ne_bytes());
    message[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    message
}

/// Adds the addresses of one datagram of messages. Whether more datagrams follow.
fn collect(mut messages: &[u8], found: &mut Vec<IpAddr>) -> bool {
    while let Some((header, _)) = messages.split_at_checked(MESSAGE_HEADER_BYTES) {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        if kind == NLMSG_DONE || kind == NLMSG_ERROR {
            return false;
        }
        let Some(message) = messages.get(MESSAGE_HEADER_BYTES..length) else { return false };
        if kind == RTM_NEWADDR {
            found.extend(address_of(message));
        }
        messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    true
}

/// The address in one RTM_NEWADDR message; on a point-to-point link the local end, not the peer.
fn address_of(message: &[u8]) -> Option<IpAddr> {
    let mut attributes = message.get(ADDRESS_HEADER_BYTES..)?;
    let mut address = None;
    while let [l0, l1, k0, k1, ..] = *attributes {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let kind = u16::from_ne_bytes([k0, k1]);
        let value = attributes.get(4..length)?;
        match kind {
            IFA_LOCAL => return parse(value),
            IFA_ADDRESS => address = parse(value),
            _ => {}
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    address
}

fn parse(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(IpAddr::V4(Ipv4Addr::from(octets)));
    }
    <[u8; 16]>::try_from(value).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_names_an_address_that_this_process_can_bind() {
        let found = own_addresses().expect("rtnetlink answers");
        for address in found.iter().filter(|address| address.is_ipv4()) {
            std::net::UdpSocket::bind((*address, 0)).expect("an own address can be bound");
        }
        assert!(found.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}
