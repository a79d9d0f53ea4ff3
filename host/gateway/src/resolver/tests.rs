//! Questions and what they are answered with.

use super::*;
use axiom::addresses::Pins;
use axiom::policy::Policy;
use axiom::{Context, Proposal};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::rdata::svcb::{
    Alpn, EchConfigList, IpHint, Mandatory, SVCB, SvcParamKey, SvcParamValue,
};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, HTTPS, SOA, TXT};
use hickory_proto::rr::{DNSClass, RData};
use std::sync::Arc;

/// A resolver, the moment, and the queries that it sent upstream and has not closed.
struct World {
    resolver: Resolver,
    now: Instant,
    sent: Vec<UpstreamQuery>,
    replies: Vec<Message>,
    policy: Policy,
    refused: Vec<axiom::rules::Host>,
    next_id: u16,
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect(text)
}

fn domain(text: &str) -> DomainName {
    text.parse().expect(text)
}

fn address(text: &str) -> IpAddr {
    text.parse().expect(text)
}

fn record(owner: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(name(owner), ttl, data)
}

fn a(owner: &str, ttl: u32, text: &str) -> Record {
    record(owner, ttl, RData::A(A(text.parse().expect(text))))
}

fn alias(owner: &str, target: &str) -> Record {
    record(owner, 300, RData::CNAME(CNAME(name(target))))
}

fn soa(owner: &str, minimum: u32) -> Record {
    let soa = SOA::new(name("ns.example."), name("root.example."), 1, 2, 3, 4, minimum);
    record(owner, 900, RData::SOA(soa))
}

fn response(code: ResponseCode, answers: Vec<Record>, authorities: Vec<Record>) -> Message {
    let mut message = Message::error_msg(0, OpCode::Query, code);
    message.answers = answers;
    message.authorities = authorities;
    message
}

fn answers(answers: Vec<Record>) -> Message {
    response(ResponseCode::NoError, answers, Vec::new())
}

const UDP: Client = Client { token: 7, transport: Transport::Udp };
const TCP: Client = Client { token: 8, transport: Transport::Tcp };

impl World {
    fn new(allow: &[&str], deny: &[&str]) -> Self {
        Self::configured(allow, deny, |_| {})
    }

    fn configured(allow: &[&str], deny: &[&str], configure: impl FnOnce(&mut Config)) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let policy = Policy::of_rules(&owned(allow), &owned(deny)).expect("rules");
        let mut config = Config::new(policy.clone(), [7; 32]);
        configure(&mut config);
        Self {
            resolver: Resolver::new(config),
            now: Instant::from_secs(1),
            sent: Vec::new(),
            replies: Vec::new(),
            policy,
            refused: Vec::new(),
            next_id: 0,
        }
    }

    fn query(&mut self, name_text: &str, record_type: RecordType) -> Message {
        self.next_id += 1;
        let mut message = Message::new(self.next_id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.queries.push(Query::query(name(name_text), record_type));
        message.edns = Some(Edns::new());
        message
    }

    fn send(&mut self, client: Client, message: &Message) {
        self.send_bytes(client, &message.to_vec().expect("a query"));
    }

    fn send_bytes(&mut self, client: Client, bytes: &[u8]) {
        self.resolver.handle_query(client, bytes);
        self.decide();
        self.drain();
    }

    fn ask(&mut self, name_text: &str, record_type: RecordType) {
        let query = self.query(name_text, record_type);
        self.send(UDP, &query);
    }

    /// Answers what is wanted as the policy does.
    fn decide(&mut self) {
        while let Some(wanted) = self.resolver.poll_wanted() {
            let decision = self.policy.decide(&Proposal::resolve(wanted.host.clone()), Context::default());
            if !decision.allowed {
                self.refused.push(wanted.host);
            }
            self.resolver.handle_verdict(wanted.id, decision.allowed, self.now);
        }
    }

    fn drain(&mut self) {
        while let Some(upstream) = self.resolver.poll_upstream() {
            match upstream {
                Upstream::Send(query) => self.sent.push(query),
                Upstream::Close(id) => self.sent.retain(|query| query.id != id),
            }
        }
        while let Some(reply) = self.resolver.poll_reply() {
            self.replies.push(Message::from_vec(&reply.bytes).expect("a reply can be read"));
        }
    }

    fn reply(&mut self) -> Message {
        assert_eq!(self.replies.len(), 1, "one reply waits");
        self.replies.remove(0)
    }

    /// What is asked upstream, in lower case.
    fn asked(&self) -> Vec<(String, RecordType)> {
        let question = |query: &UpstreamQuery| {
            let question = Message::from_vec(&query.bytes).expect("a query").queries.remove(0);
            (question.name.to_lowercase().to_ascii(), question.query_type)
        };
        self.sent.iter().map(question).collect()
    }

    /// Answers the oldest query that waits, with its own id and question.
    fn upstream(&mut self, message: Message) {
        let query = self.sent.first().expect("a query waits upstream").clone();
        self.upstream_to(&query, message);
    }

    fn upstream_to(&mut self, query: &UpstreamQuery, mut message: Message) {
        let asked = Message::from_vec(&query.bytes).expect("a query");
        message.metadata.id = asked.metadata.id;
        message.queries = asked.queries;
        self.upstream_bytes(query.id, Ok(&message.to_vec().expect("a response")));
    }

    fn upstream_bytes(&mut self, id: u64, result: Result<&[u8], Failure>) {
        self.resolver.handle_upstream(id, result, self.now);
        self.drain();
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
        self.resolver.handle_timeout(self.now);
        self.drain();
    }

    fn event(&mut self) -> Option<Event> {
        self.resolver.poll_event()
    }
}

