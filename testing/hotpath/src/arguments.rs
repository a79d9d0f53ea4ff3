//! The command line.

/// What `--help` prints.
pub const HELP: &str = "\
What one segment costs the stack, without a device around it.

Usage: hotpath [OPTIONS] cost|receive|send|memory|filter

  receive nanoseconds a full segment that is received and acknowledged
  send    the same of one that is sent and acknowledged
  cost    both
  memory  bytes that the process holds for each established, idle connection
  filter  nanoseconds a packet that the packet filter judges, by how much it knows

Options:
  --connections N  established connections, used in turn (default 1, 1 to 2,000,000)
  --segments N     segments each way (default 1,000,000)
  --packets N      packets that are judged (default 1,000,000)
  --help           this text
";

/// The most connections: ports of a few dozen peers.
const CONNECTIONS_MAX: usize = 2_000_000;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// The help text.
    Help,
    /// What a segment costs.
    Cost(Ways, Settings),
    /// What a connection holds.
    Memory(Settings),
    /// What the packet filter costs.
    Filter {
        /// Packets of each course.
        packets: usize,
    },
}

/// Which ways segments go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ways {
    /// They are received.
    pub receive: bool,
    /// They are sent.
    pub send: bool,
}

/// How it is measured.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// Established connections.
    pub connections: usize,
    /// Segments each way.
    pub segments: usize,
}

/// A word that says what is asked for.
enum Task {
    Cost(Ways),
    Memory,
    Filter,
}

/// Reads the words after the program's name.
pub fn parse(words: &[String]) -> Result<Request, String> {
    let mut settings = Settings { connections: 1, segments: 1_000_000 };
    let mut request = None;
    let mut packets = 1_000_000;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = |max: usize| {
            let text = words.next().ok_or_else(|| format!("{word} needs a number"))?;
            let number = text.replace(',', "").parse().ok().filter(|number| (1..=max).contains(number));
            number.ok_or_else(|| format!("{word} takes 1 to {max}, not {text}"))
        };
        match word.as_str() {
            "--help" | "-h" => return Ok(Request::Help),
            "--connections" => settings.connections = number(CONNECTIONS_MAX)?,
            "--segments" => settings.segments = number(usize::MAX)?,
            "--packets" => packets = number(usize::MAX)?,
            "memory" => request = Some(Task::Memory),
            "filter" => request = Some(Task::Filter),
            "cost" => request = Some(Task::Cost(Ways { receive: true, send: true })),
            "receive" => request = Some(Task::Cost(Ways { receive: true, send: false })),
            "send" => request = Some(Task::Cost(Ways { receive: false, send: true })),
            other => return Err(format!("{other} is not understood")),
        }
    }
    match request {
        Some(Task::Cost(ways)) => Ok(Request::Cost(ways, settings)),
        Some(Task::Memory) => Ok(Request::Memory(settings)),
        Some(Task::Filter) => Ok(Request::Filter { packets }),
        None => Err("what is to be measured?".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn numbers_are_bounded_and_one_request_is_needed() {
        let settings = Settings { connections: 100_000, segments: 5 };
        assert_eq!(
            parsed("--connections 100,000 --segments 5 send"),
            Ok(Request::Cost(Ways { receive: false, send: true }, settings))
        );
        assert_eq!(parsed("--packets 7 filter"), Ok(Request::Filter { packets: 7 }));
        assert!(parsed("--connections 0 cost").is_err());
        assert!(parsed("--connections").is_err());
        assert!(parsed("").is_err());
        assert!(parsed("cost fast").is_err());
    }
}
