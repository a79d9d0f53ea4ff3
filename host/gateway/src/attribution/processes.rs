//! From a socket to the processes that hold it, by `/proc/PID/fd`.
//!
//! The kernel does not tell which process called connect, only which hold the socket. A process may have it from the one
//! that started it, without knowing. So all that hold it must be one program, and where they are not, nobody is told.
//! Looking at every process costs some 50 µs for each. It is spared where it shows nothing: a descriptor that exec closes
//! has not come through one. Who has such a descriptor has made the socket, or taken it on purpose; then only what it has
//! started itself can hold it without that.
//!
//! Where a guard tells who calls, that counts ([`callers`](super::callers)).

use super::asker::{Asker, Image, Known};
use super::budget::{Budget, Unsure};
use super::callers::Callers;
use super::container::{GROUPS_BYTES_MAX, find_container};
use super::diag::DiagSocket;
use super::family::family;
use super::folder::{Compared, Folder};
use super::sockets::SocketTables;
use axiom::rules::Protocol;
use rustix::fd::OwnedFd;
use rustix::process::Pid;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// How many processes that opened connections lately are kept, and tried first.
const RECENT_MAX: usize = 4;

/// The processes of a sandbox, as the host's `/proc` shows them.
#[derive(Debug)]
pub struct Processes {
    tables: SocketTables,
    /// The process that all others descend from.
    root: u32,
    /// The container that it is in. Others may only seem to be in one: who may make control groups names them as they like.
    container: Option<String>,
    /// Those that opened connections lately, the latest first.
    recent: VecDeque<Known>,
    /// What the guard has told, where there is one.
    callers: Option<Callers>,
}

/// The one that is told, if all others agree.
struct Found {
    known: Known,
    descriptor: u32,
    closes_at_exec: bool,
}

/// One that holds a socket.
struct Holder {
    folder: Folder,
    descriptor: u32,
    closes_at_exec: bool,
    image: Image,
}

impl Processes {
    /// Those that descend from `root`, and it. `socket_tables` is a NETLINK_SOCK_DIAG socket made in their network
    /// namespace.
    #[must_use]
    pub fn new(socket_tables: OwnedFd, root: Pid) -> Self {
        let root = id(root);
        let groups = Folder::open(root).and_then(|folder| folder.control_groups(GROUPS_BYTES_MAX));
        let container = groups.as_deref().and_then(find_container);
        let (tables, recent) = (SocketTables::new(socket_tables, root), VecDeque::new());
        Self { tables, root, container, recent, callers: None }
    }

    /// The same where a guard tells who calls: what it has not told of is unknown.
    #[must_use]
    pub fn with_guard(self) -> Self {
        Self { callers: Some(Callers::default()), ..self }
    }

    /// What the guard tells, where there is one. Whoever it tells of waits until this returns.
    pub fn callers(&mut self) -> Option<&mut Callers> {
        self.callers.as_mut()
    }

    /// How many sockets for datagrams have been made, as far as a guard tells that.
    pub fn made(&self) -> u64 {
        self.callers.as_ref().map_or(0, Callers::made)
    }

    /// The number of the latest socket for datagrams that was made by another program than this one.
    pub fn made_by_others(&self, socket: Option<DiagSocket>) -> u64 {
        let Some(callers) = &self.callers else { return 0 };
        socket.map_or(callers.made(), |socket| callers.made_by_others(socket.inode))
    }

