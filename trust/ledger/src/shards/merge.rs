//! Several streams as one, by time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What several streams give, the earliest of their next items first, and of equal ones that of the first stream. Each
/// stream keeps its own order, whatever its times are: a clock may have been set back. Of each stream one item is held.
#[derive(Debug)]
pub struct Merge<T, I> {
    streams: Vec<I>,
    /// The next item of each.
    heads: Vec<Option<T>>,
    /// The time of each next item, and its stream.
    order: BinaryHeap<Reverse<(u64, usize)>>,
}

impl<T, I: Iterator<Item = (u64, T)>> Merge<T, I> {
    /// Of streams whose items have times.
    pub fn new(streams: Vec<I>) -> Self {
        let count = streams.len();
        let heads = std::iter::repeat_with(|| None).take(count).collect();
        let mut merge = Self { streams, heads, order: BinaryHeap::new() };
        (0..count).for_each(|stream| merge.advance(stream));
        merge
    }

    fn advance(&mut self, stream: usize) {
        if let Some((time_ns, item)) = self.streams[stream].next() {
            self.heads[stream] = Some(item);
            self.order.push(Reverse((time_ns, stream)));
        }
    }
}

impl<T, I: Iterator<Item = (u64, T)>> Iterator for Merge<T, I> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let Reverse((_, stream)) = self.order.pop()?;
        let item = self.heads[stream].take();
        self.advance(stream);
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Items that tell their time, stream and place in it.
    type Item = (u64, usize, usize);

    fn streams(times: &[Vec<u64>]) -> Vec<Vec<Item>> {
        let stream = |(stream, times): (usize, &Vec<u64>)| {
            times.iter().enumerate().map(|(at, time_ns)| (*time_ns, stream, at)).collect()
        };
        times.iter().enumerate().map(stream).collect()
    }

    fn merged(streams: &[Vec<Item>]) -> Vec<Item> {
        let timed = streams.iter().map(|items| items.iter().map(|item| (item.0, *item)));
        Merge::new(timed.collect()).collect()
    }

    proptest! {
        #[test]
        fn times_that_go_up_come_in_their_order(
            mut times in proptest::collection::vec(proptest::collection::vec(0u64..20, 0..12), 0..8),
        ) {
            times.iter_mut().for_each(|times| times.sort_unstable());
            let streams = streams(&times);
            let mut all = streams.concat();
            all.sort_unstable();
            prop_assert_eq!(merged(&streams), all);
        }

        /// Against a model that looks at all next items each time.
        #[test]
        fn times_that_do_not_keep_their_streams_orders(
            times in proptest::collection::vec(proptest::collection::vec(0u64..20, 0..12), 0..8),
        ) {
            let streams = streams(&times);
            let mut left: Vec<&[Item]> = streams.iter().map(Vec::as_slice).collect();
            let mut expected = Vec::new();
            while let Some(earliest) = left.iter().filter_map(|items| items.first()).min_by_key(|item| (item.0, item.1)) {
                expected.push(*earliest);
                left[earliest.1] = &left[earliest.1][1..];
            }
            prop_assert_eq!(merged(&streams), expected);
        }
    }
}
