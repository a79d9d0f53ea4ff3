//! The policy of one run: its own rules, the lists that policies in Cedar name, and the policies.

use super::ask::{Actors, Places};
use super::cedar::{REACHED_BY, Statements, VOCABULARY, uid};
use super::complaint::{Complaint, Place};
use super::decision::{DecidingRule, Decision};
use super::sets::ONE_OF;
use super::source::List;
use crate::addresses::embedded;
use crate::proposal::{Context, Kind, Proposal};
use crate::rules::{Host, Protocol};
use cedar_policy::{Authorizer, EntityUid, PolicySet, Response};
use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// What rules in the short format and flags mean, in Cedar. Lists speak of what is opened and resolved; ports are taken
/// where they are published. Deny rules speak of everything.
pub(super) const OWN_POLICIES: &str = r#"
@id("allow") permit (principal, action in [Action::"connect", Action::"ping"], resource in List::"allow");
@id("resolve") permit (principal, action == Action::"resolve", resource in List::"resolve");
@id("publish") permit (principal, action in [Action::"listen", Action::"accept"], resource in List::"publish");
@id("deny") forbid (principal, action, resource in List::"deny");
"#;

/// Names of lists that weft itself fills.
pub(super) const OWN_LISTS: [&str; 4] = ["allow", "deny", "publish", "resolve"];

const ALLOW: &str = "allow";
const RESOLVE: &str = "resolve";
const PUBLISH: &str = "publish";
const DENY: &str = "deny";

/// One layer: see the module.
pub(super) struct Layer {
    pub digest: [u8; 32],
    /// Rules of flags, and of a policy in the short format.
    pub own: List,
    pub published: Vec<(Protocol, u16)>,
    /// Lists by name, each with its entity.
    pub lists: Vec<(EntityUid, List)>,
    pub statements: Statements,
    pub places: Places,
    pub actors: Actors,
    pub own_lists: OwnLists,
    pub authorizer: Authorizer,
}

impl fmt::Debug for Layer {
    /// How much there is of it: 10,000 rules help nobody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("digest", &ledger::Digest(self.digest).to_string())
            .field("allow", &self.own.rules.allow().len())
            .field("deny", &self.own.rules.deny().len())
            .field("lists", &self.lists.len())
            .field("cedar", &self.cedar_count())
            .finish_non_exhaustive()
    }
}

/// The entities of [`OWN_LISTS`].
#[derive(Debug)]
pub(super) struct OwnLists {
    allow: EntityUid,
    deny: EntityUid,
    publish: EntityUid,
    resolve: EntityUid,
}

impl Default for OwnLists {
    fn default() -> Self {
        let list = |name| uid(&VOCABULARY.list, name);
        Self { allow: list(ALLOW), deny: list(DENY), publish: list(PUBLISH), resolve: list(RESOLVE) }
    }
}

/// What the layer's own rules say of a proposal: indices of rules.
#[derive(Debug, Default)]
struct OwnRules {
    allow: Option<usize>,
    deny: Option<usize>,
    /// The rule that lets a name be resolved, or keeps it from being.
    resolve: Option<Arc<str>>,
}

impl Layer {
    pub fn decide(&self, proposal: &Proposal, context: Context) -> Decision {
        let (groups, own) = self.groups(proposal);
        match self.respond(self.statements.speaking_of(proposal.kind), proposal, context, groups) {
            Ok(response) => self.read(&response, proposal, &own),
            Err(reason) => Decision::failed(reason),
        }
    }

