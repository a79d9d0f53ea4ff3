//! Whether the first bytes fit what a connection was opened for; until that is known they are held back.

use crate::inspect::{self, OpenedConnections, QuicInspector, QuicOutcome, TlsInspector, TlsOutcome};
use axiom::domain::DomainName;
use time::Instant;

/// What is known of the bytes so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They may go on.
    Pass,
    /// They are held until more have come.
    Wait,
    /// They may not go on.
    Refuse(inspect::Refusal),
}

/// What a connection's server name is held against.
#[derive(Debug)]
struct Expected {
    name: DomainName,
    tls_opaque: bool,
}

impl Expected {
    fn judge(&self, hello: &inspect::Hello) -> Verdict {
        match inspect::judge(hello, &self.name, self.tls_opaque) {
            Ok(()) => Verdict::Pass,
            Err(refusal) => Verdict::Refuse(refusal),
        }
    }
}

/// The first bytes of a stream from the command.
#[derive(Debug)]
pub(super) struct StreamInspection {
    verdict: Verdict,
    /// Gone once the verdict stands.
    open: Option<(Expected, TlsInspector)>,
}

impl StreamInspection {
    /// Of a connection for `name`; one for an address may carry what it likes.
    pub fn new(name: Option<&DomainName>, tls_opaque: bool) -> Self {
        let open = name.map(|name| (Expected { name: name.clone(), tls_opaque }, TlsInspector::default()));
        let verdict = if open.is_some() { Verdict::Wait } else { Verdict::Pass };
        Self { verdict, open }
    }

    /// The stream's next bytes.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        let Some((expected, inspector)) = &mut self.open else { return };
        self.verdict = match inspector.push(bytes) {
            TlsOutcome::NeedMore => return,
            TlsOutcome::NotTls => Verdict::Pass,
            TlsOutcome::Tls(hello) => expected.judge(&hello),
            TlsOutcome::Malformed(what) => Verdict::Refuse(inspect::Refusal::Malformed(what)),
        };
        self.open = None;
    }

    /// The stream has ended, and bytes are `held` or there were none.
    pub fn handle_end(&mut self, held: bool) {
        if self.open.take().is_some() {
            self.verdict = if held {
                Verdict::Refuse(inspect::Refusal::Malformed("the stream ends within its ClientHello"))
            } else {
                Verdict::Pass
            };
        }
    }

    /// What is known.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

/// The datagrams of a flow from the command: each may open a QUIC connection of its own.
#[derive(Default)]
pub(super) struct DatagramInspection {
    open: Option<(Expected, QuicInspector)>,
}

impl std::fmt::Debug for DatagramInspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatagramInspection").field("waits", &self.waits()).finish_non_exhaustive()
    }
}

impl DatagramInspection {
    /// Of a flow for `name`; one for an address may carry what it likes.
    pub fn new(name: Option<&DomainName>, tls_opaque: bool) -> Self {
        let open = name.map(|name| (Expected { name: name.clone(), tls_opaque }, QuicInspector::default()));
        Self { open }
    }

    /// The flow's next datagram. While one has begun a ClientHello that is not whole, all wait.
    pub fn handle_datagram(
        &mut self,
        datagram: &[u8],
        opened: &mut OpenedConnections,
        now: Instant,
    ) -> Verdict {
        let Some((expected, inspector)) = &mut self.open else { return Verdict::Pass };
        let verdict = match inspector.push(datagram, opened, now) {
            QuicOutcome::NotQuic | QuicOutcome::Known => Verdict::Pass,
            QuicOutcome::NeedMore => Verdict::Wait,
            QuicOutcome::Tls(hello) => expected.judge(&hello),
            QuicOutcome::Malformed(what) => Verdict::Refuse(inspect::Refusal::Malformed(what)),
            QuicOutcome::Unprocessable(what) => Verdict::Refuse(inspect::Refusal::Unprocessable(what)),
            QuicOutcome::UnknownVersion(version) => {
                Verdict::Refuse(inspect::Refusal::UnknownQuicVersion(version))
            }
        };
        match verdict {
            Verdict::Pass if inspector.is_waiting() => Verdict::Wait,
            verdict => verdict,
        }
    }

    /// What is held is dropped: so is what was begun by it.
    pub fn forget_unfinished(&mut self) {
        if let Some((_, inspector)) = &mut self.open {
            inspector.forget_unfinished();
        }
    }

    /// Whether datagrams are held.
    pub fn waits(&self) -> bool {
        self.open.as_ref().is_some_and(|(_, inspector)| inspector.is_waiting())
    }
}
