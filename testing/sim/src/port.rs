//! A link's end as a device.

use crate::link::{Link, Offloading};
use crate::trace::Trace;
use crate::wire_end::Direction;
use packet::{Batch, Capabilities, Device, DeviceError};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use time::Instant;

/// Bytes of the largest packet that a device of the simulation cuts: what a 16-bit length can say.
const SEGMENTATION_BYTES_MAX: u32 = 65_535;

/// What a link's two ends share.
#[derive(Debug)]
pub(crate) struct Wire {
    pub link: Link,
    /// From the first end to the second, and back.
    pub directions: [Direction; 2],
}

/// One end of a link. Packets that it transmits start on their way at the world's time.
#[derive(Debug, Clone)]
pub struct Port {
    pub(crate) wire: Rc<RefCell<Wire>>,
    pub(crate) end: usize,
    pub(crate) clock: Rc<Cell<Instant>>,
    pub(crate) trace: Rc<RefCell<Trace>>,
}

impl Port {
    /// When the next packet arrives here.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.wire.borrow().directions[1 - self.end].next(Instant::ZERO)
    }
}

impl Device for Port {
    fn capabilities(&self) -> Capabilities {
        let link = &self.wire.borrow().link;
        let offers = link.offloading != Offloading::None;
        Capabilities {
            medium: link.medium,
            mtu: link.mtu,
            transmit_checksum: offers,
            segmentation_bytes_max: if offers { SEGMENTATION_BYTES_MAX } else { 0 },
        }
    }

    fn receive(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        let direction = &mut self.wire.borrow_mut().directions[1 - self.end];
        while !batch.is_full() {
            let Some(packet) = direction.receive(self.clock.get()) else { break };
            if batch.push(packet).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn transmit(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        let mut wire = self.wire.borrow_mut();
        let now = self.clock.get();
        while let Some(packet) = batch.pop() {
            wire.directions[self.end].send(packet, now, &mut self.trace.borrow_mut());
        }
        for answer in wire.directions[self.end].take_answers() {
            wire.directions[1 - self.end].answer(answer, now);
        }
        Ok(())
    }
}
