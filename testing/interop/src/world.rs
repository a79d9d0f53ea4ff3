//! The two namespaces that every test plays in, and what answers in them.

use std::cell::{Cell, OnceCell};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::authority::Authority;
use crate::namespace::Namespace;
use crate::peers::echo::Echo;
use crate::resolver::{Record, Resolver};
use crate::weft::{ORDINARY_ID, Run, Way};

/// Where names of the test's zone lead unless told otherwise.
pub const SITE_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 80);
/// The same server over IPv6.
pub const SITE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x80);
/// Another server, that no test's name leads to.
pub const OTHER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 90);
/// The other server over IPv6.
pub const OTHER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x90);
/// The resolver.
pub const RESOLVER_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
/// The host's own address.
pub const HOST_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
/// The host's own IPv6 address.
pub const HOST_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
/// A private address that does answer.
pub const PRIVATE_V4: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// A unique local address that does answer (RFC 4193).
pub const PRIVATE_V6: Ipv6Addr = Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 1);
/// Where clouds keep their machines' secrets.
pub const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// One test's world; everything in it goes when it is dropped, or with the process.
#[derive(Debug)]
pub struct World {
    /// Where weft runs.
    pub host: Namespace,
    /// Where the servers run.
    pub internet: Namespace,
    /// The resolver that weft is told to use.
    pub resolver: Resolver,
    directory: PathBuf,
    authority: OnceCell<Authority>,
    runs: Cell<u32>,
}

impl World {
    /// Makes the namespaces, joins them, and starts the resolver.
    ///
    /// # Panics
    ///
    /// Where the kernel refuses.
    #[must_use]
    pub fn new() -> Self {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let serial = WORLDS.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("interop-{}-{serial}", std::process::id()));
        let home = directory.join("home");
        fs::create_dir_all(&home).expect("the world's directory");
        for path in [&directory, &home] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
        }
        chown(&home, Some(ORDINARY_ID), Some(ORDINARY_ID)).expect("its owner");

        let (host, internet) = (Namespace::new(), Namespace::new());
        join(&host, &internet);
        // Ping sockets for every group: what distributions set, and what `icmp://` rules need (ping(7) has no privilege).
        host.set("ipv4/ping_group_range", "0 2147483647");
        let resolver = Resolver::default();
        resolver.answer_at(&internet, (RESOLVER_V4, 53).into());
        Self { host, internet, resolver, directory, authority: OnceCell::new(), runs: Cell::new(0) }
    }

    /// A directory of this test's that every user can read; only root writes.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A directory that the ordinary user owns: the programs' home and working directory.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.directory.join("home")
    }

    /// Writes a file in the world's directory, readable and executable by all.
    ///
    /// # Panics
    ///
    /// Where it cannot be written.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.directory.join(name);
        fs::write(&path, contents).expect("a file in the world's directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        path
    }

    /// The test's certificate authority.
    pub fn authority(&self) -> &Authority {
        self.authority.get_or_init(|| Authority::new(&self.directory))
    }

    /// A new one, in which the site is one.test and echoes on TCP port 7.
    #[must_use]
    pub fn with_echo() -> Self {
        let world = Self::new();
        world.name("one.test");
        Echo::tcp(&world.internet, (SITE_V4, 7));
        world
    }

    /// Gives `name` the site's IPv4 address.
    pub fn name(&self, name: &str) {
        self.resolver.add(name, Record::A(SITE_V4));
    }

    /// Gives `name` this address.
    pub fn name_at(&self, name: &str, address: impl Into<IpAddr>) {
        self.resolver.add(name, address.into().into());
    }

    /// A run of weft in this world, as root and with the attachment that weft chooses.
    pub fn weft(&self) -> Run<'_> {
        self.weft_as(Way::default())
    }

    /// A run of weft in this world.
    pub fn weft_as(&self, way: Way) -> Run<'_> {
        self.runs.set(self.runs.get() + 1);
        Run::new(self, way, self.runs.get())
    }

    /// The resolver's address and port, as `--dns` takes it.
    #[must_use]
    pub fn dns(&self) -> SocketAddr {
        (RESOLVER_V4, 53).into()
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.directory));
    }
}

fn join(host: &Namespace, internet: &Namespace) {
    let target = internet.path();
    host.ip(&format!("link add up0 type veth peer name down0 netns {target}"));
    for namespace in [host, internet] {
        // Without this an IPv6 address cannot be used for two seconds (RFC 4862 §5.4).
        namespace.set("ipv6/conf/all/accept_dad", "0");
        namespace.set("ipv6/conf/default/accept_dad", "0");
    }
    host.ip(&format!(
        "link set up0 up
         address add {HOST_V4}/24 dev up0
         address add {HOST_V6}/64 dev up0 nodad"
    ));
    internet.ip(&format!(
        "link set down0 up
         address add 203.0.113.1/24 dev down0
         address add {SITE_V4}/24 dev down0
         address add {OTHER_V4}/24 dev down0
         address add {RESOLVER_V4}/24 dev down0
         address add 2001:db8::1/64 dev down0 nodad
         address add {SITE_V6}/64 dev down0 nodad
         address add {OTHER_V6}/64 dev down0 nodad
         address add {PRIVATE_V4}/32 dev lo
         address add {METADATA_V4}/32 dev lo
         address add {PRIVATE_V6}/128 dev lo nodad"
    ));
    host.ip("route add default via 203.0.113.1
         -6 route add default via 2001:db8::1");
}
