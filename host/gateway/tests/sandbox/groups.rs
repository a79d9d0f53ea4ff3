//! The control group that a run was started in: nothing inside stops or kills what else is in it.

use crate::harness::{Copy, Who, eventually, root_or_passed_over, run_to_end, say, stderr};
use crate::inside::report;
use rustix::mount::MountFlags;
use rustix::process::{Gid, Uid};
use rustix::thread::UnshareFlags;
use std::ffi::CString;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Tries to mount control groups, and to kill by them: from where it is, in namespaces of its own without one of control
/// groups, and with one.
pub fn run() {
    mount_all("inside");
    // SAFETY: this process has one thread.
    let own = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) };
    own.expect("a user namespace inside");
    mount_all("in a user namespace");
    // Root in there has a limit of its own, and the ones above it count as well.
    let raised = fs::write("/proc/sys/user/max_cgroup_namespaces", "1000");
    say(&format!("raised its own limit: {}", raised.is_ok()));
    // SAFETY: as above.
    let made = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWCGROUP) };
    report("make a control group namespace", made);
    mount_all("in a control group namespace");
    say("all tried");
}

/// Version 2 last: it may be the end of this process.
fn mount_all(place: &str) {
    for (kind, options) in
        [("cgroup", "cpu"), ("cgroup", "freezer"), ("cgroup", "none,name=systemd"), ("cgroup2", "")]
    {
        let data = CString::new(options).expect("no zero byte");
        let mounted = rustix::mount::mount("none", "/tmp", kind, MountFlags::empty(), data.as_c_str());
        report(&format!("mount {kind} {options} {place}"), mounted);
    }
    let killed = fs::OpenOptions::new().write(true).open("/tmp/cgroup.kill").and_then(|mut file| {
        use std::io::Write;
        file.write_all(b"1")
    });
    say(&format!("kill all {place}: {}", if killed.is_ok() { "done" } else { "failed" }));
}

/// A control group with a process of the test's in it, both gone with the value.
struct Group {
    path: PathBuf,
    member: Child,
}

impl Group {
    /// Below the test's own group of version 2, and as systemd delegates one to `who`. `None` where none can be made.
    fn make(who: Who) -> Option<Self> {
        let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let mount = table.lines().find(|line| line.contains(" - cgroup2 "))?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let name = format!("weft-sandbox-test-{}-{who:?}", std::process::id());
        let path = PathBuf::from(mount.split(' ').nth(4)?).join(own).join(name);
        fs::create_dir(&path).ok()?;
        let mut member = Command::new("cat");
        let member = member.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat");
        let group = Self { path, member };
        fs::write(group.path.join("cgroup.procs"), group.member.id().to_string()).ok()?;
        if who == Who::User {
            let (user, group_number) = (Uid::from_raw(1000), Gid::from_raw(1000));
            for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.kill", "cgroup.freeze"] {
                rustix::fs::chown(group.path.join(file), Some(user), Some(group_number)).ok()?;
            }
        }
        Some(group)
    }

    fn lives(&mut self) -> bool {
        self.member.try_wait().expect("its status").is_none()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.member.kill();
        let _ = self.member.wait();
        eventually("an empty control group", || fs::remove_dir(&self.path).is_ok());
    }
}

