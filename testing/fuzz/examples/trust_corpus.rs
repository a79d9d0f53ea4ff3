//! Writes the first inputs of the corpora of policies and of the ledger's files: one for each thing that can be said.

use fuzz::corpus::write;
use identity::{Algorithm, SecretKey};
use ledger::checkpoint::Checkpoint;
use ledger::hash::leaf_hash;
use ledger::journal::Frame;
use ledger::proof::{ConsistencyProof, InclusionProof};
use ledger::tree::Tree;
use ledger::{Authorization, Close, Digest, Direction, Entry, Event, Outcome, Parent, PolicyChange};
use ledger::{LogStart, Program, Protocol, RunEnd, RunId, RunStart, ShardsSeen, Verdict};

const LISTS: [(&str, &str); 14] = [
    ("empty", ""),
    ("comment", "# nothing\n\n"),
    ("names", "example.com\n*.example.com:443\nallow tcp://a.example:1-1023\n"),
    ("addresses", "10.0.0.0/8:22\n[2001:db8::]/32\n192.0.2.1\n"),
    ("deny", "*\ndeny ads.example\ndeny 169.254.0.0/16\n"),
    ("unix", "unix:/run/a.sock\ndeny unix:/tmp/\n"),
    ("dns", "dns://a.example\ndeny dns://b.example\n"),
    ("include", "include \"b.list\"\n"),
    ("wrong-port", "example.com:0\nexample.com:70000\n"),
    ("wrong-word", "permit example.com\nallow\ninclude\n"),
    ("mark", "\u{feff}example.com\r\n"),
    ("letters", "bücher.example # größe\nxn--bcher-kva.example\n"),
    ("blanks", "   allow   example.com:443   # the service\n\n\n\n"),
    ("protocols", "udp://a.example:53\nicmp://a.example\ntcp://[::1]:80\n"),
];

const CEDAR: [(&str, &str); 12] = [
    ("empty", ""),
    ("all", "permit (principal, action, resource);"),
    (
        "program",
        "@id(\"p\") permit (principal in Program::\"/usr/bin/npm\", action, resource in Domain::\"a.example\");",
    ),
    (
        "forbid",
        "permit (principal, action, resource);\nforbid (principal, action == Action::\"ping\", resource);",
    ),
    ("port", "permit (principal, action == Action::\"connect\", resource) when { resource.port == 443 };"),
    (
        "address",
        "permit (principal, action, resource) when { resource.address.isInRange(ip(\"10.0.0.0/8\")) };",
    ),
    ("time", "permit (principal, action, resource) when { context.time < datetime(\"2027-01-01\") };"),
    ("bytes", "permit (principal, action, resource) unless { context.bytes > 1000000 };"),
    ("list", "permit (principal, action, resource in List::\"team\");"),
    ("syntax", "permit (principal, action resource);"),
    ("type", "permit (principal, action, resource) when { resource.port == \"443\" };"),
    ("comment", "// why\npermit (\n  principal, // who\n  action,\n  resource\n);\n"),
];

/// Texts that are deep, as far as may be and beyond.
fn deep() -> Vec<(&'static str, Vec<u8>)> {
    let condition =
        |text: String| format!("permit (principal, action, resource) when {{ {text} }};").into_bytes();
    let nested = |open: &str, core: &str, close: &str, n: usize| {
        condition([&open.repeat(n), core, &close.repeat(n)].concat())
    };
    vec![
        ("deep", nested("(", "resource.port == 1", ")", 500)),
        ("deep-parentheses", nested("(", "true", ")", 1_000)),
        ("deep-or", nested("", "true", " || resource.port == 1", 160)),
        ("deep-if", nested("if resource.port == 1 then true else ", "true", "", 160)),
        ("deep-attributes", nested("", "resource", ".name", 500)),
        ("deep-sets", nested("[", "1", "]", 500)),
        ("deep-records", nested("{a: ", "1", "}", 500)),
        ("deep-not", nested("!(", "true", ")", 250)),
        ("deep-unended", [&b"permit (principal, action, resource) when { \""[..], &[b'('; 1_000]].concat()),
        ("long", nested("", "[1].contains(1)", " && true", 100)),
        (
            "together",
            condition(
                "resource in [Endpoint::\"tcp://example.com:443\", Endpoint::\"icmp://192.0.2.1\"]".into(),
            ),
        ),
    ]
}

