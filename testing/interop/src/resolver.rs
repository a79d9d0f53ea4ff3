//! The test's own recursive resolver: answers from a zone over UDP and TCP, and remembers what it was asked.
//!
//! Names follow CNAMEs inside the zone, as a recursive resolver's answer does. A name without records is NXDOMAIN, one
//! with other types an empty answer (RFC 2308 §2). Answers longer than the client takes over UDP are truncated (RFC 1035
//! §4.2.1, RFC 6891 §6.2.5).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::namespace::Namespace;

const CNAME: u16 = 5;
const OPT: u16 = 41;
/// More CNAMEs than this in a row are a loop.
const CHAIN_LENGTH_MAX: usize = 8;
const TTL_SECONDS: u32 = 60;

/// One record's data.
#[derive(Clone, Debug)]
pub enum Record {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Another name for this one.
    Cname(String),
    /// A name for an address.
    Ptr(String),
    /// Text.
    Txt(String),
    /// A service binding for HTTPS (RFC 9460 §2.2): priority, target, and parameters as key and value.
    Https(u16, String, Vec<(u16, Vec<u8>)>),
}

impl From<IpAddr> for Record {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::A(address),
            IpAddr::V6(address) => Self::Aaaa(address),
        }
    }
}

impl Record {
    fn kind(&self) -> u16 {
        match self {
            Self::A(_) => 1,
            Self::Cname(_) => CNAME,
            Self::Ptr(_) => 12,
            Self::Txt(_) => 16,
            Self::Aaaa(_) => 28,
            Self::Https(..) => 65,
        }
    }

    fn data(&self) -> Vec<u8> {
        match self {
            Self::A(address) => address.octets().to_vec(),
            Self::Aaaa(address) => address.octets().to_vec(),
            Self::Cname(name) | Self::Ptr(name) => encode_name(name),
            Self::Txt(text) => {
                text.as_bytes().chunks(255).flat_map(|part| [&[part.len() as u8], part].concat()).collect()
            }
            Self::Https(priority, target, parameters) => {
                let mut data = priority.to_be_bytes().to_vec();
                data.extend(encode_name(target));
                for (key, value) in parameters {
                    data.extend(key.to_be_bytes());
                    data.extend((value.len() as u16).to_be_bytes());
                    data.extend(value);
                }
                data
            }
        }
    }
}

/// A question that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name, in lower case and without a trailing dot.
    pub name: String,
    /// The type's number.
    pub kind: u16,
    /// Whether it came over TCP.
    pub tcp: bool,
}

#[derive(Debug, Default)]
struct Zone {
    records: BTreeMap<String, Vec<Record>>,
    asked: Vec<Question>,
}

/// The resolver. Its threads end with the process.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    zone: Arc<Mutex<Zone>>,
}

