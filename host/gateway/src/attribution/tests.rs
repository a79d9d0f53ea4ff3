//! Real processes that hold real sockets.

use super::asker::Image;
use super::folder::Folder;
use super::*;
use axiom::rules::Protocol;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink, socket_with};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The processes below one.
fn below(root: u32) -> Processes {
    let (family, flags) = (AddressFamily::NETLINK, SocketFlags::CLOEXEC);
    let tables = socket_with(family, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG)).expect("a socket");
    Processes::new(tables, pid(root))
}

fn pid(id: u32) -> Pid {
    i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id")
}

/// A connection over loopback, whose far end listens on.
struct Connection {
    stream: TcpStream,
    local: SocketAddr,
    remote: SocketAddr,
    _listener: TcpListener,
}

impl Connection {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let remote = listener.local_addr().expect("its address");
        let stream = TcpStream::connect(remote).expect("a connection");
        Self { local: stream.local_addr().expect("its address"), stream, remote, _listener: listener }
    }

    fn find(&self, root: u32) -> Option<Asker> {
        below(root).find(Protocol::Tcp, self.local, self.remote)
    }

    /// A process that has the connection as its input, and waits for something to read.
    fn give(&self, command: &mut Command) -> Running {
        let input = OwnedFd::from(self.stream.try_clone().expect("a descriptor"));
        Running::start(command.stdin(input).stdout(Stdio::null()))
    }
}

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let running = Self(command.spawn().expect("it runs"));
        // It counts as started once it has another program's memory, shortly before that has its arguments.
        let folder = Folder::open(running.0.id()).expect("it runs");
        while Image::read(&folder).is_none() {
            std::thread::yield_now();
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that ends with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weft-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path.canonicalize().expect("its path"))
    }

    /// A program of its own that does what `original` does.
    fn copy(&self, original: &Path, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::copy(original, &path).expect("a copy");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bash() -> PathBuf {
    Path::new("/bin/bash").canonicalize().expect("bash is there")
}

fn cat() -> PathBuf {
    Path::new("/bin/cat").canonicalize().expect("cat is there")
}

#[test]
fn a_socket_of_this_process_is_found_and_a_closed_one_is_not() {
    let mut processes = below(std::process::id());
    let connection = Connection::open();
    let (local, remote) = (connection.local, connection.remote);
    let found = connection.find(std::process::id()).expect("this process");
    let name = fs::read_to_string("/proc/self/comm").expect("a name");
    assert_eq!(found.to_process().name, name.trim_end());
    let program = found.to_program(None);
    assert_eq!(program.id, std::process::id());
    assert_eq!(Path::new(&program.executable), std::env::current_exe().expect("its path"));
    assert_eq!(program.command_line, std::env::args().collect::<Vec<_>>());
    assert_eq!(program.user, Some(rustix::process::geteuid().as_raw()));
    assert_eq!((program.parents.len(), program.digest), (0, None), "none is below the first of all");

    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let bound = udp.local_addr().expect("its address");
    let found = processes.find(Protocol::Udp, bound, remote).expect("this process");
    assert_eq!(found.to_process().id, std::process::id());
    drop(connection);
    assert!(processes.find(Protocol::Tcp, local, remote).is_none());
    assert!(processes.find(Protocol::Icmp, local, remote).is_none(), "no ping socket has the identifier");
}

#[test]
fn an_unconnected_ipv6_socket_that_speaks_ipv4_is_found() {
    let udp = UdpSocket::bind("[::]:0").expect("a socket");
    let local = SocketAddr::new([127, 0, 0, 1].into(), udp.local_addr().expect("its address").port());
    let remote = "127.0.0.1:9".parse().expect("an address");
    let found = below(std::process::id()).find(Protocol::Udp, local, remote).expect("this process");
    assert_eq!(found.to_process().id, std::process::id());
}

#[test]
fn a_port_that_two_programs_have_is_nobodys_and_one_that_one_has_twice_is_that_ones() {
    let bind = || {
        let (family, flags) = (AddressFamily::INET, SocketFlags::CLOEXEC);
        let socket = socket_with(family, SocketType::DGRAM, flags, None).expect("a socket");
        rustix::net::sockopt::set_socket_reuseport(&socket, true).expect("a port that is shared");
        socket
    };
    let own = UdpSocket::from(bind_to(bind(), "127.0.0.1:0"));
    let (local, remote) = (own.local_addr().expect("its address"), "127.0.0.1:9".parse().expect("one"));
    let mut processes = below(std::process::id());
    let mut find = || processes.find(Protocol::Udp, local, remote);
    let looked = find().expect("this process alone");
    let second = bind_to(bind(), &local.to_string());
    assert!(find().expect("this process twice").is_same_program(&looked));
    // The other program's socket has another address, so that answers never reach it.
    drop(second);
    let other = bind_to(bind(), &format!("127.0.0.2:{}", local.port()));
    let mut command = Command::new(cat());
    let _running = Running::start(command.stdin(other).stdout(Stdio::null()));
    drop(command);
    assert!(find().is_none(), "it may send from there as well");
}

fn bind_to(socket: OwnedFd, address: &str) -> OwnedFd {
    rustix::net::bind(&socket, &address.parse::<SocketAddr>().expect("an address")).expect("a port");
    socket
}

#[test]
fn a_port_that_is_taken_by_another_socket_is_another_sockets() {
    let mut processes = below(std::process::id());
    let first = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let (local, remote) = (first.local_addr().expect("its address"), "127.0.0.1:9".parse().expect("one"));
    let mut look = || processes.look(Protocol::Udp, local, remote);
    let seen = look().expect("the first");
    first.connect(remote).expect("connected");
    assert_eq!(look(), Some(seen), "it is the same");
    drop(first);
    assert_eq!(look(), None);
    let _second = UdpSocket::bind(local).expect("the port is free");
    assert_ne!(look().expect("the second"), seen);
}

#[test]
fn a_grandchild_is_found_with_those_above_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let remote = listener.local_addr().expect("its address");
    // The shell's child connects, says so, and waits for a line before it ends.
    let inner = format!("exec 3<>/dev/tcp/127.0.0.1/{}; echo ready; read line", remote.port());
    let script = format!("bash -c '{inner}'; true");
    let mut command = Command::new("bash");
    command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = Running::start(&mut command);
    let mut line = String::new();
    let mut output = BufReader::new(shell.0.stdout.take().expect("a pipe"));
    output.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    let (_accepted, local) = listener.accept().expect("a connection");

    let program = below(shell.0.id()).find(Protocol::Tcp, local, remote).expect("found").to_program(None);
    assert_eq!((&program.executable[..], &program.parents[..]), (&bash().to_string_lossy()[..], &[][..]));
    assert_eq!(program.command_line, ["bash", "-c", &inner]);
    assert_ne!(program.id, shell.0.id());

    let program =
        below(std::process::id()).find(Protocol::Tcp, local, remote).expect("found").to_program(None);
    let above = ledger::Parent { id: shell.0.id(), executable: bash().to_string_lossy().into_owned() };
    assert_eq!(program.parents, [above]);

    let stranger = below(program.id).find(Protocol::Tcp, remote, local);
    assert!(stranger.is_none(), "the other end is this process's, which is no descendant");
    let (mut from_here, mut from_it) = (below(std::process::id()), below(program.id));
    for _ in 0..2 {
        let found = from_here.find(Protocol::Tcp, local, remote).expect("found").to_program(None);
        assert_eq!(found, program);
    }
    assert!(from_it.find(Protocol::Tcp, local, remote).is_some());
    let input = shell.0.stdin.take();
    shell.0.kill().expect("killed");
    shell.0.wait().expect("ended");
    assert!(from_here.find(Protocol::Tcp, local, remote).is_none(), "it is below another now");
    assert!(from_it.find(Protocol::Tcp, local, remote).is_some());
    drop(input);
    assert_eq!(output.read_line(&mut line).expect("its end"), 0);
    assert!(from_it.find(Protocol::Tcp, local, remote).is_none(), "it has ended");
}

