//! Programs that wait in a call until it was looked at who they are.

use super::Engine;
use crate::sandbox::{Call, Deed};

/// How many batches of frames are looked at before a program makes a socket, at most: more than lie in the device at once.
const BATCHES_MAX: usize = 64;

impl Engine {
    /// Looks who calls, and lets it go on.
    pub(super) fn handle_call(&mut self, Call { thread, deed, answer }: Call) {
        let asks_who = self.cx.asks_who();
        let may_look = asks_who && (deed != Deed::MakesDatagrams || self.catch_up());
        let (cx, thread) = (&mut self.cx, thread.filter(|_| may_look));
        match deed {
            Deed::Connects(inode) => {
                let by = thread.and_then(|thread| cx.search(|processes| processes.find_thread(thread)));
                cx.processes.handle_connect(inode, by);
            }
            Deed::MakesDatagrams => {
                thread.and_then(|thread| cx.search(|processes| processes.handle_maker(thread)));
            }
            Deed::Ended => {
                thread.and_then(|thread| cx.processes.forget_maker(thread));
            }
        }
        answer.allow();
    }

    /// Looks at all that was sent so far; whether that is all. What comes next may be from the socket that is made now.
    fn catch_up(&mut self) -> bool {
        for _ in 0..BATCHES_MAX {
            match self.port.receive(&mut self.cx.stack, self.cx.now) {
                Ok(more) => {
                    self.dispatch();
                    self.dns.turn(&mut self.cx);
                    if !more {
                        return true;
                    }
                }
                // The turn meets it as well, and ends the run.
                Err(_) => return false,
            }
        }
        false
    }
}
