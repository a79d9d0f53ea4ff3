//! A resolver that knows two names, and remembers how often it was asked for each.

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// How long an answer may be kept.
const TTL_SECONDS: u32 = 60;
/// The longest query that is read.
const QUERY_BYTES_MAX: usize = 4_096;

#[derive(Debug)]
struct Zone {
    names: [&'static str; 2],
    asked: [AtomicU32; 2],
}

/// The resolver, running until the process ends.
#[derive(Debug)]
pub struct Resolver {
    address: SocketAddr,
    zone: Arc<Zone>,
}

impl Resolver {
    /// Answers for these names over UDP: 127.0.0.1 for each.
    pub fn start(names: [&'static str; 2]) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        let zone = Arc::new(Zone { names, asked: [AtomicU32::new(0), AtomicU32::new(0)] });
        let answering = zone.clone();
        thread::spawn(move || {
            let mut query = [0; QUERY_BYTES_MAX];
            while let Ok((length, client)) = socket.recv_from(&mut query) {
                if let Some(answer) = answering.answer(&query[..length]) {
                    // A client that is gone needs no answer.
                    let _ = socket.send_to(&answer, client);
                }
            }
        });
        Ok(Self { address, zone })
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often it was asked about each name.
    pub fn asked(&self) -> [u32; 2] {
        [0, 1].map(|index: usize| self.zone.asked[index].load(Ordering::SeqCst))
    }
}

impl Zone {
    /// The answer to a query; `None` for what is none.
    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let query = Message::from_vec(query).ok()?;
        if query.metadata.message_type != MessageType::Query {
            return None;
        }
        let question = query.queries.first()?;
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.metadata.recursion_desired = query.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.add_query(question.clone());
        let text = question.name().to_ascii().to_ascii_lowercase();
        let known = self.names.iter().position(|name| text.trim_end_matches('.') == *name);
        if let Some(index) = known {
            self.asked[index].fetch_add(1, Ordering::SeqCst);
        }
        let is_address = question.query_class() == DNSClass::IN && question.query_type() == RecordType::A;
        match known {
            None => answer.metadata.response_code = ResponseCode::NXDomain,
            Some(_) if is_address => {
                let data = RData::A(A(Ipv4Addr::LOCALHOST));
                answer.add_answer(Record::from_rdata(question.name().clone(), TTL_SECONDS, data));
            }
            // The name is there, and has nothing of this kind (RFC 2308 §2.2).
            Some(_) => {}
        }
        answer.to_vec().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Query;
    use hickory_proto::rr::Name;

    fn ask(resolver: &Resolver, name: &str, kind: RecordType) -> Message {
        let mut query = Message::query();
        query.metadata.id = 7;
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&query.to_vec().unwrap(), resolver.address()).unwrap();
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).unwrap();
        Message::from_vec(&answer[..length]).unwrap()
    }

    #[test]
    fn it_knows_its_names_and_counts_questions() {
        let resolver = Resolver::start(["a.example", "b.example"]).unwrap();
        let answer = ask(&resolver, "A.example.", RecordType::A);
        assert_eq!((answer.metadata.id, answer.metadata.response_code), (7, ResponseCode::NoError));
        assert_eq!(answer.answers[0].data, RData::A(A(Ipv4Addr::LOCALHOST)));
        let empty = ask(&resolver, "a.example.", RecordType::AAAA);
        assert!(empty.answers.is_empty() && empty.metadata.response_code == ResponseCode::NoError);
        let unknown = ask(&resolver, "c.example.", RecordType::A);
        assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);
        assert_eq!(resolver.asked(), [2, 0]);
        assert!(resolver.zone.answer(b"not a query").is_none());
    }
}
