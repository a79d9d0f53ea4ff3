//! The C functions. Each looks at its pointers, hands values on, and writes answers back; what fails is -1 and `errno`, and
//! so is a panic.

use crate::adapter::{self, Adapter};
use crate::addresses;
use crate::calls::{Answer, Call};
use crate::machine::Machine;
use libc::{c_int, c_long, c_uint, c_ulong, c_void, nfds_t, size_t, socklen_t, ssize_t};
use packet::Bytes;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use std::time::Duration;

type User = *mut c_void;
type Outcome = Result<i64, i32>;

/// Bytes that one call may move.
const LENGTH_MAX: usize = 16 << 20;
/// Parts of a vectored call, and descriptors of a `poll`: Linux's bound of the first.
const PARTS_MAX: usize = 1_024;
/// FIONREAD, which is SIOCINQ too, and SIOCOUTQ.
const FIONREAD: c_ulong = 0x541b;
const SIOCOUTQ: c_ulong = 0x5411;

/// Runs an entry point: -1 and `errno` where it fails, or `user` is no adapter.
fn enter(user: User, act: impl FnOnce(&Adapter) -> Outcome) -> i64 {
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let adapter = adapter::find(user as usize).ok_or(libc::EINVAL)?;
        act(&adapter)
    }));
    match ran.unwrap_or(Err(libc::EIO)) {
        Ok(value) => value,
        Err(number) => {
            // SAFETY: the C library gives each thread its own errno.
            unsafe { *libc::__errno_location() = number };
            -1
        }
    }
}

/// The caller's bytes.
fn bytes_in<'a>(pointer: *const c_void, length: usize) -> Result<&'a [u8], i32> {
    match length {
        0 => Ok(&[]),
        _ if pointer.is_null() => Err(libc::EFAULT),
        1..=LENGTH_MAX => {
            // SAFETY: the C caller vouches for `length` bytes there, and nobody writes to them while it waits.
            Ok(unsafe { slice::from_raw_parts(pointer.cast(), length) })
        }
        _ => Err(libc::EINVAL),
    }
}

/// Writes to the caller's room.
fn write_out<T: Copy>(values: &[T], pointer: *mut T, room: usize) -> Result<(), i32> {
    let count = values.len().min(room);
    if count == 0 {
        return Ok(());
    }
    if pointer.is_null() {
        return Err(libc::EFAULT);
    }
    // SAFETY: the C caller vouches for room for `room` values there; ours do not overlap with it.
    unsafe { values.as_ptr().copy_to_nonoverlapping(pointer, count) };
    Ok(())
}

/// The caller's value.
fn value_in<T: Copy>(pointer: *const T) -> Result<T, i32> {
    if pointer.is_null() {
        return Err(libc::EFAULT);
    }
    // SAFETY: the C caller vouches for a value there; it need not be aligned.
    Ok(unsafe { pointer.read_unaligned() })
}

/// The caller's values, copied.
fn values_in<T: Copy>(pointer: *const T, count: usize) -> Result<Vec<T>, i32> {
    if count > PARTS_MAX {
        return Err(libc::EINVAL);
    }
    (0..count).map(|at| value_in(pointer.wrapping_add(at)).map_err(|_| libc::EFAULT)).collect()
}

fn address_in(pointer: *const libc::sockaddr, length: socklen_t) -> Result<SocketAddr, i32> {
    let length = usize::try_from(length).unwrap_or(0).min(addresses::V6_LENGTH);
    addresses::read(bytes_in(pointer.cast(), length)?)
}

/// Writes an address where the caller wants one, and how long it is.
fn address_out(
    address: Option<SocketAddr>,
    pointer: *mut libc::sockaddr,
    length: *mut socklen_t,
) -> Result<(), i32> {
    let Some(address) = address.filter(|_| !pointer.is_null()) else { return Ok(()) };
    let bytes = addresses::write(address);
    write_out(&bytes, pointer.cast(), value_in(length)? as usize)?;
    write_out(&[bytes.len() as socklen_t], length, 1)
}

