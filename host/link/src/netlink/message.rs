//! Requests as bytes (RFC 3549 §2.2 and the kernel's rtnetlink headers), a batch of them in a row.
//!
//! ```text
//! nlmsghdr: length 4, type 2, flags 2, sequence 4, port 4
//! body:     ifinfomsg | ifaddrmsg | rtmsg | ndmsg
//! then:     attributes, each: length 2, type 2, value, padding to 4
//! ```

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

/// An Ethernet address.
pub type Mac = [u8; 6];

pub(super) const HEADER_LENGTH: usize = 16;

/// Attributes of a veth pair's peer (linux/veth.h).
const VETH_INFO_PEER: u16 = 1;

/// How an interface makes its IPv6 addresses (linux/if_link.h): not at all.
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;

/// A gateway is on the link, whatever the routes say (linux/rtnetlink.h).
const RTNH_F_ONLINK: u32 = 4;

/// Requests that [`RouteSocket::perform`](super::RouteSocket::perform) sends together; each is acknowledged.
#[derive(Debug, Default)]
pub struct Requests {
    bytes: Vec<u8>,
    doing: Vec<&'static str>,
    /// Where the request being written starts.
    start: usize,
}

impl Requests {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has interface `index` make no IPv6 link-local address when it comes up: nothing then is announced,
    /// probed or solicited before the first use. Refused where the kernel has no IPv6.
    pub fn disable_link_local(&mut self, index: u32) {
        self.begin("turning IPv6 link-local addresses off", libc::RTM_NEWLINK, 0);
        self.interface_info(index, 0, 0);
        let families = self.open(libc::IFLA_AF_SPEC);
        let inet6 = self.open(libc::AF_INET6 as u16);
        self.attribute(IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
        self.close(inet6);
        self.close(families);
        self.end();
    }

    /// Sets interface `index` up, with this MTU and Ethernet address where given.
    pub fn set_up(&mut self, index: u32, mtu: Option<u16>, mac: Option<Mac>) {
        self.begin("setting an interface up", libc::RTM_NEWLINK, 0);
        self.interface_info(index, libc::IFF_UP as u32, libc::IFF_UP as u32);
        if let Some(mtu) = mtu {
            self.attribute(libc::IFLA_MTU, &u32::from(mtu).to_ne_bytes());
        }
        if let Some(mac) = mac {
            self.attribute(libc::IFLA_ADDRESS, &mac);
        }
        self.end();
    }

    /// Lets `packets` wait at interface `index` for its reader, where it has a queue at all.
    pub fn set_queue_length(&mut self, index: u32, packets: u32) {
        self.begin("setting an interface's queue length", libc::RTM_NEWLINK, 0);
        self.interface_info(index, 0, 0);
        self.attribute(libc::IFLA_TXQLEN, &packets.to_ne_bytes());
        self.end();
    }

    /// Sets the loopback interface (index 1 in every namespace) up.
    pub fn set_loopback_up(&mut self) {
        self.begin("setting the loopback interface up", libc::RTM_NEWLINK, 0);
        self.interface_info(1, libc::IFF_UP as u32, libc::IFF_UP as u32);
        self.end();
    }

    /// Makes a veth pair: `name` here, and `peer` in the network namespace `peer_namespace`.
    pub fn add_veth(&mut self, name: &str, peer: &str, peer_namespace: BorrowedFd<'_>) {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        self.begin("making a veth pair", libc::RTM_NEWLINK, flags);
        self.interface_info(0, 0, 0);
        self.name(libc::IFLA_IFNAME, name);
        let info = self.open(libc::IFLA_LINKINFO);
        self.name(libc::IFLA_INFO_KIND, "veth");
        let data = self.open(libc::IFLA_INFO_DATA);
        let other = self.open(VETH_INFO_PEER);
        self.interface_info(0, 0, 0);
        self.name(libc::IFLA_IFNAME, peer);
        self.attribute(libc::IFLA_NET_NS_FD, &peer_namespace.as_raw_fd().to_ne_bytes());
        self.close(other);
        self.close(data);
        self.close(info);
        self.end();
    }

    /// Gives interface `index` an address, and no route to its network: with two ends on the link, and us the other,
    /// whatever else has an address in it is behind the gateway too. For the same reason an IPv6 address is usable at
    /// once, without duplicate detection (RFC 4862 §5.4).
    pub fn add_address(&mut self, index: u32, address: IpAddr, prefix_length: u8) {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        self.begin("adding an address", libc::RTM_NEWADDR, flags);
        let no_detection = if address.is_ipv6() { libc::IFA_F_NODAD } else { 0 };
        // The header's flags have a byte, and this one is beyond it: the attribute replaces them.
        let flags = no_detection | libc::IFA_F_NOPREFIXROUTE;
        let body = [family(address), prefix_length, 0, libc::RT_SCOPE_UNIVERSE];
        self.bytes.extend_from_slice(&body);
        self.bytes.extend_from_slice(&index.to_ne_bytes());
        if address.is_ipv4() {
            self.address(libc::IFA_LOCAL, address);
        }
        self.address(libc::IFA_ADDRESS, address);
        self.attribute(libc::IFA_FLAGS, &flags.to_ne_bytes());
        self.end();
    }

    /// Sends what no other route takes to `gateway`, which is on the link of interface `index`.
    pub fn add_default_route(&mut self, index: u32, gateway: IpAddr) {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        self.begin("adding a default route", libc::RTM_NEWROUTE, flags);
        let (table, protocol) = (libc::RT_TABLE_MAIN, libc::RTPROT_STATIC);
        let scope = libc::RT_SCOPE_UNIVERSE;
        let body = [family(gateway), 0, 0, 0, table, protocol, scope, libc::RTN_UNICAST];
        self.bytes.extend_from_slice(&body);
        self.bytes.extend_from_slice(&RTNH_F_ONLINK.to_ne_bytes());
        self.address(libc::RTA_GATEWAY, gateway);
        self.attribute(libc::RTA_OIF, &index.to_ne_bytes());
        self.end();
    }

    /// Tells the Ethernet address of a neighbour on the link of interface `index`, for good: it is never asked for. Else what is
    /// sent before the answer waits, and what is sent while that leaves goes in between.
    pub fn add_neighbour(&mut self, index: u32, address: IpAddr, mac: Mac) {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        self.begin("adding a neighbour", libc::RTM_NEWNEIGH, flags);
        self.bytes.extend_from_slice(&[family(address), 0, 0, 0]);
        self.bytes.extend_from_slice(&index.to_ne_bytes());
        self.bytes.extend_from_slice(&libc::NUD_PERMANENT.to_ne_bytes());
        // Flags, and a type that the kernel knows itself.
        self.bytes.extend_from_slice(&[0; 2]);
        self.address(libc::NDA_DST, address);
        self.attribute(libc::NDA_LLADDR, &mac);
        self.end();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What each request does, in order; the first has sequence number 0.
    pub(super) fn doing(&self) -> &[&'static str] {
        &self.doing
    }

    fn begin(&mut self, doing: &'static str, kind: u16, flags: i32) {
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags;
        let sequence = self.doing.len() as u32;
        self.doing.push(doing);
        self.start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
    }
    fn end(&mut self) {
        let length = (self.bytes.len() - self.start) as u32;
        self.bytes[self.start..self.start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// `ifinfomsg`; of the flags only those in `change` are changed.
    fn interface_info(&mut self, index: u32, flags: u32, change: u32) {
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&index.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&change.to_ne_bytes());
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = (4 + value.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn name(&mut self, kind: u16, name: &str) {
        let terminated: Vec<u8> = name.bytes().chain([0]).collect();
        self.attribute(kind, &terminated);
    }

    fn address(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    /// Opens an attribute that holds attributes; [`close`](Self::close) writes its length.
    fn open(&mut self, kind: u16) -> usize {
        let at = self.bytes.len();
        self.attribute(kind, &[]);
        at
    }

    fn close(&mut self, at: usize) {
        let length = (self.bytes.len() - at) as u16;
        self.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes());
    }
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { libc::AF_INET as u8 } else { libc::AF_INET6 as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_stand_in_a_row_each_with_its_length_and_number() {
        let mut requests = Requests::new();
        requests.set_up(7, Some(1500), Some([2, 0, 0, 0, 0, 1]));
        requests.add_address(7, "fd00:2::15".parse().unwrap(), 64);
        requests.add_default_route(7, "10.0.2.2".parse().unwrap());
        requests.add_neighbour(7, "10.0.2.2".parse().unwrap(), [2, 0, 0, 0, 0, 2]);
        let mut rest = requests.bytes();
        for number in 0..4u32 {
            let length = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(rest[8..12], number.to_ne_bytes());
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
        assert_eq!(requests.doing().len(), 4);
    }

    #[test]
    fn attributes_are_padded_but_their_length_is_not() {
        let mut requests = Requests::new();
        requests.attribute(9, &[1, 2, 3]);
        assert_eq!(requests.bytes()[..2], 7u16.to_ne_bytes());
        assert_eq!(requests.bytes()[4..], [1, 2, 3, 0]);
    }
}
