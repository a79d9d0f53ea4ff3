//! Speaks HTTP/1.1 by hyper over a stack of its own on a TAP interface:
//!
//! ```text
//! ip tuntap add weft0 mode tap; ip address add 192.0.2.1/24 dev weft0; ip link set weft0 up
//! cargo run -p weft --example http
//! ```
//!
//! and, in another terminal, once it says that it listens:
//!
//! ```text
//! curl http://192.0.2.2/
//! ```

use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::error::Error;
use weft::device::Tap;
use weft::sockets::{Bytes, Sockets, TcpListener};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let tap = Tap::open("weft0", 1500)?;
    let sockets = Sockets::start(tap, &["192.0.2.2/24".parse()?], &["192.0.2.1".parse()?])?;
    println!("listening at http://192.0.2.2/");
    serve(sockets.listen("0.0.0.0:80".parse()?)?).await
}

/// A task for each connection, until the listener is gone.
pub async fn serve(listener: TcpListener) -> Result<(), Box<dyn Error>> {
    loop {
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let answer = |request: Request<body::Incoming>| async move {
                let text = format!("{peer} asked for {}\n", request.uri().path());
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
            };
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
            if let Err(error) = connection.await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}
