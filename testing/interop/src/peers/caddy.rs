//! caddy, for HTTP/3.

use std::net::{IpAddr, SocketAddr};

use crate::programs;
use crate::server::Server;
use crate::world::{SITE_V4, World};

/// Serves every name of `sites` over HTTP/1 to HTTP/3 at the site's address, port 443.
///
/// # Panics
///
/// Where it does not start.
#[must_use]
pub fn serve(world: &World, sites: &[&str]) -> Server {
    let mut configuration = format!("{{\n admin off\n auto_https off\n default_bind {SITE_V4}\n}}\n");
    for site in sites {
        let made = world.authority().issue(&[site]);
        configuration += &format!(
            "https://{site} {{\n tls {} {}\n respond \"this is {site} over {{http.request.proto}}\"\n}}\n",
            made.certificate.display(),
            made.key.display()
        );
    }
    let configuration = world.write("Caddyfile", configuration);
    let home = format!("HOME={}", world.directory().display());
    let caddy = programs::path("caddy");
    Server::start(
        &world.internet,
        world.directory(),
        &programs::path("env"),
        &[
            home.as_str(),
            &caddy.to_string_lossy(),
            "run",
            "--config",
            &configuration.to_string_lossy(),
            "--adapter",
            "caddyfile",
        ],
    )
    .ready_at(&world.internet, SocketAddr::new(IpAddr::V4(SITE_V4), 443))
}
