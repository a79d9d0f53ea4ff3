//! What the command tries: each probe prints what came of it, line by line, for the test outside to judge.

use crate::harness::{PATIENCE, say};
use link::netlink::{Requests, RouteSocket};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::{Pid, Signal};
use rustix::thread::UnshareFlags;
use std::net::UdpSocket;

/// Runs one probe.
pub fn run(arguments: &[String]) -> ! {
    let rest: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match rest[..] {
        ["escape", gateway] => escape(gateway.parse().expect("a number")),
        ["connect", ref paths @ ..] => crate::sockets::connect(paths),
        ["own-sockets"] => crate::sockets::own(),
        ["race", path] => crate::sockets::race(path),
        ["groups"] => crate::groups::run(),
        ["around"] => crate::around::run(),
        ["describe"] => describe(),
        ["datagrams"] => datagrams(),
        ["ping"] => ping(),
        ["await-signal", word] => await_signal(word),
        ["type"] => type_into_terminal(),
        _ => panic!("no such probe: {rest:?}"),
    }
    std::process::exit(0);
}

pub fn report<T>(what: &str, outcome: Result<T, Errno>) {
    match outcome {
        Ok(_) => say(&format!("{what}: done")),
        Err(error) => say(&format!("{what}: error {}", error.raw_os_error())),
    }
}

/// Everything that must fail. `gateway` is its number outside.
fn escape(gateway: i32) {
    let gateway = Pid::from_raw(gateway).expect("a process number");
    report("signal the gateway", rustix::process::kill_process(gateway, Signal::KILL));
    // Pid 1 ignores what it has no handler for, so this says nothing: that the test goes on does.
    let _ = rustix::process::kill_process(Pid::INIT, Signal::KILL);
    // The group that we were started in must not be the gateway's. We survive our own signal.
    // SAFETY: SIG_IGN is no function.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    let _ = rustix::process::kill_current_process_group(Signal::TERM);
    report("trace init", trace(1));
    let open = |path: &str| rustix::fs::open(path, OFlags::RDONLY, Mode::empty());
    for file in ["mem", "environ", "ns/net", "ns/user", "root/etc/hostname", "fd/0"] {
        report(&format!("open init's {file}"), open(&format!("/proc/1/{file}")));
        report(
            &format!("open the gateway's {file}"),
            open(&format!("/proc/{}/{file}", gateway.as_raw_nonzero())),
        );
    }
    let socket = RouteSocket::open().expect("a socket");
    let index = socket.interface_index("eth0").expect("eth0");
    let mut requests = Requests::new();
    requests.set_up(index, Some(1400), None);
    let changed = socket.perform(&requests);
    report("change the link", changed.map_err(|error| Errno::from_raw_os_error(error.code)));
    report(
        "open a packet socket",
        link::PacketSocket::open(index).map_err(|e| Errno::from_raw_os_error(e.code)),
    );
    report("make another TAP", link::Tap::create("tap9").map_err(|e| Errno::from_raw_os_error(e.code)));
    report("mount", rustix::mount::mount("none", "/tmp", "tmpfs", MountFlags::empty(), None));
    report("unmount the resolver", rustix::mount::unmount("/etc/resolv.conf", UnmountFlags::DETACH));
    report("write a setting", write("/proc/sys/kernel/core_pattern"));
    report("write a control group", write_anywhere("/sys/fs/cgroup", 2));
    // SAFETY: this process has one thread.
    let own_mounts = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) };
    if own_mounts.is_ok() {
        report("uncover the resolver", rustix::mount::unmount("/etc/resolv.conf", UnmountFlags::DETACH));
        report("uncover settings", rustix::mount::unmount("/proc/sys", UnmountFlags::DETACH));
        let writable = MountFlags::BIND;
        report("make control groups writable", rustix::mount::mount_remount("/sys", writable, ""));
    }
}

fn trace(pid: i32) -> Result<(), Errno> {
    let null = std::ptr::null_mut::<()>();
    // SAFETY: attaching takes a number only.
    let result = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, null, null) };
    if result < 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).expect("the kernel's error"));
    }
    Ok(())
}

fn write(path: &str) -> Result<(), Errno> {
    let fd = rustix::fs::open(path, OFlags::WRONLY, Mode::empty())?;
    rustix::io::write(&fd, b"0\n").map(drop)
}

/// Tries to write a control group's list of processes, in the directory or below it.
fn write_anywhere(directory: &str, depth: u32) -> Result<(), Errno> {
    let own = write(&format!("{directory}/cgroup.procs"));
    let entries = std::fs::read_dir(directory).map_err(|_| Errno::NOENT)?;
    let below = |entry: std::fs::DirEntry| write_anywhere(&entry.path().to_string_lossy(), depth - 1);
    let mut rest = entries.flatten().filter(|entry| depth > 0 && entry.path().is_dir()).map(below);
    if own.is_ok() { own } else { rest.find(Result::is_ok).unwrap_or(own) }
}