fn extended_error(message: &Message) -> Option<u16> {
    match message.edns.as_ref()?.option(EdnsCode::Unknown(15))? {
        EdnsOption::Unknown(15, data) => Some(u16::from_be_bytes([data[0], data[1]])),
        _ => None,
    }
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| format!("{} {}", record.name, record.data)).collect()
}

#[test]
fn a_name_that_no_rule_allows_reaches_no_resolver() {
    let mut world = World::new(&["example.com"], &["*.bad.example.com"]);
    let odd = Name::from_labels([b"ex\0ample".as_slice(), b"com"]).expect("labels of any bytes");
    let texts = ["example.org.", "www.example.com.", "example.com.evil.", ".", "a\\.example.com."];
    for asked in texts.map(name).into_iter().chain([odd]) {
        for record_type in
            [RecordType::A, RecordType::AAAA, RecordType::TXT, RecordType::HTTPS, RecordType::ANY]
        {
            let mut query = world.query(".", record_type);
            query.queries[0].name = asked.clone();
            world.send(UDP, &query);
            let reply = world.reply();
            assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain, "{asked}");
            assert_eq!(extended_error(&reply), Some(15), "{asked}");
            // Either somebody is asked about the name, or nobody can allow it.
            let refused = world.refused.drain(..).count();
            let is_nameless = matches!(world.event(), Some(Event::Nameless { .. }));
            assert_eq!(refused, usize::from(!is_nameless), "{asked}");
        }
    }
    assert!(world.asked().is_empty());
    assert_eq!(world.resolver.statistics().refused, 30);
}

#[test]
fn an_allowed_name_answers_with_an_address_of_its_own() {
    let mut world = World::new(&["example.com:443", "*.example.org"], &[]);
    let query = world.query("ExAmple.com.", RecordType::A);
    world.send(UDP, &query);
    assert_eq!(world.asked(), [("example.com.".to_owned(), RecordType::A)]);
    world.upstream(answers(vec![
        a("example.com.", 300, "93.184.216.34"),
        a("example.com.", 200, "93.184.216.35"),
    ]));
    let reply = world.reply();
    assert_eq!(texts(&reply.answers), ["ExAmple.com. 198.18.0.1"]);
    assert_eq!(reply.answers[0].ttl, SYNTHETIC_TTL_MAX);
    assert_eq!(reply.metadata.id, query.metadata.id);
    assert!(reply.queries[0].name.eq_case(&query.queries[0].name));
    assert!(reply.metadata.recursion_available && reply.metadata.recursion_desired);
    assert!(world.sent.is_empty(), "the query upstream is closed");
    // The other family has an address of its own, and the same name.
    world.ask("example.com.", RecordType::AAAA);
    world.upstream(answers(vec![record(
        "example.com.",
        30,
        RData::AAAA(AAAA("2606:2800::1".parse().expect("address"))),
    )]));
    let reply = world.reply();
    assert_eq!(texts(&reply.answers), ["example.com. fd00:2:0:1::1"]);
    assert_eq!(reply.answers[0].ttl, 30);
    assert_eq!(world.resolver.names().name_of(address("198.18.0.1")), Some(&domain("example.com")));
    // And back.
    world.ask("1.0.18.198.in-addr.arpa.", RecordType::PTR);
    assert_eq!(texts(&world.reply().answers), ["1.0.18.198.in-addr.arpa. example.com."]);
}

