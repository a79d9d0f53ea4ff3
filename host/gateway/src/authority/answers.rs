//! What a person has answered for good: rules from then on, as they will stand in the policy that is learned.

use super::deeds::{Deeds, Effect, Form};
use axiom::Proposal;
use axiom::policy::PolicyBuilder;
use axiom::rules::Rule;

/// How many answers are kept: each may be two policies in Cedar, which are asked for each decision.
pub(crate) const ANSWERS_MAX: usize = 256;

/// What a question is about. What has the same subject is one question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Subject {
    /// As a rule writes it: `tcp://api.example.com:443`, `dns://example.com`.
    rule: String,
    /// The program, where each is told apart.
    program: Option<String>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    form: Form,
    always: Deeds,
    never: Deeds,
    count: usize,
}

impl Subject {
    /// Of what a program asks for; `None` where no rule could speak of it, as of port 0, or in Cedar of a Unix socket.
    pub fn of(proposal: &Proposal, form: Form) -> Option<Self> {
        let rule = match (proposal.protocol, &proposal.socket) {
            (None, Some(_)) if form == Form::Cedar => return None,
            (Some(_), _) | (None, Some(_)) => proposal.endpoint().to_string(),
            (None, None) => format!("dns://{}", proposal.endpoint()),
        };
        rule.parse::<Rule>().ok()?;
        let program = proposal.program.as_ref().filter(|_| form == Form::Cedar);
        Some(Self { rule, program: program.map(|program| program.executable.clone()) })
    }

    /// The rule that would speak of it.
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

impl Answers {
    /// None yet, for a policy of this form.
    pub fn new(form: Form) -> Self {
        Self { form, ..Self::default() }
    }

    /// Takes one in; `false` where there are as many as may be.
    pub fn take(&mut self, proposal: &Proposal, is_allowed: bool) -> bool {
        if self.count >= ANSWERS_MAX {
            return false;
        }
        self.count += 1;
        let deeds = if is_allowed { &mut self.always } else { &mut self.never };
        deeds.answer(proposal, false, is_allowed);
        true
    }

