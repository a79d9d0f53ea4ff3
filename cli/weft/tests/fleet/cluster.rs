//! Three servers that keep each message on all of them, of which one is killed.

use super::server::{Server, publish};
use super::shipped::assert_whole;
use super::world::{Shard, World};
use super::{until, until_content};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// How a server finds the other two. Each has an address of loopback for that, which no other test has.
fn configuration(folder: &Path, number: usize) -> PathBuf {
    let id = std::process::id();
    let address = |number: usize| format!("127.{}.{}.{number}:6222", 64 + id / 250 % 128, 1 + id % 250);
    let routes: Vec<String> = (1..=3).map(|number| format!("\"nats://{}\"", address(number))).collect();
    let path = folder.join(format!("server{number}.conf"));
    let text = format!(
        "server_name: \"{number}\"\ncluster {{ name: \"fleet\", listen: \"{}\", routes: [{}] }}\n",
        address(number),
        routes.join(", ")
    );
    fs::write(&path, text).unwrap();
    path
}

/// The number of the server that leads a stream, as one of them tells; `None` where it knows of none.
fn leader(server: &Server, stream: &str) -> Option<usize> {
    let told = publish(server.address(), &format!("$JS.API.STREAM.INFO.{stream}"), &[], b"");
    let told: Value = serde_json::from_str(&told).ok()?;
    told["cluster"]["leader"].as_str()?.parse().ok()
}

/// The server of this number.
fn numbered<'a>(number: usize, world: &'a mut World, others: &'a mut [Server; 2]) -> &'a mut Server {
    match number {
        1 => &mut world.server,
        number => &mut others[number - 2],
    }
}

/// The servers choose another leader within ten seconds or so, in which nothing is shipped: here one is killed that leads
/// neither stream.
#[test]
fn one_of_three_servers_is_killed_and_nothing_is_lost_or_doubled() {
    let Some(mut world) = World::bare("cluster", |folder| Some(configuration(folder, 1))) else { return };
    let mut others = [2, 3].map(|number| {
        Server::start(&world.folder.join(number.to_string()), Some(&configuration(&world.folder, number)))
    });
    for server in &others {
        world.access.extend(["--server".to_owned(), format!("nats://{}", server.address())]);
    }
    // They have to find each other, and a leader, first.
    until("a stream on three servers", || {
        world.try_ask(&["setup", "--replicas", "3"]).status.success().then_some(())
    });
    let mut shard = Shard::open(&world);
    shard.append(1_500);
    let agent = world.agent();
    world.push("allow a.example\n", &[]);
    until_content(&world.folder.join("policy.list"), "allow a.example\n");
    world.until_shipped(1, 1_500);
    let leaders =
        ["weft-ledger", "KV_weft-policy"].map(|stream| until("a leader", || leader(&world.server, stream)));
    let follower = (1..=3).find(|number| !leaders.contains(number)).expect("three are more than two");
    numbered(follower, &mut world, &mut others).kill();
    shard.append(1_500);
    fs::write(world.folder.join("next.list"), "allow b.example\n").unwrap();
    until("a policy by the other two", || {
        world.try_ask(&["policy", "push", &world.path("next.list")]).status.success().then_some(())
    });
    until_content(&world.folder.join("policy.list"), "allow b.example\n");
    world.until_shipped(1, 3_000);
    numbered(follower, &mut world, &mut others).restart();
    shard.append(500);
    world.until_shipped(1, 3_500);
    // The one that begins anew answers before it knows what there is.
    for server in [&world.server, &others[0], &others[1]] {
        until("a server that knows of the others", || leader(server, "weft-ledger"));
    }
    assert_whole(&world, &[3_500]);
    agent.stop();
}