#[test]
fn of_very_many_above_it_the_nearest_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    // Shells in shells, the innermost of which connects.
    let script = r#"if [ $1 -gt 0 ]; then bash -c "$S" bash $(($1 - 1)); else exec 3<>/dev/tcp/127.0.0.1/$2; read line; fi; true"#;
    let script = script.replace("$2", &port.to_string());
    let mut command = Command::new("bash");
    command.args(["-c", &script, "bash", "20"]).env("S", &script).stdin(Stdio::piped());
    let mut shells = Running::start(&mut command);
    let (_accepted, local) = listener.accept().expect("a connection");
    let remote = listener.local_addr().expect("its address");
    let program =
        below(std::process::id()).find(Protocol::Tcp, local, remote).expect("found").to_program(None);
    assert_eq!(
        program.parents.len(),
        ledger::entry::PARENTS_MAX + 1,
        "one more, so that the ledger says it was cut"
    );
    assert!(program.parents.is_sorted_by(|below, above| below.id > above.id), "{program:?}");
    drop(shells.0.stdin.take());
    shells.0.wait().expect("they end");
}

#[test]
fn a_socket_of_two_programs_is_nobodys() {
    let connection = Connection::open();
    let first = connection.give(&mut Command::new("cat"));
    assert!(connection.find(std::process::id()).is_none(), "this program's and cat's");
    let (local, remote) = (connection.local, connection.remote);
    let mut processes = below(std::process::id());
    let second = connection.give(&mut Command::new("cat"));
    let Connection { stream, _listener, .. } = connection;
    drop(stream);
    let found = processes.find(Protocol::Tcp, local, remote).expect("one program");
    assert_eq!(found.to_process().id, second.0.id(), "the youngest");
    assert_eq!(found.to_program(None).executable, cat().to_string_lossy());
    drop(first);
    drop(second);
    assert!(processes.find(Protocol::Tcp, local, remote).is_none());
}

