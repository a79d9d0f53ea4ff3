//! Answers that were given lately. The same question under the same policy has the same answer, so it is not asked twice.
//!
//! A question is remembered as the bytes of everything that the policy looks at, and is found only where all of them are
//! the same. Where a policy looks at the time or at carried bytes, nothing is remembered.
//!
//! Two generations bound it: when the younger is full the older is forgotten, so that those go first that have not been
//! asked for longest.

use crate::policy::{Decision, Policy};
use crate::proposal::{Context, Proposal};
use std::collections::HashMap;
use std::mem;
use std::net::IpAddr;

/// The most answers of one generation.
pub const GENERATION_ANSWERS_MAX: usize = 16_384;
/// The most bytes that the questions of one generation have together.
pub const GENERATION_BYTES_MAX: usize = 4 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    young: HashMap<Box<[u8]>, Decision>,
    old: HashMap<Box<[u8]>, Decision>,
    young_bytes: usize,
    /// The question that is being asked, kept for its memory.
    question: Vec<u8>,
    looks_at_principal: bool,
    looks_at_run: bool,
    is_lasting: bool,
}

impl Cache {
    /// An empty one for the answers of this policy alone.
    pub fn of(policy: &Policy) -> Self {
        Self {
            looks_at_principal: policy.looks_at_principal(),
            looks_at_run: policy.looks_at_run(),
            is_lasting: policy.is_lasting(),
            ..Self::default()
        }
    }

