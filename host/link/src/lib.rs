//! Devices of Linux: TAP, packet socket, pcap.