#[test]
fn one_executable_with_two_command_lines_is_two_programs() {
    let connection = Connection::open();
    let (local, remote) = (connection.local, connection.remote);
    let (one, other) =
        (connection.give(&mut Command::new("cat")), connection.give(Command::new("cat").arg("-")));
    let Connection { stream, _listener, .. } = connection;
    drop(stream);
    let mut processes = below(std::process::id());
    assert!(processes.find(Protocol::Tcp, local, remote).is_none());
    drop(one);
    let found = processes.find(Protocol::Tcp, local, remote).expect("the other");
    assert_eq!(found.to_program(None).command_line, ["cat", "-"]);
    drop(other);
}

#[test]
fn a_socket_that_exec_closes_is_its_makers_alone_unless_a_child_has_it() {
    let connection = Connection::open();
    let id = std::process::id();
    let folder = Folder::open(id).expect("this process");
    assert_eq!(folder.closes_at_exec(connection.stream.as_raw_fd().unsigned_abs()), Some(true));
    assert_eq!(connection.find(id).expect("found").to_process().id, id);
    let child = connection.give(&mut Command::new("cat"));
    let given = Folder::open(child.0.id()).expect("it runs");
    assert_eq!(given.closes_at_exec(0), Some(false));
    assert!(connection.find(id).is_none());
    drop(child);
    assert_eq!(connection.find(id).expect("found").to_process().id, id);
}

