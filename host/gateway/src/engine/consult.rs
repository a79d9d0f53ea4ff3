//! A person is asked about what no rule speaks of, where `--ask` says so.

use super::asked::{Asked, Consent, Said};
use super::cx::Cx;
use super::gate::{Denial, Way};
use super::held::{Held, Opening};
use super::inquiry::About;
use crate::report::Process;
use crate::resolver::Wanted;
use axiom::addresses::NotAdmitted;
use axiom::policy::{Decision, UNANSWERED};
use axiom::{Proposal, Rejected};
use std::net::{IpAddr, SocketAddr};

impl Cx {
    /// What the policy says, or a person who has `said` something; `None` where one is asked now, and it comes back as `held`.
    pub fn consult(
        &mut self,
        proposal: &Proposal,
        (process, said): (Option<&Process>, Option<Said>),
        held: impl FnOnce() -> Held,
    ) -> Option<Decision> {
        let consent = Consent { is_once: said == Some(Said::Once), ..Consent::default() };
        let decision = self.decide_with(consent, proposal);
        let Some(inquiries) = self.inquiries.as_mut().filter(|_| decision.is_unruled() && said.is_none())
        else {
            return Some(decision);
        };
        match inquiries.put(proposal, About::Asked, process.cloned(), held()) {
            true => None,
            false => Some(decision),
        }
    }

    /// What the policy says, and where it says nothing, what a person has.
    pub fn decide_with(&mut self, consent: Consent, proposal: &Proposal) -> Decision {
        let decision = self.authority.decide(proposal, self.now);
        match consent.is_once && decision.is_unruled() {
            true => Decision::allowed_once(proposal.endpoint().to_string()),
            false => decision,
        }
    }

    /// Writes a refusal down, with a word about who did not answer where somebody is asked.
    pub fn refuse_decided(&mut self, proposal: &Proposal, decision: &Decision) -> Rejected {
        match self.inquiries.is_some() && decision.is_unruled() {
            true => self.authority.reject(proposal, &format!("{decision}{UNANSWERED}"), self.now),
            false => self.authority.refuse(proposal, decision, self.now),
        }
    }

    /// Whether a connection may go to one of the addresses that it leads to.
    pub fn admit_one(&self, asked: &Asked, address: IpAddr) -> Result<(), NotAdmitted> {
        match asked.way {
            Way::Address(_) => return Ok(()),
            // Whoever is allowed to reach the host needs no rule for its loopback.
            Way::Host(_) => {
                let denial = self.authority.denying(None, &asked.leading_to(address), self.now);
                return denial
                    .map_or(Ok(()), |said| Err(NotAdmitted::Denied { why: said.to_string().into() }));
            }
            Way::Name(..) => {}
        }
        let known = (&*self.gate.pins, &self.gate.own);
        match self.authority.admit(&asked.proposal, address, known, asked.consent.is_once, self.now) {
            Err(NotAdmitted::Class { .. }) if asked.consent.address == Some(address) => Ok(()),
            other => other,
        }
    }

    /// Has a person asked about an address to which a name leads and to which no rule lets it lead. Whether that waits; else
    /// the denial stands.
    pub fn inquire_where_it_leads(&mut self, asked: &Asked, denial: &mut Denial, opening: Opening) -> bool {
        let Some(address) = denial.leads_to.filter(|_| self.inquiries.is_some()) else { return false };
        let remote = Some(SocketAddr::new(address, denial.port));
        let there = Proposal { name: None, remote, ..asked.proposal.clone() };
        let decision = self.authority.decide(&there, self.now);
        if !decision.is_unruled() {
            // That it is what such addresses need is no reason then.
            (denial.reason, denial.hint) = (decision.to_string(), None);
            return false;
        }
        let process = asked.process.clone();
        let about = About::Led { from: asked.proposal.endpoint().to_string(), why: denial.reason.clone() };
        let held = Held::Led(opening, address);
        let is_new = !asked.consent.is_unanswered;
        let inquiries = self.inquiries.as_mut().filter(|_| is_new);
        let waits = inquiries.is_some_and(|inquiries| inquiries.put(&there, about, process, held));
        if !waits {
            denial.reason.push_str(UNANSWERED);
        }
        waits
    }

    /// Whether a question for a name is answered without a verdict: a person is asked when the program connects, and nothing
    /// leaves before.
    pub fn stands_in(
        &mut self,
        wanted: &Wanted,
        proposal: &Proposal,
        (process, said): (Option<&Process>, Option<Said>),
    ) -> bool {
        if self.inquiries.is_none() || said.is_some() {
            return false;
        }
        let is_unruled = self.authority.decide(proposal, self.now).is_unruled();
        let Some(inquiries) = self.inquiries.as_mut().filter(|_| is_unruled) else { return false };
        let stands_in = inquiries.may_note_lookup(proposal) && self.resolver.stand_in(wanted.id);
        if stands_in {
            inquiries.note_lookup(proposal, process.cloned());
        }
        stands_in
    }
}

impl Consent {
    /// Takes in what was said to where a name leads.
    pub fn take(&mut self, address: IpAddr, said: Option<Said>) {
        match said {
            Some(Said::Once) => self.address = Some(address),
            Some(Said::Nothing) => self.is_unanswered = true,
            None => {}
        }
    }
}
