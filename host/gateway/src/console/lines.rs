//! Weft's own lines for standard error, where that is the terminal that the console has: they wait for it, so that none
//! comes in between a question and its answer.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many bytes wait; what is more is lost, and that is told. A question may wait for hours.
const WAITING_BYTES_MAX: usize = 256 * 1_024;

/// Both ends of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// Whether the console has the terminal.
    is_held: bool,
    bytes: Vec<u8>,
    lost: bool,
}

impl Lines {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on they wait for [`take`](Self::take).
    pub fn hold(&self) {
        self.waiting().is_held = true;
    }

    /// What waits, for the terminal as it is while the console has it.
    pub fn take(&self) -> Vec<u8> {
        let mut waiting = self.waiting();
        let mut bytes = std::mem::take(&mut waiting.bytes);
        if std::mem::take(&mut waiting.lost) {
            bytes.extend(b"weft: more was said meanwhile than can be kept\n");
        }
        bytes
    }

    /// From here on they go to standard error again, those that wait first.
    pub fn release(&self) {
        let rest = self.take();
        self.waiting().is_held = false;
        // Nobody is left to be told that it cannot be written.
        let _ = io::stderr().write_all(&rest);
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut waiting = self.waiting();
        if !waiting.is_held {
            return io::stderr().write(bytes);
        }
        if waiting.bytes.len() + bytes.len() <= WAITING_BYTES_MAX {
            waiting.bytes.extend(bytes);
        } else {
            waiting.lost = true;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_while_they_are_held_and_are_bounded() {
        let mut lines = Lines::default();
        lines.hold();
        lines.clone().write_all(b"one\n").expect("kept");
        assert_eq!(lines.take(), b"one\n");
        let long = [b'x'; 1_000];
        for _ in 0..WAITING_BYTES_MAX / long.len() + 2 {
            lines.write_all(&long).expect("kept, or lost");
        }
        let kept = lines.take();
        assert!(kept.len() <= WAITING_BYTES_MAX + 100 && kept.ends_with(b"than can be kept\n"));
        assert!(lines.take().is_empty());
    }
}
