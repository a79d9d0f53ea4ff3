//! What was done, or may not be, and by which programs: endpoints and questions, as a policy writes them.

use axiom::Proposal;
use axiom::rules::{Host, Protocol};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::net::IpAddr;
use std::path::Path;

/// How a policy is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// One rule a line, for all programs.
    #[default]
    List,
    /// In Cedar, each program by itself.
    Cedar,
}

impl Form {
    /// That of a policy in this file.
    pub fn of(path: &Path) -> Self {
        let is_cedar = path.extension().is_some_and(|extension| extension == "cedar");
        if is_cedar { Self::Cedar } else { Self::List }
    }
}

/// A name, or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Name(String),
    Address(IpAddr),
}

/// What was connected to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Endpoint {
    pub place: Place,
    pub protocol: Protocol,
    pub port: u16,
    /// It is a name's address, of a kind to which a name alone does not lead.
    pub is_inner: bool,
}

/// See the module; each with the programs that are known, none of them where none is.
#[derive(Clone, Debug, Default)]
pub(super) struct Deeds {
    pub endpoints: BTreeMap<Endpoint, BTreeSet<String>>,
    /// What was asked of a resolver.
    pub questions: BTreeMap<Place, BTreeSet<String>>,
    /// The paths of Unix sockets of the host's, of which only a list speaks.
    pub sockets: BTreeSet<String>,
}

/// What a policy in Cedar does with it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    Permit,
    Forbid,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit => "permit",
            Self::Forbid => "forbid",
        })
    }
}

/// How many endpoints one policy in Cedar names at most: four tokens each, of which a policy may have 16,384, and what is
/// written is brought into the one form in a time that grows with their square.
const TOGETHER_MAX: usize = 1_000;

impl Place {
    /// Of a proposal's name, else of its address.
    pub fn of(proposal: &Proposal) -> Option<Self> {
        match &proposal.name {
            Some(name) => Some(Self::Name(name.to_string())),
            None => proposal.address().map(Self::Address),
        }
    }

    pub fn to_text(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Address(address) => Host::Address(*address).to_string(),
        }
    }
}

impl Endpoint {
    pub fn to_text(&self) -> String {
        let (protocol, place) = (self.protocol, self.place.to_text());
        match protocol.has_ports() {
            true => format!("{protocol}://{place}:{}", self.port),
            false => format!("{protocol}://{place}"),
        }
    }
}

impl Deeds {
    /// How many.
    pub fn len(&self) -> usize {
        self.endpoints.len() + self.questions.len() + self.sockets.len()
    }

    /// What was asked for and not connected to: a rule about a connection lets its name be asked for.
    pub fn unconnected(&self) -> impl Iterator<Item = &Place> {
        self.questions.keys().filter(|place| !self.endpoints.keys().any(|endpoint| endpoint.place == **place))
    }

    /// Takes one in that a person has answered for: in Cedar, what allows a connection does not let its name be asked for.
    pub fn answer(&mut self, proposal: &Proposal, is_inner: bool, is_allowed: bool) {
        if let Some(path) = &proposal.socket {
            self.sockets.insert(path.to_string());
            return;
        }
        let program = proposal.program.as_ref().map(|program| program.executable.clone());
        let Some(place) = Place::of(proposal) else { return };
        let Some(protocol) = proposal.protocol else {
            return self.questions.entry(place).or_default().extend(program);
        };
        if is_allowed && matches!(place, Place::Name(_)) {
            self.questions.entry(place.clone()).or_default().extend(program.clone());
        }
        let endpoint = Endpoint { place, protocol, port: proposal.port.unwrap_or(0), is_inner };
        self.endpoints.entry(endpoint).or_default().extend(program);
    }

    /// Each by itself as a policy in Cedar, a line each, whose id is what it is about.
    pub fn write_answers(&self, text: &mut String, effect: Effect) {
        for (program, action, resource) in self.uses() {
            let principal = principal(program);
            let _ = writeln!(
                text,
                "@id({resource:?}) {effect} ({principal}, action == Action::\"{action}\", resource == Endpoint::{resource:?});"
            );
        }
    }

    /// As few policies in Cedar as there can be without saying more: what a program may do by one action is one, and what
    /// nobody knows who did, one for each action.
    pub fn write_cedar(&self, text: &mut String, effect: Effect) {
        let mut together: BTreeMap<(Option<&str>, &str), Vec<String>> = BTreeMap::new();
        for (program, action, resource) in self.uses() {
            together.entry((program, action)).or_default().push(resource);
        }
        for ((program, action), resources) in together {
            if program.is_none() {
                let _ = writeln!(text, "// Of any program: which one it was could not be told.");
            }
            let principal = principal(program);
            for resources in resources.chunks(TOGETHER_MAX) {
                let head = format!("{effect} ({principal}, action == Action::\"{action}\", resource");
                let _ = match resources {
                    [resource] => writeln!(text, "{head} == Endpoint::{resource:?});"),
                    _ => {
                        let named = resources.iter().map(|resource| format!("Endpoint::{resource:?}"));
                        let named = named.collect::<Vec<String>>().join(", ");
                        writeln!(text, "{head}) when {{ resource in [{named}] }};")
                    }
                };
            }
        }
    }

    /// How many a policy in Cedar speaks of for any program.
    pub fn of_nobody(&self) -> usize {
        self.uses().filter(|(program, _, _)| program.is_none()).count()
    }

    /// By which program, by which action, and where to.
    fn uses(&self) -> impl Iterator<Item = (Option<&str>, &'static str, String)> {
        let questions = self.questions.iter();
        let questions = questions.map(|(place, programs)| (programs, "resolve", place.to_text()));
        let endpoints = self.endpoints.iter().map(|(endpoint, programs)| {
            let action = if endpoint.protocol.has_ports() { "connect" } else { "ping" };
            (programs, action, endpoint.to_text())
        });
        questions.chain(endpoints).flat_map(|(programs, action, resource)| {
            let nobody = programs.is_empty().then_some(None);
            let known = programs.iter().map(|program| Some(program.as_str()));
            nobody.into_iter().chain(known).map(move |program| (program, action, resource.clone()))
        })
    }
}

fn principal(program: Option<&str>) -> String {
    match program {
        Some(path) => format!("principal == Program::{path:?}"),
        None => "principal".to_owned(),
    }
}
