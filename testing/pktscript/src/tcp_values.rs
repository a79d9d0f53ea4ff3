//! The names that assertions know: constants, and what the stack tells of a connection. A name that is not here stops the
//! script; when [`stack::TcpInfo`] has learned a figure, one line is added.

use stack::TcpInfo;
use tcp::State;

type Figure = fn(&TcpInfo) -> i64;

/// What the stack tells.
const FIGURES: [(&str, Figure); 2] =
    [("tcpi_state", |info| state_number(info.state)), ("tcpi_pmtu", |info| i64::from(info.path_mtu))];

/// Linux's numbers.
const CONSTANTS: [(&str, i64); 23] = [
    ("TCP_ESTABLISHED", 1),
    ("TCP_SYN_SENT", 2),
    ("TCP_SYN_RECV", 3),
    ("TCP_FIN_WAIT1", 4),
    ("TCP_FIN_WAIT2", 5),
    ("TCP_TIME_WAIT", 6),
    ("TCP_CLOSE", 7),
    ("TCP_CLOSE_WAIT", 8),
    ("TCP_LAST_ACK", 9),
    ("TCP_LISTEN", 10),
    ("TCP_CLOSING", 11),
    ("TCP_CA_Open", 0),
    ("TCP_CA_Disorder", 1),
    ("TCP_CA_CWR", 2),
    ("TCP_CA_Recovery", 3),
    ("TCP_CA_Loss", 4),
    ("TCPI_OPT_TIMESTAMPS", 1),
    ("TCPI_OPT_SACK", 2),
    ("TCPI_OPT_WSCALE", 4),
    ("TCPI_OPT_ECN", 8),
    ("TCPI_OPT_ECN_SEEN", 16),
    ("TCPI_OPT_SYN_DATA", 32),
    ("TCP_INFINITE_SSTHRESH", 0x7fff_ffff),
];

/// The value of a name, where it is known. A connection that is gone is closed.
pub fn value(name: &str, info: Option<&TcpInfo>) -> Option<i64> {
    if let Some((_, value)) = CONSTANTS.iter().find(|(known, _)| *known == name) {
        return Some(*value);
    }
    let (_, figure) = FIGURES.iter().find(|(known, _)| *known == name)?;
    match info {
        Some(info) => Some(figure(info)),
        None => (name == "tcpi_state").then(|| state_number(State::Closed)),
    }
}

/// Linux's number of a state.
const fn state_number(state: State) -> i64 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}

/// A state by the name that tools print, dashes written as underscores.
pub fn state_named(name: &str) -> Option<State> {
    Some(match name {
        "ESTABLISHED" => State::Established,
        "SYN_SENT" => State::SynSent,
        "FIN_WAIT_1" => State::FinWait1,
        "FIN_WAIT_2" => State::FinWait2,
        "TIME_WAIT" => State::TimeWait,
        "CLOSED" => State::Closed,
        "CLOSE_WAIT" => State::CloseWait,
        "LAST_ACK" => State::LastAck,
        "LISTEN" => State::Listen,
        "CLOSING" => State::Closing,
        _ => return None,
    })
}
