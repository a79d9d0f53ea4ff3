//! What was decided is written down, can be proven, and stays out of the command's reach.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use interop::weft::binary;
use interop::world::{SITE_V4, SITE_V6};
use interop::{Echo, Run, User, Way, World, in_every_way, needs, programs, wait};
use serde_json::Value;

use crate::probe::{probe, result};

in_every_way! {
    the_command_reaches_neither_ledger_nor_keys => hidden;
}

fn tool(words: &[&str]) -> Output {
    Command::new(binary()).args(words).env("PATH", programs::search_path()).output().expect("weft starts")
}

/// The entries of a ledger, in order.
pub fn entries(ledger: &Path) -> Vec<Value> {
    let output = tool(&["ledger", "list", "--json", "--ledger", &ledger.to_string_lossy()]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(|line| serde_json::from_str(line).expect("an entry is an object")).collect()
}

/// Status and words of `weft ledger verify` with the public key alone.
pub fn verify(ledger: &Path) -> (Option<i32>, String) {
    let key = ledger.with_extension("pub");
    let (path, key) = (ledger.to_string_lossy(), key.to_string_lossy());
    let output = tool(&["ledger", "verify", "--key", &key, &path]);
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), told.into_owned())
}

pub fn of<'e>(entries: &'e [Value], event: &str) -> Vec<&'e Value> {
    entries.iter().filter(|entry| entry["event"] == event).collect()
}

#[test]
fn every_decision_is_an_entry_and_a_flipped_bit_is_found() {
    needs!["python3"];
    let world = World::with_echo();
    let run = world.weft().allow("one.test:7");
    let ledger = run.ledger();
    let outcome = probe(&world, run, &["tcp one.test 7", "tcp two.test 7", "tcp 203.0.113.90 81"]);
    let entries = entries(&ledger);
    let start = &entries[0];
    assert_eq!((&start["event"], &start["sequence"]), (&"run-start".into(), &0.into()), "{outcome}");
    assert_eq!(start["command"][0], "python3");
    let connects = of(&entries, "connection-authorize");
    let allowed = connects.iter().find(|entry| entry["verdict"] == "allowed").expect("an authorisation");
    assert_eq!((&allowed["name"], &allowed["port"]), (&"one.test".into(), &7.into()), "{allowed}");
    assert_eq!(allowed["remote"], format!("{SITE_V4}:7"), "{allowed}");
    assert_eq!((&allowed["rule"], &allowed["direction"]), (&"one.test:7".into(), &"connect".into()));
    let program = &allowed["program"];
    assert!(program["executable"].as_str().is_some_and(|path| path.contains("/python3")), "{allowed}");
    assert!(program["command_line"][1].as_str().is_some_and(|word| word.ends_with("probe.py")), "{allowed}");
    let bytes = fs::read(program["executable"].as_str().expect("a path")).expect("the executable");
    assert_eq!(program["digest"], blake3::hash(&bytes).to_hex().as_str(), "{allowed}");
    let close = of(&entries, "connection-close");
    let close = close.iter().find(|close| close["closes"] == allowed["sequence"]).expect("its end");
    // The probe sends `probe\n` and is sent the same.
    assert_eq!((&close["sent_bytes"], &close["received_bytes"]), (&6.into(), &6.into()), "{close}");
    assert_eq!(close["outcome"], "finished");
    let refused = connects.iter().find(|entry| entry["verdict"] == "refused").expect("a refusal");
    assert_eq!(
        (&refused["remote"], &refused["reason"]),
        (&"203.0.113.90:81".into(), &"no rule allows it".into())
    );
    let resolved = of(&entries, "resolve-authorize");
    assert!(resolved.iter().any(|entry| entry["name"] == "two.test" && entry["verdict"] == "refused"));
    let end = entries.last().expect("an end");
    assert_eq!((&end["event"], &end["status"]), (&"run-end".into(), &0.into()));
    assert!(entries.iter().all(|entry| entry["run"] == start["run"]));
    // What events call an entry is that entry.
    let event = outcome.events_of("connect").next().expect("a connect");
    assert_eq!(event["entry"], allowed["sequence"].to_string(), "{outcome}");
    let line = outcome.stderr.lines().find(|line| line.starts_with("weft: checkpoint ")).expect("a line");
    assert!(line.contains(&format!(" {} ", entries.len())), "{outcome}");

    let (status, told) = verify(&ledger);
    assert_eq!(status, Some(0), "{told}");
    let bundle = fs::read_dir(ledger.join("1/tile/entries")).expect("tiles").flatten().next().expect("one");
    let bundle = fs::read_dir(bundle.path()).expect("a partial tile").flatten().next().expect("one").path();
    let mut bytes = fs::read(&bundle).expect("the bundle");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&bundle, bytes).expect("written");
    // With the journal, which has the entries as well, and without it.
    for file in ["", "journal"] {
        if !file.is_empty() {
            fs::remove_dir_all(ledger.join(file)).expect("no journal");
        }
        let (status, told) = verify(&ledger);
        assert_eq!(status, Some(1), "{told}");
        assert!(told.contains("entry") && told.contains("changed"), "{told}");
    }
}

