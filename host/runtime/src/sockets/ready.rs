//! Streams without waiting, and waiting without doing.

use super::TcpStream;
use packet::Bytes;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::task::Poll;
use tokio::io::{Interest, Ready};

/// Without waiting, and waiting without doing.
impl TcpStream {
    /// Waits until a read would not: bytes, the end of the stream, or an error are there.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// let mut into = [0; 64];
    /// assert_eq!(stream.try_read(&mut into).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// accepted.write_bytes("hello".into()).await?;
    /// stream.readable().await?;
    /// assert_eq!(stream.try_read(&mut into)?, 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until a write would not: there is room, or an error to be told.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// // The buffer is filled: nobody reads, and the stack has had no turn.
    /// while stream.try_write(&[7; 65_536]).is_ok() {}
    /// tokio::spawn(async move { while !accepted.read_bytes().await?.is_empty() {} std::io::Result::Ok(()) });
    /// stream.writable().await?;
    /// assert!(stream.try_write(b"more")? > 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Waits until one of what `interest` names would not wait, and says which.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # use tokio::io::Interest;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let stream = client.connect(listener.local_addr()?).await?;
    /// let ready = stream.ready(Interest::READABLE | Interest::WRITABLE).await?;
    /// assert!(ready.is_writable() && !ready.is_readable());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// None; as tokio's.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            let ready = state.readiness(self.id);
            let mut wanted = Ready::EMPTY;
            if interest.is_readable() {
                wanted |= ready & (Ready::READABLE | Ready::READ_CLOSED);
            }
            if interest.is_writable() {
                wanted |= ready & (Ready::WRITABLE | Ready::WRITE_CLOSED);
            }
            if !wanted.is_empty() {
                return Poll::Ready(Ok(wanted));
            }
            if let Some(connection) = state.connections.get_mut(&self.id) {
                if interest.is_readable() {
                    connection.read.park(cx);
                }
                if interest.is_writable() {
                    connection.write.park(cx);
                }
            }
            if interest.is_writable() {
                // Whoever has not been refused is told of nothing: room may have gone without a write.
                state.stack.tcp_wait_for_room(self.id);
            }
            Poll::Pending
        })
        .await
    }

    /// Reads what is there now; 0 at the end of the stream. An example is at [`readable`](Self::readable).
    ///
    /// # Errors
    ///
    /// `WouldBlock` where nothing is; else as [`read_bytes`](Self::read_bytes).
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let chunk = self.try_take(into.len())?;
        into[..chunk.len()].copy_from_slice(&chunk);
        Ok(chunk.len())
    }

    /// Takes what is there now, without a copy; empty at the end of the stream.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// accepted.write_bytes("hello".into()).await?;
    /// stream.readable().await?;
    /// assert_eq!(stream.try_read_bytes()?, "hello");
    /// assert_eq!(stream.try_read_bytes().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    pub fn try_read_bytes(&self) -> io::Result<Bytes> {
        self.try_take(usize::MAX)
    }

    /// Writes as much as there is room for now; its length in bytes. An example is at [`writable`](Self::writable).
    ///
    /// # Errors
    ///
    /// `WouldBlock` where there is no room; else as [`write_bytes`](Self::write_bytes).
    pub fn try_write(&self, from: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(from)])
    }

    /// As [`try_write`](Self::try_write), from several buffers at once.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// use std::io::IoSlice;
    ///
    /// let taken = stream.try_write_vectored(&[IoSlice::new(b"head "), IoSlice::new(b"body")])?;
    /// assert_eq!(taken, 9);
    /// assert_eq!(accepted.read_bytes().await?, "head body");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_write_vectored(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let room = self.shared.lock().stack.tcp_writable(self.id).max(1);
        let mut data = self.shared.copy(from, room);
        if data.is_empty() { Ok(0) } else { self.try_put(&mut data) }
    }

    /// Hands over from the front of `data` as much as there is room for now, without a copy; what had none stays.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// use packet::Bytes;
    ///
    /// let mut data = Bytes::from(vec![7; 16 << 20]);
    /// let taken = stream.try_write_bytes(&mut data)?;
    /// assert_eq!(taken + data.len(), 16 << 20);
    /// assert!(!data.is_empty(), "no buffer holds so much");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`try_write`](Self::try_write).
    pub fn try_write_bytes(&self, data: &mut Bytes) -> io::Result<usize> {
        if data.is_empty() { Ok(0) } else { self.try_put(data) }
    }

    /// Waits for received bytes and copies them without taking them: the next read gives them again. 0 at the end of the
    /// stream.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (client, server) = Sockets::pair()?;
    /// # let listener = server.listen(([192, 0, 2, 2], 7).into())?;
    /// # let mut stream = client.connect(listener.local_addr()?).await?;
    /// # let (mut accepted, _) = listener.accept().await?;
    /// accepted.write_bytes("hello".into()).await?;
    /// let mut first = [0; 1];
    /// assert_eq!((stream.peek(&mut first).await?, first), (1, *b"h"));
    /// assert_eq!(stream.read_bytes().await?, "hello");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`read_bytes`](Self::read_bytes).
    pub async fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_look(cx, into)).await
    }

    pub(crate) fn try_take(&self, bytes_max: usize) -> io::Result<Bytes> {
        let now = self.shared.clock.now();
        let taken = self.shared.lock().take(self.id, bytes_max, now);
        // The window has opened, and the peer may be waiting for that.
        self.shared.work.notify_one();
        taken.unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))
    }

    pub(crate) fn try_look(&self, into: &mut [u8]) -> io::Result<usize> {
        let looked = self.shared.lock().peek(self.id, into);
        looked.unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))
    }

    fn try_put(&self, data: &mut Bytes) -> io::Result<usize> {
        let now = self.shared.clock.now();
        let put = self.shared.lock().put(self.id, data, now);
        self.shared.work.notify_one();
        put.unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))
    }
}