#[test]
fn the_cache_answers_until_the_ttl_is_over() {
    let mut world = World::new(&["example.com"], &[]);
    world.ask("example.com.", RecordType::A);
    world.upstream(answers(vec![a("example.com.", 20, "1.1.1.1")]));
    world.reply();
    world.pass(Duration::from_secs(5));
    world.ask("EXAMPLE.com.", RecordType::A);
    let reply = world.reply();
    assert_eq!(
        (texts(&reply.answers), reply.answers[0].ttl),
        (vec!["EXAMPLE.com. 198.18.0.1".to_owned()], 15)
    );
    world.pass(Duration::from_secs(15));
    world.ask("example.com.", RecordType::A);
    assert_eq!(world.asked().len(), 1, "the answer has expired");
}

#[test]
fn aliases_are_kept_and_followed_across_messages() {
    let mut world = World::new(&["www.example.com"], &[]);
    world.ask("www.example.com.", RecordType::A);
    world.upstream(answers(vec![alias("WWW.example.com.", "a.cdn.net."), alias("a.cdn.net.", "b.cdn.net.")]));
    assert_eq!(world.asked(), [("b.cdn.net.".to_owned(), RecordType::A)]);
    world.upstream(answers(vec![a("b.cdn.net.", 300, "1.1.1.1"), a("other.example.", 300, "6.6.6.6")]));
    assert_eq!(
        texts(&world.reply().answers),
        ["www.example.com. a.cdn.net.", "a.cdn.net. b.cdn.net.", "b.cdn.net. 198.18.0.1"]
    );
    let resolution = world.resolver.resolve_for_connect(&domain("www.example.com"), world.now);
    assert_eq!(resolution.v4, Some(Ok(vec![address("1.1.1.1")])));
}

#[test]
fn aliases_in_a_circle_or_without_end_fail() {
    let mut world = World::new(&["www.example.com"], &[]);
    world.ask("www.example.com.", RecordType::A);
    world.upstream(answers(vec![alias("www.example.com.", "a.net."), alias("a.net.", "www.example.com.")]));
    assert_eq!(world.reply().metadata.response_code, ResponseCode::ServFail);
    world.pass(Duration::from_secs(10));
    world.ask("www.example.com.", RecordType::A);
    let mut owner = "www.example.com.".to_owned();
    for number in 0..=ALIASES_MAX {
        let target = format!("n{number}.net.");
        world.upstream(answers(vec![alias(&owner, &target)]));
        owner = target;
    }
    assert_eq!(world.reply().metadata.response_code, ResponseCode::ServFail);
    assert!(world.sent.is_empty());
}

#[test]
fn what_does_not_exist_upstream_does_not_exist_inside() {
    let mut world = World::new(&["*.example.com"], &[]);
    world.ask("no.example.com.", RecordType::A);
    world.upstream(response(ResponseCode::NXDomain, vec![], vec![soa("example.com.", 100)]));
    let reply = world.reply();
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!((reply.authorities.len(), extended_error(&reply)), (1, None));
    let resolution = world.resolver.resolve_for_connect(&domain("no.example.com"), world.now);
    assert_eq!(resolution, Resolution { v4: Some(Err(ResolveError::NoSuchName)), v6: None });
    world.drain();
    world.sent.clear();
    world.ask("v4.example.com.", RecordType::AAAA);
    world.upstream(response(ResponseCode::NoError, vec![], vec![soa("com.evil.", 100), soa("com.", 100)]));
    let reply = world.reply();
    assert_eq!((reply.metadata.response_code, reply.answers.len()), (ResponseCode::NoError, 0));
    assert_eq!(
        texts(&reply.authorities)[0].split(' ').next(),
        Some("com."),
        "a SOA record from above the name"
    );
    world.ask("broken.example.com.", RecordType::A);
    world.upstream(response(ResponseCode::ServFail, vec![], vec![]));
    assert_eq!(world.reply().metadata.response_code, ResponseCode::ServFail);
}

