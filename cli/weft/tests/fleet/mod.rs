//! `weft fleet` with a real server, which is killed, partitioned, full, and forgetful.

mod cluster;
mod full;
mod secured;
mod server;
mod shipped;
mod world;

use crate::text;
use serde_json::{Value, json};
use server::publish;
use std::fs;
use std::path::Path;
use std::thread::park_timeout;
use std::time::{Duration, Instant};
use world::World;

/// How long anything may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(40);
/// The pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until `look` gives something.
fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(look).unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain for {what}"))
}

fn within<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match look() {
            Some(found) => return Some(found),
            None if Instant::now() >= end => return None,
            None => park_timeout(PAUSE),
        }
    }
}

/// Waits until a file has this content.
fn until_content(path: &Path, content: &str) {
    let what = format!("'{content}' in {}", path.display());
    until(&what, || (fs::read_to_string(path).ok()? == content).then_some(()));
}

#[test]
fn a_policy_reaches_its_hosts_and_the_last_good_one_stays() {
    let Some(mut world) = World::new("policy", &[]) else { return };
    let installed = world.folder.join("policy.list");
    world.push("allow a.example\n", &[]);
    let agent = world.agent();
    until_content(&installed, "allow a.example\n");
    agent.stop();
    let agent = world.agent_with(&["--json"]);
    // One of the host's own wins, and what is wrong never leaves.
    world.push("allow own.example\n", &["--host", world::HOST]);
    until_content(&installed, "allow own.example\n");
    fs::write(world.folder.join("bad.list"), "allow a..b\n").unwrap();
    let refused = world.try_ask(&["policy", "push", &world.path("bad.list")]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0));
    assert!(text(&refused.stderr).contains("bad.list:1:9"), "{}", text(&refused.stderr));
    let refused = world.try_ask(&["policy", "push", &world.path("bad.list"), "--json"]);
    let told: Value = serde_json::from_slice(&refused.stdout).expect("what is wrong is a document");
    assert_eq!((&told["valid"], &told["errors"][0]["column"]), (&false.into(), &9.into()), "{told}");
    assert_eq!((refused.status.code(), refused.stderr.len()), (Some(2), 0));
    assert_eq!(world.ask(&["policy", "show", "--host", world::HOST]), "allow own.example\n");
    world.ask(&["policy", "remove", "--host", world::HOST]);
    until_content(&installed, "allow a.example\n");
    assert_eq!(world.try_ask(&["policy", "remove", "--host", world::HOST]).status.code(), Some(1));
    // What somebody else has put there is looked at by the host itself.
    let server = world.server.address();
    for (value, reason) in [
        ("allow a.example", "expected JSON"),
        (r#"{"language":"list","text":"allow a.example:0"}"#, "expected a port"),
        (r#"{"language":"cedar","text":""}"#, "name ends in .cedar"),
    ] {
        publish(server, "$KV.weft-policy.fleet", &[], value.as_bytes());
        agent.until_told(reason);
        assert_eq!(fs::read_to_string(&installed).unwrap(), "allow a.example\n");
    }
    let notices: Vec<Value> = agent.told().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| notices.iter().find(|notice| notice["notice"] == kind).expect(kind);
    assert!(of("connected")["time"].is_string() && of("installed")["key"].is_string(), "{notices:?}");
    assert!(of("refused")["revision"].is_u64() && of("refused")["reason"].is_string(), "{notices:?}");
    until("the refusal in the status", || {
        world.status()?["policy"]["reason"].as_str()?.contains("name ends in .cedar").then_some(())
    });
    assert!(world.ask(&["status"]).contains("newer refused"));
    // Without a server the file stays, also for an agent that begins then.
    world.server.kill();
    agent.stop();
    let agent = world.agent();
    agent.until_told("no connection to a server");
    assert_eq!(fs::read_to_string(&installed).unwrap(), "allow a.example\n");
    world.server.restart();
    world.push("allow later.example\n", &[]);
    until_content(&installed, "allow later.example\n");
    agent.stop();
    assert_eq!(world.status().unwrap()["condition"], "stopped");
}

#[test]
fn a_policy_that_others_have_put_there_is_refused_where_it_must_be_signed() {
    let Some(mut world) = World::new("signed", &[]) else { return };
    let (installed, server) = (world.folder.join("policy.list"), world.server.address());
    for name in ["signer", "stranger"] {
        let made = crate::weft(&["key", "new", "--name", "policies.example", "-o", &world.path(name)]);
        fs::write(world.folder.join(format!("{name}.pub")), &made.stdout).unwrap();
    }
    let (sign, keys) = (["--sign", &world.path("signer")], ["--policy-key", &world.path("signer.pub")]);
    world.push("allow a.example\n", &sign);
    let agent = world.agent_with(&keys);
    until_content(&installed, "allow a.example\n");
    let first: Value = serde_json::from_str(&world.ask(&["policy", "show", "--json"])).unwrap();
    let put = |key: &str, text: &str| {
        let value = json!({ "language": "list", "text": text, "note": first["note"] });
        publish(server, &format!("$KV.weft-policy.{key}"), &[], value.to_string().as_bytes());
    };
    world.push("allow evil.example\n", &[]);
    agent.until_told("the policy is not signed");
    world.push("allow evil.example\n", &["--sign", &world.path("stranger")]);
    agent.until_told("is not signed by policies.example");
    put("fleet", "allow evil.example\n");
    agent.until_told("signatures are of another policy");
    put("host.h1_example", "allow a.example\n");
    agent.until_told("signatures are of the policy of others");
    assert_eq!(fs::read_to_string(&installed).unwrap(), "allow a.example\n");
    let reason = |told: &str| world.status()?["policy"]["reason"].as_str()?.contains(told).then_some(());
    until("the refusal in the status", || reason("the policy of others"));
    world.ask(&["policy", "remove", "--host", world::HOST]);
    // One that is signed later is taken, and the first is none that may follow it, for another agent neither.
    world.push("allow b.example\n", &sign);
    until_content(&installed, "allow b.example\n");
    agent.stop();
    let agent = world.agent_with(&keys);
    agent.until_told("is installed");
    put("fleet", "allow a.example\n");
    agent.until_told("signed later has been here already");
    assert_eq!(fs::read_to_string(&installed).unwrap(), "allow b.example\n");
    agent.stop();
}

#[test]
fn what_cannot_be_done_is_told_and_has_a_status() {
    let Some(world) = World::bare("usage", |_| None) else { return };
    let status = |words: &[&str]| {
        let output = world.try_ask(words);
        assert!(output.stdout.is_empty(), "{words:?}");
        (output.status.code(), text(&output.stderr))
    };
    let (code, told) = status(&["status"]);
    assert!(code == Some(2) && told.contains("bucket of hosts"), "{told}");
    let kept: Value =
        serde_json::from_str(&world.ask(&["setup", "--policy-history", "3", "--json"])).unwrap();
    let names: Vec<&str> = (0..3).map(|at| kept["streams"][at]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["weft-ledger", "KV_weft-policy", "KV_weft-hosts"]);
    let (ledgers, policies) = (&kept["streams"][0], &kept["streams"][1]);
    assert_eq!((&ledgers["replicas"], &policies["history"]), (&1.into(), &3.into()), "{kept}");
    assert!(
        ledgers["bytes_max"].is_null() && ledgers["duplicate_window_ns"] == 120_000_000_000_u64,
        "{kept}"
    );
    // Again, and otherwise: nothing of it is lost.
    world.push("allow a.example\n", &[]);
    let told = world.ask(&["setup", "--ledger-bytes", "1G", "--duplicate-window", "1m"]);
    assert_eq!(
        told,
        "weft-ledger: changed\nKV_weft-policy: there, as it was\nKV_weft-hosts: there, as it was\n"
    );
    assert_eq!(world.ask(&["policy", "show"]), "allow a.example\n");
    assert_eq!(status(&["status", "--host", "nobody.example"]).0, Some(1));
    let verify = ["ledger", "verify", "--host", "nobody.example", "--key", &world.path("key.pub")];
    let (code, told) = status(&verify);
    assert!(code == Some(1) && told.contains("nothing of nobody.example"), "{told}");
    assert_eq!(status(&["agent", "--host", "Not A Host", "--policy", "p"]).0, Some(2));
    assert_eq!(status(&["agent", "--host", world::HOST]).0, Some(2));
    let nowhere = crate::weft(&["fleet", "status", "--server", "nats://127.0.0.1:1"]);
    assert_eq!(nowhere.status.code(), Some(2));
    let secret = crate::weft(&["fleet", "status", "--server", "nats://me:secret@127.0.0.1:1"]);
    let told = text(&secret.stderr);
    assert!(
        secret.status.code() == Some(2) && !told.contains("secret") && told.contains("in a file"),
        "{told}"
    );
}

#[test]
fn the_example_of_the_documentation_runs() {
    let Some(world) = World::new("example", &[]) else { return };
    world::Shard::open(&world).append(5);
    fs::rename(world.folder.join("key.pub"), world.folder.join("ledger.pub")).unwrap();
    let page = include_str!("../../../../docs/fleet.md");
    let (_, example) = page.split_once("<!-- runs -->\n\n").expect("an example");
    let lines = example.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    let script: String = lines.map(|line| format!("{}\n", line.trim_start_matches("    "))).collect();
    let script = script.replace("nats://127.0.0.1:4222", &format!("nats://{}", world.server.address()));
    let weft = Path::new(env!("CARGO_BIN_EXE_weft"));
    let path = format!("{}:/usr/bin:/bin", weft.parent().unwrap().display());
    let mut shell = std::process::Command::new("bash");
    let output =
        shell.args(["-m", "-euc", &script]).env("PATH", path).current_dir(&world.folder).output().unwrap();
    let told = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("5 entries in 1 log,") && told.contains("allow api.example.com:443\n"), "{told}");
    assert!(told.contains("SHIPPED"), "{told}");
}
