//! Where everything is measured: two network namespaces and the wire between them.
//!
//! ```text
//!   candidate ── "host" 192.0.2.2 ════ veth ════ 192.0.2.1 "internet", servers on 198.51.100.1
//! ```
//!
//! The servers' address is not the router's: pasta takes connections to the host's own router for connections to the
//! host. A namespace lives as long as a descriptor of it, so nothing is left behind, however this process ends.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FileType, Mode};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::{Resource, Rlimit};
use rustix::thread::UnshareFlags;

use crate::process::{self, Place, User};

/// Where the servers listen.
pub const SERVER: &str = "198.51.100.1";
/// The host's address, which must not be the server's network.
const HOST: &str = "192.0.2.2";
/// The router's address, at the internet's end of the wire.
const ROUTER: &str = "192.0.2.1";
/// The host's address towards a namespace joined to it, where the relay listens.
pub const RELAY: &str = "203.0.113.1";
/// The address of a namespace joined to the host.
const JOINED: &str = "203.0.113.2";
/// Descriptors for 10,000 connections, with as many again for a peer that holds two for each.
const DESCRIPTORS: u64 = 32_768;
/// Laying out links is a matter of milliseconds.
const SETUP_LIMIT: Duration = Duration::from_secs(10);
/// Where this run keeps its own copy of the workload program: in the private mount namespace, readable by all.
pub const SHELF: &str = "/mnt";

/// One network namespace.
#[derive(Debug, Clone)]
pub struct Namespace(Arc<OwnedFd>);

impl Namespace {
    /// A new one, with its loopback interface up.
    pub fn new() -> Result<Self, String> {
        let file = std::thread::spawn(|| {
            // SAFETY: a thread of its own leaves for a new network namespace; no descriptor table is unshared.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
            File::open("/proc/thread-self/ns/net")
        })
        .join()
        .expect("the thread does not panic")
        .map_err(|error: std::io::Error| format!("cannot make a network namespace: {error}"))?;
        let namespace = Self(Arc::new(file.into()));
        namespace.ip("link set lo up\n")?;
        Ok(namespace)
    }

    /// A place in it.
    pub fn place(&self, user: User) -> Place {
        Place { network: self.0.clone(), user, processor: None }
    }

    /// A path that names it to other programs.
    pub fn path(&self) -> String {
        process::descriptor_path(&self.0)
    }

    /// Runs commands of `ip`, one a line.
    pub fn ip(&self, lines: &str) -> Result<(), String> {
        let command = self.place(User::Same).command(&["ip", "-batch", "-"].map(str::to_owned));
        let output = process::run_with_input(command, lines, SETUP_LIMIT)?;
        output.success().map(drop).map_err(|reason| format!("ip: {reason}"))
    }
}

/// The two namespaces and the wire.
#[derive(Debug)]
pub struct Topology {
    /// Where the candidates run.
    pub host: Namespace,
    /// Where the servers run.
    pub internet: Namespace,
}

impl Topology {
    /// A new pair. Each measurement takes its own, so that none meets the closed connections of another.
    pub fn new() -> Result<Self, String> {
        let (host, internet) = (Namespace::new()?, Namespace::new()?);
        host.ip(&format!(
            "link add up0 type veth peer name down0 netns {}\n\
             address add {HOST}/24 dev up0\n\
             link set up0 up\n",
            internet.path()
        ))?;
        internet.ip(&format!(
            "address add {ROUTER}/24 dev down0\n\
             address add {SERVER}/32 dev lo\n\
             link set down0 up\n"
        ))?;
        host.ip(&format!("route add default via {ROUTER}\n"))?;
        Ok(Self { host, internet })
    }

    /// A namespace that reaches the host, at [`RELAY`], and nothing else.
    pub fn join_to_host(&self) -> Result<Namespace, String> {
        let inside = Namespace::new()?;
        self.host.ip(&format!(
            "link add in0 type veth peer name out0 netns {}\n\
             address add {RELAY}/24 dev in0\n\
             link set in0 up\n",
            inside.path()
        ))?;
        inside.ip(&format!("address add {JOINED}/24 dev out0\nlink set out0 up\n"))?;
        Ok(inside)
    }
}

/// Fails where this process is not root.
pub fn need_root() -> Result<(), String> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err("must be run as root: it makes network namespaces and opens the TUN device".to_owned())
}

/// Prepares this process: a mount namespace of its own, in which `/dev/net/tun` is open to everyone as it is on most
/// systems and the workload program stands where an ordinary user can run it, and enough descriptors.
///
/// Called before any thread is started.
pub fn prepare_process() -> Result<(), String> {
    need_root()?;
    let failed = |what: &str, error: rustix::io::Errno| format!("cannot {what}: {error}");
    // SAFETY: only the mount namespace is unshared, and no other thread is running.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }
        .map_err(|error| failed("make a mount namespace", error))?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| failed("make mounts private", error))?;
    std::fs::create_dir_all("/dev/net").map_err(|error| format!("cannot make /dev/net: {error}"))?;
    for target in [SHELF, "/dev/net"] {
        rustix::mount::mount("bench", target, "tmpfs", MountFlags::empty(), c"mode=0755")
            .map_err(|error| failed("mount a tmpfs", error))?;
    }
    tun_device().map_err(|error| failed("make the TUN device", error))?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    std::fs::copy(own, workload_program())
        .map_err(|error| format!("cannot copy the workload program: {error}"))?;
    raise_descriptor_limit().map_err(|error| failed("raise the limit of descriptors", error))
}

/// As many descriptors as are wanted, or as may be had: raising the hard limit takes a capability of its own.
fn raise_descriptor_limit() -> rustix::io::Result<()> {
    let wanted = Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS) };
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
    if hard.is_some_and(|hard| hard < DESCRIPTORS)
        && rustix::process::setrlimit(Resource::Nofile, wanted).is_ok()
    {
        return Ok(());
    }
    let current = Some(hard.map_or(DESCRIPTORS, |hard| hard.min(DESCRIPTORS)));
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current, maximum: hard })
}

/// This program, where every user may run it.
pub fn workload_program() -> String {
    Path::new(SHELF).join("bench").to_string_lossy().into_owned()
}

fn tun_device() -> rustix::io::Result<()> {
    let (path, everyone) = ("/dev/net/tun", Mode::from_raw_mode(0o666));
    let device = rustix::fs::makedev(10, 200);
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::CharacterDevice, everyone, device)?;
    // The umask does not apply to this.
    rustix::fs::chmod(path, everyone)
}
