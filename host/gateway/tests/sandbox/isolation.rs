//! What a hostile command may try, and what it sees.

use crate::harness::{Copy, Who, root_or_passed_over, run_to_end, stderr};
use std::process::{Command, Stdio};

pub fn root_by_tap_owns_nothing() {
    if root_or_passed_over("a sandbox of root") {
        owns_nothing(Who::Root, "tap");
    }
}

pub fn root_by_veth_owns_nothing() {
    if root_or_passed_over("a sandbox of root") {
        owns_nothing(Who::Root, "veth");
    }
}

pub fn user_by_tap_owns_nothing() {
    if root_or_passed_over("a TAP that an ordinary user may open") {
        owns_nothing(Who::User, "tap");
    }
}

pub fn user_by_veth_owns_nothing() {
    owns_nothing(Who::User, "veth");
}

fn owns_nothing(who: Who, attach: &str) {
    let copy = Copy::make();
    // `$$` is the launcher's own number, which it keeps when the shell becomes it.
    let mut shell = shell_with_number(&copy, who, attach);
    let output = run_to_end(&mut shell);
    let (told, text) = (stderr(&output), String::from_utf8_lossy(&output.stdout).into_owned());
    assert!(output.status.success(), "{}\n{text}\n{told}", output.status);
    let done: Vec<&str> = text.lines().filter(|line| line.ends_with(": done")).collect();
    assert!(done.is_empty(), "{who:?} by {attach} could {done:?}");
    assert!(text.lines().count() >= 20, "the probe stopped early:\n{text}");
    assert!(text.contains("change the link: error 1\n"), "{text}");
    assert!(text.contains("trace init: error 1\n"), "{text}");
    assert!(told.contains(&format!("attached by {attach}")), "{told}");
    describes(&copy, who, attach);
}

/// A launcher of `inside escape`, told its own number.
fn shell_with_number(copy: &Copy, who: Who, attach: &str) -> Command {
    let inner = copy.launcher(who, attach);
    let mut shell = Command::new("sh");
    // unshare, sh and setpriv all execute the next in their own place.
    shell.args(["-c", "exec \"$@\" inside escape $$", "sh"]).arg(inner.get_program()).args(inner.get_args());
    shell.envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?))));
    shell.arg(copy.path()).current_dir("/").stdin(Stdio::null());
    shell
}

fn describes(copy: &Copy, who: Who, attach: &str) {
    let text = copy.probe(&mut copy.launcher(who, attach), &["describe"]);
    let has = |line: &str| assert!(text.lines().any(|have| have == line), "{who:?}: no '{line}' in\n{text}");
    has("NoNewPrivs: 1");
    has("files 0 1 2 3");
    has("directory /");
    has("addresses true");
    has("proc 2");
    has("/proc/net/route eth0 00000000 0202000A 0003 0 0 0 00000000 0 0 0");
    // It is known for good who the gateway is (ATF_PERM, ATF_COM): what is sent first waits for nobody's answer.
    has("/proc/net/arp 10.0.2.2 0x1 0x6 02:77:65:66:74:02 * eth0");
    has("/etc/resolv.conf nameserver 10.0.2.3");
    has("/etc/resolv.conf nameserver fd00:2::3");
    has("/etc/hosts 10.0.2.2 host.weft.internal");
    has("/etc/hosts fd00:2::2 host.weft.internal");
    assert!(text.contains("/proc/net/ipv6_route 00000000000000000000000000000000 00 "), "{text}");
    if who == Who::User {
        has("CapEff: 0000000000000000");
        has("CapPrm: 0000000000000000");
    } else {
        has("Uid: 0 0 0 0");
    }
}

/// In a container with a covered `/proc` the kernel forbids a new one.
pub fn a_covered_proc_stays_and_opens_nothing() {
    if !root_or_passed_over("a /proc that is partly covered") {
        return;
    }
    let copy = Copy::make();
    let mut shell = copy.prepared("mount -t tmpfs none /proc/bus && exec \"$@\" inside escape $$");
    shell.arg(copy.path()).args(["launch", "auto"]).arg(copy.path()).current_dir("/");
    let output = run_to_end(shell.stdin(Stdio::null()));
    let (told, text) = (stderr(&output), String::from_utf8_lossy(&output.stdout).into_owned());
    assert!(output.status.success(), "{}\n{text}\n{told}", output.status);
    assert!(told.contains("warning: mounting a new /proc"), "{told}");
    assert!(!text.contains(": done"), "{text}");
    // The gateway is there to be seen, and closed.
    assert!(text.contains("open the gateway's mem: error 13\n"), "{text}");
}

/// Programs of root that change owners work as outside.
pub fn root_stays_root_over_files() {
    if !root_or_passed_over("a sandbox of root") {
        return;
    }
    let copy = Copy::make();
    let script = "f=$(mktemp) && chown 1234:2345 $f && stat -c %u:%g $f && setpriv --reuid 1234 --regid 2345 \
                  --clear-groups id -u && rm $f";
    let output = run_to_end(copy.launcher(Who::Root, "auto").args(["sh", "-c", script]));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1234:2345\n1234\n", "{}", stderr(&output));
}

pub fn a_missing_resolv_conf_is_supplied() {
    if !root_or_passed_over("an /etc without resolv.conf") {
        return;
    }
    let copy = Copy::make();
    let script = "mount -t tmpfs none /mnt && cp /etc/hosts /mnt/ && ln -s /run/no-such-file /mnt/resolv.conf && \
                  mount --bind /mnt /etc && exec \"$@\"";
    let mut shell = copy.prepared(script);
    shell.arg(copy.path()).args(["launch", "auto", "cat", "/etc/resolv.conf"]).stdin(Stdio::null());
    let output = run_to_end(&mut shell);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("nameserver 10.0.2.3\n"), "{text}{}", stderr(&output));
}

pub fn the_hosts_name_services_are_out_of_reach() {
    if !root_or_passed_over("a name service of the host's") {
        return;
    }
    let copy = Copy::make();
    // A file is covered as a socket is, and can be looked into.
    let script = "mount -t tmpfs none /run && mkdir /run/nscd && echo reached > /run/nscd/socket && \
                  echo kept > /run/nscd/other && exec \"$@\"";
    let mut shell = copy.prepared(script);
    shell.arg(copy.path()).args(["launch", "auto", "cat", "/run/nscd/socket", "/run/nscd/other"]);
    let output = run_to_end(shell.stdin(Stdio::null()));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "kept\n", "{}", stderr(&output));
}