    /// Who has opened the socket with these ends, or sent from it, `local` being its own; `None` where that cannot be told.
    /// The port of a ping socket is the identifier of its echo requests. Where several processes of one program hold it, one
    /// of them is told.
    pub fn find(&mut self, protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> Option<Asker> {
        let socket = self.look(protocol, local, remote)?;
        self.find_at(socket, protocol, local, remote)
    }

    /// The socket with these ends, as [`find`](Self::find) takes them: one question to the kernel, for UDP of a microsecond.
    pub fn look(&mut self, protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> Option<DiagSocket> {
        self.tables.find(protocol, local, remote)
    }

    /// The same as [`find`](Self::find), where that was the socket when it was last looked at.
    pub fn find_at(
        &mut self,
        socket: DiagSocket,
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<Asker> {
        match &mut self.callers {
            Some(callers) if protocol == Protocol::Tcp => {
                callers.find_connecting(socket.inode, (local, remote))
            }
            _ => {
                let mut budget = Budget::new();
                let asker = self.find_holder_of(socket, (protocol, local, remote), &mut budget)?;
                let is_its_own = |callers: &Callers| callers.is_made_by(socket.inode, &asker);
                let is_its_own = self.callers.as_ref().is_none_or(is_its_own);
                let is_it = is_its_own && self.is_only_sender((protocol, local), &asker, &mut budget);
                is_it.then_some(asker)
            }
        }
    }

    /// Who holds this socket, which has these ends, whoever made it: to somebody who connects to it, that is who takes it.
    pub fn find_holding(
        &mut self,
        socket: DiagSocket,
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<Asker> {
        let mut budget = Budget::new();
        let asker = self.find_holder_of(socket, (protocol, local, remote), &mut budget)?;
        self.is_only_sender((protocol, local), &asker, &mut budget).then_some(asker)
    }

    /// Whether all UDP sockets that have the port of `local` are this program's. The kernel's table names the one that a datagram
    /// to there would reach, and that need not be the one that sends.
    fn is_only_sender(
        &mut self,
        (protocol, local): (Protocol, SocketAddr),
        asker: &Asker,
        budget: &mut Budget,
    ) -> bool {
        if protocol != Protocol::Udp {
            return true;
        }
        let Some(senders) = self.tables.find_senders(local) else { return false };
        senders.len() <= 1
            || senders.iter().all(|sender| {
                let holder = self.find_holder_now(*sender, budget);
                holder.is_some_and(|holder| holder.is_same_program(asker))
            })
    }

    fn find_holder_of(
        &mut self,
        socket: DiagSocket,
        (protocol, local, remote): (Protocol, SocketAddr, SocketAddr),
        budget: &mut Budget,
    ) -> Option<Asker> {
        let asker = self.find_holder_now(socket, budget)?;
        // The inode may have become another socket's since it was looked up.
        (self.tables.find(protocol, local, remote)? == socket).then_some(asker)
    }

    fn find_holder_now(&mut self, socket: DiagSocket, budget: &mut Budget) -> Option<Asker> {
        let link = format!("socket:[{}]", socket.inode);
        let (known, descriptor) = self.find_holder(&link, budget).ok()??;
        let still = known.folder.compare(descriptor, &link) == Compared::Same && known.is_unchanged();
        let asker = still.then(|| known.asker().clone())?;
        self.recent.push_front(known);
        self.recent.truncate(RECENT_MAX);
        Some(asker)
    }

    /// Who this thread of the sandbox's belongs to; `None` where that cannot be told, or the thread has ended.
    pub fn find_thread(&mut self, thread: Pid) -> Option<Asker> {
        let is_it = |known: &Known| known.folder.has_thread(id(thread)) && known.is_unchanged();
        let recent = self.recent.iter().position(is_it).and_then(|index| self.recent.remove(index));
        let known = match recent {
            Some(known) => known,
            None => {
                let folder = Folder::open(Folder::open(id(thread))?.thread_group()?)?;
                let image = Image::read(&folder)?;
                Known::read(folder, image, self.root, self.container.clone()).filter(is_it)?
            }
        };
        let asker = known.asker().clone();
        self.recent.push_front(known);
        self.recent.truncate(RECENT_MAX);
        Some(asker)
    }

    /// One that holds a socket, and by which descriptor; `None` where nobody does, or those who do are not one program.
    fn find_holder(&mut self, link: &str, budget: &mut Budget) -> Result<Option<(Known, u32)>, Unsure> {
        let (mut found, mut all) = (self.take_recent(link, budget)?, Vec::new());
        if found.is_none() {
            all = family(self.root, budget)?;
            // The youngest are the likeliest to have just opened something, and mostly have the highest ids.
            all.sort_unstable_by_key(|id| Reverse(*id));
            for id in &all {
                if let Some(Holder { folder, descriptor, closes_at_exec, image }) =
                    Holder::find(*id, link, budget)?
                {
                    let known = Known::read(folder, image, self.root, self.container.clone());
                    found = Some(Found { known: known.ok_or(Unsure)?, descriptor, closes_at_exec });
                    break;
                }
            }
        }
        let Some(Found { known, descriptor, closes_at_exec }) = found else { return Ok(None) };
        let id = known.folder.id();
        let others = match closes_at_exec {
            true => family(id, budget)?,
            false if all.is_empty() => family(self.root, budget)?,
            false => all,
        };
        for other in others.into_iter().filter(|other| *other != id) {
            let other = Holder::find(other, link, budget)?;
            if other.is_some_and(|other| !other.image.is_same_program(&known.image)) {
                return Ok(None);
            }
        }
        Ok(Some((known, descriptor)))
    }

    /// The first that opened a connection lately, holds this socket as well, and is what it was.
    fn take_recent(&mut self, link: &str, budget: &mut Budget) -> Result<Option<Found>, Unsure> {
        for index in 0..self.recent.len() {
            budget.take(1)?;
            let Some(descriptor) = self.recent[index].folder.find_descriptor(link, budget)? else { continue };
            let Some(known) = self.recent.remove(index) else { continue };
            let closes_at_exec = known.folder.closes_at_exec(descriptor).filter(|_| known.is_unchanged());
            return Ok(closes_at_exec.map(|closes_at_exec| Found { known, descriptor, closes_at_exec }));
        }
        Ok(None)
    }
}

impl Holder {
    /// The process with this id, if it holds the socket.
    fn find(id: u32, link: &str, budget: &mut Budget) -> Result<Option<Self>, Unsure> {
        budget.take(1)?;
        let Some(folder) = Folder::open(id) else { return Ok(None) };
        let Some(descriptor) = folder.find_descriptor(link, budget)? else { return Ok(None) };
        match (Image::read(&folder), folder.closes_at_exec(descriptor)) {
            (Some(image), Some(closes_at_exec)) => {
                Ok(Some(Self { folder, descriptor, closes_at_exec, image }))
            }
            // It is becoming another program, and will have the socket then.
            (None, Some(false)) => Err(Unsure),
            // It will not, or has ended or closed it.
            (None, Some(true)) | (_, None) => Ok(None),
        }
    }
}

fn id(process: Pid) -> u32 {
    process.as_raw_nonzero().get().unsigned_abs()
}
