//! What a run did, as the smallest policy under which it can be done again: `weft learn`.

use super::deeds::{Deeds, Effect, Endpoint, Form, Place};
use axiom::Proposal;
use axiom::addresses::{Pins, classify};
use std::collections::HashSet;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// How many endpoints are learned; what would be more is told, and not in the policy.
pub const LESSONS_MAX: usize = 10_000;

/// What is allowed while it is learned: everything that goes out, but what a rule denies.
pub(crate) const EVERYTHING: &str = "@id(\"weft learn\") permit (principal, \
     action in [Action::\"connect\", Action::\"ping\", Action::\"resolve\"], resource);\n";

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Lessons {
    did: Deeds,
    /// What a person has refused for good.
    refused: Deeds,
    beyond: u64,
}

impl Lessons {
    /// Something was authorised; `remote` is where it went.
    pub fn learn(
        &mut self,
        proposal: &Proposal,
        remote: Option<SocketAddr>,
        (pins, own): (&Pins, &HashSet<IpAddr>),
    ) {
        if let Some(path) = &proposal.socket {
            return self.learn_socket(path);
        }
        let program = proposal.program.as_ref().map(|program| program.executable.clone());
        let Some(protocol) = proposal.protocol else {
            let place = Place::of(proposal);
            let is_known = |place: &Place| self.did.questions.contains_key(place);
            if let Some(place) = place.filter(|place| self.has_room() || is_known(place)) {
                self.did.questions.entry(place).or_default().extend(program);
            } else {
                self.beyond += 1;
            }
            return;
        };
        let port = proposal.port.unwrap_or(0);
        let Some(place) = Place::of(proposal) else { return };
        self.add(Endpoint { place, protocol, port, is_inner: false }, program.clone());
        let name = proposal.name.as_ref().filter(|name| !name.is_host());
        let Some((name, remote)) = name.zip(remote) else { return };
        let address = remote.ip().to_canonical();
        // A name that leads inside is followed where the address is allowed too.
        if !classify(address, own).is_reachable_by_name() && !pins.contains(name, address) {
            self.add(Endpoint { place: Place::Address(address), protocol, port, is_inner: true }, program);
        }
    }

    fn learn_socket(&mut self, path: &str) {
        if self.has_room() || self.did.sockets.contains(path) {
            self.did.sockets.insert(path.to_owned());
        } else {
            self.beyond += 1;
        }
    }

    /// A person has said that something always or never may be. `is_inner` where it is an address to which a name leads.
    pub fn answer(&mut self, proposal: &Proposal, is_inner: bool, is_allowed: bool) {
        let deeds = if is_allowed { &mut self.did } else { &mut self.refused };
        deeds.answer(proposal, is_inner, is_allowed);
    }

    fn add(&mut self, endpoint: Endpoint, program: Option<String>) {
        if self.has_room() || self.did.endpoints.contains_key(&endpoint) {
            self.did.endpoints.entry(endpoint).or_default().extend(program);
        } else {
            self.beyond += 1;
        }
    }

    fn has_room(&self) -> bool {
        self.did.len() < LESSONS_MAX
    }

    /// How many rules there are, and how many more there would be without the bound.
    pub fn counts(&self) -> (usize, u64) {
        let did = self.did.endpoints.len() + self.did.unconnected().count() + self.did.sockets.len();
        (did + self.refused.len(), self.beyond)
    }

    /// How many endpoints and questions a policy in this form allows any program because nobody could tell which one it was.
    /// A list speaks of no programs.
    pub fn of_nobody(&self, form: Form) -> usize {
        if form == Form::Cedar { self.did.of_nobody() } else { 0 }
    }

