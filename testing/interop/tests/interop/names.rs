//! The resolver inside, asked by `dig`: its own addresses for names that are allowed, nothing for others, and no other
//! resolver to be found.

use std::net::Ipv4Addr;

use interop::world::{OTHER_V4, RESOLVER_V4, SITE_V4, SITE_V6};
use interop::{Outcome, Record, Run, Way, Witness, World, in_every_way, needs};

use crate::probe::{probe, result};

in_every_way! {
    dig_is_answered_over_udp_and_tcp => over_both;
}

fn dig(run: Run<'_>, question: &str) -> Outcome {
    let words: Vec<&str> = ["dig", "+tries=1", "+timeout=5"].into_iter().chain(question.split(' ')).collect();
    run.output(&words).succeeded()
}

fn over_both(way: Way) {
    needs!["dig"];
    let world = World::new();
    world.name("one.test");
    world.name_at("one.test", SITE_V6);
    let run = || world.weft_as(way).allow("one.test:443");
    for transport in ["+notcp", "+tcp"] {
        let four = dig(run(), &format!("+short {transport} A one.test"));
        let address: Ipv4Addr = four.stdout.trim().parse().unwrap_or_else(|_| panic!("one address:\n{four}"));
        // RFC 2544 §C.2.2: 198.18.0.0/15, of which no real server is.
        assert!(address.octets()[0] == 198 && address.octets()[1] & 0xfe == 18, "{four}");
        let six = dig(run(), &format!("+short {transport} AAAA one.test"));
        assert!(six.stdout.starts_with("fd"), "{six}");
        let blocked = dig(run(), &format!("{transport} A two.test"));
        let _ = blocked.printed("status: NXDOMAIN").printed("EDE: 15");
    }
    assert!(!world.resolver.was_asked("two.test"));
}

#[test]
fn the_resolver_answers_at_its_ipv6_address_too() {
    needs!["dig"];
    let world = World::new();
    world.name("one.test");
    let run = || world.weft().allow("one.test");
    let _ = dig(run(), "@fd00:2::3 A one.test").printed("status: NOERROR");
    let _ = dig(run(), "@fd00:2::3 +tcp A two.test").printed("status: NXDOMAIN");
}

#[test]
fn a_name_of_a_wildcard_is_answered_and_its_parent_is_not() {
    needs!["dig"];
    let world = World::new();
    world.name("a.one.test");
    world.name("one.test");
    let run = || world.weft().allow("*.one.test:443");
    let _ = dig(run(), "A a.one.test").printed("status: NOERROR").printed("198.1");
    let _ = dig(run(), "A A.One.TEST").printed("status: NOERROR").printed("198.1");
    let _ = dig(run(), "A one.test").printed("status: NXDOMAIN");
    let _ = dig(run(), "A aone.test").printed("status: NXDOMAIN");
    assert!(!world.resolver.was_asked("one.test") && !world.resolver.was_asked("aone.test"));
}

#[test]
fn one_name_keeps_one_address_and_two_names_have_two() {
    needs!["dig"];
    let world = World::new();
    world.name("one.test");
    world.name("two.test");
    let run = world.weft().allow("one.test").allow("two.test");
    let outcome = run.shell("for name in one two one two; do dig +short A $name.test; done").succeeded();
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert!(
        lines.len() == 4 && lines[0] == lines[2] && lines[1] == lines[3] && lines[0] != lines[1],
        "{outcome}"
    );
}

#[test]
fn an_own_address_has_its_name_and_another_has_none() {
    needs!["dig"];
    let world = World::new();
    world.name("one.test");
    world.name_at("one.test", SITE_V6);
    let script = "dig +short -x $(dig +short A one.test); dig +short -x $(dig +short AAAA one.test)";
    let outcome = world.weft().allow("one.test").shell(script).succeeded();
    assert_eq!(outcome.stdout, "one.test.\none.test.\n", "{outcome}");
    let _ = dig(world.weft().allow("one.test"), "-x 203.0.113.80").printed("status: NXDOMAIN");
    assert!(!world.resolver.was_asked("80.113.0.203.in-addr.arpa"));
}

#[test]
fn a_service_binding_comes_without_addresses_and_without_encrypted_client_hello() {
    needs!["dig"];
    let world = World::new();
    world.name("one.test");
    // RFC 9460 §7: alpn 1, ipv4hint 4, ech 5.
    let parameters = vec![
        (1, b"\x02h2\x02h3".to_vec()),
        (4, SITE_V4.octets().to_vec()),
        (5, b"\x00\x04\xfe\x0d\x00\x00".to_vec()),
    ];
    world.resolver.add("one.test", Record::Https(1, ".".to_owned(), parameters));
    let outcome = dig(world.weft().allow("one.test"), "+short HTTPS one.test");
    assert!(outcome.stdout.contains("alpn=\"h2,h3\""), "{outcome}");
    assert!(!outcome.stdout.contains("ech=") && !outcome.stdout.contains("203.0.113"), "{outcome}");
    let _ =
        dig(world.weft().allow("one.test"), "HTTPS two.test").printed("status: NXDOMAIN").printed("EDE: 15");
    assert!(!world.resolver.was_asked("two.test"));
}

