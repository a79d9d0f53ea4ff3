//! The packet filter on hosts and on a router's way, over links that lose, delay and double.

use filter::{Config, Filter, Hook, Ruleset};
use sim::{HostId, Link, LinkId, Narrow, Node, Plan, RouterId, Transfer, World, for_each_seed};
use stack::{Binding, Event, Listen};
use std::net::SocketAddr;
use std::sync::Arc;
use tcp::{CloseReason, MtuProbing};
use time::Duration;

fn filter(rules: &str, interfaces: &[&str]) -> Filter {
    let rules = Ruleset::parse(rules).unwrap_or_else(|errors| panic!("{errors}"));
    Filter::new(rules, interfaces, Config::default(), &[7; 32]).expect("it can be obeyed")
}

/// A host inside and one outside, a router with a filter between them, and another towards the outside.
struct Site {
    world: World,
    inside: HostId,
    outside: HostId,
    firewall: RouterId,
    inner: LinkId,
    outer: LinkId,
}

const WAYS: [&str; 2] = ["inner", "outer"];

impl Site {
    fn new(seed: u64, rules: &str, inner: Link, outer: Link) -> Self {
        let mut world = World::new(seed);
        let (inside, outside) = (world.host(), world.host());
        let (firewall, far) = (world.router(true), world.router(true));
        let join = |world: &mut World, a, b, link: Link| world.join(a, b, link.clone(), link);
        let inner = join(&mut world, Node::Host(inside), Node::Router(firewall), inner);
        join(&mut world, Node::Router(firewall), Node::Router(far), Link::default());
        let outer = join(&mut world, Node::Router(far), Node::Host(outside), outer);
        world.route();
        world.set_filter(firewall, filter(rules, &WAYS));
        Self { world, inside, outside, firewall, inner, outer }
    }

    /// Whether a transfer that the inside starts is done in time.
    fn transfers(&mut self, plan: &Plan, span: Duration) -> bool {
        let mut transfer = Transfer::start(&mut self.world, self.inside, self.outside, self.outer, plan);
        let done = self.world.run_until(span, |world| transfer.poll(world));
        transfer.release(&mut self.world);
        done
    }

    /// What becomes of a connection that the outside opens, after so long.
    fn opens_from_outside(&mut self, span: Duration) -> Option<tcp::Event> {
        let listen = Listen { binding: Binding::Port(80), defer: false, backlog: 8, config: Arc::default() };
        self.world.stack(self.inside).tcp_listen(listen).expect("the port is free");
        let (address, _) = self.world.addresses(self.inside, self.inner).expect("it is on the link");
        let now = self.world.now();
        let remote = SocketAddr::new(address, 80);
        let opened = self.world.stack(self.outside).tcp_connect(None, remote, Arc::default(), now);
        let opened = opened.expect("there is a way");
        let mut told = None;
        self.world.run_until(span, |_| false);
        while let Some(event) = self.world.event(self.outside) {
            match event {
                Event::Tcp { connection, event } if connection == opened => told = told.or(Some(event)),
                _ => {}
            }
        }
        told
    }
}

/// Out is free, and back comes what was asked for.
const ONE_WAY: &str =
    "forward default drop\n accept state established, related\n accept on inner state new\n";

fn lossy(seed: u64) -> Link {
    let delay = Duration::from_millis(1 + seed % 7);
    Link { loss_ppm: 20_000, duplicate_ppm: 10_000, delay, ..Link::default() }
}

#[test]
fn what_was_asked_for_comes_back_through_the_firewall_and_nothing_else() {
    for_each_seed(20, |seed| {
        let mut site = Site::new(seed, ONE_WAY, Link::default(), lossy(seed));
        let plan = Plan { over_v6: seed % 2 == 1, ..Plan::default() };
        assert!(site.transfers(&plan, Duration::from_secs(120)), "seed {seed}");
        assert_eq!(site.opens_from_outside(Duration::from_secs(20)), None, "seed {seed}: its SYNs vanish");
        let filter = site.world.filter(site.firewall).expect("one is set");
        assert!(filter.default_counter(Hook::Forward).packets > 0);
        assert_eq!(
            site.world.refusals(site.firewall).filtered,
            filter.default_counter(Hook::Forward).packets
        );
    });
}

