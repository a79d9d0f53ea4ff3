//! On the library's sockets: tokio on one thread, a task a connection; HTTP by hyper, or written by hand.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue, SERVER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::LocalSet;
use weft::device::Tap;
use weft::sockets::{Bytes, Sockets, TcpStream};

use super::service::{Answer, Service, piece, ports};
use super::{ADDRESS, MTU, TAP, tell_listening};

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Serves until it is killed; `by_hyper`: what is asked for by HTTP.
pub fn serve(by_hyper: bool) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("tokio: {error}"))?;
    LocalSet::new().block_on(&runtime, async move {
        let tap = Tap::open(TAP, MTU).map_err(|error| format!("TAP: {error}"))?;
        let prefix = format!("{ADDRESS}/24").parse().map_err(|error| format!("address: {error}"))?;
        let sockets = Sockets::start(tap, &[prefix], &[]).map_err(|error| format!("stack: {error}"))?;
        let answer = Rc::new(RefCell::new(Answer::new()));
        for port in ports() {
            let mut listener =
                sockets.listen((ADDRESS, port).into()).map_err(|error| format!("listen: {error}"))?;
            let answer = answer.clone();
            tokio::task::spawn_local(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    if stream.set_nodelay(true).is_err() {
                        continue;
                    }
                    let answer = answer.clone();
                    tokio::task::spawn_local(async move {
                        match Service::at(port) {
                            Service::Http(_) if by_hyper => serve_by_hyper(stream).await,
                            // The client has gone: nothing is left to do.
                            service => drop(serve_one(stream, service, &answer).await),
                        }
                    });
                }
            });
        }
        tell_listening();
        std::future::pending().await
    })
}

async fn serve_one(
    mut stream: TcpStream,
    mut service: Service,
    answer: &RefCell<Answer>,
) -> std::io::Result<()> {
    if matches!(service, Service::Generate) {
        loop {
            stream.write_all(piece()).await?;
        }
    }
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return stream.shutdown().await;
        }
        match &mut service {
            Service::Echo => stream.write_all(&buffer[..count]).await?,
            Service::Http(requests) => {
                for _ in 0..requests.count(&buffer[..count]) {
                    answer.borrow_mut().renew();
                    let text = answer.borrow().text().to_vec();
                    stream.write_all(&text).await?;
                }
            }
            Service::Discard | Service::Generate => {}
        }
    }
}

async fn serve_by_hyper(stream: TcpStream) {
    let respond = |_: Request<body::Incoming>| async move {
        let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, world\n")));
        response.headers_mut().insert(SERVER, HeaderValue::from_static("bench"));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        Ok::<_, Infallible>(response)
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service_fn(respond));
    // The client has gone: nothing is left to do.
    drop(connection.await);
}
