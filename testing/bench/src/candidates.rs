//! weft and the peers that it is measured against.
//!
//! A candidate is opened as a [`Sandbox`] in a topology; the sandbox then says how a program is started in it and
//! which processes carry its packets.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command};
use std::time::Duration;

use crate::process::{self, Place, Running, User};
use crate::topology::{Namespace, RELAY, SERVER, Topology, workload_program};

/// The frame size that slirp4netns' own documentation advises for throughput, in bytes. Its default is 1,500.
const SLIRP_MTU: &str = "--mtu=65520";
/// Without forwarding from the host to the inside, which nothing here uses and whose set-up doubles its start.
const PASTA: &str = "pasta --quiet --config-net -t none -u none -T none -U none --";
/// A candidate that takes longer than this to be ready is not measured.
const READY_LIMIT: Duration = Duration::from_secs(10);
/// What the trial run prints.
const TRIAL_WORD: &str = "it-ran";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Candidate {
    /// The program without any sandbox, in the host namespace: for traffic, the kernel over veth.
    Kernel,
    /// A bare relay in the host namespace, reached over another veth pair.
    Relay,
    /// util-linux `unshare`: empty user and network namespaces, no network.
    Unshare,
    /// bubblewrap: all namespaces, no network.
    Bubblewrap,
    /// pasta, as an ordinary user: it does not run as root.
    Pasta,
    /// slirp4netns, attached to a network namespace of its own.
    Slirp4netns,
    /// `weft run` on a TAP device.
    WeftTap,
    /// `weft run` on a veth pair and a packet socket.
    WeftVeth,
    /// `weft run` on a TAP device, which keeps no ledger.
    WeftUnrecorded,
    /// The kernel's TCP behind a TAP, which a loop joins to the client's.
    KernelTap,
    /// Answers without a TCP on the TAP: the limit for everybody there.
    Responder,
    /// smoltcp on its own TAP device.
    Smoltcp,
    /// smoltcp on a TAP that leaves segmentation and checksums to the kernel.
    SmoltcpOffload,
    /// nginx with one worker on the kernel's TCP.
    Nginx,
    /// weft's stack, turned by its owner.
    WeftStack,
    /// weft's sockets, by tasks of tokio.
    WeftSockets,
    /// hyper on weft's sockets.
    WeftHyper,
    /// weft's sockets on two queues of the TAP, by a thread each that share the processors with the client.
    WeftQueues,
    /// Linux sends to Linux.
    LinuxToLinux,
    /// weft sends to Linux.
    WeftToLinux,
    /// Linux sends to weft.
    LinuxToWeft,
    /// weft sends to weft.
    WeftToWeft,
    /// Linux beside another Linux at a bottleneck.
    LinuxBesideLinux,
    /// weft beside Linux at a bottleneck.
    WeftBesideLinux,
    /// Two streams of Linux at one bottleneck, of which the first is paced.
    PacedBesideLinux,
    /// One of weft beside one of Linux that is paced.
    WeftBesidePaced,
    /// A policy in the short format.
    PolicyRules,
    /// Policies in Cedar that name a list.
    PolicyCedar,
}

impl Candidate {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Relay => "bare relay",
            Self::Unshare => "unshare",
            Self::Bubblewrap => "bubblewrap",
            Self::Pasta => "pasta",
            Self::Slirp4netns => "slirp4netns",
            Self::WeftTap => "weft (tap)",
            Self::WeftVeth => "weft (veth)",
            Self::WeftUnrecorded => "weft (no ledger)",
            Self::KernelTap => "kernel (tap)",
            Self::Responder => "no TCP (limit)",
            Self::Smoltcp => "smoltcp",
            Self::SmoltcpOffload => "smoltcp (offload)",
            Self::Nginx => "nginx",
            Self::WeftStack => "weft (stack)",
            Self::WeftSockets => "weft (sockets)",
            Self::WeftHyper => "weft (hyper)",
            Self::WeftQueues => "weft (2 queues)",
            Self::LinuxToLinux => "Linux to Linux",
            Self::WeftToLinux => "weft to Linux",
            Self::LinuxToWeft => "Linux to weft",
            Self::WeftToWeft => "weft to weft",
            Self::LinuxBesideLinux => "Linux beside Linux",
            Self::WeftBesideLinux => "weft beside Linux",
            Self::PacedBesideLinux => "Linux, paced, beside Linux",
            Self::WeftBesidePaced => "weft beside Linux, paced",
            Self::PolicyRules => "weft (rules)",
            Self::PolicyCedar => "weft (Cedar)",
        }
    }

    /// Whether it is ours.
    pub fn is_weft(self) -> bool {
        self.name().contains("weft")
    }
}

/// A candidate, ready to run programs in one topology.
#[derive(Debug)]
pub struct Sandbox {
    place: Place,
    /// The words before the program's own.
    prefix: Vec<String>,
    /// A gateway that runs beside the program rather than above it, and the namespace that it serves.
    attached: Option<(Running, ChildStdin)>,
    /// Where the program inside finds the server.
    server: &'static str,
}

