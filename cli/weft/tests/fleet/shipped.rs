//! Ledgers on their way into the stream.

use super::server::{publish, wait_for_duplicates_to_be_taken};
use super::world::{HOST, Shard, World};
use super::{text, until};
use ledger::directory::Directory;
use ledger::{Event, LogConfig, RunEnd, ShardNumber, WriterConfig, shards};
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::Value;
use std::fs;

/// How often everything is killed at any moment.
const ROUNDS: u64 = 8;

/// A number below a bound, another each time: moments are to be any.
fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    assert_eq!(getrandom(&mut bytes[..], GetRandomFlags::empty()), Ok(8));
    u64::from_ne_bytes(bytes) % below
}

/// The stream has exactly the ledger's entries, each once.
pub fn assert_whole(world: &World, shards: &[u64]) -> Value {
    let (told, status) = world.verify();
    assert_eq!(status, Some(0), "{told:#}");
    for (shard, count) in shards.iter().enumerate() {
        let shipped = &told["shards"][shard];
        assert_eq!(
            (shipped["first"].as_u64(), shipped["next"].as_u64()),
            (Some(0), Some(*count)),
            "{told:#}"
        );
    }
    assert_eq!(told["stream"]["unsigned"], 0);
    // What comes out is what went in, byte for byte.
    let copy = world.path("copy");
    let _ = fs::remove_dir_all(&copy);
    world.ask(&["ledger", "fetch", "--host", HOST, "-o", &copy]);
    let entries = |path: String| -> Vec<(u64, u64, Vec<u8>)> {
        let source = Directory::open(path);
        let ledger = shards::Shards::open(&source, None).unwrap();
        let entries = ledger.entries(|_| 0..u64::MAX).map(Result::unwrap);
        let mut entries: Vec<_> =
            entries.map(|entry| (entry.shard.number(), entry.record.sequence, entry.record.bytes)).collect();
        entries.sort();
        entries
    };
    let (out, into) = (entries(copy), entries(world.path("ledger")));
    let counts = (out.len(), into.len());
    assert!(out == into, "other entries came out than went in, of {counts:?}");
    told
}

#[test]
fn nothing_is_lost_or_doubled_whoever_is_killed_at_any_moment() {
    let Some(mut world) = World::new("killed", &[]) else { return };
    let mut shard = Shard::open(&world);
    let mut agent = Some(world.agent());
    for round in 0..ROUNDS {
        for _ in 0..4 {
            shard.append(1 + random(900));
        }
        // At any moment of what is begun by now: the pause is the event.
        std::thread::park_timeout(std::time::Duration::from_micros(random(300_000)));
        if round % 2 == 0 {
            agent.take().unwrap().kill();
            agent = Some(world.agent());
        } else {
            world.server.kill();
            shard.append(1 + random(900));
            world.server.restart();
        }
    }
    let count = shard.count;
    world.until_shipped(1, count);
    assert_whole(&world, &[count]);
    let agent = agent.unwrap();
    until("the status", || {
        let told = world.status()?;
        (told["shards"][0]["shipped"] == count && told["condition"] == "running").then_some(())
    });
    agent.stop();
}

#[test]
fn a_partition_and_a_full_stream_delay_and_lose_nothing() {
    let Some(mut world) = World::new("partition", &["--ledger-bytes", "300K"]) else { return };
    // What is not told stays as it was told.
    world.ask(&["setup", "--policy-history", "3"]);
    let mut shard = Shard::open(&world);
    shard.append(500);
    let direct = world.access.clone();
    let proxy = world.proxy();
    let agent = world.agent();
    world.access = direct;
    world.until_shipped(1, 500);
    proxy.open(false);
    // The writer does not wait for any of it.
    shard.append(3_000);
    agent.until_told("timed out");
    proxy.open(true);
    // There is not enough room for all of them.
    agent.until_told("is full");
    until("the reason in the status", || {
        let stalled = &world.status()?["shards"][0]["stalled"];
        stalled.as_str()?.contains("is full").then_some(())
    });
    let (told, status) = world.verify();
    assert_eq!(status, Some(0), "what is there verifies: {told}");
    world.ask(&["setup", "--ledger-bytes", "100M"]);
    world.until_shipped(1, 3_500);
    agent.until_told("shipped again");
    assert_whole(&world, &[3_500]);
    agent.stop();
}

#[test]
fn a_limit_below_what_is_stored_is_refused_and_nothing_goes() {
    let Some(mut world) = World::new("limit", &[]) else { return };
    let mut shard = Shard::open(&world);
    shard.append(1_000);
    let agent = world.agent();
    world.until_shipped(1, 1_000);
    let output = world.try_ask(&["setup", "--ledger-bytes", "10K"]);
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{told}");
    assert!(told.contains("weft-ledger holds ") && told.contains("a limit of 10000"), "{told}");
    assert_whole(&world, &[1_000]);
    agent.stop();
}