    /// The policy's answer, from memory where it is there.
    pub fn decide(&mut self, policy: &Policy, proposal: &Proposal, context: Context) -> Decision {
        if !self.is_lasting {
            return policy.decide(proposal, context);
        }
        write_question(&mut self.question, proposal, self.looks_at_principal, self.looks_at_run);
        if let Some(decision) = self.young.get(&self.question[..]) {
            return decision.clone();
        }
        let decision = match self.old.get(&self.question[..]) {
            Some(decision) => decision.clone(),
            None => policy.decide(proposal, context),
        };
        let full = self.young.len() >= GENERATION_ANSWERS_MAX
            || self.young_bytes + self.question.len() > GENERATION_BYTES_MAX;
        if full {
            self.old = mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += self.question.len();
        self.young.insert(self.question.as_slice().into(), decision.clone());
        decision
    }

    /// How many answers are remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// Everything of a proposal that may make a difference, as bytes. Each part has a length or a mark before it, so that two
/// questions that differ never have the same bytes.
pub(crate) fn write_question(bytes: &mut Vec<u8>, proposal: &Proposal, principal: bool, with_run: bool) {
    let Proposal { kind, protocol, name, nameless, socket, port, program, run, .. } = proposal;
    bytes.clear();
    bytes.push(*kind as u8);
    bytes.push(protocol.map_or(0, |protocol| protocol as u8 + 1));
    bytes.push(u8::from(port.is_some()));
    bytes.extend_from_slice(&port.unwrap_or(0).to_le_bytes());
    match proposal.address() {
        None => bytes.push(0),
        Some(IpAddr::V4(address)) => {
            bytes.push(4);
            bytes.extend_from_slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            bytes.push(6);
            bytes.extend_from_slice(&address.octets());
        }
    }
    put(bytes, name.as_ref().map(|name| name.as_str()));
    put(bytes, nameless.as_deref());
    put(bytes, socket.as_deref());
    if with_run {
        bytes.extend_from_slice(&run.0);
    }
    let Some(program) = program.as_ref().filter(|_| principal) else {
        return bytes.push(0);
    };
    bytes.push(1);
    put(bytes, Some(&program.executable));
    put(bytes, program.container.as_deref());
    bytes.push(u8::from(program.user.is_some()));
    bytes.extend_from_slice(&program.user.unwrap_or(0).to_le_bytes());
    bytes.push(u8::from(program.digest.is_some()));
    bytes.extend_from_slice(&program.digest.map_or([0; 32], |digest| digest.0));
    bytes.extend_from_slice(&program.command_line.len().to_le_bytes());
    program.command_line.iter().for_each(|word| put(bytes, Some(word)));
    program.parents.iter().for_each(|parent| put(bytes, Some(&parent.executable)));
}

/// A text behind its length; nothing is not the same as an empty text.
fn put(bytes: &mut Vec<u8>, text: Option<&str>) {
    let length = text.map_or(u64::MAX, |text| text.len() as u64);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{PolicyBuilder, Question};
    use crate::rules::Protocol;

    fn cedar(text: &str) -> Policy {
        let mut load = |_: &str| Ok(text.as_bytes().to_vec());
        PolicyBuilder::default().file("p.cedar", &mut load).build().expect("a policy")
    }

    fn ask(cache: &mut Cache, policy: &Policy, question: &str) -> bool {
        let question = Question::parse(question).expect("a question");
        cache.decide(policy, &question.proposal, question.context).allowed
    }

    #[test]
    fn the_same_question_is_remembered_and_another_is_not_taken_for_it() {
        let policy = Policy::of_rules(&["a.example:443".into(), "10.0.0.0/8".into()], &[]).expect("a policy");
        let mut cache = Cache::of(&policy);
        for _ in 0..2 {
            assert!(ask(&mut cache, &policy, "connect a.example:443"));
            assert!(ask(&mut cache, &policy, "connect a.example:443 program=/bin/a"));
            assert!(!ask(&mut cache, &policy, "connect a.example:444"));
            assert!(!ask(&mut cache, &policy, "connect b.example:443"));
            assert!(ask(&mut cache, &policy, "connect 10.0.0.1:443"));
            assert!(ask(&mut cache, &policy, "resolve a.example"));
        }
        assert_eq!(cache.len(), 5, "who asks makes no difference here");
    }

    #[test]
    fn all_that_a_policy_looks_at_makes_a_difference() {
        let policy = cedar(
            "permit (principal, action, resource) when { principal is Program && principal has user && \
             principal.user == 1 && principal.command_line == \"a b\" && principal in Program::\"/p\" } ;\n\
             permit (principal in Run::\"00000000000000000000000000000007\", action, resource);",
        );
        let mut cache = Cache::of(&policy);
        for _ in 0..2 {
            for (question, allowed) in [
                ("connect a.example:1 program=/x user=1 command=\"a b\" parents=/p", true),
                ("connect a.example:1 program=/x user=2 command=\"a b\" parents=/p", false),
                ("connect a.example:1 program=/x user=1 command=ab parents=/p", false),
                ("connect a.example:1 program=/x user=1 command=\"a b\" parents=/q", false),
                ("connect a.example:1 program=/x user=1 command=\"a b\"", false),
                ("connect a.example:1", false),
                ("connect a.example:1 run=00000000000000000000000000000007", true),
            ] {
                assert_eq!(ask(&mut cache, &policy, question), allowed, "{question}");
            }
        }
        assert_eq!(cache.len(), 7);
    }

    #[test]
    fn what_depends_on_the_time_is_not_remembered() {
        let policy = cedar("permit (principal, action, resource) when { context.bytes < 10 };");
        let mut cache = Cache::of(&policy);
        assert!(ask(&mut cache, &policy, "connect a.example:1 bytes=9"));
        assert!(!ask(&mut cache, &policy, "connect a.example:1 bytes=10"));
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn the_longest_unasked_go_first() {
        let policy = Policy::of_rules(&["10.0.0.0/8".into()], &[]).expect("a policy");
        let mut cache = Cache::of(&policy);
        let mut ask = |index: u32| {
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + index);
            let proposal = Proposal::connect(Protocol::Tcp, IpAddr::V4(address), 1);
            let decision = cache.decide(&policy, &proposal, Context::default());
            assert!(decision.allowed);
            (cache.young.len(), cache.old.len())
        };
        let generation = u32::try_from(GENERATION_ANSWERS_MAX).expect("it fits");
        for index in 0..generation {
            ask(index);
        }
        assert_eq!(ask(generation), (1, GENERATION_ANSWERS_MAX));
        assert_eq!(ask(0), (2, GENERATION_ANSWERS_MAX), "one of the older is taken over");
        for index in 1..=generation - 2 {
            ask(index);
        }
        assert_eq!(ask(generation + 1), (1, GENERATION_ANSWERS_MAX), "the older are forgotten");
    }

    #[test]
    fn long_questions_are_bounded_by_their_bytes() {
        let policy = cedar("permit (principal == Program::\"/p\", action, resource);");
        let mut cache = Cache::of(&policy);
        for index in 0..600 {
            let program = ledger::Program {
                command_line: vec!["x".repeat(8_000), index.to_string()],
                ..Default::default()
            };
            let proposal = Proposal {
                program: Some(program.into()),
                ..Proposal::connect(Protocol::Tcp, IpAddr::from([10, 0, 0, 1]), 1)
            };
            cache.decide(&policy, &proposal, Context::default());
            assert!(cache.young_bytes <= GENERATION_BYTES_MAX);
        }
        assert!(cache.young.len() < 600 && cache.old.len() < 600 && !cache.old.is_empty());
    }
}
