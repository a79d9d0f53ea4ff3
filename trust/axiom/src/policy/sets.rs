//! Endpoints that a policy names together: `resource in [Endpoint::"a", Endpoint::"b"]`, found by hash.
//!
//! Cedar would make the whole set anew for each decision. An endpoint is in no other endpoint, so that to be in one of them
//! is to be one of them: the set becomes a group, and a decision costs the same however many there are.

use super::cedar::{VOCABULARY, uid};
use crate::proposal::Proposal;
use cedar_policy::{EntityUid, Policy};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// Stands before the number of a set in the id of its group. No list has such a name.
pub(super) const ONE_OF: &str = "one of ";

/// The sets of a layer's policies.
#[derive(Debug, Default)]
pub(super) struct Sets {
    groups: HashMap<String, Vec<EntityUid>>,
    count: usize,
}

impl Sets {
    /// The policy with groups in the place of its sets of endpoints, where it has any.
    pub fn take(&mut self, policy: &Policy) -> Option<Policy> {
        let is_endpoint = |literal: &EntityUid| *literal.type_name() == VOCABULARY.endpoint;
        if policy.entity_literals().iter().filter(|literal| is_endpoint(literal)).count() < 2 {
            return None;
        }
        let (mut json, before) = (policy.to_json().ok()?, self.count);
        self.replace(json.get_mut("conditions")?);
        (self.count > before).then(|| Policy::from_json(Some(policy.id().clone()), json).ok()).flatten()
    }

    /// Walks the JSON form of a condition: `{"in": {"left": {"Var": "resource"}, "right": {"Set": [..]}}}`.
    fn replace(&mut self, value: &mut Value) {
        match value {
            Value::Array(values) => values.iter_mut().for_each(|value| self.replace(value)),
            Value::Object(fields) => {
                for (key, value) in fields.iter_mut().filter(|(key, _)| *key != "Value") {
                    let is_resource = |value: &Value| value.get("Var").is_some_and(|name| name == "resource");
                    let is_in = key == "in" && value.get("left").is_some_and(is_resource);
                    match value.get_mut("right").filter(|_| is_in) {
                        Some(right) => self.replace_set(right),
                        None => self.replace(value),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn replace_set(&mut self, right: &mut Value) {
        let endpoint = |value: &Value| {
            let entity = value.get("Value")?.get("__entity")?;
            let is_endpoint = entity.get("type")?.as_str()? == "Endpoint";
            is_endpoint.then_some(entity.get("id")?.as_str()?.to_owned())
        };
        let set = right.get("Set").and_then(Value::as_array);
        let Some(ids) = set.and_then(|set| set.iter().map(endpoint).collect::<Option<HashSet<String>>>())
        else {
            return;
        };
        let name = format!("{ONE_OF}{}", self.count);
        self.count += 1;
        let group = uid(&VOCABULARY.list, &name);
        for id in ids {
            self.groups.entry(id).or_default().push(group.clone());
        }
        *right = json!({ "Value": { "__entity": { "type": "List", "id": name } } });
    }

    /// Adds the groups that the proposal's endpoint is in.
    pub fn find(&self, proposal: &Proposal, found: &mut HashSet<EntityUid>) {
        if !self.groups.is_empty() {
            found.extend(self.groups.get(&proposal.endpoint().to_string()).into_iter().flatten().cloned());
        }
    }
}
