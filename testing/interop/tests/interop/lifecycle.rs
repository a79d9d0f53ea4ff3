//! The command's surroundings come through unchanged, signals reach it, and nothing is left when it is over.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use interop::terminal::Terminal;
use interop::weft::Running;
use interop::world::SITE_V4;
use interop::{Echo, User, Way, World, in_every_way, needs, wait};
use rustix::process::Signal;

use crate::ledger::{entries, of, verify};

in_every_way! {
    nothing_is_left_of_a_gateway_that_was_killed => killed;
    nothing_is_left_of_a_run_that_ended => ended;
}

#[test]
fn user_directory_and_environment_come_through() {
    needs![];
    let world = World::new();
    for user in [User::Root, User::Ordinary] {
        let way = Way { user, ..Way::default() };
        let outcome =
            world.weft_as(way).variable("COLOUR", "green").shell("id -u; pwd; echo $COLOUR").succeeded();
        let id = if user == User::Root { 0 } else { 1000 };
        assert_eq!(outcome.stdout, format!("{id}\n{}\ngreen\n", world.home().display()), "{outcome}");
        let _ = world.weft_as(way).shell("touch made-inside").succeeded();
        let made = fs::metadata(world.home().join("made-inside")).expect("a file that the command made");
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), id, "the file is of the user who ran weft");
        fs::remove_file(world.home().join("made-inside")).expect("the file can be removed");
    }
}

#[test]
fn standard_input_comes_through_to_its_end() {
    needs![];
    let world = World::new();
    let text = "a line\n".repeat(100_000);
    let outcome = world.weft().input(&text).output(&["cat"]).succeeded();
    assert!(outcome.stdout == text, "{} of {} bytes", outcome.stdout.len(), text.len());
}

#[test]
fn a_process_that_the_command_leaves_behind_ends_with_the_run() {
    needs![];
    let world = World::new();
    let outcome = world.weft().shell("(sleep 1000; touch late) & sleep 1001 & exit 4").exited(4);
    assert!(outcome.took < Duration::from_secs(20), "{outcome}");
    wait::until("the sleepers' end", || {
        let processes = fs::read_dir("/proc").expect("the processes").flatten();
        let in_our_world = processes.filter(|process| {
            fs::read_link(process.path().join("cwd")).is_ok_and(|place| place == world.home())
        });
        (in_our_world.count() == 0).then_some(())
    });
}

#[test]
fn no_descriptor_but_the_first_three_comes_through() {
    needs![];
    let world = World::new();
    let outcome = world.weft().output(&["ls", "/proc/self/fd"]).succeeded();
    // The fourth is the directory that `ls` reads.
    assert_eq!(outcome.stdout, "0\n1\n2\n3\n", "{outcome}");
}

#[test]
fn a_terminal_comes_through() {
    needs!["setsid"];
    let world = World::new();
    let mut terminal =
        Terminal::start(world.weft(), &["sh", "-c", "tty; stty size; read word; echo got $word"]);
    terminal.until_shown("40 132");
    terminal.press(b"hello\n");
    terminal.until_shown("got hello");
    let (outcome, shown) = terminal.finish();
    let _ = outcome.succeeded();
    assert!(shown.contains("/dev/pts/"), "{shown}");
}

#[test]
fn control_c_once_ends_the_command() {
    needs!["setsid", "python3"];
    let world = World::new();
    // Not a shell: one that catches the interrupt as it starts a child waits for that child, which has not heard of it.
    let program = "
import signal, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
print('ready', flush=True)
time.sleep(1000)
";
    let mut terminal = Terminal::start(world.weft(), &["python3", "-c", program]);
    terminal.until_shown("ready");
    terminal.press(b"\x03");
    let _ = terminal.finish().0.exited(128 + 2);
}

#[test]
fn control_c_lets_the_command_end_in_its_own_way() {
    needs!["setsid", "python3"];
    let world = World::new();
    // Not a shell with a trap: it would sleep on after an interrupt that comes before the child it waits for.
    let program = "
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print('ready', flush=True)
signal.sigwait([signal.SIGINT])
print('cleaning up', flush=True)
sys.exit(5)
";
    let mut terminal = Terminal::start(world.weft(), &["python3", "-c", program]);
    terminal.until_shown("ready");
    terminal.press(b"\x03");
    terminal.until_shown("cleaning up");
    let _ = terminal.finish().0.exited(5);
}

#[test]
fn control_c_twice_kills_a_command_that_holds_on() {
    needs!["setsid", "python3"];
    let world = World::new();
    let program = "
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print('ready', flush=True)
while True:
    signal.sigwait([signal.SIGINT])
    print('not yet', flush=True)
";
    let mut terminal = Terminal::start(world.weft(), &["python3", "-c", program]);
    terminal.until_shown("ready");
    terminal.press(b"\x03");
    terminal.until_shown("not yet");
    terminal.until_interrupt_taken();
    terminal.press(b"\x03");
    let _ = terminal.finish().0.exited(128 + 9);
}

