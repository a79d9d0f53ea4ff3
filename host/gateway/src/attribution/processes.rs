//! From a socket to a process that holds it, by `/proc/PID/fd`.

use super::diag::{self, DiagSocket};
use super::ping;
use crate::report::Process;
use crate::rules::Protocol;
use rustix::fd::OwnedFd;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::process::Pid;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How many processes are looked at for one connection; in a larger family the opener may stay unknown.
pub const PROCESSES_MAX: usize = 1_024;
/// How many open files are looked at for one connection, in all processes together. Each costs about 1 µs.
pub const LINKS_MAX: usize = 16_384;
/// How many processes that opened connections lately are tried first.
const RECENT_MAX: usize = 4;

/// The processes of a sandbox, as the host's `/proc` shows them.
#[derive(Debug)]
pub struct Processes {
    /// A NETLINK_SOCK_DIAG socket of the sandbox's network namespace.
    socket_tables: OwnedFd,
    /// The process that all others descend from.
    root: u32,
    /// Those that opened connections lately, the latest first.
    recent: VecDeque<u32>,
    /// Of the last request: a reply to an earlier one, left behind by a failure, is not taken for its own.
    sequence: u32,
}

impl Processes {
    /// Those that descend from `root`, and it. `socket_tables` is a NETLINK_SOCK_DIAG socket made in their network
    /// namespace.
    #[must_use]
    pub fn new(socket_tables: OwnedFd, root: Pid) -> Self {
        Self {
            socket_tables,
            root: root.as_raw_nonzero().get().unsigned_abs(),
            recent: VecDeque::new(),
            sequence: 0,
        }
    }

