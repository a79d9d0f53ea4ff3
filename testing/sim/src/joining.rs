//! Worlds of more than one link: routers, links that are not the same both ways, and who reaches whom by which.

use crate::link::Link;
use crate::router::{Refusals, Router};
use crate::world::{HostId, LinkId, World, addresses};
use filter::Filter;
use packet::Medium;
use stack::{Prefix, Route};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A router of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouterId(pub(crate) usize);

/// What a link can end at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A host.
    Host(HostId),
    /// A router.
    Router(RouterId),
}

impl World {
    /// Adds a router. Where a packet is too big for its next link, `tells` says whether the sender hears of it.
    pub fn router(&mut self, tells: bool) -> RouterId {
        self.routers.push(Router::new(tells));
        RouterId(self.routers.len() - 1)
    }

    /// Joins two nodes by a link that may be another there than back; MTU and offloading are those of `there`. Links of
    /// routers carry IP packets without link headers. [`route`](Self::route) is to be called once all are joined.
    pub fn join(&mut self, a: Node, b: Node, there: Link, back: Link) -> LinkId {
        let bare = |link: Link| Link { medium: Medium::Ip, ..link };
        let (id, ports) = self.wire_between(bare(there), bare(back));
        for (end, (node, port)) in [a, b].into_iter().zip(ports).enumerate() {
            match node {
                Node::Host(host) => self.attach(host, id, port),
                Node::Router(router) => {
                    {
                        let mut wire = port.wire.borrow_mut();
                        wire.directions[1 - end].attached = true;
                        wire.directions[end].passed_on = true;
                    }
                    let (v4, v6) = addresses(id, end);
                    self.routers[router.0].ports.push((port, [v4, v6]));
                }
            }
        }
        self.joints.push((id, [a, b]));
        id
    }

    /// Tells every host and router the shortest way to every host.
    ///
    /// # Panics
    ///
    /// Where a host has no room for its route.
    pub fn route(&mut self) {
        let joints = self.joints.clone();
        for &(link, ends) in &joints {
            for end in ends {
                let Node::Host(host) = end else { continue };
                let (v4, v6) = self.addresses(host, link).expect("it was joined");
                for (router, via) in ways(&joints, end) {
                    let of = |port: &(crate::Port, [IpAddr; 2])| port.1[0] == addresses(via.0, via.1).0;
                    let router = &mut self.routers[router.0];
                    let port = router.ports.iter().position(of).expect("it was joined");
                    router.routes.extend([(v4, port), (v6, port)]);
                }
                let interface = self.interface(host, link).expect("it was joined");
                for destination in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()] {
                    let destination = Prefix::new(destination, 0);
                    let route = Route { destination, interface, gateway: None };
                    self.stack(host).add_route(route).expect("room for one");
                }
            }
        }
    }

    /// Lets a router judge what it passes on; the filter's interfaces are its links, in the order in which they were joined.
    pub fn set_filter(&mut self, router: RouterId, filter: Filter) {
        self.routers[router.0].filter = Some(filter);
    }

    /// What a router judges by.
    pub fn filter(&self, router: RouterId) -> Option<&Filter> {
        self.routers[router.0].filter.as_ref()
    }

    /// What a router did not pass on.
    pub fn refusals(&self, router: RouterId) -> Refusals {
        self.routers[router.0].refusals
    }
}

/// By which link, and at which end of it, each router reaches `goal` with the fewest hops.
fn ways(joints: &[(LinkId, [Node; 2])], goal: Node) -> BTreeMap<RouterId, (LinkId, usize)> {
    let mut ways = BTreeMap::new();
    let mut from = VecDeque::from([goal]);
    while let Some(node) = from.pop_front() {
        for &(link, ends) in joints {
            for (end, near) in ends.into_iter().enumerate() {
                if ends[1 - end] == node
                    && let Node::Router(router) = near
                    && !ways.contains_key(&router)
                {
                    ways.insert(router, (link, end));
                    from.push_back(near);
                }
            }
        }
    }
    ways
}
