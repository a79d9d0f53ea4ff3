//! A proposal as Cedar sees it: principal, action, resource, context, and the groups that the resource is in.
//!
//! Cedar is told only what some policy looks at, and only the groups that the endpoint is in: what a decision costs does
//! not grow with how many groups there are, nor with how much is in them.

use super::cedar::{REACHED_BY, Reads, VOCABULARY, uid};
use crate::addresses::embedded;
use crate::proposal::{Context, Kind, Proposal};
use crate::rules::{Network, Protocol};
use cedar_policy::{Entities, Entity, EntityUid, Request, RestrictedExpression};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use time::calendar::to_rfc3339;

/// Why Cedar cannot be asked; what it says.
pub(super) type Unaskable = String;

/// The entities that do not depend on the question, made once.
#[derive(Debug)]
pub(super) struct Actors {
    actions: HashMap<Kind, EntityUid>,
    /// Stands for whoever asks, and for any endpoint, where no policy looks at which.
    anybody: EntityUid,
    anything: EntityUid,
}

impl Default for Actors {
    fn default() -> Self {
        let words = &*VOCABULARY;
        Self {
            actions: Kind::ALL.into_iter().map(|kind| (kind, uid(&words.action, kind.action()))).collect(),
            anybody: uid(&words.run, ""),
            anything: uid(&words.endpoint, ""),
        }
    }
}

/// Names and networks that policies name, found by hash: one look for each label of a name, and for each length of a
/// prefix that is in use.
#[derive(Debug, Default)]
pub(super) struct Places {
    domains: HashMap<String, EntityUid>,
    networks: HashMap<Network, Vec<EntityUid>>,
    lengths_bits: BTreeSet<u8>,
    reached_by: bool,
}

impl Places {
    pub fn new(reads: &Reads) -> Self {
        let words = &*VOCABULARY;
        let mut places = Self { reached_by: reads.reached_by, ..Self::default() };
        for domain in &reads.domains {
            places.domains.insert(domain.clone(), uid(&words.domain, domain));
        }
        for (network, text) in &reads.networks {
            places.lengths_bits.insert(network.prefix_bits());
            places.networks.entry(*network).or_default().push(uid(&words.network, text));
        }
        places
    }

    /// Adds those that the proposal's endpoint is in.
    pub fn find(&self, proposal: &Proposal, found: &mut HashSet<EntityUid>) {
        if let Some(name) = proposal.name.as_ref().filter(|_| !self.domains.is_empty()) {
            let names = std::iter::once(name.as_str()).chain(name.ancestors());
            found.extend(names.filter_map(|name| self.domains.get(name)).cloned());
        }
        let Some(address) = proposal.address() else { return };
        found.extend(self.networks_of(address).cloned());
        if self.reached_by {
            // An IPv6 address leads to the IPv4 addresses that it carries.
            let carried = embedded(address).into_iter().flatten().map(IpAddr::V4);
            let networks =
                std::iter::once(address).chain(carried).flat_map(|address| self.networks_of(address));
            let wide = |network: &EntityUid| format!("{REACHED_BY}{}", network.id().unescaped());
            found.extend(networks.map(|network| uid(&VOCABULARY.network, &wide(network))));
        }
    }

    fn networks_of(&self, address: IpAddr) -> impl Iterator<Item = &EntityUid> {
        let networks = self.lengths_bits.iter().filter_map(move |bits| Network::around(address, *bits));
        networks.filter_map(|network| self.networks.get(&network)).flatten()
    }
}

impl Actors {
    /// The request and the entities for a proposal whose endpoint is in these groups.
    pub fn ask(
        &self,
        reads: &Reads,
        proposal: &Proposal,
        context: Context,
        groups: HashSet<EntityUid>,
    ) -> Result<(Request, Entities), Unaskable> {
        let words = &*VOCABULARY;
        let action = self.actions.get(&proposal.kind).cloned().ok_or("an action without a name")?;
        let endpoint = match reads.endpoint {
            true => uid(&words.endpoint, &proposal.endpoint().to_string()),
            false => self.anything.clone(),
        };
        let principal = match (&proposal.program, reads.principal) {
            (_, false) => self.anybody.clone(),
            (None, true) => uid(&words.run, &proposal.run.to_string()),
            (Some(program), true) => uid(&words.program, &program.executable),
        };
        let mut entities = vec![entity(endpoint.clone(), endpoint_attributes(reads, proposal), groups)?];
        if reads.principal {
            entities.push(principal_entity(reads, proposal, principal.clone())?);
        }
        let context = circumstances(reads, proposal, context)?;
        // Nothing is held against the schema here: a test does that with the same functions.
        let entities = Entities::from_entities(entities, None).map_err(|error| error.to_string())?;
        let request =
            Request::new(principal, action, endpoint, context, None).map_err(|error| error.to_string())?;
        Ok((request, entities))
    }
}

