//! A packet socket on an interface that exists: Ethernet frames past the kernel's own IP.

use crate::drops::Drops;
use crate::framed::{FRAME_BYTES_MAX, Framed};
use packet::{Batch, Capabilities, Device, DeviceError, Medium};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::mem::size_of;

/// How much the socket queues each way, in bytes: 64 of the largest frames, each with the kernel's own overhead.
const QUEUE_BYTES: libc::c_int = 8 << 20;

/// A raw socket bound to one interface, with segmentation and checksum offload both ways.
///
/// Frames carry a virtio-net header as on a [`Tap`](crate::Tap). Frames with a VLAN tag are not received: the
/// kernel takes the tag out of the frame, and without it the frame would look like one of ours.
///
/// ```no_run
/// use link::PacketSocket;
/// use packet::{Batch, Device};
///
/// // With CAP_NET_RAW in the network namespace, on its second interface.
/// let mut device = PacketSocket::from_fd(PacketSocket::open(2)?, 1_500);
/// let mut batch = Batch::with_capacity(64);
/// device.receive(&mut batch)?;
/// println!("{} frames, {:?}", batch.len(), device.drops());
/// # Ok::<(), packet::DeviceError>(())
/// ```
#[derive(Debug)]
pub struct PacketSocket {
    framed: Framed,
    mtu: u16,
}

impl PacketSocket {
    /// Opens a socket on interface `index` of the caller's network namespace and returns its descriptor, ready
    /// for [`from_fd`](Self::from_fd), here or in another process. An example is at [`PacketSocket`].
    ///
    /// # Errors
    ///
    /// Where the caller may not, the interface does not exist, or the kernel lacks what is asked of it.
    pub fn open(index: u32) -> Result<OwnedFd, DeviceError> {
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // Protocol 0: nothing is received, from whichever interface, before the socket is bound to ours.
        // SAFETY: takes and gives integers.
        let raw = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        check(raw, "opening a packet socket")?;
        // SAFETY: `raw` was just opened and is nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        let on = |option, doing| set_option(&fd, libc::SOL_PACKET, option, &1, doing);
        on(libc::PACKET_VNET_HDR, "asking for virtio-net headers on a packet socket")?;
        on(libc::PACKET_IGNORE_OUTGOING, "keeping own frames out of a packet socket")?;
        // Each frame is handed to the interface at once instead of through its queueing discipline.
        on(libc::PACKET_QDISC_BYPASS, "passing by the interface's queue")?;
        enlarge_queue(&fd, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)?;
        enlarge_queue(&fd, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)?;
        refuse_tagged(&fd)?;
        bind(&fd, index)?;
        Ok(fd)
    }

    /// A device over a descriptor from [`open`](Self::open); `mtu` is the interface's.
    pub fn from_fd(fd: OwnedFd, mtu: u16) -> Self {
        let framed = Framed::new(fd, "reading from the packet socket", "writing to the packet socket");
        Self { framed, mtu }
    }

    /// What ended at the device, by reason.
    pub fn drops(&self) -> Drops {
        self.framed.drops
    }
}

impl Device for PacketSocket {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            medium: Medium::Ethernet,
            mtu: self.mtu,
            transmit_checksum: true,
            segmentation_bytes_max: FRAME_BYTES_MAX as u32,
        }
    }

    fn receive(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        self.framed.receive(batch)
    }

    fn transmit(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        self.framed.transmit(batch)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.framed.fd.as_fd()
    }
}

/// Enlarges one queue, past the system's limit where the caller may, else up to it.
fn enlarge_queue(fd: &OwnedFd, force: libc::c_int, option: libc::c_int) -> Result<(), DeviceError> {
    const DOING: &str = "enlarging a packet socket's queue";
    set_option(fd, libc::SOL_SOCKET, force, &QUEUE_BYTES, DOING)
        .or_else(|_| set_option(fd, libc::SOL_SOCKET, option, &QUEUE_BYTES, DOING))
}

/// Has the kernel drop frames whose VLAN tag it took out.
fn refuse_tagged(fd: &OwnedFd) -> Result<(), DeviceError> {
    let vlan_present = (libc::SKF_AD_OFF + libc::SKF_AD_VLAN_TAG_PRESENT) as u32;
    let step = |code: u32, jump_true, k| libc::sock_filter { code: code as u16, jt: jump_true, jf: 0, k };
    let program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, vlan_present),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, u32::MAX),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    set_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter, "filtering VLAN tags")
}

fn bind(fd: &OwnedFd, index: u32) -> Result<(), DeviceError> {
    // SAFETY: `sockaddr_ll` is plain data, for which all zeroes is a value.
    let mut address: libc::sockaddr_ll = unsafe { core::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index as i32;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address is `length` bytes of `sockaddr_ll`, and is only read.
    let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
    check(result, "binding a packet socket to its interface")
}

fn set_option<T>(
    fd: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
    doing: &'static str,
) -> Result<(), DeviceError> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes of `value`; what a filter program points to outlives the call.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const *value).cast(), length) };
    check(result, doing)
}

fn check(result: libc::c_int, doing: &'static str) -> Result<(), DeviceError> {
    if result < 0 {
        let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        return Err(DeviceError { doing, code });
    }
    Ok(())
}
