//! Programs that take ports inside: none needs a rule for it, each is told, and a rule keeps it from that.

use std::fs;
use std::process::Command;

use interop::weft::{binary, binary_for};
use interop::{Run, World, in_every_way, needs, programs};
use serde_json::Value;

use crate::ledger::{entries, of};

in_every_way! {
    a_program_that_may_not_listen_is_told_so_and_another_may => forbidden;
    sockets_listen_as_ever => as_ever;
}

/// Whoever has these words among its arguments may not listen.
const POLICY: &str = "@id(\"no server\") forbid (principal is Program, action == Action::\"listen\", resource)\n\
                      when { principal.command_line like \"*may not*\" };\n";

fn with_policy<'w>(world: &World, run: Run<'w>, text: &str) -> Run<'w> {
    let policy = world.write("listen.cedar", text);
    run.option("--policy").option(policy.to_string_lossy())
}

fn forbidden(way: interop::Way) {
    needs!["python3"];
    let world = World::new();
    let program = "import errno, socket, sys\n\
        s = socket.socket(); s.bind(('', 80))\n\
        try: s.listen()\n\
        except OSError as error: assert error.errno == errno.EACCES, error; print('refused')\n\
        else: print('listens')\n";
    let run = with_policy(&world, world.weft_as(way), POLICY);
    let ledger = run.ledger();
    let script = "python3 -c \"$0\" may; python3 -c \"$0\" 'may not'";
    let outcome = run.output(&["sh", "-c", script, program]).succeeded();
    assert_eq!(outcome.stdout, "listens\nrefused\n", "{outcome}");
    let deny = outcome.events_of("deny").next().expect("an event");
    assert_eq!((&deny["host"], &deny["port"]), (&"0.0.0.0".into(), &80.into()), "{deny}");
    let _ = outcome.told("tcp 0.0.0.0:80: it would listen there; denied by ");
    let entries = entries(&ledger);
    let listens = of(&entries, "listen-authorize");
    let [allowed, refused] = listens[..] else { panic!("{entries:?}") };
    assert_eq!((&allowed["verdict"], &allowed["rule"]), (&"allowed".into(), &Value::Null), "{allowed}");
    assert_eq!(
        (&refused["verdict"], &refused["rule"]),
        (&"refused".into(), &"no server".into()),
        "{refused}"
    );
    let output = Command::new(binary())
        .args(["why", "last", "--ledger"])
        .arg(&ledger)
        .env("PATH", programs::search_path())
        .output()
        .expect("weft starts");
    let page = String::from_utf8_lossy(&output.stdout);
    assert!(page.contains("listen tcp://0.0.0.0:80\n") && page.contains("may not"), "{page}");
    assert!(page.contains("take back") && page.contains("listen.cedar:1:1: no server"), "{page}");
}

#[test]
fn a_server_inside_needs_no_rule_and_its_entry_names_it() {
    needs!["python3"];
    let world = World::new();
    let script = "python3 -m http.server 8000 & \
        python3 -c \"import time, urllib.request\n\
while True:\n    \
    try: print(urllib.request.urlopen('http://127.0.0.1:8000/').status); break\n    \
    except OSError: time.sleep(0.01)\"; kill $!";
    let run = world.weft().option("--fail-on-deny").option("--durability").option("sync");
    let ledger = run.ledger();
    let outcome = run.shell(script);
    assert!(outcome.stdout.contains("200"), "{outcome}");
    let entries = entries(&ledger);
    let listens = of(&entries, "listen-authorize");
    let [listen] = listens[..] else { panic!("{entries:?}") };
    assert_eq!(
        (&listen["verdict"], &listen["local"]),
        (&"allowed".into(), &"0.0.0.0:8000".into()),
        "{listen}"
    );
    assert_eq!(listen["program"]["command_line"][2], "http.server", "{listen}");
    assert!(listen["program"]["digest"].is_string() && listen["rule"].is_null(), "{listen}");
    let reason = listen["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("open inside: no rule speaks of it"), "{listen}");
    // What is learned of it needs no rule either.
    let learned = world.home().join("learned.cedar");
    let _ = world.weft().learn(&learned).shell(script);
    let text = fs::read_to_string(&learned).expect("a policy");
    assert!(!text.contains("permit"), "{text}");
}

/// Every kind of socket, and every way to one: what each says, and how often somebody was told.
const SOCKETS: &str = r#"
import ctypes, errno, os, socket, struct, subprocess, sys, tempfile
def backlog(s): return struct.unpack_from("I", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64), 28)[0]
def fails(s, wanted):
    try: s.listen()
    except OSError as error: assert error.errno == wanted, (error, wanted)
    else: sys.exit("it listens")
