//! Bytes of connections: read and write in their many forms.

use super::call::{Refused, unsupported};
use super::table::{Answer, Kind, Progress, Sockets};
use super::value::{address, buffers, field, figure, number};
use crate::profile::Profile;
use crate::run::World;
use crate::syntax::Value;
use packet::Bytes;
use stack::TcpId;

const MSG_DONTWAIT: i64 = 0x40;
const MSG_WAITALL: i64 = 0x100;

/// Bytes that one call may move.
const LENGTH_MAX: usize = 16 << 20;

/// What a call moves.
struct Transfer {
    length: usize,
    flags: i64,
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
            "readv" | "writev" => Ok(Self { length: whole(arguments.get(1).ok_or_else(few)?)?, flags: 0 }),
            "sendmsg" | "recvmsg" => {
                let message = arguments.get(1).ok_or_else(few)?;
                let control = field(message, "msg_control");
                if control.is_some_and(|control| *control != Value::List(vec![])) {
                    return Err(Answer::Unsupported("msg_control".to_owned()));
                }
                let length = whole(field(message, "msg_iov").ok_or_else(few)?)?;
                Ok(Self { length, flags: number(arguments.get(2)).map_err(unsupported)? })
            }
            "read" | "write" => Ok(Self { length: length(arguments.get(2))?, flags: 0 }),
            _ => {
                let flags = number(arguments.get(3)).map_err(unsupported)?;
                Ok(Self { length: length(arguments.get(2))?, flags })
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
                Ok(self.read_stream(world, id, &transfer, wait, progress))
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
        let held = self.held(descriptor)?;
        let wait = !held.nonblocking && transfer.flags & MSG_DONTWAIT == 0;
        match &mut held.kind {
            Kind::Datagram(datagrams) => {
                let answer = datagrams.send(world, transfer.length, to);
                self.datagram_subject = Some(descriptor);
                Ok(answer)
            }
            Kind::Stream(id) => {
                let id = *id;
                Ok(self.write_stream(world, id, transfer.length, wait, progress))
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