#[test]
fn a_stream_that_lost_its_oldest_entries_is_filled_again() {
    let Some(mut world) = World::new("oldest", &["--duplicate-window", "100ms"]) else { return };
    let mut shard = Shard::open(&world);
    let agent = world.agent();
    for count in [2_000, 4_000] {
        shard.append(2_000);
        world.until_shipped(1, count);
    }
    wait_for_duplicates_to_be_taken(world.server.address());
    let access = fleet::Access::new(vec![world.access[1].clone()]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let link = access.connect().await.unwrap();
        let stream = link.jetstream().get_stream("weft-ledger").await.unwrap();
        stream.purge().keep(1_500).await.unwrap();
    });
    assert_eq!(world.verify().0["wrong"], "missing");
    // A connection comes anew, and the agent looks.
    world.server.kill();
    world.server.restart();
    agent.until_told("the stream has lost");
    world.until_shipped(1, 4_000);
    assert_whole(&world, &[4_000]);
    until("it in the status", || (world.status()?["shards"][0]["lost_ns"].as_u64()? > 0).then_some(()));
    agent.stop();
}

#[test]
fn one_agent_ships_a_ledger_and_tells_where_there_is_none() {
    let Some(mut world) = World::new("one", &[]) else { return };
    let agent = world.agent();
    agent.until_told("there is no ledger in ");
    until("the reason in the status", || {
        world.status()?["shards"][0]["stalled"].as_str()?.contains("there is no ledger").then_some(())
    });
    assert!(!agent.told().contains("shipped again"), "there was nothing to ship:\n{}", agent.told());
    let mut shard = Shard::open(&world);
    shard.append(10);
    world.until_shipped(1, 10);
    agent.until_told("shipped again");
    agent.stop();
    let agent = world.agent();
    agent.until_told("connected");
    let (ledger, directory) = (world.path("ledger"), world.path("second"));
    let words = ["agent", "--host", HOST, "--ledger", &ledger, "--directory", &directory];
    let second = world.try_ask(&words);
    let told = text(&second.stderr);
    assert!(second.status.code() == Some(2) && told.contains("another agent ships this ledger"), "{told}");
    agent.stop();
}

