//! A child that tries to harm: what it does costs bounded memory, others go on, and it gets at nothing outside.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use interop::peers::echo::Stalled;
use interop::weft::Running;
use interop::world::{OTHER_V4, SITE_V4};
use interop::{Attach, Echo, User, Way, World, in_every_way, needs, programs, wait};

in_every_way! {
    the_gateway_and_the_host_are_out_of_reach => out_of_reach;
}

/// What a gateway may hold while a child does its worst, in KiB. A build without optimisation idles at a third of it.
const RESIDENT_KIB_MAX: u64 = 192 * 1024;

/// Runs the Python program that is its first argument with a standard input that never comes to an end.
const HOLD: &str = "mkfifo hold; python3 -c \"$0\" < hold & exec 3> hold; wait";

/// The most memory that the run's own processes (not the command's) had in RAM so far, in KiB.
fn resident_max_kib(running: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", running.id())).expect("the gateway lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn an_upload_into_a_stalled_peer_is_held_back_and_others_go_on() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    world.name("two.test");
    let stalled = Stalled::at(&world.internet, (SITE_V4, 9));
    Echo::tcp(&world.internet, (SITE_V4, 7));
    // Sends until nothing more is taken, and then for as long again as an echo goes to and fro a hundred times.
    let program = "
import select, socket
s = socket.create_connection(('one.test', 9))
s.setblocking(False)
block, sent = b'x' * (1 << 20), 0
while select.select([], [s], [], 0.5)[1] and sent < 4 << 30:
    sent += s.send(block)
other = socket.create_connection(('two.test', 7), timeout=10)
for _ in range(100):
    other.sendall(b'y' * 1000)
    got = 0
    while got < 1000:
        got += len(other.recv(1000))
    if select.select([], [s], [], 0)[1]:
        sent += s.send(block)
print('sent', sent, flush=True)
input()
";
    let run = world.weft().allow("one.test:9").allow("two.test:7");
    let mut running = run.start(&["sh", "-c", HOLD, program]);
    let sent: u64 = running.line("sent").parse().expect("a number");
    // The peer's kernel, ours, and the stack's buffers hold a part each: that is the bound that back-pressure keeps.
    assert!(sent < 64 << 20, "{sent} bytes were taken for a peer that reads none");
    assert_eq!(stalled.accepted(), 1);
    let held = resident_max_kib(&running);
    assert!(held < RESIDENT_KIB_MAX, "the gateway holds {held} KiB");
}

#[test]
fn ten_thousand_half_open_connections_cost_bounded_memory_and_others_go_on() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    Echo::tcp(&world.internet, (SITE_V4, 7));
    // To an allowed address that swallows everything: no answer ever comes, nor an error. Sockets are closed after their
    // SYN went, so that the descriptors do not run out; the stack has seen the SYN all the same.
    let program = "
import errno, socket
others = []
for number in range(10000):
    s = socket.socket()
    s.setblocking(False)
    assert s.connect_ex(('192.0.2.200', 1 + number)) in (errno.EINPROGRESS, errno.ECONNREFUSED), number
    others.append(s)
    if len(others) == 900:
        others.clear()
other = socket.create_connection(('one.test', 7), timeout=3)
other.sendall(b'hello')
print('echo', other.recv(5), flush=True)
input()
";
    flood(world.weft().allow("192.0.2.200").allow("one.test:7"), program);
}

#[test]
fn a_hundred_thousand_udp_flows_cost_bounded_memory_and_others_go_on() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    Echo::tcp(&world.internet, (SITE_V4, 7));
    let program = "