fn does_block(adapter: &Adapter, descriptor: RawFd, flags: c_int) -> Result<bool, i32> {
    let nonblocking = adapter.with(|machine| machine.is_nonblocking(descriptor))?;
    Ok(!nonblocking && flags & libc::MSG_DONTWAIT == 0)
}

fn take(adapter: &Adapter, descriptor: RawFd, length: usize, flags: c_int) -> Result<Answer, i32> {
    if flags & !(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | libc::MSG_TRUNC) != 0 {
        return Err(libc::EOPNOTSUPP);
    }
    let blocks = does_block(adapter, descriptor, flags)?;
    adapter.call(Call::Read { descriptor, length: length.min(LENGTH_MAX) }, blocks)
}

fn give(adapter: &Adapter, descriptor: RawFd, bytes: &[u8], flags: c_int) -> Outcome {
    if flags & !(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) != 0 {
        return Err(libc::EOPNOTSUPP);
    }
    let blocks = does_block(adapter, descriptor, flags)?;
    let data = Bytes::copy_from_slice(bytes);
    adapter.call(Call::Write { descriptor, data, written: 0 }, blocks).map(|answer| answer.value)
}

/// The parts of a vectored call, and their length together.
fn parts_in(parts: *const libc::iovec, count: usize) -> Result<(Vec<libc::iovec>, usize), i32> {
    let parts = values_in(parts, count)?;
    let mut lengths = parts.iter().map(|part| part.iov_len);
    let length = lengths.try_fold(0_usize, usize::checked_add);
    let length = length.filter(|length| *length <= LENGTH_MAX).ok_or(libc::EINVAL)?;
    if parts.iter().any(|part| part.iov_base.is_null() && part.iov_len > 0) {
        return Err(libc::EFAULT);
    }
    Ok((parts, length))
}

fn scatter(bytes: &[u8], parts: &[libc::iovec]) -> Result<(), i32> {
    let mut rest = bytes;
    for part in parts {
        let (now, later) = rest.split_at(part.iov_len.min(rest.len()));
        write_out(now, part.iov_base.cast(), part.iov_len)?;
        rest = later;
    }
    Ok(())
}

fn gather(parts: &[libc::iovec]) -> Result<Vec<u8>, i32> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(bytes_in(part.iov_base, part.iov_len)?);
    }
    Ok(bytes)
}

pub extern "C" fn free(user: User) {
    let _ = catch_unwind(|| adapter::release(user as usize));
}

pub extern "C" fn socket(user: User, domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    enter(user, |adapter| {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        if !matches!(domain, libc::AF_INET | libc::AF_INET6) {
            return Err(libc::EAFNOSUPPORT);
        }
        if kind & !flags != libc::SOCK_STREAM || !matches!(protocol, 0 | libc::IPPROTO_TCP) {
            return Err(libc::EPROTONOSUPPORT);
        }
        adapter.with(|machine| machine.socket(kind & libc::SOCK_NONBLOCK != 0)).map(i64::from)
    }) as c_int
}

pub extern "C" fn bind(user: User, fd: c_int, address: *const libc::sockaddr, length: socklen_t) -> c_int {
    enter(user, |adapter| {
        let address = address_in(address, length)?;
        adapter.with(|machine| machine.bind(fd, address)).map(|()| 0)
    }) as c_int
}

pub extern "C" fn listen(user: User, fd: c_int, backlog: c_int) -> c_int {
    enter(user, |adapter| adapter.with(|machine| machine.listen(fd, backlog)).map(|()| 0)) as c_int
}

pub extern "C" fn accept(
    user: User,
    fd: c_int,
    address: *mut libc::sockaddr,
    length: *mut socklen_t,
) -> c_int {
    enter(user, |adapter| {
        if !address.is_null() && length.is_null() {
            return Err(libc::EFAULT);
        }
        let blocks = does_block(adapter, fd, 0)?;
        let answer = adapter.call(Call::Accept(fd), blocks)?;
        address_out(answer.peer, address, length)?;
        Ok(answer.value)
    }) as c_int
}

