//! Who asks: a process, and the program that it is.
//!
//! A process becomes another program at any moment, and ends at any moment. What it is stands in several files of
//! `/proc`, so they are read twice, and the socket is looked for among its descriptors before and behind: what is the same
//! both times was so together in between. Where anything differs nothing is told.

use super::executable::{Executable, Version, told_path};
use super::folder::{Content, Folder, Stat};
use crate::report::Process;
use ledger::entry::{COMMAND_LINE_BYTES_MAX, PARENTS_MAX};
use ledger::{Digest, Parent, Program};
use std::sync::Arc;

/// One byte more than the ledger keeps, so that it sees that something is missing.
const ARGUMENTS_BYTES_MAX: usize = COMMAND_LINE_BYTES_MAX + 1;

/// A process that asked for something, and its program as it was then.
#[derive(Clone, Debug)]
pub struct Asker {
    name: Arc<str>,
    program: Arc<Program>,
    executable: Arc<Executable>,
}

impl Asker {
    /// The process, as the report tells it.
    #[must_use]
    pub fn to_process(&self) -> Process {
        Process { name: self.name.to_string(), id: self.program.id }
    }

    /// The program, as policies and the ledger know it; `digest` is what its executable was found to hold.
    #[must_use]
    pub fn to_program(&self, digest: Option<Digest>) -> Program {
        Program { digest, ..Program::clone(&self.program) }
    }

    /// The file that it executes.
    #[must_use]
    pub fn executable(&self) -> &Executable {
        &self.executable
    }

    /// Whether both are one program: one executable, started with the same arguments.
    pub(super) fn is_same_program(&self, other: &Self) -> bool {
        self.executable.version() == other.executable.version()
            && self.program.command_line == other.program.command_line
    }
}

/// A process and its program, kept, so that the next time it asks only a change has to be looked for.
#[derive(Debug)]
pub(super) struct Known {
    pub folder: Folder,
    pub image: Image,
    ancestors: Vec<Ancestor>,
    asker: Asker,
}

/// A process above another.
#[derive(Debug)]
struct Ancestor {
    folder: Folder,
    version: Version,
}

impl Known {
    /// The process in `folder`, which is `image`, below `root`; `None` where it has another ancestry, or one that cannot be
    /// told. It holds where it [is unchanged](Self::is_unchanged) afterwards.
    pub fn read(folder: Folder, image: Image, root: u32, container: Option<String>) -> Option<Self> {
        let stat = folder.stat()?;
        let (mut ancestors, mut parents) = (Vec::new(), Vec::new());
        if folder.id() != root {
            (ancestors, parents) = read_ancestors(&stat, root)?.into_iter().unzip();
        }
        let program = Program {
            id: folder.id(),
            executable: told_path(&image.path, &image.executable.version()),
            command_line: arguments(&image.arguments),
            parents,
            user: Some(image.user),
            container,
            ..Program::default()
        };
        let (name, program) = (stat.name.into(), Arc::new(program));
        let asker = Asker { name, program, executable: image.executable.clone() };
        Some(Self { folder, image, ancestors, asker })
    }

    /// Whether the process and those above it are still what they were. A process has its parent for as long as both live,
    /// and a file that gets another path, or none, counts as changed by that.
    pub fn is_unchanged(&self) -> bool {
        self.image.is_unchanged(&self.folder)
            && self.ancestors.iter().all(|above| above.folder.executable_version() == Some(above.version))
    }

    /// Who it is.
    pub fn asker(&self) -> &Asker {
        &self.asker
    }
}

/// What a process is at one moment.
#[derive(Debug)]
pub(super) struct Image {
    executable: Arc<Executable>,
    path: Vec<u8>,
    user: u32,
    command_line: Content,
    arguments: Vec<u8>,
}

impl Image {
    /// That of the process in `folder`; `None` where it has ended, or is just becoming another program: it has that one's
    /// executable then and not yet its arguments, and still holds what the old one's exec closes.
    pub fn read(folder: &Folder) -> Option<Self> {
        let executable = Arc::new(Executable::of(folder.open_executable()?)?);
        let (path, user, command_line) =
            (folder.executable_path()?, folder.user()?, folder.open_command_line()?);
        let arguments = command_line.read(ARGUMENTS_BYTES_MAX)?;
        // Every program has one argument at least: Linux 5.18 and later see to it, and what starts programs mostly does.
        (!arguments.is_empty()).then_some(Self { executable, path, user, command_line, arguments })
    }

    /// Whether the process is still this.
    pub fn is_unchanged(&self, folder: &Folder) -> bool {
        folder.executable_version() == Some(self.executable.version())
            && folder.user() == Some(self.user)
            && self.command_line.read(ARGUMENTS_BYTES_MAX).is_some_and(|now| now == self.arguments)
    }

    /// Whether two processes are one program: one executable, started with the same arguments.
    pub fn is_same_program(&self, other: &Self) -> bool {
        self.executable.version() == other.executable.version() && self.arguments == other.arguments
    }
}

/// The processes above one, the nearest first, up to `root`, which is not among them; `None` where they do not lead there.
/// Of very many, one more than the ledger keeps.
fn read_ancestors(child: &Stat, root: u32) -> Option<Vec<(Ancestor, Parent)>> {
    let mut found = Vec::new();
    let (mut id, mut start_ticks) = (child.parent, child.start_ticks);
    while id != root && found.len() <= PARENTS_MAX {
        let folder = Folder::open(id)?;
        let stat = folder.stat()?;
        // A parent is no younger than its child: one that is has only got its id.
        if stat.start_ticks > start_ticks {
            return None;
        }
        let (path, version) = (folder.executable_path()?, folder.executable_version()?);
        (id, start_ticks) = (stat.parent, stat.start_ticks);
        let parent = Parent { id: folder.id(), executable: told_path(&path, &version) };
        found.push((Ancestor { folder, version }, parent));
    }
    Some(found)
}

/// A command line in pieces. Each argument has a zero byte behind it, but a cut one, and what a program has put there
/// itself.
fn arguments(line: &[u8]) -> Vec<String> {
    let line = line.strip_suffix(b"\0").unwrap_or(line);
    line.split(|byte| *byte == 0).map(|argument| String::from_utf8_lossy(argument).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_told_argument_by_argument() {
        assert_eq!(arguments(b"curl\0-s\0\0x y\0"), ["curl", "-s", "", "x y"]);
        assert_eq!(arguments(b"nginx: worker"), ["nginx: worker"]);
        assert_eq!(arguments(b"a\0\xff\0"), ["a", "\u{fffd}"]);
        assert_eq!(arguments(b"\0"), [""]);
    }
}