impl Sandbox {
    /// Opens a candidate in the host namespace, allowed to reach the server on ports `first` to `last`.
    pub fn open(
        candidate: Candidate,
        topology: &Topology,
        weft: &Result<PathBuf, String>,
        ports: (u16, u16),
    ) -> Result<Self, String> {
        let host = topology.host.place(User::Same);
        let prefixed = |place: Place, line: &str| Self {
            place,
            prefix: line.split_whitespace().map(str::to_owned).collect(),
            attached: None,
            server: SERVER,
        };
        match candidate {
            Candidate::Kernel => Ok(prefixed(host, "")),
            Candidate::Relay => Self::attach_relay(topology, ports),
            Candidate::Unshare => Ok(prefixed(host, "unshare -Urn")),
            Candidate::Bubblewrap => {
                Ok(prefixed(host, "bwrap --unshare-all --bind / / --dev /dev --proc /proc"))
            }
            Candidate::Pasta => Ok(prefixed(topology.host.place(User::Nobody), PASTA)),
            Candidate::Slirp4netns => Self::attach_slirp4netns(&host),
            Candidate::WeftTap | Candidate::WeftVeth | Candidate::WeftUnrecorded => {
                weft_run(weft, candidate, ports).map(|line| prefixed(host, &line))
            }
            _ => Err("runs no programs".to_owned()),
        }
    }

    fn attach_slirp4netns(host: &Place) -> Result<Self, String> {
        let inside = Namespace::new()?;
        let path = inside.path();
        let words =
            ["slirp4netns", "--configure", SLIRP_MTU, "--ready-fd=1", "--netns-type=path", &path, "tap0"];
        let command = host.command(&words.map(str::to_owned));
        let mut attached = Running::spawn_piped(command)?;
        // It writes "1" to the ready descriptor, without an end of line.
        attached.0.wait_for_byte(b'1', READY_LIMIT)?;
        Ok(Self {
            place: inside.place(User::Same),
            prefix: Vec::new(),
            attached: Some(attached),
            server: SERVER,
        })
    }

    fn attach_relay(topology: &Topology, (first, last): (u16, u16)) -> Result<Self, String> {
        let inside = topology.join_to_host()?;
        let (program, first, last) = (workload_program(), first.to_string(), last.to_string());
        let words = [&program, "workload", "relay", RELAY, &first, &last, SERVER].map(str::to_owned);
        let command = topology.host.place(User::Same).command(&words);
        let attached = Running::spawn_until(command, "listening", READY_LIMIT)?;
        Ok(Self {
            place: inside.place(User::Same),
            prefix: Vec::new(),
            attached: Some(attached),
            server: RELAY,
        })
    }

    /// The server's address as the program inside must name it.
    pub fn server(&self) -> &'static str {
        self.server
    }

    /// A command that runs a program in the sandbox.
    pub fn command(&self, program: &[&str]) -> Command {
        let mut words = self.prefix.clone();
        words.extend(program.iter().map(|&word| word.to_owned()));
        self.place.command(&words)
    }

    /// Runs a program that prints one word, and fails unless the word is seen: what follows would otherwise measure
    /// something that runs nothing.
    pub fn try_out(&self) -> Result<(), String> {
        let output = process::run(self.command(&["echo", TRIAL_WORD]), READY_LIMIT)?.success()?;
        if output.trim() == TRIAL_WORD { Ok(()) } else { Err("does not run a program".to_owned()) }
    }

    /// The processes between the program and the host: all that `started` brought up, and the attached gateway, but
    /// for the workload program itself.
    pub fn gateway_processes(&self, started: &Running) -> Vec<u32> {
        let roots = [Some(started.id()), self.attached.as_ref().map(|(running, _)| running.id())];
        let mut found: Vec<u32> = roots.into_iter().flatten().flat_map(process::family).collect();
        let workload = file_identity(Path::new(&workload_program()));
        found.retain(|process| file_identity(Path::new(&format!("/proc/{process}/exe"))) != workload);
        found
    }
}

fn weft_run(
    weft: &Result<PathBuf, String>,
    candidate: Candidate,
    (first, last): (u16, u16),
) -> Result<String, String> {
    let weft = weft.as_ref().map_err(String::clone)?;
    let attach = if candidate == Candidate::WeftVeth { "veth" } else { "tap" };
    let ledger = match candidate {
        Candidate::WeftUnrecorded => "--no-ledger".to_owned(),
        _ => format!("--ledger {}", ledger_of(weft).display()),
    };
    let weft = weft.display();
    Ok(format!("{weft} run --quiet --attach {attach} {ledger} --allow {SERVER}:{first}-{last} --"))
}

/// Where weft's runs keep their ledger, one after the other as a user's do: not in the user's own, and beside weft's
/// binary, for a disk is part of what is measured.
fn ledger_of(weft: &Path) -> PathBuf {
    weft.with_file_name(format!("bench-ledger-{}", std::process::id()))
}

/// Removes what weft's runs have written.
pub fn remove_ledger(weft: &Path) {
    let ledger = ledger_of(weft);
    // Where weft was not measured there is none; what cannot be removed lies among what was built.
    let _ = std::fs::remove_dir_all(&ledger);
    for extension in ["key", "pub"] {
        let _ = std::fs::remove_file(ledger.with_added_extension(extension));
    }
}

fn file_identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
