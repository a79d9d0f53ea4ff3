//! Streams that are full, or were, and what they have lost by that.

use super::shipped::assert_whole;
use super::until;
use super::world::{Shard, World};
use crate::text;
use fleet::Access;

/// The stream of ledgers, as it is known to the server.
struct Stored {
    first: u64,
    bytes: u64,
}

/// Asks for the stream, after it has let go of all messages but these many of the newest, where it is to.
fn stored(world: &World, keep: Option<u64>) -> Stored {
    let access = Access::new(vec![format!("nats://{}", world.server.address())]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let link = access.connect().await.unwrap();
        let mut stream = link.jetstream().get_stream("weft-ledger").await.unwrap();
        if let Some(keep) = keep {
            stream.purge().keep(keep).await.unwrap();
        }
        let state = &stream.info().await.unwrap().state;
        Stored { first: state.first_sequence, bytes: state.bytes }
    })
}

#[test]
fn a_stream_that_fills_up_again_and_again_keeps_its_first_entries() {
    let Some(mut world) = World::new("full", &["--ledger-bytes", "100000"]) else { return };
    let mut shard = Shard::open(&world);
    shard.append(100);
    let agent = world.agent();
    world.until_shipped(1, 100);
    shard.append(3_000);
    for limit in [100_000, 170_001, 300_000_u64] {
        world.ask(&["setup", "--ledger-bytes", &limit.to_string()]);
        agent.until_told(&format!("of its {limit} bytes"));
        let Stored { first, bytes } = stored(&world, None);
        // The margin is an eighth, and no message is as long as another.
        assert!(
            first == 1 && bytes <= limit / 8 * 7 + 7 && bytes > limit / 4 * 3,
            "{first}, {bytes} of {limit}"
        );
        let (told, status) = world.verify();
        assert_eq!(status, Some(0), "{told:#}");
    }
    until("the reason in the status", || {
        let stalled = &world.status()?["shards"][0]["stalled"];
        stalled.as_str()?.contains("weft fleet setup --ledger-bytes").then_some(())
    });
    // A server that begins anew holds what it has to the limit.
    world.server.kill();
    world.server.restart();
    assert_eq!(stored(&world, None).first, 1);
    world.ask(&["setup", "--ledger-bytes", "100M"]);
    world.until_shipped(1, 3_100);
    assert_whole(&world, &[3_100]);
    assert!(!agent.told().contains("maximum bytes"), "the server had to refuse:\n{}", agent.told());
    agent.stop();
}

#[test]
fn several_hosts_that_fill_a_stream_at_once_keep_its_first_entries() {
    let Some(mut world) = World::new("together", &["--ledger-bytes", "400000"]) else { return };
    let mut shard = Shard::open(&world);
    shard.append(2_000);
    let hosts: Vec<String> = (2..10).map(|number| format!("h{number}.example")).collect();
    let agents: Vec<_> = hosts.iter().map(|host| world.agent_of(host)).collect();
    agents.iter().for_each(|agent| agent.until_told("of its 400000 bytes"));
    let Stored { first, bytes } = stored(&world, None);
    assert!(first == 1 && bytes <= 400_000 && bytes > 340_000, "{first}, {bytes}");
    // None has come to its checkpoint.
    let output = world.try_ask(&["ledger", "verify", "--host", &hosts[0], "--key", &world.path("key.pub")]);
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("none is signed for yet"), "{told}");
    world.ask(&["setup", "--ledger-bytes", "100M"]);
    for (host, agent) in hosts.iter().zip(agents) {
        world.until_shipped_by(host, 1, 2_000);
        assert!(!agent.told().contains("maximum bytes"), "the server had to refuse:\n{}", agent.told());
        agent.stop();
    }
    assert_eq!(stored(&world, None).first, 1);
}
