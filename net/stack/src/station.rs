//! The stations on a packet's way through the stack, noted while somebody watches: docs/life-of-a-packet.md tells of
//! them, and a test holds it to what is noted here.

use alloc::vec::Vec;

/// Stations that are noted before the watching ends by itself: a few hundred packets' worth.
const STATIONS_MAX: usize = 4_096;

/// A place that a packet, or the bytes in it, has come to. In the order of one that arrives and is answered.
///
/// ```
#[doc = include_str!("two_hosts.md")]
#[doc = include_str!("connected.md")]
/// server.watch_stations();
/// client.tcp_write(ours, &mut Bytes::from_static(b"hello"), now);
/// carry(&mut client, &mut server, now);
/// let stations = server.take_stations();
/// let names: Vec<&str> = stations.iter().take(3).map(|station| station.name()).collect();
/// assert_eq!(names, ["network receive", "demultiplex", "connection receive"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Station {
    /// The link header is read: it is for this interface.
    LinkReceive,
    /// The IP header is read and checked: it is for this stack.
    NetworkReceive,
    /// The transport header is read, its checksum holds, and its connection is found.
    Demultiplex,
    /// The connection takes the segment.
    ConnectionReceive,
    /// The owner takes an event.
    Event,
    /// The owner reads.
    Read,
    /// The owner writes.
    Write,
    /// The connection makes a segment.
    ConnectionTransmit,
    /// The transport header is written, and its checksum, or what a device makes it from.
    TransportTransmit,
    /// The IP header is written.
    NetworkTransmit,
    /// The neighbour is known and the link header is written.
    LinkTransmit,
    /// The frame is handed out.
    HandOut,
}

impl Station {
    /// The station's name, as it stands in docs/life-of-a-packet.md.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkReceive => "link receive",
            Self::NetworkReceive => "network receive",
            Self::Demultiplex => "demultiplex",
            Self::ConnectionReceive => "connection receive",
            Self::Event => "event",
            Self::Read => "read",
            Self::Write => "write",
            Self::ConnectionTransmit => "connection transmit",
            Self::TransportTransmit => "transport transmit",
            Self::NetworkTransmit => "network transmit",
            Self::LinkTransmit => "link transmit",
            Self::HandOut => "hand out",
        }
    }
}

/// What has been noted; nothing, and no memory, unless somebody watches.
#[derive(Debug, Default)]
pub(crate) struct Stations {
    watched: bool,
    passed: Vec<Station>,
}

impl Stations {
    /// Notes a station, where somebody watches.
    #[inline]
    pub(crate) fn pass(&mut self, station: Station) {
        if self.watched {
            self.note(station);
        }
    }

    #[cold]
    fn note(&mut self, station: Station) {
        self.passed.push(station);
        self.watched = self.passed.len() < STATIONS_MAX;
    }
}

impl crate::Stack {
    /// Starts to note the stations that packets come to, up to 4,096 of them. An example is at [`Station`].
    pub fn watch_stations(&mut self) {
        self.output.stations = Stations { watched: true, passed: Vec::new() };
    }

    /// Ends the watching, and tells what was noted, in order. An example is at [`Station`].
    pub fn take_stations(&mut self) -> Vec<Station> {
        core::mem::take(&mut self.output.stations).passed
    }
}
