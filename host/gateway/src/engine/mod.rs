//! The gateway while the command runs: one thread that turns frames, host sockets, names and time.
//!
//! ```text
//!    command's sockets                                                         host's sockets
//!          │ frames                                                                  │
//!      [device] ── [port] ── [stack] ── events ── tcp · udp · echo · dns · published ─┘
//!                                           │ judged by
//!                                       [authority]: policy, ledger · [gate]: pins, names, address classes
//!                                           │ nothing speaks of it
//!                                       [inquiry] ── question ──> console ── answer ──> a rule
//! ```
//!
//! A turn: take in what is ready, let the stack answer, move bytes, send. Nothing blocks but the wait between turns.

mod asked;
mod behind;
mod calls;
mod consult;
mod converse;
mod cx;
mod deadlines;
mod dns;
mod echo;
mod gate;
mod held;
mod inquiry;
mod inspection;
mod listeners;
mod lookup;
mod origin;
mod published;
mod relay;
mod revoke;
mod setup;
mod signals;
mod tcp;
mod turn;
mod udp;
mod unix;
mod upstream;
mod wire;

pub(crate) use gate::Gate;
pub(crate) use inquiry::Interview;
pub(crate) use setup::Parts;
pub use setup::SetupError;
pub use turn::EngineError;
pub(crate) use turn::{Ended, Engine};

use runtime::Token;

/// Whose descriptor a token belongs to: the kind stands in the top byte, an attempt's number in the next, the
/// flow's index below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Sources {
    Device,
    Control,
    Signals,
    Ledger,
    Policy,
    Digests,
    Console,
    Upstream,
    Tcp,
    Udp,
    Echo,
    PublishedTcp,
    PublishedUdp,
}

impl Sources {
    const ALL: [Self; 13] = [
        Self::Device,
        Self::Control,
        Self::Signals,
        Self::Ledger,
        Self::Policy,
        Self::Digests,
        Self::Console,
        Self::Upstream,
        Self::Tcp,
        Self::Udp,
        Self::Echo,
        Self::PublishedTcp,
        Self::PublishedUdp,
    ];

    fn token(self, index: usize) -> Token {
        self.attempt_token(index, 0)
    }

    fn attempt_token(self, index: usize, attempt: usize) -> Token {
        debug_assert!(attempt < 1 << 8 && (index as u64) < 1 << 48, "a token has room for both");
        Token((self as u64) << 56 | (attempt as u64) << 48 | index as u64)
    }

    fn of(token: Token) -> Option<(Self, usize, usize)> {
        let source = Self::ALL.get((token.0 >> 56) as usize)?;
        let attempt = (token.0 >> 48 & 0xff) as usize;
        Some((*source, (token.0 & 0xffff_ffff_ffff) as usize, attempt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_what_it_was_made_of() {
        for source in Sources::ALL {
            assert_eq!(Sources::of(source.attempt_token(123_456, 7)), Some((source, 123_456, 7)));
        }
        assert_eq!(Sources::of(Token(u64::MAX)), None);
    }
}
