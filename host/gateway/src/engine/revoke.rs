//! The policy becomes another while the command runs.

use super::asked::Asked;
use super::cx::Cx;
use super::gate::Way;
use super::turn::Engine;
use crate::options::OnRevoke;
use axiom::Proposal;
use axiom::policy::Policy;
use std::net::SocketAddr;
use std::path::Path;

impl Engine {
    /// Reads the policy again. One that does not hold allows nothing, until it does.
    pub(super) fn reload(&mut self) {
        let Some(watch) = &self.watch else { return };
        let name = self.source.name();
        let read = match watch.guarded() {
            Ok(guarded) => self.source.read_guarded(guarded),
            Err(path) => {
                let path = path.to_owned();
                return self.leave(&path);
            }
        };
        match read {
            Ok(policy) if self.cx.authority.decides_by(&policy) => {}
            Ok(policy) => {
                let closed = self.revoke(&policy);
                let (rules, cedar) = policy.counts();
                self.cx.resolver.set_policy(policy.clone());
                self.cx.authority.change_policy(policy, name.clone(), closed, self.cx.now);
                self.cx.reporter.say(&format!(
                    "weft: the policy is now {name}: {rules} rules, {cedar} policies in Cedar; connections closed: {closed}"
                ));
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
        let proposal = match (&asked.way, address) {
            (Way::Name(..), Some(remote)) => &Proposal { remote: Some(remote), ..asked.proposal.clone() },
            _ => &asked.proposal,
        };
        self.authority.would_allow(policy, proposal)
    }
}