#[test]
fn a_name_that_no_host_can_have_is_refused_written_down_and_explained() {
    needs!["python3"];
    let world = World::with_echo();
    let run = world.weft().allow("*.test");
    let ledger = run.ledger();
    // RFC 1035 §4.1: one question for the addresses of "x!y.test" and of two bytes that are no letters.
    let program = "import re, socket\n\
        server = re.search(r'nameserver ([0-9.]+)', open('/etc/resolv.conf').read())[1]\n\
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        asking.settimeout(30)\n\
        for label in [b'x!y', b'\\xff.']:\n    \
            name = bytes([len(label)]) + label + b'\\x04test\\0'\n    \
            asking.sendto(b'\\0\\1\\1\\0\\0\\1' + b'\\0' * 6 + name + b'\\0\\1\\0\\1', (server, 53))\n    \
            assert asking.recv(512)[3] & 15 != 0\n";
    let outcome = run.output(&["python3", "-c", program]).succeeded();
    let denials: Vec<_> = outcome.events_of("deny").collect();
    assert_eq!(denials.len(), 2, "{outcome}");
    for (denial, name) in denials.iter().zip(["x\\!y.test", "\\377\\..test"]) {
        assert_eq!(denial["host"], name, "{outcome}");
        let entry = denial["entry"].as_str().unwrap_or_else(|| panic!("no entry: {denial}"));
        let words = ["why", entry, "--json", "--ledger", &ledger.to_string_lossy()];
        let told: Value = serde_json::from_slice(&tool(&words).stdout).expect("JSON");
        assert_eq!((&told["action"], &told["endpoint"]), (&"resolve".into(), &name.into()), "{told}");
        assert_eq!(told["allow"], serde_json::json!([]), "{told}");
        let program = told["asked"]["program"]["executable"].as_str();
        assert!(program.is_some_and(|path| path.contains("python3")), "{told}");
    }
}