#[test]
fn a_termination_signal_reaches_the_command() {
    needs![];
    let world = World::new();
    let script = "trap 'echo told to end; exit 3' TERM; echo ready; while :; do sleep 1000 & wait; done";
    let mut running = world.weft().start(&["sh", "-c", script]);
    running.line("ready");
    running.signal(Signal::TERM);
    let _ = running.finish().exited(3).printed("told to end");
}

#[test]
fn a_published_port_leads_inside_and_back() {
    needs!["python3"];
    let world = World::new();
    let program = "
import socket
tcp = socket.create_server(('0.0.0.0', 80))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('0.0.0.0', 81))
print('ready', flush=True)
connection, _ = tcp.accept()
connection.sendall(b'inside got ' + connection.recv(100))
connection.close()
data, address = udp.recvfrom(100)
udp.sendto(b'inside got ' + data, address)
";
    let run = world.weft().option("--publish").option("18000:80");
    let mut running =
        run.option("--publish").option("203.0.113.2:18001:81/udp").start(&["python3", "-c", program]);
    running.line("ready");
    let mut connection = world.host.connect(([127, 0, 0, 1], 18000).into()).expect("the published port");
    connection.write_all(b"tcp").expect("the connection takes bytes");
    let mut reply = String::new();
    connection.read_to_string(&mut reply).expect("the connection's end");
    assert_eq!(reply, "inside got tcp");
    // Published for the loopback address alone.
    assert!(world.internet.connect(([203, 0, 113, 2], 18000).into()).is_err());
    let socket = world.internet.within(|| std::net::UdpSocket::bind("0.0.0.0:0")).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    socket.send_to(b"udp", ("203.0.113.2", 18001)).expect("the datagram goes");
    let mut reply = [0; 100];
    let (length, from) = socket.recv_from(&mut reply).expect("a reply");
    assert_eq!(
        (&reply[..length], from.to_string()),
        (&b"inside got udp"[..], "203.0.113.2:18001".to_owned())
    );
    let _ = running.finish().succeeded();
}

#[test]
fn a_published_port_goes_on_once_there_are_descriptors_again() {
    needs!["python3"];
    let world = World::new();
    let program = "
import socket, threading
def echo(connection):
    with connection:
        while data := connection.recv(100):
            connection.sendall(data)
listener = socket.create_server(('0.0.0.0', 80))
print('ready', flush=True)
while True:
    threading.Thread(target=echo, args=listener.accept()[:1], daemon=True).start()
";
    let run = world.weft().option("--publish").option("18000:80");
    let mut running = run.start(&["python3", "-c", program]);
    running.line("ready");
    // Room for three more, and as much that connections leave: none beyond can be taken.
    let held = std::fs::read_dir(format!("/proc/{}/fd", running.id())).expect("weft's descriptors").count();
    let most = Some(2 * (held as u64 + 3));
    let limit = rustix::process::Rlimit { current: most, maximum: most };
    let weft = rustix::process::Pid::from_raw(running.id() as i32);
    rustix::process::prlimit(weft, rustix::process::Resource::Nofile, limit).expect("its limit");
    let mut connections: Vec<_> = (0..8)
        .map(|_| world.host.connect(([127, 0, 0, 1], 18000).into()).expect("the published port"))
        .collect();
    let mut last = connections.pop().expect("eight");
    last.write_all(b"x").expect("the connection takes bytes");
    connections[0].write_all(b"x").expect("the connection takes bytes");
    connections[0].read_exact(&mut [0]).expect("the first is carried");
    drop(connections);
    last.read_exact(&mut [0]).expect("the last is carried once the others are closed");
    running.signal(Signal::TERM);
    let _ = running.finish();
}

/// Four threads that connect one connection after the other, and tell of each that is open.
const CONNECTING: &str = "import itertools, socket, threading\n\
    counts = itertools.count(1)\n\
    def connect():\n    while True:\n        \
    with socket.create_connection(('one.test', 7)) as s:\n            \
    s.send(b'x')\n            s.recv(1)\n            print(f'connected {next(counts)}.', flush=True)\n\
    for _ in range(4):\n    threading.Thread(target=connect).start()";

/// How often a run is killed.
const KILLS: usize = 6;

