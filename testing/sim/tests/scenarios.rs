//! Thousands of cases from thousands of seeds: another network, other harm, other programs, other profiles in each.
//! Whatever they are, every byte arrives or the program is told, nothing hangs, and nothing is left.

use sim::{Outcome, Scale, Scenario, for_each_seed};

/// What leaves again where nothing was lost, of a thousand bytes: what was late, or came in another order.
const AGAIN_PER_MILLE_MAX: u64 = 18;
/// What leaves again for each packet that was lost, in bytes: some of those had no payload.
const AGAIN_BYTES_EACH_MAX: u64 = 800;

fn run(seed: u64) -> Outcome {
    let scenario = Scenario::draw(seed, &Scale::BRIEF);
    if std::env::var_os("WEFT_SEED").is_some() {
        println!("{scenario:#?}");
    }
    let outcome = scenario.run();
    println!("seed {seed}: {outcome:?}");
    outcome
}

#[test]
fn every_case_keeps_to_the_model_and_little_leaves_again_without_a_cause() {
    let (mut whole, mut harmed) = (Outcome::default(), Outcome::default());
    for_each_seed(2_000, |seed| {
        let outcome = run(seed);
        let sum = if outcome.lost + outcome.too_big == 0 { &mut whole } else { &mut harmed };
        *sum = sum.and(&outcome);
    });
    // One case by itself may be made of nothing but what is late.
    if std::env::var_os("WEFT_SEED").is_none() {
        assert!(whole.again_bytes * 1_000 <= whole.bytes * AGAIN_PER_MILLE_MAX, "{whole:?}");
        assert!(harmed.again_bytes <= (harmed.lost + harmed.too_big) * AGAIN_BYTES_EACH_MAX, "{harmed:?}");
    }
}
