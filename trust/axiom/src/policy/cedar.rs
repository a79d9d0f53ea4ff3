//! Policies in Cedar: read, held against the schema, and looked at for what they speak of.

use super::complaint::{Complaint, Place};
use super::depth::Depth;
use super::sets::Sets;
use super::source::Reader;
use crate::domain::DomainName;
use crate::proposal::Kind;
use crate::rules::Network;
use cedar_policy::{
    ActionConstraint, Effect, EntityTypeName, EntityUid, ParseErrors, Policy, PolicyId, PolicySet,
    PrincipalConstraint, ResourceConstraint, Schema, ValidationMode, Validator,
};
use miette::Diagnostic;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

/// The most policies in Cedar of one policy. Each is evaluated for each decision that is not remembered, and costs about
/// half a microsecond; long lists of hosts belong into lists.
pub const CEDAR_POLICIES_MAX: usize = 1_024;

/// The schema's text, against which every policy is held: `trust/axiom/schema/weft.cedarschema`.
pub const SCHEMA: &str = include_str!("../../schema/weft.cedarschema");

/// The schema, read when the first policy in Cedar is held against it: that takes longer than all else before a run.
pub(super) static PARSED_SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::from_cedarschema_str(SCHEMA).expect("the schema is one").0);

/// The names of the schema's types.
#[derive(Debug)]
pub(super) struct Vocabulary {
    pub run: EntityTypeName,
    pub program: EntityTypeName,
    pub list: EntityTypeName,
    pub domain: EntityTypeName,
    pub network: EntityTypeName,
    pub endpoint: EntityTypeName,
    pub action: EntityTypeName,
}

pub(super) static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let name = |text: &str| text.parse().expect("the name of a type");
    Vocabulary {
        run: name("Run"),
        program: name("Program"),
        list: name("List"),
        domain: name("Domain"),
        network: name("Network"),
        endpoint: name("Endpoint"),
        action: name("Action"),
    }
});

/// Stands before the id of a list or a network in the scope of a policy that forbids. What is forbidden is forbidden by
/// whichever of its names and addresses it is reached, as with a deny rule: it is another group than the one that permits.
/// No list and no network has such an id of its own.
pub(super) const REACHED_BY: &str = "reached by ";

/// The policy with the wider group in its scope, where it forbids a list or a network.
fn widened(policy: &Policy) -> Option<Policy> {
    let (ResourceConstraint::In(group) | ResourceConstraint::IsIn(_, group)) = policy.resource_constraint()
    else {
        return None;
    };
    let words = &*VOCABULARY;
    let is_wide = *group.type_name() == words.list || *group.type_name() == words.network;
    if policy.effect() != Effect::Forbid || !is_wide {
        return None;
    }
    let mut json = policy.to_json().ok()?;
    let resource = json.get_mut("resource")?;
    // `resource in G` and `resource is Endpoint in G` have it in places of their own.
    let entity = match resource.get("in") {
        Some(_) => resource.get_mut("in")?.get_mut("entity")?,
        None => resource.get_mut("entity")?,
    };
    entity["id"] = format!("{REACHED_BY}{}", group.id().unescaped()).into();
    Policy::from_json(Some(policy.id().clone()), json).ok()
}

/// An entity's name in Cedar.
pub(super) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), cedar_policy::EntityId::new(id))
}

/// A policy of a set, as it is told of.
#[derive(Debug)]
pub(super) struct Statement {
    /// Its `@id`, or `policy N`, counted from 1 in its file.
    pub name: Arc<str>,
    pub place: Place,
}

/// Which things a set of policies looks at. What none looks at need not be told to Cedar, and makes no difference
/// between two questions.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Attributes of program, endpoint and context alike: their names are distinct.
    pub attributes: BTreeSet<String>,
    /// Who asks, in any way.
    pub principal: bool,
    /// The endpoint's own name.
    pub endpoint: bool,
    /// Whether runs are named, or compared with.
    pub runs: bool,
    /// Programs that are named.
    pub programs: BTreeSet<String>,
    /// Groups that are forbidden by whichever way they are reached.
    pub reached_by: bool,
    /// Names that are named.
    pub domains: BTreeSet<String>,
    /// Networks that are named, by the texts that name them.
    pub networks: BTreeSet<(Network, String)>,
}

impl Reads {
    pub fn has(&self, attribute: &str) -> bool {
        self.attributes.contains(attribute)
    }

