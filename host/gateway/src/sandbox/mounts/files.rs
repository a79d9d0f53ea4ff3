//! The text of the files that say who resolves names inside.

use crate::sandbox::plan;
use std::fmt::Write;
use std::net::IpAddr;

/// A file of `/etc`.
pub(super) struct File {
    pub name: &'static str,
    pub text: String,
}

/// The files that take the place of the host's.
pub(super) fn resolver_files(ipv6: bool, patient: bool) -> Vec<File> {
    let read = |path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let resolv = read("/etc/resolv.conf").unwrap_or_default();
    let hosts = read("/etc/hosts").unwrap_or_default();
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut files = vec![
        File { name: "resolv.conf", text: resolv_conf(&resolv, ipv6, patient) },
        File { name: "hosts", text: hosts_file(&hosts, &name, ipv6) },
    ];
    if let Some(text) = read("/etc/nsswitch.conf").ok().and_then(|text| nsswitch_conf(&text)) {
        files.push(File { name: "nsswitch.conf", text });
    }
    files
}

/// Where a person answers first, a program's library waits as long as it can be told to (resolv.conf(5)).
const PATIENCE: &str = "options timeout:30 attempts:5\n";

/// resolv.conf(5): our resolver; the host's search list and options stay, as short names depend on them.
fn resolv_conf(host: &str, ipv6: bool, patient: bool) -> String {
    let mut text = format!("nameserver {}\n", plan::RESOLVER_V4);
    if ipv6 {
        let _ = writeln!(text, "nameserver {}", plan::RESOLVER_V6);
    }
    for line in host.lines() {
        if matches!(line.split_whitespace().next(), Some("search" | "domain" | "options")) {
            let _ = writeln!(text, "{}", line.trim());
        }
    }
    // The last of several options counts.
    if patient {
        text.push_str(PATIENCE);
    }
    text
}

/// hosts(5): what the host's says of loopback, its own name where only another line or service knew it, and the
/// name of the host. The other names of the host's file are our resolver's to answer: an address written here would
/// lead past the rules for the name.
fn hosts_file(host: &str, name: &str, ipv6: bool) -> String {
    let is_loopback = |line: &&str| {
        let address = line.split_whitespace().next().and_then(|first| first.parse::<IpAddr>().ok());
        address.is_some_and(|address| address.is_loopback())
    };
    let mut text: String = host.lines().filter(is_loopback).flat_map(|line| [line, "\n"]).collect();
    let names = |line: &str| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_whitespace().skip(1).any(|known| known.eq_ignore_ascii_case(name))
    };
    if !name.is_empty() && !text.lines().any(names) {
        let _ = writeln!(text, "127.0.1.1 {name}");
    }
    let _ = writeln!(text, "{} {}", plan::GATEWAY_V4, plan::HOST_NAME);
    if ipv6 {
        let _ = writeln!(text, "{} {}", plan::GATEWAY_V6, plan::HOST_NAME);
    }
    text
}

/// nsswitch.conf(5) without the services that ask the host's own daemons; `None` where there are none of them.
fn nsswitch_conf(host: &str) -> Option<String> {
    let mut changed = false;
    let lines: Vec<String> = host
        .lines()
        .map(|line| match line.trim_start().strip_prefix("hosts:") {
            Some(services) if services.split_whitespace().any(|s| s != "files" && s != "dns") => {
                changed = true;
                "hosts: files dns".into()
            }
            _ => line.into(),
        })
        .collect();
    changed.then(|| lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_names_our_resolver_and_keeps_the_search_list() {
        let host = "# made by hand\nnameserver 192.0.2.1\nsearch corp.example\n options ndots:2\n";
        assert_eq!(
            resolv_conf(host, true, false),
            "nameserver 10.0.2.3\nnameserver fd00:2::3\nsearch corp.example\noptions ndots:2\n"
        );
        assert_eq!(resolv_conf("", false, false), "nameserver 10.0.2.3\n");
        assert!(
            resolv_conf("options timeout:1\n", false, true).ends_with(":1\noptions timeout:30 attempts:5\n")
        );
    }

    #[test]
    fn hosts_gains_the_host_and_its_own_name_where_missing() {
        let text = hosts_file("127.0.0.1 localhost # box", "box", true);
        assert_eq!(
            text,
            "127.0.0.1 localhost # box\n127.0.1.1 box\n10.0.2.2 host.weft.internal\nfd00:2::2 host.weft.internal\n"
        );
        assert_eq!(
            hosts_file("192.0.2.7 db box\n# 192.0.2.8 old\n", "box", false),
            "127.0.1.1 box\n10.0.2.2 host.weft.internal\n",
            "a name that leads elsewhere is the resolver's"
        );
        assert_eq!(
            hosts_file("127.0.1.1 Box\n", "box", false),
            "127.0.1.1 Box\n10.0.2.2 host.weft.internal\n"
        );
    }

    #[test]
    fn nsswitch_loses_the_services_that_ask_daemons_and_nothing_else() {
        let host =
            "passwd: files systemd\nhosts: files mymachines resolve [!UNAVAIL=return] dns\nnetworks: files\n";
        let expected = "passwd: files systemd\nhosts: files dns\nnetworks: files\n";
        assert_eq!(nsswitch_conf(host).as_deref(), Some(expected));
        assert_eq!(nsswitch_conf("hosts: files dns\n"), None);
    }
}