type Attributes = HashMap<String, RestrictedExpression>;

fn entity(uid: EntityUid, attributes: Attributes, groups: HashSet<EntityUid>) -> Result<Entity, Unaskable> {
    match attributes.is_empty() {
        true => Ok(Entity::new_no_attrs(uid, groups)),
        false => Entity::new(uid, attributes, groups).map_err(|error| error.to_string()),
    }
}

fn endpoint_attributes(reads: &Reads, proposal: &Proposal) -> Attributes {
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let mut attributes = Attributes::new();
    let mut put = |name: &str, value: &dyn Fn() -> Option<RestrictedExpression>| {
        if let Some(value) = reads.has(name).then(value).flatten() {
            attributes.insert(name.to_owned(), value);
        }
    };
    put("protocol", &|| Some(text(proposal.protocol.map_or("dns", Protocol::scheme))));
    put("name", &|| proposal.name.as_ref().map(|name| text(name.as_str())));
    put("address", &|| proposal.address().map(|address| RestrictedExpression::new_ip(address.to_string())));
    put("port", &|| Some(RestrictedExpression::new_long(proposal.port.unwrap_or(0).into())));
    attributes
}

/// The program, in its run and in the programs above it, as far as some policy names them; or the run.
fn principal_entity(reads: &Reads, proposal: &Proposal, principal: EntityUid) -> Result<Entity, Unaskable> {
    let words = &*VOCABULARY;
    let Some(program) = &proposal.program else { return Ok(Entity::new_no_attrs(principal, HashSet::new())) };
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let mut attributes = Attributes::new();
    let mut put = |name: &str, value: &dyn Fn() -> Option<RestrictedExpression>| {
        if let Some(value) = reads.has(name).then(value).flatten() {
            attributes.insert(name.to_owned(), value);
        }
    };
    put("executable", &|| Some(text(&program.executable)));
    put("digest", &|| program.digest.map(|digest| text(&digest.to_string())));
    put("command_line", &|| Some(text(&program.command_line.join(" "))));
    put("user", &|| program.user.map(|user| RestrictedExpression::new_long(user.into())));
    put("container", &|| program.container.as_deref().map(text));
    let above = program.parents.iter().map(|parent| &*parent.executable);
    let named = above.filter(|executable| reads.programs.contains(*executable));
    let mut groups: HashSet<EntityUid> = named.map(|executable| uid(&words.program, executable)).collect();
    if reads.runs || reads.has("run") {
        groups.insert(uid(&words.run, &proposal.run.to_string()));
    }
    // A shell that a shell started is in itself, which Cedar knows; said so, it would be a circle.
    groups.remove(&principal);
    entity(principal, attributes, groups)
}

fn circumstances(
    reads: &Reads,
    proposal: &Proposal,
    context: Context,
) -> Result<cedar_policy::Context, Unaskable> {
    let mut pairs: Vec<(String, RestrictedExpression)> = Vec::new();
    if reads.has("time") {
        let time = to_rfc3339(context.time_ns, 3);
        pairs.push(("time".to_owned(), RestrictedExpression::new_datetime(time)));
    }
    if reads.has("run") {
        let run = uid(&VOCABULARY.run, &proposal.run.to_string());
        pairs.push(("run".to_owned(), RestrictedExpression::new_entity_uid(run)));
    }
    if reads.has("bytes") {
        let bytes = i64::try_from(context.carried_bytes).unwrap_or(i64::MAX);
        pairs.push(("bytes".to_owned(), RestrictedExpression::new_long(bytes)));
    }
    match pairs.is_empty() {
        true => Ok(cedar_policy::Context::empty()),
        false => cedar_policy::Context::from_pairs(pairs).map_err(|error| error.to_string()),
    }
}

impl Network {
    /// The network of this length that an address is in; `None` where the address has fewer bits.
    fn around(address: IpAddr, prefix_bits: u8) -> Option<Self> {
        Self::new(crate::rules::masked(address, prefix_bits), prefix_bits)
    }
}
