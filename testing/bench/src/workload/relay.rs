//! A bare relay: what carrying connections on by the host's sockets costs without any TCP of one's own.
//!
//! Two threads for each connection, one each way, that read and write; a half-close is carried on.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

/// What is read at once: the size from which reading more brings nothing here.
const CHUNK_BYTES: usize = 128 * 1024;

/// Carries connections to each of `near` on to the same port of `far`, until it is killed.
pub fn relay(near: &[SocketAddr], far: SocketAddr) -> Result<(), String> {
    let listeners = near.iter().map(TcpListener::bind).collect::<Result<Vec<_>, _>>();
    let listeners = listeners.map_err(|error| format!("relay: {error}"))?;
    println!("listening");
    std::thread::scope(|scope| {
        for (listener, address) in listeners.iter().zip(near) {
            let far = SocketAddr::new(far.ip(), address.port());
            scope.spawn(move || accept(listener, far));
        }
    });
    Ok(())
}

fn accept(listener: &TcpListener, far: SocketAddr) {
    for client in listener.incoming().map_while(Result::ok) {
        // A connection that cannot be carried on is closed, which the client takes for a failure.
        let Ok(server) = TcpStream::connect(far) else { continue };
        let clones = client.try_clone().and_then(|near| server.try_clone().map(|far| (near, far)));
        let Ok((near, far)) = clones else { continue };
        for (from, to) in [(client, server), (far, near)] {
            std::thread::spawn(move || carry(from, to));
        }
    }
}

/// One direction, to its end.
fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut chunk = vec![0; CHUNK_BYTES];
    let _ = to.set_nodelay(true);
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        if to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    // Either end may be gone already, and then there is nothing left to tell it.
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_the_end_are_carried_on() {
        let far = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpListener::bind("127.0.0.1:0").unwrap();
        let (far_address, near_address) = (far.local_addr().unwrap(), near.local_addr().unwrap());
        // Ends with the test's process, like the connection's own threads.
        std::thread::spawn(move || accept(&near, far_address));
        let mut client = TcpStream::connect(near_address).unwrap();
        let (mut server, _) = far.accept().unwrap();
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        server.read_to_string(&mut text).unwrap();
        assert_eq!(text, "question");
        server.write_all(b"answer").unwrap();
        drop(server);
        text.clear();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer");
    }
}
