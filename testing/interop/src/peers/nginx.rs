//! nginx: HTTP and HTTPS, many names on one address, and git over HTTP.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use crate::programs;
use crate::server::Server;
use crate::world::{SITE_V4, SITE_V6, World};

/// Serves every name of `sites` at the site's addresses, ports 80 and 443; `/` answers `this is NAME`.
///
/// # Panics
///
/// Where nginx does not start.
#[must_use]
pub fn serve(world: &World, sites: &[&str]) -> Server {
    serve_with(world, sites, "")
}

/// The same, with git repositories under the world's directory at `/git/`, by git's own CGI program.
///
/// # Panics
///
/// Where nginx or fcgiwrap does not start.
#[must_use]
pub fn serve_git(world: &World, sites: &[&str]) -> (Server, Server) {
    let socket = world.directory().join("fcgiwrap.socket");
    let wrapper = Server::start(
        &world.internet,
        world.directory(),
        &programs::path("fcgiwrap"),
        &["-s".to_owned(), format!("unix:{}", socket.display())],
    )
    .ready_when(|| socket.exists());
    let core =
        std::process::Command::new(programs::path("git")).arg("--exec-path").output().expect("git runs");
    let core = String::from_utf8_lossy(&core.stdout).trim().to_owned();
    let location = format!(
        "location ~ ^/git(/.*)$ {{
            fastcgi_pass unix:{socket};
            fastcgi_param SCRIPT_FILENAME {core}/git-http-backend;
            fastcgi_param GIT_PROJECT_ROOT {root};
            fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            fastcgi_param PATH_INFO $1;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param REMOTE_ADDR $remote_addr;
        }}",
        socket = socket.display(),
        root = world.directory().display(),
    );
    (serve_with(world, sites, &location), wrapper)
}

fn serve_with(world: &World, sites: &[&str], locations: &str) -> Server {
    let directory = world.directory().display();
    let mut servers = String::new();
    for site in sites {
        let made = world.authority().issue(&[site]);
        write!(
            servers,
            "server {{
                listen 80; listen [::]:80; listen 443 ssl http2; listen [::]:443 ssl http2;
                server_name {site};
                ssl_certificate {certificate};
                ssl_certificate_key {key};
                location / {{ default_type text/plain; return 200 \"this is {site}\\n\"; }}
                {locations}
            }}\n",
            certificate = made.certificate.display(),
            key = made.key.display(),
        )
        .expect("a string takes all");
    }
    let configuration = world.write(
        "nginx.conf",
        format!(
            "daemon off; master_process off; user root; pid {directory}/nginx.pid; error_log stderr;
             events {{ worker_connections 1024; }}
             http {{
                access_log {directory}/access.log; client_max_body_size 0;
                client_body_temp_path {directory}/nginx-body; fastcgi_temp_path {directory}/nginx-fastcgi;
                proxy_temp_path {directory}/nginx-proxy; scgi_temp_path {directory}/nginx-scgi;
                uwsgi_temp_path {directory}/nginx-uwsgi;
                {servers}
             }}\n"
        ),
    );
    Server::start(
        &world.internet,
        world.directory(),
        &programs::path("nginx"),
        &["-c", &configuration.to_string_lossy()],
    )
    .ready_at(&world.internet, SocketAddr::new(IpAddr::V4(SITE_V4), 443))
    .ready_at(&world.internet, SocketAddr::new(IpAddr::V6(SITE_V6), 443))
}
