//! Unix sockets: the host's are closed by default, whoever asks for them, and those of programs inside are open.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use interop::weft::binary;
use interop::world::SITE_V4;
use interop::{Attach, Echo, User, Way, World, in_every_way, needs, programs, wait};
use serde_json::Value;

use crate::ledger::entries;

in_every_way! {
    an_agent_of_the_hosts_is_closed_but_by_rule => agent;
    servers_inside_are_reached_by_their_clients => servers_inside;
}

/// A real agent of the host's, gone with the value. Its socket is open to the user who runs weft.
struct Agent {
    child: Child,
    socket: String,
}

impl Agent {
    /// In the network namespace of the gateway, or in another, as a container's.
    fn start(world: &World, way: Way, elsewhere: bool) -> Self {
        let socket = world.home().join("agent").to_str().expect("a path in UTF-8").to_owned();
        let mut command = Command::new(programs::path("setpriv"));
        let user = if way.user == User::Ordinary { "1000" } else { "0" };
        command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]);
        command.arg(programs::path("ssh-agent")).args(["-D", "-a", &socket]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut spawn = || command.spawn().expect("ssh-agent starts");
        let child = if elsewhere { spawn() } else { world.host.within(spawn) };
        wait::until("the agent's socket", || std::fs::metadata(&socket).ok());
        Self { child, socket }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_rule_does_not_open_a_socket_to_another_network_namespace_and_says_so() {
    needs!["ssh-agent", "ssh-add", "unshare"];
    let world = World::new();
    let way = Way::default();
    let agent = Agent::start(&world, way, false);
    let run = world.weft_as(way).variable("SSH_AUTH_SOCK", agent.socket.clone());
    let run = run.allow(format!("unix:{}", agent.socket));
    let ledger = run.ledger();
    let refused = run.output(&["unshare", "--user", "--net", "ssh-add", "-l"]).exited(2);
    let reason = "who asks is in a network namespace made inside";
    assert!(refused.stderr.contains(reason) && !refused.stderr.contains("allow with"), "{refused}");
    let mut why = Command::new(binary());
    why.args(["why", "last", "--ledger"]).arg(&ledger).env("PATH", programs::search_path());
    let told = why.output().expect("weft starts");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains(reason) && !told.contains("--allow"), "{told}");
}

fn agent(way: Way) {
    needs!["ssh-agent", "ssh-add"];
    let world = World::new();
    let agent = Agent::start(&world, way, way.attach == Attach::Veth);
    let run = || world.weft_as(way).variable("SSH_AUTH_SOCK", agent.socket.clone());
    let refused = run().output(&["ssh-add", "-l"]);
    // 2: the agent cannot be reached. 1: it holds no keys.
    assert_eq!(refused.status.code(), Some(2), "{refused}");
    let hint = format!("unix {0}: no rule allows it; allow with --allow unix:{0}\n", agent.socket);
    assert!(refused.stderr.contains(&hint) && refused.stderr.contains("weft: refused ssh-add["), "{refused}");
    let told = refused.events.iter().find(|event| event["event"] == "deny").expect("an event");
    assert_eq!((&told["protocol"], &told["host"]), (&"unix".into(), &agent.socket.as_str().into()), "{told}");
    assert_eq!((&told["process"], told["entry"].is_string()), (&"ssh-add".into(), true), "{told}");
    let status = run().option("--fail-on-deny").output(&["ssh-add", "-l"]).status.code();
    assert_eq!(status, Some(100));

    let run_allowed = run().allow(format!("unix:{}", agent.socket)).option("--durability").option("sync");
    let ledger = run_allowed.ledger();
    let allowed = run_allowed.output(&["ssh-add", "-l"]);
    assert_eq!(allowed.status.code(), Some(1), "{allowed}");
    let told = allowed.events.iter().find(|event| event["event"] == "connect").expect("an event");
    assert_eq!((&told["protocol"], &told["host"]), (&"unix".into(), &agent.socket.as_str().into()), "{told}");
    let entries = entries(&ledger);
    let is_it = |entry: &&Value| entry["path"] == agent.socket && entry["verdict"] == "allowed";
    let entry = entries.iter().find(is_it).unwrap_or_else(|| panic!("{entries:?}"));
    assert_eq!(told["entry"], entry["sequence"].to_string(), "{told}");
    let executable = entry["program"]["executable"].as_str().expect("a program");
    assert!(executable.ends_with("/ssh-add") && entry["program"]["digest"].is_string(), "{entry}");
    let denied = run().allow("unix:/").deny(format!("unix:{}", agent.socket)).output(&["ssh-add", "-l"]);
    assert_eq!(denied.status.code(), Some(2), "{denied}");
    assert!(denied.stderr.contains("denied by --deny unix:"), "{denied}");
    let all = run().allow("unix:/").output(&["ssh-add", "-l"]);
    let told = all.events.iter().find(|event| event["event"] == "connect").expect("an event");
    assert_eq!((&told["rule"], told["entry"].is_string()), (&"unix:/".into(), true), "{told}");
}

