//! Ping sockets, which `NETLINK_SOCK_DIAG` does not list: the table of `/proc/PID/net/icmp` and `icmp6`.
//!
//! ```text
//!   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref ...
//!   12: 00000000:0007 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4711 2 ...
//! ```
//!
//! Addresses and ports are hexadecimal; the local port is the identifier of the socket's echo requests.

/// Bytes of a table that are looked at: some 1,500 sockets.
pub(super) const TABLE_BYTES_MAX: u64 = 256 * 1024;

/// The inode of the socket whose requests have `identifier`; `None` where there is none, or more than one, or where the
/// table is cut short, so that there may be more.
#[must_use]
pub fn find_identifier(table: &str, identifier: u16) -> Option<u32> {
    if table.len() as u64 > TABLE_BYTES_MAX || !table.ends_with('\n') {
        return None;
    }
    let mut found = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (_, port) = fields.nth(1)?.rsplit_once(':')?;
        let inode: u32 = fields.nth(7)?.parse().ok()?;
        (u16::from_str_radix(port, 16) == Ok(identifier) && inode != 0).then_some(inode)
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
   12: 00000000:0007 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4711 2 0000000000000000 0
   12: 0F02000A:00AB 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4712 2 0000000000000000 0
   13: 00000000:000C 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 0 2 0000000000000000 0
   14: 00000000:000D 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4713 2 0000000000000000 0
   14: 0F02000A:000D 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4714 2 0000000000000000 0
";

    #[test]
    fn an_identifier_names_a_socket_where_only_one_has_it() {
        assert_eq!(find_identifier(TABLE, 7), Some(4711));
        assert_eq!(find_identifier(TABLE, 0xab), Some(4712));
        assert_eq!(find_identifier(TABLE, 8), None);
        assert_eq!(find_identifier(TABLE, 12), None, "nobody holds inode 0");
        assert_eq!(find_identifier(TABLE, 13), None, "either may be the one");
        assert_eq!(find_identifier(&TABLE[..TABLE.len() - 1], 7), None, "it is cut short");
        assert_eq!(find_identifier(&TABLE.repeat(1_000), 0xff), None, "it is too long");
    }

    proptest! {
        #[test]
        fn no_table_makes_it_panic(table: String, identifier: u16) {
            let _ = find_identifier(&table, identifier);
        }
    }
}
