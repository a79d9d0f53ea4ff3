//! The server name that a client sends must be the name that it opened the connection for.

use interop::peers::nginx;
use interop::server::Server;
use interop::world::SITE_V4;
use interop::{Echo, Outcome, Run, Witness, World, needs};

/// Shakes hands with a server over TCP. Arguments: the host, the server name to send (or `-`), the size of the pieces in
/// which the ClientHello is sent, the authority. Prints what became of it.
const HANDSHAKE: &str = r#"
import errno, socket, ssl, sys
host, name, size, authority = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
trust = ssl.create_default_context(cafile=authority)
trust.check_hostname = False
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = trust.wrap_bio(incoming, outgoing, server_hostname=None if name == '-' else name)
s = socket.create_connection((host, 443), timeout=10)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
try:
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            data = outgoing.read()
            while data:
                s.sendall(data[:size])
                data = data[size:]
            data = s.recv(65536)
            if not data:
                print('closed')
                sys.exit(0)
            incoming.write(data)
    print('certificate of', dict(part[0] for part in tls.getpeercert()['subject'])['commonName'])
except OSError as error:
    print(errno.errorcode.get(error.errno, repr(error)))
"#;

struct Site {
    world: World,
    _server: Server,
}

impl Site {
    fn new() -> Self {
        let world = World::new();
        world.name("one.test");
        let server = nginx::serve(&world, &["one.test", "two.test"]);
        Self { world, _server: server }
    }

    fn run(&self) -> Run<'_> {
        self.world.weft().allow("one.test:443")
    }

    fn handshake(&self, run: Run<'_>, host: &str, name: &str, piece_bytes: usize) -> Outcome {
        let authority = self.world.authority().certificate();
        let authority = authority.to_str().expect("a path in UTF-8");
        run.output(&["python3", "-c", HANDSHAKE, host, name, &piece_bytes.to_string(), authority]).succeeded()
    }
}

#[test]
fn the_connections_own_name_passes_in_pieces_of_any_size() {
    needs!["python3", "nginx", "openssl"];
    let site = Site::new();
    for size in [65_536, 100, 7, 1] {
        let _ = site.handshake(site.run(), "one.test", "one.test", size).printed("certificate of one.test");
    }
    let _ = site.handshake(site.run(), "one.test", "ONE.test", 65_536).printed("certificate of one.test");
}

#[test]
fn another_name_is_reset_in_pieces_of_any_size() {
    needs!["python3", "nginx", "openssl"];
    let site = Site::new();
    for size in [65_536, 100, 1] {
        let outcome = site.handshake(site.run(), "one.test", "two.test", size);
        let _ = outcome.printed("ECONNRESET").refused(&["one.test", "two.test"]);
    }
}

#[test]
fn no_name_is_refused_unless_opaque_is_allowed() {
    needs!["python3", "nginx", "openssl"];
    let site = Site::new();
    let _ = site
        .handshake(site.run(), "one.test", "-", 65_536)
        .printed("ECONNRESET")
        .refused(&["one.test", "--tls-opaque"]);
    let opaque = site.handshake(site.run().option("--tls-opaque"), "one.test", "-", 65_536);
    let _ = opaque.printed("certificate of one.test");
    // A name that is sent must still be the right one.
    let _ = site
        .handshake(site.run().option("--tls-opaque"), "one.test", "two.test", 65_536)
        .printed("ECONNRESET");
}

#[test]
fn a_connection_opened_for_an_address_may_send_any_name() {
    needs!["python3", "nginx", "openssl"];
    let site = Site::new();
    let run = || site.world.weft().allow("203.0.113.80:443");
    let _ = site.handshake(run(), "203.0.113.80", "two.test", 65_536).printed("certificate of two.test");
    let _ = site.handshake(run(), "203.0.113.80", "-", 65_536).printed("certificate of one.test");
}

#[test]
fn openssls_client_is_reset_for_another_name() {
    needs!["nginx", "openssl"];
    let site = Site::new();
    let script = "echo | openssl s_client -connect one.test:443 -servername $0 2>&1";
    let outcome = site.run().output(&["sh", "-c", script, "one.test"]);
    let _ = outcome.succeeded().printed("subject=CN = one.test");
    let outcome = site.run().output(&["sh", "-c", script, "two.test"]);
    assert!(
        !outcome.stdout.contains("two.test") && outcome.stdout.contains("no peer certificate"),
        "{outcome}"
    );
}

#[test]
fn what_is_not_tls_passes_at_once() {
    needs!["python3", "nginx", "openssl"];
    let world = World::new();
    world.name("one.test");
    Echo::tcp(&world.internet, (SITE_V4, 443));
    // The first byte is that of a TLS handshake record, the second that of none: it must come back before a third is sent.
    let program = "
import socket
s = socket.create_connection(('one.test', 443), timeout=10)
s.sendall(b'\\x16\\x00')
print(s.recv(10))
";
    let run = world.weft().allow("one.test:443");
    let _ = run.output(&["python3", "-c", program]).succeeded().printed(r"b'\x16\x00'");
}

#[test]
fn a_server_that_speaks_first_is_not_kept_waiting() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    let _witness = Witness::at(&world.internet, (SITE_V4, 443));
    let program = "
import socket
s = socket.create_connection(('one.test', 443), timeout=10)
print(s.recv(100))
";
    let run = world.weft().allow("one.test:443");
    let _ = run.output(&["python3", "-c", program]).succeeded().printed("reached");
}
