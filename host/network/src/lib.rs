//! The Network seam: connect, listen, bind_udp, resolve.
#![forbid(unsafe_code)]
