//! Programs that wait in a call until it was looked at who they are.

use super::cx::Cx;
use super::listeners::ListenQuestion;
use crate::sandbox::{Call, Deed};

impl Cx {
    /// Looks who calls, and lets it go on, but where it may not listen. Also where nobody asks: a policy that asks may come
    /// before the next packet.
    pub fn handle_call(&mut self, Call { thread, deed, answer }: Call) {
        let by = match deed {
            Deed::Listens(listening) => {
                return self.handle_listen(ListenQuestion { thread, listening, answer });
            }
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
                Deed::Listens(_) => {}
            }
        }
        answer.allow();
    }

    /// Says once that calls were not heard, for want of a descriptor for the answer. They fail.
    pub fn tell_of_loss(&mut self) {
        if !self.has_told_of_loss {
            self.has_told_of_loss = true;
            self.reporter.say(
                "weft: no descriptor is left to hear who calls: such calls fail; raise `ulimit -Hn` before the run",
            );
        }
    }
}