    /// Adds them to a policy.
    pub fn add_to(&self, builder: PolicyBuilder) -> PolicyBuilder {
        if self.count == 0 {
            return builder;
        }
        match self.form {
            Form::List => builder.answers(&rules(&self.always, false), &rules(&self.never, true)),
            Form::Cedar => {
                let (mut always, mut never) = (String::new(), String::new());
                self.always.write_answers(&mut always, Effect::Permit);
                self.never.write_answers(&mut never, Effect::Forbid);
                builder.answers_in_cedar(&always, &never)
            }
        }
    }
}

/// The rules that say so. What allows a connection lets its name be asked for.
fn rules(deeds: &Deeds, has_all_questions: bool) -> Vec<String> {
    let connected = deeds.endpoints.keys().map(|endpoint| endpoint.to_text());
    let connected = connected.chain(deeds.sockets.iter().map(|path| format!("unix:{path}")));
    let asked = |place: &super::deeds::Place| format!("dns://{}", place.to_text());
    match has_all_questions {
        true => connected.chain(deeds.questions.keys().map(asked)).collect(),
        false => connected.chain(deeds.unconnected().map(asked)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axiom::Context;
    use axiom::domain::DomainName;
    use axiom::policy::Policy;
    use axiom::rules::Protocol;
    use ledger::Program;
    use std::net::IpAddr;

    fn by(program: &str, proposal: Proposal) -> Proposal {
        let program = Program { executable: program.into(), ..Program::default() };
        Proposal { program: Some(program.into()), ..proposal }
    }

    fn name(text: &str) -> DomainName {
        text.parse().expect(text)
    }

    fn decide(policy: &Policy, proposal: &Proposal) -> (bool, bool) {
        let decision = policy.decide(proposal, Context::default());
        (decision.allowed, decision.is_unruled())
    }

    #[test]
    fn what_was_answered_is_decided_so_and_nothing_else_is() {
        for form in [Form::List, Form::Cedar] {
            let mut answers = Answers::new(form);
            let web = by("/p", Proposal::connect(Protocol::Tcp, name("a.example"), 443));
            let address = by("/p", Proposal::connect(Protocol::Udp, IpAddr::from([192, 0, 2, 1]), 53));
            let ping = by("/p", Proposal::connect(Protocol::Icmp, name("b.example"), 0));
            let question = by("/p", Proposal::resolve(name("c.example")));
            assert!(answers.take(&web, true) && answers.take(&ping, true) && answers.take(&address, false));
            assert!(answers.take(&question, false));
            let policy = answers.add_to(PolicyBuilder::default()).build().expect("a policy");
            let resolve = |text: &str| by("/p", Proposal::resolve(name(text)));
            for allowed in [&web, &ping, &resolve("a.example"), &resolve("b.example")] {
                assert_eq!(decide(&policy, allowed), (true, false), "{form:?} {}", allowed.endpoint());
            }
            for denied in [&address, &question] {
                assert_eq!(decide(&policy, denied), (false, false), "{form:?} {}", denied.endpoint());
            }
            let other = by("/p", Proposal::connect(Protocol::Tcp, name("a.example"), 80));
            assert_eq!(decide(&policy, &other), (false, true), "{form:?}");
            let stranger = by("/q", Proposal::connect(Protocol::Tcp, name("a.example"), 443));
            assert_eq!(decide(&policy, &stranger).0, form == Form::List, "{form:?}");
        }
    }

    #[test]
    fn an_answer_about_a_unix_socket_is_a_rule_of_a_list_and_none_in_cedar() {
        let mut answers = Answers::new(Form::List);
        let socket = |path: &str| by("/p", Proposal::socket(path));
        assert!(answers.take(&socket("/run/a"), true) && answers.take(&socket("/run/b"), false));
        let policy = answers.add_to(PolicyBuilder::default()).build().expect("a policy");
        let decide = |path| policy.decide_socket(path, Some(&format!("unix:{path}")), false);
        assert!(decide("/run/a").allowed && decide("/run/c").is_unruled());
        assert!(!decide("/run/b").allowed && !decide("/run/b").is_unruled());
        let subject = |path, form| Subject::of(&socket(path), form);
        let rule = subject("/run/a", Form::List).map(|subject| subject.rule().to_owned());
        assert_eq!(rule.as_deref(), Some("unix:/run/a"));
        assert_eq!(subject("/run/a", Form::Cedar), None);
        assert_eq!(subject("/run/a b", Form::List), None, "no rule has a space");
    }

    #[test]
    fn a_subject_is_an_endpoint_or_one_for_each_program() {
        let web = |program| by(program, Proposal::connect(Protocol::Tcp, name("a.example"), 443));
        let of = |program, form| Subject::of(&web(program), form).expect("a subject");
        assert_eq!(of("/p", Form::List), of("/q", Form::List));
        assert_ne!(of("/p", Form::Cedar), of("/q", Form::Cedar));
        assert_eq!(of("/p", Form::List).rule(), "tcp://a.example:443");
        let question = Subject::of(&Proposal::resolve(name("a.example")), Form::List).expect("a subject");
        assert_eq!(question.rule(), "dns://a.example");
        assert_eq!(Subject::of(&Proposal::connect(Protocol::Tcp, name("a.example"), 0), Form::List), None);
    }

    #[test]
    fn answers_are_bounded() {
        let mut answers = Answers::new(Form::Cedar);
        let port = |port| by("/p", Proposal::connect(Protocol::Tcp, name("a.example"), port));
        let taken = (1..1_000).filter(|number| answers.take(&port(*number), true)).count();
        assert_eq!(taken, ANSWERS_MAX);
        assert!(answers.add_to(PolicyBuilder::default()).build().is_ok());
    }
}
