//! The policy becomes another while the command runs.

use super::asked::Asked;
use super::cx::Cx;
use super::gate::Way;
use super::turn::Engine;
use crate::options::OnRevoke;
use axiom::policy::{DecidingRule, Place, Policy};
use std::net::SocketAddr;
use std::path::Path;

impl Engine {
    /// Reads the policy again. One that does not hold allows nothing, until it does.
    pub(super) fn reload(&mut self) {
        let Some(watch) = &self.watch else { return };
        if let Err(kept) = watch.guarded() {
            let path = kept.path.clone();
            return self.leave(&path);
        }
        let name = self.source.name();
        if let Some((rules, cedar, closed)) = self.replace_policy(name.clone()) {
            self.cx.reporter.say(&format!(
                "weft: the policy is now {name}: {rules} rules, {cedar} policies in Cedar; connections closed: {closed}"
            ));
        }
    }

    /// An answer has become part of the policy.
    pub(super) fn take_answer_in(&mut self, answer: &'static str, rule: &str) {
        let source = DecidingRule { text: rule.into(), place: Place::Answer(answer) }.to_string();
        if let Some((.., closed @ 1..)) = self.replace_policy(source) {
            self.cx.reporter.say(&format!("weft: connections closed by that answer: {closed}"));
        }
    }

    /// Decides by what the sources say now, because of `why`. How many rules and policies in Cedar that are, and how many
    /// connections were closed by it; `None` where nothing has changed, or where they do not hold.
    fn replace_policy(&mut self, why: String) -> Option<(usize, usize, u64)> {
        let name = self.source.name();
        match self.source.read_again(self.watch.as_ref()) {
            Ok(policy) if self.cx.authority.decides_by(&policy) => None,
            Ok(policy) => {
                let closed = self.revoke(&policy);
                let (rules, cedar) = policy.counts();
                self.cx.resolver.set_policy(policy.clone());
                self.cx.authority.change_policy(policy, why, closed, self.cx.now);
                Some((rules, cedar, closed))
            }
            Err(error) => {
                let reason = error.to_string();
                // What does not hold allows nothing, what is open included.
                let closed = Policy::of_rules(&[], &[]).map_or(0, |nothing| self.revoke(&nothing));
                self.cx.authority.shut(&name, &reason, closed, self.cx.now);
                self.cx.reporter.say(&format!(
                    "weft: {reason}\nweft: {name} does not hold, so nothing is allowed until it does; \
                     connections closed: {closed}"
                ));
                None
            }
        }
    }

    /// Something has changed beside a file of the policy that the command may write: what was read at the start holds.
    fn leave(&mut self, path: &Path) {
        if self.source.read().0.is_ok_and(|policy| self.cx.authority.decides_by(&policy)) {
            return;
        }
        self.cx.reporter.say(&format!(
            "weft: the policy has changed, which does not count: the command may write {}; what lies in a directory \
             that --read-only names may be changed while it runs",
            path.display()
        ));
    }

    /// Closes what a policy would not allow, unless that is to be left; how many.
    fn revoke(&mut self, policy: &Policy) -> u64 {
        if self.on_revoke == OnRevoke::Leave {
            return 0;
        }
        let cx = &mut self.cx;
        self.tcp.revoke(cx, policy)
            + self.udp.revoke(cx, policy)
            + self.echo.revoke(cx, policy)
            + self.published.revoke(cx, policy)
    }
}

impl Cx {
    /// Whether a policy would allow what was asked for, to the address that it goes to.
    pub(super) fn is_allowed_by(&self, policy: &Policy, asked: &Asked, address: Option<SocketAddr>) -> bool {
        let there = address.map(|remote| asked.leading_to(remote.ip()));
        if let (Way::Host(_), Some(there)) = (&asked.way, &there)
            && self.authority.denying(Some(policy), there, self.now).is_some()
        {
            return false;
        }
        let proposal = match (&asked.way, &there) {
            (Way::Name(..), Some(there)) => there,
            _ => &asked.proposal,
        };
        // What was allowed once was so without a rule.
        self.authority.would_allow(policy, proposal)
            || asked.consent.is_once && self.authority.would_be_unruled(policy, proposal)
    }
}