    /// Whether an answer holds for later and for other amounts too.
    pub fn is_lasting(&self) -> bool {
        !self.has("time") && !self.has("bytes")
    }

    fn look(&mut self, policy: &Policy) {
        self.principal |= policy.principal_constraint() != PrincipalConstraint::Any;
        let conditions =
            policy.to_json().ok().and_then(|mut json| json.get_mut("conditions").map(Value::take));
        match conditions {
            Some(conditions) => self.look_at(&conditions),
            None => self.look_at_everything(),
        }
        for literal in policy.entity_literals() {
            let (kind, id) = (literal.type_name(), literal.id().unescaped());
            let words = &*VOCABULARY;
            if *kind == words.domain {
                self.domains.insert(id.to_owned());
            } else if *kind == words.endpoint {
                self.endpoint = true;
            } else if *kind == words.run {
                self.runs = true;
            } else if *kind == words.program {
                self.programs.insert(id.to_owned());
            } else if *kind == words.network
                && let Some(network) = Network::parse(id)
            {
                self.networks.insert((network, id.to_owned()));
            }
        }
    }

    /// Walks the JSON form of a condition: `{".": {"left": .., "attr": ..}}`, `{"has": ..}`, `{"Var": ..}`.
    fn look_at(&mut self, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.look_at(value)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    let attribute =
                        value.get("attr").and_then(Value::as_str).filter(|_| key == "." || key == "has");
                    let is_context =
                        |value: &Value| value.get("Var").and_then(Value::as_str) == Some("context");
                    match attribute {
                        Some(attribute) => {
                            self.attributes.insert(attribute.to_owned());
                            // Else the context is looked at as a whole.
                            if value.get("left").is_some_and(is_context) {
                                continue;
                            }
                        }
                        None if key == "Var" && value == "context" => self.look_at_everything(),
                        None if key == "Var" && value == "principal" => self.principal = true,
                        None => {}
                    }
                    self.look_at(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn look_at_everything(&mut self) {
        self.attributes.extend(["time", "bytes", "run"].map(str::to_owned));
    }
}

/// All policies of a layer.
#[derive(Debug, Default)]
pub(super) struct Statements {
    pub set: PolicySet,
    /// Those that speak of an action: Cedar looks at every policy that it is given.
    by_action: HashMap<&'static str, PolicySet>,
    /// By the index that their ids are.
    pub statements: Vec<Statement>,
    pub reads: Reads,
    pub sets: Sets,
    pub warnings: Vec<Complaint>,
    /// What the stack has to have room for, whatever is done with the set.
    pub depth: Depth,
}

impl Drop for Statements {
    fn drop(&mut self) {
        let (set, by_action) = (std::mem::take(&mut self.set), std::mem::take(&mut self.by_action));
        self.depth.with_stack(|| drop((set, by_action)));
    }
}

impl Statements {
    /// Adds the policies of one file's text. What is wrong is told to the reader. `lists` are the names of lists that
    /// there are.
    pub fn add(&mut self, path: &Arc<str>, text: &str, lists: &BTreeSet<Arc<str>>, reader: &mut Reader) {
        match Depth::of(path, text) {
            Ok(depth) => {
                self.depth = self.depth.max(depth);
                depth.with_stack(|| self.read(path, text, lists, reader));
            }
            Err(wrong) => reader.complain(wrong),
        }
    }

    fn read(&mut self, path: &Arc<str>, text: &str, lists: &BTreeSet<Arc<str>>, reader: &mut Reader) {
        let set: PolicySet = match text.parse() {
            Ok(set) => set,
            Err(errors) => return complain_of_syntax(path, text, &errors, reader),
        };
        if set.num_of_templates() > 0 {
            let place = Place::of_offset(path, text, text.find('?').unwrap_or(0));
            let wrong = Complaint::new(place, "a template decides nothing here");
            return reader.complain(
                wrong.helped("write the principal or resource in the place of ?principal or ?resource"),
            );
        }
        for (index, (policy, offset)) in in_order(&set, text).into_iter().enumerate() {
            let place = Place::of_offset(path, text, offset);
            if self.statements.len() >= CEDAR_POLICIES_MAX {
                let wrong = format!("the policy has more than {CEDAR_POLICIES_MAX} policies in Cedar");
                return reader.complain(Complaint::new(place, wrong).helped("keep hosts in a list"));
            }
            check_literals(policy, (path, text, offset), lists, reader);
            self.warn_of_programs(policy, (path, text, offset));
            self.warn_of_id(policy, &place);
            let number = index + 1;
            let name = policy.annotation("id").map_or_else(|| format!("policy {number}"), str::to_owned);
            self.push(policy, name.into(), place);
        }
        let result = Validator::new(PARSED_SCHEMA.clone()).validate(&set, ValidationMode::Strict);
        for error in result.validation_errors() {
            reader.complain(diagnosed(path, text, error));
        }
        self.warnings.extend(result.validation_warnings().map(|warning| diagnosed(path, text, warning)));
    }

    /// A program is known by its whole path: a part of one is nobody's.
    fn warn_of_programs(&mut self, policy: &Policy, (path, text, start): (&Arc<str>, &str, usize)) {
        for literal in policy.entity_literals() {
            let id = literal.id().unescaped();
            if *literal.type_name() == VOCABULARY.program && !id.starts_with('/') {
                let place = place_of(&literal, policy, (path, text, start));
                let wrong = Complaint::new(place, format!("no program has the path \"{id}\""));
                self.warnings.push(wrong.helped("write the whole path, as in Program::\"/usr/bin/curl\""));
            }
        }
    }

    /// What tells of a decision names the policy by its `@id`.
    fn warn_of_id(&mut self, policy: &Policy, place: &Place) {
        let Some(id) = policy.annotation("id") else { return };
        let is_file = |statement: &&Statement| matches!(statement.place, Place::File { .. });
        let same = self.statements.iter().filter(is_file).find(|other| &*other.name == id);
        if let Some(other) = same {
            let wrong = format!("the policy at {} has the id \"{id}\" too", other.place);
            let warning = Complaint::new(place.clone(), wrong);
            self.warnings.push(warning.helped("give each an @id of its own: what decides is told by it"));
        }
    }

    /// Adds policies of our own making.
    pub fn add_own(&mut self, text: &str, place: &Place) {
        let set: PolicySet = text.parse().expect("what weft writes can be read");
        for (policy, _) in in_order(&set, text) {
            let name = policy.annotation("id").unwrap_or_default();
            self.push(policy, name.into(), place.clone());
        }
    }

    /// Adds policies that come of a person's answers.
    pub fn add_answers(&mut self, place: &Place, text: &str, reader: &mut Reader) {
        let set: PolicySet = match text.parse() {
            Ok(set) => set,
            Err(errors) => {
                let errors: &ParseErrors = &errors;
                return reader.complain(Complaint::new(place.clone(), errors.to_string()));
            }
        };
        if self.statements.len() + set.num_of_policies() > CEDAR_POLICIES_MAX {
            let wrong = format!("with it the policy has more than {CEDAR_POLICIES_MAX} policies in Cedar");
            return reader.complain(Complaint::new(place.clone(), wrong));
        }
        for (policy, _) in in_order(&set, text) {
            let name = policy.annotation("id").unwrap_or_default();
            self.push(policy, name.into(), place.clone());
        }
    }

    fn push(&mut self, policy: &Policy, name: Arc<str>, place: Place) {
        let grouped = self.sets.take(policy);
        let policy = grouped.as_ref().unwrap_or(policy);
        self.reads.look(policy);
        let id = PolicyId::new(self.statements.len().to_string());
        // The id is the next number, and the policy is no template.
        let policy = policy.new_id(id);
        // Of our own policies the deny list is found by every way to it already.
        let wide = widened(&policy).filter(|_| matches!(place, Place::File { .. }));
        self.reads.reached_by |= wide.is_some();
        let policy = wide.unwrap_or(policy);
        for action in Kind::ALL.map(Kind::action).into_iter().collect::<BTreeSet<_>>() {
            if speaks_of(&policy, action) {
                let of_action = self.by_action.entry(action).or_default();
                of_action.add(policy.clone()).expect("an id that nobody has");
            }
        }
        self.set.add(policy).expect("an id that nobody has");
        self.statements.push(Statement { name, place });
    }

    /// The policies that may decide such a question.
    pub fn speaking_of(&self, kind: Kind) -> &PolicySet {
        self.by_action.get(kind.action()).unwrap_or(&self.set)
    }
}

/// Whether a policy's scope has this action in it. The schema's actions are in no groups.
fn speaks_of(policy: &Policy, action: &str) -> bool {
    let is_it = |uid: &EntityUid| uid.id().unescaped() == action;
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(one) => is_it(&one),
        ActionConstraint::In(several) => several.iter().any(is_it),
    }
}

/// Policies in the order of the text, each with the byte where it starts.
fn in_order<'a>(set: &'a PolicySet, text: &str) -> Vec<(&'a Policy, usize)> {
    // The parser names them policy0, policy1 and so on.
    let number = |policy: &&Policy| {
        let id: &str = policy.id().as_ref();
        id.trim_start_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap_or(usize::MAX)
    };
    let mut policies: Vec<&Policy> = set.policies().collect();
    policies.sort_by_key(number);
    let mut end = 0;
    let place = |policy| {
        let own = Policy::to_cedar(policy).unwrap_or_default();
        let start = text[end..].find(&own).map_or(end, |at| end + at);
        end = start + own.len();
        (policy, start)
    };
    policies.into_iter().map(place).collect()
}

