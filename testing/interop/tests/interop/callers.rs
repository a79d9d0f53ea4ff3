//! A connection is told as that of the program that opened it, whoever has the socket by the time it is looked at.

use interop::world::SITE_V4;
use interop::{Echo, World, in_every_way, needs};
use serde_json::Value;

use crate::ledger::{entries, of};

in_every_way! {
    what_is_handed_on_is_told_as_its_openers => handed_on;
    the_last_datagram_of_a_program_arrives => last_datagram;
}

/// Opens, and is another program at once; or has another have the socket, and ends; or sends from the socket of a parent that is
/// another by then, and ends. The heir holds it until it is answered, so that it was looked at by then.
const OPENER: &str = r#"
import os, socket, sys
kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[sys.argv[1]]
heir = """
import select, socket, sys
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s = socket.socket(fileno=int(sys.argv[1]))
if s.family == socket.AF_UNIX:
    s = socket.socket(fileno=socket.recv_fds(s, 1, 1)[1][0])
s.settimeout(20)
if s.type == socket.SOCK_STREAM:
    select.select([], [s], [])
    s.sendall(b"x")
assert s.recv(1) == b"x"
"""

def open(s):
    s.setblocking(False)
    if kind == socket.SOCK_DGRAM:
        s.sendto(b"x", ("203.0.113.80", 7))
    else:
        s.connect_ex(("203.0.113.80", 7))

def become_heir(s):
    s.set_inheritable(True)
    os.execv(sys.executable, [sys.executable, "-c", heir, str(s.fileno())])

def become(s):
    open(s)
    become_heir(s)

def hand_over(s):
    near, far = socket.socketpair()
    if os.fork() == 0:
        s.close()
        become_heir(far)
    far.close()
    open(s)
    socket.send_fds(near, [b"x"], [s.fileno()])
    s.close()
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))

def outlive(s):
    ended, end = os.pipe()
    if os.fork() == 0:
        os.close(end)
        os.read(ended, 1)
        open(s)
        os._exit(0)
    become_heir(s)

ways = [become, hand_over] if kind == socket.SOCK_STREAM else [become, hand_over, outlive]
for number, way in enumerate(ways * 5):
    child = os.fork()
    if child == 0:
        s = socket.socket(socket.AF_INET, kind)
        # With a port of its own each is a flow of its own.
        s.bind(("", 20000 + number))
        way(s)
    assert os.waitpid(child, 0)[1] == 0
"#;

fn handed_on(way: interop::Way) {
    needs!["python3"];
    let world = World::new();
    Echo::tcp(&world.internet, (SITE_V4, 7));
    Echo::udp(&world.internet, (SITE_V4, 7));
    let script = world.write("opener.py", OPENER);
    for (protocol, count) in [("tcp", 10), ("udp", 15)] {
        let run = world.weft_as(way).allow("203.0.113.80:7").allow("udp://203.0.113.80:7");
        let ledger = run.ledger();
        let _ = run.output(&["python3", &script.to_string_lossy(), protocol]).succeeded();
        let entries = entries(&ledger);
        let mut opened = of(&entries, "connection-authorize");
        opened.retain(|entry| entry["protocol"] == protocol);
        assert_eq!(opened.len(), count, "{opened:?}");
        let program = |entry: &Value| match entry["program"]["command_line"][1].as_str() {
            Some(word) => word.ends_with("/opener.py"),
            // Who sent a datagram may have ended, or be another by now: then nobody is told.
            None => protocol == "udp" && entry["program"]["executable"].is_null(),
        };
        assert!(opened.iter().all(|entry| program(entry)), "{opened:?}");
    }
}

/// It is its first too.
fn last_datagram(way: interop::Way) {
    needs!["python3"];
    let world = World::new();
    Echo::udp(&world.internet, (SITE_V4, 7));
    let program = "import os, socket\n\
                   socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'last', ('203.0.113.80', 7))\n\
                   os._exit(0)";
    for _ in 0..10 {
        let run = world.weft_as(way).allow("udp://203.0.113.80:7");
        let ledger = run.ledger();
        let _ = run.output(&["python3", "-c", program]).succeeded();
        let entries = entries(&ledger);
        assert_eq!(of(&entries, "connection-close")[0]["sent_bytes"], 4, "{entries:?}");
    }
}

