//! Gives back what it hears, with a thread for each connection and no async runtime, by a stack of its own on a TAP
//! interface:
//!
//! ```text
//! ip tuntap add weft0 mode tap; ip address add 192.0.2.1/24 dev weft0; ip link set weft0 up
//! cargo run -p weft --example blocking
//! ```
//!
//! and, in another terminal, once it says that it listens:
//!
//! ```text
//! nc 192.0.2.2 7
//! ```

use std::error::Error;
use std::time::Duration;
use weft::blocking::{Sockets, TcpListener};
use weft::device::Tap;

fn main() -> Result<(), Box<dyn Error>> {
    let tap = Tap::open("weft0", 1500)?;
    let sockets = Sockets::start(tap, &["192.0.2.2/24".parse()?], &["192.0.2.1".parse()?])?;
    println!("listening at 192.0.2.2, TCP port 7");
    Ok(serve(&sockets.listen("0.0.0.0:7".parse()?)?)?)
}

/// A thread for each connection, until the listener is gone.
pub fn serve(listener: &TcpListener) -> std::io::Result<()> {
    for stream in listener.incoming() {
        let stream = stream?;
        // Whoever says nothing for a minute is let go.
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
    }
    Ok(())
}
