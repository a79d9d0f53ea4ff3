//! Streams that are full, or were, and what they have lost by that.

use super::server::wait_for_duplicates_to_be_taken;
use super::shipped::assert_whole;
use super::until;
use super::world::{Shard, World};
use crate::text;
use fleet::Access;
use std::fs;
use std::path::{Path, PathBuf};

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

#[test]
fn an_agent_that_knows_nothing_finds_that_the_oldest_entries_are_gone() {
    let Some(mut world) = World::new("unknown", &["--duplicate-window", "100ms"]) else { return };
    let mut shard = Shard::open(&world);
    let agent = world.agent();
    for count in [1_500, 3_000] {
        shard.append(1_500);
        world.until_shipped(1, count);
    }
    agent.stop();
    // All that it knows is what it asks the stream for, and then the first entries go.
    fs::remove_dir_all(world.folder.join("agent")).unwrap();
    wait_for_duplicates_to_be_taken(world.server.address());
    let agent = world.agent();
    shard.append(10);
    world.until_shipped(1, 3_010);
    wait_for_duplicates_to_be_taken(world.server.address());
    assert!(stored(&world, Some(1_800)).first > 1);
    assert_eq!(world.verify().0["wrong"], "missing");
    world.server.kill();
    world.server.restart();
    agent.until_told("the stream has lost");
    world.until_shipped(1, 3_010);
    assert_whole(&world, &[3_010]);
    agent.stop();
    // They go while there is no agent.
    fs::remove_dir_all(world.folder.join("agent")).unwrap();
    wait_for_duplicates_to_be_taken(world.server.address());
    stored(&world, Some(500));
    let agent = world.agent();
    agent.until_told("the stream has lost");
    until("it in the status", || (world.status()?["shards"][0]["lost_ns"].as_u64()? > 0).then_some(()));
    world.until_shipped(1, 3_010);
    assert_whole(&world, &[3_010]);
    agent.stop();
}

#[test]
fn what_is_shipped_anew_waits_for_the_servers_window_however_often_it_is_asked() {
    let Some(mut world) = World::new("window", &[]) else { return };
    let mut shard = Shard::open(&world);
    shard.append(1_500);
    let agent = world.agent();
    world.until_shipped(1, 1_500);
    agent.stop();
    // So that the first batch begins with what is gone, and ends with what the server takes for what comes twice.
    assert!(stored(&world, Some(1_100)).first > 1);
    let mut agent = world.agent();
    agent.until_told("the stream has lost");
    for _ in 0..2 {
        agent.until_told("until its duplicate window is over");
        agent.kill();
        agent = world.agent();
    }
    agent.until_told("until its duplicate window is over");
    world.ask(&["setup", "--duplicate-window", "100ms"]);
    world.until_shipped(1, 1_500);
    assert_whole(&world, &[1_500]);
    agent.stop();
}

/// What an account may store, only the server sees: it stores what is more and takes it back.
#[test]
fn a_stream_whose_account_is_full_keeps_its_first_entries() {
    fn configure(folder: &Path, limit: &str) -> Option<PathBuf> {
        let path = folder.join("limits.conf");
        let account =
            format!("jetstream: {{ max_file: {limit} }}, users: [{{ user: host, password: host }}]");
        fs::write(&path, format!("accounts: {{ HOSTS: {{ {account} }} }}\nno_auth_user: host\n")).unwrap();
        Some(path)
    }
    let Some(mut world) = World::bare("account", |folder| configure(folder, "300K")) else { return };
    world.ask(&["setup"]);
    let mut shard = Shard::open(&world);
    shard.append(500);
    let agent = world.agent();
    world.until_shipped(1, 500);
    shard.append(3_000);
    agent.until_told("resource limits exceeded");
    assert_eq!(stored(&world, None).first, 1);
    // The batch came in part, and again.
    let (told, status) = world.verify();
    assert_eq!((status, &told["entries"]), (Some(0), &500.into()), "{told:#}");
    world.server.kill();
    configure(&world.folder, "100M");
    world.server.restart();
    world.until_shipped(1, 3_500);
    assert_whole(&world, &[3_500]);
    assert!(!agent.told().contains("has lost"), "nothing was lost:\n{}", agent.told());
    agent.stop();
}