    /// The groups that the endpoint is in, and what the layer's own rules say.
    fn groups(&self, proposal: &Proposal) -> (HashSet<EntityUid>, OwnRules) {
        let mut groups = HashSet::new();
        let mut own = OwnRules::default();
        let lists = &self.own_lists;
        if proposal.kind == Kind::Resolve {
            if let Some(host) = host(proposal) {
                let decision = self.own.rules.may_resolve_host(&host);
                if decision.allowed {
                    groups.insert(lists.resolve.clone());
                }
                own.resolve = decision.by;
                own.deny = self.own.rules.denying_all(&host);
            }
        } else {
            own.allow = allowing(&self.own, proposal);
            own.deny = denying(&self.own, proposal);
            if own.allow.is_some() {
                groups.insert(lists.allow.clone());
            }
            let port = proposal.protocol.zip(proposal.port);
            if port.is_some_and(|port| self.published.contains(&port)) {
                groups.insert(lists.publish.clone());
            }
        }
        if own.deny.is_some() {
            groups.insert(lists.deny.clone());
        }
        let named = self.lists.iter().filter(|(_, list)| holds(list, proposal));
        groups.extend(named.map(|(uid, _)| uid.clone()));
        if self.statements.reads.reached_by {
            let reached = self.lists.iter().filter(|(_, list)| is_reached(list, proposal));
            let wide = |name: &EntityUid| format!("{REACHED_BY}{}", name.id().unescaped());
            groups.extend(reached.map(|(name, _)| uid(&VOCABULARY.list, &wide(name))));
        }
        self.places.find(proposal, &mut groups);
        self.statements.sets.find(proposal, &mut groups);
        (groups, own)
    }

    fn respond(
        &self,
        set: &PolicySet,
        proposal: &Proposal,
        context: Context,
        groups: HashSet<EntityUid>,
    ) -> Result<Response, String> {
        let (request, entities) = self.actors.ask(&self.statements.reads, proposal, context, groups)?;
        let response =
            self.statements.depth.with_stack(|| self.authorizer.is_authorized(&request, set, &entities));
        // Cedar passes over a policy that it cannot evaluate, as where the stack ends. That may be one that forbids.
        let error = response.diagnostics().errors().next().map(ToString::to_string);
        error.map_or(Ok(response), Err)
    }

    fn read(&self, response: &Response, proposal: &Proposal, own: &OwnRules) -> Decision {
        let allowed = response.decision() == cedar_policy::Decision::Allow;
        // Several may have decided alike: the first written is told of.
        let first =
            response.diagnostics().reason().filter_map(|id| AsRef::<str>::as_ref(id).parse().ok()).min();
        let rule = match first {
            Some(index) => self.rule(index, proposal, own),
            // Something of the name is allowed, and all of it is denied again.
            None => own.resolve.as_ref().and_then(|text| self.own_rule(text)),
        };
        Decision::by(allowed, rule)
    }

    /// The rule behind a policy: of our own policies the rule that put the endpoint into the list.
    fn rule(&self, index: usize, proposal: &Proposal, own: &OwnRules) -> Option<DecidingRule> {
        let statement = self.statements.statements.get(index)?;
        let of = |rules: &[crate::rules::Rule], places: &[Place], index: Option<usize>| {
            let (rule, place) = index.and_then(|index| rules.get(index).zip(places.get(index)))?;
            Some(DecidingRule { text: rule.text().clone(), place: place.clone() })
        };
        if !matches!(statement.place, Place::Flag(_)) {
            return Some(DecidingRule { text: statement.name.clone(), place: statement.place.clone() });
        }
        match &*statement.name {
            ALLOW => of(self.own.rules.allow(), &self.own.allow_places, own.allow),
            DENY => of(self.own.rules.deny(), &self.own.deny_places, own.deny),
            PUBLISH => {
                let port = proposal.port.unwrap_or(0);
                Some(DecidingRule { text: port.to_string().into(), place: Place::Flag("--publish") })
            }
            _ => own.resolve.as_ref().and_then(|text| self.own_rule(text)),
        }
    }

    /// A rule of the layer's own by its text.
    fn own_rule(&self, text: &Arc<str>) -> Option<DecidingRule> {
        let allow = self.own.rules.allow().iter().zip(&self.own.allow_places);
        let deny = self.own.rules.deny().iter().zip(&self.own.deny_places);
        let (rule, place) = allow.chain(deny).find(|(rule, _)| Arc::ptr_eq(rule.text(), text))?;
        Some(DecidingRule { text: rule.text().clone(), place: place.clone() })
    }

    /// See [`Policy::decide_socket`](super::Policy::decide_socket).
    pub fn decide_socket(&self, path: &str, rule: Option<&str>, denied: bool) -> Decision {
        let found = |rules: &[crate::rules::Rule], places: &[Place], text: &str| {
            let (rule, place) = rules.iter().zip(places).find(|(rule, _)| &**rule.text() == text)?;
            Some(DecidingRule { text: rule.text().clone(), place: place.clone() })
        };
        let denies = |text: &str| found(self.own.rules.deny(), &self.own.deny_places, text);
        let by_path = self.own.rules.denying_unix(path);
        if let Some(rule) = rule.filter(|_| denied).and_then(denies).or_else(|| denies(by_path?)) {
            return Decision::by(false, Some(rule));
        }
        let allows = |text: &str| found(self.own.rules.allow(), &self.own.allow_places, text);
        let rule = rule.filter(|_| !denied).and_then(allows);
        Decision::by(rule.is_some(), rule)
    }