/// Its first path is a connection of TCP that has another cookie than the socket (RFC 8684).
#[test]
fn a_connection_of_multipath_tcp_is_told_as_its_callers() {
    needs!["python3"];
    if !std::path::Path::new("/proc/sys/net/mptcp/enabled").exists() {
        return eprintln!("the kernel has no multipath TCP");
    }
    let world = World::new();
    Echo::tcp(&world.internet, (SITE_V4, 7));
    let program = "import socket\n\
                   s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)\n\
                   s.connect(('203.0.113.80', 7))\n\
                   s.sendall(b'word')\n\
                   assert s.recv(4) == b'word'";
    let run = world.weft().allow("203.0.113.80:7");
    let ledger = run.ledger();
    let _ = run.output(&["python3", "-c", program]).succeeded();
    let entries = entries(&ledger);
    let opened = of(&entries, "connection-authorize");
    assert_eq!(opened[0]["program"]["command_line"][0], "python3", "{opened:?}");
}

/// A socket that another program has connected sends no first packet but by connect.
#[test]
fn a_connection_begins_with_connect_only() {
    needs!["python3"];
    let world = World::new();
    Echo::tcp(&world.internet, (SITE_V4, 7));
    let program = "import ctypes, errno, os, socket, sys\n\
        there, fast_open = ('203.0.113.80', 7), 0x20000000\n\
        def expect_refusal(s):\n\
        \x20   try: s.sendto(b'word', fast_open, there)\n\
        \x20   except OSError as error: assert error.errno == errno.EOPNOTSUPP, error\n\
        \x20   else: sys.exit('sent')\n\
        expect_refusal(socket.socket())\n\
        s = socket.create_connection(there)\n\
        assert ctypes.CDLL(None).connect(s.fileno(), bytes(16), 16) == 0\n\
        expect_refusal(s)\n\
        s.connect(there)\n\
        s.sendall(b'word')\n\
        assert s.recv(4) == b'word'\n";
    let run = world.weft().allow("203.0.113.80:7");
    let ledger = run.ledger();
    let _ = run.output(&["python3", "-c", program]).succeeded();
    let entries = entries(&ledger);
    let opened = of(&entries, "connection-authorize");
    assert!(opened.len() == 2 && opened.iter().all(|entry| entry["program"].is_object()), "{opened:?}");
}

/// Programs that never stop changing whether their sockets wait keep no other from connecting.
#[test]
fn a_socket_that_waits_after_all_keeps_no_other() {
    needs!["python3"];
    let world = World::new();
    Echo::tcp(&world.internet, (SITE_V4, 7));
    let program = "import fcntl, os, socket, threading\n\
        full = socket.socket(); full.bind(('127.0.0.1', 0)); full.listen(0)\n\
        filling = [socket.socket() for _ in range(4)]\n\
        for s in filling: s.setblocking(False); s.connect_ex(full.getsockname())\n\
        waiting = [socket.socket() for _ in range(24)]\n\
        def flip():\n\
        \x20   while True:\n\
        \x20       for s in waiting:\n\
        \x20           for flags in os.O_NONBLOCK, 0: fcntl.fcntl(s, fcntl.F_SETFL, flags)\n\
        def wait(s):\n\
        \x20   try: s.connect(full.getsockname())\n\
        \x20   except OSError: pass\n\
        threading.Thread(target=flip, daemon=True).start()\n\
        for s in waiting: threading.Thread(target=wait, args=(s,), daemon=True).start()\n\
        for _ in range(8):\n\
        \x20   s = socket.create_connection(('203.0.113.80', 7), timeout=20)\n\
        \x20   s.sendall(b'word'); assert s.recv(4) == b'word'\n\
        print('served', flush=True)\n\
        os._exit(0)\n";
    let outcome = world.weft().allow("203.0.113.80:7").output(&["python3", "-c", program]).succeeded();
    let _ = outcome.printed("served");
}
