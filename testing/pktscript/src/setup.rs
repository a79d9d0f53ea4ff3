//! Set-up commands and those between events: shell words with a meaning here. An unknown one stops the script.

use crate::settings::{Setting, Settings};
use std::time::Duration;

/// The longest `sleep`, in seconds: a day.
const SLEEP_SECONDS_MAX: f64 = 86_400.0;

/// What a command asks for besides settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Time has to pass.
    Wait(Duration),
    /// So many sockets have to be in the state of this name.
    Sockets {
        /// The state's name in capitals.
        state: String,
        /// How many.
        count: usize,
    },
}

/// Obeys a command.
///
/// # Errors
///
/// The construct that is not known here.
pub fn obey(command: &str, settings: &mut Settings) -> Result<Vec<Wish>, String> {
    let mut wishes = Vec::new();
    let joined = command.replace("\\\n", " ");
    // A word that starts with # begins a comment.
    let lines = joined.lines().map(|line| match line.trim_start().starts_with('#') {
        true => "",
        false => line.split(" #").next().unwrap_or_default(),
    });
    for line in lines.flat_map(|line| line.split(&['&', ';'])).map(str::trim).filter(|line| !line.is_empty())
    {
        wishes.extend(obey_line(line, settings)?);
    }
    Ok(wishes)
}

fn obey_line(line: &str, settings: &mut Settings) -> Result<Option<Wish>, String> {
    let words = words(line);
    let Some((command, rest)) = words.split_first() else { return Ok(None) };
    let name = command.rsplit('/').next().unwrap_or(command);
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (name, rest.as_slice()) {
        ("defaults.sh", _) => settings.set_linux_defaults(),
        ("sysctl", words) => assign(words, settings)?,
        ("set_sysctls.py", words) => assign(words, settings)?,
        ("echo", [value, ">", path]) if path.starts_with("/proc/sys/") => assign_one(path, value, settings)?,
        ("sleep", [seconds, ..]) => {
            let seconds: f64 = seconds.parse().map_err(|_| line.to_owned())?;
            if !(0.0..=SLEEP_SECONDS_MAX).contains(&seconds) {
                return Err(line.to_owned());
            }
            return Ok(Some(Wish::Wait(Duration::from_secs_f64(seconds))));
        }
        ("sockstat", words) => return sockstat(words).map(Some).ok_or_else(|| line.to_owned()),
        // Nothing is remembered from one script to the next, nothing is queued, and the device does nothing of itself.
        ("ip", ["tcp_metrics", "flush" | "delete", ..]) | ("true" | ":", _) => {}
        // A queueing discipline that paces is the stack's own pacing here; of the others nothing shows.
        ("tc", ["qdisc", "add" | "replace", "dev", _, "root", "fq", ..]) => settings.tcp.pacing = true,
        ("tc", ["qdisc", "add" | "replace" | "del", "dev", _, "root", ..]) => settings.tcp.pacing = false,
        ("ethtool", ["-K" | "--offload", ..]) => {}
        (name, _) if name.starts_with("sysctl_restore_") => {}
        (name, [first, ..]) => return Err(format!("command {name} {first}")),
        (name, []) => return Err(format!("command {name}")),
    }
    Ok(None)
}

/// `name=value ...`, options and redirections left out.
fn assign(words: &[&str], settings: &mut Settings) -> Result<(), String> {
    for word in words.iter().filter(|word| !word.starts_with('-')) {
        if word.starts_with(['>', '|']) || word.starts_with("2>") {
            break;
        }
        let Some((name, value)) = word.split_once('=') else { return Err(format!("sysctl {word}")) };
        assign_one(name, value, settings)?;
    }
    Ok(())
}

fn assign_one(name: &str, value: &str, settings: &mut Settings) -> Result<(), String> {
    let name = name.strip_prefix("/proc/sys/").unwrap_or(name).replace('/', ".");
    match settings.set(&name, value) {
        Setting::Done => Ok(()),
        Setting::Unsupported(what) => Err(what),
    }
}

/// `sockstat ... | grep -c STATE | grep COUNT`.
fn sockstat(words: &[&str]) -> Option<Wish> {
    let state = words.iter().find(|word| {
        word.len() > 5 && word.chars().all(|c| c.is_ascii_uppercase() || matches!(c, '_' | '-' | '0'..='9'))
    })?;
    let count = words.last()?.parse().ok()?;
    Some(Wish::Sockets { state: state.replace('-', "_"), count })
}

/// Words as a shell would split them; quotes are taken off.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut depth) = (Vec::new(), String::new(), None, 0_u32);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() && depth == 0 => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
            }
            (_, c) => {
                depth = match c {
                    '(' => depth + 1,
                    ')' => depth.saturating_sub(1),
                    _ => depth,
                };
                word.push(c);
            }
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    #[test]
    fn the_suites_forms_are_obeyed() {
        let mut settings = Profile::Linux.settings();
        let command = "../common/defaults.sh\n./set_sysctls.py /proc/sys/net/ipv4/tcp_timestamps=0 \
                       /proc/sys/net/ipv4/tcp_wmem=\"4096 50000 4194304\"\nsysctl -q net.ipv4.tcp_syn_retries=3 # of a SYN; no more\n# nothing";
        assert_eq!(obey(command, &mut settings), Ok(vec![]));
        let tcp = &settings.tcp;
        assert_eq!((tcp.timestamps, tcp.send_start_bytes, tcp.syn_retries), (false, 50_000, 3));
        let wish =
            obey("sockstat -4 -P tcp -s | grep packetdril | grep -c TIME_WAIT | grep 1", &mut settings);
        assert_eq!(wish, Ok(vec![Wish::Sockets { state: "TIME_WAIT".to_owned(), count: 1 }]));
        for (discipline, paces) in [("fq", true), ("pfifo", false)] {
            assert_eq!(
                obey(&format!("tc qdisc replace dev tun0 root {discipline}"), &mut settings),
                Ok(vec![])
            );
            assert_eq!(settings.tcp.pacing, paces, "{discipline}");
        }
        let wish = obey("sleep 0.5", &mut settings);
        assert_eq!(wish, Ok(vec![Wish::Wait(Duration::from_millis(500))]));
    }

    #[test]
    fn what_is_unknown_is_named() {
        let mut settings = Profile::Linux.settings();
        assert_eq!(obey("iptables -A x", &mut settings), Err("command iptables -A".to_owned()));
        assert_eq!(
            obey("sysctl -q net.ipv4.tcp_mtu_probing=3", &mut settings).unwrap_err(),
            "net.ipv4.tcp_mtu_probing=3"
        );
    }
}
