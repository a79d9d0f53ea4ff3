//! Explicit congestion notification (RFC 3168): routers mark packets of those who can answer a mark, and need not drop
//! them. What is agreed on in the handshake, and which packets may be marked, stands here; how marks are told to the
//! sender, in the leaf of the variant:
//!
//! ```text
//!   SYN, SYN-ACK --> Marking: none, classic, accurate
//!                       |
//!   CE ---------------->+--> flags of what leaves
//!   flags that arrive ->+--> the send half: fewer bytes in flight
//!                       |
//!   new data leaves ----+--> ECT(0)
//! ```

mod accurate;
mod bytes;
mod classic;

use crate::Config;
use accurate::{Accurate, Coverage, Echo, ace, decoded};
use alloc::boxed::Box;
use classic::Classic;
use time::SequenceNumber;
use wire::Ecn;
use wire::tcp::{AccurateEcn, Flags};

/// How marks are told to their sender, from nothing to most.
///
/// ```
/// use tcp::{Config, EcnFeedback};
///
/// // To ask for it, as a server's peer does; and to answer a peer that asks, which is the default up to classic.
/// let config = Config { ecn_request: EcnFeedback::Accurate, ..Config::linux() };
/// assert!(config.ecn_request > config.ecn_accept && config.ecn_accept == EcnFeedback::Classic);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EcnFeedback {
    /// Not at all: nothing may be marked.
    Off,
    /// Once a round trip (RFC 3168).
    Classic,
    /// Each of them (RFC 9768); where the peer knows no more, as [`Classic`](Self::Classic).
    Accurate,
}

/// When accurate feedback is told in an option, too (RFC 9768 §3.2.3), where there is room. In any case it is told in the
/// SYN-ACK and its answer, and read where the peer sends it.
///
/// ```
/// use tcp::{Config, EcnOption};
/// let config = Config { ecn_option: EcnOption::Changed, ..Config::linux() };
/// assert_eq!(config.check(), Ok(()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcnOption {
    /// Not at all, not in the handshake either.
    Never,
    /// Where it has changed since it was last told (RFC 9768 §3.2.3.3, the recommended scheme). Data leaves no room for
    /// it: where it tells of marks, an acknowledgement of its own follows.
    Changed,
    /// In every segment but retransmissions, once the peer has sent one. Segments of data are smaller by it.
    Always,
}

/// ECE and CWR: an ECN-setup SYN (RFC 3168 §6.1.1).
const ECN_SETUP: Flags = Flags(Flags::ECE.0 | Flags::CWR.0);
/// All three: a SYN that asks for accurate feedback (RFC 9768 §3.1.1).
const ACCURATE_SETUP: Flags = Flags(ECN_SETUP.0 | Flags::AE.0);
/// Transmissions of a SYN, or of a SYN-ACK, that speak of accurate feedback; those that follow do not
/// (RFC 9768 §3.1.4.1, §3.2.3.2.2).
const ACCURATE_TRIES: u8 = 2;
/// Round trips from the start in which every packet arrives marked, after which nothing more may be: no queue does that, but
/// somebody who writes into the field (RFC 9768 §3.2.2.3).
const MARKED_ROUNDS_MAX: u8 = 3;

/// What a connection that can answer marks knows of them.
#[derive(Debug)]
pub(crate) struct Marking {
    /// What leaves may be marked.
    capable: bool,
    /// The peer says that our SYN arrived marked.
    syn_marked: bool,
    /// Behind what had left at the last reduction for a mark.
    reduced: SequenceNumber,
    /// Some packet may have arrived as it left.
    spared: bool,
    /// Round trips in which none had.
    marked_rounds: u8,
    feedback: Feedback,
}

#[derive(Debug)]
enum Feedback {
    Classic(Classic),
    Accurate(Accurate),
}

