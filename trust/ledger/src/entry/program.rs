//! The program that asked.

use super::cut::{cut_list, cut_text};
use super::fields::{Field, Fields};
use super::{COMMAND_LINE_BYTES_MAX, Digest, PARENTS_MAX, PATH_BYTES_MAX};
use crate::cbor::Value;

/// The bound of a parent's path, in bytes: there may be [`PARENTS_MAX`] of them.
const PARENT_BYTES_MAX: usize = 1_024;

/// A program that ran when it asked. Text that is not UTF-8 has U+FFFD in its place.
///
/// ```
/// use ledger::Program;
///
/// let program = Program { id: 4_711, executable: "/usr/bin/curl".into(), ..Program::default() };
/// assert!(program.digest.is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its process id, as the host sees it.
    pub id: u32,
    /// The path of its executable.
    pub executable: String,
    /// The BLAKE3 hash of its executable's content, where it could be read.
    pub digest: Option<Digest>,
    /// Its arguments, the first being its own name for itself.
    pub command_line: Vec<String>,
    /// The processes above it, the nearest first.
    pub parents: Vec<Parent>,
    /// The id of the user that it ran as, as the host sees it.
    pub user: Option<u32>,
    /// The container that it ran in, where it ran in one.
    pub container: Option<String>,
    /// Fields that this version does not know.
    pub others: Vec<(u64, Value)>,
}

/// A process above another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parent {
    /// Its process id, as the host sees it.
    pub id: u32,
    /// The path of its executable.
    pub executable: String,
}

const ID: u64 = 0;
pub(super) const EXECUTABLE: u64 = 1;
const DIGEST: u64 = 2;
const COMMAND_LINE: u64 = 3;
const PARENTS: u64 = 4;
const USER: u64 = 5;
const CONTAINER: u64 = 6;

impl Program {
    /// Cuts what is too long; says whether anything was.
    pub(super) fn cut(&mut self) -> bool {
        let mut is_cut = cut_text(&mut self.executable, PATH_BYTES_MAX);
        is_cut |= cut_list(&mut self.command_line, COMMAND_LINE_BYTES_MAX);
        is_cut |= self.parents.len() > PARENTS_MAX;
        self.parents.truncate(PARENTS_MAX);
        for parent in &mut self.parents {
            is_cut |= cut_text(&mut parent.executable, PARENT_BYTES_MAX);
        }
        is_cut | self.container.as_mut().is_some_and(|name| cut_text(name, super::NAME_BYTES_MAX))
    }
}

impl Field for Program {
    fn to_value(&self) -> Value {
        let mut fields = Fields::of_others(&self.others);
        fields.put(ID, &self.id);
        fields.put(EXECUTABLE, &self.executable);
        fields.put_if(DIGEST, &self.digest);
        fields.put(COMMAND_LINE, &self.command_line);
        fields.put(PARENTS, &self.parents);
        fields.put_if(USER, &self.user);
        fields.put_if(CONTAINER, &self.container);
        fields.into_value()
    }

    fn of_value(value: &Value) -> Option<Self> {
        let mut fields = Fields::of_value(value.clone())?;
        Some(Self {
            id: fields.take(ID)?,
            executable: fields.take(EXECUTABLE)?,
            digest: fields.take_if(DIGEST)?,
            command_line: fields.take(COMMAND_LINE)?,
            parents: fields.take(PARENTS)?,
            user: fields.take_if(USER)?,
            container: fields.take_if(CONTAINER)?,
            others: fields.into_others(),
        })
    }
}

impl Field for Parent {
    fn to_value(&self) -> Value {
        Value::Array(vec![self.id.to_value(), self.executable.to_value()])
    }

    fn of_value(value: &Value) -> Option<Self> {
        let Value::Array(parts) = value else { return None };
        let [id, executable] = &parts[..] else { return None };
        Some(Self { id: u32::of_value(id)?, executable: String::of_value(executable)? })
    }
}
