//! A sandbox's processes: all that descend from one.

use super::budget::{Budget, Unsure};
use super::folder::Folder;

/// How many processes are looked at for one connection.
pub const PROCESSES_MAX: usize = 1_024;

/// The ids of `root` and of all that descend from it, parents before their children.
pub(super) fn family(root: u32, budget: &mut Budget) -> Result<Vec<u32>, Unsure> {
    bounded(root, PROCESSES_MAX, budget)
}

fn bounded(root: u32, processes_max: usize, budget: &mut Budget) -> Result<Vec<u32>, Unsure> {
    let mut family = vec![root];
    let mut next = 0;
    while let Some(id) = family.get(next).copied() {
        next += 1;
        budget.take(1)?;
        // One that has ended meanwhile holds nothing, and has left its children to another.
        let Some(folder) = Folder::open(id) else { continue };
        family.extend(folder.children(budget)?);
        if family.len() > processes_max {
            return Err(Unsure);
        }
    }
    Ok(family)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn a_family_is_all_generations_and_bounded() {
        // A shell, its child and that one's two, who wait for the end of their input.
        let script = "exec 3<&0; (cat <&3 & cat <&3 & echo ready; wait) & wait";
        let mut command = Command::new("bash");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = command.spawn().expect("bash runs");
        let mut line = String::new();
        BufReader::new(shell.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        let all = family(shell.id(), &mut Budget::new()).expect("few");
        assert_eq!((all.len(), all[0]), (4, shell.id()), "{all:?}");
        assert_eq!(bounded(shell.id(), 4, &mut Budget::new()), Ok(all));
        assert_eq!(bounded(shell.id(), 3, &mut Budget::new()), Err(Unsure));
        let mut spent = Budget::new();
        spent.take(super::super::LOOKS_MAX - 4).expect("there is as much");
        assert_eq!(family(shell.id(), &mut spent), Err(Unsure));
        drop(shell.stdin.take());
        shell.wait().expect("it ends");
        assert_eq!(family(shell.id(), &mut Budget::new()), Ok(vec![shell.id()]), "it has ended");
    }
}
