//! Ways around the network: sockets of the host's that have a path, and everything else that SECURITY.md lists.

use crate::harness::{Copy, Who, root_or_passed_over, run_to_end, stderr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Sockets of the host's, open to all, each of which would hear whatever reaches it.
struct Host {
    directory: PathBuf,
    streams: Vec<UnixListener>,
    datagrams: UnixDatagram,
}

impl Host {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("weft-ways-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("below")).expect("a directory");
        let bind = |name: &str| UnixListener::bind(directory.join(name)).expect("a listener");
        let streams = vec![bind("one"), bind("two"), bind("below/three")];
        streams.iter().for_each(|listener| listener.set_nonblocking(true).expect("set"));
        let datagrams = UnixDatagram::bind(directory.join("log")).expect("a socket");
        datagrams.set_nonblocking(true).expect("set");
        for name in ["", "one", "two", "below", "below/three", "log"] {
            std::fs::set_permissions(directory.join(name), std::fs::Permissions::from_mode(0o777))
                .expect("open");
        }
        Self { directory, streams, datagrams }
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().expect("a path in UTF-8").to_owned()
    }

    /// How many connections and datagrams have come to each.
    fn heard(&self) -> [usize; 4] {
        let accepted = |listener: &UnixListener| std::iter::from_fn(|| listener.accept().ok()).count();
        let datagrams = std::iter::from_fn(|| self.datagrams.recv(&mut [0; 64]).ok()).count();
        [accepted(&self.streams[0]), accepted(&self.streams[1]), accepted(&self.streams[2]), datagrams]
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// How a launch went: what the command printed, and what the launcher told.
fn launch(launcher: &mut Command, copy: &Copy, options: &[&str], probe: &[&str]) -> (String, String) {
    let output = run_to_end(launcher.args(options).arg(copy.path()).arg("inside").args(probe));
    texts(&output)
}

fn texts(output: &Output) -> (String, String) {
    let (text, told) = (String::from_utf8_lossy(&output.stdout).into_owned(), stderr(output));
    assert!(output.status.success(), "{}\n{text}\n{told}", output.status);
    (text, told)
}

fn done(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.ends_with(": done")).collect()
}

pub fn root_reaches_no_socket_of_the_hosts() {
    if root_or_passed_over("a sandbox of root") {
        reaches_none(Who::Root, "tap");
    }
}

pub fn a_user_reaches_no_socket_of_the_hosts() {
    reaches_none(Who::User, "veth");
}

fn reaches_none(who: Who, attach: &str) {
    let (copy, host) = (Copy::make(), Host::new());
    let paths = [host.path("one"), host.path("below/three"), host.path("log")];
    let probe = ["connect", &paths[0], &paths[1], &paths[2]];
    let (text, told) = launch(&mut copy.launcher(who, attach), &copy, &[], &probe);
    assert_eq!(done(&text), [""; 0], "{text}{told}");
    assert_eq!(text.lines().count(), 27, "the probe stopped early:\n{text}");
    assert_eq!(host.heard(), [0; 4], "{text}");
    for path in &paths[..2] {
        assert!(text.contains(&format!("connect {path}: error 13\n")), "{text}");
        assert!(told.contains(&format!("refused {path} rule None\n")), "{told}");
    }
}

pub fn a_rule_opens_one_socket_or_a_directory() {
    let (copy, host) = (Copy::make(), Host::new());
    let paths = [host.path("one"), host.path("two"), host.path("below/three")];
    let (one, below) = (format!("unix:{}", paths[0]), format!("unix:{}/", host.path("below")));
    let options = ["--allow", one.as_str(), "--allow", &below];
    let probe = ["connect", &paths[0], &paths[1], &paths[2]];
    let (text, told) = launch(&mut copy.launcher(Who::User, "veth"), &copy, &options, &probe);
    assert!(text.contains(&format!("connect {}: done\n", paths[0])), "{text}{told}");
    assert!(text.contains(&format!("connect {}: error 13\n", paths[1])), "{text}{told}");
    assert!(text.contains(&format!("by a link of one's own {}: done\n", paths[2])), "{text}{told}");
    let heard = host.heard();
    assert!(heard[0] >= 5 && heard[1] == 0 && heard[2] >= 5 && heard[3] == 0, "{heard:?}\n{text}");
    assert!(told.contains(&format!("opened {} rule Some({one:?})\n", paths[0])), "{told}");
    // Every one of them, each of which is asked about all the same.
    let (text, told) = launch(&mut copy.launcher(Who::User, "veth"), &copy, &["--allow", "unix:/"], &probe);
    for path in &paths {
        assert!(text.contains(&format!("connect {path}: done\n")), "{text}{told}");
        assert!(told.contains(&format!("opened {path} rule Some(\"unix:/\")\n")), "{told}");
    }
}

pub fn sockets_made_inside_stay_open() {
    let copy = Copy::make();
    for who in [Who::User, Who::Root] {
        if who == Who::Root && !root_or_passed_over("a sandbox of root") {
            return;
        }
        let (text, told) = launch(&mut copy.launcher(who, "veth"), &copy, &["--strict"], &["own-sockets"]);
        for what in
            ["own", "own, relative", "own, by a link", "own, by /proc/self", "own, renamed", "own, packets"]
        {
            assert!(text.contains(&format!("{what}: done\n")), "no '{what}' in\n{text}{told}");
        }
        // What a program goes by before it makes its socket anew: ECONNREFUSED and ENOENT.
        assert!(text.contains("own, left behind: error 111\n"), "{text}");
        assert!(text.contains("own, missing: error 2\n"), "{text}");
        assert!(text.contains("own, a file: error 111\n"), "{text}");
        assert!(text.contains("own, datagrams of a pair: [Ok(3), Ok(3)] [Ok(3), Ok(3)]\n"), "{text}");
        assert!(text.contains("own, nothing more to read: error 11\n"), "{text}");
        assert!(text.contains("own, 80 connections to 40 listeners\n"), "{text}");
        assert!(!told.contains("refused"), "{told}");
    }
}

/// A server of one user inside and clients of another: the kernel's own answers, and the user that the server is told.
pub fn another_user_inside_keeps_its_own_rights() {
    if !root_or_passed_over("several users in one sandbox") {
        return;
    }
    let copy = Copy::make();
    let script = r#"
d=$(mktemp -d) && chmod 755 $d && cd $d
setpriv --reuid 1234 --regid 1234 --clear-groups sh -c : || exit 1
python3 -c '
import os, socket, struct
def server(path, mode):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, mode)
    listener.listen()
    return listener
def client(path, user):
    pid = os.fork()
    if pid == 0:
        os.setgroups([]); os.setresgid(user, user, user); os.setresuid(user, user, user)
        try:
            socket.socket(socket.AF_UNIX).connect(path)
            os._exit(0)
        except OSError as error:
            os._exit(error.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
open_to_all, private = server("open", 0o777), server("private", 0o700)
print("open", client("open", 1234), "private", client("private", 1234), "root", client("private", 0))
accepted, _ = open_to_all.accept()
print("peer", struct.unpack("3i", accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1:])
'
cd / && rm -r $d"#;
    let output = run_to_end(copy.launcher(Who::Root, "veth").args(["sh", "-c", script]));
    let (text, told) = texts(&output);
    assert_eq!(text, "open 0 private 13 root 0\npeer (1234, 1234)\n", "{told}");
}

pub fn an_address_that_changes_leads_nowhere_else() {
    let (copy, host) = (Copy::make(), Host::new());
    let path = host.path("one");
    let (text, told) = launch(&mut copy.launcher(Who::User, "veth"), &copy, &[], &["race", &path]);
    assert_eq!(text, "reached its own true\n", "{told}");
    assert_eq!(host.heard(), [0; 4]);
}

pub fn a_covered_proc_guards_as_well() {
    if !root_or_passed_over("a /proc that is partly covered") {
        return;
    }
    let (copy, host) = (Copy::make(), Host::new());
    let path = host.path("one");
    for probe in [&["connect", &path][..], &["own-sockets"]] {
        let mut shell = copy.prepared("mount -t tmpfs none /proc/bus && exec \"$@\"");
        shell.arg(copy.path()).args(["launch", "auto"]).current_dir("/").stdin(Stdio::null());
        let (text, told) = launch(&mut shell, &copy, &[], probe);
        assert!(told.contains("warning: mounting a new /proc"), "{told}");
        if probe[0] == "connect" {
            assert!(text.contains(&format!("connect {path}: error 13\n")), "{text}{told}");
        } else {
            assert!(text.contains("own, renamed: done\n"), "{text}{told}");
        }
    }
    assert_eq!(host.heard(), [0; 4]);
}

pub fn root_finds_no_other_way() {
    if root_or_passed_over("a sandbox of root") {
        finds_no_other_way(Who::Root, "tap");
    }
}

pub fn a_user_finds_no_other_way() {
    finds_no_other_way(Who::User, "veth");
}

fn finds_no_other_way(who: Who, attach: &str) {
    let copy = Copy::make();
    let shared = Shared::new();
    let mut launcher = copy.launcher(who, attach);
    launcher.env("WEFT_TEST_SHM", shared.key.to_string());
    let (text, told) = launch(&mut launcher, &copy, &["--strict"], &["around"]);
    assert_eq!(done(&text), [""; 0], "{who:?} by {attach}:\n{text}{told}");
    assert!(text.ends_with("all tried\n"), "{text}");
    assert!(text.contains("make an io_uring: error 38\n"), "{text}");
    assert!(text.contains("type 1: error 97\n") && text.contains("add a key: error 38\n"), "{text}");
    assert!(text.contains("attach the host's shared memory: error 2\n"), "{text}");
}

/// Shared memory and a message queue of the host's, gone with the value.
struct Shared {
    key: libc::key_t,
    memory: i32,
}

const QUEUE: &std::ffi::CStr = c"/weft-test-queue";

impl Shared {
    fn new() -> Self {
        let key = 0x7765_0000 | std::process::id() as libc::key_t & 0xffff;
        // SAFETY: both take numbers and a C string.
        let (memory, queue) = unsafe {
            let memory = libc::shmget(key, 4096, libc::IPC_CREAT | 0o666);
            let null = std::ptr::null_mut::<libc::mq_attr>();
            (memory, libc::mq_open(QUEUE.as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o666, null))
        };
        assert!(memory >= 0 && queue >= 0, "shared memory and a queue");
        Self { key, memory }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: both take numbers and a C string.
        unsafe {
            libc::shmctl(self.memory, libc::IPC_RMID, std::ptr::null_mut());
            libc::mq_unlink(QUEUE.as_ptr());
        }
    }
}

/// By its own path, by another mount's, by a mount of a part of it, and by the disk that it lies on.
pub fn a_hidden_directory_is_out_of_reach_for_root() {
    if !root_or_passed_over("root inside") {
        return;
    }
    let copy = Copy::make();
    let directory = std::env::temp_dir().join(format!("weft-hidden-{}", std::process::id()));
    let outer = "d=$0 && mkdir -p $d/ledger/part $d/again $d/only && echo kept | tee $d/ledger/part/log $d/key > $d/ledger/log && \
                 mount --bind $d $d/again && mount --bind $d/ledger/part $d/only && exec \"$@\"";
    let inner = "cd $0; cat ledger/log again/ledger/log only/log again/ledger/part/log key again/key; \
                 echo x > ledger/log; echo x > key; rm -r ledger; rm key; mv key other; umount key again/key; \
                 umount ledger again only; mount -t tmpfs none ledger; unshare --user --map-root-user --mount umount $0/ledger; \
                 for file in /dev/* /dev/*/*; do test -b $file && echo $file; done; ls -A ledger again/ledger only | grep -v -e : -e '^$'; echo tried";
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-c", outer]).arg(&directory).arg(copy.path()).args(["launch", "veth", "--hide"]);
    shell.arg(directory.join("ledger")).arg("--hide").arg(directory.join("key"));
    shell.args(["sh", "-c", inner]).arg(&directory);
    let (text, told) = texts(&run_to_end(shell.current_dir("/").stdin(Stdio::null())));
    let kept = ["ledger/log", "key"].map(|file| std::fs::read_to_string(directory.join(file)).expect(file));
    std::fs::remove_dir_all(&directory).expect("gone");
    assert_eq!((text.trim(), kept), ("tried", ["kept\n".to_owned(), "kept\n".to_owned()]), "{told}");
}

pub fn a_stream_that_reaches_any_path_is_refused() {
    let copy = Copy::make();
    for options in [&[][..], &["--allow", "unix:/"]] {
        let (datagrams, _other) = UnixDatagram::pair().expect("a pair");
        let mut launcher = copy.launcher(Who::User, "veth");
        launcher.stdin(Stdio::from(std::os::fd::OwnedFd::from(datagrams)));
        let refused = run_to_end(launcher.args(options).arg("true"));
        let told = stderr(&refused);
        assert_eq!(refused.status.code(), Some(125), "{told}");
        assert!(told.contains("standard input is a socket for Unix datagrams"), "{told}");
    }
}

pub fn a_strict_run_needs_every_lock() {
    if !root_or_passed_over("a /proc that is partly covered") {
        return;
    }
    let copy = Copy::make();
    let mut shell = copy.prepared("mount -t tmpfs none /proc/bus && exec \"$@\"");
    shell.arg(copy.path()).args(["launch", "auto", "--strict", "true"]).current_dir("/");
    let output = run_to_end(shell.stdin(Stdio::null()));
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    assert!(stderr(&output).contains("mounting a new /proc"), "{}", stderr(&output));
    // In a sandbox nobody else may judge: the one around does.
    let nested =
        run_to_end(copy.launcher(Who::User, "veth").arg(copy.path()).args(["launch", "veth", "true"]));
    assert!(nested.status.success(), "{}", stderr(&nested));
    assert!(stderr(&nested).contains("the run around this one judges"), "{}", stderr(&nested));
}
