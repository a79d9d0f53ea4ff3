//! Which container a process is in, from the names of its control groups.
//!
//! ```text
//!   0::/docker/64 hexadecimal digits                            Docker, by cgroupfs
//!   0::/system.slice/docker-64 hexadecimal digits.scope         Docker, by systemd
//!   0::/machine.slice/libpod-64 hexadecimal digits.scope/container               podman
//!   0::/kubepods.slice/.../cri-containerd-64 hexadecimal digits.scope            Kubernetes
//! ```

/// Bytes of a list of control groups that are looked at.
pub(super) const GROUPS_BYTES_MAX: usize = 16 * 1_024;

const ID_DIGITS: usize = 64;

/// The id of the innermost container; `None` where there is none, where the list is cut short, or where its lines do not
/// agree.
#[must_use]
pub fn find_container(groups: &[u8]) -> Option<String> {
    if groups.len() >= GROUPS_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(groups).ok()?;
    // Behind the hierarchy's number and its controllers (cgroups(7)).
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut ids = paths.filter_map(|path| path.rsplit('/').find_map(id));
    let first = ids.next()?;
    ids.all(|other| other == first).then(|| first.to_owned())
}

/// The id in a group's name.
fn id(group: &str) -> Option<&str> {
    let group = group.strip_suffix(".scope").unwrap_or(group);
    let (runtime, id) = group.rsplit_once('-').unwrap_or(("", group));
    // podman's and CRI-O's monitor is beside its container, not in it.
    let is_monitor = runtime.ends_with("conmon");
    let is_id = id.len() == ID_DIGITS && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_id && !is_monitor).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const OTHER: &str = "ffff456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn found(groups: &str) -> Option<String> {
        find_container(groups.replace("ID", ID).replace("OTHER", OTHER).as_bytes())
    }

    #[test]
    fn an_id_is_found_as_each_runtime_writes_it() {
        for groups in [
            "0::/docker/ID\n",
            "0::/system.slice/docker-ID.scope\n",
            "0::/machine.slice/libpod-ID.scope/container\n",
            "0::/kubepods/burstable/pod0c1d/ID\n",
            "0::/kubepods.slice/kubepods-pod0c1d.slice/cri-containerd-ID.scope\n",
            "12:pids:/docker/ID\n1:name=systemd:/docker/ID\n0::/system.slice/containerd.service\n",
            "0::/docker/OTHER/docker/ID\n",
        ] {
            assert_eq!(found(groups).as_deref(), Some(ID), "{groups}");
        }
    }

    #[test]
    fn what_is_no_container_or_not_one_is_none() {
        for groups in [
            "",
            "0::/\n",
            "0::/user.slice/user-1000.slice/session-1.scope\n",
            "0::/machine.slice/libpod-conmon-ID.scope\n",
            "0::/docker/IDa\n",
            "2:cpu:/docker/ID\n1:pids:/docker/OTHER\n",
        ] {
            assert_eq!(found(groups), None, "{groups}");
        }
        assert_eq!(found(&format!("0::/docker/ID/{}\n", "x".repeat(GROUPS_BYTES_MAX))), None);
        assert_eq!(found(&format!("0::/docker/{}\n", ID.to_uppercase())), None);
    }

    proptest! {
        #[test]
        fn no_list_makes_it_panic(groups: Vec<u8>) {
            let _ = find_container(&groups);
        }
    }
}
