//! What a rules file says, as data. An example of it all is at [`Ruleset`].

use crate::network::Network;
use crate::rate::Rate;
use alloc::string::String;
use alloc::vec::Vec;
use wire::Protocol;
use wire::tcp::Flags;

/// The rules of all hooks, and the sets that they name.
///
/// ```
/// use filter::{Action, DefaultVerdict, Hook, Ruleset};
/// let rules = Ruleset::parse(
///     "set office { 192.0.2.0/24, 2001:db8::/32 }
///      receive default drop
///          accept state established, related
///          accept tcp from @office to port 22    # administration
///      ",
/// )?;
/// let chain = rules.chain(Hook::Receive);
/// assert_eq!((chain.default, chain.rules.len()), (DefaultVerdict::Drop, 2));
/// assert_eq!(chain.rules[1].shown(&rules.sets).to_string(), "accept tcp from @office to port 22");
/// // As it would be written by hand, comments and all.
/// assert_eq!(Ruleset::parse(&rules.to_string())?.to_string(), rules.to_string());
/// # Ok::<(), filter::Errors>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Sets in the order in which they are written.
    pub sets: Vec<Set>,
    /// By [`Hook`]; one that is not written accepts everything.
    pub chains: [Chain; 3],
    /// Comments behind everything else.
    pub closing: Vec<String>,
}

impl Ruleset {
    /// The rules of one hook.
    #[must_use]
    pub const fn chain(&self, hook: Hook) -> &Chain {
        &self.chains[hook as usize]
    }

    /// The names of the interfaces that rules speak of, each once and in order.
    ///
    /// ```
    /// let rules = filter::Ruleset::parse("receive default accept\n drop on wan\n drop on lan, wan")?;
    /// assert_eq!(rules.interfaces(), ["lan", "wan"]);
    /// # Ok::<(), filter::Errors>(())
    /// ```
    #[must_use]
    pub fn interfaces(&self) -> Vec<&str> {
        let rules = self.chains.iter().flat_map(|chain| &chain.rules);
        let mut names: Vec<&str> =
            rules.flat_map(|rule| &rule.matches.interfaces.items).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Where on its way a packet is judged.
///
/// ```
/// use filter::Hook;
/// assert_eq!(Hook::ALL.map(Hook::name), ["receive", "forward", "send"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// It has arrived for this machine.
    Receive,
    /// It has arrived for another, and is to be passed on.
    Forward,
    /// This machine sends it.
    Send,
}

impl Hook {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Receive, Self::Forward, Self::Send];

    /// Its name, as it stands in rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Forward => "forward",
            Self::Send => "send",
        }
    }
}

/// A named set of addresses.
///
/// ```
/// let rules = filter::Ruleset::parse("set resolvers { 192.0.2.53, 2001:db8::53 }")?;
/// assert_eq!((rules.sets[0].name.as_str(), rules.sets[0].networks.len()), ("resolvers", 2));
/// # Ok::<(), filter::Errors>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// What rules call it, behind an `@`.
    pub name: String,
    /// The file that its addresses stand in, one a line, where they are not in the rules file itself.
    pub file: Option<String>,
    /// What it holds, in the order in which it is written.
    pub networks: Vec<Network>,
    /// The line that it starts on.
    pub line: u32,
    /// Comments in front of it, without the `#`.
    pub comments: Vec<String>,
}

/// The rules of one hook, and what becomes of a packet that none of them decides.
///
/// ```
/// let rules = filter::Ruleset::parse("send default accept\n drop tcp to port 25")?;
/// assert_eq!(rules.chain(filter::Hook::Send).rules.len(), 1);
/// assert!(rules.chain(filter::Hook::Receive).rules.is_empty());
/// # Ok::<(), filter::Errors>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// For what no rule decides.
    pub default: DefaultVerdict,
    /// The rules: the first that matches and decides is the one.
    pub rules: Vec<Rule>,
    /// The line that it starts on; 0 where it is not written.
    pub line: u32,
    /// Comments in front of it, without the `#`.
    pub comments: Vec<String>,
}

/// What becomes of a packet that no rule decides.
///
/// ```
/// use filter::{DefaultVerdict, Hook, Ruleset};
/// let rules = Ruleset::parse("receive default reject")?;
/// assert_eq!(rules.chain(Hook::Receive).default, DefaultVerdict::Reject);
/// # Ok::<(), filter::Errors>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultVerdict {
    /// It passes.
    #[default]
    Accept,
    /// It vanishes.
    Drop,
    /// It vanishes, and its sender is told.
    Reject,
}

