//! Long cases from one seed after another, on every core, until time is up or one fails: `cargo xtask soak`.
#![forbid(unsafe_code)]

use sim::{Outcome, Scale, Scenario};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const HELP: &str = "\
Runs the simulation's scenarios with one seed after another, on every core, until the time is up or one fails: larger
transfers, more connections, and more of them one after the other than the tests have time for.

Usage: cargo xtask soak [--hours H | --minutes M | --count N | --seed S] [OPTIONS]

  --hours H     for so long (default 8)
  --minutes M   for so long
  --count N     so many seeds
  --seed S      this one alone, and say what it is
  --from S      begin with this seed (default: one that the clock decides)
  --jobs N      so many at once (default: one for each core)
  --brief       scenarios as small as those of the tests
  --keep-going  do not stop at the first that fails

A seed that fails is told with the line that runs it again; WEFT_PCAP=FILE before that line writes its packets as pcap.

Exit status: 0 every case kept to the model, 1 one did not, 2 the command line is not understood.
";

/// The status where nobody reads what is said, as in `cargo xtask soak | head`: that of a filter that SIGPIPE ends.
const READER_GONE_STATUS: i32 = 141;

/// A line to standard output; ends the program quietly where its reader is gone.
macro_rules! say {
    ($($words:tt)*) => {
        match writeln!(io::stdout(), $($words)*) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(READER_GONE_STATUS),
            Err(error) => {
                eprintln!("soak: standard output: {error}");
                std::process::exit(1);
            }
        }
    };
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Time(Duration),
    Count(u64),
    One(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Request {
    limit: Limit,
    from: Option<u64>,
    jobs: usize,
    brief: bool,
    keep_going: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        say!("{}", HELP.trim_end());
        return ExitCode::SUCCESS;
    }
    match parse(&words) {
        Ok(request) => soak(&request),
        Err(reason) => {
            eprintln!("soak: {reason}; see cargo xtask soak --help");
            ExitCode::from(2)
        }
    }
}

fn parse(words: &[String]) -> Result<Request, String> {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let limit = Limit::Time(Duration::from_secs(8 * 3_600));
    let mut request = Request { limit, from: None, jobs: cores, brief: false, keep_going: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = |least: u64| {
            let number = words.next().and_then(|number| number.parse::<u64>().ok());
            number
                .filter(|number| *number >= least)
                .ok_or_else(|| format!("{word} takes a number from {least}"))
        };
        match word.as_str() {
            "--hours" => request.limit = Limit::Time(Duration::from_secs(number(1)?.saturating_mul(3_600))),
            "--minutes" => request.limit = Limit::Time(Duration::from_secs(number(1)?.saturating_mul(60))),
            "--count" => request.limit = Limit::Count(number(1)?),
            "--seed" => request.limit = Limit::One(number(0)?),
            "--from" => request.from = Some(number(0)?),
            "--jobs" => request.jobs = number(1)? as usize,
            "--brief" => request.brief = true,
            "--keep-going" => request.keep_going = true,
            other => return Err(format!("{other} is not understood")),
        }
    }
    Ok(request)
}

/// How often a line tells that it goes on.
const TELL_INTERVAL: Duration = Duration::from_secs(600);

/// What the threads share.
struct Progress {
    next: AtomicU64,
    stop: AtomicBool,
    failed: AtomicU64,
    /// Cases, and their packets, losses and virtual time.
    sums: Mutex<(u64, Outcome)>,
    /// When the next line of progress is due, since the start.
    due: Mutex<Duration>,
}

impl Progress {
    /// What to tell after `elapsed`, once each [`TELL_INTERVAL`], by whichever thread ends a case first.
    fn poll_line(&self, elapsed: Duration) -> Option<String> {
        let mut due = self.due.lock().expect("no thread panics while it looks");
        if elapsed < *due {
            return None;
        }
        *due = elapsed + TELL_INTERVAL;
        let failed = self.failed.load(Ordering::Relaxed);
        let cases = self.sums.lock().expect("no thread panics while it adds").0;
        Some(format!(
            "soak: {cases} cases kept to the model, {failed} failed, after {} min",
            elapsed.as_secs() / 60
        ))
    }
}

