//! Messages between the child and this resolver: what a query asks, and how a response is built.
//!
//! RFC 1035 §4 (messages), RFC 6891 (EDNS), RFC 8914 (extended errors), RFC 9619 (one question).

use super::{Client, Transport};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::opt::EdnsOption;

/// The most bytes of a UDP response, whatever the child offers: what passes every link unfragmented.
pub const UDP_BYTES_MAX: u16 = 1_232;
/// The most bytes of a UDP response to a query without EDNS (RFC 1035 §2.3.4).
const UDP_BYTES_PLAIN: u16 = 512;
const HEADER_BYTES: usize = 12;
/// The option code of an extended error (RFC 8914 §2).
const EXTENDED_ERROR: u16 = 15;

/// What one query asks.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) client: Client,
    id: u16,
    recursion_desired: bool,
    checking_disabled: bool,
    /// As the child wrote it: the response repeats its letters' case.
    pub(super) question: Query,
    edns: Option<RequestEdns>,
}

#[derive(Clone, Copy, Debug)]
struct RequestEdns {
    payload_bytes: u16,
    dnssec_ok: bool,
}

/// What becomes of bytes that are no query to answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// Too short for a header, or a response: an answer could start a loop.
    Silent,
    /// An error that says so.
    Reply(Vec<u8>),
}

impl Request {
    /// Reads a query.
    pub(super) fn parse(client: Client, bytes: &[u8]) -> Result<Self, Malformed> {
        let Some([id_high, id_low, flags, _, questions_high, questions_low, ..]) = bytes.get(..HEADER_BYTES)
        else {
            return Err(Malformed::Silent);
        };
        if flags & 0x80 != 0 {
            return Err(Malformed::Silent);
        }
        let id = u16::from_be_bytes([*id_high, *id_low]);
        let op_code = OpCode::from_u8(flags >> 3 & 0xf);
        let error = |code| Err(Malformed::Reply(error_message(id, op_code, code)));
        if op_code != OpCode::Query {
            return error(ResponseCode::NotImp);
        }
        // RFC 9619 §4: a query has one question.
        if u16::from_be_bytes([*questions_high, *questions_low]) != 1 {
            return error(ResponseCode::FormErr);
        }
        let Ok(message) = Message::from_vec(bytes) else { return error(ResponseCode::FormErr) };
        let Some(question) = message.queries.first() else { return error(ResponseCode::FormErr) };
        let request = Self {
            client,
            id,
            recursion_desired: message.metadata.recursion_desired,
            checking_disabled: message.metadata.checking_disabled,
            question: question.clone(),
            edns: message.edns.as_ref().map(|edns| RequestEdns {
                payload_bytes: edns.max_payload(),
                dnssec_ok: edns.flags().dnssec_ok,
            }),
        };
        match message.edns.as_ref().map(Edns::version) {
            // RFC 6891 §6.1.3: a version that we do not speak.
            Some(1..) => Err(Malformed::Reply(request.respond(&Response::of_code(ResponseCode::BADVERS)))),
            _ => Ok(request),
        }
    }

    /// The bytes of the response, cut to what the child's transport takes.
    pub(super) fn respond(&self, response: &Response) -> Vec<u8> {
        let mut message = Message::new(self.id, MessageType::Response, OpCode::Query);
        message.metadata.recursion_desired = self.recursion_desired;
        message.metadata.recursion_available = true;
        // RFC 4035 §3.2.2: repeated. AD stays clear: what the answers say is not what their zones signed.
        message.metadata.checking_disabled = self.checking_disabled;
        message.metadata.response_code = response.code;
        message.queries.push(self.question.clone());
        message.answers.clone_from(&response.answers);
        message.authorities.clone_from(&response.authorities);
        if let Some(asked) = self.edns {
            message.edns = Some(edns(asked, response));
        }
        let bytes_max = match (self.client.transport, self.edns) {
            (Transport::Tcp, _) => u16::MAX,
            (Transport::Udp, None) => UDP_BYTES_PLAIN,
            // RFC 6891 §6.2.3: what is below 512 counts as 512.
            (Transport::Udp, Some(edns)) => edns.payload_bytes.clamp(UDP_BYTES_PLAIN, UDP_BYTES_MAX),
        };
        match message.to_vec() {
            Ok(bytes) if bytes.len() <= usize::from(bytes_max) => bytes,
            // RFC 2181 §9: who sees TC asks again by TCP and uses nothing of this response.
            Ok(_) | Err(_) if self.client.transport == Transport::Udp => {
                message.truncate().to_vec().unwrap_or_else(|_| self.server_failure())
            }
            Ok(_) | Err(_) => self.server_failure(),
        }
    }

    fn server_failure(&self) -> Vec<u8> {
        error_message(self.id, OpCode::Query, ResponseCode::ServFail)
    }
}

/// The OPT record of a response (RFC 6891 §6.1.1). Cookies, client subnets, padding are not spoken: their options are
/// left out, which is how a responder says so (RFC 6891 §6.1.2, RFC 7873 §5.2.1).
fn edns(asked: RequestEdns, response: &Response) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_BYTES_MAX);
    edns.set_dnssec_ok(asked.dnssec_ok); // RFC 3225 §3: repeated
    edns.set_rcode_high((u16::from(response.code) >> 4) as u8);
    if let Some(ExtendedError { code, text }) = response.extended_error {
        let mut data = code.to_be_bytes().to_vec();
        data.extend_from_slice(text.as_bytes());
        edns.options_mut().insert(EdnsOption::Unknown(EXTENDED_ERROR, data));
    }
    edns
}

/// A message without a question: the one that it answers could not be read.
fn error_message(id: u16, op_code: OpCode, code: ResponseCode) -> Vec<u8> {
    Message::error_msg(id, op_code, code).to_vec().unwrap_or_default()
}

/// A response, before it is cut to a transport.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) code: ResponseCode,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    pub(super) extended_error: Option<ExtendedError>,
}

/// Why there is no answer, for people (RFC 8914).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExtendedError {
    code: u16,
    text: &'static str,
}

impl ExtendedError {
    /// RFC 8914 §4.16: by the operator's policy.
    pub(super) const BLOCKED: Self = Self { code: 15, text: "no rule of this run allows this name" };
    /// RFC 8914 §4.23.
    pub(super) const UNREACHABLE: Self = Self { code: 22, text: "the upstream resolver does not answer" };
    /// RFC 8914 §4.24.
    pub(super) const NETWORK: Self = Self { code: 23, text: "the upstream resolver cannot be reached" };
    /// RFC 8914 §4.1.
    pub(super) const OVERLOADED: Self = Self { code: 0, text: "too many names are being resolved" };
}

impl Response {
    pub(super) fn of_code(code: ResponseCode) -> Self {
        Self { code, answers: Vec::new(), authorities: Vec::new(), extended_error: None }
    }

    pub(super) fn of_answers(answers: Vec<Record>) -> Self {
        Self { answers, ..Self::of_code(ResponseCode::NoError) }
    }

    pub(super) fn because(mut self, error: ExtendedError) -> Self {
        self.extended_error = Some(error);
        self
    }

    /// A name that no rule allows. It looks as if it did not exist, so that a program fails at once.
    pub(super) fn blocked() -> Self {
        Self::of_code(ResponseCode::NXDomain).because(ExtendedError::BLOCKED)
    }
}