#[test]
fn a_negative_answer_is_believed_as_long_as_its_soa_says() {
    let mut world = World::new(&["*.example.com"], &[]);
    world.ask("no.example.com.", RecordType::A);
    world.upstream(response(ResponseCode::NXDomain, vec![], vec![soa("example.com.", 60)]));
    world.reply();
    world.pass(Duration::from_secs(59));
    world.ask("no.example.com.", RecordType::A);
    world.reply();
    world.pass(Duration::from_secs(1));
    world.ask("no.example.com.", RecordType::A);
    assert_eq!(world.asked().len(), 1);
}

#[test]
fn forged_responses_are_not_believed() {
    let mut world = World::new(&["example.com"], &[]);
    world.ask("example.com.", RecordType::A);
    let query = world.sent[0].clone();
    let asked = Message::from_vec(&query.bytes).expect("a query");
    let mut forged = answers(vec![a("example.com.", 300, "6.6.6.6")]);
    forged.queries.clone_from(&asked.queries);
    forged.metadata.id = asked.metadata.id.wrapping_add(1);
    world.upstream_bytes(query.id, Ok(&forged.to_vec().expect("bytes")));
    forged.metadata.id = asked.metadata.id;
    forged.queries[0] = Query::query(name("example.org."), RecordType::A);
    world.upstream_bytes(query.id, Ok(&forged.to_vec().expect("bytes")));
    world.upstream_bytes(query.id, Ok(&query.bytes)); // not a response
    world.upstream_bytes(query.id, Ok(&[0; 5]));
    assert_eq!(world.resolver.statistics().mismatches, 4);
    assert!(world.replies.is_empty());
    // The right id and the wrong case: either a forger or a server that changes case. TCP tells.
    forged.queries.clone_from(&asked.queries);
    forged.queries[0].name = asked.queries[0].name.to_lowercase();
    assert!(!forged.queries[0].name.eq_case(&asked.queries[0].name), "the case was mixed");
    world.upstream_bytes(query.id, Ok(&forged.to_vec().expect("bytes")));
    assert!(world.replies.is_empty());
    assert_eq!(world.sent[0].transport, Transport::Tcp);
    world.upstream(answers(vec![a("example.com.", 300, "1.1.1.1")]));
    assert_eq!(world.reply().answers.len(), 1);
    // What comes later for the closed query is nobody's.
    world.upstream_bytes(query.id, Ok(&forged.to_vec().expect("bytes")));
    assert!(world.replies.is_empty());
}

#[test]
fn a_truncated_answer_is_asked_for_by_tcp() {
    let mut world = World::new(&["example.com"], &[]);
    world.ask("example.com.", RecordType::TXT);
    let mut cut = answers(vec![]);
    cut.metadata.truncation = true;
    world.upstream(cut);
    assert_eq!((world.sent.len(), world.sent[0].transport), (1, Transport::Tcp));
    world.upstream(answers(vec![record("example.com.", 9, RData::TXT(TXT::new(vec!["hello".into()])))]));
    assert_eq!(texts(&world.reply().answers), ["example.com. hello"]);
}

#[test]
fn silent_servers_are_asked_in_turn_and_then_given_up() {
    let mut world = World::configured(&["example.com"], &[], |config| config.servers = 2);
    world.ask("example.com.", RecordType::A);
    world.resolver.resolve_for_connect(&domain("example.com"), world.now);
    world.drain();
    let mut servers = vec![world.sent[0].server];
    for _ in 0..3 {
        let deadline = world.resolver.poll_timeout().expect("a deadline");
        world.pass(deadline - world.now);
        servers.push(world.sent[0].server);
    }
    assert_eq!(servers, [0, 1, 0, 1]);
    world.pass(Duration::from_secs(10));
    let reply = world.reply();
    assert_eq!((reply.metadata.response_code, extended_error(&reply)), (ResponseCode::ServFail, Some(22)));
    let events: Vec<Event> = std::iter::from_fn(|| world.event()).collect();
    let told =
        |event: &&Event| matches!(event, Event::Unanswered { name, .. } if name.starts_with("example.com"));
    assert_eq!(events.iter().filter(told).count(), 1, "{events:?}");
    assert_eq!(
        world.resolver.poll_resolved(),
        Some(Resolved {
            name: domain("example.com"),
            family: Family::V4,
            addresses: Err(ResolveError::NoReply)
        })
    );
    assert!(world.sent.is_empty());
    assert_eq!(world.resolver.poll_timeout(), None);
}