#[test]
fn what_comes_twice_after_the_servers_window_is_one_entry() {
    let Some(mut world) = World::new("twice", &["--duplicate-window", "100ms"]) else { return };
    let mut shard = Shard::open(&world);
    shard.append(1_500);
    let agent = world.agent();
    world.until_shipped(1, 1_500);
    agent.stop();
    wait_for_duplicates_to_be_taken(world.server.address());
    // An agent that does not know how far the last one was asks the stream, and goes back by a batch.
    fs::remove_file(world.folder.join("agent/positions")).unwrap();
    shard.append(10);
    let agent = world.agent();
    world.until_shipped(1, 1_510);
    let told = assert_whole(&world, &[1_510]);
    assert!(told["stream"]["duplicates"].as_u64().unwrap() >= 1_000, "{told:#}");
    // One that was put back to an old state ships all of that again.
    agent.stop();
    wait_for_duplicates_to_be_taken(world.server.address());
    fs::write(world.folder.join("agent/positions"), r#"{"shards":{"1":{"next":3}}}"#).unwrap();
    let agent = world.agent();
    // The last one has told of its end.
    until("the ledger's end", || {
        let told = world.status()?;
        (told["shards"][0]["shipped"] == 1_510 && told["condition"] == "running").then_some(())
    });
    agent.stop();
    assert_whole(&world, &[1_510]);
}

#[test]
fn a_stream_that_lost_what_it_had_acknowledged_is_filled_again() {
    let Some(mut world) = World::new("lost", &[]) else { return };
    let mut shard = Shard::open(&world);
    shard.append(2_000);
    let agent = world.agent();
    world.until_shipped(1, 2_000);
    // A copy of what the server has, which takes the place of what it has later.
    world.server.kill();
    world.server.keep();
    world.server.restart();
    shard.append(3_000);
    world.until_shipped(1, 5_000);
    world.server.kill();
    world.server.put_back();
    world.server.restart();
    shard.append(5);
    agent.until_told("the stream has lost");
    world.until_shipped(1, 5_005);
    assert_whole(&world, &[5_005]);
    // All of it.
    world.server.kill();
    world.server.lose();
    world.server.restart();
    world.ask(&["setup"]);
    world.until_shipped(1, 5_005);
    assert_whole(&world, &[5_005]);
    agent.stop();
}

#[test]
fn every_shard_is_shipped_and_none_is_told_of_before_it_is_there() {
    let Some(mut world) = World::new("shards", &[]) else { return };
    let (second, log, config) = (ShardNumber::new(2).unwrap(), LogConfig::default(), WriterConfig::default());
    let mut first = Shard::open(&world);
    let mut other = Shard::open_as(&world, second, log, config);
    let keys: Vec<_> = identity::file::read(&world.folder.join("key"))
        .unwrap()
        .iter()
        .map(|key| key.public().clone())
        .collect();
    other.append(2_500);
    other.publish();
    let seen = shards::seen(&world.folder.join("ledger"), ShardNumber::FIRST, &keys);
    assert_eq!(seen.len(), 1, "the other shard is seen");
    first.append_event(Event::ShardsSeen(ledger::ShardsSeen { shards: seen }), 1);
    first.append(3);
    let agent = world.agent();
    // Whenever it is looked at, what is there holds.
    until("both shards", || {
        let output =
            world.try_ask(&["ledger", "verify", "--host", HOST, "--key", &world.path("key.pub"), "--json"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let is_nothing = output.status.code() == Some(1) && text(&output.stderr).contains("nothing of");
        // Before the first checkpoint there is no ledger.
        let is_unsigned = told["wrong"] == "unreadable";
        assert!(output.status.success() || is_nothing || is_unsigned, "{told:#} {}", text(&output.stderr));
        let counts = [&told["shards"][0]["next"], &told["shards"][1]["next"]];
        (counts[0] == first.count && counts[1] == other.count).then_some(())
    });
    assert_whole(&world, &[first.count, other.count]);
    agent.stop();
}

#[test]
fn entries_that_the_ledger_let_go_unshipped_are_told_as_a_gap() {
    let Some(mut world) = World::new("gap", &[]) else { return };
    let second = 1_000_000_000;
    let log = LogConfig { rotate_age_ns: second, ..LogConfig::default() };
    let config = WriterConfig { keep_logs: Some(1), ..WriterConfig::default() };
    let mut shard = Shard::open_as(&world, ShardNumber::FIRST, log, config);
    let mut append = |time: u64| {
        let time_ns = (100 + 10 * time) * second;
        (0..20).for_each(|_| shard.append_event(Event::RunEnd(RunEnd::default()), time_ns));
        shard.write();
        shard.count
    };
    append(0);
    let end = append(1);
    let agent = world.agent();
    // The first log had gone before there was an agent: that is no gap, and what is there verifies.
    world.until_shipped(1, end);
    let (told, status) = world.verify();
    assert_eq!((status, told["shards"][0]["first"].as_u64() > Some(0)), (Some(0), true), "{told:#}");
    agent.stop();
    append(2);
    append(3);
    let agent = world.agent();
    agent.until_told("let it keep more logs");
    until("the gap in the stream", || (world.verify().0["wrong"] == "gap").then_some(()));
    until("the gap in the status", || (world.status()?["shards"][0]["gaps"][0][0] == end).then_some(()));
    agent.stop();
}

#[test]
fn what_others_put_into_the_stream_or_into_the_directory_is_found() {
    let Some(mut world) = World::new("forged", &[]) else { return };
    let mut shard = Shard::open(&world);
    shard.append(50);
    let agent = world.agent();
    world.until_shipped(1, 50);
    agent.stop();
    let server = world.server.address();
    let subject = "weft.ledger.h1_example.1";
    // Too late, under another name, or no message of a ledger's: nothing of it counts.
    publish(server, subject, &[("Nats-Msg-Id", "other/1/1/50")], b"forged");
    publish(server, subject, &[("Nats-Msg-Id", "h1_example/2/1/50")], b"forged");
    publish(server, subject, &[], b"forged");
    publish(server, subject, &[("Nats-Msg-Id", "h1_example/1/1/049")], b"forged");
    let (told, status) = world.verify();
    assert_eq!((status, told["stream"]["foreign"].as_u64()), (Some(0), Some(4)), "{told:#}");
    // Another key has not signed it.
    let other = crate::weft(&["key", "new", "--name", HOST, "-o", &world.path("other")]);
    fs::write(world.folder.join("other.pub"), &other.stdout).unwrap();
    let words = ["ledger", "verify", "--host", HOST, "--key", &world.path("other.pub"), "--json"];
    let output = world.try_ask(&words);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["wrong"], "not-signed");
    // An entry that somebody with the host's credentials has put before the true one.
    publish(server, subject, &[("Nats-Msg-Id", "h1_example/1/1/50")], b"forged");
    shard.append(10);
    let agent = world.agent();
    until("what is wrong", || {
        let (told, status) = world.verify();
        (status == Some(1) && told["wrong"] == "changed").then_some(())
    });
    agent.stop();
    // Another ledger in the place of the one that was shipped is not.
    drop(shard);
    fs::remove_dir_all(world.folder.join("ledger")).unwrap();
    Shard::open(&world).append(100);
    let agent = world.agent();
    agent.until_told("exchanged or cut");
    assert!(world.verify().0["wrong"] == "changed");
    agent.stop();
}
