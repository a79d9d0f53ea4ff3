//! The policy becomes another while the command runs.

use super::asked::Asked;
use super::cx::Cx;
use super::gate::Way;
use super::turn::Engine;
use crate::options::OnRevoke;
use axiom::Proposal;
use axiom::policy::Policy;
use std::net::SocketAddr;

impl Engine {
    /// Reads the policy again. One that does not hold allows nothing, until it does.
    pub(super) fn reload(&mut self) {
        let (read, paths) = self.source.read();
        let name = self.source.name();
        if let Some(watch) = &mut self.watch
            && let Err(error) = watch.extend(&paths)
        {
            self.cx
                .reporter
                .say(&format!("weft: watching {name} failed, so later changes of it are not seen: {error}"));
        }
        match read {
            Ok(policy) if self.cx.authority.decides_by(&policy) => {}
            Ok(policy) => {
                let closed = match self.on_revoke {
                    OnRevoke::Close => self.revoke(&policy),
                    OnRevoke::Leave => 0,
                };
                let (rules, cedar) = policy.counts();
                self.cx.resolver.set_policy(policy.clone());
                self.cx.authority.change_policy(policy, name.clone(), closed, self.cx.now);
                self.cx.reporter.say(&format!(
                    "weft: the policy is now {name}: {rules} rules, {cedar} policies in Cedar; connections closed: {closed}"
                ));
            }
            Err(error) => {
                let reason = error.to_string();
                self.cx.authority.shut(&name, &reason, self.cx.now);
                self.cx.reporter.say(&format!(
                    "weft: {reason}\nweft: {name} does not hold, so nothing new is allowed until it does"
                ));
            }
        }
    }

    /// Closes what a policy would not allow; how many.
    fn revoke(&mut self, policy: &Policy) -> u64 {
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
