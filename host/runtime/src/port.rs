//! One interface of a stack joined to one device.

use packet::{Batch, Device, DeviceError, Packet};
use stack::{InterfaceId, Stack};
use time::Instant;

/// How many frames are taken from the device before the stack answers them, and at most handed to it at once.
///
/// With super-segments of 64 KB a batch is 4 MB, which is more than a turn should take; with small packets it
/// spreads the cost of a turn over enough of them.
const BATCH_PACKETS_MAX: usize = 64;

/// The exchange of frames between an interface and its device.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use link::FrameSocket;
/// use packet::Device;
/// use runtime::{Clock, Port};
/// use stack::{Config, InterfaceConfig, Prefix, Stack};
///
/// let (clock, (near, far)) = (Clock::start(), FrameSocket::pair(1_500)?);
/// let host = |device: FrameSocket, number: u8| {
///     let mut stack = Stack::new(Config::default(), [number; 32], clock.now());
///     let address = Prefix::new([192, 0, 2, number], 24);
///     let config = InterfaceConfig::new(device.capabilities(), [2, 0, 0, 0, 0, number], vec![address]);
///     let interface = stack.add_interface(config, clock.now()).expect("a sound interface");
///     (stack, Port::new(interface, device))
/// };
/// let ((mut client, mut near), (mut server, mut far)) = (host(near, 1), host(far, 2));
/// client.tcp_connect(None, "192.0.2.2:80".parse()?, Default::default(), clock.now())?;
/// // It asks for the neighbour, and is answered.
/// assert!(!near.transmit(&mut client, clock.now())?, "nothing is left");
/// assert!(!far.receive(&mut server, clock.now())?, "no more waits");
/// far.transmit(&mut server, clock.now())?;
/// near.receive(&mut client, clock.now())?;
/// assert_eq!((client.counters().received, client.memory().neighbours), (1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Port<D> {
    interface: InterfaceId,
    device: D,
    received: Batch,
    leaving: Batch,
}

impl<D: Device> Port<D> {
    /// Joins `interface` to `device`. An example is at [`Port`], as for the others.
    pub fn new(interface: InterfaceId, device: D) -> Self {
        Self {
            interface,
            device,
            received: Batch::with_capacity(BATCH_PACKETS_MAX),
            leaving: Batch::with_capacity(BATCH_PACKETS_MAX),
        }
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The device, when no more is exchanged.
    pub fn into_device(self) -> D {
        self.device
    }

    /// Gives the stack one batch of received frames. Whether the batch was full, so that more may wait.
    ///
    /// # Errors
    ///
    /// The device's, where it is gone.
    pub fn receive(&mut self, stack: &mut Stack, now: Instant) -> Result<bool, DeviceError> {
        self.receive_after(stack, now, |_| ())
    }

    /// As [`receive`](Self::receive), and shows each frame before the stack has it.
    ///
    /// # Errors
    ///
    /// The device's, where it is gone.
    pub(crate) fn receive_after(
        &mut self,
        stack: &mut Stack,
        now: Instant,
        look: impl FnMut(&Packet),
    ) -> Result<bool, DeviceError> {
        self.device.receive(&mut self.received)?;
        let full = self.received.is_full();
        self.received.iter().for_each(look);
        if !self.received.is_empty() {
            stack.handle_batch(self.interface, &mut self.received, now);
        }
        Ok(full)
    }

    /// Sends what the stack has to send, until it has nothing more or the device takes no more. Whether frames
    /// are left, so that the device's becoming writable matters.
    ///
    /// # Errors
    ///
    /// The device's, where it is gone.
    pub fn transmit(&mut self, stack: &mut Stack, now: Instant) -> Result<bool, DeviceError> {
        loop {
            if self.leaving.is_empty() {
                stack.poll_transmit(self.interface, &mut self.leaving, now);
            }
            if self.leaving.is_empty() {
                return Ok(false);
            }
            self.device.transmit(&mut self.leaving)?;
            if !self.leaving.is_empty() {
                return Ok(true);
            }
        }
    }
}
