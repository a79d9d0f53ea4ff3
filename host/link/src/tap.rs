//! A TAP interface: Ethernet frames of the namespace that it was made in, through `/dev/net/tun`.

mod error;

pub use error::TapError;

use crate::drops::Drops;
use crate::framed::{FRAME_BYTES_MAX, Framed};
use crate::virtio::VIRTIO_HEADER_LENGTH;
use packet::{Batch, Capabilities, Device, DeviceError, Medium};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::thread;
use std::time::Duration;

/// The device that makes TAP interfaces.
pub const TUN_DEVICE: &str = "/dev/net/tun";

/// How long an interface that is busy is waited for. Where a process with a TAP was killed, the kernel gives its
/// interface back up to some 30 ms later.
const BUSY_WAIT_MAX: Duration = Duration::from_millis(250);

/// How long between two attempts at an interface that is busy.
const BUSY_STEP: Duration = Duration::from_millis(10);

/// A TAP interface, with segmentation and checksum offload both ways.
///
/// The interface lives as long as the descriptor, in the network namespace in which it was
/// [created](Self::create); frames pass wherever the descriptor is.
///
/// ```no_run
/// use link::Tap;
/// use packet::{Batch, Device};
///
/// // With CAP_NET_ADMIN in the network namespace; the interface is there until the device is dropped.
/// let mut device = Tap::open("weft0", 1_500)?;
/// assert!(device.capabilities().transmit_checksum);
/// let mut batch = Batch::with_capacity(64);
/// device.receive(&mut batch)?;
/// println!("{} frames, {:?}", batch.len(), device.drops());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Tap {
    framed: Framed,
    mtu: u16,
}

impl Tap {
    /// Makes the interface `name` in the caller's network namespace and returns its descriptor, ready for
    /// [`from_fd`](Self::from_fd), here or in another process.
    ///
    /// ```no_run
    /// use link::Tap;
    ///
    /// // In a process that may, for one that need not.
    /// let descriptor = Tap::create("weft0")?;
    /// let device = Tap::from_fd(descriptor, 1_500);
    /// # Ok::<(), link::TapError>(())
    /// ```
    ///
    /// An interface that is busy is waited for, up to 250 ms: one whose process was killed a moment ago is.
    ///
    /// # Errors
    ///
    /// Where `/dev/net/tun` cannot be opened, another process has the interface, or the kernel lacks what is asked of
    /// it.
    pub fn create(name: &str) -> Result<OwnedFd, TapError> {
        Self::create_as(name, Queues::One)
    }

    /// Makes the interface `name` in the caller's network namespace with `count` queues, each a device of its own. The
    /// kernel keeps the packets of a connection on one queue: on the one that last sent for it, else by a hash of its
    /// addresses and ports.
    ///
    /// ```no_run
    /// use link::Tap;
    ///
    /// // One for each thread.
    /// for device in Tap::open_queues("weft0", 1_500, 2)? {
    ///     std::thread::spawn(move || println!("{device:?}"));
    /// }
    /// # Ok::<(), link::TapError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create); where the interface takes no more queues.
    pub fn open_queues(name: &str, mtu: u16, count: usize) -> Result<Vec<Self>, TapError> {
        let queue = |_| Ok(Self::from_fd(Self::create_as(name, Queues::Several)?, mtu));
        (0..count).map(queue).collect()
    }

    fn create_as(name: &str, queues: Queues) -> Result<OwnedFd, TapError> {
        let attempt = || {
            let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let fd = rustix::fs::open(TUN_DEVICE, flags, Mode::empty())
                .map_err(|error| DeviceError { doing: "opening /dev/net/tun", code: error.raw_os_error() })?;
            set_interface(&fd, name, queues)?;
            set_number(&fd, libc::TUNSETVNETHDRSZ, "setting the size of the virtio-net header")?;
            set_offloads(&fd)?;
            Ok(fd)
        };
        // Nobody tells when the kernel has given it back.
        while_busy(attempt, thread::park_timeout).map_err(|error| TapError::new(error, name))
    }

    /// Makes the interface `name` in the caller's network namespace, or attaches to the one that is there and has no
    /// owner yet; `mtu` is the interface's, in bytes. An example is at [`Tap`].
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn open(name: &str, mtu: u16) -> Result<Self, TapError> {
        Ok(Self::from_fd(Self::create(name)?, mtu))
    }