/// Whether a text can be read as policies at all.
pub(super) fn check_syntax(path: &Arc<str>, text: &str, reader: &mut Reader) {
    if let Err(errors) = text.parse::<PolicySet>() {
        complain_of_syntax(path, text, &errors, reader);
    }
}

fn complain_of_syntax(path: &Arc<str>, text: &str, errors: &ParseErrors, reader: &mut Reader) {
    for error in errors.iter() {
        reader.complain(diagnosed(path, text, error));
    }
}

/// What Cedar says of a text, with the place that it points at.
fn diagnosed(path: &Arc<str>, text: &str, error: &(impl Diagnostic + ?Sized)) -> Complaint {
    let label = error.labels().and_then(|mut labels| labels.next());
    let offset = label.as_ref().map_or(0, miette::LabeledSpan::offset);
    let mut message = error.to_string();
    // It begins with the number that the parser gave the policy; the place says it better.
    if let Some((start, rest)) = message.split_once(", ").or_else(|| message.split_once(": "))
        && start.starts_with("for policy `")
    {
        message = rest.to_owned();
    }
    if let Some(label) = label.as_ref().and_then(|label| label.label()) {
        message = format!("{message}: {label}");
    }
    let complaint = Complaint::new(Place::of_offset(path, text, offset), message);
    match error.help() {
        Some(help) => complaint.helped(help.to_string()),
        None => complaint,
    }
}

