//! A stream's two halves: for two tasks, or borrowed by one.

use super::TcpStream;
use packet::Bytes;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The half of a [`TcpStream`] that reads, for a task of its own.
///
/// ```
/// # use runtime::Sockets;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (client, server) = Sockets::pair()?;
/// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
/// # let mut stream = client.connect(listener.local_addr()?).await?;
/// # let (mut accepted, _) = listener.accept().await?;
/// use tokio::io::AsyncReadExt;
///
/// let (mut from, _to) = stream.into_split();
/// accepted.write_bytes("hello".into()).await?;
/// let mut first = [0; 1];
/// assert_eq!(from.peek(&mut first).await?, 1);
/// let mut heard = [0; 5];
/// from.read_exact(&mut heard).await?;
/// assert_eq!((&first, &heard), (b"h", b"hello"));
/// // What needs no half is asked of the whole.
/// assert_eq!(from.as_ref().peer_addr()?, accepted.local_addr()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OwnedReadHalf(Arc<TcpStream>);

/// The half of a [`TcpStream`] that writes, for a task of its own. Dropped, it tells the peer that no more comes, unless it
/// is [forgotten](Self::forget).
///
/// ```
/// # use runtime::Sockets;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (client, server) = Sockets::pair()?;
/// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
/// # let mut stream = client.connect(listener.local_addr()?).await?;
/// # let (mut accepted, _) = listener.accept().await?;
/// use tokio::io::AsyncWriteExt;
///
/// let (_from, mut to) = stream.into_split();
/// to.as_ref().set_nodelay(true)?;
/// to.write_all(b"last words").await?;
/// drop(to);
/// assert_eq!(accepted.read_bytes().await?, "last words");
/// assert!(accepted.read_bytes().await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OwnedWriteHalf {
    /// `None` only while it is taken apart.
    whole: Option<Arc<TcpStream>>,
}

/// The half of a [`TcpStream`] that reads, borrowed.
///
/// Made by [`TcpStream::split`].
///
/// ```
/// # use runtime::Sockets;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (client, server) = Sockets::pair()?;
/// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
/// # let mut stream = client.connect(listener.local_addr()?).await?;
/// # let (mut accepted, _) = listener.accept().await?;
/// let (mut from, _) = stream.split();
/// accepted.write_bytes("hello".into()).await?;
/// assert_eq!(from.read_bytes().await?, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// The half of a [`TcpStream`] that writes, borrowed: dropped, it does nothing.
///
/// Made by [`TcpStream::split`].
///
/// ```
/// # use runtime::Sockets;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (client, server) = Sockets::pair()?;
/// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
/// # let mut stream = client.connect(listener.local_addr()?).await?;
/// # let (mut accepted, _) = listener.accept().await?;
/// let (_, mut to) = stream.split();
/// to.write_bytes("hello".into()).await?;
/// assert_eq!(accepted.read_bytes().await?, "hello");
/// // It is gone, and the stream is open still.
/// stream.write_bytes("more".into()).await?;
/// assert_eq!(accepted.read_bytes().await?, "more");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

/// The two halves are not of one stream; here they are again.
///
/// ```
/// # use runtime::Sockets;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let (client, server) = Sockets::pair()?;
/// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
/// # let mut stream = client.connect(listener.local_addr()?).await?;
/// # let (mut accepted, _) = listener.accept().await?;
/// use runtime::ReuniteError;
///
/// let (from, to) = stream.into_split();
/// let (other_from, other_to) = accepted.into_split();
/// let ReuniteError(from, other_to) = from.reunite(other_to).expect_err("they are of two streams");
/// assert!(from.reunite(to).is_ok() && other_from.reunite(other_to).is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of one stream")
    }
}

impl std::error::Error for ReuniteError {}

