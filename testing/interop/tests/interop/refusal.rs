//! What is refused, told at once to the program, and never seen by the other side.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use interop::world::{HOST_V4, HOST_V6, METADATA_V4, OTHER_V4, OTHER_V6, PRIVATE_V4, PRIVATE_V6, SITE_V4};
use interop::{Way, Witness, World, in_every_way, needs};

use crate::probe::{probe, result};

in_every_way! {
    an_address_that_no_rule_allows_is_refused_at_once => addresses;
}

fn addresses(way: Way) {
    needs!["python3", "ping"];
    let world = World::new();
    let witnesses =
        [Witness::at(&world.internet, (OTHER_V4, 80)), Witness::at(&world.internet, (OTHER_V6, 80))];
    let targets =
        ["tcp 203.0.113.90 80", "tcp 2001:db8::90 80", "udp 203.0.113.90 80", "udp 2001:db8::90 80"];
    // In the network inside, where nobody has them.
    let near = ["tcp 10.0.2.77 80", "tcp fd00:2::77 80", "udp 10.0.2.77 80", "udp fd00:2::77 80"];
    let outcome = probe(&world, world.weft_as(way).allow("one.test:80"), &[targets, near].concat());
    assert!(outcome.took < Duration::from_secs(3), "told at once, not by a timer:\n{outcome}");
    // A reset is ECONNREFUSED; "administratively prohibited" is EHOSTUNREACH of IPv4 (RFC 1812 §5.2.7.1, code 13), EACCES
    // of IPv6 (RFC 4443 §3.1, code 1).
    for targets in [targets, near] {
        for (target, expected) in
            targets.iter().zip(["ECONNREFUSED", "ECONNREFUSED", "EHOSTUNREACH", "EACCES"])
        {
            assert_eq!(result(&outcome, target), expected, "{target}:\n{outcome}");
        }
    }
    for target in ["203.0.113.90", "2001:db8::90", "10.0.2.77", "fd00:2::77"] {
        let outcome = world.weft_as(way).output(&["ping", "-n", "-c", "1", "-W", "5", target]).failed();
        assert!(outcome.stdout.contains("filtered") || outcome.stdout.contains("rohibited"), "{outcome}");
        assert!(outcome.stderr.contains("refused ping["), "named by its process:\n{outcome}");
    }
    assert!(witnesses.iter().all(|witness| witness.seen() == 0), "{outcome}");
}

#[test]
fn an_address_that_a_rule_allows_is_reached_on_its_port_alone() {
    needs!["python3"];
    let world = World::new();
    let other = Witness::at(&world.internet, (OTHER_V4, 81));
    let _allowed =
        [Witness::at(&world.internet, (OTHER_V4, 80)), Witness::at(&world.internet, (OTHER_V6, 80))];
    let run = world.weft().allow("203.0.113.90:80").allow("tcp://[2001:db8::90]:80");
    let targets = ["tcp 203.0.113.90 80", "tcp 2001:db8::90 80", "udp 203.0.113.90 80"];
    let also = ["udp 2001:db8::90 80", "tcp 203.0.113.90 81"];
    let outcome = probe(&world, run, &[&targets[..], &also].concat());
    for target in targets {
        assert_eq!(result(&outcome, target), "reached reached", "{target}:\n{outcome}");
    }
    assert_eq!(result(&outcome, also[0]), "EACCES", "{outcome}");
    assert_eq!(result(&outcome, also[1]), "ECONNREFUSED", "{outcome}");
    assert_eq!(other.seen(), 0);
}

#[test]
fn deny_wins_over_allow() {
    needs!["python3"];
    let world = World::new();
    world.name("a.one.test");
    world.name("b.one.test");
    let _witness = Witness::at(&world.internet, (SITE_V4, 80));
    let other = Witness::at(&world.internet, (OTHER_V4, 80));
    let run =
        world.weft().allow("*.one.test:80").allow("203.0.113.0/24").deny("b.one.test").deny("203.0.113.90");
    let targets = ["tcp a.one.test 80", "tcp b.one.test 80", "tcp 203.0.113.80 80", "tcp 203.0.113.90 80"];
    let outcome = probe(&world, run, &targets);
    for (target, expected) in
        targets.iter().zip(["reached reached", "unknown", "reached reached", "ECONNREFUSED"])
    {
        assert_eq!(result(&outcome, target), expected, "{target}:\n{outcome}");
    }
    assert_eq!(other.seen(), 0);
    assert!(!world.resolver.was_asked("b.one.test"));
}

/// Addresses that a name must not lead to, each with what answers there in this world.
fn forbidden() -> Vec<(&'static str, IpAddr)> {
    let six = |text: &str| IpAddr::V6(text.parse().expect("an address"));
    vec![
        ("loopback.test", Ipv4Addr::LOCALHOST.into()),
        ("loopback-other.test", Ipv4Addr::new(127, 9, 9, 9).into()),
        ("loopback-six.test", Ipv6Addr::LOCALHOST.into()),
        ("unspecified.test", Ipv4Addr::UNSPECIFIED.into()),
        ("unspecified-six.test", Ipv6Addr::UNSPECIFIED.into()),
        ("private.test", PRIVATE_V4.into()),
        ("private-six.test", PRIVATE_V6.into()),
        ("metadata.test", METADATA_V4.into()),
        ("link-local-six.test", six("fe80::1")),
        ("own.test", HOST_V4.into()),
        ("own-six.test", HOST_V6.into()),
        ("mapped-private.test", six("::ffff:10.99.0.1")),
        ("mapped-loopback.test", six("::ffff:127.0.0.1")),
        ("mapped-metadata.test", six("::ffff:169.254.169.254")),
        ("mapped-own.test", six("::ffff:203.0.113.2")),
        ("multicast.test", Ipv4Addr::new(224, 0, 0, 1).into()),
        ("broadcast.test", Ipv4Addr::BROADCAST.into()),
        ("inside.test", Ipv4Addr::new(10, 0, 2, 2).into()),
    ]
}