pub extern "C" fn connect(user: User, fd: c_int, address: *const libc::sockaddr, length: socklen_t) -> c_int {
    enter(user, |adapter| {
        let remote = address_in(address, length)?;
        let blocks = does_block(adapter, fd, 0)?;
        let call = Call::Connect { descriptor: fd, remote, started: false };
        adapter.call(call, blocks).map(|answer| answer.value)
    }) as c_int
}

pub extern "C" fn read(user: User, fd: c_int, buffer: *mut c_void, length: size_t) -> ssize_t {
    recv(user, fd, buffer, length, 0)
}

pub extern "C" fn readv(user: User, fd: c_int, parts: *const libc::iovec, count: c_int) -> ssize_t {
    enter(user, |adapter| {
        let (parts, length) = parts_in(parts, usize::try_from(count).map_err(|_| libc::EINVAL)?)?;
        let answer = take(adapter, fd, length, 0)?;
        scatter(&answer.bytes, &parts)?;
        Ok(answer.value)
    }) as ssize_t
}

pub extern "C" fn recv(user: User, fd: c_int, buffer: *mut c_void, length: size_t, flags: c_int) -> ssize_t {
    enter(user, |adapter| {
        if buffer.is_null() && length > 0 {
            return Err(libc::EFAULT);
        }
        let answer = take(adapter, fd, length, flags)?;
        write_out(&answer.bytes, buffer.cast(), length)?;
        Ok(answer.value)
    }) as ssize_t
}

pub extern "C" fn recvfrom(
    user: User,
    fd: c_int,
    buffer: *mut c_void,
    length: size_t,
    flags: c_int,
    _address: *mut libc::sockaddr,
    _address_length: *mut socklen_t,
) -> ssize_t {
    // A connection tells no address: Linux leaves it as it is, too.
    recv(user, fd, buffer, length, flags)
}

pub extern "C" fn recvmsg(user: User, fd: c_int, message: *mut libc::msghdr, flags: c_int) -> ssize_t {
    enter(user, |adapter| {
        let mut header = value_in(message)?;
        let (parts, length) = parts_in(header.msg_iov, header.msg_iovlen)?;
        let answer = take(adapter, fd, length, flags)?;
        scatter(&answer.bytes, &parts)?;
        (header.msg_namelen, header.msg_controllen, header.msg_flags) = (0, 0, 0);
        write_out(&[header], message, 1)?;
        Ok(answer.value)
    }) as ssize_t
}

pub extern "C" fn write(user: User, fd: c_int, buffer: *const c_void, length: size_t) -> ssize_t {
    send(user, fd, buffer, length, 0)
}

pub extern "C" fn writev(user: User, fd: c_int, parts: *const libc::iovec, count: c_int) -> ssize_t {
    enter(user, |adapter| {
        let (parts, _) = parts_in(parts, usize::try_from(count).map_err(|_| libc::EINVAL)?)?;
        give(adapter, fd, &gather(&parts)?, 0)
    }) as ssize_t
}

pub extern "C" fn send(
    user: User,
    fd: c_int,
    buffer: *const c_void,
    length: size_t,
    flags: c_int,
) -> ssize_t {
    enter(user, |adapter| give(adapter, fd, bytes_in(buffer, length)?, flags)) as ssize_t
}

pub extern "C" fn sendto(
    user: User,
    fd: c_int,
    buffer: *const c_void,
    length: size_t,
    flags: c_int,
    address: *const libc::sockaddr,
    _address_length: socklen_t,
) -> ssize_t {
    enter(user, |adapter| {
        if !address.is_null() {
            return Err(libc::EISCONN);
        }
        give(adapter, fd, bytes_in(buffer, length)?, flags)
    }) as ssize_t
}

