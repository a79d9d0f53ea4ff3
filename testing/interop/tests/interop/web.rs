//! Programs that speak HTTP: each reaches the name that is allowed, and not the other name on the same address.

use std::process::Command;

use interop::peers::nginx;
use interop::server::Server;
use interop::world::{SITE_V4, SITE_V6};
use interop::{Attach, Echo, Run, User, Way, World, in_every_way, needs, programs};

in_every_way! {
    curl_reaches_the_allowed_of_two_names => curl;
}

/// nginx with two names on one address, of which the first is allowed.
struct Sites {
    world: World,
    authority: String,
    _server: Server,
}

impl Sites {
    fn new() -> Self {
        let world = World::new();
        world.name("one.test");
        world.name("two.test");
        let server = nginx::serve(&world, &["one.test", "two.test"]);
        let authority = world.authority().certificate().to_str().expect("a path in UTF-8").to_owned();
        Self { world, authority, _server: server }
    }

    fn run(&self, way: Way) -> Run<'_> {
        self.world.weft_as(way).allow("one.test:443")
    }
}

fn curl(way: Way) {
    needs!["curl", "nginx", "openssl"];
    let sites = Sites::new();
    let command = |url| ["curl", "-sS", "--cacert", &sites.authority, url];
    let _ = sites.run(way).output(&command("https://one.test/")).succeeded().printed("this is one.test");
    let refused = sites.run(way).output(&command("https://two.test/")).exited(6);
    assert!(!sites.world.resolver.was_asked("two.test"), "{refused}");
}

#[test]
fn curl_reaches_a_name_with_ipv6_alone() {
    needs!["curl", "nginx", "openssl"];
    let world = World::new();
    world.name_at("six.test", SITE_V6);
    let _server = nginx::serve(&world, &["six.test"]);
    let _ = world
        .weft()
        .allow("six.test:80")
        .output(&["curl", "-sS", "http://six.test/"])
        .succeeded()
        .printed("this is six.test");
}

#[test]
fn curl_reaches_a_name_whose_ipv6_address_does_not_answer() {
    needs!["curl", "nginx", "openssl"];
    let world = World::new();
    // No one has this neighbour's address, so a connection to it hangs: RFC 8305 goes on with IPv4 long before.
    world.name_at("both.test", "2001:db8::dead".parse::<std::net::Ipv6Addr>().expect("an address"));
    world.name_at("both.test", SITE_V4);
    let _server = nginx::serve(&world, &["both.test"]);
    let run = world.weft().allow("both.test:80");
    let _ = run
        .output(&["curl", "-sS", "-m", "10", "http://both.test/"])
        .succeeded()
        .printed("this is both.test");
}

#[test]
fn curl_reaches_a_name_whose_ipv4_address_does_not_answer() {
    needs!["curl", "nginx", "openssl"];
    let world = World::new();
    world.name_at("both.test", "203.0.113.222".parse::<std::net::Ipv4Addr>().expect("an address"));
    world.name_at("both.test", SITE_V6);
    let _server = nginx::serve(&world, &["both.test"]);
    let run = world.weft().allow("both.test:80");
    let _ = run
        .output(&["curl", "-4", "-sS", "-m", "10", "http://both.test/"])
        .succeeded()
        .printed("this is both.test");
}

#[test]
fn wget_reaches_the_allowed_of_two_names() {
    needs!["wget", "nginx", "openssl"];
    let sites = Sites::new();
    let trust = format!("--ca-certificate={}", sites.authority);
    let command = |url| ["wget", "-q", "-t", "1", "-O", "-", &trust, url];
    let way = Way::default();
    let _ = sites.run(way).output(&command("https://one.test/")).succeeded().printed("this is one.test");
    // 4 is wget's status for a failure of the network.
    let _ = sites.run(way).output(&command("https://two.test/")).exited(4);
    assert!(!sites.world.resolver.was_asked("two.test"));
}

