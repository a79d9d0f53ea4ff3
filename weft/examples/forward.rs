//! Forwards a port of its own stack to an address that the host can reach:
//!
//! ```text
//! ip tuntap add weft0 mode tap; ip address add 192.0.2.1/24 dev weft0; ip link set weft0 up
//! cargo run -p weft --example forward -- 127.0.0.1:8080
//! ```
//!
//! and, in another terminal, once it says that it listens:
//!
//! ```text
//! curl http://192.0.2.2/
//! ```

use std::error::Error;
use std::net::SocketAddr;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use weft::device::Tap;
use weft::sockets::{Sockets, TcpListener};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let target = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let target = target.ok_or("expected where to forward to, as in 127.0.0.1:8080")?;
    let tap = Tap::open("weft0", 1500)?;
    let sockets = Sockets::start(tap, &["192.0.2.2/24".parse()?], &["192.0.2.1".parse()?])?;
    println!("listening at 192.0.2.2, TCP port 80, for {target}");
    forward(sockets.listen("0.0.0.0:80".parse()?)?, target).await
}

/// A task for each connection, until the listener is gone.
pub async fn forward(listener: TcpListener, target: SocketAddr) -> Result<(), Box<dyn Error>> {
    loop {
        let (mut near, peer) = listener.accept().await?;
        tokio::spawn(async move {
            let carried =
                async { copy_bidirectional(&mut near, &mut TcpStream::connect(target).await?).await };
            if let Err(error) = carried.await {
                eprintln!("{peer} to {target}: {error}");
            }
        });
    }
}