pub extern "C" fn sendmsg(user: User, fd: c_int, message: *const libc::msghdr, flags: c_int) -> ssize_t {
    enter(user, |adapter| {
        let header = value_in(message)?;
        if header.msg_controllen > 0 {
            return Err(libc::EOPNOTSUPP);
        }
        let (parts, _) = parts_in(header.msg_iov, header.msg_iovlen)?;
        give(adapter, fd, &gather(&parts)?, flags)
    }) as ssize_t
}

pub extern "C" fn fcntl(user: User, fd: c_int, command: c_int, argument: c_long) -> c_int {
    enter(user, |adapter| {
        adapter.with(|machine| match command {
            libc::F_GETFL => {
                let nonblocking = machine.is_nonblocking(fd)?;
                Ok(i64::from(libc::O_RDWR | if nonblocking { libc::O_NONBLOCK } else { 0 }))
            }
            libc::F_SETFL => {
                let nonblocking = argument & c_long::from(libc::O_NONBLOCK) != 0;
                machine.set_nonblocking(fd, nonblocking).map(|()| 0)
            }
            _ => machine.is_nonblocking(fd).and(Err(libc::EINVAL)),
        })
    }) as c_int
}

pub extern "C" fn ioctl(user: User, fd: c_int, request: c_ulong, argument: *mut c_int) -> c_int {
    enter(user, |adapter| {
        let count = adapter.with(|machine| match request {
            FIONREAD => machine.readable(fd),
            SIOCOUTQ => machine.unacknowledged(fd),
            _ => machine.is_nonblocking(fd).and(Err(libc::ENOTTY)),
        })?;
        if argument.is_null() {
            return Err(libc::EFAULT);
        }
        write_out(&[c_int::try_from(count).unwrap_or(c_int::MAX)], argument, 1)?;
        Ok(0)
    }) as c_int
}

pub extern "C" fn close(user: User, fd: c_int) -> c_int {
    enter(user, |adapter| adapter.with(|machine| machine.close(fd)).map(|()| 0)) as c_int
}

pub extern "C" fn shutdown(user: User, fd: c_int, how: c_int) -> c_int {
    enter(user, |adapter| adapter.with(|machine| machine.shutdown(fd, how)).map(|()| 0)) as c_int
}

