//! What was done, or may not be, and by which programs: endpoints and questions, as a policy writes them.

use axiom::Proposal;
use axiom::rules::{Host, Protocol};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
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

    /// As policies in Cedar, a line each, that carry what they are about as their ids where `has_ids` says so.
    pub fn write_cedar(&self, text: &mut String, effect: Effect, has_ids: bool) {
        let effect = match effect {
            Effect::Permit => "permit",
            Effect::Forbid => "forbid",
        };
        let mut write = |programs: &BTreeSet<String>, action: &str, resource: &str| {
            let principals: Vec<String> = match programs.is_empty() {
                true => vec!["principal".to_owned()],
                false => programs.iter().map(|path| format!("principal == Program::{path:?}")).collect(),
            };
            let id = if has_ids { format!("@id({resource:?}) ") } else { String::new() };
            for principal in principals {
                let _ = writeln!(
                    text,
                    "{id}{effect} ({principal}, action == Action::\"{action}\", resource == Endpoint::{resource:?});"
                );
            }
        };
        for (place, programs) in &self.questions {
            write(programs, "resolve", &place.to_text());
        }
        for (endpoint, programs) in &self.endpoints {
            let action = if endpoint.protocol.has_ports() { "connect" } else { "ping" };
            write(programs, action, &endpoint.to_text());
        }
    }
}