    /// The groups that policies name and the endpoint is in; weft's own lists are not told of.
    pub fn groups_of(&self, proposal: &Proposal) -> Vec<EntityUid> {
        let own = |uid: &EntityUid| {
            let id = uid.id().unescaped();
            let is_ours = id.starts_with(REACHED_BY) || id.starts_with(ONE_OF);
            is_ours || *uid.type_name() == VOCABULARY.list && OWN_LISTS.contains(&id)
        };
        self.groups(proposal).0.into_iter().filter(|uid| !own(uid)).collect()
    }

    /// What a set of policies other than the layer's own says.
    pub fn ask_of(&self, set: &PolicySet, proposal: &Proposal, context: Context) -> Result<Response, String> {
        self.respond(set, proposal, context, self.groups(proposal).0)
    }

    /// How many policies in Cedar were written by hand.
    pub fn cedar_count(&self) -> usize {
        let is_written = |statement: &&super::cedar::Statement| matches!(statement.place, Place::File { .. });
        self.statements.statements.iter().filter(is_written).count()
    }

    pub fn warnings(&self) -> &[Complaint] {
        &self.statements.warnings
    }
}

/// What a rule is held against: the name where there is one, else the address.
pub(super) fn host(proposal: &Proposal) -> Option<Host> {
    match (&proposal.name, proposal.address()) {
        (Some(name), _) => Some(Host::Name(name.clone())),
        (None, Some(address)) => Some(Host::Address(address)),
        (None, None) => None,
    }
}

/// The rule of a list that allows a proposal: one for its name where it has one, one for its address where not. The
/// host's own loopback is meant by its name and by the gateway's address alike.
fn allowing(list: &List, proposal: &Proposal) -> Option<usize> {
    let (protocol, port) = (proposal.protocol?, proposal.port.unwrap_or(0));
    let by_host = list.rules.allowing(protocol, &host(proposal)?, port);
    let is_host = proposal.name.as_ref().is_some_and(crate::domain::DomainName::is_host);
    let by_address = || list.rules.allowing(protocol, &Host::Address(proposal.address()?), port);
    by_host.or_else(|| is_host.then(by_address).flatten())
}

/// The rule of a list that denies a proposal, by its name or by its address.
fn denying(list: &List, proposal: &Proposal) -> Option<usize> {
    let (protocol, port) = (proposal.protocol?, proposal.port.unwrap_or(0));
    let name = proposal.name.as_ref().map(|name| Host::Name(name.clone()));
    let address = proposal.address().map(Host::Address);
    name.into_iter().chain(address).find_map(|host| list.rules.denying(protocol, &host, port))
}

/// Whether an endpoint is in a list: where the list by itself would allow it.
fn holds(list: &List, proposal: &Proposal) -> bool {
    match proposal.kind {
        Kind::Resolve => host(proposal).is_some_and(|host| list.rules.may_resolve_host(&host).allowed),
        _ => allowing(list, proposal).is_some() && denying(list, proposal).is_none(),
    }
}

/// Whether an endpoint is what a list names by any of its names and addresses, those that an IPv6 address carries included.
fn is_reached(list: &List, proposal: &Proposal) -> bool {
    let Some(protocol) = proposal.protocol else { return holds(list, proposal) };
    let port = proposal.port.unwrap_or(0);
    let name = proposal.name.as_ref().map(|name| Host::Name(name.clone()));
    let address = proposal.address();
    let carried = address.into_iter().flat_map(embedded).flatten().map(IpAddr::V4);
    let addresses = address.into_iter().chain(carried).map(Host::Address);
    let is_named = |host: Host| {
        list.rules.allowing(protocol, &host, port).is_some()
            && list.rules.denying(protocol, &host, port).is_none()
    };
    name.into_iter().chain(addresses).any(is_named)
}