#[test]
fn a_run_killed_while_it_connects_leaves_a_ledger_that_the_next_goes_on_with() {
    needs!["python3"];
    let world = one_test();
    let ledger = world.weft().ledger();
    let before = leftovers();
    let mut told = 0;
    for round in 0..KILLS {
        let durability = ["sync", "batch"][round % 2];
        let interfaces = world.host.interfaces();
        let run = world.weft().allow("one.test:7").option("--durability").option(durability);
        let script = format!("{TELL_NAMESPACES}; exec python3 -c \"$0\"");
        let mut running = run.start(&["sh", "-c", &script, CONNECTING]);
        // It goes on while it is killed: where it is then is anywhere.
        let _ = running.line(&format!("connected {}.", 1 + (round * 37) % 120));
        let output = running.stdout();
        let namespaces =
            output.lines().filter_map(|line| line.strip_prefix("in ").map(str::to_owned)).collect();
        running.signal(Signal::KILL);
        let outcome = running.finish();
        assert_eq!(outcome.status.signal(), Some(9), "{outcome}");
        nothing_left(&world, &Traces { namespaces, interfaces }, &before);
        let (status, words) = verify(&ledger);
        assert_eq!(status, Some(0), "round {round}: {words}\n{outcome}");
        // What `sync` has let connect is there.
        let there = of(&entries(&ledger), "connection-authorize").len();
        if durability == "sync" {
            let connected = outcome.stdout.lines().filter(|line| line.starts_with("connected")).count();
            assert!(there >= told + connected, "round {round}: {told} and {connected}, of which {there}");
        }
        // The next run goes on with all of it.
        let _ = world.weft().shell("true").succeeded();
        let (status, words) = verify(&ledger);
        assert_eq!(status, Some(0), "round {round}: {words}");
        told = of(&entries(&ledger), "connection-authorize").len();
        assert!(told >= there, "round {round}: {told} of {there}");
    }
}

/// What of a run the machine knows while it goes on.
#[derive(Debug)]
struct Traces {
    namespaces: Vec<String>,
    interfaces: Vec<String>,
}

/// Prints them.
const TELL_NAMESPACES: &str =
    "readlink /proc/self/ns/net /proc/self/ns/user /proc/self/ns/mnt | sed 's/^/in /'";

/// Starts a command that holds a connection open, and notes its namespaces.
fn start(world: &World, way: Way) -> (Running, Traces) {
    let script = format!(
        "{TELL_NAMESPACES}; exec python3 -c 'import socket, sys; s = socket.create_connection((\"one.test\", 7)); \
         s.send(b\"x\"); s.recv(1); print(\"ready\", flush=True); print(s.recv(1)); print(\"still there\")'"
    );
    let interfaces = world.host.interfaces();
    let mut running = world.weft_as(way).allow("one.test:7").start(&["sh", "-c", &script]);
    running.line("ready");
    let output = running.stdout();
    let namespaces: Vec<String> =
        output.lines().filter_map(|line| line.strip_prefix("in ").map(str::to_owned)).collect();
    assert_eq!(namespaces.len(), 3, "{output}");
    assert!(namespaces.iter().all(|namespace| living_namespaces().contains(namespace)), "{namespaces:?}");
    (running, Traces { namespaces, interfaces })
}

fn one_test() -> World {
    let world = World::new();
    world.name("one.test");
    Echo::tcp(&world.internet, (SITE_V4, 7));
    world
}

fn killed(way: Way) {
    needs!["python3"];
    let world = one_test();
    let before = leftovers();
    let (running, traces) = start(&world, way);
    running.signal(Signal::KILL);
    let outcome = running.finish();
    assert_eq!(outcome.status.signal(), Some(9), "{outcome}");
    nothing_left(&world, &traces, &before);
    assert!(!outcome.stdout.contains("still there"), "the command outlived its gateway:\n{outcome}");
}

fn ended(way: Way) {
    needs!["python3"];
    let world = one_test();
    let before = leftovers();
    let (running, traces) = start(&world, way);
    running.signal(Signal::TERM);
    let _ = running.finish().exited(128 + 15);
    nothing_left(&world, &traces, &before);
}

fn nothing_left(world: &World, traces: &Traces, before: &BTreeSet<String>) {
    wait::until("the run's namespaces to be gone", || {
        let living = living_namespaces();
        (!traces.namespaces.iter().any(|namespace| living.contains(namespace))).then_some(())
    });
    wait::until("the host's interfaces to be as before", || {
        (world.host.interfaces() == traces.interfaces).then_some(())
    });
    // Other tests' own files come and go meanwhile: what was left behind is what stays.
    wait::until("files and mounts to be as before", || leftovers().is_subset(before).then_some(()));
}

/// Every namespace that some process of this machine is in, as `/proc` names them.
fn living_namespaces() -> BTreeSet<String> {
    let processes = fs::read_dir("/proc").expect("the processes").flatten();
    let mut living = BTreeSet::new();
    for process in processes {
        for kind in ["net", "user", "mnt"] {
            if let Ok(name) = fs::read_link(process.path().join("ns").join(kind)) {
                living.insert(name.to_string_lossy().into_owned());
            }
        }
    }
    living
}

/// Files and mounts on this machine that bear weft's name.
fn leftovers() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for directory in ["/tmp", "/run", "/var/run", "/dev/shm", "/var/tmp", "/run/netns", "/run/user/1000"] {
        let Ok(entries) = fs::read_dir(directory) else { continue };
        let names = entries.flatten().map(|entry| entry.path().to_string_lossy().into_owned());
        found.extend(names.filter(|name| name.contains("weft")));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
    found.extend(mounts.lines().filter(|line| line.contains("weft")).map(str::to_owned));
    found
}
