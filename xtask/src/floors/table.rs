//! The table: a row for each floor, what it may import, and what never may be imported all the same.

/// A floor, and what its crates may import in their code.
#[derive(Debug)]
pub struct Floor {
    /// The folder at the top.
    pub name: &'static str,
    /// What may be imported: a floor, or one crate of it as `floor/crate`.
    pub imports: &'static [&'static str],
}

/// The floors from the ground up.
pub const FLOORS: &[Floor] = &[
    Floor { name: "base", imports: &["base"] },
    Floor { name: "net", imports: &["base", "net"] },
    Floor { name: "trust", imports: &["base", "trust"] },
    Floor { name: "metal", imports: &["base", "net", "metal"] },
    Floor { name: "host", imports: &["base", "net", "trust", "host", "metal/platform", "metal/nic"] },
    Floor { name: "netd", imports: &["base", "net", "trust", "metal/platform", "metal/nic", "host", "netd"] },
    Floor { name: "web", imports: &["base", "trust", "host/network", "web"] },
    Floor { name: "compute", imports: &["base", "trust", "host/network", "web", "compute"] },
    Floor { name: "web3", imports: &["base", "trust", "host/network", "web", "web3"] },
    Floor { name: "mesh", imports: &["base", "trust", "host/network", "web", "mesh"] },
    Floor { name: "weft", imports: &["base", "net", "trust", "host"] },
    Floor {
        name: "cli",
        imports: &[
            "base",
            "net",
            "trust",
            "metal/platform",
            "metal/nic",
            "host",
            "netd",
            "web",
            "compute",
            "web3",
            "mesh",
            "weft",
            "cli",
        ],
    },
    Floor {
        name: "testing",
        imports: &[
            "base", "net", "trust", "metal", "host", "netd", "web", "compute", "web3", "mesh", "weft", "cli",
            "testing",
        ],
    },
    Floor { name: "xtask", imports: &[] },
];

/// Crates that are a floor of their own: the folder itself holds the manifest.
pub const WHOLE_FLOORS: &[&str] = &["weft", "xtask"];

/// What every crate may import besides for its tests.
pub const TEST_IMPORTS: &str = "testing";

/// An arrow that is not allowed although the floors would allow it.
#[derive(Debug)]
pub struct Never {
    /// Who, as a floor or a crate.
    pub from: &'static str,
    /// Whom.
    pub to: &'static str,
    /// Why not.
    pub reason: &'static str,
}

/// All of these.
pub const NEVER: &[Never] = &[
    Never {
        from: "netd/client",
        to: "netd/server",
        reason: "they share the messages of netd/api and nothing else",
    },
    Never { from: "metal/nic", to: "net/stack", reason: "they meet in host/runtime or metal/image" },
    Never { from: "mesh/overlay", to: "mesh/rewards", reason: "routing must not follow payment" },
    Never { from: "host/runtime", to: "host/gateway", reason: "the gateway is built on the runtime" },
    Never { from: "host/link", to: "net", reason: "a device carries frames and knows no protocol" },
];

/// The floor of this name.
pub fn floor(name: &str) -> Option<&'static Floor> {
    FLOORS.iter().find(|floor| floor.name == name)
}

/// Whether `place`, a crate as `floor/crate`, is or stands on `pattern`.
pub fn covers(pattern: &str, place: &str) -> bool {
    place.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
