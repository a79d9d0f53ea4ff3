//! weft run: namespaces, verdicts, and the host's sockets.
