//! What passed the links, kept for a look at it: as pcap with the world's own times.

use packet::{Bytes, Medium, Packet};
use std::io::{self, Write};
use time::Instant;

/// Frames that are kept; older ones go first.
const FRAMES_MAX: usize = 100_000;

/// pcap with times in nanoseconds.
const MAGIC: u32 = 0xa1b2_3c4d;
const LINKTYPE_ETHERNET: u32 = 1;
const LINKTYPE_RAW: u32 = 101;

/// The last frames that went on a link, each as it left.
#[derive(Debug, Default)]
pub struct Trace {
    recording: bool,
    frames: std::collections::VecDeque<(Instant, Medium, Bytes)>,
}

impl Trace {
    /// Starts to keep frames.
    pub const fn start(&mut self) {
        self.recording = true;
    }

    /// Keeps a frame that passes now, where frames are kept.
    pub fn record(&mut self, now: Instant, medium: Medium, packet: &Packet) {
        if !self.recording {
            return;
        }
        if self.frames.len() >= FRAMES_MAX {
            self.frames.pop_front();
        }
        self.frames.push_back((now, medium, packet.clone().into_bytes()));
    }

    /// The frames, oldest first, with the time at which each left.
    pub fn frames(&self) -> impl Iterator<Item = (Instant, &Bytes)> {
        self.frames.iter().map(|(at, _, frame)| (*at, frame))
    }

    /// Writes the frames of one medium as pcap: a file has room for one alone.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub fn write_pcap(&self, medium: Medium, out: &mut impl Write) -> io::Result<()> {
        let linktype = match medium {
            Medium::Ethernet => LINKTYPE_ETHERNET,
            Medium::Ip => LINKTYPE_RAW,
        };
        out.write_all(&MAGIC.to_le_bytes())?;
        out.write_all(&[2, 0, 4, 0])?;
        for field in [0, 0, 262_144, linktype] {
            out.write_all(&u32::to_le_bytes(field))?;
        }
        for (at, _, frame) in self.frames.iter().filter(|(_, on, _)| *on == medium) {
            let nanos = at.as_nanos();
            let length = frame.len() as u32;
            for field in [(nanos / 1_000_000_000) as u32, (nanos % 1_000_000_000) as u32, length, length] {
                out.write_all(&field.to_le_bytes())?;
            }
            out.write_all(frame)?;
        }
        Ok(())
    }
}