const QUESTIONS: [(&str, &str); 14] = [
    ("name", "connect tcp://example.com:443"),
    ("address", "connect udp://[2001:db8::1]:53"),
    ("plain", "connect example.com:80"),
    ("ping", "ping icmp://192.0.2.1"),
    ("resolve", "resolve a.example"),
    ("resolve-address", "resolve [2001:db8::1]"),
    ("listen", "listen 0.0.0.0:8080"),
    ("accept", "accept tcp://198.51.100.7:80"),
    ("bind", "bind udp://[::]:53"),
    ("program", "connect a.example:1 program=\"/opt/a b/c\" parents=/bin/sh,/sbin/init user=7 container=x"),
    ("context", "connect a.example:1 time=2026-11-21T00:00:00Z bytes=9 by=example.com address=10.0.0.1"),
    (
        "verdicts",
        "# expected\nallow connect example.com:443 by=example.com:443\ndeny resolve b.example by=-\n",
    ),
    ("no-port", "connect tcp://example.com"),
    ("quote", "connect \"a.example:1"),
];

fn keys() -> Vec<SecretKey> {
    [Algorithm::Ed25519, Algorithm::MlDsa44]
        .map(|algorithm| SecretKey::from_seed("a.example", algorithm, &[7; 32]).expect("a key"))
        .into()
}

fn asked() -> Authorization {
    let program = Program {
        id: 7,
        executable: "/bin/a".into(),
        digest: Some(Digest([7; 32])),
        command_line: vec!["a".into(), "b".into()],
        parents: vec![Parent { id: 1, executable: "/sbin/init".into() }],
        user: Some(1_000),
        container: Some("c".into()),
        others: Vec::new(),
    };
    Authorization {
        verdict: Verdict::Allowed,
        reason: "allowed by --allow a.example:443".into(),
        rule: Some("a.example:443".into()),
        program: Some(program),
        protocol: Some(Protocol::Tcp),
        direction: Some(Direction::Connect),
        local: "10.0.2.15:40000".parse().ok(),
        remote: "[2001:db8::7]:443".parse().ok(),
        name: Some("a.example".into()),
        port: Some(443),
        count: 1,
        path: None,
    }
}

fn events() -> Vec<(&'static str, Event)> {
    let refused = Authorization { verdict: Verdict::Refused, count: 30, ..Authorization::default() };
    let path = Some("/run/a.sock".into());
    let close = Close { sequence: 9, outcome: Outcome::Other(99), ..Close::default() };
    let change = PolicyChange {
        digest: Digest([1; 32]),
        previous: Some(Digest([2; 32])),
        source: "p".into(),
        closed: 3,
    };
    let start = RunStart { command: vec!["true".into()], user: Some(7), ..RunStart::default() };
    vec![
        ("connect", Event::ConnectionAuthorize(asked())),
        ("refused", Event::ConnectionAuthorize(refused.clone())),
        ("unix", Event::ConnectionAuthorize(Authorization { path, ..refused.clone() })),
        ("listen", Event::ListenAuthorize(refused.clone())),
        ("resolve", Event::ResolveAuthorize(refused)),
        ("close", Event::ConnectionClose(close)),
        ("change", Event::PolicyChange(change)),
        ("start", Event::RunStart(start)),
        ("end", Event::RunEnd(RunEnd { status: Some(1), ..RunEnd::default() })),
        ("log", Event::LogStart(LogStart { sequence: 9, previous: "note".into(), oldest: Some(2) })),
        ("shards", Event::ShardsSeen(ShardsSeen { shards: vec![checkpoint(&tree(3))] })),
        ("later", Event::Unknown { kind: 99 }),
    ]
}

