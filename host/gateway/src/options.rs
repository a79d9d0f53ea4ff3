//! What `weft run` is told, as data.

use crate::limits::Limit;
use ledger::Durability;
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Everything that one run is told. The rules are text here: the run parses them, and stops where one is wrong.
///
/// ```
/// use gateway::Options;
/// use std::time::Duration;
///
/// let options = Options {
///     command: vec!["curl".into(), "https://api.example.com/".into()],
///     allow: vec!["api.example.com:443".into()],
///     resolve: vec!["api.example.com=192.0.2.7".parse()?],
///     timeout: Some(Duration::from_secs(30)),
///     ..Options::default()
/// };
/// assert!(options.deny.is_empty() && !options.fail_on_deny);
/// # Ok::<(), gateway::options::OptionError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Rules that allow.
    pub allow: Vec<String>,
    /// Rules that deny; they win.
    pub deny: Vec<String>,
    /// Files of the policy: Cedar where a name ends in `.cedar`, else one rule a line. They are read again when they
    /// change, where the command cannot write them.
    pub policy: Vec<String>,
    /// Lists that policies in Cedar name: a name, and its file.
    pub lists: Vec<(String, String)>,
    /// Directories that the command cannot write: a change of a policy's file in one of them counts while it runs.
    pub read_only: Vec<PathBuf>,
    /// Directories and files that the command must not reach, besides the ledger that is written.
    pub hidden: Vec<PathBuf>,
    /// What becomes of connections that a changed policy does not allow any more.
    pub on_revoke: OnRevoke,
    /// Refuse to run where something that closes a way out cannot be done here.
    pub strict: bool,
    /// The upstream resolver; the host's where not given.
    pub dns: Option<SocketAddr>,
    /// Names whose address is given here instead of by a resolver.
    pub resolve: Vec<Pin>,
    /// Where to write events, one JSON object a line.
    pub events: Option<PathBuf>,
    /// Nothing of weft's own on standard error but failures of weft itself.
    pub quiet: bool,
    /// Lets TLS without a server name pass where a connection was opened for a name.
    pub tls_opaque: bool,
    /// How long the command may run.
    pub timeout: Option<Duration>,
    /// Exit with 100 where something was refused, whatever the command exits with.
    pub fail_on_deny: bool,
    /// Ports of the host that lead to ports inside.
    pub publish: Vec<Publish>,
    /// How much of the network the run may use.
    pub limits: Vec<Limit>,
    /// The rules of a packet filter between the command and the stack.
    pub filter: Option<PathBuf>,
    /// How the namespace is attached.
    pub attach: Attach,
    /// Where to write every frame, as pcap.
    pub pcap: Option<PathBuf>,
    /// Where what is decided is written down; nowhere where not given.
    pub ledger: Option<LedgerOptions>,
    /// Where to write the policy that the run needs, while everything that no rule denies is allowed, or [asked](Self::ask)
    /// for: in Cedar where its name ends in `.cedar`, else one rule a line.
    pub learn: Option<PathBuf>,
    /// What no rule speaks of is asked at the terminal while it is learned, and nothing of it allowed before.
    pub ask: bool,
}

/// The ledger that a run writes.
///
/// ```
/// use gateway::options::LedgerOptions;
/// use ledger::Durability;
///
/// let ledger = LedgerOptions {
///     directory: "/var/lib/weft/ledger".into(),
///     durability: Durability::Sync,
///     keep_logs: Some(12),
///     ..LedgerOptions::default()
/// };
/// assert_ne!(ledger.durability, Durability::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerOptions {
    /// Its directory, made where there is none; the keys that sign are in `DIRECTORY.key`, made where there are none.
    pub directory: PathBuf,
    /// Whether a connection waits for the disk.
    pub durability: Durability,
    /// A log with this many bytes of entries goes on in a new one; 1 GiB where not told.
    pub rotate_bytes: Option<u64>,
    /// A log this old goes on in a new one; 30 days where not told.
    pub rotate_age: Option<Duration>,
    /// How many logs of this run's shard stay, the newest included, when a new one begins; all where not told.
    pub keep_logs: Option<usize>,
    /// Logs that ended longer ago than this go when a new one begins; never where not told.
    pub keep_age: Option<Duration>,
}

/// What becomes of open connections that a changed policy does not allow any more.
///
/// ```
/// use gateway::options::OnRevoke;
/// assert_eq!(OnRevoke::default(), OnRevoke::Close);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRevoke {
    /// They are closed.
    #[default]
    Close,
    /// They go on.
    Leave,
}

/// How the namespace's link reaches the stack.
///
/// ```
/// use gateway::Options;
/// use gateway::options::Attach;
///
/// // A packet socket at the end of a veth pair, whether or not there is a TUN device.
/// let options = Options { attach: Attach::Veth, ..Options::default() };
/// assert_eq!((options.attach, Attach::default()), (Attach::Veth, Attach::Auto));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attach {
    /// TAP where `/dev/net/tun` can be opened, else veth.
    #[default]
    Auto,
    /// A TAP device.
    Tap,
    /// A veth pair with a packet socket at the far end.
    Veth,
}

