//! The link: made by init inside the new network namespace, its other end handed to the gateway.

use super::device::Attachment;
use super::error::{During, LaunchError, Step};
use super::plan;
use crate::options::Attach;
use link::netlink::{Requests, RouteSocket};
use link::{PacketSocket, Tap};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use std::net::IpAddr;

/// The gateway's end of the link.
pub(super) struct Link {
    pub attachment: Attachment,
    pub device: OwnedFd,
}

/// Makes the interface in the caller's network namespace.
pub(super) fn attach(choice: Attach, mtu: u16) -> Result<Link, LaunchError> {
    match choice {
        Attach::Tap => attach_tap(),
        Attach::Veth => attach_veth(mtu),
        Attach::Auto => attach_tap().or_else(|tap| {
            attach_veth(mtu).map_err(|veth| LaunchError {
                detail: format!("{}; in its place: {tap}", veth.detail),
                ..veth
            })
        }),
    }
}

fn attach_tap() -> Result<Link, LaunchError> {
    let device = Tap::create(plan::INTERFACE).during(Step::AttachTap, "")?;
    Ok(Link { attachment: Attachment::Tap, device })
}

/// A veth pair whose far end lies in a second namespace, with a packet socket on it. The namespace has no name and
/// no process: the socket alone keeps it, so that it goes with the gateway.
fn attach_veth(mtu: u16) -> Result<Link, LaunchError> {
    let step = Step::AttachVeth;
    let near = rustix::fs::open("/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .during(step, "opening the network namespace")?;
    super::process::unshare(UnshareFlags::NEWNET).during(step, "making a second network namespace")?;
    let socket = RouteSocket::open().during(step, "")?;
    let mut pair = Requests::new();
    pair.add_veth(plan::FAR_INTERFACE, plan::INTERFACE, near.as_fd());
    socket.perform(&pair).during(step, "")?;
    let index = socket.interface_index(plan::FAR_INTERFACE).during(step, "")?;
    quiet(&socket, index);
    let mut up = Requests::new();
    up.set_up(index, Some(mtu), None);
    socket.perform(&up).during(step, "the far end")?;
    let device = PacketSocket::open(index).during(step, "")?;
    rustix::thread::move_into_link_name_space(near.as_fd(), Some(LinkNameSpaceType::Network))
        .during(step, "returning to the first network namespace")?;
    Ok(Link { attachment: Attachment::Veth, device })
}

/// Keeps an interface from speaking IPv6 by itself. Whether the kernel has IPv6 at all.
fn quiet(socket: &RouteSocket, index: u32) -> bool {
    let mut requests = Requests::new();
    requests.disable_link_local(index);
    socket.perform(&requests).is_ok()
}

/// Sets the loopback interface and the link up, with the addresses and routes of the [`plan`]; who the gateway
/// is stands too, so that nothing waits for its answer. The error for IPv6 is the inner one: the sandbox can do without.
pub(super) fn configure(mtu: u16) -> Result<Result<(), LaunchError>, LaunchError> {
    let socket = RouteSocket::open().during(Step::ConfigureLink, "")?;
    let index = socket.interface_index(plan::INTERFACE).during(Step::ConfigureLink, plan::INTERFACE)?;
    quiet(&socket, index);
    let mut v4 = Requests::new();
    v4.set_loopback_up();
    v4.set_queue_length(index, plan::QUEUE_LENGTH);
    v4.set_up(index, Some(mtu), Some(plan::MAC));
    v4.add_address(index, IpAddr::V4(plan::ADDRESS_V4), plan::PREFIX_LENGTH_V4);
    v4.add_default_route(index, IpAddr::V4(plan::GATEWAY_V4));
    v4.add_neighbour(index, IpAddr::V4(plan::GATEWAY_V4), plan::GATEWAY_MAC);
    socket.perform(&v4).during(Step::ConfigureLink, plan::INTERFACE)?;
    let mut v6 = Requests::new();
    v6.add_address(index, IpAddr::V6(plan::ADDRESS_V6), plan::PREFIX_LENGTH_V6);
    v6.add_default_route(index, IpAddr::V6(plan::GATEWAY_V6));
    v6.add_neighbour(index, IpAddr::V6(plan::GATEWAY_V6), plan::GATEWAY_MAC);
    Ok(socket.perform(&v6).during(Step::ConfigureIpv6, plan::INTERFACE))
}

/// A NETLINK_SOCK_DIAG socket of the caller's network namespace: whoever holds it lists the sandbox's sockets.
pub(super) fn socket_tables() -> Result<OwnedFd, LaunchError> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink};
    let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
    rustix::net::socket_with(family, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG))
        .during(Step::OpenSocketTables, "")
}

/// Lets every group that exists inside send ICMP echo by ping sockets.
pub(super) fn allow_ping(groups: Option<(u32, u32)>) -> Result<(), LaunchError> {
    const SETTING: &str = "/proc/sys/net/ipv4/ping_group_range";
    let Some((first, last)) = groups else { return Ok(()) };
    std::fs::write(SETTING, format!("{first} {last}")).during(Step::AllowPing, SETTING)
}

/// Lets the command listen on every port of its own network, as root could outside: it has no capability there.
pub(super) fn allow_ports() -> Result<(), LaunchError> {
    const SETTING: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    std::fs::write(SETTING, "0").during(Step::AllowPorts, SETTING)
}

/// Has every connection begin with connect, which the guard sees: without TCP Fast Open (RFC 7413) a first packet with data is
/// none that a send could send.
pub(super) fn refuse_fast_open() -> Result<(), LaunchError> {
    const SETTING: &str = "/proc/sys/net/ipv4/tcp_fastopen";
    match std::fs::write(SETTING, "0") {
        // A kernel without it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.during(Step::RefuseFastOpen, SETTING),
    }
}