pub extern "C" fn getsockopt(
    user: User,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> c_int {
    enter(user, |adapter| {
        let room = value_in(length)? as usize;
        if value.is_null() {
            return Err(libc::EFAULT);
        }
        let bytes = adapter.with(|machine| machine.option(fd, level, name))?;
        write_out(&bytes, value.cast(), room)?;
        write_out(&[bytes.len().min(room) as socklen_t], length, 1)?;
        Ok(0)
    }) as c_int
}

pub extern "C" fn setsockopt(
    user: User,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    length: socklen_t,
) -> c_int {
    enter(user, |adapter| {
        let value = bytes_in(value, length as usize)?;
        adapter.with(|machine| machine.set_option(fd, level, name, value)).map(|()| 0)
    }) as c_int
}

pub extern "C" fn poll(user: User, watched: *mut libc::pollfd, count: nfds_t, timeout_ms: c_int) -> c_int {
    enter(user, |adapter| {
        let count = usize::try_from(count).map_err(|_| libc::EINVAL)?;
        let mut asked = values_in(watched, count)?;
        let deadline = adapter.with(|machine| machine.deadline_in(timeout_ms));
        let call = Call::Poll { watched: asked.iter().map(|one| (one.fd, one.events)).collect(), deadline };
        let answer = adapter.call(call, timeout_ms != 0)?;
        asked.iter_mut().zip(&answer.ready).for_each(|(one, ready)| one.revents = *ready);
        write_out(&asked, watched, count)?;
        Ok(answer.value)
    }) as c_int
}

pub extern "C" fn netdev_send(user: User, packet: *const c_void, length: size_t) -> c_int {
    enter(user, |adapter| {
        let bytes = bytes_in(packet, length)?;
        let taken = adapter.with(|machine| machine.inject(bytes));
        if taken { Ok(0) } else { Err(libc::EINVAL) }
    }) as c_int
}

/// Where nothing leaves within an hour of virtual time the length is 0.
pub extern "C" fn netdev_receive(
    user: User,
    packet: *mut c_void,
    length: *mut size_t,
    time_us: *mut i64,
) -> c_int {
    enter(user, |adapter| {
        let room = value_in(length)?;
        if packet.is_null() || time_us.is_null() {
            return Err(libc::EFAULT);
        }
        adapter.await_others(Machine::has_sniffed);
        let until = adapter.with(|machine| machine.sniff_until());
        adapter.pass(|machine| machine.has_sniffed() || machine.step(until));
        let (bytes, at_us) = match adapter.with(Machine::sniff) {
            Some(sniffed) => sniffed,
            None => (Bytes::new(), adapter.with(Machine::look)),
        };
        write_out(&bytes, packet.cast(), room)?;
        write_out(&[bytes.len().min(room)], length, 1)?;
        write_out(&[at_us], time_us, 1)?;
        Ok(0)
    }) as c_int
}

pub extern "C" fn usleep(user: User, span_us: c_uint) -> c_int {
    enter(user, |adapter| {
        let until = adapter.with(|machine| machine.now + Duration::from_micros(span_us.into()));
        adapter.pass(|machine| machine.step(until));
        Ok(0)
    }) as c_int
}

pub extern "C" fn gettimeofday(user: User, time: *mut libc::timeval, _zone: *mut c_void) -> c_int {
    enter(user, |adapter| {
        let us = adapter.with(Machine::look);
        let time_of_day = libc::timeval { tv_sec: us / 1_000_000, tv_usec: us % 1_000_000 };
        write_out(&[time_of_day], time, 1)?;
        Ok(0)
    }) as c_int
}

pub extern "C" fn epoll_create(user: User, size: c_int) -> c_int {
    enter(user, |adapter| {
        if size <= 0 {
            return Err(libc::EINVAL);
        }
        adapter.with(Machine::epoll_create).map(i64::from)
    }) as c_int
}

pub extern "C" fn epoll_ctl(
    user: User,
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut libc::epoll_event,
) -> c_int {
    enter(user, |adapter| {
        let wanted = match operation {
            libc::EPOLL_CTL_DEL => (0, 0),
            _ => value_in(event).map(|event| (event.events, event.u64))?,
        };
        adapter.with(|machine| machine.epoll_control(epoll, operation, fd, wanted)).map(|()| 0)
    }) as c_int
}

pub extern "C" fn epoll_wait(
    user: User,
    epoll: c_int,
    events: *mut libc::epoll_event,
    count_max: c_int,
    timeout_ms: c_int,
) -> c_int {
    enter(user, |adapter| {
        let count_max = usize::try_from(count_max).unwrap_or(0).min(PARTS_MAX);
        if count_max == 0 {
            return Err(libc::EINVAL);
        }
        if events.is_null() {
            return Err(libc::EFAULT);
        }
        let deadline = adapter.with(|machine| machine.deadline_in(timeout_ms));
        let call = Call::EpollWait { descriptor: epoll, count_max, deadline };
        let answer = adapter.call(call, timeout_ms != 0)?;
        let told = answer.events.iter().map(|&(events, u64)| libc::epoll_event { events, u64 });
        write_out(&told.collect::<Vec<_>>(), events, count_max)?;
        Ok(answer.value)
    }) as c_int
}

/// There are no pipes of ours: `ENOSYS`.
pub extern "C" fn pipe(user: User, _ends: *mut c_int) -> c_int {
    enter(user, |_| Err(libc::ENOSYS)) as c_int
}

/// There are no pipes of ours: `ENOSYS`.
pub extern "C" fn splice(
    user: User,
    _from: c_int,
    _from_offset: *mut i64,
    _to: c_int,
    _to_offset: *mut i64,
    _length: size_t,
    _flags: c_uint,
) -> ssize_t {
    enter(user, |_| Err(libc::ENOSYS)) as ssize_t
}