/// A segment that was found acceptable, as far as marks go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    pub(crate) flags: Flags,
    pub(crate) ecn: Ecn,
    /// Bytes of its payload.
    pub(crate) bytes: usize,
    /// Packets that it was joined from.
    pub(crate) packets: u16,
    /// It says nothing but what it acknowledges, and of that no more than the number.
    pub(crate) bare: bool,
    /// It ends the handshake.
    pub(crate) last: bool,
    /// Data waits for its acknowledgement.
    pub(crate) waits: bool,
    /// How many packets it acknowledges; `None` where another that was sent later may have arrived before it.
    pub(crate) delivered: Option<u32>,
    /// Those packets were all full, so that the number is exact.
    pub(crate) exact: bool,
    /// Bytes of a full packet.
    pub(crate) mss: u32,
    pub(crate) option: Option<AccurateEcn>,
}

/// What a segment leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// It is to be acknowledged at once.
    pub(crate) answer: bool,
    /// What the connection has sent was marked.
    pub(crate) marked: bool,
    /// How much of it, in segments, as far as that is told.
    pub(crate) marks: u32,
    /// Its SYN-ACK was.
    pub(crate) syn_marked: bool,
}

/// A SYN that came again asks for another feedback than the first, so that both ends could take different ones.
#[derive(Debug)]
pub(crate) struct Ambiguous;

/// The flags with which a SYN asks for `feedback`, after `retries` that had no answer.
///
/// RFC 3168 §6.1.1.1, RFC 9768 §3.1.4.1: whoever drops SYNs that ask lets a later one through.
pub(crate) fn flags_of_syn(feedback: EcnFeedback, retries: u8) -> Flags {
    match feedback {
        EcnFeedback::Classic if retries == 0 => ECN_SETUP,
        EcnFeedback::Accurate if retries < ACCURATE_TRIES => ACCURATE_SETUP,
        EcnFeedback::Off | EcnFeedback::Classic | EcnFeedback::Accurate => Flags::default(),
    }
}

impl Marking {
    /// What `flags` of a peer's SYN, which arrived with `ecn`, lead to (RFC 3168 §6.1.1, RFC 9768 §3.1.1,
    /// table 2). Our first byte will be `first`.
    pub(crate) fn of_syn(
        flags: Flags,
        ecn: Ecn,
        config: &Config,
        first: SequenceNumber,
    ) -> Option<Box<Self>> {
        let feedback = match (config.ecn_accept, ace(flags)) {
            (EcnFeedback::Off, _) | (_, 0b000) => return None,
            // RFC 9768 §3.1.3: what means nothing yet asks for this, too.
            (EcnFeedback::Accurate, ace) if ace != 0b011 => {
                Feedback::Accurate(Accurate::new(ecn, false, config.ecn_option))
            }
            _ => {
                // A SYN that could be marked was sent by nobody who obeys RFC 3168 §6.1.1, unless by a later extension
                // (RFC 8311 §4.3).
                let honest = ecn == Ecn::NotEct || flags.contains(Flags::AE);
                if !flags.contains(ECN_SETUP) || !honest {
                    return None;
                }
                Feedback::Classic(Classic::default())
            }
        };
        Some(Self::new(true, first, feedback))
    }

    /// What `flags` of a SYN-ACK, which arrived with `ecn` and `option`, lead to after `retries` of the SYN
    /// (RFC 3168 §6.1.1, RFC 9768 §3.1.2, table 2).
    pub(crate) fn of_syn_ack(
        flags: Flags,
        ecn: Ecn,
        option: Option<AccurateEcn>,
        (config, retries): (&Config, u8),
        first: SequenceNumber,
    ) -> Option<Box<Self>> {
        let request = config.ecn_request;
        let accurate = request == EcnFeedback::Accurate;
        match (request, ace(flags)) {
            (EcnFeedback::Off, _) => None,
            // RFC 3168 §6.1.1: ECE without CWR. Both, or all three, are the reflection of one who does not know them.
            (_, 0b001) | (EcnFeedback::Classic, 0b101) => {
                // RFC 3168 §6.1.1: who has sent a SYN that did not ask sends nothing that can be marked.
                let asked = flags_of_syn(request, retries) != Flags::default();
                Some(Self::new(asked, first, Feedback::Classic(Classic::default())))
            }
            (_, 0b000 | 0b111) => None,
            _ if accurate => {
                let mut accurate = Accurate::new(ecn, true, config.ecn_option);
                accurate.handle_option(option);
                let mut marking = Self::new(true, first, Feedback::Accurate(accurate));
                marking.hear_of_syn(decoded(flags));
                marking.syn_marked = decoded(flags) == Echo::Arrived(Ecn::Ce);
                Some(marking)
            }
            _ => None,
        }
    }

