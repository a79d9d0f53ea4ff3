//! What is not TCP: echo requests, UDP of every size, and HTTP/3.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use interop::peers::caddy;
use interop::world::{SITE_V4, SITE_V6};
use interop::{Echo, Way, World, in_every_way, needs, programs};

in_every_way! {
    ping_is_answered_by_name_and_by_address => ping;
    udp_of_every_size_comes_back => udp;
}

fn ping(way: Way) {
    needs!["ping"];
    let world = World::new();
    world.name("one.test");
    let run = || {
        world
            .weft_as(way)
            .allow("icmp://one.test")
            .allow("icmp://203.0.113.80")
            .allow("icmp://[2001:db8::80]")
    };
    for target in ["one.test", "203.0.113.80", "2001:db8::80"] {
        // With -w it waits for three answers; without, for the last no longer than two round trips.
        let outcome = run().output(&["ping", "-n", "-c", "3", "-i", "0.01", "-w", "20", target]).succeeded();
        let _ = outcome.printed("3 received");
    }
    let large = run().output(&["ping", "-n", "-c", "1", "-s", "5000", "-W", "5", "one.test"]).succeeded();
    let _ = large.printed("1 received");
}

#[test]
fn the_gateway_itself_answers_echo_requests() {
    needs!["ping"];
    let world = World::new();
    let _ = world.weft().shell("ping -n -c 1 -W 5 10.0.2.2 && ping -n -c 1 -W 5 fd00:2::2").succeeded();
}

fn udp(way: Way) {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    Echo::udp(&world.internet, (SITE_V4, 7));
    Echo::udp(&world.internet, (SITE_V6, 7));
    // Beyond the MTU a datagram travels in fragments, each way.
    let program = "
import socket
pattern = bytes(index * 31 % 251 for index in range(65536))
for host, family in (('one.test', socket.AF_INET), ('203.0.113.80', socket.AF_INET), ('2001:db8::80', socket.AF_INET6)):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((host, 7))
    for size in (0, 1, 1200, 1472, 1473, 9000, 60000):
        data = pattern[:size]
        s.send(data)
        assert s.recv(65536) == data, (host, size)
    print(host, 'echoed')
";
    let run = world
        .weft_as(way)
        .allow("udp://one.test:7")
        .allow("udp://203.0.113.80:7")
        .allow("udp://[2001:db8::80]:7");
    let outcome = run.output(&["python3", "-c", program]).succeeded();
    let _ = outcome.printed("one.test echoed").printed("203.0.113.80 echoed").printed("2001:db8::80 echoed");
}

#[test]
fn one_socket_talks_to_many_and_each_answer_comes_from_its_own() {
    needs!["python3"];
    let world = World::new();
    let mut run = world.weft();
    for port in 7000..7008 {
        Echo::udp(&world.internet, (SITE_V4, port));
        run = run.allow(format!("udp://203.0.113.80:{port}"));
    }
    let program = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
for port in range(7000, 7008):
    s.sendto(b'%d' % port, ('203.0.113.80', port))
for _ in range(8):
    data, (address, port) = s.recvfrom(100)
    assert data == b'%d' % port, (data, address, port)
print('each from its own')
";
    let _ = run.output(&["python3", "-c", program]).succeeded().printed("each from its own");
}

#[test]
fn a_closed_udp_port_is_told_inside() {
    needs!["python3"];
    let world = World::new();
    let program = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(('203.0.113.80', 9))
s.send(b'x')
try:
    print(s.recv(1))
except OSError as error:
    print(type(error).__name__)
";
    let run = world.weft().allow("udp://203.0.113.80:9");
    let _ = run.output(&["python3", "-c", program]).succeeded().printed("ConnectionRefusedError");
}

#[test]
fn a_datagram_that_may_not_be_fragmented_is_told_what_the_way_carries() {
    needs!["python3"];
    let world = World::new();
    Echo::udp(&world.internet, (SITE_V4, 7));
    Echo::udp(&world.internet, (SITE_V6, 7));
    // The link inside takes 1,500 bytes, the host's 1,300.
    world.host.ip("link set up0 mtu 1300");
    world.internet.ip("link set down0 mtu 1300");
    let program = "
import errno, socket
# linux/in.h and linux/in6.h: IP_MTU_DISCOVER, IP_MTU, and IP_PMTUDISC_DO.
versions = (
    ('203.0.113.80', socket.AF_INET, socket.IPPROTO_IP, 10, 14),
    ('2001:db8::80', socket.AF_INET6, socket.IPPROTO_IPV6, 23, 24),
)
for host, family, level, discover, mtu in versions:
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.setsockopt(level, discover, 2)
    s.connect((host, 7))
    assert s.send(bytes(1400)) == 1400
    for ask in (lambda: s.recv(2000), lambda: s.send(bytes(1400))):
        try:
            ask()
        except OSError as error:
            assert error.errno == errno.EMSGSIZE, error
        else:
            raise AssertionError(host)
    assert s.getsockopt(level, mtu) == 1300, s.getsockopt(level, mtu)
    s.send(bytes(1200))
    assert s.recv(2000) == bytes(1200)
    # Another program's may be fragmented, by its own kernel, which knows now.
    other = socket.socket(family, socket.SOCK_DGRAM)
    other.settimeout(5)
    other.setsockopt(level, discover, 0)
    other.connect((host, 7))
    other.send(bytes(1400))
    assert other.recv(2000) == bytes(1400)
    print(host, 'told')
";
    let run = world.weft().allow("udp://203.0.113.80:7").allow("udp://[2001:db8::80]:7");
    let outcome = run.output(&["python3", "-c", program]).succeeded();
    let _ = outcome.printed("203.0.113.80 told").printed("2001:db8::80 told");
}

#[test]
fn http3_reaches_the_allowed_name_and_no_other() {
    needs!["caddy", "openssl", "python3"];
    let world = World::new();
    world.name("one.test");
    let _server = caddy::serve(&world, &["one.test", "two.test"]);
    let authority = world.authority().certificate();
    let program = world.write("http3.py", include_str!("http3.py"));
    let words = [aioquic(), program, "one.test".into(), "one.test".into(), authority];
    let run = || world.weft().allow("one.test:443");
    let _ = run().output(&words).succeeded().printed("this is one.test over HTTP/3");
    let mut wrong = words;
    wrong[3] = "two.test".into();
    let outcome = run().output(&wrong).succeeded().printed("failed: ");
    let _ = outcome.refused(&["one.test", "two.test"]);
}

/// The Python of a virtual environment with aioquic, made once for all tests and kept in the build directory.
fn aioquic() -> PathBuf {
    let own = std::env::current_exe().expect("this test's path");
    let build = own
        .ancestors()
        .find(|path| path.ends_with("deps"))
        .and_then(|path| path.parent())
        .expect("a build directory");
    let directory = build.join("interop");
    fs::create_dir_all(&directory).expect("a directory for the environment");
    let (environment, ready) = (directory.join("aioquic"), directory.join("aioquic-ready"));
    let lock = File::create(directory.join("lock")).expect("a lock");
    lock.lock().expect("the lock is free in the end");
    let python = environment.join("bin/python3");
    if !ready.exists() {
        for command in [
            Command::new(programs::path("python3")).args(["-m", "venv", "--clear"]).arg(&environment),
            Command::new(&python).args(["-m", "pip", "install", "--quiet", "aioquic"]),
        ] {
            let done = command.output().expect("the command runs");
            assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
        File::create(ready).expect("a mark");
    }
    python
}
