//! A registry for npm over HTTPS: the packages that `npm pack` made, in the two requests that an install makes of each.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::programs;
use crate::server::Server;
use crate::world::{SITE_V4, World};

const PROGRAM: &str = include_str!("registry.cjs");

/// Serves a package `left` that depends on a package `right`, for `name`, at the site's address and port 443.
///
/// # Panics
///
/// Where npm cannot pack, or the registry does not start.
#[must_use]
pub fn serve(world: &World, name: &str) -> Server {
    let packages = world.directory().join("packages");
    pack(&packages, "left", r#"{"right": "^1.0.0"}"#, "module.exports = 'left of ' + require('right');");
    pack(&packages, "right", "{}", "module.exports = 'right';");
    let made = world.authority().issue(&[name]);
    let program = world.write("registry.cjs", PROGRAM);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Server::start(
        &world.internet,
        world.directory(),
        &programs::path("node"),
        &[
            text(&program),
            text(&packages),
            text(&made.certificate),
            text(&made.key),
            SITE_V4.to_string(),
            name.to_owned(),
        ],
    )
    .ready_at(&world.internet, SocketAddr::from((SITE_V4, 443)))
}

fn pack(packages: &Path, name: &str, dependencies: &str, source: &str) {
    let directory = packages.join(name);
    fs::create_dir_all(&directory).expect("the package's directory");
    let manifest = format!(r#"{{"name": "{name}", "version": "1.0.0", "dependencies": {dependencies}}}"#);
    fs::write(directory.join("package.json"), manifest).expect("the package's manifest");
    fs::write(directory.join("index.js"), source).expect("the package's source");
    let done = Command::new(programs::path("npm"))
        .args(["pack", "--offline", "--silent", "--cache"])
        .arg(packages.join("cache"))
        .arg("--pack-destination")
        .arg(packages)
        .current_dir(&directory)
        .output()
        .expect("npm runs");
    assert!(done.status.success(), "npm pack: {}", String::from_utf8_lossy(&done.stderr));
}
