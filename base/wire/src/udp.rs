//! The UDP header (RFC 768; RFC 8200 §8.1 for IPv6).

use crate::checksum::Sum;
use crate::field::{put_u16, u16_at};

/// Bytes of the header.
pub const HEADER_LENGTH: usize = 8;
/// Bytes from the start of the header to the checksum.
pub const CHECKSUM_OFFSET: usize = 6;

/// The header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Source port; 0 where no answer is wanted.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Bytes of header and payload.
    pub length: u16,
    /// The checksum as it stands in the header; 0 where the sender computed none.
    pub checksum: u16,
}

/// Why bytes are no UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than the header.
    Truncated,
    /// A length that does not hold the header, or is more than there is.
    Length,
}

impl Header {
    /// Reads the header of a datagram that is whole in `bytes`; with it, its length. The payload ends where the
    /// header's `length` says.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), Malformed> {
        let Some((fixed, _)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
            return Err(Malformed::Truncated);
        };
        let header = Self {
            source_port: u16_at(fixed, 0),
            destination_port: u16_at(fixed, 2),
            length: u16_at(fixed, 4),
            checksum: u16_at(fixed, CHECKSUM_OFFSET),
        };
        if usize::from(header.length) < HEADER_LENGTH || usize::from(header.length) > bytes.len() {
            return Err(Malformed::Length);
        }
        Ok((header, HEADER_LENGTH))
    }

    /// Writes the header into the first [`HEADER_LENGTH`] bytes, the checksum as it stands here.
    pub fn emit(&self, bytes: &mut [u8]) {
        put_u16(bytes, 0, self.source_port);
        put_u16(bytes, 2, self.destination_port);
        put_u16(bytes, 4, self.length);
        put_u16(bytes, CHECKSUM_OFFSET, self.checksum);
    }
}

/// The checksum to send, of a sum over pseudo-header, header and payload: never 0, which would say that there is
/// none (RFC 768).
pub const fn checksum(sum: Sum) -> u16 {
    match sum.checksum() {
        0 => 0xffff,
        checksum => checksum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_wrong_has_a_name() {
        let header = Header { source_port: 1, destination_port: 2, length: 10, checksum: 0 };
        let mut bytes = [0; 10];
        header.emit(&mut bytes);
        assert_eq!(Header::parse(&bytes[..7]), Err(Malformed::Truncated));
        assert_eq!(Header::parse(&bytes[..9]), Err(Malformed::Length));
        bytes[5] = 7;
        assert_eq!(Header::parse(&bytes), Err(Malformed::Length));
    }

    #[test]
    fn a_checksum_of_zero_is_sent_as_ones() {
        let mut sum = Sum::new();
        sum.add(&[0xff, 0xff]);
        assert_eq!(sum.checksum(), 0);
        assert_eq!(checksum(sum), 0xffff);
        sum.add(&[0, 1]);
        assert_eq!(checksum(sum), 0xfffe);
    }

    proptest! {
        #[test]
        fn a_header_survives_the_wire(source_port: u16, destination_port: u16, length in 8..600u16, checksum: u16) {
            let header = Header { source_port, destination_port, length, checksum };
            let mut bytes = [0; 600];
            header.emit(&mut bytes);
            prop_assert_eq!(Header::parse(&bytes), Ok((header, HEADER_LENGTH)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Header::parse(&bytes);
        }
    }
}
