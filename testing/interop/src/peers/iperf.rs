//! iperf3's server.

use std::net::SocketAddr;

use crate::programs;
use crate::server::Server;
use crate::world::{SITE_V4, World};

/// The port that iperf3 takes.
pub const PORT: u16 = 5201;

/// Serves at the site's address.
///
/// # Panics
///
/// Where it does not start.
#[must_use]
pub fn serve(world: &World) -> Server {
    // A trial connection would take the place of the first client, so readiness is what the server says of itself.
    let address = SITE_V4.to_string();
    let server = Server::start(
        &world.internet,
        world.directory(),
        &programs::path("iperf3"),
        &["--server", "--forceflush", "--bind", &address],
    );
    let log = world.directory().join("iperf3.log");
    let listens = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("Server listening"));
    server.ready_when(listens)
}

/// The site's address with iperf3's port.
#[must_use]
pub fn address() -> SocketAddr {
    (SITE_V4, PORT).into()
}
