//! `--limit`: real programs get what it gives them, and no more.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use interop::world::SITE_V4;
use interop::{Echo, Outcome, World, needs};

/// What the server below sends as a body, in bytes.
const BODY_BYTES: usize = 20_000_000;

/// A world with a server at one.test, port 80, that answers every request with [`BODY_BYTES`] of zeros.
fn with_download() -> World {
    let world = World::new();
    world.name("one.test");
    let listener = world.internet.within(|| TcpListener::bind((SITE_V4, 80))).expect("a listener");
    world.internet.spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut request = [0; 4_096];
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY_BYTES}\r\nConnection: close\r\n\r\n");
                // Whoever is cut off reads no more.
                if stream.read(&mut request).is_ok() && stream.write_all(head.as_bytes()).is_ok() {
                    let _ = stream.write_all(&vec![0; BODY_BYTES]);
                }
            });
        }
    });
    world
}

/// The bytes of payload that all connections of a run carried.
fn carried(outcome: &Outcome) -> u64 {
    let bytes =
        |field: &str| -> u64 { outcome.events_of("close").filter_map(|event| event[field].as_u64()).sum() };
    bytes("bytes_sent") + bytes("bytes_received")
}

/// The entries of a run's ledger, as `weft ledger list` prints them.
fn ledger(path: &std::path::Path) -> String {
    let output = Command::new(interop::weft::binary())
        .args(["ledger", "list", "--ledger"])
        .arg(path)
        .output()
        .expect("weft ledger list runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_download_takes_as_long_as_its_bandwidth_says_and_is_whole() {
    needs!["curl"];
    let world = with_download();
    let run = world.weft().allow("one.test:80").option("--limit").option("bandwidth=10M/s");
    let outcome = run
        .shell("curl -sS -o body -w '%{size_download} %{time_total}\\n' http://one.test/")
        .succeeded()
        .printed(&format!("{BODY_BYTES} "));
    let (_, seconds) = outcome.stdout.trim().split_once(' ').expect("bytes and seconds");
    let seconds: f64 = seconds.parse().expect("seconds");
    // A tenth of a second's worth may pass at once. Above, only a stall that lasts is wrong: the machine may be busy.
    assert!((1.85..10.0).contains(&seconds), "20 MB at 10 MB/s in {seconds} s:\n{outcome}");
    assert!(carried(&outcome) > BODY_BYTES as u64, "{outcome}");
}

#[test]
fn downloads_at_once_share_the_bandwidth() {
    needs!["python3"];
    let world = with_download();
    // All four have their answers' first bytes before the counting begins.
    let program = "
import selectors, socket
chosen = selectors.DefaultSelector()
got = {}
for number in range(4):
    s = socket.create_connection(('one.test', 80))
    s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')
    assert s.recv(1)
    chosen.register(s, selectors.EVENT_READ, number)
    got[number] = 0
while sum(got.values()) < 6_000_000:
    for key, _ in chosen.select():
        got[key.data] += len(key.fileobj.recv(65536))
print('shares', *got.values())
";
    let run = world.weft().allow("one.test:80").option("--limit").option("down=4M/s:100K");
    let outcome = run.output(&["python3", "-c", program]).succeeded();
    let shares = outcome.stdout.strip_prefix("shares ").expect("the shares");
    let shares: Vec<u64> = shares.split_whitespace().map(|share| share.parse().expect("bytes")).collect();
    let (least, most) = (shares.iter().min(), shares.iter().max());
    assert!(least.zip(most).is_some_and(|(least, most)| least * 2 > *most), "{outcome}");
}

#[test]
fn an_upload_waits_as_well() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    Echo::tcp(&world.internet, (SITE_V4, 7));
    let program = "
import socket, time
s = socket.create_connection(('one.test', 7))
began = time.monotonic()
s.sendall(bytes(1_000_000))
s.shutdown(socket.SHUT_WR)
got = 0
while part := s.recv(65536):
    got += len(part)
print(got, time.monotonic() - began)
";
    let run = world.weft().allow("one.test:7").option("--limit").option("up=1M/s:200K");
    let outcome = run.output(&["python3", "-c", program]).succeeded().printed("1000000 ");
    let seconds: f64 = outcome.stdout.trim().split_once(' ').expect("two").1.parse().expect("seconds");
    assert!((0.75..8.0).contains(&seconds), "0.8 MB beyond the burst at 1 MB/s in {seconds} s:\n{outcome}");
}

#[test]
fn of_fifty_connections_the_burst_passes_and_the_rest_is_refused_and_written_down() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    Echo::tcp(&world.internet, (SITE_V4, 7));
    let program = "
import socket
kept = refused = 0
open = []
for number in range(50):
    try:
        open.append(socket.create_connection(('one.test', 7)))
        kept += 1
    except ConnectionRefusedError:
        refused += 1
print(kept, 'kept', refused, 'refused')
";
    // By the hour, so that nothing is earned meanwhile, however slow the machine is.
    let run = world.weft().allow("one.test:7").option("--limit").option("connections=10/h:10");
    let path = run.ledger();
    let outcome = run.output(&["python3", "-c", program]).succeeded().printed("10 kept 40 refused");
    let reason = "over the limit of 10 connections an hour (--limit connections=10/h)";
    let outcome = outcome.refused(&["one.test:7", reason]);
    assert_eq!(outcome.events_of("connect").count(), 10, "{outcome}");
    assert_eq!(outcome.events_of("deny").filter(|event| event["reason"] == reason).count(), 40, "{outcome}");
    let entries = ledger(&path);
    assert!(entries.contains(reason), "{entries}");
}

#[test]
fn a_place_among_the_open_is_free_again_when_a_connection_ends() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    Echo::tcp(&world.internet, (SITE_V4, 7));
    let program = "
