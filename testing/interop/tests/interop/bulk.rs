//! Much at once: streams at full speed both ways, many connections, and every byte in its place.

use std::io::{Read, Write};

use interop::peers::echo::Stalled;
use interop::peers::iperf;
use interop::world::SITE_V4;
use interop::{Echo, Way, World, in_every_way, needs};

in_every_way! {
    iperf3_fills_the_link_both_ways => both_ways;
    two_hundred_connections_open_at_once => many;
}

fn both_ways(way: Way) {
    needs!["iperf3"];
    let world = World::new();
    world.name("one.test");
    let _server = iperf::serve(&world);
    // A control connection comes first and a stream beside it; both are to one port.
    for direction in [&[][..], &["--reverse"]] {
        let command = ["iperf3", "--client", "one.test", "--time", "1", "--json"];
        let run = world.weft_as(way).allow("one.test:5201");
        let outcome = run.output(&[&command[..], direction].concat()).succeeded();
        let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("a report in JSON");
        let bits = report["end"]["sum_received"]["bits_per_second"].as_f64().expect("a rate");
        // Not a measurement: a stream that only moves when timers fire stays far below this.
        assert!(bits > 100e6, "{direction:?}: {bits} bit/s:\n{outcome}");
    }
}

fn many(way: Way) {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    Echo::tcp(&world.internet, (SITE_V4, 7));
    let program = "
import asyncio
async def talk(number, gate):
    reader, writer = await asyncio.open_connection('one.test', 7)
    word = b'%08d' % number
    writer.write(word)
    assert await reader.readexactly(8) == word
    gate['open'] += 1
    while gate['open'] < 200:
        await asyncio.sleep(0.01)
    writer.write(word)
    assert await reader.readexactly(8) == word
    writer.close()
    await writer.wait_closed()
async def main():
    gate = {'open': 0}
    await asyncio.wait_for(asyncio.gather(*(talk(number, gate) for number in range(200))), 20)
    print('all', gate['open'])
asyncio.run(main())
";
    let run = world.weft_as(way).allow("one.test:7");
    let outcome = run.output(&["python3", "-c", program]).succeeded().printed("all 200");
    assert_eq!(outcome.events_of("connect").count(), 200, "{outcome}");
}

#[test]
fn every_byte_comes_back_in_its_place() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    Echo::tcp(&world.internet, (SITE_V4, 7));
    // Both directions at once, written in sizes that fit no segment, ended by a half-close.
    let program = "
import hashlib, os, socket, threading
s = socket.create_connection(('one.test', 7))
block = os.urandom(1 << 20)
sent = hashlib.sha256()
def send():
    for turn in range(48):
        part = block[turn * 997:]
        sent.update(part)
        s.sendall(part)
    s.shutdown(socket.SHUT_WR)
sender = threading.Thread(target=send)
sender.start()
received, length = hashlib.sha256(), 0
while data := s.recv(77777):
    received.update(data)
    length += len(data)
sender.join()
print('same' if received.digest() == sent.digest() else 'different', length)
";
    let run = world.weft().allow("one.test:7");
    let _ = run.output(&["python3", "-c", program]).succeeded().printed("same ");
}

#[test]
fn a_half_closed_connection_still_brings_the_answer() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    let listener = world.internet.within(|| std::net::TcpListener::bind((SITE_V4, 7))).expect("a listener");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let request = std::io::read_to_string(&mut stream).expect("the request's end");
        std::io::Write::write_all(&mut stream, format!("all of {request}").as_bytes())
            .expect("the answer goes");
    });
    let program = "
import socket
s = socket.create_connection(('one.test', 7))
s.sendall(b'the request')
s.shutdown(socket.SHUT_WR)
print(s.makefile().read())
";
    let run = world.weft().allow("one.test:7");
    let _ = run.output(&["python3", "-c", program]).succeeded().printed("all of the request");
    server.join().expect("the server is done");
}

#[test]
fn a_server_that_resets_is_a_reset_inside_and_a_closed_port_is_refused() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    let listener = world.internet.within(|| std::net::TcpListener::bind((SITE_V4, 7))).expect("a listener");
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut first = [0];
        stream.peek(&mut first).expect("a first byte");
        // Closed with a byte unread, the kernel resets (RFC 9293 §3.10.4 and RFC 2525 §2.17).
    });
    let program = "
import socket
s = socket.create_connection(('one.test', 7))
s.sendall(b'x')
try:
    print('read', s.recv(1))
except OSError as error:
    print(type(error).__name__)
try:
    socket.create_connection(('one.test', 8), timeout=5)
    print('open')
except OSError as error:
    print(type(error).__name__)
";
    let run = world.weft().allow("one.test:7-8");
    let outcome = run.output(&["python3", "-c", program]).succeeded();
    assert_eq!(outcome.stdout, "ConnectionResetError\nConnectionRefusedError\n", "{outcome}");
    server.join().expect("the server is done");
}

#[test]
fn what_the_command_sent_before_it_ended_still_arrives() {
    needs!["python3"];
    let world = World::new();
    world.name("one.test");
    let slow = Stalled::at(&world.internet, (SITE_V4, 9));
    // The command is done when its kernel has taken the bytes; the peer reads them only after that.
    let program = "
import socket
s = socket.create_connection(('one.test', 9))
s.sendall(b'x' * 3000000)
print('ready', flush=True)
";
    let mut running = world.weft().allow("one.test:9").start(&["python3", "-c", program]);
    running.line("ready");
    assert_eq!(slow.drain_first(), 3_000_000);
    let _ = running.finish().succeeded();
}

/// A read of the host's socket stops at the mark, as if nothing were behind it.
#[test]
fn bytes_behind_an_urgent_mark_arrive() {
    const CONNECTIONS: usize = 20;
    needs!["python3"];
    let world = World::new();
    let listener = world.internet.within(|| std::net::TcpListener::bind((SITE_V4, 7))).expect("a port");
    let server = std::thread::spawn(move || {
        for _ in 0..CONNECTIONS {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.set_nodelay(true).expect("no delay");
            stream.write_all(b"abc").expect("it takes bytes");
            rustix::net::send(&stream, b"!", rustix::net::SendFlags::OOB).expect("it takes an urgent byte");
            stream.write_all(b"def").expect("it takes bytes");
            // Open until the program has read them all.
            let _ = stream.read(&mut [0]);
        }
    });
    let program = "
import socket, sys
for _ in range(int(sys.argv[2])):
    with socket.create_connection((sys.argv[1], 7)) as s:
        data = b''
        while len(data.replace(b'!', b'')) < 6:
            data += s.recv(100)
print('all arrived')
";
    let run = world.weft().allow(format!("{SITE_V4}:7"));
    let outcome = run.output(&["python3", "-c", program, &SITE_V4.to_string(), &CONNECTIONS.to_string()]);
    let _ = outcome.succeeded().printed("all arrived");
    server.join().expect("the server's end");
}
