//! What the command tries with Unix sockets.

use crate::harness::say;
use crate::inside::report;
use rustix::fd::AsRawFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks for each of these, in every manner that there is, and prints what came of it.
pub fn connect(paths: &[&str]) {
    for path in paths {
        report(&format!("connect {path}"), greet(path));
        report(&format!("packets {path}"), send_to(path, SocketType::SEQPACKET));
        report(&format!("datagram {path}"), send_to(path, SocketType::DGRAM));
        let directory = Path::new(path).parent().expect("an absolute path");
        let leaf = Path::new(path).file_name().and_then(|leaf| leaf.to_str()).expect("a name");
        std::env::set_current_dir(directory).expect("a directory");
        report(&format!("relative {path}"), greet(leaf));
        report(&format!("by a link of one's own {path}"), by_link(path));
        report(&format!("by /proc/self {path}"), greet(&format!("/proc/self/cwd/{leaf}")));
        report(&format!("with an address as long as IPv4's {path}"), padded(leaf, 16));
        report(&format!("with an address as long as IPv6's {path}"), padded(leaf, 28));
        report(&format!("from a pair {path}"), from_pair(path));
    }
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).expect("the kernel's error")
}

fn greet(path: &str) -> Result<(), Errno> {
    let mut stream = UnixStream::connect(path).map_err(|error| errno(&error))?;
    stream.write_all(b"from inside\n").map_err(|error| errno(&error))
}

fn send_to(path: &str, kind: SocketType) -> Result<(), Errno> {
    let socket = rustix::net::socket(AddressFamily::UNIX, kind, None)?;
    let address = SocketAddrUnix::new(path)?;
    match kind {
        SocketType::DGRAM => {
            rustix::net::sendto(&socket, b"from inside\n", SendFlags::NOSIGNAL, &address).map(drop)
        }
        _ => rustix::net::connect(&socket, &address),
    }
}

/// A socket that has a peer from the start, and names another.
fn from_pair(path: &str) -> Result<(), Errno> {
    let (kind, flags) = (SocketType::DGRAM, SocketFlags::CLOEXEC);
    let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None)?;
    rustix::net::sendto(&one, b"from inside\n", SendFlags::NOSIGNAL, &SocketAddrUnix::new(path)?)?;
    let mut heard = [0; 64];
    let (_, length) = rustix::net::recv(&other, &mut heard[..], rustix::net::RecvFlags::DONTWAIT)?;
    // The peer has it, and nobody else.
    assert_eq!(&heard[..length], b"from inside\n");
    Err(Errno::ISCONN)
}

fn by_link(path: &str) -> Result<(), Errno> {
    let link = own_path("link");
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(path, &link).expect("a link");
    let greeted = greet(link.to_str().expect("a path in UTF-8"));
    std::fs::remove_file(link).expect("gone");
    greeted
}

/// A filter that went by the length of an address would take this for another family's.
fn padded(leaf: &str, length: usize) -> Result<(), Errno> {
    let mut address = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    address.extend(leaf.bytes());
    assert!(address.len() < length, "{leaf} is too long for this test");
    address.resize(length, 0);
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    connect_raw(&socket, &address)
}

fn connect_raw(socket: &impl AsRawFd, address: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads as many bytes as there are.
    let result = unsafe {
        libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), address.len() as libc::socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(errno(&std::io::Error::last_os_error())) }
}

/// A path of this sandbox's: its process ids are those of every other, its namespace is not.
fn own_path(what: &str) -> std::path::PathBuf {
    let namespace = std::fs::read_link("/proc/self/ns/pid").expect("a namespace");
    let number = namespace.to_string_lossy().replace(|letter: char| !letter.is_ascii_digit(), "");
    std::env::temp_dir().join(format!("weft-{what}-{number}"))
}