/// `NAME=ADDRESS`: a name that resolves to this address and to nothing else.
///
/// ```
/// use gateway::options::Pin;
/// let pin: Pin = "DB.example.com=[2001:db8::7]".parse()?;
/// assert_eq!((pin.name.as_str(), pin.address.to_string()), ("db.example.com", "2001:db8::7".to_owned()));
/// # Ok::<(), gateway::options::OptionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The name, in lower case and without a trailing dot.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
}

/// `[ADDRESS:]PORT:PORT[/udp]`: a port of the host that leads to one inside.
///
/// ```
/// use gateway::options::Publish;
/// let publish: Publish = "8080:80".parse()?;
/// assert_eq!((publish.host, publish.port, publish.udp), (([127, 0, 0, 1], 8_080).into(), 80, false));
/// assert!("0.0.0.0:5353:53/udp".parse::<Publish>()?.udp);
/// # Ok::<(), gateway::options::OptionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where the host listens.
    pub host: SocketAddr,
    /// The port inside, at the program's address.
    pub port: u16,
    /// Whether it is UDP instead of TCP.
    pub udp: bool,
}

/// An option's value cannot be understood: what was expected.
///
/// ```
/// use gateway::options::Pin;
/// let wrong = "db.example.com".parse::<Pin>().unwrap_err();
/// assert_eq!(wrong.to_string(), "expected NAME=ADDRESS, as in db.example.com=192.0.2.7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError(String);

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OptionError {}

impl FromStr for Pin {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let (name, address) = text
            .split_once('=')
            .ok_or_else(|| OptionError("expected NAME=ADDRESS, as in db.example.com=192.0.2.7".into()))?;
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if name.is_empty() || name.contains('*') {
            return Err(OptionError(format!("'{name}' is no name: expected NAME=ADDRESS")));
        }
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let address = bare.parse().map_err(|_| {
            OptionError(format!("'{address}' is no IPv4 or IPv6 address: expected NAME=ADDRESS"))
        })?;
        Ok(Self { name, address })
    }
}

impl FromStr for Publish {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let wrong = || {
            OptionError(format!(
                "'{text}': expected [ADDRESS:]PORT:PORT[/udp], as in 8080:80 or 127.0.0.1:5353:53/udp"
            ))
        };
        let (ports, udp) = match text.rsplit_once('/') {
            Some((ports, "udp")) => (ports, true),
            Some((ports, "tcp")) => (ports, false),
            Some(_) => return Err(wrong()),
            None => (text, false),
        };
        let (outer, inner) = ports.rsplit_once(':').ok_or_else(wrong)?;
        let port = |text: &str| match text.parse::<u16>() {
            Ok(port) if port != 0 && !text.starts_with('+') => Ok(port),
            _ => Err(wrong()),
        };
        let host = match outer.rsplit_once(':') {
            None => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port(outer)?),
            Some((address, outer)) => {
                let bare =
                    address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
                SocketAddr::new(bare.parse().map_err(|_| wrong())?, port(outer)?)
            }
        };
        Ok(Self { host, port: port(inner)?, udp })
    }
}

/// `ADDRESS[:PORT]` of a resolver; port 53 where none is given.
///
/// # Errors
///
/// Where it is neither.
pub fn parse_resolver(text: &str) -> Result<SocketAddr, OptionError> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().map(|address| SocketAddr::new(address, 53)).map_err(|_| {
        OptionError(format!("'{text}': expected ADDRESS[:PORT] of a resolver, as in 192.0.2.53:5353"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_ports_are_read_and_garbage_is_refused() {
        let plain: Publish = "8080:80".parse().expect("plain");
        assert_eq!(plain, Publish { host: "127.0.0.1:8080".parse().unwrap(), port: 80, udp: false });
        let v6: Publish = "[::1]:5353:53/udp".parse().expect("v6");
        assert_eq!(v6, Publish { host: "[::1]:5353".parse().unwrap(), port: 53, udp: true });
        for wrong in ["", "80", "0:80", "80:0", "80:80/sctp", "x:80:80", "+1:2", "1:70000"] {
            assert!(wrong.parse::<Publish>().is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn pins_and_resolvers_are_read_and_garbage_is_refused() {
        let pin: Pin = "DB.example.com.=[2001:db8::1]".parse().expect("pin");
        assert_eq!(pin, Pin { name: "db.example.com".into(), address: "2001:db8::1".parse().unwrap() });
        assert!("=1.2.3.4".parse::<Pin>().is_err() && "a=b".parse::<Pin>().is_err());
        assert_eq!(parse_resolver("192.0.2.1").unwrap(), "192.0.2.1:53".parse().unwrap());
        assert_eq!(parse_resolver("[::1]:5353").unwrap(), "[::1]:5353".parse().unwrap());
        assert!(parse_resolver("localhost").is_err());
    }
}
