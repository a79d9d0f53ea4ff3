//! The program, executed here as the kernel would.

use super::*;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const JUDGE: u32 = libc::SECCOMP_RET_USER_NOTIF;

fn failure(error: Errno) -> u32 {
    libc::SECCOMP_RET_ERRNO | error.raw_os_error() as u32
}

/// What the program gives for a call.
fn verdict(wanted: Wanted, architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(number.to_le_bytes());
    data.extend(architecture.to_le_bytes());
    data.extend(0u64.to_le_bytes());
    arguments.iter().for_each(|argument| data.extend(argument.to_le_bytes()));
    let program = program(wanted);
    let (mut at, mut word) = (0, 0u32);
    loop {
        let step = program[at];
        at += 1;
        let code = u32::from(step.code);
        match code {
            _ if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                let offset = step.k as usize;
                word = u32::from_le_bytes(data[offset..offset + 4].try_into().expect("four bytes"));
            }
            _ if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K => word &= step.k,
            _ if code == libc::BPF_RET | libc::BPF_K => return step.k,
            _ => {
                let holds = match code & 0xf0 {
                    libc::BPF_JEQ => word == step.k,
                    libc::BPF_JGE => word >= step.k,
                    libc::BPF_JGT => word > step.k,
                    other => panic!("no such test: {other:#x}"),
                };
                at += usize::from(if holds { step.jt } else { step.jf });
            }
        }
    }
}

const ALL: Wanted = Wanted { judged: true, no_cores: true };
const NONE: Wanted = Wanted { judged: false, no_cores: false };

#[test]
fn a_connect_is_judged_where_its_address_may_lead_somewhere() {
    for numbers in ARCHITECTURES {
        let given = |wanted, length: u64| {
            verdict(wanted, numbers.architecture, numbers.connect, [3, 4096, length, 0, 0, 0])
        };
        // A family alone, sockaddr_in, sockaddr_in6, sockaddr_un; and a length whose upper half the kernel does not read.
        for length in [2, 3, 16, 28, 110, 128, 0xffff_ffff_0000_0010] {
            assert_eq!(given(ALL, length), JUDGE, "{length}");
            assert_eq!(given(NONE, length), ALLOW, "{length}");
        }
        for length in [0, 1, 129, u64::MAX] {
            assert_eq!(given(ALL, length), ALLOW, "{length}");
        }
    }
}

#[test]
fn a_listen_is_judged_on_whatever_socket() {
    for numbers in ARCHITECTURES {
        let given =
            |wanted, socket| verdict(wanted, numbers.architecture, numbers.listen, [socket, 128, 0, 0, 0, 0]);
        for socket in [0, 3, u64::MAX] {
            assert_eq!((given(ALL, socket), given(NONE, socket)), (JUDGE, ALLOW), "{socket}");
        }
    }
}

#[test]
fn sockets_for_datagrams_are_judged_and_strange_families_fail() {
    for numbers in ARCHITECTURES {
        let made = |wanted, call: u32, family: i32, kind: i32| {
            verdict(wanted, numbers.architecture, call, [family as u64, kind as u64, 0, 0, 0, 0])
        };
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        for call in [numbers.socket, numbers.socketpair] {
            for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_DGRAM | flags] {
                assert_eq!(made(ALL, call, libc::AF_UNIX, kind), JUDGE);
                assert_eq!(made(NONE, call, libc::AF_UNIX, kind), ALLOW);
            }
            for kind in [libc::SOCK_STREAM, libc::SOCK_SEQPACKET, libc::SOCK_STREAM | flags] {
                assert_eq!(made(ALL, call, libc::AF_UNIX, kind), ALLOW);
            }
        }
        for family in [libc::AF_INET, libc::AF_INET6] {
            for kind in [libc::SOCK_DGRAM, libc::SOCK_DGRAM | flags] {
                assert_eq!(made(ALL, numbers.socket, family, kind), JUDGE);
                assert_eq!(made(NONE, numbers.socket, family, kind), ALLOW);
            }
            assert_eq!(made(ALL, numbers.socket, family, libc::SOCK_STREAM | flags), ALLOW);
        }
        assert_eq!(made(ALL, numbers.socketpair, libc::AF_INET, libc::SOCK_DGRAM), ALLOW, "there are none");
        for family in [libc::AF_VSOCK, libc::AF_ALG, libc::AF_BLUETOOTH, libc::AF_TIPC, libc::AF_RXRPC, 0, -1]
        {
            assert_eq!(made(NONE, numbers.socket, family, libc::SOCK_STREAM), failure(Errno::AFNOSUPPORT));
        }
    }
}