#[test]
fn a_server_without_edns_is_asked_without_it() {
    let mut world = World::new(&["example.com"], &[]);
    world.ask("example.com.", RecordType::A);
    assert!(Message::from_vec(&world.sent[0].bytes).expect("a query").edns.is_some());
    world.upstream(response(ResponseCode::FormErr, vec![], vec![]));
    assert!(Message::from_vec(&world.sent[0].bytes).expect("a query").edns.is_none());
    world.upstream(answers(vec![a("example.com.", 300, "1.1.1.1")]));
    assert_eq!(world.reply().answers.len(), 1);
}

#[test]
fn a_server_that_refuses_leaves_it_to_the_next() {
    let mut world = World::configured(&["example.com"], &[], |config| config.servers = 2);
    world.ask("example.com.", RecordType::A);
    world.upstream(response(ResponseCode::Refused, vec![], vec![]));
    assert_eq!(world.sent[0].server, 1);
    world.upstream(response(ResponseCode::Refused, vec![], vec![]));
    assert_eq!(world.reply().metadata.response_code, ResponseCode::Refused);
}

#[test]
fn pinned_names_and_the_hosts_own_are_answered_without_upstream() {
    let mut world = World::configured(&["db.example", "printer", "host.weft.internal:80"], &[], |config| {
        let mut pins = Pins::default();
        pins.add(domain("db.example"), address("192.168.1.9"));
        config.pins = Arc::new(pins);
        config.hosts.insert(domain("printer"), vec![address("fd12::9")]);
        config.hosts.insert(domain("other"), vec![address("10.9.9.9")]);
    });
    for (asked, record_type, expected) in [
        ("db.example.", RecordType::A, vec!["db.example. 198.18.0.1"]),
        ("db.example.", RecordType::AAAA, vec![]),
        ("db.example.", RecordType::TXT, vec![]),
        ("printer.", RecordType::AAAA, vec!["printer. fd00:2:0:1::2"]),
        ("host.weft.internal.", RecordType::A, vec!["host.weft.internal. 10.0.2.2"]),
        ("host.weft.internal.", RecordType::AAAA, vec!["host.weft.internal. fd00:2::2"]),
        ("2.2.0.10.in-addr.arpa.", RecordType::PTR, vec!["2.2.0.10.in-addr.arpa. host.weft.internal."]),
        ("localhost.", RecordType::A, vec!["localhost. 127.0.0.1"]),
        ("x.localhost.", RecordType::AAAA, vec!["x.localhost. ::1"]),
    ] {
        world.ask(asked, record_type);
        let reply = world.reply();
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError, "{asked}");
        assert_eq!(texts(&reply.answers), expected);
    }
    for asked in ["other.", "x.onion.", "9.2.0.10.in-addr.arpa.", "1.1.1.1.in-addr.arpa."] {
        world.ask(asked, RecordType::A);
        assert_eq!(world.reply().metadata.response_code, ResponseCode::NXDomain, "{asked}");
    }
    assert!(world.asked().is_empty());
    let resolution = world.resolver.resolve_for_connect(&domain("db.example"), world.now);
    assert_eq!(resolution, Resolution { v4: Some(Ok(vec![address("192.168.1.9")])), v6: Some(Ok(vec![])) });
}

