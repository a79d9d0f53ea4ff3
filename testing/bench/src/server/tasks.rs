//! On the library's sockets: tokio on one thread, a task a connection; HTTP by hyper, or written by hand.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Barrier;

use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue, SERVER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::task::LocalSet;
use weft::device::Tap;
use weft::sockets::{Bytes, Member, Sockets, TcpStream};
use weft::stack::Prefix;

use super::service::{Answer, Service, piece, ports};
use super::{ADDRESS, MTU, TAP, tell_listening};

/// Serves until it is killed; `by_hyper`: what is asked for by HTTP.
pub fn serve(by_hyper: bool) -> Result<(), String> {
    run(|| {
        let tap = Tap::open(TAP, MTU).map_err(|error| format!("TAP: {error}"))?;
        let sockets = Sockets::start(tap, &[prefix()?], &[]).map_err(|error| format!("stack: {error}"))?;
        listen(&sockets, by_hyper)?;
        tell_listening();
        Ok(sockets)
    })
}

/// Serves until it is killed, by as many threads as the TAP has queues, a stack each.
pub fn serve_queues(count: usize) -> Result<(), String> {
    let taps = Tap::open_queues(TAP, MTU, count).map_err(|error| format!("TAP: {error}"))?;
    let members = Sockets::group(taps, &[prefix()?], &[]).map_err(|error| format!("stacks: {error}"))?;
    let ready = Barrier::new(members.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            members.into_iter().map(|member| scope.spawn(|| run(|| start(member, &ready)))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a server does not panic"))
    })
}

fn start(member: Member<Tap>, ready: &Barrier) -> Result<Sockets, String> {
    let sockets = member.start();
    listen(&sockets, false)?;
    if ready.wait().is_leader() {
        tell_listening();
    }
    Ok(sockets)
}

/// Turns a runtime of this thread's own for ever, with what is started in it.
fn run(start: impl FnOnce() -> Result<Sockets, String>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("tokio: {error}"))?;
    LocalSet::new().block_on(&runtime, async move {
        let _sockets = start()?;
        std::future::pending().await
    })
}

fn prefix() -> Result<Prefix, String> {
    format!("{ADDRESS}/24").parse().map_err(|error| format!("address: {error}"))
}

/// A task for each port, and one for each connection.
fn listen(sockets: &Sockets, by_hyper: bool) -> Result<(), String> {
    let answer = Rc::new(RefCell::new(Answer::new()));
    for port in ports() {
        let listener = sockets.listen((ADDRESS, port).into()).map_err(|error| format!("listen: {error}"))?;
        let answer = answer.clone();
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Where it cannot be had, the connection is over already.
                let _ = stream.set_nodelay(true);
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
    Ok(())
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
    loop {
        // As they lie in the stack: a connection that waits holds no buffer.
        let bytes = stream.read_bytes().await?;
        if bytes.is_empty() {
            return stream.shutdown().await;
        }
        match &mut service {
            Service::Echo => stream.write_bytes(bytes).await?,
            Service::Http(requests) => {
                for _ in 0..requests.count(&bytes) {
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