#[test]
fn pythons_urllib_reaches_the_allowed_of_two_names() {
    needs!["python3", "nginx", "openssl"];
    let sites = Sites::new();
    let program = "
import ssl, sys, urllib.error, urllib.request
trust = ssl.create_default_context(cafile=sys.argv[1])
print(urllib.request.urlopen('https://one.test/', context=trust).read().decode())
try:
    urllib.request.urlopen('https://two.test/', context=trust)
except urllib.error.URLError as error:
    print('two:', error.reason)
";
    let run = sites.run(Way::default());
    let outcome = run.output(&["python3", "-c", program, &sites.authority]).succeeded();
    let _ = outcome.printed("this is one.test").printed("two: [Errno -2] Name or service not known");
}

#[test]
fn nodes_fetch_reaches_the_allowed_of_two_names() {
    needs!["node", "nginx", "openssl"];
    let sites = Sites::new();
    let program = "
(async () => {
  console.log(await (await fetch('https://one.test/')).text());
  await fetch('https://two.test/').catch((error) => console.log('two:', error.cause.code));
})();
";
    let run = sites.run(Way::default()).variable("NODE_EXTRA_CA_CERTS", &*sites.authority);
    let _ = run
        .output(&["node", "-e", program])
        .succeeded()
        .printed("this is one.test")
        .printed("two: ENOTFOUND");
}

#[test]
fn javas_client_reaches_the_allowed_of_two_names() {
    needs!["java", "nginx", "openssl"];
    let world = World::new();
    world.name("one.test");
    let _server = nginx::serve(&world, &["one.test", "two.test"]);
    let program = world.write(
        "Fetch.java",
        r#"
import java.net.*;
public class Fetch {
    public static void main(String[] names) throws Exception {
        for (String name : names) {
            try (var body = new URL("http://" + name + "/").openStream()) {
                System.out.print(new String(body.readAllBytes()));
            } catch (UnknownHostException error) {
                System.out.println("unknown " + error.getMessage());
            }
        }
    }
}
"#,
    );
    let program = program.to_str().expect("a path in UTF-8");
    let run = world.weft().allow("one.test:80");
    let outcome =
        run.output(&["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", program, "one.test", "two.test"]);
    let _ = outcome.succeeded().printed("this is one.test").printed("unknown two.test");
}

#[test]
fn a_go_program_reaches_the_allowed_of_two_names() {
    needs!["go", "nginx", "openssl"];
    let sites = Sites::new();
    let source = sites.world.write("fetch.go", include_str!("fetch.go"));
    let program = sites.world.directory().join("fetch");
    // Static, with Go's own resolver: nothing of it is the C library's.
    let built = Command::new(programs::path("go"))
        .args(["build", "-o"])
        .args([&program, &source])
        .envs([("CGO_ENABLED", "0"), ("GO111MODULE", "off")])
        .env("GOCACHE", sites.world.directory().join("go-cache"))
        .output()
        .expect("go runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let program = program.to_str().expect("a path in UTF-8");
    for attach in [Attach::Tap, Attach::Veth] {
        for user in [User::Root, User::Ordinary] {
            let command = [program, &sites.authority, "https://one.test/", "https://two.test/"];
            let outcome = sites.run(Way { user, attach }).output(&command).succeeded();
            let _ = outcome.printed("this is one.test").printed("lookup two.test").refused(&["two.test"]);
        }
    }
    assert!(!sites.world.resolver.was_asked("two.test"));
}

#[test]
fn a_static_program_connects_to_a_name_and_to_an_address() {
    needs!["musl-gcc"];
    let world = World::new();
    world.name("one.test");
    Echo::tcp(&world.internet, (SITE_V4, 7));
    let source = world.write("connect.c", include_str!("connect.c"));
    let program = world.directory().join("connect");
    let done = Command::new(programs::path("musl-gcc"))
        .args(["-static", "-O1", "-o"])
        .arg(&program)
        .arg(&source)
        .output();
    let done = done.expect("musl-gcc runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let program = program.to_str().expect("a path in UTF-8");
    let address = SITE_V4.to_string();

    let run = || world.weft().allow("one.test:7").allow(format!("{address}:7"));
    let _ = run().output(&[program, "one.test", "7"]).succeeded().printed("one.test: echoed");
    let _ = run().output(&[program, &address, "7"]).succeeded().printed(&format!("{address}: echoed"));
    let _ = run().output(&[program, &address, "8"]).exited(1).told("Connection refused");
    let _ = run().output(&[program, "two.test", "7"]).exited(1).told("two.test: ");
}
