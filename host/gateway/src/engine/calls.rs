//! Programs that wait in a call until it was looked at who they are.

use super::cx::Cx;
use super::listeners::ListenQuestion;
use crate::attribution::Asker;
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
        self.note(deed, by);
        answer.allow();
    }

    /// Somebody called, or asked for a Unix socket, and there was no descriptor for the answer, so that it is a no: the call
    /// fails. Should its socket be used all the same, that is by nobody who is known.
    pub fn handle_lost(&mut self, deed: Option<Deed>) {
        if let Some(deed) = deed {
            self.note(deed, None);
        }
        if !self.has_told_of_loss {
            self.has_told_of_loss = true;
            self.reporter.say(
                "weft: no descriptor is left to hear who calls: such calls fail; raise `ulimit -Hn` before the run",
            );
        }
    }

    fn note(&mut self, deed: Deed, by: Option<Asker>) {
        let Some(callers) = self.processes.callers() else { return };
        match deed {
            Deed::Connects(inode) => callers.handle_connect(inode, by),
            Deed::Disconnects(inode) => callers.handle_disconnect(inode),
            Deed::Makes(inode) => callers.handle_make(inode, by),
            Deed::Listens(_) => {}
        }
    }
}
