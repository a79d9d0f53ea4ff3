//! Socket options by Linux's numbers. One that is not here is `ENOPROTOOPT`, as it is of a kernel that does not know it.

use crate::figures;
use crate::machine::Machine;
use crate::sockets::Kind;
use std::os::fd::RawFd;
use std::time::Duration;
use tcp::{Config, CongestionAlgorithm};

/// Options that change nothing here, and are remembered.
const REMEMBERED: [(i32, i32); 4] = [
    (libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (libc::SOL_SOCKET, libc::SO_PRIORITY),
    (libc::SOL_SOCKET, libc::SO_OOBINLINE),
    (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
];

/// What Linux tells of a buffer is twice what was asked for.
const BUFFER_FACTOR: i64 = 2;

impl Machine {
    /// `setsockopt`.
    ///
    /// # Errors
    ///
    /// The number of the error.
    pub fn set_option(&mut self, descriptor: RawFd, level: i32, name: i32, value: &[u8]) -> Result<(), i32> {
        let socket = self.sockets.find(descriptor)?;
        if let Kind::Epoll(_) = socket.kind {
            return Err(libc::ENOTSOCK);
        }
        if (level, name) == (libc::IPPROTO_TCP, libc::TCP_CONGESTION) {
            let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
            let known = std::str::from_utf8(text).ok().and_then(CongestionAlgorithm::from_name);
            let law = known.ok_or(libc::ENOENT)?;
            return self.change(descriptor, move |config| config.congestion = law);
        }
        let number = read_number(value)?;
        match (level, name) {
            (libc::SOL_SOCKET, libc::SO_LINGER) => {
                let secs = value.get(4..).map_or(Err(libc::EINVAL), read_number)?;
                socket.linger_secs = (number != 0).then_some(secs);
                return Ok(());
            }
            (libc::SOL_SOCKET, libc::SO_REUSEPORT) => {
                socket.shares_port = number != 0;
                return Ok(());
            }
            _ if REMEMBERED.contains(&(level, name)) => {
                socket.remembered.insert((level, name), number);
                return Ok(());
            }
            _ => {}
        }
        let seconds = Duration::from_secs(u64::try_from(number).unwrap_or(0));
        match (level, name) {
            (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE) => socket.keep_alive.idle = seconds,
            (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL) => socket.keep_alive.interval = seconds,
            (libc::IPPROTO_TCP, libc::TCP_KEEPCNT) => {
                socket.keep_alive.probes = u8::try_from(number).unwrap_or(0);
            }
            _ => {}
        }
        let keep_alive = socket.keep_alive;
        let change = change_of(level, name, number, keep_alive).ok_or(libc::ENOPROTOOPT)?;
        self.change(descriptor, change)
    }

    /// Changes the profile of a socket, and of its connection.
    fn change(&mut self, descriptor: RawFd, change: impl Fn(&mut Config)) -> Result<(), i32> {
        let now = self.now;
        let socket = self.sockets.find(descriptor)?;
        let mut config = socket.config.clone();
        change(&mut config);
        config.check().map_err(|_| libc::EINVAL)?;
        socket.config = config;
        if let Kind::Stream(id) = socket.kind {
            self.stack.tcp_configure(id, now, change).map_err(|_| libc::EINVAL)?;
        }
        Ok(())
    }

    /// `getsockopt`: the option's bytes.
    ///
    /// # Errors
    ///
    /// The number of the error.
    pub fn option(&mut self, descriptor: RawFd, level: i32, name: i32) -> Result<Vec<u8>, i32> {
        let socket = self.sockets.find(descriptor)?;
        let id = match socket.kind {
            Kind::Stream(id) => Some(id),
            Kind::Fresh { .. } | Kind::Listening { .. } => None,
            Kind::Epoll(_) => return Err(libc::ENOTSOCK),
        };
        if (level, name) == (libc::IPPROTO_TCP, libc::TCP_INFO) {
            let info = id.and_then(|id| self.stack.tcp_info(id, self.now));
            return info.map(|info| figures::tcp_info(&info)).ok_or(libc::ENOTCONN);
        }
        let config = &socket.config;
        let number = match (level, name) {
            (libc::SOL_SOCKET, libc::SO_ERROR) => {
                i64::from(id.and_then(|id| self.sockets.status(id).error.take()).unwrap_or(0))
            }
            (libc::SOL_SOCKET, libc::SO_TYPE) => libc::SOCK_STREAM.into(),
            (libc::SOL_SOCKET, libc::SO_ACCEPTCONN) => matches!(socket.kind, Kind::Listening { .. }).into(),
            (libc::SOL_SOCKET, libc::SO_KEEPALIVE) => config.keep_alive.is_some().into(),
            (libc::SOL_SOCKET, libc::SO_REUSEPORT) => socket.shares_port.into(),
            (libc::SOL_SOCKET, libc::SO_RCVBUF) => i64::from(config.receive_buffer_bytes) * BUFFER_FACTOR,
            (libc::SOL_SOCKET, libc::SO_SNDBUF) => i64::from(config.send_buffer_bytes) * BUFFER_FACTOR,
            (libc::IPPROTO_TCP, libc::TCP_NODELAY) => (!config.nagle).into(),
            (libc::IPPROTO_TCP, libc::TCP_SYNCNT) => config.syn_retries.into(),
            (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE) => secs(socket.keep_alive.idle),
            (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL) => secs(socket.keep_alive.interval),
            (libc::IPPROTO_TCP, libc::TCP_KEEPCNT) => socket.keep_alive.probes.into(),
            (libc::IPPROTO_IP, libc::IP_MTU) => {
                let info = id.and_then(|id| self.stack.tcp_info(id, self.now));
                info.ok_or(libc::ENOTCONN)?.path_mtu.into()
            }
            key if REMEMBERED.contains(&key) => socket.remembered.get(&key).copied().unwrap_or(0).into(),
            _ => return Err(libc::ENOPROTOOPT),
        };
        Ok(i32::try_from(number).unwrap_or(i32::MAX).to_ne_bytes().to_vec())
    }
}

fn secs(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

fn read_number(value: &[u8]) -> Result<i32, i32> {
    value.first_chunk::<4>().map(|bytes| i32::from_ne_bytes(*bytes)).ok_or(libc::EINVAL)
}

/// What an option with a number changes of the profile.
fn change_of(level: i32, name: i32, number: i32, keep_alive: tcp::KeepAlive) -> Option<impl Fn(&mut Config)> {
    let known = match level {
        libc::SOL_SOCKET => matches!(name, libc::SO_RCVBUF | libc::SO_SNDBUF | libc::SO_KEEPALIVE),
        libc::IPPROTO_TCP => matches!(
            name,
            libc::TCP_NODELAY
                | libc::TCP_MAXSEG
                | libc::TCP_USER_TIMEOUT
                | libc::TCP_SYNCNT
                | libc::TCP_LINGER2
                | libc::TCP_KEEPIDLE
                | libc::TCP_KEEPINTVL
                | libc::TCP_KEEPCNT
        ),
        _ => false,
    };
    known.then_some(move |config: &mut Config| {
        let unsigned = u32::try_from(number).unwrap_or(0);
        match (level, name) {
            (libc::SOL_SOCKET, libc::SO_RCVBUF) => config.receive_buffer_bytes = unsigned,
            (libc::SOL_SOCKET, libc::SO_SNDBUF) => config.send_buffer_bytes = unsigned,
            (libc::SOL_SOCKET, _) => config.keep_alive = (number != 0).then_some(keep_alive),
            (_, libc::TCP_NODELAY) => config.nagle = number == 0,
            (_, libc::TCP_MAXSEG) => config.mss_max = u16::try_from(number).unwrap_or(0),
            (_, libc::TCP_USER_TIMEOUT) => {
                config.user_timeout = (number > 0).then(|| Duration::from_millis(unsigned.into()));
            }
            (_, libc::TCP_SYNCNT) => config.syn_retries = u8::try_from(number).unwrap_or(0),
            (_, libc::TCP_LINGER2) => config.fin_wait_2 = Duration::from_secs(unsigned.into()),
            // The three of keep-alive.
            _ if config.keep_alive.is_some() => config.keep_alive = Some(keep_alive),
            _ => {}
        }
    })
}
