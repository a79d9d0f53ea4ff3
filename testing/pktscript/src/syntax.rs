//! A script as data: what the parser makes and the run goes through.

use std::time::Duration;

/// A whole script.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// The options at its head, each a name and a value.
    pub options: Vec<(String, String)>,
    /// The set-up command before the first event, with its line.
    pub setup: Option<(u32, String)>,
    /// The events in order.
    pub events: Vec<Event>,
    /// The clean-up command behind the last event.
    pub cleanup: Option<String>,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The line on which it starts, from 1.
    pub line: u32,
    /// When it happens.
    pub time: Time,
    /// What happens.
    pub action: Action,
}

/// When an event happens. Ranges and [`Any`](Self::Any) stand only before what the stack sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Since the script's start.
    Absolute(Duration),
    /// Since the end of the event before.
    Relative(Duration),
    /// Whenever.
    Any,
    /// Between two times since the script's start.
    AbsoluteRange(Duration, Duration),
    /// Between two times since the end of the event before.
    RelativeRange(Duration, Duration),
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A packet arrives or leaves.
    Packet(Packet),
    /// The program calls the system.
    Call(Call),
    /// A shell command.
    Command(String),
    /// Assertions.
    Code(String),
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the stack.
    Inbound,
    /// From the stack.
    Outbound,
}

/// A packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// Which way.
    pub direction: Direction,
    /// What is said of its IP header.
    pub network: Network,
    /// Source and destination port, where they are given.
    pub ports: Option<(u16, u16)>,
    /// What is in it.
    pub body: Body,
}

/// What is said of an IP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The two ECN bits (RFC 3168 §5); [`ECT_EITHER`] where both ECT codes will do.
    pub ecn: Option<u8>,
    /// The whole of the traffic class.
    pub traffic_class: Option<u8>,
    /// Time to live, or hop limit.
    pub hop_limit: Option<u8>,
    /// The flow label; of what the stack sends, a name for it, or 0 for none.
    pub flow_label: Option<u32>,
}

/// Stands for ECT(0) or ECT(1).
pub const ECT_EITHER: u8 = 4;

/// What is in a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A TCP segment.
    Tcp(Segment),
    /// A datagram with so many bytes of payload.
    Udp(usize),
    /// An ICMP message.
    Icmp(Icmp),
    /// Something that the parser knows by name only.
    Other(String),
}

/// A TCP segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The control bits.
    pub flags: u16,
    /// The first number, `None` where it is not said.
    pub sequence: Option<Number>,
    /// Bytes of payload.
    pub length: u32,
    /// The acknowledgement number.
    pub acknowledgement: Option<Number>,
    /// The window as it stands in the header.
    pub window: Option<u16>,
    /// The urgent pointer.
    pub urgent: Option<u16>,
    /// The options in their order; `None` for any.
    pub options: Option<Vec<TcpOption>>,
}

/// A sequence or acknowledgement number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Its value in the script.
    pub value: u32,
    /// It stands on the wire as it stands in the script.
    pub absolute: bool,
}

/// A TCP option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOption {
    /// End of the list.
    End,
    /// Padding.
    Nop,
    /// RFC 9293 §3.7.1.
    Mss(u16),
    /// RFC 7323 §2.
    WindowScale(u8),
    /// RFC 2018 §2.
    SackPermitted,
    /// RFC 2018 §3.
    Sack(Vec<(u32, u32)>),
    /// RFC 7323 §3.
    Timestamps {
        /// TSval.
        value: u32,
        /// TSecr.
        echo: u32,
        /// The echo stands on the wire as in the script.
        echo_absolute: bool,
    },
    /// RFC 7413 §4.1.1.
    FastOpen(Vec<u8>),
    /// Fast Open under the experimental kind.
    FastOpenExperimental(Vec<u8>),
    /// RFC 9768 §3.2.3.
    AccurateEcn {
        /// In order 1: bytes with ECT(1), marked, with ECT(0); else the other way round.
        ect1_first: bool,
        /// The counters that there are.
        counters: Vec<u32>,
    },
    /// Any other, by kind and data.
    Raw(u8, Vec<u8>),
    /// One that the parser knows by name only.
    Other(String),
}

/// An ICMP message: an error with a quoted packet, or an echo.
#[derive(Clone, Debug, PartialEq)]
pub struct Icmp {
    /// The type's name.
    pub kind: String,
    /// The code's name.
    pub code: Option<String>,
    /// The MTU of the next hop.
    pub mtu: Option<u32>,
    /// What it quotes.
    pub quoted: Quoted,
}

/// What an ICMP error quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoted {
    /// A segment: its first number and its payload's length.
    Tcp(u32, u32),
    /// A datagram's payload length, with its ports where they are given.
    Udp(usize, Option<(u16, u16)>),
}

/// A system call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<Value>,
    /// When it returns, where it blocks; relative as the event's own time is.
    pub until: Option<Duration>,
    /// What it returns.
    pub result: Value,
    /// The name of the error.
    pub errno: Option<String>,
}

/// An argument or a result of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `...`: whatever fits.
    Ellipsis,
    /// A number.
    Integer(i64),
    /// A name.
    Word(String),
    /// A string.
    Text(String),
    /// Values with `|` between.
    Either(Vec<Value>),
    /// `[a, b]`.
    List(Vec<Value>),
    /// `{name=a, name=b}`.
    Record(Vec<(String, Value)>),
    /// `{a, b}`.
    Tuple(Vec<Value>),
    /// `name(a)`.
    Apply(String, Vec<Value>),
}
