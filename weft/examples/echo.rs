//! Gives back what it hears, by a stack of its own on a TAP interface:
//!
//! ```text
//! ip tuntap add weft0 mode tap; ip address add 192.0.2.1/24 dev weft0; ip link set weft0 up
//! cargo run -p weft --example echo
//! ```
//!
//! and, in another terminal, once it says that it listens:
//!
//! ```text
//! nc 192.0.2.2 7
//! ```

use std::error::Error;
use weft::device::Tap;
use weft::sockets::{Sockets, TcpListener};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let tap = Tap::open("weft0", 1500)?;
    let sockets = Sockets::start(tap, &["192.0.2.2/24".parse()?], &["192.0.2.1".parse()?])?;
    println!("listening at 192.0.2.2, TCP port 7");
    serve(sockets.listen("0.0.0.0:7".parse()?)?).await
}

/// A task for each connection, until the listener is gone.
pub async fn serve(listener: TcpListener) -> Result<(), Box<dyn Error>> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut from, mut to) = stream.into_split();
            // Bytes are handed on as they lie in the stack: none is copied.
            while let Ok(bytes) = from.read_bytes().await {
                if bytes.is_empty() || to.write_bytes(bytes).await.is_err() {
                    break;
                }
            }
        });
    }
}
