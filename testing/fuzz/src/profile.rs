//! What an input asks of a connection's profile, by two bytes.

use tcp::{Config, CongestionAlgorithm, EcnFeedback, EcnOption, MtuProbing};

/// The profile that two bytes make of `from`:
///
/// | bits | of the first | of the second |
/// |---|---|---|
/// | 0, 1 | the law of congestion control | what ECN is asked for and agreed to |
/// | 2, 3 | when the option of accurate ECN is sent | whether and when sizes are tried |
/// | 4 | no timestamps | buffers start small |
/// | 5 | no SACK | buffers are small |
/// | 6 | no pacing | little may be unsent |
/// | 7 | no Nagle | corked |
pub(crate) fn profile(from: &Config, first: u8, second: u8) -> Config {
    let laws = CongestionAlgorithm::ALL;
    let feedback = match second & 3 {
        0 => EcnFeedback::Off,
        1 => EcnFeedback::Classic,
        _ => EcnFeedback::Accurate,
    };
    let probing = match second >> 2 & 3 {
        0 => MtuProbing::Off,
        1 => MtuProbing::BlackHole,
        _ => MtuProbing::Always,
    };
    let option = match first >> 2 & 3 {
        0 => EcnOption::Never,
        1 => EcnOption::Changed,
        _ => EcnOption::Always,
    };
    let of = |bits: u8, bit: u8| bits & bit != 0;
    let start_bytes = if of(second, 16) { 4_000 } else { 64 << 10 };
    let buffer_bytes = if of(second, 32) { 9_000 } else { 4 << 20 };
    Config {
        congestion: laws[usize::from(first & 3) % laws.len()],
        ecn_option: option,
        timestamps: !of(first, 16),
        sack: !of(first, 32),
        pacing: !of(first, 64),
        nagle: !of(first, 128),
        ecn_request: feedback,
        ecn_accept: feedback,
        mtu_probing: probing,
        send_start_bytes: start_bytes,
        receive_start_bytes: start_bytes,
        send_buffer_bytes: buffer_bytes,
        receive_buffer_bytes: buffer_bytes,
        unsent_bytes_max: if of(second, 64) { 2_000 } else { u32::MAX },
        cork: of(second, 128),
        ..from.clone()
    }
}