/// A rule that goes while the command runs opens nothing any more, and a socket that nobody serves is told of.
#[test]
fn a_rule_that_is_gone_opens_nothing_new() {
    needs!["python3"];
    let world = World::new();
    let listener = std::os::unix::net::UnixListener::bind(world.home().join("served")).expect("a socket");
    drop(std::os::unix::net::UnixListener::bind(world.home().join("stale")).expect("a socket"));
    let [served, stale] = ["served", "stale"].map(|name| world.home().join(name).display().to_string());
    let both = format!("unix:{served}\nunix:{stale}\n");
    let policies = world.home().join("policies");
    std::fs::create_dir(&policies).expect("a directory");
    let policy = policies.join("policy");
    std::fs::write(&policy, &both).expect("written");
    let program = "
import socket, sys
def ask(path):
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        return 'reached'
    except OSError as error:
        return type(error).__name__
print('stale', ask(sys.argv[2]))
print('served', ask(sys.argv[1]), flush=True)
while ask(sys.argv[1]) == 'reached': pass
print('afterwards', ask(sys.argv[1]))
";
    let run = world.weft().option("--policy").option(policy.to_string_lossy());
    let run = run.option("--read-only").option(policies.to_string_lossy());
    let ledger = run.ledger();
    let mut running = run.start(&["python3", "-c", program, &served, &stale]);
    let _ = running.line("served reached");
    std::fs::write(&policy, "192.0.2.1\n").expect("written");
    let outcome = running.finish().succeeded();
    let expected = "stale ConnectionRefusedError\nserved reached\nafterwards PermissionError\n";
    assert_eq!(outcome.stdout, expected, "{outcome}");
    let failed = outcome.events_of("fail").next().expect("an event");
    assert_eq!((&failed["host"], &failed["protocol"]), (&stale.as_str().into(), &"unix".into()), "{failed}");
    let mut verdicts: Vec<_> = entries(&ledger)
        .iter()
        .filter(|entry| entry["path"].is_string())
        .map(|entry| (entry["path"].clone(), entry["verdict"].clone()))
        .collect();
    verdicts.dedup();
    let expected = [(&stale, "allowed"), (&served, "allowed"), (&served, "refused")];
    assert_eq!(verdicts, expected.map(|(path, verdict)| (path.as_str().into(), verdict.into())));
    drop(listener);
}

const MANAGER: &str = "
import multiprocessing
if __name__ == '__main__':
    multiprocessing.set_start_method('forkserver')
    with multiprocessing.Manager() as manager:
        shared = manager.list([1])
        worker = multiprocessing.Process(target=shared.append, args=(2,))
        worker.start(); worker.join()
        print('manager', list(shared))
";

