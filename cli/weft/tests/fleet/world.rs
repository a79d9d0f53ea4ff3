//! One host of a fleet: its ledger, its agent, and the servers.

use super::server::{Proxy, Server};
use super::until;
use crate::{text, weft};
use identity::{SecretKey, file};
use ledger::directory::DirectoryStorage;
use ledger::{
    Authorization, Entry, Event, Log, LogConfig, RunId, ShardNumber, Verdict, Writer, WriterConfig, layout,
};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use time::{Duration, Instant};

pub const HOST: &str = "h1.example";

/// All of it, gone with this value.
pub struct World {
    pub folder: PathBuf,
    pub server: Server,
    /// How the servers are reached.
    pub access: Vec<String>,
    agents: u32,
}

impl World {
    /// With a stream and buckets; `None` where there is no server to be run.
    pub fn new(name: &str, setup: &[&str]) -> Option<Self> {
        let world = Self::bare(name, |_| None)?;
        world.ask(&[&["setup"], setup].concat());
        Some(world)
    }

    /// With a server, and nothing in it.
    pub fn bare(name: &str, config: impl FnOnce(&Path) -> Option<PathBuf>) -> Option<Self> {
        super::server::program()?;
        let folder = std::env::temp_dir().join(format!("weft-fleet-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        let config = config(&folder);
        let server = Server::start(&folder, config.as_deref());
        let access = vec!["--server".to_owned(), format!("nats://{}", server.address())];
        let made = weft(&["key", "new", "-o", &format!("{}/key", folder.display())]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        fs::write(folder.join("key.pub"), &made.stdout).unwrap();
        Some(Self { folder, server, access, agents: 0 })
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Leads all that is begun from now on over a proxy.
    pub fn proxy(&mut self) -> Proxy {
        let proxy = Proxy::to(self.server.address());
        self.access[1] = format!("nats://127.0.0.1:{}", proxy.port);
        proxy
    }

    pub fn try_ask(&self, words: &[&str]) -> Output {
        let access: Vec<&str> = self.access.iter().map(String::as_str).collect();
        weft(&[&["fleet"], words, &access].concat())
    }

    /// The standard output of `weft fleet`, which exits with 0.
    pub fn ask(&self, words: &[&str]) -> String {
        let output = self.try_ask(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Hands out a policy.
    pub fn push(&self, policy: &str, words: &[&str]) {
        fs::write(self.folder.join("pushed.list"), policy).unwrap();
        self.ask(&[&["policy", "push", &self.path("pushed.list")], words].concat());
    }

    /// What the host's agent told last.
    pub fn status(&self) -> Option<Value> {
        let output = self.try_ask(&["status", "--host", HOST, "--json"]);
        let told: Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(told[0].clone())
    }

    /// Waits until the agent has told that so many entries of a shard are shipped and signed for.
    pub fn until_shipped(&self, shard: usize, count: u64) {
        self.until_shipped_by(HOST, shard, count);
    }

    /// Waits until the agent of another host has.
    pub fn until_shipped_by(&self, host: &str, shard: usize, count: u64) {
        until(&format!("{count} entries of shard {shard} of {host}"), || {
            let output =
                self.try_ask(&["ledger", "verify", "--host", host, "--key", &self.path("key.pub"), "--json"]);
            let told: Value = serde_json::from_slice(&output.stdout).ok()?;
            (told["shards"][shard - 1]["next"].as_u64()? >= count).then_some(())
        });
    }

    /// Verifies by the stream alone: what is told, and the status.
    pub fn verify(&self) -> (Value, Option<i32>) {
        let output =
            self.try_ask(&["ledger", "verify", "--host", HOST, "--key", &self.path("key.pub"), "--json"]);
        let told = serde_json::from_slice(&output.stdout);
        (told.unwrap_or_else(|_| panic!("{}", text(&output.stderr))), output.status.code())
    }

    /// Starts the host's agent.
    pub fn agent(&mut self) -> Agent {
        self.agent_with(&[])
    }

    pub fn agent_with(&mut self, words: &[&str]) -> Agent {
        let (ledger, policy) = (self.path("ledger"), self.path("policy.list"));
        let words = [&["--ledger", &ledger, "--policy", &policy], words].concat();
        self.start(HOST, &self.path("agent"), &words)
    }

    /// Starts the agent of another host, which has a copy of the ledger as it is now.
    pub fn agent_of(&mut self, host: &str) -> Agent {
        let (ledger, directory) =
            (self.path(&format!("ledger.{host}")), self.path(&format!("directory.{host}")));
        let copied = Command::new("cp").arg("-a").args([&self.path("ledger"), &ledger]).status().unwrap();
        assert!(copied.success());
        self.start(host, &directory, &["--ledger", &ledger])
    }

    fn start(&mut self, host: &str, directory: &str, words: &[&str]) -> Agent {
        self.agents += 1;
        let told = self.folder.join(format!("agent.{}", self.agents));
        let mut command = Command::new(env!("CARGO_BIN_EXE_weft"));
        command
            .args(["fleet", "agent", "--host", host, "--directory", directory])
            .args(&self.access)
            .args(words);
        let output = File::create(&told).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        Agent { child: command.spawn().unwrap(), told }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the server:\n{}", self.server.log());
        }
        self.server.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A running agent.
pub struct Agent {
    child: Child,
    told: PathBuf,
}

impl Agent {
    /// What it has written.
    pub fn told(&self) -> String {
        fs::read_to_string(&self.told).unwrap_or_default()
    }

    /// Waits until it has told this.
    pub fn until_told(&self, words: &str) {
        let look = || self.told().contains(words).then_some(());
        if super::within(look).is_none() {
            panic!("waited in vain for '{words}' in:\n{}", self.told());
        }
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it by SIGTERM; it must do so by itself.
    pub fn stop(mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let status = until("the agent's end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{}", self.told());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the agent:\n{}", self.told());
        }
        // It has ended already where the test got so far.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who writes one shard of the host's ledger.
pub struct Shard {
    writer: Writer<DirectoryStorage>,
    log: Log,
    clock: u64,
    pub count: u64,
}

impl Shard {
    pub fn open(world: &World) -> Self {
        Self::open_as(world, ShardNumber::FIRST, LogConfig::default(), WriterConfig::default())
    }

    pub fn open_as(world: &World, shard: ShardNumber, log: LogConfig, config: WriterConfig) -> Self {
        let keys: Vec<SecretKey> = file::read(&world.folder.join("key")).unwrap();
        let path = world.folder.join("ledger").join(layout::shard(shard));
        let storage = DirectoryStorage::open(path).unwrap();
        let (writer, position) = Writer::open_shard(storage, shard, keys, config).unwrap();
        Self { writer, log: Log::start(position, log), clock: 0, count: position.next }
    }

    /// Appends so many entries as one batch; they are on disk when this returns.
    pub fn append(&mut self, count: u64) {
        (0..count).for_each(|number| self.append_event(asked(number), 1_795_228_969_000_000_000));
        self.write();
    }

    pub fn append_event(&mut self, event: Event, time_ns: u64) {
        let entry = Entry::new(time_ns, RunId([7; 16]), event);
        self.log.append(&entry, Instant::from_secs(self.clock)).unwrap();
    }

    /// Brings what others may see up to date.
    pub fn publish(&mut self) {
        self.log.publish(Instant::from_secs(self.clock + 1));
        self.write();
    }

    pub fn write(&mut self) {
        self.clock += 1;
        let now = Instant::from_secs(self.clock) + Duration::from_millis(5);
        while let Some(batch) = self.log.poll_write(now) {
            let written = self.writer.write(batch).unwrap();
            self.log.handle_written(written, now);
        }
        self.count = self.log.durable();
    }
}

fn asked(number: u64) -> Event {
    Event::ConnectionAuthorize(Authorization {
        verdict: Verdict::Allowed,
        reason: "by a rule".into(),
        name: Some(format!("host{number}.example")),
        port: Some(443),
        ..Authorization::default()
    })
}