/// One rule: what it does with the packets that it matches.
///
/// ```
/// let rules = filter::Ruleset::parse("receive default drop\n accept udp to port 53  # queries")?;
/// let rule = &rules.chain(filter::Hook::Receive).rules[0];
/// assert_eq!((rule.line, rule.remark.as_deref()), (2, Some("queries")));
/// # Ok::<(), filter::Errors>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it does.
    pub action: Action,
    /// Which packets it matches.
    pub matches: Match,
    /// The line that it stands on.
    pub line: u32,
    /// Comments in front of it, without the `#`.
    pub comments: Vec<String>,
    /// The comment behind it.
    pub remark: Option<String>,
}

/// What a rule does.
///
/// ```
/// let rules = filter::Ruleset::parse("receive default drop\n count \"pings\" icmp type echo-request")?;
/// let action = &rules.chain(filter::Hook::Receive).rules[0].action;
/// assert_eq!(*action, filter::Action::Count(Some("pings".into())));
/// # Ok::<(), filter::Errors>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The packet passes.
    Accept,
    /// It vanishes.
    Drop,
    /// It vanishes, and its sender is told so.
    Reject(Answer),
    /// It is counted, under a name perhaps, and the rules go on.
    Count(Option<String>),
    /// Within the rate the rules go on; beyond it the packet vanishes.
    Limit(RateLimit),
}

/// How the sender of a rejected packet is told.
///
/// ```
/// let rules = filter::Ruleset::parse("receive default drop\n reject with port")?;
/// let action = &rules.chain(filter::Hook::Receive).rules[0].action;
/// assert_eq!(*action, filter::Action::Reject(filter::Answer::Port));
/// # Ok::<(), filter::Errors>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// A TCP segment by a reset (RFC 9293 §3.10.7.1), everything else by ICMP: prohibited.
    #[default]
    Fitting,
    /// ICMP: communication administratively prohibited (RFC 1812 §5.2.7.1, RFC 4443 §3.1).
    Prohibited,
    /// ICMP: port unreachable.
    Port,
    /// ICMP: host unreachable, or address unreachable in IPv6.
    Host,
}

/// What a packet has to be for a rule to match it: all of this.
///
/// ```
/// let rules = filter::Ruleset::parse("receive default drop\n accept tcp from not 192.0.2.0/24 to port 80, 443")?;
/// let matches = &rules.chain(filter::Hook::Receive).rules[0].matches;
/// assert!(matches.sources.negated && matches.destination_ports.items.len() == 2);
/// # Ok::<(), filter::Errors>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// The interface that it arrives or leaves by.
    pub interfaces: List<String>,
    /// The transport.
    pub protocols: List<Protocol>,
    /// The sender's address.
    pub sources: List<Target>,
    /// The sender's port.
    pub source_ports: List<PortRange>,
    /// The receiver's address.
    pub destinations: List<Target>,
    /// The receiver's port.
    pub destination_ports: List<PortRange>,
    /// TCP's control bits.
    pub flags: Option<FlagsMatch>,
    /// ICMP's type, and code.
    pub types: List<IcmpType>,
    /// What it is to the connections that are known.
    pub states: States,
    /// Whether it comes within a rate, or beyond it. Asked last, of packets that match in everything else.
    pub rate: Option<RateMatch>,
}

/// One of these, or none of these; without items, anything.
///
/// ```
/// let any = filter::List::<u8>::default();
/// assert!(any.is_any());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T> {
    /// None of the items is meant, instead of one of them.
    pub negated: bool,
    /// What is listed.
    pub items: Vec<T>,
}

impl<T> List<T> {
    /// Whether it says nothing.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether the list lets a value pass that is, or is not, one of its items as `is` tells.
    #[inline]
    pub(crate) fn holds(&self, is: impl FnMut(&T) -> bool) -> bool {
        self.items.is_empty() || self.items.iter().any(is) != self.negated
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { negated: false, items: Vec::new() }
    }
}

/// An address of a rule.
///
/// ```
/// let rules = filter::Ruleset::parse("set a { 192.0.2.1 }\nsend default accept\n drop to @a, 192.0.2.0/25")?;
/// let targets = &rules.chain(filter::Hook::Send).rules[0].matches.destinations.items;
/// assert_eq!(targets[0], filter::Target::Set(0));
/// # Ok::<(), filter::Errors>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address or a network.
    Network(Network),
    /// A set, by its place in [`Ruleset::sets`].
    Set(usize),
}

/// Ports from the first to the last, both included.
///
/// ```
/// let privileged = filter::PortRange { first: 0, last: 1_023 };
/// assert!(privileged.contains(22) && !privileged.contains(1_024));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last, not below the first.
    pub last: u16,
}

