//! Two HTTPS servers on one address and port, told apart by the server name of TLS (RFC 6066 §3).

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::ResolvesServerCertUsingSni;
use rustls::{ServerConfig, ServerConnection, StreamOwned, sign};
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// A client that says nothing for this long is given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest request that is read: more than curl sends.
const REQUEST_BYTES_MAX: usize = 8_192;

/// What one name answers, and how often it did.
#[derive(Debug)]
struct Site {
    name: &'static str,
    requests: AtomicU32,
}

/// The servers, running until the process ends.
#[derive(Debug)]
pub struct Servers {
    address: SocketAddr,
    certificates: String,
    sites: Arc<[Site; 2]>,
}

impl Servers {
    /// Makes certificates for these names, and serves them.
    pub fn start(names: [&'static str; 2]) -> Result<Self, Box<dyn Error>> {
        let mut resolver = ResolvesServerCertUsingSni::new();
        let mut certificates = String::new();
        for name in names {
            let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()])?;
            certificates += &cert.pem();
            let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
            let certified = sign::CertifiedKey::new(vec![cert.der().clone()], any_supported_type(&key)?);
            resolver.add(name, certified)?;
        }
        let config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::new(resolver));
        let (listener, config) = (TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, Arc::new(config));
        let address = listener.local_addr()?;
        let sites = Arc::new(names.map(|name| Site { name, requests: AtomicU32::new(0) }));
        let served = sites.clone();
        thread::spawn(move || {
            // One after the other: the demonstration's program asks one after the other.
            for stream in listener.incoming().flatten() {
                // What goes wrong on a connection, its client tells; a refused one may well end early.
                let _ = serve(stream, config.clone(), served.as_slice());
            }
        });
        Ok(Self { address, certificates, sites })
    }

    /// Where they answer.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Their certificates, as PEM.
    pub fn certificates(&self) -> &str {
        &self.certificates
    }

    /// How many requests each has had.
    pub fn requests(&self) -> [u32; 2] {
        [0, 1].map(|index: usize| self.sites[index].requests.load(Ordering::SeqCst))
    }
}

/// Answers one request.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, sites: &[Site]) -> Result<(), Box<dyn Error>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(ServerConnection::new(config)?, stream);
    read_head(&mut stream)?;
    let name = stream.conn.server_name().map(str::to_owned);
    let site = sites.iter().find(|site| Some(site.name) == name.as_deref()).ok_or("no such site")?;
    // Counted before it is answered: who has the answer finds it counted.
    site.requests.fetch_add(1, Ordering::SeqCst);
    let body = format!("hello from {}\n", site.name);
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(())
}

/// Reads up to the empty line that ends a request's head (RFC 9112 §2.1).
fn read_head(stream: &mut impl Read) -> io::Result<()> {
    let mut head = Vec::new();
    let mut chunk = [0; 1_024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => head.extend_from_slice(&chunk[..count]),
        }
        if head.len() > REQUEST_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::directory::Directory;
    use super::super::fetch::fetch;
    use super::*;

    #[test]
    fn each_name_answers_for_itself_on_the_same_address() {
        let servers = Servers::start(["a.example", "b.example"]).unwrap();
        let directory = Directory::make().unwrap();
        let authorities = directory.write("authorities.pem", servers.certificates()).unwrap();
        for (name, requests) in [("a.example", [1, 0]), ("b.example", [1, 1])] {
            let answer = fetch(name, servers.address(), &authorities).unwrap();
            assert_eq!(answer, format!("hello from {name}\n"));
            assert_eq!(servers.requests(), requests);
        }
        assert!(fetch("c.example", servers.address(), &authorities).is_err());
        assert_eq!(servers.requests(), [1, 1]);
    }

    #[test]
    fn a_head_without_end_is_given_up() {
        assert!(read_head(&mut &b"GET / HTTP/1.1\r\n\r\n"[..]).is_ok());
        assert!(read_head(&mut &b"GET / HTTP/1.1\r\n"[..]).is_err());
        assert!(read_head(&mut io::repeat(b'x')).is_err());
    }
}
