//! Bytes of connections: read and write in their many forms.

use super::call::{Refused, unsupported};
use super::table::{Answer, Kind, Progress, Sockets};
use super::value::{address, buffers, field, figure, number, word};
use crate::profile::Profile;
use crate::run::World;
use crate::syntax::Value;
use packet::Bytes;
use stack::TcpId;

const MSG_DONTWAIT: i64 = 0x40;
const MSG_FASTOPEN: i64 = 0x2000_0000;
const MSG_WAITALL: i64 = 0x100;

/// Bytes that one call may move.
const LENGTH_MAX: usize = 16 << 20;

/// What a call moves.
struct Transfer {
    length: usize,
    flags: i64,
    /// How many bytes a control message has to tell of that still wait to be read.
    inq: Option<i64>,
}

/// The one control message that is known: TCP_CM_INQ.
fn inq(control: &Value) -> Option<i64> {
    let Value::List(messages) = control else { return None };
    let [message] = messages.as_slice() else { return None };
    let is_inq = word(field(message, "cmsg_level")) == Some("SOL_TCP")
        && word(field(message, "cmsg_type")) == Some("TCP_CM_INQ");
    field(message, "cmsg_data").and_then(figure).filter(|_| is_inq)
}

impl Transfer {
    /// Reads the arguments that the call of this name has.
    fn bounded(name: &str, arguments: &[Value]) -> Result<Self, Answer> {
        let transfer = Self::read(name, arguments)?;
        match transfer.length {
            0..=LENGTH_MAX => Ok(transfer),
            length => Err(Answer::Unsupported(format!("{name}() of {length} bytes"))),
        }
    }

    fn read(name: &str, arguments: &[Value]) -> Result<Self, Answer> {
        let length = |value: Option<&Value>| {
            let length = number(value).map_err(unsupported)?;
            usize::try_from(length).map_err(|_| Answer::Unsupported("a negative length".to_owned()))
        };
        let whole =
            |value: &Value| buffers(value).ok_or_else(|| Answer::Unsupported(format!("buffers {value:?}")));
        let few = || Answer::Unsupported("a call with too few arguments".to_owned());
        match name {
            "readv" | "writev" => {
                Ok(Self { length: whole(arguments.get(1).ok_or_else(few)?)?, flags: 0, inq: None })
            }
            "sendmsg" | "recvmsg" => {
                let message = arguments.get(1).ok_or_else(few)?;
                let control = field(message, "msg_control");
                let inq = control.and_then(inq);
                let is_known = inq.is_some() && name == "recvmsg";
                if !is_known && control.is_some_and(|control| *control != Value::List(vec![])) {
                    return Err(Answer::Unsupported("msg_control".to_owned()));
                }
                let length = whole(field(message, "msg_iov").ok_or_else(few)?)?;
                Ok(Self { length, flags: number(arguments.get(2)).map_err(unsupported)?, inq })
            }
            "read" | "write" => Ok(Self { length: length(arguments.get(2))?, flags: 0, inq: None }),
            _ => {
                let flags = number(arguments.get(3)).map_err(unsupported)?;
                Ok(Self { length: length(arguments.get(2))?, flags, inq: None })
            }
        }
    }
}

impl Sockets {
    pub(super) fn receive(
        &mut self,
        world: &mut World,
        descriptor: i64,
        name: &str,
        arguments: &[Value],
        progress: &mut Progress,
    ) -> Refused {
        let transfer = Transfer::bounded(name, arguments)?;
        let held = self.held(descriptor)?;
        let wait = !held.nonblocking && transfer.flags & MSG_DONTWAIT == 0;
        match &mut held.kind {
            Kind::Datagram(datagrams) => Ok(match datagrams.receive(world, transfer.length) {
                Some(length) => Answer::Returns(length as i64),
                None if wait => Answer::Blocks(None),
                None => Answer::Fails("EAGAIN"),
            }),
            Kind::Stream(id) => {
                let id = *id;
                let tells = held.remembered.get("TCP_INQ").is_some_and(|value| *value != 0);
                let answer = self.read_stream(world, id, &transfer, wait, progress);
                Ok(match (transfer.inq, answer) {
                    (Some(expected), Answer::Returns(value)) => {
                        compare_inq(expected, tells.then(|| waiting(world, id)), value)
                    }
                    (_, answer) => answer,
                })
            }
            Kind::Fresh { .. } | Kind::Listening { .. } => Ok(Answer::Fails("ENOTCONN")),
            Kind::Epoll(_) => Ok(Answer::Fails("EINVAL")),
        }
    }