import socket
open = [socket.create_connection(('one.test', 7)) for _ in range(2)]
try:
    socket.create_connection(('one.test', 7))
except ConnectionRefusedError:
    print('the third is refused')
open.pop().close()
while True:
    try:
        socket.create_connection(('one.test', 7))
        break
    except ConnectionRefusedError:
        pass
print('the next is not')
";
    let run = world.weft().allow("one.test:7").option("--limit").option("open=2");
    let outcome = run.output(&["python3", "-c", program]).succeeded();
    let _ = outcome
        .printed("the third is refused")
        .printed("the next is not")
        .refused(&["one.test:7", "over the limit of 2 connections at once"]);
}

#[test]
fn all_bytes_are_carried_to_the_last_and_then_everything_is_closed() {
    needs!["curl"];
    let world = with_download();
    let run = world.weft().allow("one.test:80").option("--limit").option("bytes=1M");
    let path = run.ledger();
    let outcome = run.shell("curl -sS -o body http://one.test/; echo $?; curl -sS http://one.test/; echo $?");
    let statuses: Vec<&str> = outcome.stdout.lines().collect();
    // A reset while reading, then no connection.
    assert_eq!(statuses, ["56", "7"], "{outcome}");
    assert_eq!(carried(&outcome), 1_000_000, "{outcome}");
    assert_eq!(
        outcome.events_of("close").filter(|event| event["closing"] == "limited").count(),
        1,
        "{outcome}"
    );
    let outcome = outcome.told("the run has carried all bytes that --limit gives it");
    let reason = "over the limit of 1M bytes in all (--limit bytes=1M)";
    let _ = outcome.refused(&["one.test:80", reason]);
    let entries = ledger(&path);
    assert!(entries.lines().any(|line| line.contains("limited")) && entries.contains(reason), "{entries}");
}

#[test]
fn datagrams_over_the_bandwidth_are_lost_and_counted() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    Echo::udp(&world.internet, (SITE_V4, 7));
    let program = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((socket.gethostbyname('one.test'), 7))
# No more than a few wait while a name is looked up: the rest is sent once that is done.
s.send(bytes(1000))
got = len(s.recv(2000)) // 1000
for number in range(99):
    s.send(bytes(1000))
s.settimeout(1)
try:
    while True:
        s.recv(2000)
        got += 1
except TimeoutError:
    print(got, 'came back')
";
    // By the hour, so that only the burst passes.
    let run = world.weft().allow("udp://one.test:7").option("--limit").option("up=20K/h:20K");
    let outcome = run.output(&["python3", "-c", program]).succeeded().printed("20 came back");
    let _ = outcome.told("weft: datagrams dropped by --limit: 80");
}

#[test]
fn what_is_open_goes_on_when_no_descriptor_is_left_and_further_ones_are_refused() {
    needs!["python3"];
    let world = World::new();
    Echo::tcp(&world.internet, (SITE_V4, 7));
    Echo::udp(&world.internet, (SITE_V4, 7));
    let program = "
import errno, socket, sys
target = (sys.argv[1], 7)
kept, refused = [], {'tcp': 0, 'udp': 0}
def carries(s):
    s.send(b'data')
    return s.recv(100) == b'data'
def open_one(kind):
    s = socket.socket(socket.AF_INET, kind)
    name = 'tcp' if kind == socket.SOCK_STREAM else 'udp'
    # Of datagrams this alone has the kernel tell what ICMP says.
    s.setsockopt(socket.IPPROTO_IP, 11, 1)
    try:
        s.connect(target)
        assert carries(s)
        kept.append(s)
    except OSError as error:
        assert error.errno == errno.EHOSTUNREACH, error
        refused[name] += 1
for kind in [socket.SOCK_DGRAM] * 50 + [socket.SOCK_STREAM] * 150 + [socket.SOCK_DGRAM] * 50:
    open_one(kind)
assert all(carries(s) for s in kept)
print('kept', len(kept), 'refused', refused['tcp'], refused['udp'])
kept.pop().close()
before = len(kept)
while len(kept) == before:
    open_one(socket.SOCK_STREAM)
print('another has its place')
sys.exit(7)
";
    let run = world.weft().open_files(256).allow(format!("{SITE_V4}:7"));
    let outcome = run.output(&["python3", "-c", program, &SITE_V4.to_string()]).exited(7);
    let outcome = outcome.printed("another has its place");
    let counts: Vec<usize> = outcome.stdout.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [kept, tcp, udp] = counts[..] else { panic!("three counts:\n{outcome}") };
    // Flows have half of so few, and some of that is the gateway's.
    assert!((64..128).contains(&kept) && tcp == 200 - kept && udp == 50, "{outcome}");
    let reason = "weft has no descriptor left for it";
    let failed = |protocol: &str| {
        let failures = outcome.events_of("fail").filter(|event| event["protocol"] == protocol);
        failures.filter(|event| event["reason"].as_str().is_some_and(|why| why.starts_with(reason))).count()
    };
    assert!(failed("tcp") >= tcp && failed("udp") == udp, "{outcome}");
}

#[test]
fn a_limit_that_cannot_be_understood_is_shown_with_what_was_expected() {
    needs![];
    let world = World::new();
    let outcome = world.weft().option("--limit").option("bandwidth=80Mbit/s").shell("true").exited(125);
    let shown = outcome.stderr.split_once("  bandwidth=80Mbit/s\n").map(|(_, rest)| rest.lines().next());
    assert_eq!(shown, Some(Some("               ^")), "the caret is below the b of bit:\n{outcome}");
    let both = ["--limit", "open=1", "--limit", "open=2"];
    let run = both.into_iter().fold(world.weft(), |run, word| run.option(word));
    let _ = run.shell("true").exited(125).told("contradict each other");
}
