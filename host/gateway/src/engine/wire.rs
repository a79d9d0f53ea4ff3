//! The device of a run, with or without a capture of what passes.

use crate::sandbox::AttachedDevice;
use link::Pcap;
use packet::{Batch, Capabilities, Device, DeviceError};
use std::fs::File;
use std::io::{self, BufWriter};

/// The sandbox's link as the stack sees it.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain(AttachedDevice),
    Captured(Pcap<AttachedDevice, BufWriter<File>>),
}

impl Wire {
    /// `device`, with every frame written to `capture`, where there is one.
    ///
    /// # Errors
    ///
    /// Where the capture cannot be begun.
    pub fn new(device: AttachedDevice, capture: Option<File>) -> io::Result<Self> {
        Ok(match capture {
            Some(file) => Self::Captured(Pcap::new(device, BufWriter::new(file))?),
            None => Self::Plain(device),
        })
    }

    /// Writes out what is left of the capture.
    ///
    /// # Errors
    ///
    /// Where it is not whole: the first reason.
    pub fn finish(self) -> io::Result<()> {
        let Self::Captured(mut pcap) = self else { return Ok(()) };
        pcap.take_error().map_or_else(|| pcap.flush(), Err)
    }
}

impl Device for Wire {
    fn capabilities(&self) -> Capabilities {
        match self {
            Self::Plain(device) => device.capabilities(),
            Self::Captured(pcap) => pcap.capabilities(),
        }
    }

    fn receive(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        match self {
            Self::Plain(device) => device.receive(batch),
            Self::Captured(pcap) => pcap.receive(batch),
        }
    }

    fn transmit(&mut self, batch: &mut Batch) -> Result<(), DeviceError> {
        match self {
            Self::Plain(device) => device.transmit(batch),
            Self::Captured(pcap) => pcap.transmit(batch),
        }
    }
}
