//! A flow is of the socket that it was allowed for, and not of whoever has that socket's port, or identifier, afterwards.

use interop::world::SITE_V4;
use interop::{Echo, Run, World, in_every_way, needs, wait};
use serde_json::Value;
use std::net::UdpSocket;

use crate::ledger::{entries, of};

in_every_way! {
    a_flow_is_not_of_who_takes_its_port => port;
    pings_are_not_of_who_takes_their_identifier => identifier;
    a_published_port_is_not_of_who_takes_it => published;
}

/// Permits the first. Who may have a published port is told by what is forbidden.
const POLICY: &str = r#"
permit (principal is Program, action, resource) when { principal.command_line like "* first" };
forbid (principal is Program, action, resource) unless { principal.command_line like "* first" };
"#;

/// The first has the port or the identifier, is answered, and ends; then the second has it, whose socket was made before or
/// after that. It goes on until it is refused.
const TAKERS: &str = r#"
import socket, subprocess, sys
kind, when = sys.argv[1:3]

def make():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP if kind == "icmp" else 0)

def take(s):
    s.settimeout(20)
    s.bind(("10.0.2.15", 5000))
    s.connect(("203.0.113.80", 7))

def say(s):
    s.send(b"\x08\0\0\0\0\0\0\1word" if kind == "icmp" else b"word")
    assert s.recv(100)

if sys.argv[3:] == ["first"]:
    s = make()
    take(s)
    say(s)
elif sys.argv[3:] == ["second"]:
    s = make() if when == "early" else None
    print("ready", flush=True)
    sys.stdin.readline()
    s = s or make()
    take(s)
    s.settimeout(1)
    for said in range(1000):
        try: say(s)
        # A socket that was there before is noticed a moment later, maybe by the answer, which is lost then.
        except TimeoutError: assert when == "early"
        except OSError as error: sys.exit(said > 0 and when == "late")
    sys.exit("the second was never refused")
else:
    second = subprocess.Popen(
        [sys.executable, *sys.argv, "second"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    second.stdout.readline()
    subprocess.run([sys.executable, *sys.argv, "first"], check=True)
    second.communicate(b"go\n")
    assert second.returncode == 0
"#;

fn under_policy<'w>(world: &'w World, way: interop::Way) -> Run<'w> {
    let policy = world.write("first.cedar", POLICY);
    world.weft_as(way).option("--policy").option(policy.to_string_lossy())
}

/// Whether an entry is about the program with this last argument.
fn is_of(entry: &Value, role: &str) -> bool {
    let words = entry["program"]["command_line"].as_array();
    words.and_then(|words| words.last()).is_some_and(|word| word == role)
}

fn take(way: interop::Way, kind: &str) {
    needs!["python3"];
    let world = World::new();
    Echo::udp(&world.internet, (SITE_V4, 7));
    let script = world.write("takers.py", TAKERS);
    for when in ["late", "early"] {
        let run = under_policy(&world, way);
        let ledger = run.ledger();
        let _ = run.output(&["python3", &script.to_string_lossy(), kind, when]).succeeded();
        let entries = entries(&ledger);
        let start = entries.iter().rposition(|entry| entry["event"] == "run-start").expect("the run");
        let opened = of(&entries[start..], "connection-authorize");
        let (allowed, refused): (Vec<&Value>, Vec<&Value>) =
            opened.into_iter().partition(|entry| entry["verdict"] == "allowed");
        assert!(allowed.len() == 1 && is_of(allowed[0], "first"), "{allowed:?}");
        assert!(refused.iter().any(|entry| is_of(entry, "second")), "{refused:?}");
        let closed = of(&entries[start..], "connection-close");
        assert_eq!((closed.len(), &closed[0]["outcome"]), (1, &"evicted".into()), "{closed:?}");
        if when == "late" {
            assert_eq!(closed[0]["sent_bytes"], "word".len(), "{closed:?}");
        }
    }
}

fn port(way: interop::Way) {
    take(way, "udp");
}

fn identifier(way: interop::Way) {
    take(way, "icmp");
}

/// No other can have had the port.
#[test]
fn the_last_datagram_before_a_programs_next_socket_is_its_flows() {
    needs!["python3"];
    let world = World::new();
    Echo::udp(&world.internet, (SITE_V4, 7));
    let program = "import socket\n\
        for number in range(50):\n\
        \x20   s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        \x20   s.settimeout(20)\n\
        \x20   s.bind(('', 20000 + number))\n\
        \x20   s.connect(('203.0.113.80', 7))\n\
        \x20   s.send(b'word')\n\
        \x20   assert s.recv(4) == b'word'\n\
        \x20   if number < 49: s.send(b'last')\n\
        \x20   s.close()\n";
    let run = under_policy(&world, interop::Way::default());
    let ledger = run.ledger();
    let _ = run.output(&["python3", "-c", program, "first"]).succeeded();
    let entries = entries(&ledger);
    let opened = of(&entries, "connection-authorize");
    assert!(opened.len() == 50 && opened.iter().all(|entry| is_of(entry, "first")), "{opened:?}");
    let mut sent: Vec<_> = of(&entries, "connection-close").iter().map(|e| e["sent_bytes"].clone()).collect();
    sent.sort_by_key(|bytes| bytes.as_u64());
    assert_eq!((sent.len(), &sent[0], &sent[1]), (50, &4.into(), &8.into()), "{sent:?}");
}

const SERVERS: &str = r#"
import socket, subprocess, sys
if sys.argv[1:]:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", 5000))
    print(sys.argv[1], "is there", flush=True)
    while True:
        word, there = s.recvfrom(100)
        print(sys.argv[1], "was sent", word.decode(), flush=True)
        s.sendto(word, there)
        if sys.argv[1] == "first": break
else:
    for role in "first", "second": subprocess.run([sys.executable, *sys.argv, role], check=True)
"#;

fn published(way: interop::Way) {
    needs!["python3"];
    let world = World::new();
    let script = world.write("servers.py", SERVERS);
    let run = under_policy(&world, way).option("--publish").option("203.0.113.2:18001:5000/udp");
    let mut running = run.start(&["python3", &script.to_string_lossy()]);
    let peer = world.internet.within(|| UdpSocket::bind("203.0.113.1:0")).expect("a socket");
    peer.connect("203.0.113.2:18001").expect("an address");
    let _ = running.line("first is there");
    peer.send(b"one").expect("sent");
    let _ = running.line("first was sent one");
    let _ = running.line("second is there");
    let is_refused = || running.stderr().contains("refused").then_some(true);
    let is_reached = || running.stdout().contains("second was sent").then_some(false);
    peer.send(b"two").expect("sent");
    assert!(
        wait::until("the second's fate", || is_refused().or_else(is_reached)),
        "it was sent what was the first's"
    );
    running.signal(rustix::process::Signal::TERM);
    let _ = running.finish();
}