pub fn what_shares_its_control_group_survives() {
    if !root_or_passed_over("a control group with a run in it") {
        return;
    }
    let copy = Copy::make();
    for (who, attach) in [(Who::Root, "tap"), (Who::Root, "veth"), (Who::User, "tap"), (Who::User, "veth")] {
        let group = Group::make(who);
        let inner = copy.launcher(who, attach);
        let mut shell = Command::new("sh");
        // Where there is no such group, the mounts are tried all the same.
        let enter =
            "[ -z \"$GROUP\" ] || echo $$ > \"$GROUP/cgroup.procs\" || exit 1; exec \"$@\" inside groups";
        shell.args(["-c", enter, "sh"]).arg(inner.get_program()).args(inner.get_args()).arg(copy.path());
        shell.envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?))));
        match &group {
            Some(group) => shell.env("GROUP", &group.path),
            None => shell.env_remove("GROUP"),
        };
        let output = run_to_end(shell.current_dir("/").stdin(Stdio::null()));
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
        assert!(group.is_none_or(|mut group| group.lives()), "{who:?} by {attach} killed it:\n{text}");
        assert!(!text.contains(": done"), "{who:?} by {attach}:\n{text}");
        // Root's settings are read-only, its own ones too.
        let raised = format!("raised its own limit: {}\n", who == Who::User);
        assert!(text.contains(&raised), "{text}");
        assert!(text.contains("make a control group namespace: error 28\n"), "{text}");
        assert!(text.contains("all tried\n"), "{text}");
        assert!(!text.contains("warning: keeping"), "{text}");
    }
}

/// Where the limit cannot be set, a run and the doctor tell so.
pub fn a_limit_that_cannot_be_set_is_told() {
    if !root_or_passed_over("a /proc/sys that is read-only") {
        return;
    }
    let copy = Copy::make();
    let told = |arguments: &[&str]| {
        // As in a container: of what is covered no new one may be mounted.
        let covered = "mount -t tmpfs none /proc/bus && mount --bind /proc/sys /proc/sys && \
                       mount -o remount,bind,ro /proc/sys && exec \"$@\"";
        let mut shell = copy.prepared(covered);
        let output = run_to_end(shell.arg(copy.path()).args(arguments).current_dir("/").stdin(Stdio::null()));
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output)
    };
    let run = told(&["launch", "veth", "true"]);
    assert!(run.contains("warning: keeping the command from making control group namespaces"), "{run}");
    assert!(run.contains("systempaths=unconfined"), "{run}");
    let doctor = told(&["doctor"]);
    assert!(doctor.contains("warn  control groups"), "{doctor}");
}

/// The kernel's file systems at other places than the usual, as in a directory that is somebody's root.
pub fn what_is_mounted_elsewhere_changes_nothing_outside() {
    if !root_or_passed_over("file systems of the kernel's, mounted elsewhere") {
        return;
    }
    let copy = Copy::make();
    let directory = std::env::temp_dir().join(format!("weft-elsewhere-{}", std::process::id()));
    // The machine may lack control groups of version 2.
    let outer = "d=$0 && mkdir -p $d/proc $d/groups $d/queues && chmod 755 $d && mount -t proc none $d/proc && \
                 mount -t mqueue none $d/queues && (umask 0; echo > $d/queues/weft-test-elsewhere) 2> /dev/null; \
                 test -e $d/queues/weft-test-elsewhere || exit 1; mount -t cgroup2 none $d/groups; \
                 \"$@\"; status=$?; rm $d/queues/weft-test-elsewhere; exit $status";
    let inner = "f=$0/proc/sys/vm/swappiness; cat $f > $f && echo changed a setting; \
                 echo 0 > $0/proc/1/oom_score_adj && echo changed a process; \
                 test -e $0/groups/cgroup.procs && mkdir $0/groups/weft-test-elsewhere && \
                 rmdir $0/groups/weft-test-elsewhere && echo made a group; \
                 ls $0/queues; echo > $0/queues/own && rm $0/queues/own; echo 0 > /proc/self/oom_score_adj && echo tried";
    for who in [Who::Root, Who::User] {
        let launcher = copy.launcher(who, "veth");
        let mut shell = Command::new("unshare");
        shell.args(["-m", "sh", "-c", outer]).arg(&directory).arg(launcher.get_program());
        shell.args(launcher.get_args()).args(["sh", "-c", inner]).arg(&directory);
        shell.envs(launcher.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let output = run_to_end(shell.current_dir("/").stdin(Stdio::null()));
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text, "tried\n", "{who:?}: {}", stderr(&output));
    }
    fs::remove_dir_all(&directory).expect("gone");
}
