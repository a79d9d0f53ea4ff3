//! What each socket option does, seen on the wire; what is not copied; and what is told where something runs out.

mod bounds;
mod watch;
mod wire;
mod zero_copy;