    /// The process that holds the socket with these ends, `local` being its own; `None` where that cannot be told.
    /// The port of a ping socket is the identifier of its echo requests.
    pub fn find(&mut self, protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> Option<Process> {
        let socket = self.socket(protocol, local, remote)?;
        let link = format!("socket:[{}]", socket.inode);
        let mut links_left = LINKS_MAX;
        let recent = self.recent.iter().copied().find(|id| holds(*id, &link, &mut links_left));
        let id = recent.or_else(|| self.search(&link, &mut links_left))?;
        let name = std::fs::read_to_string(process_path(id, "comm")).ok()?;
        // The id may have become another process's since it was found, and the inode another socket's.
        let still = holds(id, &link, &mut links_left) && self.socket(protocol, local, remote)? == socket;
        if !still {
            return None;
        }
        self.recent.retain(|other| *other != id);
        self.recent.push_front(id);
        self.recent.truncate(RECENT_MAX);
        Some(Process { name: name.trim_end_matches('\n').to_owned(), id })
    }

    /// Looks through all descendants, the youngest first: they are the likeliest to have just opened something.
    fn search(&self, link: &str, links_left: &mut usize) -> Option<u32> {
        let mut family = vec![self.root];
        let mut next = 0;
        while let Some(id) = family.get(next).copied().filter(|_| next < PROCESSES_MAX) {
            next += 1;
            family.extend(children(id));
        }
        family.truncate(PROCESSES_MAX);
        family.into_iter().rev().find(|id| holds(*id, link, links_left))
    }

    /// Asks the kernel for the socket. It answers at once, before the call that asks returns.
    fn socket(&mut self, protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> Option<DiagSocket> {
        if protocol == Protocol::Icmp {
            let inode = self.ping_socket(local)?;
            return Some(DiagSocket { inode, cookie: 0 });
        }
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        self.sequence = self.sequence.wrapping_add(1);
        let request = diag::request(protocol, canonical(local), canonical(remote), self.sequence)?;
        send(&self.socket_tables, &request, SendFlags::DONTWAIT).ok()?;
        let mut reply = [0; 1_024];
        loop {
            let (count, _) = recv(&self.socket_tables, &mut reply[..], RecvFlags::DONTWAIT).ok()?;
            let reply = reply.get(..count)?;
            if diag::sequence(reply) == Some(self.sequence) {
                return diag::parse_reply(reply);
            }
        }
    }

    /// The inode of the ping socket that has this address and identifier.
    fn ping_socket(&self, local: SocketAddr) -> Option<u32> {
        let leaf = if local.is_ipv4() { "net/icmp" } else { "net/icmp6" };
        let mut table = String::new();
        let file = File::open(process_path(self.root, leaf)).ok()?;
        file.take(ping::TABLE_BYTES_MAX + 1).read_to_string(&mut table).ok()?;
        ping::find_identifier(&table, local.port())
    }
}

fn process_path(id: u32, leaf: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{id}/{leaf}"))
}

/// Whether one of a process's descriptors is this link.
fn holds(id: u32, link: &str, links_left: &mut usize) -> bool {
    let Ok(entries) = std::fs::read_dir(process_path(id, "fd")) else { return false };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    // The newest descriptors mostly have the highest numbers, and the directory lists the lowest first.
    while let Some(path) = paths.pop().filter(|_| *links_left > 0) {
        *links_left -= 1;
        if std::fs::read_link(path).is_ok_and(|target| target.as_os_str() == link) {
            return true;
        }
    }
    false
}

/// The children of all threads of a process.
fn children(id: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(process_path(id, "task")) else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::process::{Command, Stdio};

    fn processes(root: u32) -> Processes {
        let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
        let tables =
            socket_with(family, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG)).expect("a socket");
        let root = i32::try_from(root).ok().and_then(Pid::from_raw).expect("a process id");
        Processes::new(tables, root)
    }

    #[test]
    fn a_socket_of_this_process_is_found_and_a_closed_one_is_not() {
        let mut processes = processes(std::process::id());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let remote = listener.local_addr().expect("its address");
        let stream = TcpStream::connect(remote).expect("a connection");
        let local = stream.local_addr().expect("its address");
        for _ in 0..2 {
            let found = processes.find(Protocol::Tcp, local, remote).expect("this process");
            assert_eq!(found.id, std::process::id());
            let name = std::fs::read_to_string("/proc/self/comm").expect("a name");
            assert_eq!(found.name, name.trim_end());
        }
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let bound = udp.local_addr().expect("its address");
        assert_eq!(processes.find(Protocol::Udp, bound, remote).map(|one| one.id), Some(std::process::id()));
        drop(stream);
        assert_eq!(processes.find(Protocol::Tcp, local, remote), None);
        assert_eq!(processes.find(Protocol::Icmp, local, remote), None, "no ping socket has the identifier");
    }

    #[test]
    fn an_unconnected_ipv6_socket_that_speaks_ipv4_is_found() {
        let mut processes = processes(std::process::id());
        let udp = UdpSocket::bind("[::]:0").expect("a socket");
        let local = SocketAddr::new([127, 0, 0, 1].into(), udp.local_addr().expect("its address").port());
        let remote = "127.0.0.1:9".parse().expect("an address");
        assert_eq!(processes.find(Protocol::Udp, local, remote).map(|one| one.id), Some(std::process::id()));
    }

    #[test]
    fn a_socket_of_a_grandchild_is_found_from_the_child() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let remote = listener.local_addr().expect("its address");
        // The shell's child connects, says so, and waits for a line before it ends.
        let script =
            format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{}; echo ready; read line'; true", remote.port());
        let mut child = Command::new("bash")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        let (_accepted, local) = listener.accept().expect("a connection");
        let found = processes(child.id()).find(Protocol::Tcp, local, remote).expect("the grandchild");
        assert!(found.name == "bash" && found.id != child.id(), "{found:?}");
        let stranger = processes(found.id).find(Protocol::Tcp, remote, local);
        assert_eq!(stranger, None, "the other end is this process's, which is no descendant");
        child.stdin.take().expect("a pipe").write_all(b"\n").expect("written");
        child.wait().expect("the child ends");
    }
}
