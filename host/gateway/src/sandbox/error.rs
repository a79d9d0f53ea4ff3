//! What can go wrong on the way into the sandbox: what was tried, on what, why it failed, what would help.

use rustix::io::Errno;
use std::fmt;

macro_rules! steps {
    ($($(#[$meta:meta])* $name:ident = $doing:literal,)*) => {
        /// One thing that is done to build a sandbox.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Step {
            $($(#[$meta])* $name,)*
        }

        impl Step {
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// What is done, as a gerund.
            pub fn doing(self) -> &'static str {
                match self {
                    $(Self::$name => $doing,)*
                }
            }
        }
    };
}

steps! {
    /// A process with several threads cannot be copied with its memory in order.
    CheckThreads = "checking that the gateway has one thread",
    /// A standard stream that is a socket for Unix datagrams could name any path in each of them.
    CheckStreams = "checking the standard streams",
    /// The command line holds no command, or a zero byte.
    ReadCommand = "reading the command",
    /// The socket between gateway and init.
    ConnectInit = "connecting the gateway and its init process",
    /// User, network, mount and PID namespace.
    MakeNamespaces = "making a user namespace with network, mount and PID namespaces",
    /// The user namespace's user and group numbers.
    MapIdentities = "mapping user and group numbers into the user namespace",
    /// Less for the gateway itself to lose.
    ConfineGateway = "giving up what the gateway does not need",
    /// A terminal of the command's own, where a person is asked at the other.
    OpenTerminal = "opening a pseudo-terminal for the command",
    /// Init ended without a word.
    WaitForInit = "waiting for the sandbox's init process",
    /// Init's own signals and process group.
    PrepareInit = "preparing the sandbox's init process",
    /// `/dev/net/tun`, and an interface.
    AttachTap = "attaching a TAP interface",
    /// A veth pair and a packet socket.
    AttachVeth = "attaching a veth pair",
    /// The loopback interface, addresses, routes.
    ConfigureLink = "setting addresses and routes",
    /// IPv6 on the link.
    ConfigureIpv6 = "setting IPv6 addresses and routes",
    /// A socket that lists the sandbox's sockets.
    OpenSocketTables = "opening the sandbox's socket tables",
    /// Ping without privilege.
    AllowPing = "letting the command send ICMP echo",
    /// Ports below 1024 without privilege.
    AllowPorts = "letting the command listen on ports below 1024",
    /// Connections begin with connect.
    RefuseFastOpen = "turning TCP Fast Open off",
    /// Control groups, which kill, reach beyond the sandbox.
    CloseGroups = "keeping the command from making control group namespaces",
    /// A process file system of the new PID namespace.
    MountProc = "mounting a new /proc",
    /// The kernel's switches, out of uid 0's reach.
    ProtectProc = "making the kernel's settings read-only",
    /// Devices of the new network namespace.
    MountSys = "mounting a new /sys",
    /// resolv.conf, hosts, nsswitch.conf.
    MountFiles = "mounting the sandbox's resolver files",
    /// The host's own name service, out of reach.
    HideServices = "hiding the host's name services",
    /// What the gateway writes about the command, out of its reach.
    HideDirectories = "hiding the ledger and its keys",
    /// What says what the command may do, and may be changed while it runs.
    GuardDirectories = "making a directory read-only for the command",
    /// The terminal at which a person is asked, out of the command's reach.
    CoverTerminal = "covering the terminal that weft asks at",
    /// The command's own user namespace.
    MakeCommand = "making the command's user namespace",
    /// What the command may not.
    ConfineCommand = "confining the command",
    /// Who connects to Unix sockets of the host is judged.
    GuardSockets = "guarding the host's Unix sockets",
    /// A Landlock domain of its own for the command.
    EnterDomain = "confining the command by Landlock",
    /// Init gives up what it no longer needs.
    ConfineInit = "confining the sandbox's init process",
}

impl Step {
    pub(super) fn number(self) -> u8 {
        self as u8
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether it closes a way out, so that a strict run cannot do without.
    pub fn closes_a_way(self) -> bool {
        matches!(
            self,
            Self::CloseGroups
                | Self::MountProc
                | Self::MountSys
                | Self::HideServices
                | Self::ConfineCommand
                | Self::GuardSockets
                | Self::EnterDomain
        )
    }

    /// What would help, where it is known for this error.
    fn remedy(self, error: Errno) -> Option<&'static str> {
        let denied = matches!(error, Errno::PERM | Errno::ACCESS);
        match self {
            Self::MakeNamespaces if error == Errno::NOSPC || error == Errno::USERS => {
                Some("the limit of user namespaces is reached: sysctl -w user.max_user_namespaces=65536")
            }
            Self::MakeNamespaces if error == Errno::INVAL => {
                Some("the kernel lacks user, network or PID namespaces (CONFIG_USER_NS, CONFIG_NET_NS)")
            }
            Self::MakeNamespaces | Self::MapIdentities if denied => Some(
                "user namespaces are restricted here; `weft doctor` tells which setting it is and prints the fix",
            ),
            Self::AttachTap if error == Errno::NOENT || error == Errno::NODEV || error == Errno::NXIO => {
                Some(
                    "there is no TAP here: modprobe tun, or docker run --device /dev/net/tun, or --attach veth",
                )
            }
            Self::AttachTap if denied => Some("chmod 0666 /dev/net/tun, or --attach veth"),
            Self::AttachVeth if error == Errno::OPNOTSUPP || error == Errno::AFNOSUPPORT => {
                Some("the kernel lacks veth or packet sockets: modprobe veth af_packet")
            }
            Self::OpenTerminal | Self::CoverTerminal => Some("without --ask it is not needed"),
            Self::HideDirectories | Self::GuardDirectories if error == Errno::BUSY => {
                Some("start it from another directory, with other streams")
            }
            Self::WaitForInit if error == Errno::MFILE => {
                Some("no descriptor is left for what it hands out: raise `ulimit -n`")
            }
            Self::CheckStreams => Some("give it another stream, as `| cat` does"),
            Self::GuardSockets if error == Errno::BUSY => {
                Some("the run around this one judges: its rules hold, and those of this one do not open any")
            }
            Self::GuardSockets => Some(
                "it needs seccomp (CONFIG_SECCOMP_FILTER) and Linux 5.9 or later; 6.9 where there is no new /proc",
            ),
            Self::CloseGroups => Some(
                "it needs a /proc/sys that can be written: docker run --security-opt systempaths=unconfined, where this is a container",
            ),
            Self::EnterDomain => Some("boot with landlock in the list of lsm=, on Linux 6.12 or later"),
            _ => None,
        }
    }
}

/// A sandbox could not be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchError {
    /// What was being done.
    pub step: Step,
    /// On what, or which part of it; may be empty.
    pub detail: String,
    /// The operating system's error number; 0 where it is none of its errors.
    pub code: i32,
}

impl LaunchError {
    pub(super) fn new(step: Step, detail: impl Into<String>, error: Errno) -> Self {
        Self { step, detail: detail.into(), code: error.raw_os_error() }
    }

    /// What was tried, on what, and why it failed, in one line.
    pub fn description(&self) -> String {
        let mut text = String::from(self.step.doing());
        if !self.detail.is_empty() {
            text.push_str(&format!(" ({})", self.detail));
        }
        text.push_str(" failed");
        if self.code != 0 {
            text.push_str(&format!(": {}", std::io::Error::from_raw_os_error(self.code)));
        }
        text
    }

    /// What would help, where it is known.
    pub fn remedy(&self) -> Option<&'static str> {
        self.step.remedy(Errno::from_raw_os_error(self.code))
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.description())?;
        self.remedy().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

impl std::error::Error for LaunchError {}

/// Something that could not be done, and that the sandbox does without.
pub type Warning = LaunchError;

/// Turns the kernel's errors into ours, at the place where it is known what was done on what.
pub(super) trait During<T> {
    fn during(self, step: Step, detail: &str) -> Result<T, LaunchError>;
}

impl<T> During<T> for Result<T, Errno> {
    fn during(self, step: Step, detail: &str) -> Result<T, LaunchError> {
        self.map_err(|error| LaunchError::new(step, detail, error))
    }
}

impl<T> During<T> for Result<T, packet::DeviceError> {
    fn during(self, step: Step, detail: &str) -> Result<T, LaunchError> {
        self.map_err(|error| LaunchError {
            step,
            detail: if detail.is_empty() { error.doing.into() } else { format!("{}: {detail}", error.doing) },
            code: error.code,
        })
    }
}

impl<T> During<T> for Result<T, link::TapError> {
    fn during(self, step: Step, detail: &str) -> Result<T, LaunchError> {
        self.map_err(packet::DeviceError::from).during(step, detail)
    }
}

impl<T> During<T> for Result<T, std::io::Error> {
    fn during(self, step: Step, detail: &str) -> Result<T, LaunchError> {
        self.map_err(|error| LaunchError {
            step,
            detail: detail.into(),
            code: error.raw_os_error().unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_a_number_of_its_own() {
        for step in Step::ALL {
            assert_eq!(Step::from_number(step.number()), Some(*step));
        }
        assert_eq!(Step::from_number(u8::MAX), None);
    }

    #[test]
    fn an_error_says_what_on_what_why_and_what_helps() {
        let error = LaunchError::new(Step::AttachTap, "opening /dev/net/tun", Errno::NOENT);
        let text = error.to_string();
        for part in ["attaching a TAP", "opening /dev/net/tun", "No such file", "--attach veth"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
