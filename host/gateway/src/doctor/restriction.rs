//! Why the kernel refuses namespaces, by the settings that are known to make it.

use crate::sandbox::LaunchError;
use std::path::Path;

/// What the machine says about itself.
#[derive(Clone, Debug, Default)]
struct Settings {
    /// `user.max_user_namespaces`.
    namespaces_max: Option<u64>,
    /// `kernel.unprivileged_userns_clone`, which Debian's kernels once had.
    unprivileged_clone: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns`, which Ubuntu has since 23.10.
    apparmor_restricts: Option<u64>,
    /// Whether a container's marks are there.
    container: bool,
    /// Whether system calls of this process are filtered.
    filtered: bool,
}

/// What mends the failure of both trials.
pub(super) fn fix(error: &LaunchError) -> String {
    Settings::read().fix().or_else(|| error.remedy().map(str::to_owned)).unwrap_or_else(|| {
        "no known setting explains it: run `strace -f weft doctor` and look for the first call that fails"
            .into()
    })
}

impl Settings {
    fn read() -> Self {
        let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            namespaces_max: number("/proc/sys/user/max_user_namespaces"),
            unprivileged_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor_restricts: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            container: ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists()),
            filtered: status.lines().any(|line| line.split_whitespace().eq(["Seccomp:", "2"])),
        }
    }

    /// The fix for the first setting that forbids, if one does.
    fn fix(&self) -> Option<String> {
        if self.namespaces_max == Some(0) {
            return Some("sysctl -w user.max_user_namespaces=65536".into());
        }
        if self.unprivileged_clone == Some(0) {
            return Some("sysctl -w kernel.unprivileged_userns_clone=1".into());
        }
        if self.container && self.filtered {
            return Some(
                "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
                 --security-opt systempaths=unconfined --device /dev/net/tun ..."
                    .into(),
            );
        }
        if self.apparmor_restricts == Some(1) {
            let executable = std::env::current_exe().unwrap_or_else(|_| "/usr/bin/weft".into());
            return Some(apparmor_fix(&executable));
        }
        None
    }
}

/// A profile that allows weft, and weft only, what the setting forbids.
fn apparmor_fix(executable: &Path) -> String {
    let executable = executable.display();
    format!(
        "printf 'abi <abi/4.0>,\\nprofile weft {executable} flags=(unconfined) {{ userns, }}\\n' \
         > /etc/apparmor.d/weft && apparmor_parser -r /etc/apparmor.d/weft\n\
         or, for all programs: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_that_forbids_has_its_fix() {
        let none = Settings::default();
        assert_eq!(none.fix(), None);
        let fix = |settings: Settings| settings.fix().expect("a fix");
        assert!(
            fix(Settings { namespaces_max: Some(0), ..none.clone() }).contains("max_user_namespaces=65536")
        );
        let clone = Settings { unprivileged_clone: Some(0), ..none.clone() };
        assert!(fix(clone).contains("unprivileged_userns_clone=1"));
        let docker = Settings { container: true, filtered: true, ..none.clone() };
        assert!(fix(docker).contains("seccomp=unconfined"));
        let ubuntu = Settings { apparmor_restricts: Some(1), ..none };
        assert!(fix(ubuntu).contains("userns,"));
    }

    #[test]
    fn settings_that_allow_are_no_restriction() {
        let fine = Settings {
            namespaces_max: Some(96_365),
            unprivileged_clone: Some(1),
            apparmor_restricts: Some(0),
            container: true,
            filtered: false,
        };
        assert_eq!(fine.fix(), None);
    }
}