#[test]
fn who_is_rejected_is_told_at_once() {
    let rules = ONE_WAY.replace("default drop", "default reject");
    let mut site = Site::new(1, &rules, Link::default(), Link::default());
    let told = site.opens_from_outside(Duration::from_secs(1));
    assert_eq!(told, Some(tcp::Event::Closed(CloseReason::Unreachable)));
}

#[test]
fn a_routers_word_about_a_connection_passes_as_related() {
    let config = Arc::new(tcp::Config { mtu_probing: MtuProbing::Off, ..tcp::Config::default() });
    for over_v6 in [false, true] {
        let narrow = Link { narrow: Some(Narrow { mtu: 1_300, tells: true }), ..Link::default() };
        let plan = Plan { upload_bytes: 300_000, over_v6, config: config.clone(), ..Plan::default() };
        let mut site = Site::new(1, ONE_WAY, Link::default(), narrow.clone());
        assert!(site.transfers(&plan, Duration::from_secs(60)));
        // Where it does not pass, large packets vanish without a word.
        let mut site = Site::new(1, &ONE_WAY.replace(", related", ""), Link::default(), narrow);
        assert!(!site.transfers(&plan, Duration::from_secs(60)));
    }
}

#[test]
fn a_host_that_lets_nobody_in_still_gets_every_byte_that_it_asked_for() {
    let rules = "receive default drop\n drop state invalid\n accept state established, related\nsend default accept\n";
    for_each_seed(40, |seed| {
        let mut world = World::new(seed);
        let hosts = [world.host(), world.host()];
        let link = world.link(hosts[0], hosts[1], lossy(seed));
        world.stack(hosts[0]).set_filter(Some(filter(rules, &["link"])));
        let plan = Plan { over_v6: seed % 2 == 1, ..Plan::default() };
        let mut transfer = Transfer::start(&mut world, hosts[0], hosts[1], link, &plan);
        let done = world.run_until(Duration::from_secs(120), |world| transfer.poll(world));
        assert!(done, "seed {seed}: read {:?}", transfer.read_bytes());
        let filter = world.stack_ref(hosts[0]).filter().expect("one is set");
        assert_eq!(filter.default_counter(Hook::Receive).packets, 0, "seed {seed}: all of it was asked for");
    });
}

#[test]
fn connections_come_in_at_the_rate_that_a_limit_lets_them() {
    let rules = "receive default accept\n limit 5/second burst 10 per source tcp flags syn/syn,ack\n";
    let mut world = World::new(1);
    let (client, server) = (world.host(), world.host());
    let link = world.link(client, server, Link::default());
    world.stack(server).set_filter(Some(filter(rules, &["link"])));
    let listen = Listen { binding: Binding::Port(80), defer: false, backlog: 200, config: Arc::default() };
    world.stack(server).tcp_listen(listen).expect("the port is free");
    let (address, _) = world.addresses(server, link).expect("it is on the link");
    let now = world.now();
    for _ in 0..40 {
        let remote = SocketAddr::new(address, 80);
        world.stack(client).tcp_connect(None, remote, Arc::default(), now).expect("there is a way");
    }
    let mut accepted = 0;
    let mut count = |world: &mut World| {
        while let Some(event) = world.event(server) {
            accepted += usize::from(matches!(event, Event::TcpAccepted { .. }));
        }
        accepted
    };
    world.run_for(Duration::from_millis(900));
    assert_eq!(count(&mut world), 10, "the burst; the others are tried again after a second");
    world.run_for(Duration::from_secs(120));
    assert_eq!(count(&mut world), 40);
    assert!(world.stack_ref(server).counters().dropped(stack::Drop::FilterLimited) >= 30);
}
