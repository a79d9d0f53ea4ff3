//! `weft learn --ask`: nothing leaves before the person at the terminal has said so, and what was said is the policy.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use interop::terminal::Terminal;
use interop::world::{OTHER_V4, PRIVATE_V4, SITE_V4};
use interop::{Echo, Outcome, Record, Run, User, Way, Witness, World, needs, wait};
use rustix::process::Signal;

use crate::ledger::{entries, of};
use crate::probe::{probe, result};

/// As the probe, but that it waits as long as it is let.
const PATIENT: &str = "import errno, socket, sys
TYPES = {'tcp': socket.SOCK_STREAM, 'udp': socket.SOCK_DGRAM}
for at in range(1, len(sys.argv), 3):
    protocol, host, port = words = sys.argv[at : at + 3]
    family, kind, _, _, address = socket.getaddrinfo(host, int(port), 0, TYPES[protocol])[0]
    with socket.socket(family, kind) as connection:
        try:
            connection.connect(address)
            connection.sendall(b'probe\\n')
            told = 'reached ' + connection.recv(100).decode().strip()
        except OSError as error:
            told = errno.errorcode.get(error.errno, str(error))
    print(*words, told, flush=True)
";

fn world() -> World {
    let world = World::with_echo();
    world.name("two.test");
    Echo::udp(&world.internet, (SITE_V4, 7));
    world
}

/// A run that asks, and where its policy is written.
fn asking<'w>(world: &'w World, file: &str) -> (Run<'w>, PathBuf) {
    let path = world.home().join(file);
    (world.weft().learn(&path).option("--ask"), path)
}

/// A program that connects to these targets, on a terminal.
fn start(world: &World, run: Run<'_>, targets: &[&str]) -> Terminal {
    let program = world.write("patient.py", PATIENT);
    let words = targets.iter().flat_map(|target| target.split(' '));
    let command: Vec<&str> =
        ["python3", program.to_str().expect("a path in UTF-8")].into_iter().chain(words).collect();
    Terminal::start(run, &command)
}

/// Waits until `endpoint` has been asked about `count` times, and answers.
fn answer(terminal: &mut Terminal, endpoint: &str, count: usize, keys: &str) {
    let question = format!("{endpoint} [o/a/n]? ");
    let asked = |terminal: &Terminal| terminal.shown().matches(&question).count() >= count;
    let seen = wait::within(wait::PATIENCE, || asked(terminal).then_some(()));
    assert!(seen.is_some(), "{endpoint} was not asked about:\n{}", terminal.shown());
    terminal.press(keys.as_bytes());
}