#[test]
fn what_goes_around_the_judgement_does_not_exist() {
    for numbers in ARCHITECTURES {
        for number in numbers.keys.into_iter().chain(IO_URING).chain([CLONE3]).chain(numbers.socketcall) {
            assert_eq!(
                verdict(NONE, numbers.architecture, number, [0; 6]),
                failure(Errno::NOSYS),
                "{number}"
            );
        }
        for request in [libc::TIOCSTI, libc::TIOCLINUX] {
            let typed = verdict(NONE, numbers.architecture, numbers.ioctl, [0, request, 0, 0, 0, 0]);
            assert_eq!(typed, failure(Errno::PERM));
        }
        assert_eq!(verdict(ALL, numbers.architecture, 1, [0; 6]), ALLOW);
    }
    // An architecture that this machine is not said to execute.
    assert_eq!(verdict(ALL, 0x8000_0008, 1, [0; 6]), failure(Errno::NOSYS));
    if cfg!(target_arch = "x86_64") {
        assert_eq!(verdict(ALL, 0xc000_003e, X32 | 42, [0; 6]), failure(Errno::NOSYS), "x32");
    }
}

#[test]
fn the_limit_of_core_dumps_stays_where_a_program_of_the_hosts_takes_them() {
    let core = libc::RLIMIT_CORE as u64;
    for numbers in ARCHITECTURES {
        let set = |wanted, resource| {
            verdict(wanted, numbers.architecture, numbers.setrlimit, [resource, 1, 0, 0, 0, 0])
        };
        assert_eq!(set(ALL, core), libc::SECCOMP_RET_ERRNO);
        assert_eq!((set(ALL, 7), set(NONE, core)), (ALLOW, ALLOW));
        let change = |resource, new, old| {
            verdict(ALL, numbers.architecture, numbers.prlimit, [0, resource, new, old, 0, 0])
        };
        assert_eq!(change(core, 0x7fff_0000_0000, 0), libc::SECCOMP_RET_ERRNO);
        assert_eq!(change(core, 4096, 0), libc::SECCOMP_RET_ERRNO);
        assert_eq!(change(core, 4096, 4096), failure(Errno::PERM));
        assert_eq!((change(core, 0, 4096), change(7, 4096, 0)), (ALLOW, ALLOW));
    }
}

#[test]
fn limits_of_init_and_what_is_executed_stay_what_they_are() {
    for numbers in ARCHITECTURES {
        for wanted in [ALL, NONE] {
            let prlimit = |process: u64| {
                let limit = [process, libc::RLIMIT_NOFILE.into(), 4096, 0, 0, 0];
                verdict(wanted, numbers.architecture, numbers.prlimit, limit)
            };
            assert_eq!((prlimit(0), prlimit(2)), (ALLOW, ALLOW));
            assert_eq!(prlimit(1), failure(Errno::PERM));
            let prctl = |option: i32| {
                let arguments = [option as u64, 14, 4096, 0, 0, 0];
                verdict(wanted, numbers.architecture, numbers.prctl, arguments)
            };
            assert_eq!((prctl(libc::PR_SET_NAME), prctl(libc::PR_SET_MM)), (ALLOW, failure(Errno::PERM)));
        }
    }
}
