//! Which call is which.

use super::table::{Answer, Descriptor, Kind, Progress, Sockets};
use super::value::{O_NONBLOCK, figure, number, word};
use crate::run::World;
use crate::syntax::{Call, Value};

/// What goes wrong before a call does anything: it cannot be expressed, or the descriptor is none.
pub(super) type Refused = Result<Answer, Answer>;

/// An argument that cannot be expressed.
pub(super) fn unsupported(what: String) -> Answer {
    Answer::Unsupported(what)
}

impl Sockets {
    /// A call of the program; one that blocks is made again, with the same `progress`, when something has happened.
    pub fn call(&mut self, world: &mut World, call: &Call, progress: &mut Progress) -> Answer {
        self.dispatch(world, call, progress).unwrap_or_else(|answer| answer)
    }

    fn dispatch(&mut self, world: &mut World, call: &Call, progress: &mut Progress) -> Refused {
        let arguments = call.arguments.as_slice();
        if call.name == "socket" {
            return self.socket(world, call);
        }
        match call.name.as_str() {
            "poll" => return self.poll(world, arguments, progress),
            "epoll_create" | "epoll_create1" => return self.epoll_create(world, call),
            "epoll_ctl" => return self.epoll_control(arguments),
            "epoll_wait" => return self.epoll_wait(world, arguments, progress),
            _ => {}
        }
        let descriptor = number(arguments.first()).map_err(unsupported)?;
        if !self.descriptors.contains_key(&descriptor) {
            return Ok(Answer::Fails("EBADF"));
        }
        match call.name.as_str() {
            "bind" => self.bind(world, descriptor, arguments),
            "listen" => self.listen(world, descriptor, arguments),
            "connect" => self.connect(world, descriptor, arguments, progress),
            "accept" | "accept4" => self.accept(world, descriptor, call),
            "read" | "recv" | "recvfrom" | "readv" | "recvmsg" => {
                self.receive(world, descriptor, &call.name, arguments, progress)
            }
            "write" | "send" | "sendto" | "writev" | "sendmsg" => {
                self.send(world, descriptor, &call.name, arguments, progress)
            }
            "shutdown" => self.shutdown(world, descriptor, arguments),
            "close" => Ok(self.close(world, descriptor)),
            "fcntl" => self.control(descriptor, arguments),
            "ioctl" => self.device_control(world, descriptor, arguments),
            "getsockopt" => self.option(world, descriptor, arguments),
            "setsockopt" => self.set_option(world, descriptor, arguments),
            name => Err(Answer::Unsupported(format!("call {name}"))),
        }
    }

    /// Puts a descriptor where the script says that it is.
    pub(super) fn open(&mut self, call: &Call, descriptor: Descriptor) -> Answer {
        let Some(wanted) = figure(&call.result) else {
            return Answer::Unsupported(format!("result {:?}", call.result));
        };
        if wanted < 0 || call.errno.is_some() {
            return Answer::Differs(format!("result: expected an error, {}() succeeded", call.name));
        }
        if self.descriptors.contains_key(&wanted) {
            return Answer::Differs(format!("result: descriptor {wanted} is open"));
        }
        self.descriptors.insert(wanted, descriptor);
        Answer::Returns(wanted)
    }

    pub(super) fn held(&mut self, descriptor: i64) -> Result<&mut Descriptor, Answer> {
        self.descriptors.get_mut(&descriptor).ok_or(Answer::Fails("EBADF"))
    }

    fn socket(&mut self, world: &World, call: &Call) -> Refused {
        let family = &call.arguments.first();
        let v6 = match family {
            Some(Value::Ellipsis) => world.local.is_ipv6(),
            other => number(*other).map_err(unsupported)? == 10,
        };
        if v6 != world.local.is_ipv6() {
            return Err(Answer::Unsupported("a socket of the other IP version".to_owned()));
        }
        let kind = number(call.arguments.get(1)).map_err(unsupported)?;
        match word(call.arguments.get(2)) {
            Some("IPPROTO_TCP" | "IPPROTO_UDP" | "IPPROTO_IP") => {}
            Some(name) => return Err(Answer::Unsupported(name.to_owned())),
            None => {
                number(call.arguments.get(2)).map_err(unsupported)?;
            }
        }
        let of = match kind & 0xf {
            1 => Kind::Fresh { bound: None },
            2 => Kind::Datagram(super::table::Datagrams::default()),
            _ => return Err(Answer::Unsupported("SOCK_RAW".to_owned())),
        };
        Ok(self.open(call, Descriptor::new(of, kind & O_NONBLOCK != 0, &world.settings)))
    }

    fn epoll_create(&mut self, world: &World, call: &Call) -> Refused {
        Ok(self.open(call, Descriptor::new(Kind::Epoll(Default::default()), false, &world.settings)))
    }

    fn control(&mut self, descriptor: i64, arguments: &[Value]) -> Refused {
        let command = word(arguments.get(1)).unwrap_or_default().to_owned();
        let held = self.held(descriptor)?;
        match command.as_str() {
            "F_GETFL" => Ok(Answer::Returns(2 | if held.nonblocking { O_NONBLOCK } else { 0 })),
            "F_SETFL" => {
                let flags = number(arguments.get(2)).map_err(unsupported)?;
                held.nonblocking = flags & O_NONBLOCK != 0;
                Ok(Answer::Returns(0))
            }
            "F_SETFD" => Ok(Answer::Returns(0)),
            "F_GETFD" => Ok(Answer::Returns(0)),
            name => Err(Answer::Unsupported(format!("fcntl {name}"))),
        }
    }

    fn device_control(&mut self, world: &World, descriptor: i64, arguments: &[Value]) -> Refused {
        let request = word(arguments.get(1)).unwrap_or_default().to_owned();
        let held = self.held(descriptor)?;
        let Kind::Stream(id) = held.kind else {
            return Err(Answer::Unsupported(format!("ioctl {request} on this socket")));
        };
        let value = match request.as_str() {
            "FIONREAD" | "SIOCINQ" => world.stack.tcp_readable(id) as i64,
            "SIOCOUTQ" | "TIOCOUTQ" => {
                world.stack.tcp_info(id, world.now).map_or(0, |info| i64::from(info.queued_bytes))
            }
            "SIOCOUTQNSD" => {
                world.stack.tcp_info(id, world.now).map_or(0, |info| i64::from(info.unsent_bytes))
            }
            "FIONBIO" => {
                held.nonblocking = number(arguments.get(2)).map_err(unsupported)? != 0;
                return Ok(Answer::Returns(0));
            }
            name => return Err(Answer::Unsupported(format!("ioctl {name}"))),
        };
        match arguments.get(2) {
            Some(Value::Ellipsis) | None => Ok(Answer::Returns(0)),
            wanted => {
                let wanted = number(wanted).map_err(unsupported)?;
                Ok(if wanted == value {
                    Answer::Returns(0)
                } else {
                    Answer::Differs(format!("ioctl {request}: expected {wanted}, found {value}"))
                })
            }
        }
    }
}
