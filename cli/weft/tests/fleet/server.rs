//! A NATS server on loopback, and what stands between it and its clients.

use super::until;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// The server's program; `None` where it is not here.
///
/// # Panics
///
/// Where it is not, and CI=true: there a skip would hide that nothing was tested.
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders.map(|folder| folder.join("nats-server")).find(|path| path.is_file());
    if found.is_none() {
        let is_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!is_ci, "CI=true and missing: nats-server (package nats-server)");
        eprintln!("skipped, missing: nats-server (package nats-server)");
    }
    found
}

/// A server with JetStream, whose store is in a directory.
pub struct Server {
    child: Option<Child>,
    folder: PathBuf,
    config: Option<PathBuf>,
    pub port: u16,
}

impl Server {
    /// Starts one; a file of configuration says what is not as usual.
    pub fn start(folder: &Path, config: Option<&Path>) -> Self {
        let config = config.map(Path::to_owned);
        let mut server = Self { child: None, folder: folder.join("server"), config, port: 0 };
        fs::create_dir_all(server.folder.join("ports")).unwrap();
        server.run("-1");
        server
    }

    fn run(&mut self, port: &str) {
        let ports = self.folder.join("ports");
        fs::read_dir(&ports).unwrap().for_each(|file| fs::remove_file(file.unwrap().path()).unwrap());
        let mut command = Command::new(program().expect("looked for by the test"));
        command.args(["-a", "127.0.0.1", "-p", port, "-js", "--ports_file_dir"]).arg(&ports);
        command.arg("-sd").arg(self.folder.join("store")).arg("-l").arg(self.folder.join("log"));
        if let Some(config) = &self.config {
            command.arg("-c").arg(config);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let log = self.folder.join("log");
        // It writes the file once it listens.
        let child = self.child.as_mut().expect("it was started");
        self.port = until("the server's ports", || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", fs::read_to_string(&log).unwrap_or_default());
            let file = fs::read_dir(&ports).unwrap().next()?.unwrap().path();
            let told: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
            told["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
        });
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// What the server wrote about itself.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Ends it by SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again where it was.
    pub fn restart(&mut self) {
        let port = self.port.to_string();
        self.run(&port);
    }

    /// Takes away all that it has stored; it must not run.
    pub fn lose(&mut self) {
        fs::remove_dir_all(self.folder.join("store")).unwrap();
    }

    /// Keeps a copy of all that it has stored; it must not run.
    pub fn keep(&self) {
        let (store, copy) = (self.folder.join("store"), self.folder.join("copy"));
        let status = Command::new("cp").arg("-a").args([store, copy]).status().unwrap();
        assert!(status.success());
    }

    /// Puts the copy into the place of all that it has stored; it must not run.
    pub fn put_back(&mut self) {
        self.lose();
        fs::rename(self.folder.join("copy"), self.folder.join("store")).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A way to a server that can be closed: then nothing passes, and no connection ends.
pub struct Proxy {
    pub port: u16,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Proxy {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let gate = Arc::new((Mutex::new(true), Condvar::new()));
        let gates = gate.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(server) else { continue };
                let (from_client, from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (gate, other) = (gates.clone(), gates.clone());
                thread::spawn(move || pass(from_client, server, &gate));
                thread::spawn(move || pass(from_server, client, &other));
            }
        });
        Self { port, gate }
    }

    pub fn open(&self, is_open: bool) {
        *self.gate.0.lock().unwrap() = is_open;
        self.gate.1.notify_all();
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, (gate, opened): &(Mutex<bool>, Condvar)) {
    let mut bytes = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        drop(opened.wait_while(gate.lock().unwrap(), |is_open| !*is_open).unwrap());
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    // The other direction ends with this one, or has.
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// Publishes by the server's protocol itself, as anybody may who has a connection; returns what the stream has
/// acknowledged, in JSON, once the server has it.
pub fn publish(server: SocketAddr, subject: &str, headers: &[(&str, &str)], payload: &[u8]) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    let mut head = "NATS/1.0\r\n".to_owned();
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    head += "\r\n";
    let total = head.len() + payload.len();
    let mut bytes = b"CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB answer 1\r\n".to_vec();
    bytes.extend(format!("HPUB {subject} answer {} {total}\r\n{head}", head.len()).into_bytes());
    bytes.extend([payload, b"\r\n"].concat());
    stream.write_all(&bytes).unwrap();
    let mut answer = String::new();
    loop {
        let acknowledged =
            answer.split("MSG answer ").nth(1).and_then(|message| message.split("\r\n").nth(1));
        if let Some(acknowledged) = acknowledged.filter(|text| text.ends_with('}')) {
            return acknowledged.to_owned();
        }
        let mut more = [0; 4 << 10];
        let length = stream.read(&mut more).unwrap();
        assert!(length > 0, "the server has closed: {answer}");
        answer += &String::from_utf8_lossy(&more[..length]);
    }
}

/// Waits until the stream takes again what came before this call, though it has the same id.
pub fn wait_for_duplicates_to_be_taken(server: SocketAddr) {
    // Ids are forgotten in the order in which they came: when one that comes now is, all before it are.
    let again = || publish(server, "weft.ledger.probe.1", &[("Nats-Msg-Id", "probe")], b"probe");
    again();
    super::until("the end of the window for duplicates", || {
        let acknowledged = again();
        assert!(acknowledged.contains("\"seq\""), "{acknowledged}");
        (!acknowledged.contains("\"duplicate\"")).then_some(())
    });
}