    /// A device over a descriptor from [`create`](Self::create), where an example is; `mtu` is the interface's, in bytes.
    pub fn from_fd(fd: OwnedFd, mtu: u16) -> Self {
        Self { framed: Framed::new(fd, "reading from the TAP", "writing to the TAP"), mtu }
    }

    /// What ended at the device, by reason.
    pub fn drops(&self) -> Drops {
        self.framed.drops
    }
}

impl Device for Tap {
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

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.framed.fd.as_fd()
    }
}

/// How many descriptors an interface has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queues {
    One,
    Several,
}

/// Tries again while the interface is busy, after a [`BUSY_STEP`] each, until [`BUSY_WAIT_MAX`] is waited.
fn while_busy<T>(
    mut attempt: impl FnMut() -> Result<T, DeviceError>,
    mut wait: impl FnMut(Duration),
) -> Result<T, DeviceError> {
    let mut waited = Duration::ZERO;
    loop {
        match attempt() {
            Err(error) if error.code == Errno::BUSY.raw_os_error() && waited < BUSY_WAIT_MAX => {
                wait(BUSY_STEP);
                waited += BUSY_STEP;
            }
            outcome => return outcome,
        }
    }
}

/// Attaches the descriptor to a new interface: no packet information, a virtio-net header, and no NAPI, which
/// costs a wake-up for each frame written.
fn set_interface(fd: &OwnedFd, name: &str, queues: Queues) -> Result<(), DeviceError> {
    const DOING: &str = "making the TAP interface";
    // SAFETY: `ifreq` is plain data, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(DeviceError { doing: DOING, code: Errno::INVAL.raw_os_error() });
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    let mut flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    if queues == Queues::Several {
        flags |= libc::IFF_MULTI_QUEUE;
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which `request` is.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    check(result, DOING)
}

/// Sets the virtio-net header's size.
fn set_number(fd: &OwnedFd, request: libc::Ioctl, doing: &'static str) -> Result<(), DeviceError> {
    let length = VIRTIO_HEADER_LENGTH as libc::c_int;
    // SAFETY: TUNSETVNETHDRSZ reads one `int`, which `length` is.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request, &raw const length) };
    check(result, doing)
}

/// Lets the kernel hand us unfinished checksums and large packets: of UDP too where it can (Linux 6.2).
fn set_offloads(fd: &OwnedFd) -> Result<(), DeviceError> {
    let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    let udp = libc::TUN_F_USO4 | libc::TUN_F_USO6;
    let mut result = -1;
    for offloads in [tcp | udp, tcp] {
        // SAFETY: TUNSETOFFLOAD takes its argument by value.
        result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(offloads)) };
        if result == 0 {
            break;
        }
    }
    check(result, "setting the TAP's offloads")
}

fn check(result: libc::c_int, doing: &'static str) -> Result<(), DeviceError> {
    if result < 0 {
        let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        return Err(DeviceError { doing, code });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out where each attempt ends with the next of these numbers, 0 for success, the last one over and over;
    /// and how long was waited.
    fn waited(codes: &[i32]) -> (Result<(), i32>, Duration) {
        let mut codes = codes.iter().copied();
        let mut code = 0;
        let attempt = || {
            code = codes.next().unwrap_or(code);
            if code == 0 { Ok(()) } else { Err(DeviceError { doing: "trying", code }) }
        };
        let mut sum = Duration::ZERO;
        let outcome = while_busy(attempt, |step| sum += step);
        (outcome.map_err(|error| error.code), sum)
    }

    #[test]
    fn a_busy_interface_is_waited_for_up_to_a_bound() {
        let busy = Errno::BUSY.raw_os_error();
        assert_eq!(waited(&[busy, busy, busy, 0]), (Ok(()), BUSY_STEP * 3));
        assert_eq!(waited(&[busy]), (Err(busy), BUSY_WAIT_MAX));
    }

    #[test]
    fn nothing_else_is_waited_for() {
        let denied = Errno::PERM.raw_os_error();
        assert_eq!(waited(&[denied]), (Err(denied), Duration::ZERO));
        assert_eq!(waited(&[0]), (Ok(()), Duration::ZERO));
    }
}
