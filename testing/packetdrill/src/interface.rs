//! The struct that the tool hands in, in its order, and the entry point that fills it.
//!
//! `fcntl` and `ioctl` are variadic on the tool's side. They are declared with the one argument that they may have: where
//! Linux runs, a third integer is passed in the same register whether or not the function is variadic.

use crate::adapter::{self, Adapter};
use crate::entries as e;
use libc::{c_char, c_int, c_long, c_uint, c_ulong, c_void, nfds_t, size_t, socklen_t, ssize_t};
use std::ffi::CStr;
use std::panic::catch_unwind;
use std::ptr;

type User = *mut c_void;

/// The functions by which the tool drives a stack.
#[expect(missing_docs, reason = "each is the C function of its name")]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Interface {
    pub userdata: User,
    pub free: extern "C" fn(User),
    pub socket: extern "C" fn(User, c_int, c_int, c_int) -> c_int,
    pub bind: extern "C" fn(User, c_int, *const libc::sockaddr, socklen_t) -> c_int,
    pub listen: extern "C" fn(User, c_int, c_int) -> c_int,
    pub accept: extern "C" fn(User, c_int, *mut libc::sockaddr, *mut socklen_t) -> c_int,
    pub connect: extern "C" fn(User, c_int, *const libc::sockaddr, socklen_t) -> c_int,
    pub read: extern "C" fn(User, c_int, *mut c_void, size_t) -> ssize_t,
    pub readv: extern "C" fn(User, c_int, *const libc::iovec, c_int) -> ssize_t,
    pub recv: extern "C" fn(User, c_int, *mut c_void, size_t, c_int) -> ssize_t,
    pub recvfrom: extern "C" fn(
        User,
        c_int,
        *mut c_void,
        size_t,
        c_int,
        *mut libc::sockaddr,
        *mut socklen_t,
    ) -> ssize_t,
    pub recvmsg: extern "C" fn(User, c_int, *mut libc::msghdr, c_int) -> ssize_t,
    pub write: extern "C" fn(User, c_int, *const c_void, size_t) -> ssize_t,
    pub writev: extern "C" fn(User, c_int, *const libc::iovec, c_int) -> ssize_t,
    pub send: extern "C" fn(User, c_int, *const c_void, size_t, c_int) -> ssize_t,
    pub sendto:
        extern "C" fn(User, c_int, *const c_void, size_t, c_int, *const libc::sockaddr, socklen_t) -> ssize_t,
    pub sendmsg: extern "C" fn(User, c_int, *const libc::msghdr, c_int) -> ssize_t,
    pub fcntl: extern "C" fn(User, c_int, c_int, c_long) -> c_int,
    pub ioctl: extern "C" fn(User, c_int, c_ulong, *mut c_int) -> c_int,
    pub close: extern "C" fn(User, c_int) -> c_int,
    pub shutdown: extern "C" fn(User, c_int, c_int) -> c_int,
    pub getsockopt: extern "C" fn(User, c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int,
    pub setsockopt: extern "C" fn(User, c_int, c_int, c_int, *const c_void, socklen_t) -> c_int,
    pub poll: extern "C" fn(User, *mut libc::pollfd, nfds_t, c_int) -> c_int,
    pub netdev_send: extern "C" fn(User, *const c_void, size_t) -> c_int,
    pub netdev_receive: extern "C" fn(User, *mut c_void, *mut size_t, *mut i64) -> c_int,
    pub usleep: extern "C" fn(User, c_uint) -> c_int,
    pub gettimeofday: extern "C" fn(User, *mut libc::timeval, *mut c_void) -> c_int,
    pub epoll_create: extern "C" fn(User, c_int) -> c_int,
    pub epoll_ctl: extern "C" fn(User, c_int, c_int, c_int, *mut libc::epoll_event) -> c_int,
    pub epoll_wait: extern "C" fn(User, c_int, *mut libc::epoll_event, c_int, c_int) -> c_int,
    pub pipe: extern "C" fn(User, *mut c_int) -> c_int,
    pub splice: extern "C" fn(User, c_int, *mut i64, c_int, *mut i64, size_t, c_uint) -> ssize_t,
}

impl Interface {
    /// The table for one adapter, or for none: then every call fails.
    const fn new(userdata: User) -> Self {
        Self {
            userdata,
            free: e::free,
            socket: e::socket,
            bind: e::bind,
            listen: e::listen,
            accept: e::accept,
            connect: e::connect,
            read: e::read,
            readv: e::readv,
            recv: e::recv,
            recvfrom: e::recvfrom,
            recvmsg: e::recvmsg,
            write: e::write,
            writev: e::writev,
            send: e::send,
            sendto: e::sendto,
            sendmsg: e::sendmsg,
            fcntl: e::fcntl,
            ioctl: e::ioctl,
            close: e::close,
            shutdown: e::shutdown,
            getsockopt: e::getsockopt,
            setsockopt: e::setsockopt,
            poll: e::poll,
            netdev_send: e::netdev_send,
            netdev_receive: e::netdev_receive,
            usleep: e::usleep,
            gettimeofday: e::gettimeofday,
            epoll_create: e::epoll_create,
            epoll_ctl: e::epoll_ctl,
            epoll_wait: e::epoll_wait,
            pipe: e::pipe,
            splice: e::splice,
        }
    }
}

/// What the tool looks for in the library: fills `interface`. `flags` are the tool's `--so_flags`, as
/// [`Flags`](crate::machine::Flags) reads them; where they are wrong every call fails with `EINVAL`, and the reason is told
/// on standard error.
///
/// # Safety
///
/// `flags` is null or a C string, and `interface` is null or has room for an [`Interface`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn packetdrill_interface_init(flags: *const c_char, interface: *mut Interface) {
    if interface.is_null() {
        return;
    }
    let text = if flags.is_null() {
        String::new()
    } else {
        // SAFETY: the caller vouches for a C string.
        unsafe { CStr::from_ptr(flags) }.to_string_lossy().into_owned()
    };
    let made = catch_unwind(|| Adapter::new(&text)).unwrap_or_else(|_| Err("it panicked".to_owned()));
    let userdata = match made {
        Ok(adapter) => adapter::register(adapter) as User,
        Err(reason) => {
            eprintln!("weft: {reason}");
            ptr::null_mut()
        }
    };
    // SAFETY: the caller vouches for the room, and it was seen not to be null.
    unsafe { interface.write(Interface::new(userdata)) };
}