def told(s): print(s.getsockname()[1], flush=True)

unbound = socket.socket(); unbound.listen(7)
assert backlog(unbound) == 7 and unbound.getsockname()[0] == "0.0.0.0"
told(unbound)
copy = unbound.dup(); copy.listen(9)
assert backlog(unbound) == 9
socket.create_connection(("127.0.0.1", unbound.getsockname()[1])).close()

late = socket.socket(); late.setsockopt(socket.IPPROTO_IP, 24, 1); late.bind(("127.0.0.1", 0)); late.listen()
assert late.getsockname()[0] == "127.0.0.1"
told(late)

dual = socket.socket(socket.AF_INET6); dual.bind(("::", 0)); dual.listen()
told(dual)
for ip in "127.0.0.1", "::1": socket.create_connection((ip, dual.getsockname()[1])).close()

if os.path.exists("/proc/sys/net/mptcp/enabled"):
    paths = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); paths.listen(); paths.listen(3)
    told(paths)
    socket.create_connection(("127.0.0.1", paths.getsockname()[1])).close()

one = socket.socket(); one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1); one.bind(("127.0.0.1", 0)); one.listen()
told(one)
if os.fork() == 0:
    two = socket.socket(); two.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    two.bind(one.getsockname()); two.listen()
    told(two)
    os._exit(0)
assert os.wait()[1] == 0

bound = socket.socket(); bound.bind(("127.0.0.1", 0)); bound.set_inheritable(True)
told(bound)
heir = "import socket, sys; socket.socket(fileno=int(sys.argv[1])).listen()"
subprocess.run([sys.executable, "-c", heir, str(bound.fileno())], close_fds=False, check=True)
socket.create_connection(bound.getsockname()).close()

listener = socket.socket(socket.AF_UNIX); path = tempfile.mktemp(); listener.bind(path); listener.listen()
client = socket.socket(socket.AF_UNIX); client.connect(path); os.unlink(path)
user = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
assert user == os.geteuid(), user
abstract = socket.socket(socket.AF_UNIX); abstract.bind("\0one"); abstract.listen()
abstract.close()
# What was closed is gone at once: nobody else holds it when the call returns.
for _ in range(300):
    again = socket.socket(socket.AF_UNIX); again.bind("\0one"); again.listen()
    client = socket.socket(socket.AF_UNIX); client.connect("\0one")
    server = again.accept()[0]; server.setblocking(False)
    again.close(); client.close()
    assert server.recv(1) == b""
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); datagrams.bind(("127.0.0.1", 0)); free = datagrams.getsockname()
for _ in range(300):
    connect = ctypes.CDLL(None, use_errno=True).connect
    assert connect(datagrams.fileno(), b"\0" * 16, 16) == 0
    datagrams.close(); datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); datagrams.bind(free)

fails(socket.socket(socket.AF_UNIX), errno.EINVAL)
fails(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), errno.EOPNOTSUPP)
fails(socket.create_connection(unbound.getsockname()), errno.EINVAL)
listen = ctypes.CDLL(None, use_errno=True).listen
for number, wanted in (-1, errno.EBADF), (999, errno.EBADF), (os.open("/dev/null", 0), errno.ENOTSOCK):
    assert listen(number, 1) == -1 and ctypes.get_errno() == wanted, (number, wanted)