impl PortRange {
    /// Whether a port is among them.
    #[must_use]
    pub const fn contains(&self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

/// Control bits that are looked at, and those of them that have to be set.
///
/// ```
/// use wire::tcp::Flags;
/// let opens = filter::FlagsMatch { set: Flags::SYN, of: Flags::SYN | Flags::ACK };
/// assert!(opens.matches(Flags::SYN) && !opens.matches(Flags::SYN | Flags::ACK));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagsMatch {
    /// Those that have to be set.
    pub set: Flags,
    /// Those that are looked at: what is not in `set` has to be clear.
    pub of: Flags,
}

impl FlagsMatch {
    /// Whether a segment's bits are these.
    #[must_use]
    pub const fn matches(self, flags: Flags) -> bool {
        flags.0 & self.of.0 == self.set.0
    }
}

/// A type of ICMP or ICMPv6 message, whichever protocol the rule names, and perhaps one code of it.
///
/// ```
/// let port_unreachable = filter::IcmpType { kind: 3, code: Some(3) };
/// assert!(port_unreachable.matches(3, 3) && !port_unreachable.matches(3, 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpType {
    /// The type.
    pub kind: u8,
    /// The code; any where there is none.
    pub code: Option<u8>,
}

impl IcmpType {
    /// Whether a message is of this type and code.
    #[must_use]
    pub fn matches(&self, kind: u8, code: u8) -> bool {
        self.kind == kind && self.code.is_none_or(|known| known == code)
    }
}

/// What a packet is to the connections that are known.
///
/// ```
/// assert_eq!(filter::State::ALL.len(), 5);
/// assert_eq!(filter::State::Related.name(), "related");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It opens one, or comes from who opened one that has not been answered yet.
    New,
    /// It belongs to one that has been answered, or is the answer.
    Established,
    /// It is an ICMP error about a packet of one.
    Related,
    /// It can belong to none and open none.
    Invalid,
    /// It is of a kind that is not tracked: another protocol than TCP, UDP and ICMP queries, or a fragment without its
    /// transport's header.
    Untracked,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::New, Self::Established, Self::Related, Self::Invalid, Self::Untracked];

    /// Its name, as it stands in rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Established => "established",
            Self::Related => "related",
            Self::Invalid => "invalid",
            Self::Untracked => "untracked",
        }
    }
}

/// Some of the states; none of them: any.
///
/// ```
/// use filter::{State, States};
/// let mut states = States::default();
/// assert!(states.is_any() && states.holds(State::Invalid));
/// states.insert(State::New);
/// assert!(states.holds(State::New) && !states.holds(State::Invalid));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States(u8);

impl States {
    /// Adds one; whether it was not among them yet.
    pub const fn insert(&mut self, state: State) -> bool {
        let is_new = self.0 & 1 << state as u8 == 0;
        self.0 |= 1 << state as u8;
        is_new
    }

    /// Whether nothing is said of states.
    #[must_use]
    pub const fn is_any(self) -> bool {
        self.0 == 0
    }

    /// Whether a packet in this state is meant.
    #[must_use]
    pub const fn holds(self, state: State) -> bool {
        self.0 == 0 || self.0 & 1 << state as u8 != 0
    }
}

/// A rate, how much may come at once, and for whom it is counted.
///
/// ```
/// let rules = filter::Ruleset::parse("receive default accept\n limit 5/second burst 10 per source udp")?;
/// let filter::Action::Limit(limit) = &rules.chain(filter::Hook::Receive).rules[0].action else { panic!() };
/// assert_eq!((limit.rate.amount, limit.burst, limit.per), (5, 10, filter::Per::Source));
/// # Ok::<(), filter::Errors>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The rate.
    pub rate: Rate,
    /// How much may come at once after a quiet time, in the rate's unit. Default: the rate's amount.
    pub burst: u64,
    /// For whom it is counted.
    pub per: Per,
}

/// For whom a rate is counted.
///
/// ```
/// assert_eq!(filter::Per::default(), filter::Per::Rule);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Per {
    /// For all that the rule matches together.
    #[default]
    Rule,
    /// For each address that sends.
    Source,
    /// For each address that is sent to.
    Destination,
    /// For each program that the owner tells of.
    Program,
}

/// Whether a packet comes within a rate.
///
/// ```
/// let rules = filter::Ruleset::parse("receive default accept\n drop udp rate over 1 mbytes/second")?;
/// let rate = rules.chain(filter::Hook::Receive).rules[0].matches.rate.expect("there is one");
/// assert!(rate.over && rate.limit.rate.unit == filter::Unit::Bytes);
/// # Ok::<(), filter::Errors>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateMatch {
    /// What comes beyond the rate is meant, instead of what comes within.
    pub over: bool,
    /// The rate.
    pub limit: RateLimit,
}