    fn new(capable: bool, first: SequenceNumber, feedback: Feedback) -> Box<Self> {
        let (spared, marked_rounds) = (false, 0);
        Box::new(Self { capable, syn_marked: false, reduced: first, spared, marked_rounds, feedback })
    }

    /// The peer says how our SYN or SYN-ACK, which was not ECN-capable, has arrived.
    fn hear_of_syn(&mut self, echo: Echo) {
        match echo {
            Echo::Arrived(Ecn::NotEct) | Echo::Unknown => {}
            // RFC 9768 §3.2.2.3: somebody on the path writes into the field. What may be marked does not get there as
            // it left; marks are answered and told of all the same. §3.2.2.1: after a zero nothing is.
            Echo::Arrived(_) | Echo::Zero => self.capable = false,
        }
    }

    /// Whether the peer says that our SYN arrived marked.
    pub(crate) fn is_syn_marked(&self) -> bool {
        self.syn_marked
    }

    /// The flags with which a SYN-ACK agrees, after `retries` that had no answer.
    pub(crate) fn flags_of_syn_ack(&mut self, retries: u8) -> Flags {
        match &self.feedback {
            Feedback::Classic(_) => Flags::ECE,
            Feedback::Accurate(accurate) if retries < ACCURATE_TRIES => accurate.flags_of_syn_ack(),
            Feedback::Accurate(_) => {
                // RFC 9768 §3.1.5: the peer may take it for an answer that declines; we count on all the same.
                self.capable = false;
                Flags::default()
            }
        }
    }

    /// The peer's SYN came once more, with `flags` and `ecn`; `most` is what we agree to.
    pub(crate) fn handle_syn_again(
        &mut self,
        flags: Flags,
        ecn: Ecn,
        most: EcnFeedback,
    ) -> Result<(), Ambiguous> {
        let ace = ace(flags);
        match &mut self.feedback {
            // RFC 9768 §3.1.5. Who knows no accurate feedback was asked for the classic one by all three flags, too (§3.1.2).
            Feedback::Classic(_) if ace == 0b111 && most == EcnFeedback::Accurate => return Err(Ambiguous),
            Feedback::Accurate(_) if ace == 0b011 => return Err(Ambiguous),
            // RFC 3168 §6.1.1: after a SYN that does not ask (SHOULD).
            Feedback::Classic(_) => self.capable &= flags.contains(ECN_SETUP),
            Feedback::Accurate(accurate) => {
                accurate.handle_syn_again(ecn, false);
                // RFC 9768 §3.1.5: the peer may be without ECN by now.
                self.capable &= ace != 0b000;
            }
        }
        Ok(())
    }

    /// The peer's SYN-ACK came once more, with `flags` and `ecn`: its answer has been lost.
    pub(crate) fn handle_syn_ack_again(&mut self, flags: Flags, ecn: Ecn) {
        // RFC 9768 §3.2.2.1: told as the first was, if it agrees to this.
        if let Feedback::Accurate(accurate) = &mut self.feedback
            && !matches!(ace(flags), 0b000 | 0b001 | 0b111)
        {
            accurate.handle_syn_again(ecn, true);
        }
    }

    /// Whether a mark that is told now, with everything before `una` acknowledged, is of what left after the last
    /// reduction for one (RFC 3168 §6.1.2): the same is told until the peer has heard of that, which it does with what
    /// follows.
    pub(crate) fn is_news(&mut self, una: SequenceNumber) -> bool {
        let news = una.after(self.reduced);
        if news {
            // That reduction stays behind, though it be more than half of all numbers ago (RFC 9293 §3.4).
            self.reduced = una - 1;
        }
        news
    }

    /// The window was reduced for a mark on what left before `nxt`.
    pub(crate) fn handle_reduction(&mut self, nxt: SequenceNumber) {
        self.reduced = nxt;
        if !self.spared && self.accurate().is_some() {
            self.marked_rounds += 1;
            self.capable &= self.marked_rounds < MARKED_ROUNDS_MAX;
            self.spared = !self.capable;
        }
    }