"#;

fn as_ever(way: interop::Way) {
    needs!["python3"];
    let world = World::new();
    let script = world.write("sockets.py", SOCKETS);
    let run = world.weft_as(way);
    let ledger = run.ledger();
    let outcome = run.output(&["python3", &script.to_string_lossy()]).succeeded();
    let entries = entries(&ledger);
    let listens = of(&entries, "listen-authorize");
    let ports: Vec<String> = listens.iter().map(|entry| entry["port"].to_string()).collect();
    assert_eq!(ports, outcome.stdout.lines().collect::<Vec<_>>(), "{listens:?}");
    let program = |entry: &Value| entry["program"]["command_line"][1].as_str().unwrap_or_default().to_owned();
    let (heir, others) = listens.split_last().expect("an entry");
    assert!(others.iter().all(|entry| program(entry).ends_with("/sockets.py")), "{listens:?}");
    assert_eq!(program(heir), "-c", "who calls is told, whoever bound it: {heir}");
    let dual = format!("[::]:{}", ports[2]);
    assert_eq!(listens[2]["local"], dual, "{listens:?}");
}

/// An IPv6 socket that takes IPv4's connections as well is a listener of both.
#[test]
fn a_rule_about_ipv4_speaks_of_a_listener_of_both_versions() {
    needs!["python3"];
    let world = World::new();
    let program = "import socket\n\
        for only in 0, 1:\n\
        \x20   s = socket.socket(socket.AF_INET6)\n\
        \x20   s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only); s.bind(('::', 80))\n\
        \x20   try: s.listen(); print('listens')\n\
        \x20   except PermissionError: print('refused')\n\
        \x20   s.close()\n";
    let run = world.weft().deny("0.0.0.0:80");
    let ledger = run.ledger();
    let outcome = run.output(&["python3", "-c", program]).succeeded();
    assert_eq!(outcome.stdout, "refused\nlistens\n", "{outcome}");
    let entries = entries(&ledger);
    let listens = of(&entries, "listen-authorize");
    let told: Vec<_> = listens.iter().map(|entry| (&entry["local"], &entry["rule"])).collect();
    assert_eq!(told, [(&"0.0.0.0:80".into(), &"0.0.0.0:80".into()), (&"[::]:80".into(), &Value::Null)]);
}

/// Descriptors and addresses that other threads change meanwhile lead no socket around the verdict.
#[test]
fn a_socket_that_is_exchanged_while_it_is_judged_does_not_listen() {
    needs!["python3"];
    let world = World::new();
    let program = "import ctypes, os, socket, sys, threading\n\
        sys.setswitchinterval(1e-5)\n\
        c = ctypes.CDLL(None)\n\
        forbidden = socket.socket(); forbidden.bind(('', 80))\n\
        other = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]\n\
        other[0].bind('\\0name')\n\
        number = os.dup(forbidden.fileno())\n\
        def exchange():\n\
        \x20   while True:\n\
        \x20       for s in forbidden, *other: os.dup2(s.fileno(), number)\n\
        wandering = socket.socket()\n\
        def wander():\n\
        \x20   while True:\n\
        \x20       c.connect(wandering.fileno(), bytes(2), 2)\n\
        \x20       try: wandering.bind(('', 81 if wandering.getsockname()[1] else 0))\n\
        \x20       except OSError: pass\n\
        threading.Thread(target=exchange, daemon=True).start()\n\
        threading.Thread(target=wander, daemon=True).start()\n\
        for turn in range(2000):\n\
        \x20   c.listen(number, 1); c.listen(wandering.fileno(), 1)\n\
        \x20   assert not forbidden.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)\n\
        \x20   at = wandering.getsockname()[1]\n\
        \x20   assert not (at == 81 and wandering.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))\n\
        print('none listens', flush=True)\n\
        os._exit(0)\n";
    let run = world.weft().deny("0.0.0.0:80").deny("0.0.0.0:81");
    let outcome = run.output(&["python3", "-c", program]).succeeded();
    let _ = outcome.printed("none listens");
}