impl TcpStream {
    /// The two halves, for two tasks; the connection closes when both are dropped.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// let (mut from, mut to) = stream.into_split();
    /// tokio::spawn(async move { to.write_bytes("question".into()).await });
    /// assert_eq!(accepted.read_bytes().await?, "question");
    /// // The writing half is dropped.
    /// assert!(accepted.read_bytes().await?.is_empty());
    /// accepted.write_bytes("answer".into()).await?;
    /// assert_eq!(from.read_bytes().await?, "answer");
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let whole = Arc::new(self);
        (OwnedReadHalf(whole.clone()), OwnedWriteHalf { whole: Some(whole) })
    }

    /// The two halves, borrowed: for one task that does both at once.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// # tokio::spawn(async move { let heard = accepted.read_bytes().await?; accepted.write_bytes(heard).await });
    /// let (mut from, mut to) = stream.split();
    /// let mut answer = [0; 5];
    /// let (written, read) = tokio::join!(to.write_all(b"hello"), from.read_exact(&mut answer));
    /// # (written?, read?);
    /// assert_eq!(&answer, b"hello");
    /// # Ok(())
    /// # }
    /// ```
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }
}

impl OwnedReadHalf {
    /// The whole stream again.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// let stream = client.connect(listener.local_addr()?).await?;
    /// let (from, to) = stream.into_split();
    /// let stream = from.reunite(to).expect("they are of one stream");
    /// assert_eq!(stream.peer_addr()?, listener.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Both halves, where they are of two streams.
    pub fn reunite(self, mut other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        match other.whole.take() {
            Some(whole) if Arc::ptr_eq(&self.0, &whole) => {
                drop(whole);
                Arc::try_unwrap(self.0).map_err(|whole| {
                    // There are two holders, and one is gone.
                    ReuniteError(Self(whole.clone()), OwnedWriteHalf { whole: Some(whole) })
                })
            }
            whole => Err(ReuniteError(self, OwnedWriteHalf { whole })),
        }
    }
}

impl OwnedWriteHalf {
    /// Drops it without a word to the peer: the stream can be written by nobody any more, and ends with the other half.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// let (mut from, to) = stream.into_split();
    /// to.forget();
    /// accepted.write_bytes("hello".into()).await?;
    /// assert_eq!(from.read_bytes().await?, "hello");
    /// // The peer has heard of no end.
    /// let heard = accepted.try_read(&mut [0; 1]);
    /// assert_eq!(heard.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    pub fn forget(mut self) {
        self.whole = None;
    }

    fn whole(&self) -> &TcpStream {
        self.whole.as_ref().expect("it is taken apart only where it ends")
    }
}

impl OwnedReadHalf {
    fn whole(&self) -> &TcpStream {
        &self.0
    }
}

impl ReadHalf<'_> {
    fn whole(&self) -> &TcpStream {
        self.0
    }
}

impl WriteHalf<'_> {
    fn whole(&self) -> &TcpStream {
        self.0
    }
}

/// What a half that reads can do.
macro_rules! reads {
    ($half:ty) => {
        impl $half {
            /// As [`TcpStream::read_bytes`].
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn read_bytes(&mut self) -> io::Result<Bytes> {
                self.whole().take_bytes().await
            }

            /// As [`TcpStream::peek`].
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn peek(&mut self, into: &mut [u8]) -> io::Result<usize> {
                self.whole().peek(into).await
            }
        }

        impl AsRef<TcpStream> for $half {
            /// The whole, for what needs no half: addresses, options, figures, readiness.
            fn as_ref(&self) -> &TcpStream {
                self.whole()
            }
        }

        impl AsyncRead for $half {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                into: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.whole().poll_read_into(cx, into)
            }
        }
    };
}

/// What a half that writes can do.
macro_rules! writes {
    ($half:ty) => {
        impl $half {
            /// As [`TcpStream::write_bytes`].
            ///
            /// # Errors
            ///
            /// As there.
            pub async fn write_bytes(&mut self, data: Bytes) -> io::Result<()> {
                self.whole().put_bytes(data).await
            }
        }

        impl AsRef<TcpStream> for $half {
            /// The whole, for what needs no half: addresses, options, figures, readiness.
            fn as_ref(&self) -> &TcpStream {
                self.whole()
            }
        }

        impl AsyncWrite for $half {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                from: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.whole().poll_write_from(cx, &[IoSlice::new(from)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                from: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.whole().poll_write_from(cx, from)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.whole().shutdown_now();
                Poll::Ready(Ok(()))
            }
        }
    };
}

reads!(OwnedReadHalf);
reads!(ReadHalf<'_>);
writes!(OwnedWriteHalf);
writes!(WriteHalf<'_>);

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if let Some(whole) = &self.whole {
            whole.shutdown_now();
        }
    }
}