fn entry(event: Event) -> Vec<u8> {
    Entry::new(1_795_000_000_000_000_000, RunId([9; 16]), event).encode().expect("it is short")
}

fn tree(count: u64) -> Tree {
    let mut tree = Tree::default();
    (0..count).for_each(|index| tree.push(leaf_hash(&index.to_be_bytes()), |_, _| {}));
    tree
}

fn checkpoint(tree: &Tree) -> Checkpoint {
    Checkpoint { origin: "a.example".into(), size: tree.size(), root: tree.root() }
}

fn notes() -> Vec<(&'static str, Vec<u8>)> {
    let (keys, three) = (keys(), checkpoint(&tree(3)));
    let both = three.sign(&keys);
    let one = three.sign(&keys[..1]);
    let path = vec![leaf_hash(b"a"), leaf_hash(b"b")];
    let inclusion =
        InclusionProof { entry: b"entry".to_vec(), index: 1, path: path.clone(), note: both.clone() };
    let consistency = ConsistencyProof { old: 2, path, note: one.clone() };
    let texts: [(&str, String); 12] = [
        ("both", both.clone()),
        ("one", one.clone()),
        ("empty-tree", checkpoint(&tree(0)).sign(&keys[..1])),
        ("inclusion", inclusion.to_string()),
        ("consistency", consistency.to_string()),
        ("unsigned", three.text()),
        ("cut", one[..one.len() - 9].to_owned()),
        ("twice", one.clone() + one.lines().last().unwrap_or_default() + "\n"),
        ("extension", one.replacen("\n\n", "\nmore\n\n", 1)),
        ("leading-zero", one.replacen("\n3\n", "\n03\n", 1)),
        ("control", one.replacen('a', "\u{1}", 1)),
        ("empty", String::new()),
    ];
    texts.into_iter().map(|(name, text)| (name, text.into_bytes())).collect()
}

fn journals() -> Vec<(&'static str, Vec<u8>)> {
    let keys = &keys()[..1];
    let records = |indices: std::ops::Range<u64>| -> Vec<u8> {
        indices.flat_map(|index| [&8u16.to_be_bytes()[..], &index.to_be_bytes()].concat()).collect()
    };
    let frame = |from: u64, to: u64| {
        let note = checkpoint(&tree(to)).sign(keys);
        Frame { first: from, entry_bytes: 8 * from, synced: from, records: &records(from..to), note: &note }
            .encode()
    };
    let whole = [frame(0, 0), frame(0, 3), frame(3, 5)].concat();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    vec![
        ("base", frame(0, 0)),
        ("one", [frame(0, 0), frame(0, 3)].concat()),
        ("two", whole.clone()),
        ("torn", whole[..whole.len() - 20].to_vec()),
        ("zeros", [whole.clone(), vec![0; 64]].concat()),
        ("no-base", frame(0, 3)),
        ("gap", [frame(0, 0), frame(3, 5)].concat()),
        ("again", [frame(0, 0), frame(0, 3), frame(0, 3)].concat()),
        ("changed-record", flipped(frame(0, 0).len() + 31)),
        ("changed-note", flipped(whole.len() - 9)),
        ("bundle", records(0..5)),
        ("empty", Vec::new()),
    ]
}

fn main() {
    let texts = |inputs: &[(&'static str, &str)]| {
        inputs.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect::<Vec<_>>()
    };
    write("policy_list", texts(&LISTS));
    write("policy_cedar", texts(&CEDAR).into_iter().chain(deep()).collect());
    write("policy_question", texts(&QUESTIONS));
    write("ledger_entry", events().into_iter().map(|(name, event)| (name, entry(event))).collect());
    write("ledger_note", notes());
    write("ledger_journal", journals());
}
