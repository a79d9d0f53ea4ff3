//! The order of a SYN's options, by which operating systems differ (RFC 9293 §3.1 leaves it open).

use super::{END, MSS, NO_OPERATION, Options, SACK_PERMITTED, TIMESTAMPS, WINDOW_SCALE, user_timeout};

/// In which order the options of a SYN stand, and how they are padded.
///
/// | order | options | padding |
/// |---|---|---|
/// | Linux | MSS, SACK permitted, timestamps, window scale, Fast Open, user timeout | no-operations before an option, or behind Fast Open |
/// | FreeBSD | MSS, window scale, SACK permitted, timestamps, user timeout, Fast Open | no-operations before an option, end of options at last |
///
/// ```
/// use wire::tcp::{HEADER_LENGTH, Header, OptionOrder, Options};
///
/// /// The four bytes behind the MSS, which is first in both.
/// fn second(order: OptionOrder) -> [u8; 4] {
///     let (mss, window_scale) = (Some(1_460), Some(7));
///     let options = Options { mss, window_scale, sack_permitted: true, order, ..Options::default() };
///     let mut bytes = [0; 60];
///     Header { options, ..Header::default() }.emit(&mut bytes);
///     [4, 5, 6, 7].map(|at| bytes[HEADER_LENGTH + at])
/// }
/// assert_eq!(second(OptionOrder::Linux), [1, 1, 4, 2]);
/// assert_eq!(second(OptionOrder::FreeBsd), [1, 3, 3, 7]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OptionOrder {
    /// Linux's.
    #[default]
    Linux,
    /// FreeBSD's.
    FreeBsd,
}

/// Bytes of options in FreeBSD's order, SACK blocks left out.
pub(super) fn freebsd_length(options: &Options) -> usize {
    let mut length = if options.mss.is_some() { 4 } else { 0 };
    length += if options.window_scale.is_some() { 4 } else { 0 };
    length += if options.sack_permitted { 2 } else { 0 };
    if options.timestamps.is_some() {
        // They stand two bytes behind a multiple of four, so that their words stand at one.
        length += if length % 4 == 0 { 12 } else { 10 };
    }
    length += if options.user_timeout.is_some() { user_timeout::LENGTH } else { 0 };
    (length + options.fast_open.map_or(0, |cookie| cookie.length())).next_multiple_of(4)
}

/// Writes them into `bytes`, which are as many as they need.
pub(super) fn emit_freebsd(options: &Options, bytes: &mut [u8]) {
    bytes.fill(END);
    let mut at = 0;
    let mut put = |part: &[u8]| {
        bytes[at..at + part.len()].copy_from_slice(part);
        at += part.len();
        at
    };
    let mut end = 0;
    if let Some(mss) = options.mss {
        let [high, low] = mss.to_be_bytes();
        end = put(&[MSS, 4, high, low]);
    }
    if let Some(shift) = options.window_scale {
        end = put(&[NO_OPERATION, WINDOW_SCALE, 3, shift]);
    }
    if options.sack_permitted {
        end = put(&[SACK_PERMITTED, 2]);
    }
    if let Some(timestamps) = options.timestamps {
        if end % 4 == 0 {
            put(&[NO_OPERATION, NO_OPERATION]);
        }
        put(&[TIMESTAMPS, 10]);
        put(&timestamps.value.to_be_bytes());
        end = put(&timestamps.echo.to_be_bytes());
    }
    if let Some(timeout) = options.user_timeout {
        end = put(&timeout.bytes());
    }
    if let Some(cookie) = options.fast_open {
        cookie.emit(&mut bytes[end..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::{FastOpen, Flags, HEADER_LENGTH, HEADER_LENGTH_MAX, Header, Timestamps, UserTimeout};
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use time::Duration;

    fn written(order: OptionOrder, options: Options) -> Vec<u8> {
        let header = Header { flags: Flags::SYN, options: Options { order, ..options }, ..Header::default() };
        let mut bytes = [0xee; HEADER_LENGTH_MAX];
        header.emit(&mut bytes);
        bytes[HEADER_LENGTH..header.length()].to_vec()
    }

    fn full() -> Options {
        let timestamps = Some(Timestamps { value: 1, echo: 0 });
        Options {
            mss: Some(1_460),
            window_scale: Some(6),
            sack_permitted: true,
            timestamps,
            ..Options::default()
        }
    }

    #[test]
    fn a_syn_carries_its_options_in_freebsds_order() {
        let freebsd = |options| written(OptionOrder::FreeBsd, options);
        assert_eq!(freebsd(full()), [2, 4, 5, 180, 1, 3, 3, 6, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0]);
        let without = Options { timestamps: None, ..full() };
        assert_eq!(freebsd(without), [2, 4, 5, 180, 1, 3, 3, 6, 4, 2, 0, 0]);
        let unselective = Options { sack_permitted: false, ..full() };
        assert_eq!(freebsd(unselective)[..12], [2, 4, 5, 180, 1, 3, 3, 6, 1, 1, 8, 10]);
        let request = Options { fast_open: Some(FastOpen::REQUEST), ..full() };
        assert_eq!(freebsd(request)[20..], [34, 2, 0, 0]);
    }

    #[test]
    fn fast_open_stands_last_in_linux_order_and_is_padded_behind() {
        let request = Options { fast_open: Some(FastOpen::REQUEST), ..full() };
        assert_eq!(written(OptionOrder::Linux, request)[16..], [1, 3, 3, 6, 34, 2, 1, 1]);
        let cookie = FastOpen::new(&[9; 8]).map(|cookie| cookie.experimental(true));
        let experimental = Options { fast_open: cookie, ..full() };
        assert_eq!(
            written(OptionOrder::Linux, experimental)[20..],
            [254, 12, 0xf9, 0x89, 9, 9, 9, 9, 9, 9, 9, 9]
        );
    }

    proptest! {
        #[test]
        fn a_syn_says_the_same_in_either_order(
            mss in prop::option::of(any::<u16>()), shift in prop::option::of(any::<u8>()), selective: bool,
            stamps in prop::option::of(any::<(u32, u32)>()), cookie in prop::option::of(0..=8usize), old: bool,
            seconds in prop::option::of(any::<u32>()),
        ) {
            let timestamps = stamps.map(|(value, echo)| Timestamps { value, echo });
            let fast_open = cookie
                .and_then(|half| FastOpen::new(&[half as u8; 16][..2 * half]))
                .map(|cookie| cookie.experimental(old));
            // Beside the longest cookie there is no room for it.
            let user_timeout = seconds
                .filter(|_| cookie.is_none_or(|half| half < 7))
                .map(|seconds| UserTimeout::new(Duration::from_secs(seconds.into())));
            for order in [OptionOrder::Linux, OptionOrder::FreeBsd] {
                let options = Options {
                    mss, window_scale: shift, sack_permitted: selective, timestamps, fast_open, user_timeout, order,
                    ..Options::default()
                };
                let header = Header { flags: Flags::SYN, options, ..Header::default() };
                let mut bytes = [0xee; HEADER_LENGTH_MAX];
                header.emit(&mut bytes);
                let (read, length) = Header::parse(&bytes).expect("well-formed");
                prop_assert_eq!(length, header.length());
                prop_assert_eq!(Options { order, ..read.options }, options);
            }
        }
    }
}
