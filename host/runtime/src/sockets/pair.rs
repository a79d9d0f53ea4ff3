//! Two stacks on a cable, for programs that try something out and for their tests: no privilege, no interface, no network.

use super::Sockets;
use link::FrameSocket;
use std::io;

/// The largest IP packet on the cable, in bytes.
const MTU: u16 = 1_500;

impl Sockets {
    /// Two stacks in this process on a cable of their own: the first is 192.0.2.1 and 2001:db8::1, the second 192.0.2.2
    /// and 2001:db8::2. Tasks of the tokio runtime that this is called in turn them.
    ///
    /// ```
    /// # use runtime::Sockets;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (client, server) = Sockets::pair()?;
    /// let listener = server.listen("[2001:db8::2]:80".parse().expect("an address"))?;
    /// let (connected, accepted) = tokio::join!(client.connect(listener.local_addr()?), listener.accept());
    /// connected.and(accepted).map(drop)
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The system's, where it has no descriptors or no random bytes.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn pair() -> io::Result<(Self, Self)> {
        let ((left, near), (right, far)) = Self::make_pair()?;
        tokio::spawn(left.clone().drive(near));
        tokio::spawn(right.clone().drive(far));
        Ok((left, right))
    }

    /// Both stacks, which nobody turns yet, and their ends of the cable.
    pub(crate) fn make_pair() -> io::Result<((Self, FrameSocket), (Self, FrameSocket))> {
        let (near, far) = FrameSocket::pair(MTU)?;
        let end = |device: FrameSocket, number: u8| {
            let (v4, v6) = ([192, 0, 2, number], [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number)]);
            let addresses = [stack::Prefix::new(v4, 24), stack::Prefix::new(v6, 64)];
            Ok::<_, io::Error>((Self::make(&device, &addresses, &[])?, device))
        };
        Ok((end(near, 1)?, end(far, 2)?))
    }
}
