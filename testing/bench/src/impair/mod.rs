//! Linux and weft across a link that loses, delays and limits: `bench impair-link` and `bench endpoint`.
//!
//! ```text
//!   sender: Linux behind a TAP ─┐                                        ┌─ receiver: Linux behind a TAP
//!                               ├─ impair-link: the simulator's link, ───┤
//!   sender: weft on a cable ────┘  under the machine's clock             └─ receiver: weft on a cable
//! ```
//!
//! The same seed makes the same decisions for the same packets, whoever sends them.
//!
//! - [`check`]: every pair of ends across every kind of harm
//! - [`crossing`]: a link with everything at its ends
//! - [`link`]: the process between the two sides
//! - [`endpoint`]: the programs at either end
//! - [`pattern`]: what they send, so that a wrong byte is seen

mod check;
pub mod crossing;
pub mod endpoint;
pub mod link;
mod pattern;

/// The MTU of the link, in bytes.
pub const MTU: u16 = 1_500;

/// Runs the program of the given words:
///
/// - `impair-link LEFT RIGHT [NAME=NUMBER]...`
/// - `endpoint PLACE ROLE OWN FAR ...`
/// - `crossings`
pub fn run(words: &[String]) -> Result<(), String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let address = |text: &str| text.parse().map_err(|_| format!("not an address: {text}"));
    match words[..] {
        ["impair-link", left, right, ref rest @ ..] => link::run(left, right, rest),
        ["endpoint", place, role, own, far, ref rest @ ..] => {
            endpoint::run(place, role, address(own)?, address(far)?, rest)
        }
        ["crossings"] => check::run(),
        _ => Err("unknown program".to_owned()),
    }
}
