//! Waiting for a future on the thread that asks.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Wakes the thread that it was made on.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    /// One for each thread, so that a socket knows the same thread by the same waker.
    static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
}

/// What `future` comes to. Where that takes longer than `timeout`: `WouldBlock`, as with the sockets of Unix.
pub(super) fn wait<T>(
    timeout: Option<Duration>,
    future: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut future = pin!(future);
    let waker = WAKER.with(Waker::clone);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        // Unparked by somebody else, or before it parks, it only looks once more.
        match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
            None => thread::park(),
            Some(Duration::ZERO) => return Err(io::ErrorKind::WouldBlock.into()),
            Some(left) => thread::park_timeout(left),
        }
    }
}