    /// The policy.
    pub fn to_text(&self, form: Form, command: &str) -> String {
        let about = command.replace(|letter: char| letter.is_control(), " ");
        let (text, file) = match form {
            Form::List => (self.to_list(&about), "learned"),
            Form::Cedar => {
                let mut text = format!("// What this needed: {about}\n");
                self.did.write_cedar(&mut text, Effect::Permit);
                self.refused.write_cedar(&mut text, Effect::Forbid);
                for path in &self.did.sockets {
                    let _ = writeln!(text, "// Not in Cedar: --allow unix:{path}");
                }
                (text, "learned.cedar")
            }
        };
        // As `weft policy fmt` writes it.
        axiom::policy::format(file, &text).unwrap_or(text)
    }

    fn to_list(&self, command: &str) -> String {
        let mut text = format!("# What this needed: {command}\n");
        for endpoint in self.did.endpoints.keys() {
            let note = if endpoint.is_inner { "  # a name leads here" } else { "" };
            let _ = writeln!(text, "{}{note}", endpoint.to_text());
        }
        for place in self.did.unconnected() {
            let _ = writeln!(text, "dns://{}", place.to_text());
        }
        for path in &self.did.sockets {
            let _ = writeln!(text, "unix:{path}");
        }
        for endpoint in self.refused.endpoints.keys() {
            let _ = writeln!(text, "deny {}", endpoint.to_text());
        }
        for place in self.refused.questions.keys() {
            let _ = writeln!(text, "deny dns://{}", place.to_text());
        }
        for path in &self.refused.sockets {
            let _ = writeln!(text, "deny unix:{path}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axiom::Context;
    use axiom::domain::DomainName;
    use axiom::policy::{Policy, PolicyBuilder};
    use axiom::rules::{Host, Protocol};
    use ledger::Program;
    use proptest::prelude::*;

    fn name(text: &str) -> DomainName {
        text.parse().expect("a name")
    }

    fn learned(lessons: &Lessons, form: Form) -> Policy {
        let file = if form == Form::Cedar { "learned.cedar" } else { "learned" };
        let text = lessons.to_text(form, "true");
        assert_eq!(axiom::policy::format(file, &text).as_ref(), Ok(&text), "it is written in the one way");
        let mut load = |_: &str| Ok(text.clone().into_bytes());
        PolicyBuilder::default()
            .file(file, &mut load)
            .build()
            .unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn a_list_is_what_was_used_and_no_more() {
        let (pins, own) = (Pins::default(), HashSet::new());
        let mut lessons = Lessons::default();
        let mut learn = |proposal: Proposal, remote: Option<&str>| {
            let remote = remote.map(|text| text.parse().expect("an address"));
            lessons.learn(&proposal, remote, (&pins, &own));
        };
        for _ in 0..2 {
            learn(Proposal::resolve(name("a.example")), None);
            learn(Proposal::connect(Protocol::Tcp, name("a.example"), 443), Some("192.0.0.9:443"));
        }
        learn(Proposal::connect(Protocol::Tcp, name("inner.example"), 80), Some("10.0.0.5:80"));
        learn(Proposal::connect(Protocol::Udp, IpAddr::from([192, 0, 2, 1]), 53), Some("192.0.2.1:53"));
        learn(Proposal::connect(Protocol::Icmp, name("host.weft.internal"), 0), Some("127.0.0.1:0"));
        learn(Proposal::resolve(name("only.example")), None);
        learn(Proposal::socket("/run/used"), None);
        lessons.answer(&Proposal::socket("/run/refused"), false, false);
        assert_eq!(
            lessons.to_text(Form::List, "a\nb"),
            "# What this needed: a b\n\
             tcp://a.example:443\n\
             icmp://host.weft.internal\n\
             tcp://inner.example:80\n\
             tcp://10.0.0.5:80  # a name leads here\n\
             udp://192.0.2.1:53\n\
             dns://only.example\n\
             unix:/run/used\n\
             deny unix:/run/refused\n"
        );
        assert_eq!(lessons.counts(), (8, 0));
        assert!(lessons.to_text(Form::Cedar, "a").ends_with("\n// Not in Cedar: --allow unix:/run/used\n"));
    }

    #[test]
    fn in_cedar_a_program_has_few_policies_and_what_nobody_knows_who_did_is_told() {
        let (pins, own) = (Pins::default(), HashSet::new());
        let mut lessons = Lessons::default();
        let there = IpAddr::from([192, 0, 2, 1]);
        for port in 1..=2_500 {
            let program = Program { executable: "/bin/p".into(), ..Program::default() };
            let deed = Proposal::connect(Protocol::Udp, there, port);
            lessons.learn(&Proposal { program: Some(program.into()), ..deed }, None, (&pins, &own));
        }
        lessons.learn(&Proposal::connect(Protocol::Udp, there, 9_000), None, (&pins, &own));
        let mut text = String::new();
        lessons.did.write_cedar(&mut text, Effect::Permit);
        assert_eq!(text.matches("permit (principal == Program::\"/bin/p\"").count(), 3);
        let unknown = "// Of any program: which one it was could not be told.\n\
                       permit (principal, action == Action::\"connect\", resource == Endpoint::\"udp://192.0.2.1:9000\");\n";
        assert!(text.starts_with(unknown), "{}", &text[..300]);
        assert_eq!((lessons.of_nobody(Form::Cedar), lessons.of_nobody(Form::List)), (1, 0));
    }

    #[test]
    fn what_is_learned_is_bounded() {
        let (pins, own) = (Pins::default(), HashSet::new());
        let mut lessons = Lessons::default();
        for port in 1..=u16::MAX {
            let there = IpAddr::from([192, 0, 2, 1]);
            lessons.learn(&Proposal::connect(Protocol::Tcp, there, port), None, (&pins, &own));
        }
        assert_eq!(lessons.counts(), (LESSONS_MAX, u64::from(u16::MAX) - LESSONS_MAX as u64));
    }

    proptest! {
        /// Whatever is done is allowed again, in either form; by another program, Cedar's is not.
        #[test]
        fn what_was_done_can_be_done_again(
            deeds in proptest::collection::vec((0u8..4, 0u8..3, 1u16..4, 0u8..3, prop::bool::ANY), 1..30),
        ) {
            let (pins, own) = (Pins::default(), HashSet::new());
            let mut lessons = Lessons::default();
            let program = |number: u8| {
                let executable = format!("/bin/p \"{number}\"");
                Some(std::sync::Arc::new(Program { executable, ..Program::default() }))
            };
            let deeds: Vec<Proposal> = deeds
                .into_iter()
                .map(|(place, protocol, port, by, is_question)| {
                    let protocol = Protocol::ALL[usize::from(protocol)];
                    let host = match place {
                        0 => Host::Name(name("a.example")),
                        1 => Host::Name(name("b.example")),
                        2 => Host::Address(IpAddr::from([192, 0, 0, 9])),
                        _ => Host::Address("2001:db8::1".parse().expect("an address")),
                    };
                    let proposal = match is_question {
                        true => Proposal::resolve(host),
                        false => Proposal::connect(protocol, host, port),
                    };
                    Proposal { program: program(by), ..proposal }
                })
                .collect();
            for deed in &deeds {
                lessons.learn(deed, deed.remote, (&pins, &own));
            }
            for form in [Form::List, Form::Cedar] {
                let policy = learned(&lessons, form);
                for deed in &deeds {
                    prop_assert!(policy.decide(deed, Context::default()).allowed, "{form:?} {deed:?}");
                }
                let other = Proposal::connect(Protocol::Tcp, name("c.example"), 1);
                prop_assert!(!policy.decide(&other, Context::default()).allowed);
            }
            let stranger = Proposal { program: program(9), ..deeds[0].clone() };
            prop_assert!(!learned(&lessons, Form::Cedar).decide(&stranger, Context::default()).allowed);
        }
    }
}
