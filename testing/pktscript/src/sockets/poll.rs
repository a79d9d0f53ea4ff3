//! poll and epoll.

use super::call::{Refused, unsupported};
use super::table::{Answer, Kind, Progress, Sockets, Watch};
use super::value::{field, figure, number, word};
use crate::run::World;
use crate::syntax::Value;
use std::time::Duration;
use time::Instant;

const IN: i64 = 1;
const OUT: i64 = 4;
const ERROR: i64 = 8;
const HANG_UP: i64 = 0x10;
const PEER_CLOSED: i64 = 0x2000;
const ONE_SHOT: i64 = 1 << 30;
const EDGE: i64 = 1 << 31;

impl Sockets {
    /// What can be said of a descriptor now.
    fn readiness(&mut self, world: &mut World, descriptor: i64) -> i64 {
        let Some(held) = self.descriptors.get_mut(&descriptor) else { return 0 };
        let id = match &mut held.kind {
            Kind::Listening { ready, .. } => return if ready.is_empty() { 0 } else { IN },
            Kind::Datagram(datagrams) => return if datagrams.look(world) { IN | OUT } else { OUT },
            Kind::Fresh { .. } => return OUT | HANG_UP,
            Kind::Epoll(_) => return 0,
            Kind::Stream(id) => *id,
        };
        let status = self.statuses.entry(id).or_default();
        let mut ready = 0;
        if world.stack.tcp_readable(id) > 0 || status.peer_closed || status.read_shut || status.closed {
            ready |= IN;
        }
        let room = world.stack.tcp_writable(id);
        // As Linux: at least a third of the buffer is free.
        let queued = world.stack.tcp_info(id, world.now).map_or(0, |info| info.queued_bytes as usize);
        if (status.established && room > 0 && room * 2 >= queued) || status.write_shut || status.closed {
            ready |= OUT;
        }
        if status.peer_closed || status.read_shut || status.closed {
            ready |= PEER_CLOSED;
        }
        if status.closed || (status.peer_closed && status.write_shut) {
            ready |= HANG_UP;
        }
        if status.error.is_some() {
            ready |= ERROR;
        }
        ready
    }

    pub(super) fn poll(&mut self, world: &mut World, arguments: &[Value], progress: &Progress) -> Refused {
        let Some(Value::List(entries)) = arguments.first() else {
            return Err(unsupported("poll() of this form".to_owned()));
        };
        let (mut count, mut difference) = (0, None);
        for entry in entries {
            let part = |name: &str| field(entry, name).map(|value| number(Some(value))).transpose();
            let descriptor = part("fd").map_err(unsupported)?.unwrap_or(-1);
            let events = part("events").map_err(unsupported)?.unwrap_or(0);
            let wanted = part("revents").map_err(unsupported)?.unwrap_or(0);
            let ready = self.readiness(world, descriptor) & (events | ERROR | HANG_UP);
            count += i64::from(ready != 0);
            if ready != wanted && difference.is_none() {
                difference = Some(format!("revents of {descriptor}: expected {wanted:#x}, found {ready:#x}"));
            }
        }
        let timeout = number(arguments.get(2)).map_err(unsupported)?;
        if count == 0
            && let Some(waiting) = waiting(timeout, progress, world.now)
        {
            return Ok(waiting);
        }
        Ok(difference.map_or(Answer::Returns(count), Answer::Differs))
    }

    pub(super) fn epoll_control(&mut self, arguments: &[Value]) -> Refused {
        let epoll = number(arguments.first()).map_err(unsupported)?;
        let operation = word(arguments.get(1)).unwrap_or_default();
        let descriptor = number(arguments.get(2)).map_err(unsupported)?;
        if !self.descriptors.contains_key(&descriptor) {
            return Ok(Answer::Fails("EBADF"));
        }
        let events = arguments.get(3).and_then(|event| field(event, "events"));
        let events = events.map_or(Ok(0), |events| number(Some(events))).map_err(unsupported)?;
        let Kind::Epoll(watches) = &mut self.held(epoll)?.kind else { return Ok(Answer::Fails("EINVAL")) };
        let known = watches.contains_key(&descriptor);
        match operation {
            "EPOLL_CTL_ADD" if known => return Ok(Answer::Fails("EEXIST")),
            "EPOLL_CTL_MOD" | "EPOLL_CTL_DEL" if !known => return Ok(Answer::Fails("ENOENT")),
            "EPOLL_CTL_ADD" | "EPOLL_CTL_MOD" => {
                watches.insert(descriptor, Watch { events, fresh: !0 });
            }
            "EPOLL_CTL_DEL" => {
                watches.remove(&descriptor);
            }
            name => return Err(unsupported(format!("epoll_ctl {name}"))),
        }
        Ok(Answer::Returns(0))
    }

    pub(super) fn epoll_wait(
        &mut self,
        world: &mut World,
        arguments: &[Value],
        progress: &Progress,
    ) -> Refused {
        let epoll = number(arguments.first()).map_err(unsupported)?;
        let Kind::Epoll(watches) = &self.held(epoll)?.kind else { return Ok(Answer::Fails("EINVAL")) };
        let watches: Vec<(i64, Watch)> = watches.iter().map(|(number, watch)| (*number, *watch)).collect();
        let most = usize::try_from(number(arguments.get(2)).map_err(unsupported)?).unwrap_or(0);
        let mut told = Vec::new();
        for (descriptor, watch) in watches {
            let interest = watch.events & 0xffff | if watch.events == 0 { 0 } else { ERROR | HANG_UP };
            let mut ready = self.readiness(world, descriptor) & interest;
            if watch.events & EDGE != 0 && ready & watch.fresh == 0 {
                ready = 0;
            }
            if ready != 0 && told.len() < most {
                told.push((descriptor, ready));
            }
        }
        if let Kind::Epoll(watches) = &mut self.held(epoll)?.kind {
            for (descriptor, _) in &told {
                let Some(watch) = watches.get_mut(descriptor) else { continue };
                watch.fresh = 0;
                if watch.events & ONE_SHOT != 0 {
                    watch.events = 0;
                }
            }
        }
        let timeout = number(arguments.get(3)).map_err(unsupported)?;
        if told.is_empty()
            && let Some(waiting) = waiting(timeout, progress, world.now)
        {
            return Ok(waiting);
        }
        let expected: Vec<&Value> = match arguments.get(1) {
            Some(Value::List(items)) => items.iter().collect(),
            Some(Value::Ellipsis) | None => vec![],
            Some(single) => vec![single],
        };
        for ((descriptor, ready), wanted) in told.iter().zip(expected) {
            let events = field(wanted, "events").map_or(Some(*ready), figure);
            let number = field(wanted, "fd").map_or(Some(*descriptor), figure);
            if (events, number) != (Some(*ready), Some(*descriptor)) {
                let text = format!(
                    "epoll_wait: expected {events:#x?} of {number:?}, found {ready:#x} of {descriptor}"
                );
                return Ok(Answer::Differs(text));
            }
        }
        Ok(Answer::Returns(told.len() as i64))
    }
}

/// A wait that goes on; a negative timeout never ends.
fn waiting(timeout_ms: i64, progress: &Progress, now: Instant) -> Option<Answer> {
    let Ok(timeout_ms) = u64::try_from(timeout_ms) else { return Some(Answer::Blocks(None)) };
    let end = progress.began + Duration::from_millis(timeout_ms);
    (now < end).then_some(Answer::Blocks(Some(end)))
}