/// What a schema cannot say: that names are written in the way in which they are compared, and lists exist. A policy that
/// forbids something by a name that nothing has would forbid nothing.
fn check_literals(
    policy: &Policy,
    (path, text, start): (&Arc<str>, &str, usize),
    lists: &BTreeSet<Arc<str>>,
    reader: &mut Reader,
) {
    let words = &*VOCABULARY;
    for literal in policy.entity_literals() {
        let (kind, id) = (literal.type_name(), literal.id().unescaped());
        let wrong = if *kind == words.list && !lists.contains(id) {
            let known: Vec<&str> = lists.iter().map(|list| &**list).collect();
            Some((
                format!("there is no list \"{id}\""),
                match known.is_empty() {
                    true => format!("name its file: --list {id}=FILE"),
                    false => format!("name its file: --list {id}=FILE; there are: {}", known.join(", ")),
                },
            ))
        } else if *kind == words.domain {
            domain_complaint(id)
        } else if *kind == words.network && Network::parse(id).is_none() {
            Some((
                format!("\"{id}\" is no network"),
                "write it as in \"10.0.0.0/8\", \"fd00::/8\" or \"192.0.2.1\"".into(),
            ))
        } else if *kind == words.endpoint {
            super::query::endpoint_complaint(id)
        } else {
            None
        };
        if let Some((message, help)) = wrong {
            let place = place_of(&literal, policy, (path, text, start));
            reader.complain(Complaint::new(place, message).helped(help));
        }
    }
}

/// Where a policy that starts at byte `start` of a text names something.
fn place_of(literal: &EntityUid, policy: &Policy, (path, text, start): (&Arc<str>, &str, usize)) -> Place {
    let own = Policy::to_cedar(policy).unwrap_or_default();
    let at = own.find(&literal.to_string()).unwrap_or(0);
    Place::of_offset(path, text, start + at)
}

fn domain_complaint(id: &str) -> Option<(String, String)> {
    if let Some(name) = id.strip_prefix("*.") {
        let help = format!("Domain::\"{name}\" is that name and every name below it");
        return Some((format!("\"{id}\" is no name"), help));
    }
    match DomainName::parse(id) {
        Ok(name) if name.as_str() == id => None,
        Ok(name) => Some((format!("no name is compared as \"{id}\""), format!("write \"{name}\""))),
        Err(error) => Some((format!("\"{id}\" is no name"), format!("expected {}", error.expected))),
    }
}
