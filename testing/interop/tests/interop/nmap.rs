//! What nmap sees of the stack, beside what it sees of Linux in the same run: ports, how hard numbers are to foretell, and
//! a fingerprint that does not change.

use std::net::Ipv4Addr;
use std::process::Command;

use interop::namespace::Namespace;
use interop::peers::stack::StackHost;
use interop::{Echo, needs, programs};

const WEFT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const LINUX: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const OPEN: u16 = 7;
const CLOSED: u16 = 9;

/// Each scan: its option, and what it has to say of the open and of the closed port. FIN, Xmas and null probes are dropped
/// by a port that is open and reset by one that is closed (RFC 9293 §3.10.7.1, §3.10.7.2).
const SCANS: [(&str, &str, &str); 7] = [
    ("-sT", "open", "closed"),
    ("-sS", "open", "closed"),
    ("-sA", "unfiltered", "unfiltered"),
    ("-sW", "closed", "closed"),
    ("-sF", "open|filtered", "closed"),
    ("-sX", "open|filtered", "closed"),
    ("-sN", "open|filtered", "closed"),
];

/// Six numbers are what nmap looks at: by chance alone its difficulty, in eighths of a bit, is this far off.
const DIFFICULTY_CHANCE: u32 = 12;

/// A namespace that scans weft, on a TAP, and Linux, on a veth pair.
fn scanner() -> Namespace {
    let (scanner, linux) = (Namespace::new(), Namespace::new());
    StackHost::start(&scanner, Ipv4Addr::new(192, 0, 2, 1), WEFT, OPEN);
    scanner.ip(&format!("link add near0 type veth peer name far0 netns {}", linux.path()));
    scanner.ip("address add 198.51.100.1/24 dev near0\nlink set near0 up");
    linux.ip(&format!("address add {LINUX}/24 dev far0\nlink set far0 up"));
    Echo::tcp(&linux, (LINUX, OPEN));
    scanner
}

/// nmap's report of both hosts, weft's first.
fn scan(scanner: &Namespace, options: &[&str]) -> [String; 2] {
    let mut nmap = Command::new(programs::path("nmap"));
    nmap.args(["-n", "-Pn", "-p", &format!("{OPEN},{CLOSED}"), "-oN", "-"]).args(options);
    nmap.args([WEFT.to_string(), LINUX.to_string()]);
    let done = scanner.within(|| nmap.output()).expect("nmap runs");
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{text}{}", String::from_utf8_lossy(&done.stderr));
    [WEFT, LINUX].map(|host| {
        let mut reports = text.split("Nmap scan report for ");
        let report = reports.find(|report| report.starts_with(&format!("{host}\n")));
        report.unwrap_or_else(|| panic!("nmap does not report of {host}:\n{text}")).to_owned()
    })
}

/// What a report says of a port.
fn state(report: &str, port: u16) -> &str {
    let line = report.lines().find_map(|line| line.strip_prefix(&format!("{port}/tcp")));
    line.and_then(|rest| rest.split_whitespace().next())
        .unwrap_or_else(|| panic!("no port {port}:\n{report}"))
}

#[test]
fn every_kind_of_scan_sees_ports_as_it_sees_those_of_linux() {
    needs!["nmap", "ip"];
    let scanner = scanner();
    for (option, open, closed) in SCANS {
        for report in scan(&scanner, &[option, "-T4"]) {
            assert_eq!((state(&report, OPEN), state(&report, CLOSED)), (open, closed), "{option}:\n{report}");
        }
    }
}

/// What nmap found out about a host.
#[derive(Debug)]
struct Looks {
    /// How hard the next initial sequence number is to foretell.
    difficulty: u32,
    /// How IP identifications go on.
    identifications: String,
    /// The fingerprint without where, when and how it was taken, and without the four figures that are measured: the
    /// spread, common divisor and rate of initial numbers, and the rate of timestamps.
    fingerprint: String,
}

impl Looks {
    fn read(report: &str) -> Self {
        let after = |label: &str| {
            let line = report.lines().find_map(|line| line.strip_prefix(label));
            line.unwrap_or_else(|| panic!("no {label}:\n{report}")).trim()
        };
        let difficulty = after("TCP Sequence Prediction: Difficulty=");
        let difficulty = difficulty.split_whitespace().next().and_then(|number| number.parse().ok());
        let whole: String = report.lines().filter_map(|line| line.strip_prefix("OS:")).collect();
        let (_, tests) = whole.split_once(')').unwrap_or_else(|| panic!("no fingerprint:\n{report}"));
        let (numbers, rest) = tests.split_once(')').expect("SEQ comes first");
        let fixed = |field: &&str| !["SP=", "GCD=", "ISR=", "TS="].iter().any(|name| field.starts_with(name));
        let numbers: Vec<&str> = numbers.trim_start_matches("SEQ(").split('%').filter(fixed).collect();
        Self {
            difficulty: difficulty.expect("a difficulty"),
            identifications: after("IP ID Sequence Generation:").to_owned(),
            fingerprint: format!("SEQ({}){rest}", numbers.join("%")),
        }
    }
}

#[test]
fn numbers_are_as_hard_to_foretell_as_those_of_linux_and_the_fingerprint_stays() {
    needs!["nmap", "ip"];
    let scanner = scanner();
    let runs = [(); 3].map(|()| {
        let reports = scan(&scanner, &["-O", "-v", "-d", "--max-os-tries", "1"]);
        reports.map(|report| Looks::read(&report))
    });
    let hardest = |host: usize| runs.iter().map(|run| run[host].difficulty).max().unwrap_or(0);
    assert!(hardest(0) + DIFFICULTY_CHANCE >= hardest(1), "{runs:#?}");
    for [weft, linux] in &runs {
        assert_eq!(
            (&weft.identifications, &linux.identifications),
            (&"All zeros".to_owned(), &weft.identifications)
        );
        assert_eq!(weft.fingerprint, runs[0][0].fingerprint, "{runs:#?}");
    }
    // Of what the probes draw, all but options and windows is what Linux answers.
    for test in ["T1", "T2", "T4", "T5", "T6", "T7"] {
        let of = |host: usize| {
            let fingerprint = &runs[0][host].fingerprint;
            let lines = fingerprint.split(')').find(|line| line.starts_with(&format!("{test}(")));
            lines.unwrap_or_else(|| panic!("no {test} in {fingerprint}")).to_owned()
        };
        assert_eq!(of(0), of(1));
    }
}
