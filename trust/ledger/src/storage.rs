//! The seam to files: what the ledger needs of whatever holds it. A directory and a simulated disk stand behind it, and
//! an exported file behind the half of it that reads.
//!
//! Paths are relative, of ASCII, with `/` between folders.

use std::io;

/// The bound of one file, in bytes: that of a journal with a batch more than it should have.
pub const FILE_BYTES_MAX: u64 = 96 << 20;

/// A wait for the disk, on whichever thread may wait.
pub type SyncJob = Box<dyn FnOnce() -> io::Result<()> + Send>;

/// Files that can be read.
pub trait Source {
    /// A file's content; `None` where there is none of this path.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or is longer than [`FILE_BYTES_MAX`].
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// The names in a folder, files and folders, sorted; none where there is no such folder. The root is the empty path.
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
}

/// Files that can be written as well. What was written survives a loss of power once it was synced, and may or may not
/// before: in whole, in part, or out of order.
pub trait Storage: Source {
    /// Makes a file of this content, in place of one that was there; makes its folders.
    ///
    /// # Errors
    ///
    /// Where it cannot be written; part of it may be.
    fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Writes behind the end of a file that is there.
    ///
    /// # Errors
    ///
    /// Where it cannot be written; part of it may be.
    fn append(&mut self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Takes a file that another has written, and its place, for one's own: [`Self::sync_all`] means it as well. Nothing is
    /// written.
    fn adopt(&mut self, path: &str);

    /// Gives a file the place of another.
    ///
    /// # Errors
    ///
    /// Where it cannot.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file, or a folder with all in it; nothing where there is none.
    ///
    /// # Errors
    ///
    /// Where it cannot.
    fn remove(&mut self, path: &str) -> io::Result<()>;

    /// The wait until a file's content is on disk, as it is now; its name may not be. More may be written meanwhile.
    ///
    /// # Errors
    ///
    /// Where that cannot be begun. The job fails where it cannot be told to be on disk: then what was written since the last
    /// time may be lost, whatever is told later.
    fn sync_beside(&mut self, path: &str) -> io::Result<SyncJob>;

    /// The wait until everything that was written or adopted is on disk as it is now, names included.
    ///
    /// # Errors
    ///
    /// As [`Self::sync_beside`].
    fn sync_all_beside(&mut self) -> io::Result<SyncJob>;

    /// Returns once everything that was written or adopted is on disk, names included, also where another wait for it is not
    /// over.
    ///
    /// # Errors
    ///
    /// As [`Self::sync_beside`].
    fn sync_all(&mut self) -> io::Result<()>;
}

impl<S: Source + ?Sized> Source for &S {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        (**self).read(path)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        (**self).list(folder)
    }
}

impl<S: Source + ?Sized> Source for &mut S {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        (**self).read(path)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        (**self).list(folder)
    }
}

impl<S: Storage + ?Sized> Storage for &mut S {
    fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        (**self).write(path, bytes)
    }

    fn append(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        (**self).append(path, bytes)
    }

    fn adopt(&mut self, path: &str) {
        (**self).adopt(path);
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        (**self).rename(from, to)
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        (**self).remove(path)
    }

    fn sync_beside(&mut self, path: &str) -> io::Result<SyncJob> {
        (**self).sync_beside(path)
    }

    fn sync_all_beside(&mut self) -> io::Result<SyncJob> {
        (**self).sync_all_beside()
    }

    fn sync_all(&mut self) -> io::Result<()> {
        (**self).sync_all()
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        (**self).read(path)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        (**self).list(folder)
    }
}
