//! Closing a link without waiting for it.
//!
//! The last descriptor of a TAP or a packet socket takes the kernel 10 to 30 ms to close, all of it spent waiting for
//! readers on other processors (RCU) while the closing process stands still: longer than everything else that a
//! short-lived gateway does. So the descriptor is registered with an io_uring of its own as well. However the
//! process ends, the ring is then the last to hold the device, and the kernel takes rings down in a worker.

use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The size of the kernel's `io_uring_params`, in bytes. All zeroes ask for nothing special.
const PARAMETERS_BYTES: usize = 120;
/// The smallest ring.
const ENTRIES: libc::c_uint = 1;
/// Registers descriptors (linux/io_uring.h).
const REGISTER_FILES: libc::c_uint = 2;

/// A ring that holds `device`, to be dropped after it. `None` where io_uring is forbidden or missing, as it is in many
/// containers: the device is then closed by whoever holds it, which only takes longer.
pub(crate) fn hold(device: &OwnedFd) -> Option<OwnedFd> {
    // In words of 64 bits, as the kernel's struct is aligned.
    let mut parameters = [0u64; PARAMETERS_BYTES / 8];
    // SAFETY: the kernel reads and writes as many bytes of the parameters as its struct has, which are there.
    let raw = unsafe { libc::syscall(libc::SYS_io_uring_setup, ENTRIES, parameters.as_mut_ptr()) };
    let raw = i32::try_from(raw).ok().filter(|raw| *raw >= 0)?;
    // SAFETY: `raw` was just opened and is nobody else's.
    let ring = unsafe { OwnedFd::from_raw_fd(raw) };
    let files = [device.as_raw_fd()];
    let (number, count) = (ring.as_raw_fd(), files.len());
    // SAFETY: the kernel reads `count` descriptor numbers.
    let result =
        unsafe { libc::syscall(libc::SYS_io_uring_register, number, REGISTER_FILES, files.as_ptr(), count) };
    (result == 0).then_some(ring)
}
