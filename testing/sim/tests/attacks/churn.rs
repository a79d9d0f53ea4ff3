//! Connections, a quarter of a million of them between the same two addresses: opened, a byte each way, closed. Ports and
//! tables go round again and again by the rules of TIME-WAIT (RFC 6191). `WEFT_CONNECTIONS=1000000` makes it a million,
//! which takes half a minute.

use crate::arena::*;
use stack::{Config, Event, TcpId};
use std::collections::BTreeMap;
use time::Duration;

/// Connections that are opened at once, and the virtual time until the next are.
const WAVE: usize = 500;
const WAVE_TIME: Duration = Duration::from_millis(50);

/// How many connections there are in all.
fn connections() -> usize {
    let named = std::env::var("WEFT_CONNECTIONS").ok();
    named.map_or(250_000, |number| number.parse().expect("WEFT_CONNECTIONS is a number"))
}

/// Who closes first, and so waits in TIME-WAIT.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Client,
    Server,
}

/// What is asserted at the end.
struct Outcome {
    done: usize,
    /// The longest that either side's table of connections was.
    table_max: usize,
}

/// Opens connections in waves, until so many are through. Each carries a byte up and one down.
fn churn(arena: &mut Arena, connections: usize, first: First) -> Outcome {
    let mut outcome = Outcome { done: 0, table_max: 0 };
    let mut answered: BTreeMap<TcpId, bool> = BTreeMap::new();
    for _ in 0..connections / WAVE {
        let began = arena.now;
        for _ in 0..WAVE {
            let connection = arena.connect();
            let now = arena.now;
            arena.client.stack.tcp_write(connection, &mut packet::Bytes::from_static(b"?"), now);
            answered.insert(connection, false);
        }
        while arena.step() {
            serve(arena, first);
            outcome.done += conclude(arena, &mut answered, first);
        }
        assert!(answered.is_empty(), "{} connections did not come to their end", answered.len());
        let tables = [&arena.server, &arena.client].map(|side| side.stack.memory().connections);
        outcome.table_max = outcome.table_max.max(tables[0]).max(tables[1]);
        let rest = WAVE_TIME.saturating_sub(arena.now.since(began));
        arena.pass(rest);
    }
    outcome
}

/// The server answers what asks, and lets go of what ends.
fn serve(arena: &mut Arena, first: First) {
    let now = arena.now;
    let server = &mut arena.server;
    for event in std::mem::take(&mut server.events) {
        let connection = match event {
            Event::TcpAccepted { connection, .. } | Event::Tcp { connection, .. } => connection,
            other => panic!("nothing else can come: {other:?}"),
        };
        if server.stack.tcp_read(connection, 1, now).is_some() {
            server.stack.tcp_write(connection, &mut packet::Bytes::from_static(b"!"), now);
        } else if !server.stack.tcp_is_at_end(connection) {
            continue;
        }
        if first == First::Server || server.stack.tcp_is_at_end(connection) {
            server.stack.tcp_release(connection, now);
        }
    }
}

/// The clients that have their answer, and the end of it where the server closes first, are through.
fn conclude(arena: &mut Arena, answered: &mut BTreeMap<TcpId, bool>, first: First) -> usize {
    let now = arena.now;
    let client = &mut arena.client;
    let mut done = 0;
    for event in std::mem::take(&mut client.events) {
        let Event::Tcp { connection, event } = event else { panic!("nothing else can come: {event:?}") };
        assert!(
            !matches!(event, tcp::Event::Closed(reason) if reason != tcp::CloseReason::Finished),
            "{event:?}"
        );
        let Some(has_answer) = answered.get_mut(&connection) else { continue };
        *has_answer |= client.stack.tcp_read(connection, 1, now).is_some();
        if *has_answer && (first == First::Client || client.stack.tcp_is_at_end(connection)) {
            client.stack.tcp_release(connection, now);
            answered.remove(&connection);
            done += 1;
        }
    }
    done
}

fn assert_all_gone(arena: &mut Arena) {
    arena.assert_nothing_left();
    assert_eq!(arena.client.stack.memory(), stack::Memory::default());
    assert_eq!(arena.client.stack.poll_timeout(), None);
}

#[test]
fn connections_that_the_server_closes_reopen_its_time_wait() {
    let connections = connections();
    let mut arena = Arena::new();
    let listener = arena.listen(2 * WAVE);
    let outcome = churn(&mut arena, connections, First::Server);
    assert_eq!(outcome.done, connections);
    // Never more than there are ports: each wait gives way to the next SYN of the same port.
    assert!(outcome.table_max <= 16_384 + WAVE, "{} connections at once", outcome.table_max);
    assert_eq!(arena.server.stack.counters().syn_cookies_sent, 0);
    arena.server.stack.tcp_unlisten(listener);
    assert_all_gone(&mut arena);
}

#[test]
fn a_client_that_closes_first_uses_its_ports_again_while_they_wait() {
    let mut arena = Arena::new();
    let listener = arena.listen(2 * WAVE);
    let outcome = churn(&mut arena, 50_000, First::Client);
    assert_eq!(outcome.done, 50_000);
    assert!(outcome.table_max <= 16_384 + WAVE, "{} connections at once", outcome.table_max);
    arena.server.stack.tcp_unlisten(listener);
    assert_all_gone(&mut arena);
}

#[test]
fn a_full_table_lets_the_oldest_of_time_wait_go() {
    let mut arena = Arena::with(Config { connections_max: 2 * WAVE, ..Config::default() });
    let listener = arena.listen(2 * WAVE);
    let outcome = churn(&mut arena, 10_000, First::Server);
    assert_eq!(outcome.done, 10_000);
    assert!(arena.server.stack.memory().connections <= 2 * WAVE);
    arena.server.stack.tcp_unlisten(listener);
    assert_all_gone(&mut arena);
}