#[test]
fn an_allowed_name_that_leads_to_a_private_place_is_refused() {
    needs!["python3"];
    let world = World::new();
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), PRIVATE_V6.into()];
    let mut witnesses = vec![Witness::at(&world.host, (Ipv6Addr::UNSPECIFIED, 80))];
    witnesses.extend(any.map(|address| Witness::at(&world.internet, (address, 80))));
    let names = forbidden();
    let mut run = world.weft();
    for (name, address) in &names {
        world.name_at(name, *address);
        run = run.allow(format!("{name}:80"));
    }
    let targets: Vec<String> =
        names.iter().flat_map(|(name, _)| [format!("tcp {name} 80"), format!("udp {name} 80")]).collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let outcome = probe(&world, run, &targets);
    for target in targets {
        let result = result(&outcome, target);
        assert!(
            ["ECONNREFUSED", "EHOSTUNREACH", "EACCES"].contains(&result),
            "{target} {result}:\n{outcome}"
        );
    }
    assert!(witnesses.iter().all(|witness| witness.seen() == 0), "{outcome}");
    let _ = outcome.refused(&["metadata.test", "169.254.169.254"]);
}

#[test]
fn a_private_place_is_reached_where_an_address_rule_or_a_pin_allows_it() {
    needs!["python3"];
    let world = World::new();
    let _witness = Witness::at(&world.internet, (PRIVATE_V4, 80));
    world.name_at("private.test", PRIVATE_V4);
    let target = ["tcp private.test 80"];
    let ruled = world.weft().allow("private.test:80").allow("10.99.0.0/16:80");
    let outcome = probe(&world, ruled, &target);
    assert_eq!(result(&outcome, target[0]), "reached reached", "{outcome}");
    let pinned = world.weft().allow("pinned.test:80").option("--resolve").option("pinned.test=10.99.0.1");
    let outcome = probe(&world, pinned, &["tcp pinned.test 80"]);
    assert_eq!(result(&outcome, "tcp pinned.test 80"), "reached reached", "{outcome}");
    assert!(!world.resolver.was_asked("pinned.test"));
    // A pin is a rule for its own name only.
    let pinned = world.weft().allow("private.test:80").allow("pinned.test:80");
    let outcome = probe(&world, pinned.option("--resolve").option("pinned.test=10.99.0.1"), &target);
    assert_eq!(result(&outcome, target[0]), "ECONNREFUSED", "{outcome}");
}

#[test]
fn the_hosts_loopback_is_reached_by_its_name_and_rule_alone() {
    needs!["python3"];
    let world = World::new();
    let allowed = Witness::at(&world.host, (Ipv4Addr::LOCALHOST, 8080));
    let other = Witness::at(&world.host, (Ipv4Addr::LOCALHOST, 8081));
    let targets = [
        "tcp host.weft.internal 8080",
        "tcp 10.0.2.2 8080",
        "udp host.weft.internal 8080",
        "tcp host.weft.internal 8081",
        "tcp 10.0.2.2 8081",
        "tcp 127.0.0.1 8080",
        "tcp 203.0.113.2 8080",
    ];
    let outcome = probe(&world, world.weft().allow("host.weft.internal:8080"), &targets);
    for target in &targets[..3] {
        assert_eq!(result(&outcome, target), "reached reached", "{target}:\n{outcome}");
    }
    for target in &targets[3..] {
        assert!(!result(&outcome, target).starts_with("reached"), "{target}:\n{outcome}");
    }
    assert_eq!((allowed.seen(), other.seen()), (3, 0), "{outcome}");

    let outcome = probe(&world, world.weft().allow("one.test"), &targets);
    assert!(!outcome.stdout.contains("reached"), "{outcome}");
    let outcome = probe(&world, world.weft().allow("10.0.2.2:8080"), &targets[1..2]);
    assert_eq!(result(&outcome, targets[1]), "reached reached", "{outcome}");

    // An address that is denied is denied by whichever name.
    let denied = world.weft().allow("host.weft.internal:8080").deny("127.0.0.0/8").deny("[::1]");
    let outcome = probe(&world, denied, &targets[..3]);
    assert!(!outcome.stdout.contains("reached"), "{outcome}");
    assert!(outcome.stderr.contains("127.0.0.0/8") || outcome.stderr.contains("[::1]"), "{outcome}");
    assert_eq!(allowed.seen(), 4, "{outcome}");
}

#[test]
fn an_address_of_ours_that_no_name_was_given_leads_nowhere() {
    needs!["python3"];
    let world = World::new();
    let targets = ["tcp 198.18.200.200 80", "udp 198.18.200.200 80", "tcp 10.0.2.2 80", "tcp 10.0.2.15 80"];
    let outcome = probe(&world, world.weft().allow("*.test"), &targets);
    for target in targets {
        assert!(!result(&outcome, target).starts_with("reached"), "{outcome}");
        assert_ne!(result(&outcome, target), "silent", "{outcome}");
    }
}