#[test]
fn a_policy_that_changes_speaks_of_the_next_listener() {
    needs!["python3"];
    let world = World::new();
    let policies = world.home().join("policies");
    fs::create_dir(&policies).expect("a directory");
    let policy = policies.join("run.cedar");
    let open = "permit (principal, action == Action::\"connect\", resource);\n";
    fs::write(&policy, open).expect("written");
    let program = "import socket, time\n\
        def listens():\n\
        \x20   s = socket.socket()\n\
        \x20   try: s.listen()\n\
        \x20   except PermissionError: return False\n\
        \x20   return True\n\
        for wanted in True, False, True:\n\
        \x20   while listens() != wanted: time.sleep(0.01)\n\
        \x20   print('listens', wanted, flush=True)\n";
    let run = world.weft().option("--no-ledger").option("--policy").option(policy.to_string_lossy());
    let run = run.option("--read-only").option(policies.to_string_lossy());
    let mut running = run.start(&["python3", "-c", program, "may not"]);
    let _ = running.line("listens True");
    fs::write(&policy, format!("{open}{POLICY}")).expect("written");
    let _ = running.line("listens False");
    fs::write(&policy, open).expect("written");
    let _ = running.line("listens True");
    let _ = running.finish().succeeded();
}

/// Its sockets are in a network namespace of its own, of which only its own policy speaks.
#[test]
fn a_run_within_a_run_listens() {
    needs!["python3"];
    let world = World::new();
    let program = "import socket\n\
        s = socket.create_server(('', 8080))\n\
        socket.create_connection(('127.0.0.1', 8080)).close()\n\
        print('reached')";
    let weft = binary_for(&world);
    let words = [&*weft.to_string_lossy(), "run", "--no-ledger", "--", "python3", "-c", program];
    let run = world.weft().deny("0.0.0.0:8080");
    let ledger = run.ledger();
    let _ = run.output(&words).succeeded().printed("reached");
    let entries = entries(&ledger);
    assert!(of(&entries, "listen-authorize").is_empty(), "{entries:?}");
}

/// The calls of i386, by their numbers, on a machine that executes them.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_program_of_32_bits_is_asked_about_as_well() {
    needs!["gcc"];
    let world = World::new();
    let source = world.write(
        "listen.c",
        "static int call(int number, int a, int b, int c) {\n\
         int result;\n\
         __asm__ volatile(\"int $0x80\" : \"=a\"(result) : \"a\"(number), \"b\"(a), \"c\"(b), \"d\"(c) : \"memory\");\n\
         return result;\n}\n\
         void _start(void) {\n\
         struct { unsigned short family, port; unsigned ip, rest[2]; } at = { 2, 0x5000, 0, { 0, 0 } };\n\
         int socket = call(359, 2, 1, 0);\n\
         if (call(361, socket, (int)&at, 16)) call(1, 100, 0, 0);\n\
         call(1, -call(363, socket, 5, 0), 0, 0);\n}\n",
    );
    let program = world.home().join("listen");
    let mut compile = Command::new(programs::path("gcc"));
    compile.args(["-m32", "-nostdlib", "-static", "-o"]).arg(&program).arg(&source);
    compile.env("PATH", programs::search_path());
    if !compile.status().is_ok_and(|status| status.success()) {
        return eprintln!("gcc makes no programs of 32 bits here");
    }
    let program = program.to_string_lossy();
    let run = world.weft();
    let ledger = run.ledger();
    let _ = run.output(&[&*program]).succeeded();
    let entries = entries(&ledger);
    assert_eq!(of(&entries, "listen-authorize")[0]["port"], 80, "{entries:?}");
    let _ = world.weft().deny("0.0.0.0:80").output(&[&*program]).exited(13);
}
