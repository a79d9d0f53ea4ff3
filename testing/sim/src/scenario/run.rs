//! A case from its start until nothing is left of it.

use super::draw::Scenario;
use super::network::Cut;
use super::talk::Conversation;
use super::watch::{Tally, Watch};
use crate::world::{HostId, LinkId, World};
use stack::Memory;
use time::{Duration, Instant};

/// Without any progress for so long a case hangs: 15 timeouts that double up to two minutes are half an hour, and no
/// program rests for more than a few minutes.
const STANDSTILL_MAX: Duration = Duration::from_mins(60);
/// When the last TIME-WAIT, the last orphan and the last neighbour are forgotten.
const AFTERMATH: Duration = Duration::from_hours(2);

/// What a case came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How long it took in virtual time.
    pub span: Duration,
    /// Packets that the hosts sent.
    pub packets: u64,
    /// Bytes of payload that the hosts sent.
    pub bytes: u64,
    /// Those of them that had left before.
    pub again_bytes: u64,
    /// Packets that the links lost, alone, in runs or for want of room.
    pub lost: u64,
    /// Packets that were too big for a router's next link.
    pub too_big: u64,
}

impl Outcome {
    /// The sums of two.
    pub fn and(&self, other: &Self) -> Self {
        Self {
            span: self.span + other.span,
            packets: self.packets + other.packets,
            bytes: self.bytes + other.bytes,
            again_bytes: self.again_bytes + other.again_bytes,
            lost: self.lost + other.lost,
            too_big: self.too_big + other.too_big,
        }
    }
}

impl Scenario {
    /// Runs it.
    ///
    /// # Panics
    ///
    /// Where anything is not as it must be.
    pub fn run(&self) -> Outcome {
        let mut world = World::new(self.seed);
        let config = stack::Config { tcp_bytes_max: self.tcp_bytes_max, ..stack::Config::default() };
        let (hosts, links, routers) = self.network.build(&mut world, &config);
        world.watch();
        let start = world.now();
        let mut watch = Watch::new(self, hosts);
        let mut conversations = self.begin(&mut world, hosts, &links);
        let mut cuts = self.cuts(&mut world, &links);
        let mut progress = (0, start);
        while !self.turn(&mut world, hosts, &mut conversations, &mut watch, &mut cuts, &mut progress) {
            let idle = world.now() - progress.1;
            assert!(
                idle < STANDSTILL_MAX,
                "nothing comes about: {conversations:#?}, {}",
                told(&world, hosts)
            );
        }
        let span = world.now() - start;
        world.run_until(AFTERMATH, |world| {
            while let Some(sighting) = world.sighting() {
                watch.look(sighting);
            }
            false
        });
        assert_empty(&mut world, &hosts);
        let passages = links.iter().flat_map(|link| world.passage(*link));
        let lost = passages.map(|passage| passage.lost + passage.queue_full + passage.corrupted).sum();
        let too_big = routers.iter().map(|router| world.refusals(*router).too_big).sum();
        let Tally { packets, bytes, again_bytes, .. } = watch.finish(span);
        Outcome { span, packets, bytes, again_bytes, lost, too_big }
    }

    fn begin(&self, world: &mut World, hosts: [HostId; 2], links: &[LinkId]) -> Vec<Conversation> {
        let (first, last) = (links[0], links[links.len() - 1]);
        let pick = |(v4, v6)| if self.network.over_v6 { v6 } else { v4 };
        let addresses = [(hosts[0], first), (hosts[1], last)]
            .map(|(host, link)| pick(world.addresses(host, link).expect("joined")));
        let dies = self.network.dies();
        self.talks.iter().map(|talk| Conversation::new(world, talk, hosts, addresses, dies)).collect()
    }

    /// When which link is cut, and when it comes back.
    fn cuts(&self, world: &mut World, links: &[LinkId]) -> Vec<(Instant, LinkId, bool)> {
        let Some(Cut { hop, at, until }) = self.network.cut else { return Vec::new() };
        let start = world.now();
        let mut cuts = vec![(start + at, links[hop], true)];
        cuts.extend(until.map(|until| (start + until, links[hop], false)));
        cuts.iter().for_each(|(at, ..)| world.wake_at(*at));
        cuts
    }

    /// Lets time pass until all is over, or nothing has come about for a while; whether all is over.
    fn turn(
        &self,
        world: &mut World,
        hosts: [HostId; 2],
        conversations: &mut [Conversation],
        watch: &mut Watch,
        cuts: &mut Vec<(Instant, LinkId, bool)>,
        progress: &mut (u64, Instant),
    ) -> bool {
        world.run_until(STANDSTILL_MAX / 4, |world| {
            let now = world.now();
            cuts.retain(|&(at, link, cut)| {
                if at <= now {
                    if cut { world.cut(link) } else { world.mend(link) }
                }
                at > now
            });
            while let Some(sighting) = world.sighting() {
                watch.look(sighting);
            }
            for host in hosts {
                while let Some(event) = world.event(host) {
                    let taken = conversations.iter_mut().any(|talk| talk.note(host, &event));
                    assert!(taken || is_about_nothing(&event), "an event that nobody expects: {event:?}");
                }
            }
            // Each acts, whether the one before is over or not.
            let over =
                conversations.iter_mut().filter_map(|talk| (!talk.act(world)).then_some(())).count() == 0;
            let sum = conversations.iter().map(Conversation::progress).sum();
            if sum != progress.0 {
                *progress = (sum, now);
            }
            over
        })
    }
}

/// What a stack may still say of a connection that its owner has just let go.
const fn is_about_nothing(event: &stack::Event) -> bool {
    matches!(event, stack::Event::Tcp { .. })
}

fn told(world: &World, hosts: [HostId; 2]) -> String {
    let of = |host| format!("{:?} {:?}", world.stack_ref(host).memory(), world.stack_ref(host).counters());
    hosts.map(of).join("\n")
}

/// Nothing is held, and no deadline stands.
fn assert_empty(world: &mut World, hosts: &[HostId]) {
    for host in hosts {
        let stack = world.stack(*host);
        // What paths carry is known until the place is wanted.
        let kept = Memory { paths: 0, ..stack.memory() };
        assert_eq!(kept, Memory::default(), "{:?}", stack.counters());
        assert_eq!(stack.poll_timeout(), None, "a deadline with nothing to wait for");
    }
}
