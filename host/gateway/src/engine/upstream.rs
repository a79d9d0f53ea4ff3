//! The resolver's questions on their way to the upstream resolver and back, over the host's sockets.
//!
//! Each question has a socket of its own, whose port the kernel chooses at random: an off-path attacker has to
//! guess the port besides the identifier (RFC 5452 §4).

use super::Sources;
use crate::resolver::{Deframer, Failure, Transport, UpstreamQuery, frame};
use crate::uplink::{READ_BYTES_MAX, Received, TcpSocket, UdpSocket};
use packet::{Bytes, Chain, Pool};
use runtime::{Poller, Readiness};
use rustix::io::{self, Errno};
use slab::Slab;
use std::net::SocketAddr;

/// Questions that are on their way, and whom they are put to.
#[derive(Debug)]
pub(super) struct Upstreams {
    servers: Vec<SocketAddr>,
    questions: Slab<Question>,
}

#[derive(Debug)]
struct Question {
    /// What the resolver calls it.
    id: u64,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Udp(UdpSocket),
    Tcp { socket: TcpSocket, request: Chain, answer: Deframer },
}

impl Upstreams {
    /// No questions yet; `servers` in the order in which the resolver numbers them.
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers, questions: Slab::new() }
    }

    /// Whom questions are put to.
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// Sends a question.
    ///
    /// # Errors
    ///
    /// Why it cannot be sent.
    pub fn ask(&mut self, poller: &Poller, query: &UpstreamQuery) -> Result<(), Failure> {
        let server = *self.servers.get(query.server).ok_or(Failure::Unreachable)?;
        let entry = self.questions.vacant_entry();
        let token = Sources::Upstream.token(entry.key());
        let open = || -> io::Result<Way> {
            match query.transport {
                Transport::Udp => {
                    let socket = UdpSocket::connect(server)?;
                    poller.add(&socket, token)?;
                    socket.send(&query.bytes, false)?;
                    Ok(Way::Udp(socket))
                }
                Transport::Tcp => {
                    let socket = TcpSocket::connect(server)?;
                    poller.add(&socket, token)?;
                    let request = Chain::from(Bytes::from(frame(&query.bytes)));
                    Ok(Way::Tcp { socket, request, answer: Deframer::default() })
                }
            }
        };
        entry.insert(Question { id: query.id, way: open().map_err(failure)? });
        Ok(())
    }

    /// The socket of the question at `index` reported: the question's number and what came, if something did.
    pub fn handle_readiness(
        &mut self,
        index: usize,
        readiness: Readiness,
        pool: &Pool,
        scratch: &mut [u8],
    ) -> Option<(u64, Result<Vec<u8>, Failure>)> {
        let question = self.questions.get_mut(index)?;
        let outcome = question.way.handle_readiness(readiness, pool, scratch);
        outcome.map_err(failure).transpose().map(|outcome| (question.id, outcome))
    }

    /// Closes a question's socket.
    pub fn close(&mut self, id: u64) {
        self.questions.retain(|_, question| question.id != id);
    }
}

impl Way {
    fn handle_readiness(
        &mut self,
        readiness: Readiness,
        pool: &Pool,
        scratch: &mut [u8],
    ) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Udp(socket) => Ok(socket.receive(scratch)?.map(|(answer, _)| answer.to_vec())),
            Self::Tcp { socket, request, answer } => {
                if readiness.writable && !request.is_empty() {
                    socket.write(request)?;
                }
                loop {
                    match socket.read(pool, READ_BYTES_MAX)? {
                        Received::Bytes(bytes, _) => {
                            if let Some(message) = answer.take(&mut &bytes[..]) {
                                return Ok(Some(message));
                            }
                        }
                        Received::Empty => return Ok(None),
                        Received::End => return Err(Errno::CONNRESET),
                    }
                }
            }
        }
    }
}

fn failure(error: Errno) -> Failure {
    match error {
        Errno::CONNREFUSED | Errno::CONNRESET => Failure::Refused,
        Errno::TIMEDOUT => Failure::Timeout,
        _ => Failure::Unreachable,
    }
}