    /// An acceptable segment has arrived.
    pub(crate) fn handle_arrival(&mut self, arrived: Arrived) -> Heard {
        let Arrived { flags, ecn, packets, bare, last, .. } = arrived;
        let data = arrived.bytes > 0;
        let accurate = match &mut self.feedback {
            Feedback::Classic(classic) => {
                let answer = classic.handle_arrival(flags, ecn, data);
                let marked = flags.contains(Flags::ECE);
                let marks = arrived.delivered.filter(|_| marked).unwrap_or(0);
                return Heard { answer, marked, marks, syn_marked: false };
            }
            Feedback::Accurate(accurate) => accurate,
        };
        let answer = accurate.handle_arrival(ecn, packets, arrived.bytes, arrived.waits);
        if last && bare {
            let echo = decoded(flags);
            accurate.handle_final(echo);
            accurate.handle_option(arrived.option);
            self.hear_of_syn(echo);
            return Heard { answer, syn_marked: echo == Echo::Arrived(Ecn::Ce), ..Heard::default() };
        }
        // RFC 9768 §3.2.2.2: what another has superseded tells nothing.
        let Some(packets) = arrived.delivered else { return Heard { answer, ..Heard::default() } };
        let marked_bytes = accurate.handle_option(arrived.option);
        let coverage = Coverage { packets, exact: arrived.exact, mss: arrived.mss, marked_bytes };
        let (marks, changed) = accurate.handle_feedback(flags, coverage);
        // RFC 9768 §3.2.2.4, §3.2.3.2.5.
        self.capable &= !changed;
        self.spared |= packets > 0 && !(arrived.exact && marks >= packets);
        Heard { answer, marked: marks > 0, marks, syn_marked: false }
    }

    /// The option of a SYN-ACK that leaves for the first time: whoever drops it for its sake lets the next one through
    /// (RFC 9768 §3.2.3.2.2).
    pub(crate) fn option_of_syn_ack(&self) -> Option<AccurateEcn> {
        self.accurate().and_then(Accurate::option_of_syn_ack)
    }

    /// The option of a segment that leaves with `room` for it.
    pub(crate) fn option(&mut self, room: usize) -> Option<AccurateEcn> {
        match &mut self.feedback {
            Feedback::Classic(_) => None,
            Feedback::Accurate(accurate) => accurate.option(room),
        }
    }

    /// Whether data leaves room for the option.
    pub(crate) fn leaves_room(&self) -> bool {
        self.accurate().is_some_and(Accurate::leaves_room)
    }

    /// Whether something is to be told that no option has told, and that a segment with room for it ought to tell.
    pub(crate) fn is_pressing(&self) -> bool {
        self.accurate().is_some_and(Accurate::is_pressing)
    }

    fn accurate(&self) -> Option<&Accurate> {
        match &self.feedback {
            Feedback::Classic(_) => None,
            Feedback::Accurate(accurate) => Some(accurate),
        }
    }

    /// The three flags of a segment that tells nothing new.
    pub(crate) fn idle_flags(&self) -> Flags {
        match &self.feedback {
            Feedback::Classic(_) => Flags::default(),
            Feedback::Accurate(accurate) => accurate.idle_flags(),
        }
    }

    /// Whether a bare acknowledgement has to leave before data: it alone can tell of the SYN-ACK (RFC 9768 §3.2.2.1).
    pub(crate) fn owes_answer(&self) -> bool {
        matches!(&self.feedback, Feedback::Accurate(accurate) if accurate.owes_answer())
    }

    /// Whether what leaves now may not stand for several segments: a device that cuts it leaves CWR to the first only.
    pub(crate) fn is_single(&self, reductions: u8) -> bool {
        match &self.feedback {
            Feedback::Classic(classic) => classic.is_untold(reductions),
            Feedback::Accurate(accurate) => accurate.is_single(),
        }
    }

    /// The flags of a segment that leaves, with `fresh` data or not, `bare` or not, after `reductions` of the window.
    pub(crate) fn flags(&mut self, fresh: bool, bare: bool, reductions: u8) -> Flags {
        match &mut self.feedback {
            Feedback::Classic(classic) => classic.flags(fresh, reductions),
            // RFC 9768 §3.1.5: no CWR to say that the window was reduced.
            Feedback::Accurate(accurate) => accurate.flags(bare),
        }
    }