    fn read_stream(
        &mut self,
        world: &mut World,
        id: TcpId,
        transfer: &Transfer,
        wait: bool,
        progress: &mut Progress,
    ) -> Answer {
        while progress.bytes < transfer.length {
            match world.stack.tcp_read(id, transfer.length - progress.bytes, world.now) {
                Some(bytes) => progress.bytes += bytes.len(),
                None => break,
            }
        }
        let status = self.statuses.entry(id).or_default();
        let all = transfer.flags & MSG_WAITALL != 0;
        let ended = status.closed || status.read_shut || world.stack.tcp_is_at_end(id);
        if progress.bytes >= transfer.length || (progress.bytes > 0 && (!all || ended)) {
            return Answer::Returns(progress.bytes as i64);
        }
        if progress.bytes == 0
            && let Some(error) = status.error.take()
        {
            // A reset behind the end of the peer's data tells a writer, not a reader.
            return if error == "EPIPE" { Answer::Returns(0) } else { Answer::Fails(error) };
        }
        if ended {
            return Answer::Returns(0);
        }
        if wait { Answer::Blocks(None) } else { Answer::Fails("EAGAIN") }
    }

    pub(super) fn send(
        &mut self,
        world: &mut World,
        descriptor: i64,
        name: &str,
        arguments: &[Value],
        progress: &mut Progress,
    ) -> Refused {
        let transfer = Transfer::bounded(name, arguments)?;
        let to = match (name, arguments.get(4)) {
            ("sendto", Some(value)) if figure(value).is_none() => Some(address(Some(value), world.remote)),
            _ => None,
        };
        let to = to.transpose().map_err(unsupported)?;
        let profile = world.profile;
        // FreeBSD connects by sendto() whatever its flags.
        let implied = to.filter(|_| transfer.flags & MSG_FASTOPEN != 0 || profile == Profile::FreeBsd);
        let held = self.held(descriptor)?;
        let wait = !held.nonblocking && transfer.flags & MSG_DONTWAIT == 0;
        match &mut held.kind {
            Kind::Datagram(datagrams) => {
                let answer = datagrams.send(world, &held.config, transfer.length, to);
                self.datagram_subject = Some(descriptor);
                Ok(answer)
            }
            Kind::Stream(id) => {
                let id = *id;
                Ok(self.write_stream(world, id, transfer.length, wait, progress))
            }
            Kind::Fresh { .. } if let Some(remote) = held.lazy.or(implied) => {
                self.send_fast(world, descriptor, remote, transfer.length, wait, progress)
            }
            Kind::Fresh { .. } | Kind::Listening { .. } if profile == Profile::Linux => {
                Ok(Answer::Fails("EPIPE"))
            }
            Kind::Fresh { .. } | Kind::Listening { .. } => Ok(Answer::Fails("ENOTCONN")),
            Kind::Epoll(_) => Ok(Answer::Fails("EINVAL")),
        }
    }

    fn write_stream(
        &mut self,
        world: &mut World,
        id: TcpId,
        length: usize,
        wait: bool,
        progress: &mut Progress,
    ) -> Answer {
        let status = self.statuses.entry(id).or_default();
        if progress.bytes == 0 {
            if let Some(error) = status.error.take() {
                return Answer::Fails(error);
            }
            if status.closed || status.write_shut {
                return Answer::Fails("EPIPE");
            }
        }
        if status.closed {
            return Answer::Returns(progress.bytes as i64);
        }
        if status.established {
            let mut data = Bytes::from(vec![0; length - progress.bytes]);
            progress.bytes += world.stack.tcp_write(id, &mut data, world.now);
        }
        match progress.bytes {
            bytes if bytes == length => Answer::Returns(bytes as i64),
            _ if wait => Answer::Blocks(None),
            0 => Answer::Fails("EAGAIN"),
            bytes => Answer::Returns(bytes as i64),
        }
    }
}

/// What TCP_CM_INQ tells: bytes that can be read, and 1 where there are none and the end has come.
fn waiting(world: &World, id: TcpId) -> i64 {
    let readable = world.stack.tcp_readable(id) as i64;
    readable.max(i64::from(world.stack.tcp_is_at_end(id)))
}

fn compare_inq(expected: i64, seen: Option<i64>, value: i64) -> Answer {
    match seen {
        Some(seen) if seen == expected => Answer::Returns(value),
        Some(seen) => Answer::Differs(format!("TCP_CM_INQ: expected {expected}, found {seen}")),
        None => Answer::Differs("TCP_CM_INQ: nobody asked for it".to_owned()),
    }
}
