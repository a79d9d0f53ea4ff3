//! What a decision costs: for the first time, remembered, and written down.

use super::{Bench, Layout, Measure, Table};
use crate::candidates::Candidate;
use crate::goals::{Better, Goal};
use crate::statistics::{median, percentile};
use axiom::domain::DomainName;
use axiom::policy::{Policy, PolicyBuilder};
use axiom::rules::Protocol;
use axiom::{Axiom, Context, Moment, Proposal, Verdict};
use ledger::{Log, LogConfig, Position, Program, Written};
use std::hint::black_box;
use std::time::Instant;

/// Hosts of the short and of the long list.
const HOSTS: [usize; 2] = [10, 10_000];
/// Different questions that are each asked for the first time, at each length of the list.
const QUESTIONS: usize = 20_000;
/// Questions that are asked again and again.
const REMEMBERED: usize = 4_096;
/// How often all of them are asked, one by one with a clock around each, and together.
const PASSES: usize = 50;

const fn table(title: &'static str, unit: &'static str, better: Better, goals: &'static [Goal]) -> Table {
    Table { title, unit, better, over: None, goals }
}

pub const POLICY: Measure = Measure {
    name: "policy",
    about: "decisions on one core, in this process. A question names one of the list's hosts (three of four) or one that no \
            rule allows, by one of four programs. A figure of one decision has the clock's own cost in it; the program \
            that asks for it is not looked up here.",
    tables: &[
        table("first decision, list of 10, median", "µs", Better::Lower, &[]),
        table("first decision, list of 10, p99", "µs", Better::Lower, &[]),
        table("first decision, list of 10,000, median", "µs", Better::Lower, &[]),
        table("first decision, list of 10,000, p99", "µs", Better::Lower, &[Goal::Under(50.0)]),
        table("first decision, list of 10,000 over 10, medians", "x", Better::Lower, &[Goal::Under(1.25)]),
        table("decisions for the first time, list of 10,000", "1/s", Better::Higher, &[]),
        table("remembered decision, p99", "µs", Better::Lower, &[Goal::Under(1.0)]),
        table("remembered decisions", "1/s", Better::Higher, &[Goal::AtLeast(200_000.0)]),
        table("remembered, committed and given to the ledger's writer", "1/s", Better::Higher, &[]),
    ],
    candidates: &[Candidate::PolicyRules, Candidate::PolicyCedar],
    rounds_factor: 1,
    sandboxed: false,
    layout: Layout::Tables,
    once,
};

/// Who may what, as a policy of several parts has it.
const CEDAR: &str = r#"
permit (principal, action in [Action::"connect", Action::"resolve"], resource in List::"hosts");
permit (principal in Program::"/usr/bin/npm", action == Action::"connect", resource in Domain::"npm.example")
when { resource.port == 443 };
forbid (principal, action, resource in Network::"169.254.0.0/16");
forbid (principal == Program::"/usr/bin/nc", action, resource) unless { resource.protocol == "tcp" };
"#;

fn once(_: &Bench, candidate: Candidate, figures: &mut Vec<f64>) -> Result<(), String> {
    let mut medians = Vec::new();
    let mut rate = 0.0;
    for hosts in HOSTS {
        let policy = policy(candidate, hosts)?;
        let questions: Vec<Proposal> =
            (0..QUESTIONS).map(|index| question(index, hosts)).collect::<Result<_, _>>()?;
        let began = Instant::now();
        let costs: Vec<f64> = questions
            .iter()
            .map(|question| timed_us(|| policy.decide(question, Context::default())))
            .collect();
        rate = QUESTIONS as f64 / began.elapsed().as_secs_f64();
        let middle = median(&costs).ok_or("no decision")?;
        figures.extend([middle, percentile(&costs, 99.0).ok_or("no decision")?]);
        medians.push(middle);
    }
    figures.push(medians[1] / medians[0]);
    figures.push(rate);
    remembered(policy(candidate, HOSTS[1])?, figures)
}