/// The lines of a policy that are rules.
fn rules(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("the policy");
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn enforced(world: &World, path: &Path, targets: &[&str]) -> Outcome {
    probe(world, world.weft().option("--policy").option(path.to_string_lossy()), targets)
}

#[test]
fn each_answer_does_what_it_says() {
    needs!["setsid", "python3"];
    let world = world();
    let (run, path) = asking(&world, "learned");
    let ledger = run.ledger();
    let targets = ["tcp one.test 7", "tcp one.test 7", "tcp one.test 7", "tcp two.test 7", "tcp two.test 7"];
    let mut terminal = start(&world, run, &targets);
    terminal.until_shown("/python3");
    assert!(world.resolver.asked().is_empty(), "nothing leaves for a name before somebody says so");
    answer(&mut terminal, "tcp://one.test:7", 1, "o\n");
    answer(&mut terminal, "tcp://one.test:7", 2, "always\n");
    answer(&mut terminal, "tcp://two.test:7", 1, "n\n");
    let (outcome, shown) = terminal.finish();
    let outcome = outcome.succeeded();
    assert_eq!(shown.matches("tcp one.test 7 reached probe").count(), 3, "{shown}");
    assert_eq!(shown.matches("tcp two.test 7 ECONNREFUSED").count(), 2, "{shown}");
    assert_eq!(
        shown.matches(" [o/a/n]? ").count(),
        3,
        "what was answered for good is not asked again: {shown}"
    );
    assert!(world.resolver.was_asked("one.test") && !world.resolver.was_asked("two.test"));
    assert!(shown.contains("wants to connect to tcp://one.test:7") && shown.contains("python3["), "{shown}");
    assert_eq!(rules(&path), ["tcp://one.test:7", "deny tcp://two.test:7"]);

    let entries = entries(&ledger);
    let reasons: Vec<&str> =
        of(&entries, "connection-authorize").iter().filter_map(|entry| entry["reason"].as_str()).collect();
    let by = |what: &str| format!("{what} at the terminal: tcp://");
    assert_eq!(reasons[0], by("allowed by the answer once") + "one.test:7", "{outcome}");
    assert_eq!(reasons[1], by("allowed by the answer always") + "one.test:7", "{outcome}");
    assert_eq!(reasons[3], by("denied by the answer never") + "two.test:7", "{outcome}");
    let changes: Vec<&str> =
        of(&entries, "policy-change").iter().filter_map(|entry| entry["source"].as_str()).collect();
    let expected = [
        "the answer always at the terminal: tcp://one.test:7",
        "the answer never at the terminal: tcp://two.test:7",
    ];
    assert_eq!(changes, expected, "{outcome}");

    let again = enforced(&world, &path, &["tcp one.test 7", "tcp two.test 7"]);
    assert_eq!(result(&again, "tcp one.test 7"), "reached probe", "{again}");
    assert!(again.stderr.contains("refused python3"), "{again}");
    assert_ne!(result(&again, "tcp two.test 7"), "reached probe", "{again}");
}

#[test]
fn the_command_comes_not_in_between_by_whatever_name_it_finds_the_terminal() {
    needs!["setsid", "python3"];
    for user in [User::Root, User::Ordinary] {
        let world = world();
        let path = world.home().join("learned");
        let run = world.weft_as(Way { user, ..Way::default() }).learn(&path).option("--ask");
        let (go, gone) = (world.directory().join("go"), world.home().join("gone"));
        // It writes to every terminal but its own while the question is asked, and then to that one.
        let program = "import os, socket, sys, threading, time\n\
            def forge():\n    \
                while not os.path.exists(sys.argv[1]):\n        time.sleep(0.01)\n    \
                for name in ['/dev/console'] + ['/dev/pts/%d' % number for number in range(64)]:\n        \
                    try:\n            name != os.ttyname(0) and open(name, 'w').write('forged')\n        \
                    except OSError:\n            pass\n    \
                os.write(1, b'behind the question')\n    \
                open(sys.argv[2], 'w').close()\n\
            threading.Thread(target=forge).start()\n\
            socket.create_connection(('one.test', 7))\n";
        let words = [&go, &gone].map(|path| path.to_str().expect("text"));
        let mut terminal = Terminal::start(run, &["python3", "-c", program, words[0], words[1]]);
        terminal.until_shown("tcp://one.test:7 [o/a/n]? ");
        fs::write(&go, "").expect("written");
        wait::until("the attempt", || gone.exists().then_some(()));
        terminal.press(b"a\n");
        let (outcome, shown) = terminal.finish();
        let _ = outcome.succeeded();
        let (before, after) = shown.split_once(" [o/a/n]? ").expect("a question");
        assert!(!before.contains("behind") && after.contains("behind the question"), "{shown}");
        assert!(!shown.contains("forged"), "{shown}");
        assert_eq!(rules(&path), ["tcp://one.test:7"]);
    }
}

#[test]
fn what_cannot_be_understood_is_asked_again_and_no_answer_is_a_refusal() {
    needs!["setsid", "python3"];
    let world = world();
    let (run, path) = asking(&world, "learned");
    let mut terminal = start(&world, run, &["tcp one.test 7", "tcp one.test 7"]);
    answer(&mut terminal, "tcp://one.test:7", 1, "yes\n");
    answer(&mut terminal, "tcp://one.test:7", 2, "\n");
    answer(&mut terminal, "tcp://one.test:7", 3, "\x04");
    answer(&mut terminal, "tcp://one.test:7", 4, "A\n");
    let (outcome, shown) = terminal.finish();
    let outcome = outcome.succeeded();
    assert!(shown.contains("o, a or n, and Enter"), "{shown}");
    assert_eq!(shown.matches("tcp one.test 7 ECONNREFUSED").count(), 1, "{shown}");
    assert_eq!(shown.matches("tcp one.test 7 reached probe").count(), 1, "{shown}");
    assert!(shown.contains("no rule allows it, and nobody at the terminal answered for it"), "{shown}");
    assert!(outcome.has_event("deny", "one.test"), "{outcome}");
    assert_eq!(rules(&path), ["tcp://one.test:7"]);
}

#[test]
fn a_terminal_that_is_gone_allows_nothing() {
    needs!["setsid", "python3"];
    let world = world();
    let (run, path) = asking(&world, "learned");
    let told = world.home().join("told");
    let program = "import errno, signal, socket, sys\n\
        signal.signal(signal.SIGHUP, signal.SIG_IGN)\n\
        lines = []\n\
        for host in ['one.test', '203.0.113.80']:\n    \
            try:\n        socket.create_connection((host, 7))\n        lines.append('reached')\n    \
            except OSError as error:\n        lines.append(errno.errorcode[error.errno])\n\
        open(sys.argv[1], 'w').write(' '.join(lines))\n";
    let mut terminal = Terminal::start(run, &["python3", "-c", program, told.to_str().expect("text")]);
    answer(&mut terminal, "tcp://one.test:7", 1, "a");
    let running = terminal.hang_up();
    let _ = running.finish();
    let told =
        wait::until("the command's end", || fs::read_to_string(&told).ok().filter(|told| !told.is_empty()));
    assert_eq!(told, "ECONNREFUSED ECONNREFUSED");
    assert!(!world.resolver.was_asked("one.test"));
    wait::until("the policy", || fs::read_to_string(&path).ok().filter(|text| text.starts_with("# What")));
    assert!(rules(&path).is_empty());
}

#[test]
fn a_program_that_reads_keys_has_its_keys_and_not_the_answer() {
    needs!["setsid", "python3"];
    let world = world();
    let (run, path) = asking(&world, "learned");
    // One thread waits for keys all the time, in raw mode; the other connects while it does.
    let program = "import os, socket, sys, termios, threading, tty\n\
        before = termios.tcgetattr(0)\n\
        tty.setraw(0)\n\
        raw = termios.tcgetattr(0)\n\
        keys = []\n\
        asked = threading.Event()\n\
        def read():\n    \
            while (key := os.read(0, 1)) != b'q':\n        \
                keys.append(key)\n        asked.set()\n\
        reader = threading.Thread(target=read)\n\
        reader.start()\n\
        os.write(1, b'ready')\n\
        asked.wait()\n\
        socket.create_connection(('one.test', 7))\n\
        os.write(1, b'connected')\n\
        reader.join()\n\
        same = termios.tcgetattr(0) == raw\n\
        termios.tcsetattr(0, termios.TCSANOW, before)\n\
        print('keys', b''.join(keys), 'modes', same)\n";
    let mut terminal = Terminal::start(run, &["python3", "-c", program]);
    terminal.until_shown("ready");
    terminal.press(b"x");
    answer(&mut terminal, "tcp://one.test:7", 1, "a\n");
    terminal.until_shown("connected");
    terminal.press(b"\x03\rq");
    let (outcome, shown) = terminal.finish();
    let _ = outcome.succeeded();
    assert!(shown.contains("keys b'x\\x03\\r' modes True"), "{shown}");
    assert_eq!(rules(&path), ["tcp://one.test:7"]);
}

#[test]
fn a_program_that_waits_for_a_line_goes_on_waiting() {
    needs!["setsid", "curl"];
    let world = world();
    let (run, _) = asking(&world, "learned");
    // It has been waiting for its line since before the question.
    let script = "(read line; echo got $line) < /dev/tty & echo x | curl -s -m 9 telnet://one.test:7; \
                  echo curl ended; wait";
    let mut terminal = Terminal::start(run, &["sh", "-c", script]);
    answer(&mut terminal, "tcp://one.test:7", 1, "n\n");
    terminal.until_shown("curl ended");
    terminal.press(b"a line\n");
    let (outcome, shown) = terminal.finish();
    let _ = outcome.succeeded();
    assert!(shown.contains("got a line"), "{shown}");
}

#[test]
fn control_c_at_a_question_ends_the_run() {
    needs!["setsid", "python3"];
    let world = world();
    let (run, path) = asking(&world, "learned");
    let mut terminal = start(&world, run, &["tcp one.test 7", "tcp two.test 7"]);
    answer(&mut terminal, "tcp://one.test:7", 1, "\x03");
    let (outcome, shown) = terminal.finish();
    // Python ends by the signal that it was interrupted by.
    let _ = outcome.exited(128 + 2);
    assert!(shown.contains("KeyboardInterrupt") && !shown.contains("two.test"), "{shown}");
    assert!(rules(&path).is_empty());
    // A command that holds on is killed by the second.
    let (run, _) = asking(&world, "learned");
    let program = "import signal, socket\n\
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n\
        while True:\n    \
            try:\n        socket.create_connection(('203.0.113.80', 7))\n    \
            except OSError as error:\n        print(type(error).__name__, flush=True)\n";
    let mut terminal = Terminal::start(run, &["python3", "-c", program]);
    answer(&mut terminal, "tcp://203.0.113.80:7", 1, "\x03");
    answer(&mut terminal, "tcp://203.0.113.80:7", 2, "\x03");
    let (outcome, shown) = terminal.finish();
    let _ = outcome.exited(128 + 9);
    assert!(shown.contains("ConnectionRefusedError"), "{shown}");
}

#[test]
fn other_connections_go_on_while_a_question_waits_and_questions_queue() {
    needs!["setsid", "python3"];
    let world = world();
    let (run, path) = asking(&world, "learned");
    let done = world.home().join("done");
    let program = "import socket, sys, threading\n\
        link = socket.create_connection(('one.test', 7))\n\
        def ask(name):\n    \
            try:\n        socket.create_connection((name, 7)); print(name, 'reached', flush=True)\n    \
            except OSError as error:\n        print(name, type(error).__name__, flush=True)\n\
        asking = [threading.Thread(target=ask, args=(name,)) for name in ['two.test', 'three.test', 'two.test']]\n\
        for thread in asking:\n    thread.start()\n\
        sys.stdin.readline()\n\
        for thread in asking:\n    thread.join()\n";
    let carry = format!(
        "import socket, time\n\
         link = socket.create_connection(('one.test', 7))\n\
         for _ in range(200):\n    link.sendall(b'x' * 1000)\n    \
             left = 1000\n    while left:\n        left -= len(link.recv(left))\n\
         open('{}', 'w').write('carried')\n",
        done.display()
    );
    let script = "python3 -c \"$0\" & exec python3 -c \"$1\"";
    let run = run.allow("one.test:7");
    let mut terminal = Terminal::start(run, &["sh", "-c", script, &carry, program]);
    terminal.until_shown(" [o/a/n]? ");
    wait::until("bytes of a connection that is open", || {
        fs::read_to_string(&done).ok().filter(|text| text == "carried")
    });
    // Two wait for one answer, and the third for its own; which comes first is the threads' matter.
    let shown = terminal.shown();
    let (first, second) = match shown.contains("tcp://two.test:7 [o/a/n]? ") {
        true => ("two", "three"),
        false => ("three", "two"),
    };
    for name in [first, second] {
        answer(&mut terminal, &format!("tcp://{name}.test:7"), 1, if name == "two" { "a\n" } else { "n\n" });
    }
    wait::until("both", || (terminal.shown().matches("two.test reached").count() == 2).then_some(()));
    terminal.press(b"\n");
    let (outcome, shown) = terminal.finish();
    let _ = outcome.succeeded();
    assert!(shown.contains("three.test ConnectionRefusedError"), "{shown}");
    assert_eq!(shown.matches("[o/a/n]? ").count(), 2, "{shown}");
    assert_eq!(rules(&path), ["tcp://one.test:7", "tcp://two.test:7", "deny tcp://three.test:7"]);
}

#[test]
fn datagrams_wait_for_the_answer_also_behind_the_commands_end() {
    needs!["setsid", "python3"];
    let world = world();
    let witness = Witness::at(&world.internet, (OTHER_V4, 9));
    let (run, path) = asking(&world, "learned");
    let program = "import socket\n\
        a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        for number in range(40):\n    a.sendto(str(number).encode(), ('203.0.113.80', 7))\n\
        a.settimeout(60)\n\
        print('answered', sorted(int(a.recv(9)) for _ in range(16)) == list(range(16)), flush=True)\n\
        a.sendto(b'later', ('203.0.113.90', 9))\n\
        print('ended')\n";
    let mut terminal = Terminal::start(run, &["python3", "-c", program]);
    answer(&mut terminal, "udp://203.0.113.80:7", 1, "a\n");
    // None that waited is lost, or makes room for one that came later. Between namespaces the kernel keeps no order.
    terminal.until_shown("answered True");
    // The command does not wait for what becomes of its last datagram.
    terminal.until_shown("udp://203.0.113.90:9 [o/a/n]? ");
    assert_eq!(witness.seen(), 0);
    answer(&mut terminal, "udp://203.0.113.90:9", 1, "o\n");
    let (outcome, shown) = terminal.finish();
    let _ = outcome.succeeded();
    wait::until("the datagram", || (witness.seen() == 1).then_some(()));
    assert!(shown.contains("ended"), "{shown}");
    assert_eq!(rules(&path), ["udp://203.0.113.80:7"]);
}

#[test]
fn where_a_name_leads_inside_is_a_question_of_its_own() {
    needs!["setsid", "python3"];
    let world = world();
    world.name_at("inner.test", PRIVATE_V4);
    Echo::tcp(&world.internet, (PRIVATE_V4, 7));
    Echo::udp(&world.internet, (PRIVATE_V4, 7));
    let address = format!("tcp://{PRIVATE_V4}:7");
    let (run, path) = asking(&world, "learned");
    let mut terminal = start(&world, run, &["tcp inner.test 7", "tcp inner.test 7", "udp inner.test 7"]);
    answer(&mut terminal, "tcp://inner.test:7", 1, "a\n");
    answer(&mut terminal, &address, 1, "o\n");
    answer(&mut terminal, &address, 2, "a\n");
    answer(&mut terminal, "udp://inner.test:7", 1, "a\n");
    answer(&mut terminal, &format!("udp://{PRIVATE_V4}:7"), 1, "n\n");
    let (outcome, shown) = terminal.finish();
    let _ = outcome.succeeded();
    assert!(shown.contains(&format!("it resolves to {PRIVATE_V4}, a private address")), "{shown}");
    assert_eq!(shown.matches("tcp inner.test 7 reached probe").count(), 2, "{shown}");
    assert!(!shown.contains("udp inner.test 7 reached"), "{shown}");
    let expected = [
        "tcp://inner.test:7".to_owned(),
        format!("{address}  # a name leads here"),
        "udp://inner.test:7".to_owned(),
        format!("deny udp://{PRIVATE_V4}:7"),
    ];
    let mut found = rules(&path);
    found.sort();
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(found, expected);
    let again = enforced(&world, &path, &["tcp inner.test 7", "udp inner.test 7"]);
    assert_eq!(result(&again, "tcp inner.test 7"), "reached probe", "{again}");
    assert_ne!(result(&again, "udp inner.test 7"), "reached probe", "{again}");
}

#[test]
fn names_that_are_only_looked_up_are_asked_about_before_anything_leaves() {
    needs!["setsid", "getent", "dig"];
    let world = world();
    world.resolver.add("only.test", Record::A(Ipv4Addr::new(203, 0, 113, 80)));
    world.resolver.add("text.test", Record::Txt("words".into()));
    let script = "getent ahostsv4 only.test; dig +time=30 +tries=1 +short TXT text.test; echo ended";
    let (run, path) = asking(&world, "learned");
    let mut terminal = Terminal::start(run, &["sh", "-c", script]);
    terminal.until_shown("wants to look up text.test");
    assert!(world.resolver.asked().is_empty());
    answer(&mut terminal, "dns://text.test", 1, "a\n");
    // Of the other nothing needed to leave so far.
    answer(&mut terminal, "dns://only.test", 1, "a\n");
    let (outcome, shown) = terminal.finish();
    let _ = outcome.succeeded();
    assert!(shown.contains("\"words\"") && shown.contains("198.18."), "{shown}");
    assert!(!world.resolver.was_asked("only.test"));
    assert_eq!(rules(&path), ["dns://only.test", "dns://text.test"]);
    let again = world.weft().option("--policy").option(path.to_string_lossy()).option("--fail-on-deny");
    let again = again.shell(script).succeeded();
    assert!(again.stdout.contains("\"words\"") && again.stdout.contains("198.18."), "{again}");
}

#[test]
fn in_cedar_each_program_is_asked_about_by_itself() {
    needs!["setsid", "python3", "curl"];
    let world = world();
    let (run, path) = asking(&world, "learned.cedar");
    let program = world.write("patient.py", PATIENT);
    let script = format!(
        "python3 {} tcp one.test 7; echo x | curl -sS -m 9 telnet://one.test:7; echo curl $?",
        program.display()
    );
    let mut terminal = Terminal::start(run, &["sh", "-c", &script]);
    answer(&mut terminal, "tcp://one.test:7", 1, "a\n");
    answer(&mut terminal, "tcp://one.test:7", 2, "n\n");
    let (outcome, shown) = terminal.finish();
    let _ = outcome.succeeded();
    assert!(shown.contains("one.test 7 reached probe") && shown.contains("curl 7"), "{shown}");
    let again = world.weft().option("--policy").option(path.to_string_lossy()).shell(&script);
    assert!(
        again.stdout.contains("one.test 7 reached probe") && again.stderr.contains("refused curl"),
        "{again}"
    );
    let policy = fs::read_to_string(&path).expect("the policy");
    let words = policy.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("forbid ( principal == Program::"), "{policy}");
}

