//! PostgreSQL, with TLS and a user who needs no password.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::programs;
use crate::server::Server;
use crate::world::{SITE_V4, World};

/// The port that PostgreSQL takes.
pub const PORT: u16 = 5432;

/// Debian's `nobody`: the server refuses to run as root, and needs a user that has a name.
const NOBODY_ID: u32 = 65_534;

/// Serves at the site's address, with a certificate for `name`.
///
/// # Panics
///
/// Where it does not start.
#[must_use]
pub fn serve(world: &World, name: &str) -> Server {
    let data = world.directory().join("postgres");
    fs::create_dir(&data).expect("the server's directory");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("its mode");
    give(&data);
    let mut initialize = Command::new(programs::path("setpriv"));
    initialize.args(as_nobody()).arg(programs::path("initdb"));
    initialize.args([
        "--auth=trust",
        "--username=tester",
        "--no-sync",
        "--no-locale",
        "--encoding=UTF8",
        "--pgdata",
    ]);
    let done = initialize.arg(&data).current_dir(world.directory()).output().expect("initdb runs");
    assert!(done.status.success(), "initdb: {}", String::from_utf8_lossy(&done.stderr));

    let made = world.authority().issue(&[name]);
    for (from, to) in [(&made.certificate, "server.crt"), (&made.key, "server.key")] {
        let to = data.join(to);
        fs::copy(from, &to).expect("a copy for the server");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("its mode");
        give(&to);
    }
    fs::write(data.join("pg_hba.conf"), "host all all all trust\n").expect("who may log in");

    let postgres = programs::path("postgres");
    let (postgres, data) = (postgres.to_string_lossy(), data.to_string_lossy());
    let mut arguments: Vec<String> = as_nobody().map(str::to_owned).to_vec();
    arguments.extend([postgres.into_owned(), "-D".to_owned(), data.into_owned()]);
    let settings = [
        format!("listen_addresses={SITE_V4}"),
        "unix_socket_directories=".to_owned(),
        "ssl=on".to_owned(),
        "fsync=off".to_owned(),
        "shared_buffers=1MB".to_owned(),
        "dynamic_shared_memory_type=mmap".to_owned(),
    ];
    arguments.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
    Server::start(&world.internet, world.directory(), &programs::path("setpriv"), &arguments)
        .ready_at(&world.internet, SocketAddr::from((SITE_V4, PORT)))
}

fn as_nobody() -> [&'static str; 4] {
    ["--reuid=65534", "--regid=65534", "--clear-groups", "--"]
}

fn give(path: &Path) {
    chown(path, Some(NOBODY_ID), Some(NOBODY_ID)).expect("the server's file");
}
