//! Programs that wait in a call until it was looked at who they are.

use super::cx::Cx;
use crate::sandbox::{Call, Deed};

impl Cx {
    /// Looks who calls, and lets it go on. Also where nobody asks: a policy that asks may come before the next packet.
    pub fn handle_call(&mut self, Call { thread, deed, answer }: Call) {
        let by = match deed {
            Deed::Disconnects(_) => None,
            Deed::Connects(_) | Deed::Makes(_) => {
                thread.and_then(|thread| self.search(|processes| processes.find_thread(thread)))
            }
        };
        if let Some(callers) = self.processes.callers() {
            match deed {
                Deed::Connects(inode) => callers.handle_connect(inode, by),
                Deed::Disconnects(inode) => callers.handle_disconnect(inode),
                Deed::Makes(inode) => callers.handle_make(inode, by),
            }
        }
        answer.allow();
    }
}