#[test]
fn what_was_refused_is_explained_afterwards() {
    needs!["curl"];
    let world = World::with_echo();
    world.name_at("inner.test", std::net::Ipv4Addr::new(10, 99, 0, 2));
    let run = world.weft().allow("one.test:7").allow("inner.test:7").deny("two.test");
    let ledger = run.ledger();
    let outcome = run.shell(
        "for url in 203.0.113.90:81 two.test:7 inner.test:7; do curl -s -m 5 telnet://$url; done; \
         echo x | curl -s -m 1 telnet://one.test:7",
    );
    let explain = |words: &[&str]| {
        let output = tool(&[words, &["--json", "--ledger", &ledger.to_string_lossy()]].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        let reason = String::from_utf8_lossy(&output.stderr);
        serde_json::from_str::<Value>(&text)
            .unwrap_or_else(|error| panic!("{error}: {text}{reason}{outcome}"))
    };
    let last = explain(&["why"]);
    let entries = entries(&ledger);
    let newest = entries.iter().rfind(|entry| entry["verdict"] == "refused").expect("a refusal");
    assert_eq!(&last["asked"], newest, "{last}");
    let refused = |host: &str| {
        let mut denials = outcome.events_of("deny");
        let denial =
            denials.find(|event| event["host"] == host).unwrap_or_else(|| panic!("{host}: {outcome}"));
        explain(&["why", denial["entry"].as_str().expect("its entry")])
    };
    let inner = refused("inner.test");
    assert_eq!((&inner["action"], &inner["endpoint"]), (&"connect".into(), &"tcp://inner.test:7".into()));
    // Both that are told are needed, and do.
    let flags = ["--allow tcp://inner.test:7", "--allow tcp://10.99.0.2:7"];
    assert_eq!(inner["allow"], serde_json::json!(flags), "{inner}");
    let program = &inner["asked"]["program"];
    assert!(program["executable"].as_str().is_some_and(|path| path.ends_with("/curl")), "{inner}");
    assert_eq!(inner["run"]["command"][0], "sh", "{inner}");
    assert_eq!(inner["policy"]["since"], inner["run"]["entry"], "{inner}");
    let unruled = refused("203.0.113.90");
    assert_eq!(unruled["allow"], serde_json::json!(["--allow tcp://203.0.113.90:81"]), "{unruled}");
    let denied = refused("two.test");
    assert_eq!((&denied["action"], &denied["take_back"]), (&"resolve".into(), &"--deny two.test".into()));
    assert_eq!(denied["allow"], serde_json::json!([]), "{denied}");
    let opened = outcome.events_of("connect").next().expect("a connection");
    let allowed = explain(&["why", opened["entry"].as_str().expect("its entry")]);
    let closes = of(&entries, "connection-close");
    let close = closes.iter().find(|close| close["closes"] == allowed["asked"]["sequence"]).expect("its end");
    assert_eq!((&allowed["verdict"], &allowed["end"]["outcome"]), (&"allowed".into(), &close["outcome"]));
    assert_eq!(allowed["end"]["sent_bytes"], 2, "{allowed}");
    let number = inner["entry"].as_str().expect("a number");
    let page = tool(&["why", number, "--ledger", &ledger.to_string_lossy()]);
    let page = String::from_utf8_lossy(&page.stdout);
    assert!(page.contains("it resolves to 10.99.0.2, a private address"), "{page}");
    assert!(page.contains(&flags.join(" ")), "{page}");
    let mut again = world.weft();
    for word in flags.iter().flat_map(|flag| flag.split(' ')) {
        again = again.option(word);
    }
    let outcome = again.shell("curl -s -m 5 telnet://inner.test:7; echo ended");
    assert!(!outcome.stderr.contains("refused"), "{outcome}");
}

#[test]
fn with_sync_an_entry_is_on_disk_before_its_connection_is() {
    needs!["python3"];
    let world = World::with_echo();
    let run = world.weft().allow("one.test:7").option("--durability").option("sync");
    let ledger = run.ledger();
    let program = "import socket, sys\ns = socket.create_connection(('one.test', 7))\n\
                   print('connected', flush=True)\ns.recv(1)";
    let mut running = run.start(&["python3", "-c", program]);
    let _ = running.line("connected");
    // Whatever becomes of the gateway now, and of all that it has not written.
    running.signal(rustix::process::Signal::KILL);
    let _ = running.finish();
    let entries = entries(&ledger);
    let connects = of(&entries, "connection-authorize");
    assert_eq!(connects.len(), 1, "{entries:?}");
    assert_eq!(verify(&ledger).0, Some(0));
    // The next run goes on from there.
    let _ = world.weft().shell("true").succeeded();
    assert_eq!(self::entries(&ledger).len(), entries.len() + 2);
    assert_eq!(verify(&ledger).0, Some(0));
}

#[test]
fn a_ledger_that_cannot_be_written_stops_new_connections() {
    needs!["python3"];
    let world = World::with_echo();
    let small = world.directory().join("small");
    fs::create_dir(&small).expect("a directory");
    let program = format!(
        "import socket\n\
         count = 0\n\
         try:\n    while count < 100000:\n        socket.create_connection(('{SITE_V4}', 7)).close()\n        count += 1\n\
         except OSError as error:\n    print('ended', type(error).__name__, count > 0)"
    );
    let run = world.weft().mount(format!("mount -t tmpfs -o size=256k none {}", small.display()));
    let run =
        run.allow(format!("{SITE_V4}:7")).option("--ledger").option(small.join("ledger").to_string_lossy());
    let outcome = run.output(&["python3", "-c", &program]).exited(125);
    assert_eq!(outcome.stdout, "ended ConnectionRefusedError True\n", "{outcome}");
    let outcome = outcome.told("the ledger cannot be written");
    assert!(outcome.stderr.contains("No space left on device"), "{outcome}");

    let outcome =
        world.weft().option("--ledger").option("/proc/nowhere/ledger").shell("echo ran").exited(125);
    assert_eq!(outcome.stdout, "", "{outcome}");
    let _ = outcome.told("--no-ledger");
}

#[test]
fn a_published_port_is_authorised_and_so_is_who_connects_to_it() {
    needs!["python3"];
    let world = World::with_echo();
    let program = "import socket\nlistener = socket.create_server(('', 80))\nprint('listening', flush=True)\n\
                   s, _ = listener.accept()\ns.sendall(s.recv(9))";
    let run = world.weft().option("--publish").option("18000:80");
    let ledger = run.ledger();
    let mut running = run.start(&["python3", "-c", program]);
    let _ = running.line("listening");
    let mut stream = world.host.connect(([127, 0, 0, 1], 18000).into()).expect("the published port");
    std::io::Write::write_all(&mut stream, b"word").expect("sent");
    let mut echoed = [0; 4];
    std::io::Read::read_exact(&mut stream, &mut echoed).expect("its answer");
    let _ = running.finish().succeeded();
    let entries = entries(&ledger);
    let listens = of(&entries, "listen-authorize");
    // For the run when it begins, and for the program when it listens.
    assert_eq!(listens.len(), 2, "{entries:?}");
    for listen in &listens {
        assert_eq!((&listen["direction"], &listen["port"]), (&"listen".into(), &80.into()), "{listen}");
    }
    let taker = listens[1]["program"]["executable"].as_str().unwrap_or_default();
    assert!(listens[0]["program"].is_null() && taker.contains("/python3"), "{listens:?}");
    let accepted = of(&entries, "connection-authorize");
    assert_eq!((accepted.len(), &accepted[0]["direction"]), (1, &"accept".into()), "{entries:?}");
    let program = accepted[0]["program"]["executable"].as_str().unwrap_or_default();
    assert!(program.contains("/python3"), "who listens: {}", accepted[0]);
    let close = &of(&entries, "connection-close")[0];
    assert_eq!((&close["sent_bytes"], &close["received_bytes"]), (&4.into(), &4.into()), "{close}");

    let refused = world.weft().option("--publish").option("18000:80").deny("10.0.2.15:80");
    let outcome = refused.shell("echo ran").exited(125);
    assert!(outcome.stdout.is_empty(), "{outcome}");
    let _ = outcome.told("publishing 127.0.0.1:18000 of the host is refused: denied by --deny 10.0.2.15:80");
}

#[test]
fn a_published_port_leads_only_to_programs_that_may_listen() {
    needs!["python3"];
    let world = World::with_echo();
    let policy = world.write(
        "listen.cedar",
        "forbid (principal is Program, action == Action::\"listen\", resource)\n\
         unless { principal.command_line like \"*may listen*\" };\n",
    );
    let program = "import os, socket, sys\n\
        words = sys.argv[1:]\n\
        if len(words) < 3: listener = socket.create_server(('', 80))\n\
        else: listener = socket.socket(fileno=int(words[2]))\n\
        if len(words) == 2:\n\
        \x20   listener.set_inheritable(True)\n\
        \x20   os.execv(sys.executable, [sys.executable, '-c', words[1], 'may not', '', str(listener.fileno())])\n\
        print('listening', flush=True)\n\
        s, _ = listener.accept()\n\
        s.sendall(s.recv(9))";
    // The last takes what another has opened.
    for (words, listens, answers) in [
        (&["may listen"][..], true, true),
        (&["may not"], false, false),
        (&["may listen", program], true, false),
    ] {
        let run = world.weft().option("--policy").option(policy.to_string_lossy());
        let run = run.option("--publish").option("18001:80");
        let ledger = run.ledger();
        let mut running = run.start(&[&["python3", "-c", program], words].concat());
        let mut echoed = [0; 4];
        if listens {
            let _ = running.line("listening");
            let answered = world.host.connect(([127, 0, 0, 1], 18001).into()).and_then(|mut stream| {
                std::io::Write::write_all(&mut stream, b"word")?;
                std::io::Read::read_exact(&mut stream, &mut echoed)
            });
            assert_eq!(answered.is_ok(), answers, "{answered:?}");
            if !answers {
                running.signal(rustix::process::Signal::TERM);
            }
        }
        let outcome = running.finish();
        assert_eq!(outcome.stderr.contains("PermissionError"), !listens, "{outcome}");
        let entries = entries(&ledger);
        let listens = of(&entries, "listen-authorize");
        let taken = listens.iter().rev().find(|entry| entry["program"].is_object()).expect("an entry");
        assert_eq!(taken["verdict"], if answers { "allowed" } else { "refused" }, "{taken}");
    }
}

#[test]
fn runs_at_the_same_time_write_one_ledger() {
    needs!["python3"];
    let world = World::with_echo();
    let ledger = world.weft().ledger();
    let program = "import socket, sys\ns = socket.create_connection(('one.test', 7))\n\
                   print('connected', flush=True)\nsys.stdin.read()\nprint(s.recv(1) if s.send(b'x') else 0)";
    let started: Vec<_> = (0..4)
        .map(|_| {
            // Each holds its own end of a pipe open until all are connected.
            let go = world.directory().join("go");
            let script = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
            let words = ["sh", "-c", &format!("({script}) | python3 -c \"$0\""), program];
            world.weft().allow("one.test:7").start(&words)
        })
        .collect();
    let mut started = started;
    for running in &mut started {
        let _ = running.line("connected");
    }
    fs::write(world.directory().join("go"), "").expect("written");
    for running in started {
        let outcome = running.finish().succeeded();
        assert!(outcome.stdout.contains("b'x'"), "{outcome}");
    }
    let entries = entries(&ledger);
    assert_eq!(of(&entries, "connection-authorize").len(), 4, "{entries:?}");
    let shards: std::collections::BTreeSet<String> =
        entries.iter().map(|entry| entry["shard"].to_string()).collect();
    assert_eq!(shards.len(), 4, "each had a shard of its own: {shards:?}");
    let (status, told) = verify(&ledger);
    assert_eq!(status, Some(0), "{told}");
    // What one has seen of another tells that it was cut off.
    let _ = world.weft().shell("true").succeeded();
    fs::remove_dir_all(ledger.join("shards/3")).expect("removed");
    let (status, told) = verify(&ledger);
    assert_eq!(status, Some(1), "{told}");
}

/// By their own names, by others, and by renaming what they lie in; then everything is there, and whole.
fn hidden(way: Way) {
    let world = World::with_echo();
    let run = world.weft_as(way).allow("one.test:7");
    let ledger = run.ledger();
    let key = ledger.with_extension("key");
    let script = format!(
        "cat {0}/1/checkpoint {0}/journal/* {1} 2> /dev/null; echo x > {0}/x; echo x > {1}; rm -rf {0} {1}; \
         mv {0} gone; mv {1} gone; mv {2} moved && mkdir -p {0}; python3 -c 'import socket; \
         s = socket.create_connection((\"one.test\", 7)); s.send(b\"y\"); print(s.recv(1))'; echo done",
        ledger.display(),
        key.display(),
        ledger.parent().expect("a directory").display(),
    );
    let outcome = run.shell(&script).succeeded();
    assert_eq!(outcome.stdout, "b'y'\ndone\n", "{outcome}");
    let moved: PathBuf = world.home().join("moved/ledger");
    assert_eq!(of(&entries(&moved), "connection-authorize").len(), 1, "{outcome}");
    assert_eq!(verify(&moved).0, Some(0), "{outcome}");
}

/// A policy in a directory of its own, which the command may be kept from writing.
fn kept(world: &World, text: &str) -> (PathBuf, PathBuf) {
    let policies = world.home().join("policies");
    fs::create_dir(&policies).expect("a directory");
    let policy = policies.join("policy");
    fs::write(&policy, text).expect("written");
    (policies, policy)
}

#[test]
fn a_policy_that_does_not_hold_any_more_closes_everything() {
    needs!["python3"];
    let world = World::with_echo();
    let (policies, policy) = kept(&world, "one.test:7\n");
    let program = "import socket\n\
        s = socket.create_connection(('one.test', 7))\n\
        print('open', flush=True)\n\
        try:\n    print(s.recv(1))\n\
        except ConnectionResetError:\n    print('reset')";
    let run = world.weft().option("--policy").option(policy.to_string_lossy());
    let run = run.option("--read-only").option(policies.to_string_lossy());
    let ledger = run.ledger();
    let mut running = run.start(&["python3", "-c", program]);
    let _ = running.line("open");
    fs::remove_file(&policy).expect("removed");
    let _ = running.line("reset");
    let outcome = running.finish().succeeded();
    assert!(outcome.stderr.contains("does not hold") && outcome.stderr.contains("closed: 1"), "{outcome}");
    let entries = entries(&ledger);
    let changes = of(&entries, "policy-change");
    assert_eq!(changes.iter().map(|change| &change["closed"]).collect::<Vec<_>>(), [1], "{changes:?}");
}

/// The command runs as the user whose policy it is, and may write what that user may.
#[test]
fn a_command_does_not_change_its_own_policy() {
    needs!["python3"];
    for user in [User::Root, User::Ordinary] {
        let world = World::with_echo();
        let reach =
            "python3 -c \"import socket; socket.create_connection(('one.test', 7)); print('reached')\"";
        // Beside its work it may write it, and nothing comes of it.
        let policy = world.home().join("own.list");
        fs::write(&policy, "two.test\n").expect("written");
        fs::set_permissions(world.home(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("open");
        fs::set_permissions(&policy, std::os::unix::fs::PermissionsExt::from_mode(0o666)).expect("open");
        let way = Way { user, ..Way::default() };
        let run = world.weft_as(way).option("--policy").option("own.list");
        let script = format!("echo one.test >> own.list; until [ -e go ]; do :; done; {reach}");
        let running = run.start(&["sh", "-c", &script]);
        wait::until("the word about it", || {
            running.stderr().contains("does not count: the command may write own.list").then_some(())
        });
        fs::write(world.home().join("go"), "").expect("written");
        let outcome = running.finish();
        assert!(!outcome.stdout.contains("reached"), "{outcome}");
        // In a directory that is kept from it it cannot, whichever way it tries.
        let (policies, policy) = kept(&world, "two.test\n");
        let run = world.weft_as(way).option("--policy").option("policies/policy");
        let run = run.option("--read-only").option(policies.to_string_lossy());
        let outcome = run.shell(&format!(
            "echo one.test >> policies/policy; rm -f policies/policy; mv policies moved; \
             mkdir -p policies && echo one.test > policies/policy; umount policies; {reach}"
        ));
        assert!(!outcome.stdout.contains("reached"), "{outcome}");
        assert_eq!(fs::read_to_string(&policy).expect("it is there"), "two.test\n", "{outcome}");
    }
}

#[test]
fn a_run_without_a_ledger_reaches_none_either() {
    let world = World::with_echo();
    let run = world.weft();
    let ledger = run.ledger();
    let _ = run.output(&["true"]).succeeded();
    let before = fs::read(ledger.with_extension("key")).expect("the key");
    let path = ledger.display();
    let outcome = world.weft().option("--no-ledger").shell(&format!(
        "cat {path}.key {path}.pub; rm -rf {path}/1 {path}/journal; echo x > {path}.pub; ls {path}"
    ));
    assert_eq!(outcome.stdout, "", "{outcome}");
    assert_eq!(fs::read(ledger.with_extension("key")).expect("the key"), before);
    assert_eq!(verify(&ledger).0, Some(0), "{outcome}");
}

#[test]
fn a_policy_file_that_changes_closes_what_it_allows_no_more() {
    needs!["python3"];
    for (on_revoke, end) in [("close", "reset"), ("leave", "b'x'")] {
        let world = World::with_echo();
        let (policies, policy) = kept(&world, "one.test:7\n");
        let program = "import socket, sys, time\n\
            s = socket.create_connection(('one.test', 7))\n\
            print('open', flush=True)\n\
            while True:\n    \
                try:\n        socket.create_connection(('one.test', 7)).close()\n    \
                except OSError:\n        break\n    \
                time.sleep(0.01)\n\
            try:\n    s.send(b'x')\n    print(s.recv(1))\n\
            except ConnectionResetError:\n    print('reset')\n\
            print('asked', flush=True)\n\
            while True:\n    \
                try:\n        socket.create_connection(('one.test', 7)).close()\n        break\n    \
                except OSError:\n        time.sleep(0.01)\n\
            print('open again')";
        let run = world.weft().option("--policy").option(policy.to_string_lossy());
        let run = run.option("--on-revoke").option(on_revoke);
        let run = run.option("--read-only").option(policies.to_string_lossy());
        let ledger = run.ledger();
        let mut running = run.start(&["python3", "-c", program]);
        let _ = running.line("open");
        fs::write(policies.join("next"), "two.test:7\n").expect("written");
        fs::rename(policies.join("next"), &policy).expect("replaced at once");
        let _ = running.line("asked");
        assert!(running.stdout().contains(end), "{on_revoke}: {}", running.stdout());
        // A policy that does not hold allows nothing, and the next that holds is taken.
        fs::write(&policy, "one.test:7\n? ?\n").expect("written");
        wait::until("the broken policy", || running.stderr().contains("does not hold").then_some(()));
        fs::write(&policy, "one.test\n").expect("written");
        let _ = running.line("open again");
        let _ = running.finish().succeeded();
        let entries = entries(&ledger);
        let changes = of(&entries, "policy-change");
        let closed: Vec<u64> = changes.iter().filter_map(|change| change["closed"].as_u64()).collect();
        // The loop's own connection may have been open too.
        assert_eq!(closed[0] > 0, on_revoke == "close", "{changes:?}");
        assert_eq!(closed.len(), 3, "{changes:?}");
        let revoked = of(&entries, "connection-close");
        let revoked = revoked.iter().filter(|close| close["outcome"] == "revoked").count();
        assert_eq!(revoked > 0, closed[0] > 0, "{entries:?}");
    }
}

#[test]
fn a_policy_in_cedar_tells_programs_apart() {
    needs!["python3", "curl"];
    let world = World::with_echo();
    let policy = world.write(
        "run.cedar",
        "permit (principal, action == Action::\"resolve\", resource);\n\
         permit (principal, action == Action::\"connect\", resource in Domain::\"one.test\")\n\
         when { principal is Program && principal.executable like \"*/python3*\" };\n",
    );
    let policy = || policy.to_string_lossy().into_owned();
    let allowed = probe(&world, world.weft().option("--policy").option(policy()), &["tcp one.test 7"]);
    assert_eq!(result(&allowed, "tcp one.test 7"), "reached probe", "{allowed}");
    let other = world.weft().option("--policy").option(policy());
    let outcome = other.output(&["curl", "-sS", "telnet://one.test:7"]).exited(7);
    assert!(outcome.stderr.contains("refused curl"), "{outcome}");
    // A policy that does not hold runs nothing.
    let wrong =
        world.write("wrong.cedar", "permit (principal, action, resource) when { principal.port == 1 };");
    let run = world.weft().option("--policy").option(wrong.to_string_lossy());
    let outcome = run.shell("echo ran").exited(125);
    assert!(outcome.stdout.is_empty() && outcome.stderr.contains("wrong.cedar:1:"), "{outcome}");
}

#[test]
fn what_is_learned_is_enough_and_no_more() {
    needs!["python3", "curl", "getent"];
    for (file, mark) in
        [("learned", "tcp://one.test:7\n"), ("learned.cedar", "Endpoint::\"tcp://one.test:7\"")]
    {
        let world = World::with_echo();
        world.name("only.test");
        world.name_at("inner.test", std::net::Ipv4Addr::new(10, 99, 0, 2));
        let targets = ["tcp one.test 7", "tcp inner.test 7", "udp 203.0.113.80 9"];
        let path = world.home().join(file);
        let program = world.write("probe.py", include_str!("probe.py"));
        let script =
            format!("getent ahostsv4 only.test; python3 {} {}", program.display(), targets.join(" "));
        let learn = world.weft().learn(&path);
        let learned = learn.shell(&script);
        let policy = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{error}: {learned}"));
        assert!(policy.contains(mark) && policy.contains("only.test"), "{policy}\n{learned}");
        assert!(policy.contains("inner.test:7") && policy.contains("10.99.0.2:7"), "{policy}\n{learned}");
        assert!(!policy.contains('*') && learned.stderr.contains("weft: learned "), "{policy}\n{learned}");
        let enforced =
            || world.weft().option("--policy").option(path.to_string_lossy()).option("--fail-on-deny");
        let again = enforced().shell(&script);
        assert_eq!(
            (again.stdout.lines().count(), again.status),
            (learned.stdout.lines().count(), learned.status),
            "{again}"
        );
        assert!(!again.stderr.contains("refused"), "{policy}\n{again}");
        let _ =
            enforced().shell(&format!("{script}; python3 {} tcp one.test 8", program.display())).exited(100);
        // By another program the same is nothing that was learned, where programs are told apart.
        let curl = enforced().output(&["curl", "-s", "-m", "5", "telnet://one.test:7"]);
        assert_eq!(curl.stderr.contains("refused curl"), file.ends_with(".cedar"), "{curl}");
    }
}

#[test]
fn another_users_ledger_is_not_written() {
    let world = World::with_echo();
    let ledger = world.home().join("theirs");
    fs::create_dir(&ledger).expect("a directory");
    std::os::unix::fs::chown(&ledger, Some(1_000), Some(1_000)).expect("another user's");
    let run = world.weft_as(Way { user: User::Root, ..Way::default() });
    let outcome = run.option("--ledger").option(ledger.to_string_lossy()).output(&["true"]).exited(125);
    assert!(outcome.stderr.contains("is another user's (number 1000); another place"), "{outcome}");
    assert!(!ledger.with_extension("key").exists(), "{outcome}");
}

#[test]
fn a_run_in_a_run_is_allowed_what_both_allow() {
    needs!["python3"];
    let world = World::with_echo();
    world.name("two.test");
    Echo::tcp(&world.internet, (SITE_V4, 8));
    Echo::tcp(&world.internet, (SITE_V6, 7));
    let program = world.write("probe.py", include_str!("probe.py"));
    let weft = interop::weft::binary_for(&world);
    let inner = [
        &weft.to_string_lossy(),
        "run",
        "--allow",
        "one.test",
        "--allow",
        "six.test",
        "--",
        "python3",
        &program.to_string_lossy(),
        "tcp",
        "one.test",
        "7",
        "tcp",
        "one.test",
        "8",
        "tcp",
        "two.test",
        "7",
        "tcp",
        "six.test",
        "7",
    ]
    .map(str::to_owned);
    let outer: Run<'_> = world.weft_as(Way { user: User::Root, ..Way::default() });
    let outer = outer.option("--resolve").option(format!("six.test={SITE_V6}")).allow("six.test:7");
    let outcome = outer.allow("one.test:7").allow("two.test:7").output(&inner);
    assert_eq!(result(&outcome, "tcp one.test 7"), "reached probe", "{outcome}");
    assert_eq!(result(&outcome, "tcp six.test 7"), "reached probe", "{outcome}");
    assert!(!result(&outcome, "tcp one.test 8").contains("reached"), "the outer one refuses:\n{outcome}");
    assert!(!result(&outcome, "tcp two.test 7").contains("reached"), "the inner one refuses:\n{outcome}");
}

/// What is mounted over a directory is not seen by who is in it, or has it open.
#[test]
fn no_working_directory_or_stream_leads_around_what_is_mounted() {
    let world = World::with_echo();
    let run = world.weft().option("--read-only").option(world.home().to_string_lossy());
    let ledger = run.ledger();
    let outcome = run.shell("echo x > written; echo tried").succeeded();
    assert!(outcome.stdout == "tried\n" && !world.home().join("written").exists(), "{outcome}");
    let start = |directory: &Path, input: &Path| {
        let mut weft = Command::new(binary());
        weft.args(["run", "--ledger"]).arg(&ledger).args(["--", "echo", "ran"]);
        let input = fs::File::open(input).expect("it is there");
        let output = weft.current_dir(directory).stdin(input).output().expect("weft starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let null = Path::new("/dev/null");
    for (directory, input, name) in
        [(&*ledger.join("1"), null, "the working directory"), (Path::new("/"), &*ledger, "standard input")]
    {
        let (status, told) = start(directory, input);
        assert_eq!(status, Some(125), "{told}");
        assert!(told.contains(&format!("hiding the ledger and its keys ({name} lies in it)")), "{told}");
    }
    assert_eq!(start(Path::new("/"), null).0, Some(0));
    // One that has been removed leads nowhere, and is no reason to run nothing.
    let mut shell = Command::new("sh");
    let script = "mkdir gone && cd gone && rmdir ../gone && exec \"$@\"";
    shell.args(["-c", script, "sh"]).arg(binary()).args(["run", "--no-ledger", "--", "echo", "ran"]);
    let output = shell.current_dir(world.home()).output().expect("a shell");
    assert_eq!(output.stdout, b"ran\n", "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(verify(&ledger).0, Some(0));
}