    /// The codepoint of a segment that leaves; `selective` where SACK tells duplicates from answers to marks.
    pub(crate) fn codepoint(&self, fresh: bool, selective: bool) -> Ecn {
        // RFC 3168 §6.1.4, §6.1.5, §6.1.6: neither on what carries no data, nor on a retransmission or a probe of a
        // closed window.
        //
        // DEVIATES RFC 3168 §6.1.4: with accurate feedback, which tells of marks on them, all of these may be marked,
        // as RFC 8311 §4.3 lets experiments do and as Linux does.
        let may = match self.feedback {
            Feedback::Classic(_) => fresh,
            Feedback::Accurate(_) => fresh || selective,
        };
        // RFC 8311 §4.2: ECT(1) is not ours.
        if may && self.capable { Ecn::Ect0 } else { Ecn::NotEct }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: SequenceNumber = SequenceNumber(1);

    fn of(feedback: EcnFeedback) -> Config {
        Config { ecn_request: feedback, ecn_accept: feedback, ..Config::linux() }
    }

    #[test]
    fn a_syn_asks_once() {
        assert_eq!(flags_of_syn(EcnFeedback::Classic, 0), Flags::ECE | Flags::CWR);
        assert_eq!(flags_of_syn(EcnFeedback::Classic, 1), Flags::default());
        assert_eq!(flags_of_syn(EcnFeedback::Off, 0), Flags::default());
    }

    #[test]
    fn both_flags_ask_and_one_agrees() {
        let of_syn = |flags, ecn| Marking::of_syn(flags, ecn, &of(EcnFeedback::Classic), FIRST).is_some();
        assert!(of_syn(Flags::SYN | ECN_SETUP, Ecn::NotEct));
        assert!(!of_syn(Flags::SYN | Flags::ECE, Ecn::NotEct));
        assert!(!of_syn(Flags::SYN | ECN_SETUP, Ecn::Ect0), "no such SYN leaves by RFC 3168");
        assert!(of_syn(Flags::SYN | ECN_SETUP | Flags::AE, Ecn::Ect0));
        assert!(Marking::of_syn(Flags::SYN | ECN_SETUP, Ecn::NotEct, &of(EcnFeedback::Off), FIRST).is_none());
        let of_syn_ack = |feedback, flags, retries| {
            Marking::of_syn_ack(flags, Ecn::NotEct, None, (&of(feedback), retries), FIRST)
        };
        assert!(of_syn_ack(EcnFeedback::Classic, Flags::ECE, 0).is_some_and(|marking| marking.capable));
        assert!(of_syn_ack(EcnFeedback::Classic, ECN_SETUP, 0).is_none(), "a reflection");
        assert!(of_syn_ack(EcnFeedback::Classic, Flags::default(), 0).is_none());
        assert!(of_syn_ack(EcnFeedback::Off, Flags::ECE, 0).is_none());
        assert!(of_syn_ack(EcnFeedback::Classic, Flags::ECE, 1).is_some_and(|marking| !marking.capable));
    }

    #[test]
    fn a_mark_is_news_however_long_ago_the_last_reduction_was() {
        let mut marking = Marking::of_syn(ECN_SETUP, Ecn::NotEct, &of(EcnFeedback::Classic), FIRST).unwrap();
        assert!(!marking.is_news(FIRST));
        assert!((1..12_u32).all(|n| marking.is_news(FIRST + (n << 28))));
    }

    #[test]
    fn only_new_data_may_be_marked() {
        let mut marking = Marking::of_syn(ECN_SETUP, Ecn::NotEct, &of(EcnFeedback::Classic), FIRST).unwrap();
        assert_eq!((marking.codepoint(true, true), marking.codepoint(false, true)), (Ecn::Ect0, Ecn::NotEct));
        marking.handle_syn_again(Flags::SYN, Ecn::NotEct, EcnFeedback::Accurate).unwrap();
        assert_eq!(marking.codepoint(true, true), Ecn::NotEct);
    }
}