#[test]
fn a_long_answer_is_truncated_over_udp_and_whole_over_tcp() {
    needs!["dig"];
    let world = World::new();
    world.name("one.test");
    for service in 0..24 {
        let protocols = format!("\x1eprotocol-number-{service:02}-of-twenty-4").into_bytes();
        world.resolver.add("one.test", Record::Https(1, ".".to_owned(), vec![(1, protocols)]));
    }
    let run = || world.weft().allow("one.test");
    let outcome = dig(run(), "+noedns +ignore HTTPS one.test");
    let flags = outcome.stdout.lines().find(|line| line.contains("flags:")).expect("a header");
    assert!(flags.contains(" tc "), "{outcome}");
    let outcome = dig(run(), "+noedns +short HTTPS one.test");
    assert_eq!(outcome.stdout.lines().count(), 24, "{outcome}");
}

#[test]
fn a_name_that_is_another_is_followed_to_its_end() {
    needs!["dig", "python3"];
    let world = World::new();
    let _witness = Witness::at(&world.internet, (SITE_V4, 80));
    world.resolver.add("www.test", Record::Cname("edge.cdn.test".to_owned()));
    world.resolver.add("edge.cdn.test", Record::Cname("node.cdn.test".to_owned()));
    world.name("node.cdn.test");
    let outcome =
        probe(&world, world.weft().allow("www.test:80"), &["tcp www.test 80", "tcp node.cdn.test 80"]);
    assert_eq!(result(&outcome, "tcp www.test 80"), "reached reached", "{outcome}");
    assert_eq!(result(&outcome, "tcp node.cdn.test 80"), "unknown", "{outcome}");
}

#[test]
fn the_hosts_own_resolver_is_used_where_none_is_named() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    let _witness = Witness::at(&world.internet, (SITE_V4, 80));
    let outcome = probe(&world, world.weft().with_host_resolver().allow("one.test:80"), &["tcp one.test 80"]);
    assert_eq!(result(&outcome, "tcp one.test 80"), "reached reached", "{outcome}");
    assert!(world.resolver.was_asked("one.test"));
}

#[test]
fn no_other_resolver_is_found() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    let witnesses = [
        Witness::at(&world.internet, (RESOLVER_V4, 853)),
        Witness::at(&world.internet, (OTHER_V4, 53)),
        Witness::at(&world.internet, (OTHER_V4, 443)),
    ];
    let targets = [
        "tcp 203.0.113.53 853",
        "tcp 10.0.2.3 853",
        "tcp 10.0.2.3 443",
        "udp 203.0.113.53 853",
        "udp 203.0.113.53 53",
        "tcp 203.0.113.53 53",
        "udp 203.0.113.90 53",
        "tcp 203.0.113.90 53",
        "tcp 203.0.113.90 443",
    ];
    let outcome = probe(&world, world.weft().allow("one.test"), &targets);
    for target in targets {
        let expected = if target.starts_with("tcp") { "ECONNREFUSED" } else { "EHOSTUNREACH" };
        assert_eq!(result(&outcome, target), expected, "{target}:\n{outcome}");
    }
    assert!(witnesses.iter().all(|witness| witness.seen() == 0), "{outcome}");
    assert!(
        world.resolver.asked().iter().all(|question| question.name == "one.test"),
        "{:?}",
        world.resolver.asked()
    );
}

#[test]
fn multicast_resolution_finds_nothing() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    // Each datagram is a question for one.test. The ordinary resolver is asked last: by its answer the others would be here.
    let program = r"
import select, socket
question = bytes.fromhex('000100000001000000000000') + b'\x03one\x04test\x00\x00\x01\x00\x01'
places = [(socket.AF_INET, '224.0.0.251', 5353), (socket.AF_INET, '224.0.0.252', 5355),
          (socket.AF_INET6, 'ff02::fb', 5353), (socket.AF_INET6, 'ff02::1:3', 5355)]
asked = []
for family, address, port in places:
    s = socket.socket(family, socket.SOCK_DGRAM)
    try:
        s.sendto(question, (address, port))
    except OSError as error:
        print(address, error)
    asked.append(s)
print('known', socket.gethostbyname('one.test'))
answered = select.select(asked, [], [], 0)[0]
for s in answered:
    try:
        print('answered', s.recvfrom(512))
    except OSError as error:
        print('error', error)
";
    let outcome =
        world.weft().allow("one.test").output(&["python3", "-c", program]).succeeded().printed("known 198.1");
    assert!(!outcome.stdout.contains("answered"), "{outcome}");
}