/// Who and where we are.
fn describe() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    for line in read("/proc/self/status").lines() {
        if ["Uid", "Gid", "CapEff", "CapPrm", "NoNewPrivs"]
            .iter()
            .any(|key| line.starts_with(&format!("{key}:")))
        {
            say(&line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    let mut files: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .expect("a list of files")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    // The last is the directory that lists them.
    say(&format!("files {}", files.join(" ")));
    say(&format!("directory {}", std::env::current_dir().expect("a directory").display()));
    say(&format!("variable {}", std::env::var("WEFT_TEST").unwrap_or_default()));
    say(&format!("umask {:o}", rustix::process::umask(Mode::empty()).bits()));
    say(&format!("proc {}", rustix::fs::readlink("/proc/self", Vec::new()).expect("proc").to_string_lossy()));
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    say(&format!("open files {}", limit.unwrap_or(0)));
    let tables = ["route", "arp", "if_inet6", "ipv6_route"].map(|table| format!("/proc/net/{table}"));
    for file in tables.iter().map(String::as_str).chain(["/etc/resolv.conf", "/etc/hosts"]) {
        read(file).lines().for_each(|line| {
            say(&format!("{file} {}", line.split_whitespace().collect::<Vec<_>>().join(" ")));
        });
    }
    let bound = UdpSocket::bind("10.0.2.15:0").is_ok() && UdpSocket::bind("[fd00:2::15]:0").is_ok();
    say(&format!("addresses {bound}"));
}

/// One large send that the kernel cuts only at the far end of the link, and its echo.
fn datagrams() {
    const SEGMENT: usize = 1000;
    const COUNT: usize = 40;
    const UDP_SEGMENT: libc::c_int = 103;
    let socket = UdpSocket::bind("10.0.2.15:7000").expect("our address");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.connect("10.0.2.2:7").expect("a route");
    let size = SEGMENT as libc::c_int;
    let length = size_of_val(&size) as libc::socklen_t;
    let number = rustix::fd::AsRawFd::as_raw_fd(&socket);
    // SAFETY: the kernel reads one `int`.
    let set =
        unsafe { libc::setsockopt(number, libc::SOL_UDP, UDP_SEGMENT, (&raw const size).cast(), length) };
    assert_eq!(set, 0, "segmentation of datagrams");
    let payload: Vec<u8> = (0..SEGMENT * COUNT).map(|at| (at / SEGMENT * 7 + at) as u8).collect();
    socket.send(&payload).expect("send");
    let mut buffer = [0; 2 * SEGMENT];
    for expected in payload.chunks(SEGMENT) {
        let length = socket.recv(&mut buffer).expect("an echo");
        assert_eq!(&buffer[..length], expected);
    }
    say("all echoed");
}

/// ICMP echo by a ping socket, which needs no privilege.
fn ping() {
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, ipproto};
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, Some(ipproto::ICMP))
        .expect("a ping socket");
    let timeout = rustix::net::sockopt::Timeout::Recv;
    rustix::net::sockopt::set_socket_timeout(&socket, timeout, Some(PATIENCE)).expect("a timeout");
    let to: std::net::SocketAddr = "10.0.2.2:0".parse().expect("an address");
    let request = [8, 0, 0, 0, 0, 0, 0, 1, b'w', b'e', b'f', b't'];
    rustix::net::sendto(&socket, &request, SendFlags::empty(), &to).expect("send");
    let mut reply = [0; 64];
    let (_, length) = rustix::net::recv(&socket, &mut reply[..], RecvFlags::empty()).expect("a reply");
    assert_eq!((length, reply[0], &reply[8..12]), (12, 0, &b"weft"[..]));
    say("replied");
}

/// Says a word when it is ready, and exits with 40 and the signal's number once one arrives.
fn await_signal(word: &str) {
    extern "C" fn leave(signal: libc::c_int) {
        // SAFETY: _exit may be called from a signal handler.
        unsafe { libc::_exit(40 + signal) };
    }
    for signal in [libc::SIGUSR1, libc::SIGINT] {
        // SAFETY: the handler calls only what a handler may.
        unsafe { libc::signal(signal, leave as *const () as libc::sighandler_t) };
    }
    say(word);
    loop {
        rustix::event::pause();
    }
}

/// Tries to type a command into the terminal for the shell outside.
fn type_into_terminal() {
    for (name, request) in [("TIOCSTI", libc::TIOCSTI), ("TIOCLINUX", libc::TIOCLINUX)] {
        let byte = b'\n';
        // SAFETY: the kernel reads one byte.
        let result = unsafe { libc::ioctl(0, request, &raw const byte) };
        let error = std::io::Error::last_os_error();
        say(&format!("{name} {}", if result == 0 { "done".into() } else { format!("{:?}", error.kind()) }));
    }
    let winsize = rustix::termios::tcgetwinsize(std::io::stdin());
    say(&format!("other requests {}", winsize.is_ok()));
}