fn servers_inside(way: Way) {
    needs!["python3", "ssh-agent", "ssh-add", "initdb", "postgres", "psql"];
    let world = World::new();
    std::fs::set_permissions(world.home(), std::fs::Permissions::from_mode(0o777)).expect("open to all");
    // A manager listens on a Unix socket; its clients are other processes. An agent hides its memory from its own user.
    // The database refuses to run as root.
    let program = world.write("manager.py", MANAGER);
    let script = r#"
python3 "$2"
eval "$(ssh-agent -s)" > /dev/null
ssh-add -l | sed 's/^/agent /'
kill $SSH_AGENT_PID
as=
if [ "$(id -u)" = 0 ]; then as='setpriv --reuid=65534 --regid=65534 --clear-groups --'; fi
mkdir data sockets
if [ -n "$as" ]; then chown 65534:65534 data sockets; fi
$as "$0" --auth=trust --username=tester --no-sync --no-locale --encoding=UTF8 --pgdata data > log 2>&1 || cat log
$as "$1" -D data -c listen_addresses= -c unix_socket_directories="$PWD/sockets" -c fsync=off -c shared_buffers=1MB \
    -c dynamic_shared_memory_type=mmap > log 2>&1 &
until psql -h "$PWD/sockets" -U tester postgres -Atc "select 'database ' || 6 * 7" 2> refused; do
    kill -0 $! || { cat log refused; exit 1; }
done
kill $!
wait
"#;
    let (initdb, postgres) = (programs::path("initdb"), programs::path("postgres"));
    let words = [&initdb, &postgres, &program].map(|path| path.to_str().expect("a path in UTF-8"));
    let words = [&["sh", "-c", script][..], &words].concat();
    let outcome = world.weft_as(way).limit(3 * wait::PATIENCE).output(&words).succeeded();
    assert!(outcome.stdout.contains("manager [1, 2]\n"), "{outcome}");
    assert!(outcome.stdout.contains("agent The agent has no identities.\n"), "{outcome}");
    assert!(outcome.stdout.contains("database 42\n"), "{outcome}");
    assert!(!outcome.stderr.contains("refused"), "{outcome}");
}

/// The run inside has no more than the one around it, and its programs reach their own sockets.
#[test]
fn a_run_within_a_run_is_narrower() {
    needs!["python3"];
    let world = World::new();
    let agent = Agent::start(&world, Way::default(), false);
    let program = "
import os, socket, sys
listener = socket.socket(socket.AF_UNIX); listener.bind('own'); listener.listen()
socket.socket(socket.AF_UNIX).connect('own')
print('own reached')
for path in sys.argv[1:]:
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        print('reached', path)
    except OSError as error:
        print('closed', type(error).__name__)
";
    // What is made in the outer run is outside of the inner one.
    let script = "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.bind(\"outer\"); s.listen(); input()' \
                  < hold & exec 3> hold; until [ -S outer ]; do :; done; \"$0\" run -- python3 -c \"$1\" \"$2\" outer; echo ended $?; rm outer own";
    let weft = interop::weft::binary_for(&world);
    let words =
        ["sh", "-c", &format!("mkfifo hold; {script}"), &weft.to_string_lossy(), program, &agent.socket];
    let run = world.weft().allow(format!("unix:{}", agent.socket));
    let outcome = run.output(&words);
    assert!(outcome.stdout.contains("own reached\n") && outcome.stdout.contains("ended 0\n"), "{outcome}");
    assert!(!outcome.stdout.contains("\nreached"), "{outcome}");
}

/// Every connect is made by a thread of the guard's, and those that nobody answers keep theirs: more of them than it may
/// have. Others go on, and none is lost.
#[test]
fn connects_that_nobody_answers_keep_no_other_for_good() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    Echo::tcp(&world.internet, (SITE_V4, 7));
    let program = "
import socket, struct, threading
def echo():
    with socket.create_connection(('one.test', 7)) as s:
        s.sendall(b'hello')
        return s.recv(5).decode()
def wait_in_vain(seconds, number):
    s = socket.socket()
    # The kernel's own limit: for Python the socket blocks, and so it does for the guard.
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('ll', seconds, 0))
    failed[number] = s.connect_ex(('192.0.2.200', 9))
def wait(count, seconds):
    global failed
    failed = [0] * count
    threading.stack_size(65536)
    threads = [threading.Thread(target=wait_in_vain, args=(seconds, number)) for number in range(count)]
    for thread in threads: thread.start()
    return threads
few = wait(100, 4)
print('meanwhile', echo(), sum(thread.is_alive() for thread in few), flush=True)
for thread in few: thread.join()
print('failed', sum(error != 0 for error in failed), flush=True)
many = wait(1100, 2)
for thread in many: thread.join()
print('failed', sum(error != 0 for error in failed), flush=True)
print('afterwards', echo(), flush=True)
";
    let run = world.weft().allow("192.0.2.200").allow("one.test:7").limit(3 * wait::PATIENCE);
    let outcome = run.output(&["python3", "-c", program]).succeeded();
    let expected = "meanwhile hello 100\nfailed 100\nfailed 1100\nafterwards hello\n";
    assert_eq!(outcome.stdout, expected, "{outcome}");
}
