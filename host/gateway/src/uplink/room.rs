//! How many descriptors the program's flows may take: not the last, which the gateway itself needs to go on.

use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::io::{self, Errno};
use rustix::process::{Resource, getrlimit};

/// How many descriptors flows leave: the two that come with each of the 1,024 calls that the guard may hold at once, and those
/// of the ledger, of policies, and of the files that tell who asks. Where there are few, flows leave half.
const RESERVED: u64 = 2 * 1_024 + 512;

/// How many descriptors flows may take of so many.
pub fn room_of(limit: u64) -> u64 {
    limit - RESERVED.min(limit / 2)
}

/// The socket again, if it is none of the last. The kernel gives the lowest number that is free, so that the number tells how
/// many are taken.
///
/// # Errors
///
/// `MFILE`, as of the kernel where none is left at all; the socket is closed.
pub(super) fn keep(socket: OwnedFd) -> io::Result<OwnedFd> {
    let room = getrlimit(Resource::Nofile).current.map_or(u64::MAX, room_of);
    let is_within = u64::try_from(socket.as_raw_fd()).is_ok_and(|number| number < room);
    if is_within { Ok(socket) } else { Err(Errno::MFILE) }
}

/// Whether one more may be taken. What `socket` would give waits where it is meanwhile.
///
/// # Errors
///
/// `MFILE` where none may.
pub(super) fn expect_room(socket: impl AsFd) -> io::Result<()> {
    keep(io::fcntl_dupfd_cloexec(socket, 0)?).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn flows_leave_what_the_gateway_needs_and_half_where_there_is_little() {
        let most =
            [(0, 0), (1, 1), (256, 128), (1_024, 512), (4_096, 2_048), (5_120, 2_560), (20_000, 17_440)];
        for (limit, room) in most {
            assert_eq!(room_of(limit), room, "of {limit}");
        }
        assert_eq!(room_of(u64::MAX), u64::MAX - RESERVED);
    }

    #[test]
    fn a_number_beyond_the_room_is_given_back() {
        let null = File::open("/dev/null").expect("a file");
        let limit = getrlimit(Resource::Nofile).current.expect("a limit");
        let at = |number: u64| {
            let number = i32::try_from(number).expect("a number");
            io::fcntl_dupfd_cloexec(&null, number).expect("a copy")
        };
        assert!(keep(at(room_of(limit) / 2)).is_ok());
        assert_eq!(keep(at(room_of(limit))).err(), Some(Errno::MFILE));
        assert_eq!(expect_room(&null), Ok(()));
    }
}
