//! `weft key` and `weft ledger` as a script sees them.

use super::{text, weft};
use identity::{PublicKey, file};
use ledger::checkpoint::Checkpoint;
use ledger::directory::DirectoryStorage;
use ledger::{
    Authorization, Close, Entry, Event, Log, LogConfig, Program, RunId, ShardNumber, ShardsSeen, Verdict,
    WriterConfig, shards,
};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use time::Instant;

/// A ledger with its key, gone with this value.
pub struct Ledger {
    path: PathBuf,
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Ledger {
    /// Three connections, one refused and one closed.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weft-usage-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        let ledger = Self { path };
        let made = weft(&["key", "new", "--name", "host.example", "-o", &ledger.file("key")]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        fs::write(ledger.file("key.pub"), &made.stdout).unwrap();
        // As `weft run` has them.
        fs::write(ledger.file("ledger.pub"), &made.stdout).unwrap();
        ledger.append(&[
            Event::ConnectionAuthorize(asked("a.example", "/usr/bin/curl", Verdict::Allowed)),
            Event::ConnectionAuthorize(asked("b.example", "/usr/bin/wget", Verdict::Refused)),
            Event::ConnectionClose(Close { sequence: 0, sent_bytes: 517, ..Close::default() }),
        ]);
        ledger
    }

    pub fn file(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    fn append(&self, events: &[Event]) {
        let entry = |event: &Event| Entry::new(1_795_228_969_000_000_000, RunId([7; 16]), event.clone());
        self.append_entries(&events.iter().map(entry).collect::<Vec<_>>());
    }

    pub fn append_entries(&self, entries: &[Entry]) {
        self.append_with(entries, LogConfig::default());
    }

    fn append_with(&self, entries: &[Entry], config: LogConfig) {
        let keys = file::read(&self.path.join("key")).unwrap();
        let place = self.path.join("ledger");
        let (mut writer, position, _) = shards::open(&place, keys, WriterConfig::default()).unwrap();
        let mut log = Log::start(position, config);
        for entry in entries {
            log.append(entry, Instant::ZERO).unwrap();
        }
        writer.write(log.poll_write(Instant::from_secs(1)).unwrap()).unwrap();
        writer.close().unwrap();
    }

    /// The same in the second shard, as if another wrote the first, which has then seen it.
    fn append_beside(&self, events: &[Event]) {
        self.hold(|| self.append(events));
        let keys = file::read(&self.path.join("key")).unwrap();
        let public: Vec<_> = keys.iter().map(|key| key.public().clone()).collect();
        let shards = shards::seen(&self.path.join("ledger"), ShardNumber::FIRST, &public);
        self.append(&[Event::ShardsSeen(ShardsSeen { shards })]);
    }

    /// Does this while another writes the first shard.
    pub fn hold(&self, act: impl FnOnce()) {
        let first = DirectoryStorage::open(self.file("ledger")).unwrap();
        act();
        drop(first);
    }

    /// The standard output of `weft ledger`, which exits with 0.
    fn ask(&self, words: &[&str]) -> String {
        let output = weft(&self.words(words));
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Its status and standard error.
    fn refuse(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = weft(&self.words(words));
        (output.status.code(), text(&output.stderr))
    }

    fn words<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        [&["ledger"], words].concat()
    }
}

fn asked(name: &str, executable: &str, verdict: Verdict) -> Authorization {
    Authorization {
        verdict,
        reason: "by a rule".into(),
        name: Some(name.into()),
        port: Some(443),
        program: Some(Program { id: 4_711, executable: executable.into(), ..Program::default() }),
        ..Authorization::default()
    }
}

pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn keys_are_made_and_their_secrets_never_printed() {
    let ledger = Ledger::new("keys");
    let mode = fs::metadata(ledger.path.join("key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let public = fs::read_to_string(ledger.file("key.pub")).unwrap();
    assert_eq!(public.lines().count(), 2);
    let secret = fs::read_to_string(ledger.file("key")).unwrap();
    for words in [&["key", "show"][..], &["key", "show", "--json"]] {
        let output = weft(&[words, &[&ledger.file("key")]].concat());
        let shown = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success() && shown.contains("host.example+"), "{shown}");
        let seeds = secret.lines().filter(|line| line.starts_with("PRIVATE"));
        // What follows the fourth `+` is base64, in which there may be more of them.
        for seed in seeds.map(|line| line.splitn(5, '+').nth(4).unwrap()) {
            assert!(seed.len() > 40);
            assert!(!shown.contains(seed) && !public.contains(seed));
        }
    }
    // Without a name they get one that no others have, and that tells that it is theirs.
    let own = ["own", "other"].map(|file| text(&weft(&["key", "new", "-o", &ledger.file(file)]).stdout));
    for public in &own {
        let first: PublicKey = public.lines().next().unwrap().parse().unwrap();
        let host = first.name().split("/weft/").next().unwrap();
        assert_eq!(first.name(), first.log_name(host));
        assert!(public.lines().all(|line| line.starts_with(first.name())), "{public}");
    }
    assert_ne!(own[0].split('+').next(), own[1].split('+').next());
    let again = weft(&["key", "new", "--name", "host.example", "-o", &ledger.file("key")]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(fs::read_to_string(ledger.file("key")).unwrap(), secret);
    fs::set_permissions(ledger.path.join("key"), fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = weft(&["key", "show", &ledger.file("key")]);
    assert_eq!(exposed.status.code(), Some(1));
    assert!(text(&exposed.stderr).contains("chmod 600"));
}

/// What stands where a public key is expected, or anywhere else, is not repeated where it is a secret one.
#[test]
fn a_secret_key_in_a_wrong_place_is_not_printed() {
    let ledger = Ledger::new("secret");
    let (place, file) = (ledger.file("ledger"), ledger.file("key"));
    let secret = fs::read_to_string(&file).unwrap();
    let key = secret.lines().find(|line| line.starts_with("PRIVATE")).unwrap();
    let rest = key.strip_prefix("PRIVATE+KEY+").unwrap();
    let seed = key.splitn(5, '+').nth(4).unwrap();
    for words in [
        &["ledger", "verify", &place, "--key", key][..],
        &["ledger", "verify", &place, "--key", rest],
        &["ledger", "verify", &place, "--key", &file],
        &["ledger", "verify", &place, "--key", &ledger.file("key.pub"), "--checkpoint", key],
        &["ledger", "list", "--since", key],
        &["fleet", "ledger", "verify", "--server", "nats://127.0.0.1:1", "--host", "a", "--key", key],
        &["key", "show", key],
        &["run", "--ledger", key, "--", "true"],
        &[key],
    ] {
        let output = weft(words);
        let told = text(&output.stdout) + &text(&output.stderr);
        assert!(!output.status.success() && !told.contains(&seed[..8]), "{}", words[0]);
        assert!(words.contains(&rest) || told.contains("weft key show"), "{told}");
    }
    assert_eq!(ledger.refuse(&["verify", &place, "--key", key]).0, Some(2));
}

/// The line that a run ends with is as good as a signed checkpoint, now and once its log has ended.
#[test]
fn a_ledger_and_its_proofs_are_held_to_the_line_that_a_run_prints() {
    let ledger = Ledger::new("line");
    let (place, key) = (ledger.file("ledger"), ledger.file("key.pub"));
    let line_of = |note: &str| note.lines().take(3).collect::<Vec<_>>().join(" ");
    let early = line_of(&ledger.ask(&["checkpoint", "--ledger", &place]));
    assert!(early.starts_with("host.example 3 "), "{early}");
    let as_printed = format!("weft: checkpoint {early}");
    let verify = |path: &str, line: &str| {
        let output = weft(&["ledger", "verify", path, "--key", &key, "--checkpoint", line]);
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let proof = ledger.file("proof");
    ledger.ask(&["prove", "1", "--ledger", &place, "-o", &proof]);
    let other = early.replace("host.example 3 ", "host.example 2 ");
    let refused = Some(1);
    for path in [&place, &proof] {
        assert_eq!(verify(path, &as_printed).0, Some(0));
        assert_eq!(verify(path, &early).0, Some(0));
    }
    assert_eq!(verify(&place, &other).0, refused, "another root");
    assert_eq!(verify(&place, &early.replace(" 3 ", " 9 ")).0, refused, "entries are missing");
    assert_eq!(verify(&place, &format!("post{}", &early[4..])).0, refused, "another log");
    assert_eq!(verify(&place, "host.example 3").0, Some(2), "a file that is not there");
    // The log has ended, and another goes on from it.
    let config = LogConfig { rotate_age_ns: 1_000_000_000, ..LogConfig::default() };
    for time_ns in [1_795_228_979_000_000_000, 1_795_228_989_000_000_000] {
        let event = Event::ConnectionAuthorize(asked("c.example", "/bin/nc", Verdict::Allowed));
        ledger.append_with(&[Entry::new(time_ns, RunId([7; 16]), event)], config);
    }
    let late = line_of(&ledger.ask(&["checkpoint", "--ledger", &place]));
    assert!(late.starts_with("host.example/"), "{late}");
    for line in [&early, &late] {
        let (status, told) = verify(&place, line);
        assert_eq!(status, Some(0), "{told}");
    }
    assert_eq!(verify(&place, &other).0, refused);
    // Of several shards, each is held to its own.
    ledger.append_beside(&[Event::ConnectionAuthorize(asked("e.example", "/bin/nc", Verdict::Allowed))]);
    let kept = ledger.ask(&["checkpoint", "--ledger", &place]);
    let second = line_of(kept.split("\n\n").find(|note| note.contains("shard-2")).unwrap());
    assert_eq!(verify(&place, &second).0, Some(0));
    assert_eq!(verify(&place, &second.replace("shard-2", "shard-3")).0, refused);
    // A proof that goes on from it needs it as well.
    let since = ledger.file("since");
    ledger.ask(&["prove", "--since", &second, "--ledger", &place, "-o", &since]);
    let (status, told) = verify(&since, &second);
    assert_eq!((status, told.contains("goes on from 1 to 1")), (Some(0), true), "{told}");
    // It may hold, but by the earlier checkpoint alone.
    let (status, told) = ledger.refuse(&["verify", &since, "--key", &ledger.file("key.pub")]);
    assert_eq!((status, told.contains("give that one with --checkpoint")), (Some(2), true), "{told}");
}

#[test]
fn entries_are_listed_shown_and_filtered() {
    let ledger = Ledger::new("list");
    let place = ledger.file("ledger");
    let list = |words: &[&str]| ledger.ask(&[&["list", "--ledger", &place], words].concat());
    let all = list(&[]);
    assert_eq!(all.lines().count(), 3, "{all}");
    assert!(
        all.contains("a.example:443")
            && all.contains("curl[4711]")
            && all.contains("2026-11-21T02:42:49.000Z")
    );
    let count = |words: &[&str]| list(words).lines().count();
    assert_eq!((count(&["--host", "a.example"]), count(&["--program", "wget"])), (2, 1));
    assert_eq!((count(&["--verdict", "refused"]), count(&["--limit", "2"])), (1, 2));
    assert_eq!((count(&["--since", "2026-11-22"]), count(&["--until", "2026-11-22"])), (0, 3));
    let first = list(&["--json"]);
    let first = json(first.lines().next().unwrap());
    assert_eq!((&first["sequence"], &first["verdict"]), (&Value::from(0), &Value::from("allowed")));
    assert_eq!(json(&ledger.ask(&["show", "2", "--ledger", &place, "--json"]))["closes"], 0);
    assert!(ledger.ask(&["show", "0", "--ledger", &place]).contains("program.executable"));
    let (status, reason) = ledger.refuse(&["show", "3", "--ledger", &place]);
    assert_eq!((status, reason.as_str()), (Some(1), "weft: there is no entry 3: the ledger has 0 to 2\n"));
    assert_eq!(ledger.refuse(&["list", "--ledger", &ledger.file("none")]).0, Some(2));
    assert_eq!(ledger.refuse(&["list", "--since", "soon"]).0, Some(2));
    for words in [["--host", ""], ["--host", "*"], ["--host", "a.example:443"], ["--program", ""]] {
        let (status, reason) = ledger.refuse(&["list", "--ledger", &place, words[0], words[1]]);
        assert_eq!(status, Some(2), "{words:?}: {reason}");
    }
    assert_eq!(count(&["--host", "A.example."]), 2);
    assert!(!all.contains('\x1b'));
}

#[test]
fn tail_goes_on_as_entries_come() {
    let ledger = Ledger::new("tail");
    let place = ledger.file("ledger");
    assert_eq!(ledger.ask(&["tail", "-n", "2", "--ledger", &place]).lines().count(), 2);
    let mut child = Command::new(env!("CARGO_BIN_EXE_weft"))
        .args(["ledger", "tail", "-f", "-n", "1", "--json", "--ledger", &place])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(json(&lines.next().unwrap().unwrap())["sequence"], 2);
    ledger.append(&[Event::ConnectionAuthorize(asked("c.example", "/bin/nc", Verdict::Allowed))]);
    assert_eq!(json(&lines.next().unwrap().unwrap())["name"], "c.example");
    // A shard that was not there, and one entry of the first that tells of it.
    ledger.append_beside(&[Event::ConnectionAuthorize(asked("d.example", "/bin/nc", Verdict::Allowed))]);
    let mut next = || json(&lines.next().unwrap().unwrap());
    assert_eq!((&next()["name"], &next()["event"]), (&Value::from("d.example"), &Value::from("shards-seen")));
    ledger.append_beside(&[Event::ConnectionAuthorize(asked("e.example", "/bin/nc", Verdict::Allowed))]);
    let found = next();
    assert_eq!(
        (&found["name"], &found["shard"], &found["sequence"]),
        (&Value::from("e.example"), &2.into(), &1.into())
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn shards_are_one_ledger_to_whoever_reads() {
    let ledger = Ledger::new("shards");
    let (place, key) = (ledger.file("ledger"), ledger.file("key.pub"));
    ledger.append_beside(&[
        Event::ConnectionAuthorize(asked("c.example", "/bin/nc", Verdict::Allowed)),
        Event::ConnectionClose(Close { sequence: 0, ..Close::default() }),
    ]);
    let all = ledger.ask(&["list", "--ledger", &place]);
    // All are of one time: then the first shard comes first.
    let numbers: Vec<&str> = all.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(numbers, ["0", "1", "2", "3", "2.0", "2.1"], "{all}");
    assert!(all.contains("of 2.0") && all.contains("host.example/shard-2 of 2"), "{all}");
    assert_eq!(ledger.ask(&["list", "--ledger", &place, "--host", "c.example"]).lines().count(), 2);
    let last = ledger.ask(&["tail", "-n", "3", "--ledger", &place, "--json"]);
    let last: Vec<Value> = last.lines().map(|line| json(line)["sequence"].clone()).collect();
    assert_eq!(last, [3, 0, 1]);

    let shown = json(&ledger.ask(&["show", "2.0", "--ledger", &place, "--json"]));
    assert_eq!((&shown["name"], &shown["shard"]), (&Value::from("c.example"), &Value::from(2)));
    assert_eq!(json(&ledger.ask(&["show", "1.0", "--ledger", &place, "--json"]))["shard"], 1);
    for (number, why) in [
        ("2.2", "there is no entry 2.2: shard 2 has 2.0 to 2.1"),
        ("3.0", "there is no entry 3.0: the ledger has no shard 3, it has 1, 2"),
    ] {
        let (status, reason) = ledger.refuse(&["show", number, "--ledger", &place]);
        assert_eq!((status, reason), (Some(1), format!("weft: {why}\n")));
    }
    assert_eq!(ledger.refuse(&["show", "65.0", "--ledger", &place]).0, Some(2));

    ledger.ask(&["prove", "2.1", "--ledger", &place, "-o", &ledger.file("proof")]);
    let proven = json(&ledger.ask(&["verify", &ledger.file("proof"), "--key", &key, "--json"]));
    assert_eq!(
        (&proven["origin"], &proven["index"]),
        (&Value::from("host.example/shard-2"), &Value::from(1))
    );
    assert_eq!((&proven["shard"], &proven["sequence"]), (&Value::from(2), &Value::from(1)));
    let proven = ledger.ask(&["verify", &ledger.file("proof"), "--key", &key]);
    assert!(proven.starts_with("entry 2.1 is in the log host.example/shard-2 of 2 entries:\n"), "{proven}");

    let kept = ledger.ask(&["checkpoint", "--ledger", &place]);
    assert!(
        kept.starts_with("host.example\n4\n") && kept.contains("\n\nhost.example/shard-2\n2\n"),
        "{kept}"
    );
    fs::write(ledger.file("kept"), &kept).unwrap();
    let told = ledger.ask(&["checkpoint", "--ledger", &place, "--json"]);
    let shards: Vec<Value> = told.lines().map(|line| json(line)["shard"].clone()).collect();
    assert_eq!(shards, [1, 2]);

    ledger.append_beside(&[Event::ConnectionAuthorize(asked("d.example", "/bin/nc", Verdict::Allowed))]);
    let verify = ["verify", &place, "--key", &key, "--checkpoint", &ledger.file("kept"), "--json"];
    let report = json(&ledger.ask(&verify));
    assert_eq!((&report["entries"], &report["shards"][1]["next"]), (&Value::from(8), &Value::from(3)));
    ledger.ask(&["prove", "--since", &ledger.file("kept"), "--ledger", &place, "-o", &ledger.file("since")]);
    let since = ["verify", &ledger.file("since"), "--key", &key, "--checkpoint", &ledger.file("kept")];
    let goes_on =
        "host.example goes on from 4 to 5 entries\nhost.example/shard-2 goes on from 2 to 3 entries\n";
    assert_eq!(ledger.ask(&since), goes_on);
    fs::write(ledger.file("empty"), "").unwrap();
    assert_eq!(
        ledger.refuse(&["verify", &place, "--key", &key, "--checkpoint", &ledger.file("empty")]).0,
        Some(2)
    );

    ledger.ask(&["export", "--ledger", &place, "-o", &ledger.file("ledger.tar")]);
    let exported = ledger.ask(&["verify", &ledger.file("ledger.tar"), "--key", &key]);
    assert!(exported.ends_with("8 entries in 2 logs of 2 shards, all as they were signed\n"), "{exported}");
}

#[test]
fn a_shard_that_is_gone_is_told_by_who_has_seen_it() {
    let ledger = Ledger::new("shard-gone");
    let (place, key) = (ledger.file("ledger"), ledger.file("key.pub"));
    ledger.append_beside(&[Event::ConnectionAuthorize(asked("c.example", "/bin/nc", Verdict::Allowed))]);
    fs::write(ledger.file("kept"), ledger.ask(&["checkpoint", "--ledger", &place])).unwrap();
    fs::remove_dir_all(ledger.path.join("ledger/shards/2")).unwrap();
    let (status, reason) = ledger.refuse(&["verify", &place, "--key", &key]);
    let words = "weft: shard 2 is missing: entry 3 has seen host.example/shard-2 with 1 entries\n";
    assert_eq!((status, reason.as_str()), (Some(1), words));
    let told = json(&text(&weft(&["ledger", "verify", &place, "--key", &key, "--json"]).stdout));
    assert_eq!(
        (&told["wrong"], &told["shard"], &told["witness"]),
        (&Value::from("shard-removed"), &Value::from(2), &Value::from("3"))
    );
    // Without the folder of shards as well. Who verifies a part on purpose is told what it lacks; a checkpoint wants the other.
    fs::remove_dir_all(ledger.path.join("ledger/shards")).unwrap();
    assert_eq!(ledger.refuse(&["verify", &place, "--key", &key]), (Some(1), words.into()));
    let alone = ledger.ask(&["verify", &place, "--key", &key, "--partial"]);
    assert!(alone.ends_with("not here, and not verified, is what was seen of shard 2\n"), "{alone}");
    assert_eq!(
        ledger.refuse(&["verify", &place, "--key", &key, "--checkpoint", &ledger.file("kept")]).0,
        Some(1)
    );
}

/// Of a checkpoint of another history, or of other keys, nothing is proven.
fn refuse_to_prove_since_another(ledger: &Ledger, place: &str) {
    let kept = fs::read_to_string(ledger.path.join("kept")).unwrap();
    let root = kept.lines().nth(2).unwrap();
    let other = |text: &str| match &text[..1] {
        "A" => format!("B{}", &text[1..]),
        _ => format!("A{}", &text[1..]),
    };
    let post = kept.replace("— host.example", "— post.example");
    // The key's id is what it was.
    let signature = &kept.lines().last().unwrap().rsplit(' ').next().unwrap()[10..];
    let forged = kept.replacen(signature, &other(signature), 1);
    let keys = file::read(&ledger.path.join("key")).unwrap();
    let signed = Checkpoint::parse_unverified(&kept).unwrap();
    let replaced = Checkpoint { root: ledger::hash::empty_root(), ..signed }.sign(&keys);
    let (wrong, key, none) = (ledger.file("wrong"), ledger.file("key.pub"), ledger.file("none"));
    let since = ["prove", "--since", &wrong, "--ledger", place, "-o", &none, "--key", &key];
    for (text, why) in [
        (kept.replacen(root, &other(root), 1), "wrong: a checkpoint: "),
        (post, "has not signed"),
        (forged, "wrong: a checkpoint: "),
        (replaced, "does not go on from"),
    ] {
        fs::write(&wrong, text).unwrap();
        for words in [&since[..], &since[..7]] {
            let (status, reason) = ledger.refuse(words);
            assert!(status == Some(1) && reason.contains(why), "{reason}");
            assert!(!ledger.path.join("none").exists());
        }
    }
    fs::remove_file(ledger.file("ledger.pub")).unwrap();
    let (status, reason) = ledger.refuse(&since[..7]);
    assert!(status == Some(2) && reason.contains("Give --key"), "{reason}");
}

#[test]
fn a_ledger_its_export_and_its_proofs_verify_until_they_are_changed() {
    let ledger = Ledger::new("verify");
    let (place, key) = (ledger.file("ledger"), ledger.file("key.pub"));
    let verify = |path: &str| ledger.ask(&["verify", path, "--key", &key, "--json"]);
    assert_eq!(json(&verify(&place))["entries"], 3);
    fs::write(ledger.file("kept"), ledger.ask(&["checkpoint", "--ledger", &place])).unwrap();

    ledger.ask(&["export", "--ledger", &place, "-o", &ledger.file("ledger.tar")]);
    assert_eq!(json(&verify(&ledger.file("ledger.tar")))["entries"], 3);
    ledger.ask(&["prove", "1", "--ledger", &place, "-o", &ledger.file("proof")]);
    assert_eq!(json(&verify(&ledger.file("proof")))["entry"]["name"], "b.example");

    ledger.append(&[Event::ConnectionAuthorize(asked("c.example", "/bin/nc", Verdict::Allowed))]);
    ledger.ask(&["prove", "--since", &ledger.file("kept"), "--ledger", &place, "-o", &ledger.file("since")]);
    let since = ["verify", &ledger.file("since"), "--key", &key, "--checkpoint", &ledger.file("kept")];
    assert_eq!(ledger.ask(&since), "host.example goes on from 3 to 4 entries\n");
    ledger.ask(&["verify", &place, "--key", &key, "--checkpoint", &ledger.file("kept")]);

    // A proof is held to what was kept: to what it is of, and else it tells nothing.
    let with_kept = |proof: &str, kept: &str| {
        ["verify", &ledger.file(proof), "--key", &key, "--checkpoint", &ledger.file(kept)].map(str::to_owned)
    };
    fn words(words: &[String; 6]) -> Vec<&str> {
        words.iter().map(String::as_str).collect()
    }
    ledger.ask(&words(&with_kept("proof", "kept")));
    fs::write(ledger.path.join("later"), ledger.ask(&["checkpoint", "--ledger", &place])).unwrap();
    let (status, reason) = ledger.refuse(&words(&with_kept("proof", "later")));
    assert!(status == Some(2) && reason.contains("cannot tell by itself"), "{reason}");
    let other = fs::read_to_string(ledger.path.join("kept")).unwrap().replacen("host.", "post.", 1);
    fs::write(ledger.path.join("forged"), &other).unwrap();
    let (status, reason) = ledger.refuse(&words(&with_kept("proof", "forged")));
    assert!(status == Some(1) && reason.contains("the checkpoint that was given"), "{reason}");
    let mut both = words(&with_kept("since", "kept")).join(" ");
    both += &format!(" --checkpoint {}", ledger.file("later"));
    ledger.ask(&both.split(' ').collect::<Vec<_>>());
    refuse_to_prove_since_another(&ledger, &place);

    // Without it nothing can be told; with another key nothing is proven.
    assert_eq!(ledger.refuse(&since[..4]).0, Some(2));
    weft(&["key", "new", "--name", "host.example", "-o", &ledger.file("other")]);
    let other = text(&weft(&["key", "show", &ledger.file("other")]).stdout);
    let (status, reason) = ledger.refuse(&["verify", &place, "--key", other.lines().next().unwrap()]);
    assert_eq!(status, Some(1), "{reason}");
    assert!(reason.contains("has not signed"), "{reason}");
    assert_eq!(ledger.refuse(&["verify", &place, "--key", &ledger.file("none")]).0, Some(2));

    let bundle = ledger.path.join("ledger/1/tile/entries/000.p/4");
    let mut bytes = fs::read(&bundle).unwrap();
    let at = bytes.windows(9).position(|window| window == b"b.example").unwrap();
    bytes[at] = b'x';
    fs::write(&bundle, bytes).unwrap();
    let (status, reason) = ledger.refuse(&["verify", &place, "--key", &key]);
    assert_eq!((status, reason.as_str()), (Some(1), "weft: entry 1 was changed\n"));
    let output = weft(&["ledger", "verify", &place, "--key", &key, "--json"]);
    let told = json(&text(&output.stdout));
    assert_eq!((&told["wrong"], &told["sequence"]), (&Value::from("changed"), &Value::from(1)));
}

/// What is made is cut short, by a limit on files as by a full disk: nothing of it is left, and the status is as documented.
#[test]
fn an_export_that_is_cut_short_says_so() {
    let ledger = Ledger::new("cut");
    let (place, output) = (ledger.file("ledger"), ledger.file("ledger.tar"));
    let limited = format!(
        "trap '' XFSZ; ulimit -f 2; exec {} ledger export --ledger {place} -o {output}",
        env!("CARGO_BIN_EXE_weft")
    );
    let done = Command::new("sh").args(["-c", &limited]).output().unwrap();
    let reason = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{reason}");
    assert!(reason.contains("ledger.tar: it cannot be written to its end"), "{reason}");
    assert!(!ledger.path.join("ledger.tar").exists());
}

/// Nobody waits for a pipe that stands in the place of a file.
#[test]
fn a_pipe_in_the_place_of_a_file_is_told() {
    let ledger = Ledger::new("pipe");
    let (place, key, pipe) = (ledger.file("ledger"), ledger.file("key.pub"), ledger.file("pipe"));
    let make = |path: &str| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    make(&pipe);
    for words in [
        &["verify", &place, "--key", &pipe][..],
        &["verify", &place, "--key", &key, "--checkpoint", &pipe],
        &["verify", &pipe, "--key", &key],
        &["list", "--ledger", &pipe],
    ] {
        let (status, reason) = ledger.refuse(words);
        assert_eq!(status, Some(2), "{reason}");
        assert!(reason.contains("pipe: it is a pipe, and should be a file"), "{reason}");
    }
    let journal = fs::read_dir(ledger.path.join("ledger/journal")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&journal).unwrap();
    make(&journal.display().to_string());
    let (status, reason) = ledger.refuse(&["verify", &place, "--key", &key]);
    assert!(status == Some(1) && reason.contains("is a pipe, and should be a file"), "{reason}");
    for words in [&["list"][..], &["tail"], &["checkpoint"], &["export", "-o", &ledger.file("tar")]] {
        let (status, reason) = ledger.refuse(&[words, &["--ledger", &place]].concat());
        assert!(status == Some(2) && reason.contains("is a pipe, and should be a file"), "{reason}");
    }
}

#[test]
fn a_directory_without_its_journal_is_a_part() {
    let ledger = Ledger::new("no-journal");
    let (place, key) = (ledger.file("ledger"), ledger.file("key.pub"));
    fs::remove_dir_all(ledger.path.join("ledger/journal")).unwrap();
    let (status, reason) = ledger.refuse(&["verify", &place, "--key", &key]);
    assert!(status == Some(1) && reason.starts_with("weft: no journal is whole"), "{reason}");
    assert!(ledger.ask(&["verify", &place, "--key", &key, "--partial"]).contains("3 entries"));
}
