//! A fetcher of one's own, for machines without curl: one GET over TLS (RFC 9112), the body as text.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything in the demonstration takes.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 65_536;

/// Fetches each of `NAME:PORT[@HOST]` and prints it. Like curl, ends as the last of them did.
pub fn run(targets: &[String], authorities: &Path) -> ExitCode {
    let mut status = ExitCode::SUCCESS;
    for target in targets {
        let fetched = Target::parse(target).ok_or_else(|| "expected NAME:PORT[@HOST]".into());
        match fetched.and_then(|target| fetch(target.name, (target.host, target.port), authorities)) {
            Ok(body) => {
                print!("{body}");
                status = ExitCode::SUCCESS;
            }
            Err(error) => {
                eprintln!("fetch: {target}: {error}");
                status = ExitCode::FAILURE;
            }
        }
    }
    status
}

#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    name: &'a str,
    port: u16,
    host: &'a str,
}

impl<'a> Target<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (url, host) = text.split_once('@').map_or((text, None), |(url, host)| (url, Some(host)));
        let (name, port) = url.rsplit_once(':')?;
        Some(Self { name, port: port.parse().ok()?, host: host.unwrap_or(name) })
    }
}

/// What `name` answers at an address.
pub fn fetch(name: &str, at: impl ToSocketAddrs, authorities: &Path) -> Result<String, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authorities)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let tls = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned())?)?;
    let address = at.to_socket_addrs()?.next().ok_or("it has no address")?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(tls, stream);
    write!(stream, "GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer is no HTTP")?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("it answers {}", head.lines().next().unwrap_or_default()).into());
    }
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let plain = Target { name: "a.example", port: 443, host: "a.example" };
        assert_eq!(Target::parse("a.example:443"), Some(plain));
        let elsewhere = Target { name: "a.example", port: 443, host: "b.example" };
        assert_eq!(Target::parse("a.example:443@b.example"), Some(elsewhere));
        for wrong in ["", "a.example", "a.example:x", "a.example:70000"] {
            assert_eq!(Target::parse(wrong), None, "{wrong}");
        }
    }
}
