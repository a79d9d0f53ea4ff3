//! Where stacks are measured by themselves: a client in a namespace, and one server at the other end of its only link.
//!
//! ```text
//!   client 192.0.2.2, processor 1 ── TAP or veth ── 192.0.2.1 server, processor 0
//! ```

use std::net::Ipv4Addr;
use std::process::ChildStdin;
use std::time::Duration;

use crate::candidates::Candidate;
use crate::process::{self, Place, Running, User};
use crate::server::{ADDRESS, CLIENT, Purpose, TAP};
use crate::topology::{Namespace, SHELF, workload_program};

/// The processors of the server and of the client: one each, where there are two.
const PROCESSORS: [usize; 2] = [0, 1];
/// Frames that wait in a TAP before the kernel loses one: the same for all.
const QUEUE_FRAMES: u32 = 8_192;
/// The law of every candidate and of the client, whatever the machine's is: one that paces by timers (BBR) costs the client more
/// than all else, and what would be measured is that.
const CONGESTION: &str = "cubic";
/// A server that takes longer to be ready is not measured.
const READY_LIMIT: Duration = Duration::from_secs(10);
/// Besides the time that a workload takes by itself: the last exchange may hang until its own limit.
const SETUP_LIMIT: Duration = Duration::from_secs(15);

/// A client's place and a server that is ready.
#[derive(Debug)]
pub struct Lan {
    client: Place,
    /// The server first; then what carries its frames.
    running: Vec<(Running, Option<ChildStdin>)>,
    /// The client's is the last.
    namespaces: Vec<Namespace>,
}

impl Lan {
    /// Starts the candidate's server for a purpose.
    pub fn open(candidate: Candidate, purpose: Purpose) -> Result<Self, String> {
        let client = Namespace::new()?;
        match candidate {
            Candidate::Kernel | Candidate::Nginx => Self::over_veth(candidate, client, purpose),
            Candidate::KernelTap => Self::over_bridge(client, purpose),
            Candidate::Responder => Self::over_tap("responder", client, purpose),
            Candidate::Smoltcp => Self::over_tap("smoltcp", client, purpose),
            Candidate::SmoltcpOffload => Self::over_tap("smoltcp-offload", client, purpose),
            Candidate::WeftStack => Self::over_tap("weft", client, purpose),
            Candidate::WeftSockets => Self::over_tap("sockets", client, purpose),
            Candidate::WeftHyper => Self::over_tap("hyper", client, purpose),
            Candidate::WeftQueues => {
                let place = client.place(User::Same);
                let server = spawn(place, &[&workload_program(), "server", "queues", purpose.name()])?;
                client.ip(&tap_up(CLIENT))?;
                let mut lan = Self::new(client, vec![server], Vec::new());
                lan.client.processor = None;
                Ok(lan)
            }
            _ => Err("is no server".to_owned()),
        }
    }

    fn over_tap(name: &str, client: Namespace, purpose: Purpose) -> Result<Self, String> {
        let server = start(&client, &[&workload_program(), "server", name, purpose.name()])?;
        client.ip(&tap_up(CLIENT))?;
        Ok(Self::new(client, vec![server], Vec::new()))
    }

    fn over_veth(candidate: Candidate, client: Namespace, purpose: Purpose) -> Result<Self, String> {
        let far = Namespace::new()?;
        client.ip(&format!("link add veth0 type veth peer name veth0 netns {}\n", far.path()))?;
        client.ip(&up("veth0", CLIENT))?;
        far.ip(&up("veth0", ADDRESS))?;
        if candidate == Candidate::Nginx {
            let (running, lan) = (start_nginx(&far)?, client.place(User::Same));
            await_server(&lan)?;
            return Ok(Self::new(client, vec![(running, None)], vec![far]));
        }
        let server = start(&far, &[&workload_program(), "server", "kernel", purpose.name()])?;
        Ok(Self::new(client, vec![server], vec![far]))
    }

