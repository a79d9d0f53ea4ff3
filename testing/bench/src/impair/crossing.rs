//! One impaired link with everything at its ends, started and waited for.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::process::{Place, Running, User};
use crate::server::TAP;
use crate::topology::{Namespace, SHELF, workload_program};

/// How long an end may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(10);
/// Besides the time that is measured: a handshake across a link that loses, and the answer.
const SETUP_LIMIT: Duration = Duration::from_secs(40);

/// Whose TCP stands at an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tcp {
    /// The kernel's, behind a TAP in a namespace of its own.
    Linux,
    /// The same, paced, as behind the queueing discipline `fq`.
    LinuxPaced,
    /// weft's, in the program's own process.
    Weft,
}

/// One end: where its program runs, how the link reaches it and how the program does.
struct End {
    place: Place,
    reached_by: String,
    plugged_into: String,
    namespace: Option<Namespace>,
}

impl End {
    fn new(tcp: Tcp) -> Result<Self, String> {
        static CABLES: AtomicU32 = AtomicU32::new(0);
        let namespace = Namespace::new()?;
        let place = namespace.place(User::Same);
        Ok(match tcp {
            Tcp::Linux | Tcp::LinuxPaced => Self {
                place,
                reached_by: namespace.path(),
                plugged_into: if tcp == Tcp::Linux { "linux" } else { "linux-paced" }.to_owned(),
                namespace: Some(namespace),
            },
            Tcp::Weft => {
                let number = CABLES.fetch_add(1, Ordering::Relaxed);
                let cable = format!("cable:{SHELF}/cable-{number}");
                Self { place, reached_by: cable.clone(), plugged_into: cable, namespace: None }
            }
        })
    }

    fn start(&self, words: &[&str], address: &str, far: &str) -> Result<std::process::Command, String> {
        if let Some(namespace) = &self.namespace {
            namespace.ip(&format!("address add {address}/24 dev {TAP}\nlink set {TAP} up\n"))?;
        }
        let program = workload_program();
        let mut all = vec![program.as_str(), "endpoint", &self.plugged_into, words[0], address, far];
        all.extend(&words[1..]);
        Ok(self.place.command(&all.into_iter().map(str::to_owned).collect::<Vec<_>>()))
    }
}

/// Senders, a link and a receiver, under way.
pub struct Crossing {
    receiver: Running,
    senders: usize,
    time: Duration,
    _others: Vec<Running>,
    _stdin: Vec<std::process::ChildStdin>,
    _namespaces: Vec<Namespace>,
}

impl Crossing {
    /// Starts a link that does what `words` say, with `senders` on its left and one receiver on its right, who
    /// measures for `time`.
    pub fn start(
        senders: &[Tcp],
        receiver: Tcp,
        words: &str,
        seed: u64,
        time: Duration,
    ) -> Result<Self, String> {
        let left = senders.iter().map(|&tcp| End::new(tcp)).collect::<Result<Vec<_>, _>>()?;
        let right = End::new(receiver)?;
        let reached: Vec<&str> = left.iter().map(|end| end.reached_by.as_str()).collect();
        let mut link: Vec<String> =
            [&workload_program(), "impair-link", &reached.join(","), &right.reached_by]
                .map(str::to_owned)
                .into();
        link.push(format!("seed={seed}"));
        link.extend(words.split_whitespace().map(str::to_owned));
        let beside = Namespace::new()?;
        let (link, stdin) =
            Running::spawn_until(beside.place(User::Same).command(&link), "listening", READY_LIMIT)?;
        let (seed, seconds, count) =
            (seed.to_string(), time.as_secs().to_string(), senders.len().to_string());
        let (mut others, mut inputs) = (vec![link], vec![stdin]);
        let senders = left
            .iter()
            .enumerate()
            .map(|(number, end)| end.start(&["send", &seed], &sender_address(number), RECEIVER))
            .collect::<Result<Vec<_>, _>>()?;
        let receiving = right.start(&["receive", &seed, &seconds, &count], RECEIVER, &sender_address(0))?;
        let (mut receiver, stdin) = Running::spawn_piped(receiving)?;
        inputs.push(stdin);
        receiver.wait_for_line("listening", READY_LIMIT)?;
        let count = senders.len();
        for sender in senders {
            let (running, stdin) = Running::spawn_piped(sender)?;
            others.push(running);
            inputs.push(stdin);
        }
        let mut namespaces: Vec<Namespace> = left.into_iter().filter_map(|end| end.namespace).collect();
        namespaces.extend(right.namespace);
        namespaces.push(beside);
        Ok(Self { receiver, senders: count, time, _others: others, _stdin: inputs, _namespaces: namespaces })
    }

    /// Mbit/s that arrived from each sender, every byte as it was sent.
    pub fn finish(mut self) -> Result<Vec<f64>, String> {
        let mut rates = vec![0.0; self.senders];
        for _ in 0..self.senders {
            let line = self.receiver.wait_for_line(SENDERS, SETUP_LIMIT + self.time)?;
            let read = || {
                let (address, rate) = line.trim().split_once(' ')?;
                let number: usize = address.strip_prefix(SENDERS)?.parse().ok()?;
                Some((number.checked_sub(1)?, rate.parse().ok()?))
            };
            let (number, rate) = read().ok_or_else(|| format!("not a rate: {}", line.trim()))?;
            *rates.get_mut(number).ok_or_else(|| format!("not a sender: {}", line.trim()))? = rate;
        }
        Ok(rates)
    }
}

/// What the senders' addresses begin with.
const SENDERS: &str = "192.0.2.";
/// The receiver's address.
const RECEIVER: &str = "192.0.2.200";

fn sender_address(number: usize) -> String {
    format!("{SENDERS}{}", number + 1)
}
