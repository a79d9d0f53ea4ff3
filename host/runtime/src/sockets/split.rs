//! A stream's two halves, for two tasks.

use super::TcpStream;
use packet::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The half of a [`TcpStream`] that reads.
#[derive(Debug)]
pub struct ReadHalf(Arc<TcpStream>);

/// The half of a [`TcpStream`] that writes. Dropped, it tells the peer that no more comes.
#[derive(Debug)]
pub struct WriteHalf(Arc<TcpStream>);

impl TcpStream {
    /// The two halves; the connection closes when both are dropped.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        let whole = Arc::new(self);
        (ReadHalf(whole.clone()), WriteHalf(whole))
    }
}

impl ReadHalf {
    /// The whole, for what needs no half: addresses, options, figures.
    pub fn stream(&self) -> &TcpStream {
        &self.0
    }

    /// As [`TcpStream::read_bytes`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn read_bytes(&mut self) -> io::Result<Bytes> {
        self.0.take_bytes().await
    }
}

impl WriteHalf {
    /// The whole, for what needs no half: addresses, options, figures.
    pub fn stream(&self) -> &TcpStream {
        &self.0
    }

    /// As [`TcpStream::write_bytes`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn write_bytes(&mut self, data: Bytes) -> io::Result<()> {
        self.0.put_bytes(data).await
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read_into(cx, into)
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write_from(cx, &[io::IoSlice::new(from)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_from(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.shutdown_now();
        Poll::Ready(Ok(()))
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        self.0.shutdown_now();
    }
}
