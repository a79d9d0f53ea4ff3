//! DNS over TCP: each message behind its length in two bytes (RFC 1035 §4.2.2, RFC 7766 §8).

/// The most bytes that wait for the rest of a message: one message of the greatest length and its length.
pub const BUFFER_BYTES_MAX: usize = 2 + u16::MAX as usize;

/// Puts a message's length before it. A message longer than 65,535 bytes cannot be sent and is cut, which none of the
/// resolver's is.
#[must_use]
pub fn frame(message: &[u8]) -> Vec<u8> {
    let message = &message[..message.len().min(usize::from(u16::MAX))];
    let mut framed = Vec::with_capacity(2 + message.len());
    framed.extend_from_slice(&(message.len() as u16).to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

/// Messages out of a stream's bytes. Holds at most one message that is not whole.
#[derive(Debug, Default)]
pub struct Deframer {
    buffer: Vec<u8>,
}

impl Deframer {
    /// Takes the front of `bytes` into the message that is being put together, and leaves what belongs to later
    /// ones. The message, where that made it whole. Call it until it returns `None`; then `bytes` is empty.
    pub fn take(&mut self, bytes: &mut &[u8]) -> Option<Vec<u8>> {
        loop {
            let wanted = match self.buffer.first_chunk::<2>() {
                None => 2,
                Some(length) => 2 + usize::from(u16::from_be_bytes(*length)),
            };
            if self.buffer.len() >= 2 && self.buffer.len() == wanted {
                let mut message = std::mem::take(&mut self.buffer);
                message.drain(..2);
                return Some(message);
            }
            let (now, later) = bytes.split_at(bytes.len().min(wanted - self.buffer.len()));
            if now.is_empty() {
                return None;
            }
            self.buffer.extend_from_slice(now);
            *bytes = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_come_out_however_the_stream_is_cut(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..6),
            cuts in proptest::collection::vec(1usize..40, 1..20),
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
            let (mut deframer, mut found, mut at) = (Deframer::default(), Vec::new(), 0);
            for cut in cuts.iter().cycle() {
                let mut bytes = &stream[at..stream.len().min(at + cut)];
                at += bytes.len();
                while let Some(message) = deframer.take(&mut bytes) {
                    found.push(message);
                }
                prop_assert!(bytes.is_empty());
                prop_assert!(deframer.buffer.len() <= BUFFER_BYTES_MAX);
                if at == stream.len() {
                    break;
                }
            }
            prop_assert_eq!(found, messages);
        }
    }

    #[test]
    fn the_longest_message_passes_whole() {
        let message = vec![7; usize::from(u16::MAX)];
        let framed = frame(&message);
        assert_eq!(framed.len(), BUFFER_BYTES_MAX);
        assert_eq!(Deframer::default().take(&mut framed.as_slice()), Some(message));
    }
}