fn soak(request: &Request) -> ExitCode {
    let start = Instant::now();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let clock = since.map_or(0, |since| since.as_secs() * 1_000_000);
    let (first, jobs) = match request.limit {
        Limit::One(seed) => (seed, 1),
        Limit::Time(_) | Limit::Count(_) => (request.from.unwrap_or(clock), request.jobs),
    };
    say!("soak: seeds from {first} on, {jobs} at once");
    let progress = Progress {
        next: AtomicU64::new(first),
        stop: AtomicBool::new(false),
        failed: AtomicU64::new(0),
        sums: Mutex::default(),
        due: Mutex::new(TELL_INTERVAL),
    };
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| work(request, first, start, &progress));
        }
    });
    let (cases, sums) = progress.sums.into_inner().expect("no thread panics while it adds");
    say!(
        "soak: {cases} cases, {} packets, {} lost, {} too big, {} h of virtual time in {} s",
        sums.packets,
        sums.lost,
        sums.too_big,
        sums.span.as_secs() / 3_600,
        start.elapsed().as_secs()
    );
    match progress.failed.into_inner() {
        0 => ExitCode::SUCCESS,
        failed => {
            eprintln!("soak: {failed} failed");
            ExitCode::FAILURE
        }
    }
}

/// One seed after another.
fn work(request: &Request, first: u64, start: Instant, progress: &Progress) {
    let scale = if request.brief { Scale::BRIEF } else { Scale::LONG };
    while !progress.stop.load(Ordering::Relaxed) {
        let seed = progress.next.fetch_add(1, Ordering::Relaxed);
        let more = match request.limit {
            Limit::Time(most) => start.elapsed() < most,
            Limit::Count(count) => seed - first < count,
            Limit::One(_) => seed == first,
        };
        if !more {
            return;
        }
        let scenario = Scenario::draw(seed, &scale);
        if matches!(request.limit, Limit::One(_)) {
            say!("{scenario:#?}");
        }
        match catch_unwind(AssertUnwindSafe(|| scenario.run())) {
            Ok(outcome) => {
                let mut sums = progress.sums.lock().expect("no thread panics while it adds");
                sums.0 += 1;
                sums.1 = sums.1.and(&outcome);
            }
            Err(_) => {
                let brief = if request.brief { " --brief" } else { "" };
                eprintln!("failed with seed {seed}; to replay: cargo xtask soak --seed {seed}{brief}");
                progress.failed.fetch_add(1, Ordering::Relaxed);
                progress.stop.fetch_or(!request.keep_going, Ordering::Relaxed);
            }
        }
        if let Some(line) = progress.poll_line(start.elapsed()) {
            say!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<Request, String> {
        parse(&words.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn progress_is_told_once_an_interval() {
        let progress = Progress {
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            failed: AtomicU64::new(1),
            sums: Mutex::new((7, Outcome::default())),
            due: Mutex::new(TELL_INTERVAL),
        };
        assert_eq!(progress.poll_line(TELL_INTERVAL - Duration::from_secs(1)), None);
        let line = "soak: 7 cases kept to the model, 1 failed, after 10 min";
        assert_eq!(progress.poll_line(TELL_INTERVAL).as_deref(), Some(line));
        assert_eq!(progress.poll_line(TELL_INTERVAL), None);
        assert!(progress.poll_line(TELL_INTERVAL * 2).is_some());
    }

    #[test]
    fn requests_are_read_and_garbage_is_refused() {
        let request = parse_words("--minutes 3 --from 7 --jobs 1 --brief").unwrap();
        let limit = Limit::Time(Duration::from_secs(180));
        assert_eq!(request, Request { limit, from: Some(7), jobs: 1, brief: true, keep_going: false });
        assert_eq!(parse_words("--seed 0").unwrap().limit, Limit::One(0));
        for words in ["--hours", "--hours 0", "--hours x", "--seed -1", "--fast", "5"] {
            assert!(parse_words(words).is_err(), "{words}");
        }
    }
}
