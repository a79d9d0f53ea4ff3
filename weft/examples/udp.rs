//! Answers each datagram with the sender's own address and port, by a stack of its own on a TAP interface:
//!
//! ```text
//! ip tuntap add weft0 mode tap; ip address add 192.0.2.1/24 dev weft0; ip link set weft0 up
//! cargo run -p weft --example udp
//! ```
//!
//! and, in another terminal, once it says that it listens:
//!
//! ```text
//! echo | nc -u -W 1 192.0.2.2 9
//! ```

use std::error::Error;
use weft::device::Tap;
use weft::sockets::{Sockets, UdpSocket};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let tap = Tap::open("weft0", 1500)?;
    let sockets = Sockets::start(tap, &["192.0.2.2/24".parse()?], &["192.0.2.1".parse()?])?;
    println!("listening at 192.0.2.2, UDP port 9");
    answer(sockets.bind_udp("192.0.2.2:9".parse()?)?).await
}

/// Until the socket is gone.
pub async fn answer(socket: UdpSocket) -> Result<(), Box<dyn Error>> {
    loop {
        let (_, sender) = socket.recv_bytes_from().await?;
        // A datagram that cannot leave now is lost, as on any network.
        let _ = socket.send_bytes_to(format!("{sender}\n").into(), sender);
    }
}