    fn over_bridge(client: Namespace, purpose: Purpose) -> Result<Self, String> {
        let far = Namespace::new()?;
        let bridge = start(&far, &[&workload_program(), "server", "bridge", &client.path(), &far.path()])?;
        client.ip(&tap_up(CLIENT))?;
        far.ip(&tap_up(ADDRESS))?;
        let server = start(&far, &[&workload_program(), "server", "kernel", purpose.name()])?;
        Ok(Self::new(client, vec![server, bridge], vec![far]))
    }

    fn new(client: Namespace, running: Vec<(Running, Option<ChildStdin>)>, mut far: Vec<Namespace>) -> Self {
        let place = client.place(User::Same).on(processor(1));
        far.push(client);
        Self { client: place, running, namespaces: far }
    }

    /// Runs a workload in the client's place; the figures that it prints.
    pub fn run(&self, words: &[&str], time: Duration) -> Result<Vec<f64>, String> {
        let mut all = vec![workload_program(), "workload".to_owned()];
        all.extend(words.iter().map(|&word| word.to_owned()));
        let report = process::run(self.client.command(&all), SETUP_LIMIT + time)?.success()?;
        let figures = report.split_whitespace().map(str::parse).collect::<Result<_, _>>();
        figures.map_err(|_| format!("not figures: {}", report.trim()))
    }

    /// Starts a workload in the client's place that goes on; with its standard input.
    pub fn spawn(&self, words: &[&str]) -> Result<(Running, ChildStdin), String> {
        let mut all = vec![workload_program(), "workload".to_owned()];
        all.extend(words.iter().map(|&word| word.to_owned()));
        Running::spawn_piped(self.client.command(&all))
    }

    /// Changes the client's network, by lines for `ip -batch`.
    pub fn ip(&self, lines: &str) -> Result<(), String> {
        self.namespaces.last().map_or(Ok(()), |client| client.ip(lines))
    }

    /// The server's process.
    pub fn server(&self) -> u32 {
        self.running[0].0.id()
    }

    /// Seconds that the server and what carries its frames have run for themselves, and in the kernel.
    pub fn seconds_used(&self) -> (f64, f64) {
        let each = self.running.iter().filter_map(|(running, _)| running.seconds_used());
        each.fold((0.0, 0.0), |(user, system), one| (user + one.0, system + one.1))
    }
}

/// The processor for a role; the only one where there is one.
fn processor(role: usize) -> usize {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    PROCESSORS[role] % count
}

fn tap_up(address: Ipv4Addr) -> String {
    format!("link set {TAP} txqueuelen {QUEUE_FRAMES}\n{}", up(TAP, address))
}

/// Lines that bring a link up, across which the kernel's TCP obeys [`CONGESTION`].
fn up(link: &str, address: Ipv4Addr) -> String {
    let network = Ipv4Addr::from_bits(address.to_bits() & !0xff);
    format!(
        "address add {address}/24 dev {link} noprefixroute\nlink set {link} up\n\
         route add {network}/24 dev {link} src {address} congctl {CONGESTION}\n"
    )
}

fn start(namespace: &Namespace, words: &[&str]) -> Result<(Running, Option<ChildStdin>), String> {
    spawn(namespace.place(User::Same).on(processor(0)), words)
}

fn spawn(place: Place, words: &[&str]) -> Result<(Running, Option<ChildStdin>), String> {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let (running, stdin) = Running::spawn_until(place.command(&words), "listening", READY_LIMIT)?;
    Ok((running, Some(stdin)))
}

fn start_nginx(namespace: &Namespace) -> Result<Running, String> {
    let path = format!("{SHELF}/nginx.conf");
    let text = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {SHELF}/nginx.pid;\nerror_log stderr;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n\
         server {{ listen {ADDRESS}:80; default_type text/plain; location / {{ return 200 'Hello, world\\n'; }} }}\n}}\n"
    );
    std::fs::write(&path, text).map_err(|error| format!("{path}: {error}"))?;
    let words = ["nginx", "-c", &path].map(str::to_owned);
    Running::spawn(namespace.place(User::Same).on(processor(0)).command(&words))
}

/// nginx does not say when it listens.
fn await_server(client: &Place) -> Result<(), String> {
    let words = [&workload_program(), "workload", "await", &ADDRESS.to_string(), "80"].map(str::to_owned);
    process::run(client.command(&words), READY_LIMIT)?.success().map(drop)
}