#[test]
fn never_closes_what_was_allowed_once_and_is_open() {
    needs!["setsid", "python3"];
    let world = world();
    let (run, path) = asking(&world, "learned");
    let program = "import socket\n\
        first = socket.create_connection(('203.0.113.80', 7))\n\
        first.sendall(b'x')\n\
        print('first', first.recv(1), flush=True)\n\
        try:\n    socket.create_connection(('203.0.113.80', 7))\n\
        except OSError as error:\n    print('second', type(error).__name__)\n\
        try:\n    print('first', first.recv(1))\n\
        except OSError as error:\n    print('first', type(error).__name__)\n";
    let mut terminal = Terminal::start(run, &["python3", "-c", program]);
    answer(&mut terminal, "tcp://203.0.113.80:7", 1, "o\n");
    answer(&mut terminal, "tcp://203.0.113.80:7", 2, "n\n");
    let (outcome, shown) = terminal.finish();
    let _ = outcome.succeeded();
    for line in ["first b'x'", "second ConnectionRefusedError", "first ConnectionResetError"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(shown.contains("weft: connections closed by that answer: 1"), "{shown}");
    assert_eq!(rules(&path), ["deny tcp://203.0.113.80:7"]);
}

#[test]
fn what_is_asked_behind_the_commands_end_keeps_nobody() {
    needs!["setsid", "getent"];
    let world = world();
    let script = "getent ahostsv4 only.test > /dev/null; exit 7";
    for (options, keys) in [(&[][..], "\x03"), (&["--timeout", "1s"], ""), (&[], "\x04")] {
        let (mut run, path) = asking(&world, "learned");
        for option in options {
            run = run.option(*option);
        }
        let mut terminal = Terminal::start(run, &["sh", "-c", script]);
        answer(&mut terminal, "dns://only.test", 1, keys);
        let _ = terminal.finish().0.exited(7);
        assert!(rules(&path).is_empty());
    }
    // Who interrupts the command wants an end of it.
    let (run, _) = asking(&world, "learned");
    let interrupted = "getent ahostsv4 only.test > /dev/null; echo ready; exec sleep 1000";
    let mut terminal = Terminal::start(run, &["sh", "-c", interrupted]);
    terminal.until_shown("ready");
    terminal.press(b"\x03");
    let (outcome, shown) = terminal.finish();
    let _ = outcome.exited(128 + 2);
    assert!(!shown.contains("[o/a/n]"), "{shown}");
    let (run, path) = asking(&world, "learned");
    let mut terminal = Terminal::start(run, &["sh", "-c", script]);
    answer(&mut terminal, "dns://only.test", 1, "");
    terminal.running.signal(Signal::TERM);
    let _ = terminal.finish().0.exited(7);
    assert!(rules(&path).is_empty());
}

#[test]
fn what_rules_say_is_not_asked() {
    needs!["setsid", "python3"];
    let world = world();
    let (run, path) = asking(&world, "learned");
    let run = run.allow("one.test:7").deny("203.0.113.90");
    let terminal = start(&world, run, &["tcp one.test 7", "tcp 203.0.113.90 7"]);
    let (outcome, shown) = terminal.finish();
    let _ = outcome.succeeded();
    assert!(shown.contains("one.test 7 reached probe") && !shown.contains("[o/a/n]"), "{shown}");
    assert_eq!(rules(&path), ["tcp://one.test:7"]);
}

#[test]
fn a_signal_ends_a_run_that_waits_for_an_answer() {
    needs!["setsid", "python3"];
    let world = world();
    let (run, path) = asking(&world, "learned");
    let mut terminal = start(&world, run, &["tcp one.test 7"]);
    answer(&mut terminal, "tcp://one.test:7", 1, "a");
    terminal.running.signal(Signal::TERM);
    let _ = terminal.finish().0.exited(128 + 15);
    assert!(rules(&path).is_empty());
    let (run, _) = asking(&world, "learned");
    let run = run.option("--timeout").option("1s");
    let terminal = start(&world, run, &["tcp one.test 7"]);
    let _ = terminal.finish().0.exited(124);
}
