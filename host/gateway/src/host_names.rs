//! What the host's files say of names: its resolvers (resolv.conf(5)) and its own table (hosts(5)).

use axiom::domain::DomainName;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// resolv.conf(5): at most this many resolvers are used.
const RESOLVERS_MAX: usize = 3;

/// The resolvers of a resolv.conf, in order. None named means the one on this host (resolv.conf(5)).
pub fn resolvers(text: &str) -> Vec<SocketAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next().and_then(resolver))?
    });
    let mut found: Vec<_> = named.take(RESOLVERS_MAX).collect();
    if found.is_empty() {
        found.push(SocketAddr::from(([127, 0, 0, 1], 53)));
    }
    found
}

/// An address, of a link-local one with the number of its interface behind `%`.
fn resolver(word: &str) -> Option<SocketAddr> {
    if let Ok(address) = word.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, 53));
    }
    let (address, zone) = word.split_once('%')?;
    let scope = match zone.parse() {
        Ok(number) => number,
        Err(_) => {
            std::fs::read_to_string(format!("/sys/class/net/{zone}/ifindex")).ok()?.trim().parse().ok()?
        }
    };
    Some(SocketAddr::V6(SocketAddrV6::new(address.parse().ok()?, 53, 0, scope)))
}

/// The domains that a resolver's library puts behind short names (resolv.conf(5)): those of `LOCALDOMAIN`, else those of
/// the last line that has some, else that of the host's own name.
pub fn search_list(text: &str, local_domain: Option<&str>, host: &str) -> Vec<DomainName> {
    let mut named = text.lines().filter_map(|line| {
        line.trim_start().strip_prefix("search").or(line.trim_start().strip_prefix("domain"))
    });
    let named = named.rfind(|rest| rest.starts_with(char::is_whitespace));
    let words = local_domain.or(named).unwrap_or_else(|| host.split_once('.').map_or("", |(_, rest)| rest));
    words.split_whitespace().filter_map(|word| DomainName::parse(word).ok()).collect()
}

/// The names of a hosts file and their addresses, in order. What is no name is left out.
pub fn hosts(text: &str) -> HashMap<DomainName, Vec<IpAddr>> {
    let mut found: HashMap<DomainName, Vec<IpAddr>> = HashMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        for name in words.filter_map(|word| DomainName::parse(word).ok()) {
            found.entry(name).or_default().push(address);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_come_in_order_and_no_more_than_three() {
        let text = "# x\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch a\nnameserver nonsense\n\
                    nameserver 192.0.2.2\nnameserver 192.0.2.3\n";
        let expected = ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.2:53"];
        assert_eq!(resolvers(text), expected.map(|text| text.parse::<SocketAddr>().expect(text)));
        assert_eq!(resolvers(""), ["127.0.0.1:53".parse::<SocketAddr>().expect("loopback")]);
        assert_eq!(
            resolvers("nameserver fe80::1%1"),
            [SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().expect("address"), 53, 0, 1))]
        );
    }

    #[test]
    fn the_search_list_is_that_of_the_environment_the_file_or_the_hosts_name() {
        let list = |text: &str, local: Option<&str>, host: &str| {
            let domains = search_list(text, local, host);
            domains.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(list("search a.example B.example\n", None, "box.c.example"), "a.example b.example");
        assert_eq!(list("search a\n domain b\nsearchable x\n", None, "box"), "b");
        assert_eq!(list("search a\n", Some("d e"), "box"), "d e");
        assert_eq!(list("nameserver 192.0.2.1\n", None, "box.c.example"), "c.example");
        assert_eq!(list("", None, "box"), "");
    }

    #[test]
    fn hosts_gives_every_name_all_its_addresses() {
        let found =
            hosts("127.0.0.1 localhost # me\n192.0.2.7 DB.corp db\n2001:db8::7 db.corp\nnonsense x\n");
        let name = |text| DomainName::parse(text).expect(text);
        assert_eq!(found[&name("db.corp")].len(), 2);
        assert_eq!(found[&name("db")], ["192.0.2.7".parse::<IpAddr>().expect("address")]);
        assert!(!found.contains_key(&name("me")) && !found.contains_key(&name("x")));
    }
}
