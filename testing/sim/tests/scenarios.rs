//! Thousands of cases from thousands of seeds: another network, other harm, other programs, other profiles in each.
//! Whatever they are, every byte arrives or the program is told, nothing hangs, and nothing is left.

use sim::{Scale, Scenario, for_each_seed};

fn run(seed: u64) {
    let scenario = Scenario::draw(seed, &Scale::BRIEF);
    if std::env::var_os("WEFT_SEED").is_some() {
        println!("{scenario:#?}");
    }
    let outcome = scenario.run();
    println!("seed {seed}: {outcome:?}");
}

#[test]
fn every_case_keeps_to_the_model() {
    for_each_seed(2_000, run);
}