import socket
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
for number in range(100000):
    try:
        sockets[number & 3].sendto(b'x', ('192.0.2.200', 1 + number // 4))
    except OSError:
        pass
other = socket.create_connection(('one.test', 7), timeout=3)
other.sendall(b'hello')
print('echo', other.recv(5), flush=True)
input()
";
    flood(world.weft().allow("udp://192.0.2.200").allow("one.test:7"), program);
}

/// Runs a program that floods and then waits, and looks at the gateway's memory.
fn flood(run: interop::Run<'_>, program: &str) {
    let mut running = run.option("--quiet").start(&["sh", "-c", HOLD, program]);
    assert_eq!(running.line("echo"), "b'hello'");
    let held = resident_max_kib(&running);
    assert!(held < RESIDENT_KIB_MAX, "the gateway holds {held} KiB");
}

#[test]
fn many_refusals_do_not_flood_the_terminal() {
    needs!["python3"];
    let world = World::new();
    let program = "
import socket
for number in range(2000):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b'x', ('203.0.113.90', 9))
    s.close()
for number in range(2000):
    assert socket.socket().connect_ex(('203.0.113.90', 9)) != 0
";
    let outcome = world.weft().output(&["python3", "-c", program]).succeeded();
    let lines = outcome.stderr.lines().count();
    assert!((1..200).contains(&lines), "{lines} lines for the same refusal");
}

fn out_of_reach(way: Way) {
    needs!["python3", "nsenter", "ip"];
    let world = World::new();
    // An abstract Unix socket of the host's, with a name that the child knows.
    let name = format!("interop-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = world.host.within(|| UnixListener::bind_addr(&address)).expect("an abstract socket");
    let program = world.write("escape.py", include_str!("escape.py"));
    let own = std::process::id().to_string();
    let words = ["python3", program.to_str().expect("a path in UTF-8"), &name, &own];
    let outcome = world.weft_as(way).output(&words).succeeded();
    let escapes: Vec<&str> = outcome.stdout.lines().filter(|line| line.starts_with("ESCAPED")).collect();
    assert!(escapes.is_empty(), "{escapes:?}:\n{outcome}");
    let _ = outcome.printed("tried everything");
}

#[test]
fn a_large_answer_that_no_one_reads_is_held_back() {
    needs!["python3"];
    let world = World::new();
    let listener = world.internet.within(|| std::net::TcpListener::bind((OTHER_V4, 9))).expect("a listener");
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a timeout");
        let block = vec![0; 1 << 20];
        let mut sent: u64 = 0;
        while sent < 4 << 30 {
            match std::io::Write::write(&mut stream, &block) {
                Ok(length) => sent += length as u64,
                Err(_) => break,
            }
        }
        told.send(sent).expect("the test waits for this");
        // Held open: the end of the test closes it.
        let _ = std::io::read_to_string(stream);
    });
    let program = "
import socket, sys
s = socket.create_connection(('203.0.113.90', 9))
print('ready', flush=True)
input()
";
    let mut running = world.weft().allow("203.0.113.90:9").start(&["sh", "-c", HOLD, program]);
    running.line("ready");
    let sent = heard.recv_timeout(wait::PATIENCE).expect("the sender comes to a stop");
    assert!(sent < 64 << 20, "{sent} bytes were taken for a child that reads none");
    let held = resident_max_kib(&running);
    assert!(held < RESIDENT_KIB_MAX, "the gateway holds {held} KiB");
}

/// A setuid program is its caller's inside: no_new_privs.
#[test]
fn a_setuid_program_gains_nothing() {
    needs!["id", "setpriv"];
    let world = World::new();
    let id = world.home().join("id");
    fs::copy(programs::path("id"), &id).expect("a copy");
    fs::set_permissions(&id, std::os::unix::fs::PermissionsExt::from_mode(0o4755)).expect("setuid");
    let mut outside = std::process::Command::new(programs::path("setpriv"));
    outside.args(["--reuid", "1000", "--regid", "1000", "--clear-groups", "--"]).arg(&id).arg("-u");
    let outside = outside.output().expect("it runs");
    if outside.stdout != b"0\n" {
        return eprintln!("setuid programs gain nothing outside either");
    }
    for attach in [Attach::Tap, Attach::Veth] {
        let way = Way { user: User::Ordinary, attach };
        let outcome = world.weft_as(way).output(&[&id.to_string_lossy(), "-u"]).succeeded();
        assert_eq!(outcome.stdout, "1000\n", "{outcome}");
    }
}