/// What programs do among themselves.
pub fn own() {
    let directory = own_path("own");
    std::fs::create_dir_all(&directory).expect("a directory");
    std::env::set_current_dir(&directory).expect("a directory");
    let whole = directory.join("listener");
    let listener = UnixListener::bind(&whole).expect("a listener");
    let server = std::thread::spawn(move || {
        for _ in 0..5 {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut heard = String::new();
            stream.read_to_string(&mut heard).expect("a greeting");
            assert_eq!(heard, "from inside\n");
        }
        listener
    });
    let whole = whole.to_str().expect("a path in UTF-8");
    report("own", greet(whole));
    report("own, relative", greet("listener"));
    report("own, by a link", by_link(whole));
    report("own, by /proc/self", greet("/proc/self/cwd/listener"));
    // Renamed, as servers do that want it to appear whole.
    std::fs::rename("listener", "renamed").expect("renamed");
    report("own, renamed", greet("renamed"));
    drop(server.join().expect("the server"));
    report("own, left behind", greet("renamed"));
    report("own, missing", greet("missing"));
    report("own, a file", std::fs::write("file", "").map_err(|e| errno(&e)).and_then(|()| greet("file")));
    let bound = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).expect("a socket");
    rustix::net::bind(&bound, &SocketAddrUnix::new("packets").expect("a path")).expect("bound");
    rustix::net::listen(&bound, 1).expect("listening");
    report("own, packets", send_to("packets", SocketType::SEQPACKET));
    let (one, other) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::NONBLOCK, None)
            .expect("a pair for datagrams");
    let sent: Vec<_> = [&b"one"[..], b"two"].iter().map(|text| rustix::io::write(&one, text)).collect();
    let mut heard = [0; 9];
    let lengths = [rustix::io::read(&other, &mut heard), rustix::io::read(&other, &mut heard)];
    say(&format!("own, datagrams of a pair: {sent:?} {lengths:?}"));
    report("own, nothing more to read", rustix::io::read(&other, &mut heard));
    // More than the guard remembers the holders of.
    let many: Vec<UnixListener> =
        (0..40).map(|number| UnixListener::bind(format!("many-{number}")).expect("a listener")).collect();
    let reached = (0..80).filter(|number| greet(&format!("many-{}", number % many.len())).is_ok()).count();
    say(&format!("own, {reached} connections to {} listeners", many.len()));
    std::fs::remove_dir_all(directory).expect("gone");
    say("all tried");
}

/// Connects again and again to a path that another thread changes to `forbidden`'s and back, in memory and by the link
/// that it leads through.
pub fn race(forbidden: &str) {
    const ROUNDS: usize = 2_000;
    let directory = own_path("race");
    std::fs::create_dir_all(&directory).expect("a directory");
    std::env::set_current_dir(&directory).expect("a directory");
    let listener = UnixListener::bind("own").expect("a listener");
    let _accepting = std::thread::spawn(move || listener.incoming().for_each(drop));
    std::os::unix::fs::symlink(forbidden, "forbidden").expect("a link");
    std::os::unix::fs::symlink("own", "link").expect("a link");
    // Both addresses fit 16 bytes: "own" and "bad" differ in memory, and "link" on disk.
    std::os::unix::fs::symlink(forbidden, "bad").expect("a link");
    let mut address = [0u8; 16];
    address[..2].copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
    address[2..5].copy_from_slice(b"own");
    let place = address.as_mut_ptr() as usize;
    let over = AtomicBool::new(false);
    let mut reached = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0;
            while !over.load(Ordering::Relaxed) {
                turn += 1;
                let name = if turn % 2 == 0 { b"own" } else { b"bad" };
                // SAFETY: the array outlives this thread; that the kernel reads it meanwhile is what is tested.
                unsafe { std::ptr::copy_nonoverlapping(name.as_ptr(), (place as *mut u8).add(2), 3) };
                let target = if turn % 3 == 0 { "own" } else { "forbidden" };
                let _ = std::os::unix::fs::symlink(target, "new");
                let _ = std::fs::rename("new", "link");
            }
        });
        for round in 0..ROUNDS {
            let socket =
                rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).expect("a socket");
            let bytes: &[u8] = match round % 2 {
                // SAFETY: as above.
                0 => unsafe { std::slice::from_raw_parts(place as *const u8, 16) },
                _ => &[1, 0, b'l', b'i', b'n', b'k'],
            };
            if connect_raw(&socket, bytes).is_ok() {
                reached += 1;
                let _ = rustix::net::send(&socket, b"from inside\n", SendFlags::NOSIGNAL);
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    std::fs::remove_dir_all(directory).expect("gone");
    say(&format!("reached its own {}", reached > 0));
}