#[test]
fn a_script_is_its_interpreter_with_the_script_as_an_argument() {
    let place = Place::new("script");
    let script = place.0.join("ask");
    fs::write(&script, "#!/bin/bash\nread line\n").expect("written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("executable");
    let connection = Connection::open();
    let running = connection.give(&mut Command::new(&script));
    let program = connection.find(running.0.id()).expect("found").to_program(None);
    assert_eq!(program.executable, bash().to_string_lossy());
    assert_eq!(
        program.command_line,
        ["/bin/bash".as_ref(), script.as_os_str()].map(|text| text.to_string_lossy())
    );
}

#[test]
fn an_executable_without_a_path_is_told_as_such() {
    let place = Place::new("deleted");
    let connection = Connection::open();
    let path = place.copy(&cat(), "gone");
    let running = connection.give(&mut Command::new(&path));
    let told =
        |running: &Running| connection.find(running.0.id()).expect("found").to_program(None).executable;
    assert_eq!(told(&running), path.to_string_lossy());
    fs::remove_file(&path).expect("removed");
    assert_eq!(told(&running), format!("{} (deleted)", path.display()));
    place.copy(&bash(), "gone");
    assert_eq!(told(&running), format!("{} (deleted)", path.display()), "another file is there now");

    let mut memory = File::from(memfd_create("of memory", MemfdFlags::CLOEXEC).expect("a file"));
    memory.write_all(&fs::read(cat()).expect("cat is there")).expect("written");
    let read_only = File::open(format!("/proc/self/fd/{}", memory.as_raw_fd())).expect("opened");
    drop(memory);
    let running = connection.give(&mut Command::new(format!("/proc/self/fd/{}", read_only.as_raw_fd())));
    assert_eq!(told(&running), "/memfd:of memory (deleted)");
}

#[test]
fn what_becomes_another_program_is_never_told_as_a_mixture() {
    let place = Place::new("exec");
    let (one, two) = (place.copy(&bash(), "one"), place.copy(&bash(), "two"));
    // Each becomes the other, again and again, with the connection as its input.
    let script =
        r#"case "$1" in one) exec "$TWO" -c "$S" "$TWO" two;; two) exec "$ONE" -c "$S" "$ONE" one;; esac"#;
    let connection = Connection::open();
    let mut command = Command::new(&one);
    command.args(["-c", script]).arg(&one).arg("one").env("ONE", &one).env("TWO", &two).env("S", script);
    let running = connection.give(&mut command);
    let mut processes = below(running.0.id());
    let mut told = [0, 0];
    let mut looks = 0;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    // As often, and as long as it takes to meet both: that is the scheduler's affair.
    while (looks < 2_000 || told.contains(&0)) && std::time::Instant::now() < until {
        looks += 1;
        let Some(found) = processes.find(Protocol::Tcp, connection.local, connection.remote) else {
            continue;
        };
        let program = found.to_program(None);
        let name = program.command_line.last().expect("an argument");
        assert!(program.executable.ends_with(&format!("/{name}")), "{program:?}");
        told[usize::from(name == "two")] += 1;
    }
    assert!(told.iter().all(|count| *count > 0), "{told:?}");
}

#[test]
fn what_it_is_differs_once_it_is_another_program_or_has_ended() {
    let mut command = Command::new("bash");
    command.args(["-c", "read line; exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = Running::start(&mut command);
    let folder = Folder::open(running.0.id()).expect("it runs");
    let before = Image::read(&folder).expect("it runs");
    assert!(before.is_unchanged(&folder));
    // What cat has echoed, it has read as cat.
    running.0.stdin.as_mut().expect("a pipe").write_all(b"go on\nhere\n").expect("written");
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert_eq!(line, "here\n");
    assert!(!before.is_unchanged(&folder));
    running.0.kill().expect("killed");
    running.0.wait().expect("ended");
    assert!(Image::read(&folder).is_none() && folder.executable_version().is_none());
}

#[test]
fn ten_thousand_open_files_are_looked_through_and_twice_as_many_are_not() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("allowed");
    let first = Connection::open();
    let mut files = Vec::new();
    let mut open = |count: usize| {
        files.extend((0..count).map(|_| File::open("/dev/null").expect("as many files as the test needs")));
    };
    open(10_000);
    let id = std::process::id();
    assert!(first.find(id).is_some(), "it is among the oldest");
    open(LOOKS_MAX - 10_000);
    assert!(first.find(id).is_none(), "too many are newer");
    let last = Connection::open();
    assert!(last.find(id).is_some());
}

#[test]
fn a_thread_tells_its_process() {
    let mut processes = below(std::process::id());
    let (told, tell) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let thread = std::thread::spawn(move || {
        told.0.send(rustix::thread::gettid()).expect("the test waits");
        let _ = tell.1.recv();
    });
    let id = told.1.recv().expect("its id");
    let found = processes.find_thread(id).expect("this process");
    assert_eq!(found.to_process().id, std::process::id());
    drop(tell.0);
    thread.join().expect("it ends");
}

/// This thread, as the guard tells of it.
fn here() -> Pid {
    rustix::thread::gettid()
}

/// The inode by which a socket is known.
fn inode(socket: impl std::os::fd::AsFd) -> u32 {
    rustix::fs::fstat(socket).expect("it is open").st_ino as u32
}

#[test]
fn under_a_guard_a_connection_is_told_as_its_callers_only() {
    let connection = Connection::open();
    let socket = inode(&connection.stream);
    let mut processes = below(std::process::id()).with_guard();
    let cat = Running::start(Command::new("cat").stdin(Stdio::piped()));
    let own = processes.find_thread(here()).expect("this process");
    let other = processes.find_thread(pid(cat.0.id())).expect("it runs");
    let mut told = |callers: &[Option<&Asker>]| {
        let guard = processes.callers().expect("there is one");
        callers.iter().for_each(|by| guard.handle_connect(socket, by.cloned()));
        let found = processes.find(Protocol::Tcp, connection.local, connection.remote);
        found.map(|asker| asker.to_process().id)
    };
    assert_eq!(told(&[]), None, "the guard has not told of it");
    assert_eq!(told(&[Some(&own)]), Some(std::process::id()));
    assert_eq!(told(&[]), Some(std::process::id()), "still");
    assert_eq!(told(&[Some(&other)]), Some(cat.0.id()), "once more, by another");
    assert_eq!(told(&[None]), None, "by somebody");
    assert_eq!(told(&[Some(&own), Some(&own)]), Some(std::process::id()));
    assert_eq!(told(&[Some(&own), Some(&other)]), None, "it may be the SYN of either");
    assert_eq!(told(&[Some(&own)]), Some(std::process::id()));
    // Another connection of the same socket was opened by no call that was looked at, nor one after it was disconnected.
    let guard = processes.callers().expect("there is one");
    let (here, there) = (connection.local, connection.remote);
    assert!(guard.find_connecting(socket, (here, there)).is_some());
    assert!(guard.find_connecting(socket, (here, here)).is_none());
    guard.handle_disconnect(socket);
    assert!(guard.find_connecting(socket, (here, there)).is_none());
    // So many later ones that it is forgotten.
    guard.handle_connect(socket, Some(own.clone()));
    (0..callers::SOCKETS_MAX as u32).for_each(|later| guard.handle_connect(u32::MAX - later, None));
    assert!(guard.find_connecting(socket, (here, there)).is_none());
}

#[test]
fn a_guard_counts_the_sockets_of_other_programs() {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut processes = below(std::process::id()).with_guard();
    let own = processes.find_thread(here()).expect("this process");
    let cat = Running::start(Command::new("cat").stdin(Stdio::piped()));
    let other = processes.find_thread(pid(cat.0.id())).expect("cat");
    let guard = processes.callers().expect("there is one");
    let socket = inode(&udp);
    let mut others = |made: u32, by: Option<&Asker>| {
        guard.handle_make(made, by.cloned());
        (guard.made_by_others(socket), guard.made())
    };
    assert_eq!(others(1, Some(&other)), (1, 1), "nobody knows who has made this one");
    assert_eq!(others(socket, Some(&own)), (1, 2));
    assert_eq!(others(3, Some(&own)), (1, 3));
    assert_eq!(others(4, Some(&other)), (4, 4));
    assert_eq!(others(5, Some(&own)), (4, 5));
    assert_eq!(others(6, None), (6, 6), "it may be any");
}

#[test]
fn under_a_guard_a_datagram_is_told_as_its_sockets_makers_only() {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let (local, remote) = (udp.local_addr().expect("its address"), "127.0.0.1:9".parse().expect("one"));
    let mut processes = below(std::process::id()).with_guard();
    let own = processes.find_thread(here()).expect("this process");
    let mut told = |made: Option<(u32, &Asker)>| {
        let guard = processes.callers().expect("there is one");
        made.into_iter().for_each(|(socket, by)| guard.handle_make(socket, Some(by.clone())));
        let socket = processes.look(Protocol::Udp, local, remote);
        let held = socket.and_then(|socket| processes.find_holding(socket, Protocol::Udp, local, remote));
        let held = held.map(|asker| asker.to_process().id);
        (processes.find(Protocol::Udp, local, remote).map(|asker| asker.to_process().id), held)
    };
    let id = Some(std::process::id());
    assert_eq!(told(None), (None, id), "the guard has not told of it");
    let other = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    assert_eq!(told(Some((inode(&other), &own))), (None, id), "nor has it by that of another");
    assert_eq!(told(Some((inode(&udp), &own))), (id, id));
    // Another program has it, alone at last.
    let cat = Running::start(Command::new("cat").stdin(OwnedFd::from(udp.try_clone().expect("a copy"))));
    assert_eq!(told(None), (None, None), "two programs");
    let socket = inode(&udp);
    drop(udp);
    assert_eq!(told(None), (None, Some(cat.0.id())), "cat has not made it");
    assert_eq!(told(Some((socket, &own))), (None, Some(cat.0.id())));
}