#[test]
fn a_reverse_name_is_asked_for_only_where_a_rule_names_its_address() {
    let mut world = World::new(&["192.0.2.0/24:80"], &[]);
    world.ask("7.2.0.192.in-addr.arpa.", RecordType::PTR);
    assert_eq!(world.asked(), [("7.2.0.192.in-addr.arpa.".to_owned(), RecordType::PTR)]);
    world.ask("7.3.0.192.in-addr.arpa.", RecordType::PTR);
    assert_eq!(world.reply().metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(world.asked().len(), 1);
}

fn https(owner: &str, target: &str, params: Vec<(SvcParamKey, SvcParamValue)>) -> Record {
    record(owner, 300, RData::HTTPS(HTTPS(SVCB::new(1, name(target), params))))
}

#[test]
fn https_records_lose_hints_ech_and_foreign_targets() {
    let mut world = World::new(&["example.com"], &[]);
    let alpn = (SvcParamKey::Alpn, SvcParamValue::Alpn(Alpn(vec!["h3".into()])));
    let params = vec![
        alpn.clone(),
        (SvcParamKey::Ipv4Hint, SvcParamValue::Ipv4Hint(IpHint(vec![A::new(1, 1, 1, 1)]))),
        (SvcParamKey::EchConfigList, SvcParamValue::EchConfigList(EchConfigList(vec![0, 4, 1, 2, 3, 4]))),
        (SvcParamKey::Ipv6Hint, SvcParamValue::Ipv6Hint(IpHint(vec![AAAA::new(1, 0, 0, 0, 0, 0, 0, 1)]))),
    ];
    let mandatory = SvcParamValue::Mandatory(Mandatory(vec![SvcParamKey::EchConfigList]));
    let mut needs_ech = params.clone();
    needs_ech.insert(0, (SvcParamKey::Mandatory, mandatory));
    world.ask("example.com.", RecordType::HTTPS);
    world.upstream(answers(vec![
        https("example.com.", ".", params.clone()),
        https("example.com.", "foreign.example.", params),
        https("example.com.", ".", needs_ech),
    ]));
    let reply = world.reply();
    assert_eq!(reply.answers.len(), 1);
    let RData::HTTPS(service) = &reply.answers[0].data else { panic!("an HTTPS record") };
    assert_eq!(service.0.svc_params, [alpn]);
    world.ask("_8443._https.example.com.", RecordType::HTTPS);
    assert_eq!(world.asked(), [("_8443._https.example.com.".to_owned(), RecordType::HTTPS)]);
}

#[test]
fn additional_addresses_are_not_passed_on() {
    let mut world = World::new(&["example.com"], &[]);
    world.ask("example.com.", RecordType::NS);
    let ns = record("example.com.", 300, RData::NS(hickory_proto::rr::rdata::NS(name("ns.Example.com."))));
    let mut message = answers(vec![ns, a("stray.example.com.", 300, "9.9.9.9")]);
    message.additionals.push(a("ns.example.com.", 300, "9.9.9.9"));
    message.authorities.push(a("ns.example.com.", 300, "9.9.9.9"));
    world.upstream(message);
    let reply = world.reply();
    assert_eq!(texts(&reply.answers), ["example.com. ns.example.com."]);
    assert!(reply.additionals.is_empty() && reply.authorities.is_empty());
}

#[test]
fn a_response_is_cut_to_what_the_transport_takes() {
    let mut world = World::new(&["example.com"], &[]);
    let long = record("example.com.", 300, RData::TXT(TXT::new(vec!["x".repeat(250); 4])));
    for (client, payload, cut) in [
        (UDP, None, true),
        (UDP, Some(512), true),
        (UDP, Some(100), true),
        (UDP, Some(1_100), false),
        (TCP, None, false),
    ] {
        let mut query = world.query("example.com.", RecordType::TXT);
        query.edns = payload.map(|bytes| {
            let mut edns = Edns::new();
            edns.set_max_payload(bytes);
            edns
        });
        world.send(client, &query);
        if !world.sent.is_empty() {
            world.upstream(answers(vec![long.clone()]));
        }
        let reply = world.reply();
        assert_eq!(
            (reply.metadata.truncation, reply.answers.is_empty()),
            (cut, cut),
            "{client:?} {payload:?}"
        );
        assert_eq!(reply.edns.is_some(), payload.is_some());
    }
    let longer = record("example.com.", 300, RData::TXT(TXT::new(vec!["x".repeat(250); 6])));
    world.pass(Duration::from_secs(300));
    let mut query = world.query("example.com.", RecordType::TXT);
    query.edns.as_mut().expect("edns").set_max_payload(4_096);
    world.send(UDP, &query);
    world.upstream(answers(vec![longer]));
    assert!(world.reply().metadata.truncation, "no response is longer than {UDP_BYTES_MAX}");
}

#[test]
fn what_is_no_query_is_told_so_or_not_answered() {
    let mut world = World::new(&["example.com"], &[]);
    let query = world.query("example.com.", RecordType::A);
    let good = query.to_vec().expect("bytes");
    let code_of = |world: &mut World, bytes: &[u8]| {
        world.send_bytes(UDP, bytes);
        world.replies.pop().map(|reply| reply.metadata.response_code)
    };
    assert_eq!(code_of(&mut world, &[]), None);
    assert_eq!(code_of(&mut world, &good[..11]), None);
    let mut response = good.clone();
    response[2] |= 0x80;
    assert_eq!(code_of(&mut world, &response), None, "a response is never answered");
    let mut notify = good.clone();
    notify[2] |= 4 << 3;
    assert_eq!(code_of(&mut world, &notify), Some(ResponseCode::NotImp));
    let mut two = good.clone();
    two[5] = 2;
    assert_eq!(code_of(&mut world, &two), Some(ResponseCode::FormErr));
    let mut none = good.clone();
    none[5] = 0;
    assert_eq!(code_of(&mut world, &none), Some(ResponseCode::FormErr));
    assert_eq!(code_of(&mut world, &good[..20]), Some(ResponseCode::FormErr));
    let mut version = query.clone();
    version.edns.as_mut().expect("edns").set_version(1);
    let code = code_of(&mut world, &version.to_vec().expect("bytes")).expect("a reply");
    assert_eq!(u16::from(code), 16, "BADVERS, which shares its number with BADSIG");
    let mut chaos = query.clone();
    chaos.queries[0].query_class = DNSClass::CH;
    assert_eq!(code_of(&mut world, &chaos.to_vec().expect("bytes")), Some(ResponseCode::Refused));
    let transfer = world.query("example.com.", RecordType::AXFR);
    assert_eq!(code_of(&mut world, &transfer.to_vec().expect("bytes")), Some(ResponseCode::Refused));
    assert!(world.asked().is_empty());
    let any = world.query("example.com.", RecordType::ANY);
    world.send(UDP, &any);
    assert_eq!(texts(&world.reply().answers), ["example.com. RFC8482 "]);
}

#[test]
fn flags_and_dnssec_ok_are_repeated_and_cookies_are_not() {
    let mut world = World::new(&["host.weft.internal"], &[]);
    let mut query = world.query("host.weft.internal.", RecordType::A);
    query.metadata.checking_disabled = true;
    query.metadata.authentic_data = true;
    let edns = query.edns.as_mut().expect("edns");
    edns.set_dnssec_ok(true);
    edns.options_mut().insert(EdnsOption::Unknown(10, vec![1; 8]));
    world.send(UDP, &query);
    let reply = world.reply();
    assert!(reply.metadata.checking_disabled && !reply.metadata.authentic_data);
    let edns = reply.edns.expect("edns");
    assert!(edns.flags().dnssec_ok && edns.options().as_ref().is_empty());
    assert_eq!(edns.max_payload(), UDP_BYTES_MAX);
}

#[test]
fn many_who_ask_the_same_cost_one_query() {
    let mut world = World::new(&["example.com"], &[]);
    for _ in 0..5 {
        world.ask("example.com.", RecordType::A);
    }
    let resolution = world.resolver.resolve_for_connect(&domain("example.com"), world.now);
    assert_eq!(resolution, Resolution { v4: None, v6: None });
    world.drain();
    assert_eq!(world.asked().len(), 2, "one for each family");
    world.upstream(answers(vec![a("example.com.", 300, "1.1.1.1")]));
    assert_eq!(world.replies.len(), 5);
    let resolved = world.resolver.poll_resolved().expect("the connection is told");
    assert_eq!((resolved.family, resolved.addresses), (Family::V4, Ok(vec![address("1.1.1.1")])));
    assert_eq!(world.resolver.poll_resolved(), None);
}

#[test]
fn lookups_waiters_and_answers_are_bounded() {
    let mut world = World::new(&["*.example.com"], &[]);
    for number in 0..=LOOKUPS_MAX {
        world.ask(&format!("n{number}.example.com."), RecordType::A);
    }
    let reply = world.reply();
    assert_eq!((reply.metadata.response_code, extended_error(&reply)), (ResponseCode::ServFail, Some(0)));
    for _ in LOOKUPS_MAX..WAITERS_MAX {
        world.ask("n0.example.com.", RecordType::A);
    }
    assert!(world.replies.is_empty());
    world.ask("n0.example.com.", RecordType::A);
    assert_eq!(world.reply().metadata.response_code, ResponseCode::ServFail);
    assert_eq!(world.resolver.statistics().overloaded, 2);
    let resolution = world.resolver.resolve_for_connect(&domain("more.example.com"), world.now);
    assert_eq!(resolution.v4, Some(Err(ResolveError::Overloaded)));
    for round in 0..5 {
        while let Some(query) = world.sent.first().cloned() {
            let owner = Message::from_vec(&query.bytes).expect("a query").queries.remove(0).name.to_ascii();
            world.upstream_to(&query, answers(vec![a(&owner, 300, "1.1.1.1")]));
        }
        for number in 0..LOOKUPS_MAX {
            world.ask(&format!("r{round}n{number}.example.com."), RecordType::A);
        }
    }
    assert_eq!(world.resolver.statistics().cached, ANSWERS_MAX);
}

#[test]
fn nothing_is_asked_upstream_before_its_verdict_and_what_waits_for_one_is_bounded() {
    let mut world = World::new(&["example.com"], &[]);
    let query = world.query("example.com.", RecordType::A).to_vec().expect("a query");
    for _ in 0..WAITERS_MAX {
        world.resolver.handle_query(UDP, &query);
    }
    world.drain();
    assert!(world.asked().is_empty() && world.replies.is_empty());
    world.resolver.handle_query(UDP, &query);
    world.drain();
    assert_eq!(world.reply().metadata.response_code, ResponseCode::ServFail);
    // Verdicts may come in any order, and one that comes twice is none.
    let mut wanted: Vec<Wanted> = std::iter::from_fn(|| world.resolver.poll_wanted()).collect();
    assert_eq!(wanted.len(), WAITERS_MAX);
    wanted.reverse();
    for one in &wanted {
        world.resolver.handle_verdict(one.id, one.id == 7, world.now);
        world.resolver.handle_verdict(one.id, true, world.now);
    }
    world.drain();
    assert_eq!(world.replies.len(), WAITERS_MAX - 1);
    assert_eq!(world.asked(), [("example.com.".to_owned(), RecordType::A)]);
}

#[test]
fn what_nobody_has_allowed_yet_is_answered_as_far_as_nothing_leaves() {
    let mut world = World::configured(&[], &[], |config| {
        config.search = vec![domain("corp.example")];
        let mut pins = Pins::default();
        pins.add(domain("pinned.example"), address("192.0.2.7"));
        config.pins = Arc::new(pins);
    });
    let mut stand_in = |name: &str, record_type| {
        let query = world.query(name, record_type).to_vec().expect("a query");
        world.resolver.handle_query(UDP, &query);
        let wanted = world.resolver.poll_wanted().expect("a verdict is wanted");
        let is_answered = world.resolver.stand_in(wanted.id);
        world.drain();
        assert!(world.sent.is_empty(), "{name} {record_type} stays inside");
        assert_eq!(world.replies.len(), usize::from(is_answered), "{name} {record_type}");
        let reply = world.replies.pop().map(|reply| (reply.metadata.response_code, texts(&reply.answers)));
        (wanted.id, reply)
    };
    let of =
        |texts: &[&str]| Some((ResponseCode::NoError, texts.iter().map(|text| (*text).to_owned()).collect()));
    assert_eq!(stand_in("a.example.", RecordType::A).1, of(&["a.example. 198.18.0.1"]));
    assert!(stand_in("a.example.", RecordType::AAAA).1.is_some_and(|(_, answers)| answers.len() == 1));
    assert_eq!(stand_in("a.example.", RecordType::HTTPS).1, of(&[]));
    assert_eq!(stand_in("pinned.example.", RecordType::A).1, of(&["pinned.example. 198.18.0.2"]));
    assert_eq!(stand_in("pinned.example.", RecordType::AAAA).1, of(&[]));
    for (name, record_type) in [
        ("a.example.", RecordType::TXT),
        ("a.corp.example.", RecordType::A),
        ("1.2.0.192.in-addr.arpa.", RecordType::PTR),
    ] {
        assert_eq!(stand_in(name, record_type).1, None, "{name} {record_type}");
    }
    // What is not answered has its verdict later.
    let (id, _) = stand_in("a.example.", RecordType::TXT);
    world.resolver.handle_verdict(id, true, world.now);
    world.drain();
    assert_eq!(world.asked(), [("a.example.".to_owned(), RecordType::TXT)]);
    assert!(world.resolver.stand_in(id), "what has had its verdict is answered");
}

#[test]
fn the_name_of_the_host_leads_to_its_loopback() {
    let mut world = World::new(&[], &[]);
    let host = world.resolver.resolve_for_connect(&domain("host.weft.internal"), world.now);
    assert_eq!(host.v4, Some(Ok(vec![address("127.0.0.1")])));
}

#[test]
fn the_same_seed_sends_the_same_bytes() {
    let run = |seed: u8| {
        let mut world = World::configured(&["example.com"], &[], |config| config.seed = [seed; 32]);
        world.ask("example.com.", RecordType::A);
        world.sent.remove(0).bytes
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
