//! Real programs under weft run against real servers.
