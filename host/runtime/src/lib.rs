//! The turn loop and async sockets over a stack in this process.