impl Resolver {
    /// Answers at `address` in `namespace`.
    ///
    /// # Panics
    ///
    /// Where the address is taken.
    pub fn answer_at(&self, namespace: &Namespace, address: SocketAddr) {
        let udp = namespace.within(|| UdpSocket::bind(address)).expect("the resolver's UDP socket");
        let tcp = namespace.within(|| TcpListener::bind(address)).expect("the resolver's TCP socket");
        let resolver = self.clone();
        namespace.spawn(move || {
            let mut query = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut query) {
                if let Some(reply) = resolver.reply(&query[..length], false) {
                    drop(udp.send_to(&reply, from));
                }
            }
        });
        let resolver = self.clone();
        namespace.spawn(move || {
            for stream in tcp.incoming().flatten() {
                let resolver = resolver.clone();
                std::thread::spawn(move || resolver.serve(stream));
            }
        });
    }

    /// Adds a record for `name`.
    pub fn add(&self, name: &str, record: Record) {
        self.zone().records.entry(name.to_ascii_lowercase()).or_default().push(record);
    }

    /// Takes all records of `name` away.
    pub fn remove(&self, name: &str) {
        self.zone().records.remove(name);
    }

    /// Every question so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Question> {
        self.zone().asked.clone()
    }

    /// Whether this name was ever asked for, with any type.
    #[must_use]
    pub fn was_asked(&self, name: &str) -> bool {
        self.zone().asked.iter().any(|question| question.name == name)
    }

    fn zone(&self) -> MutexGuard<'_, Zone> {
        self.zone.lock().expect("no thread panicked with the zone")
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut query).is_err() {
                return;
            }
            let Some(reply) = self.reply(&query, true) else { return };
            let framed = [&(reply.len() as u16).to_be_bytes()[..], &reply].concat();
            if stream.write_all(&framed).is_err() {
                return;
            }
        }
    }

    /// The reply to a query; none where it is no query with one question.
    fn reply(&self, query: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let (name, after_name) = decode_name(query, 12)?;
        let kind = u16::from_be_bytes(query.get(after_name..after_name + 2)?.try_into().ok()?);
        let question_end = after_name + 4;
        if query[2] & 0x80 != 0 || query[4..6] != [0, 1] || query.len() < question_end {
            return None;
        }
        let edns_size = edns_size(query, question_end);
        let mut zone = self.zone();
        zone.asked.push(Question { name: name.clone(), kind, tcp });
        let (code, answers) = answers(&zone.records, &name, kind);
        drop(zone);

        let mut reply = query[..question_end].to_vec();
        reply[2] = 0x80 | (query[2] & 0x01);
        reply[3] = 0x80 | code;
        reply[6..12].fill(0);
        let question_length = reply.len();
        for (owner, record) in &answers {
            let data = record.data();
            reply.extend(encode_name(owner));
            reply.extend(record.kind().to_be_bytes());
            reply.extend([0, 1]);
            reply.extend(TTL_SECONDS.to_be_bytes());
            reply.extend((data.len() as u16).to_be_bytes());
            reply.extend(data);
        }
        reply[6..8].copy_from_slice(&(answers.len() as u16).to_be_bytes());
        if !tcp && reply.len() > edns_size.map_or(512, usize::from) {
            reply.truncate(question_length);
            reply[2] |= 0x02;
            reply[6..8].fill(0);
        }
        if edns_size.is_some() {
            reply.extend([0, 0, OPT as u8, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
            reply[10..12].copy_from_slice(&[0, 1]);
        }
        Some(reply)
    }
}

fn answers(records: &BTreeMap<String, Vec<Record>>, name: &str, kind: u16) -> (u8, Vec<(String, Record)>) {
    let mut found = Vec::new();
    let mut name = name.to_owned();
    for _ in 0..CHAIN_LENGTH_MAX {
        let Some(here) = records.get(&name) else { return (3, found) };
        found.extend(
            here.iter().filter(|record| record.kind() == kind).map(|record| (name.clone(), record.clone())),
        );
        let target = here.iter().find_map(|record| match record {
            Record::Cname(target) if kind != CNAME => Some(target.clone()),
            _ => None,
        });
        let Some(target) = target else { break };
        found.push((name.clone(), Record::Cname(target.clone())));
        name = target;
    }
    (0, found)
}

/// The UDP size that the query's OPT record offers (RFC 6891 §6.2.3). Only an OPT right after the question is looked at:
/// clients put nothing else there.
fn edns_size(query: &[u8], at: usize) -> Option<u16> {
    let option = query.get(at..at + 5)?;
    (query[10..12] != [0, 0] && option[..3] == [0, 0, OPT as u8])
        .then(|| u16::from_be_bytes([option[3], option[4]]).max(512))
}

fn encode_name(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// The name at `at`, in lower case, and where it ends. A question's name is never compressed.
fn decode_name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => return Some((labels.join("."), at)),
            1..=63 => {
                labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_ascii_lowercase())
            }
            _ => return None,
        }
        at += length;
    }
}
