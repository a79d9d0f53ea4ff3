//! OpenSSH's server, with one key that may log in as root.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use crate::programs;
use crate::server::Server;
use crate::weft::ORDINARY_ID;
use crate::world::{SITE_V4, World};

/// Serves at the site's address, port 22. Gives the `ssh` command line that gets in.
///
/// # Panics
///
/// Where it does not start.
#[must_use]
pub fn serve(world: &World) -> (Server, String) {
    let (host_key, user_key) = (make_key(world, "host-key"), make_key(world, "home/user-key"));
    // ssh refuses a private key that others can read, so it belongs to the user who runs it.
    chown(&user_key, Some(ORDINARY_ID), Some(ORDINARY_ID)).expect("the key's owner");
    fs::create_dir_all("/run/sshd").expect("where sshd confines itself");
    let authorized = user_key.with_extension("pub");
    let configuration = world.write(
        "sshd_config",
        format!(
            "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nPidFile none\nListenAddress {SITE_V4}\n",
            host_key.display(),
            authorized.display(),
        ),
    );
    let server = Server::start(
        &world.internet,
        world.directory(),
        &programs::path("sshd"),
        &["-D", "-e", "-f", &configuration.to_string_lossy()],
    )
    .ready_at(&world.internet, SocketAddr::from((SITE_V4, 22)));

    let known = fs::read_to_string(host_key.with_extension("pub")).expect("the host's public key");
    let known = world.write("known_hosts", format!("* {known}"));
    let client = format!(
        "ssh -F none -i {} -o UserKnownHostsFile={} -o GlobalKnownHostsFile=none -o BatchMode=yes -l root",
        user_key.display(),
        known.display()
    );
    (server, client)
}

fn make_key(world: &World, name: &str) -> PathBuf {
    let path = world.directory().join(name);
    let done = Command::new(programs::path("ssh-keygen"))
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "interop", "-f"])
        .arg(&path)
        .output()
        .expect("ssh-keygen runs");
    assert!(done.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&done.stderr));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("the key's mode");
    path
}
