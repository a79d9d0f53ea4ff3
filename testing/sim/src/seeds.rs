//! Many worlds from many seeds, and the way back to the one that failed.

/// Runs `test` with the seeds 0 to `count` - 1; or, where the environment variable `WEFT_SEED` names one, with that
/// alone. Where a seed fails, what to type to replay it is printed.
pub fn for_each_seed(count: u64, mut test: impl FnMut(u64)) {
    let named = std::env::var("WEFT_SEED").ok();
    let seeds = match named.as_deref().map(str::parse) {
        Some(Ok(seed)) => seed..seed + 1,
        Some(Err(_)) => panic!("WEFT_SEED is a number"),
        None => 0..count,
    };
    for seed in seeds {
        let replay = Replay { seed };
        test(seed);
        drop(replay);
    }
}

/// Says how to replay a seed, if the test panics while it lives.
struct Replay {
    seed: u64,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = std::thread::current().name().unwrap_or("the test").to_owned();
            eprintln!("failed with seed {0}; to replay: WEFT_SEED={0} cargo test -p sim {name}", self.seed);
            eprintln!("WEFT_PCAP=FILE writes its packets besides");
        }
    }
}