fn remembered(policy: Policy, figures: &mut Vec<f64>) -> Result<(), String> {
    let mut axiom = Axiom::new(policy, Log::start(Position::default(), LogConfig::default()));
    let questions: Vec<Proposal> =
        (0..REMEMBERED).map(|index| question(index, HOSTS[1])).collect::<Result<_, _>>()?;
    let moment = Moment { now: time::Instant::ZERO, time_ns: 0 };
    let mut costs = Vec::new();
    for pass in 0..PASSES {
        let asked = questions.iter().map(|question| timed_us(|| axiom.decide(question, moment)));
        // The first pass is what is remembered by all others.
        costs.extend(asked.filter(|_| pass > 0));
    }
    figures.push(percentile(&costs, 99.0).ok_or("no decision")?);
    let began = Instant::now();
    for question in questions.iter().cycle().take(REMEMBERED * PASSES) {
        black_box(axiom.decide(question, moment));
    }
    figures.push((REMEMBERED * PASSES) as f64 / began.elapsed().as_secs_f64());
    let allowed: Vec<&Proposal> =
        questions.iter().filter(|question| axiom.decide(question, moment).allowed).collect();
    let began = Instant::now();
    for question in allowed.iter().cycle().take(REMEMBERED * PASSES) {
        if let Verdict::Rejected(rejected) = axiom.submit(question, moment) {
            return Err(rejected.reason);
        }
        // The writer is a thread of its own: here it is done at once.
        let log = axiom.log_mut();
        while let Some(batch) = log.poll_write(moment.now) {
            let next = batch.first() + batch.count();
            log.handle_written(Written { next, checkpoint: String::new() }, moment.now);
        }
    }
    figures.push((REMEMBERED * PASSES) as f64 / began.elapsed().as_secs_f64());
    Ok(())
}

fn timed_us<T>(task: impl FnOnce() -> T) -> f64 {
    let began = Instant::now();
    black_box(task());
    began.elapsed().as_secs_f64() * 1e6
}

fn policy(candidate: Candidate, hosts: usize) -> Result<Policy, String> {
    let list: String = (0..hosts).map(|index| format!("{}:443\n", host(index))).collect();
    let mut load = |path: &str| match path {
        "hosts.list" => Ok(list.clone().into_bytes()),
        _ => Ok(CEDAR.as_bytes().to_vec()),
    };
    let builder = match candidate {
        Candidate::PolicyCedar => {
            PolicyBuilder::default().list("hosts", "hosts.list", &mut load).file("run.cedar", &mut load)
        }
        _ => PolicyBuilder::default().file("hosts.list", &mut load),
    };
    builder.build().map_err(|error| error.to_string())
}

fn host(index: usize) -> String {
    format!("host-{index}.region-{}.cloud.example", index % 17)
}

fn question(index: usize, hosts: usize) -> Result<Proposal, String> {
    let name = if index % 4 == 3 { format!("other-{index}.example") } else { host(index % hosts) };
    let name = DomainName::parse(&name).map_err(|error| error.to_string())?;
    let programs = ["/usr/bin/curl", "/usr/bin/npm", "/usr/bin/nc", "/opt/build/agent"];
    let program = Program {
        id: 4_711,
        executable: programs[index / 4 % programs.len()].to_owned(),
        command_line: vec!["--fetch".to_owned(), "https://host.example/".to_owned()],
        user: Some(1_000),
        ..Program::default()
    };
    Ok(Proposal { program: Some(program.into()), ..Proposal::connect(Protocol::Tcp, name, 443) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_of_four_questions_are_allowed_by_both_policies() {
        for candidate in POLICY.candidates {
            for hosts in HOSTS {
                let policy = policy(*candidate, hosts).expect("a policy");
                let allowed = (0..400).filter(|index| {
                    let question = question(*index, hosts).expect("a question");
                    policy.decide(&question, Context::default()).allowed
                });
                assert_eq!(allowed.count(), 300, "{candidate:?}");
            }
        }
    }
}
