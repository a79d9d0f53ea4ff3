//! The program that runs under `weft run`: curl where it is, else this one as a small fetcher.

use super::{ALLOWED, REFUSED};
use std::env;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Which program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// curl, unmodified.
    Curl,
    /// `weft demo --fetch`.
    Own,
}

impl Program {
    /// curl where it is on the path.
    pub fn find() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        let has_curl = env::split_paths(&path).map(|directory| directory.join("curl")).any(|file| {
            file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        });
        if has_curl { Self::Curl } else { Self::Own }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Own => "A small fetcher",
        }
    }

    /// The command line that asks for the allowed name, for the other, and for the other at the allowed one's address.
    pub fn words(self, own: &Path, port: u16, authorities: &Path) -> Vec<OsString> {
        let mut words = Vec::new();
        match self {
            Self::Curl => {
                words.push(OsString::from("curl"));
                let spoof = format!("{REFUSED}:{port}:{ALLOWED}:{port}");
                for (position, name) in [ALLOWED, REFUSED, REFUSED].into_iter().enumerate() {
                    // The user's own settings stay out, a proxy's above all. -q is heard in the first place only.
                    words.push(if position == 0 { "-q" } else { "--next" }.into());
                    words.extend(["-sS", "--noproxy", "*", "--cacert"].map(OsString::from));
                    words.push(authorities.into());
                    if position == 2 {
                        words.extend(["--connect-to".into(), OsString::from(&spoof)]);
                    }
                    words.push(format!("https://{name}:{port}/").into());
                }
            }
            Self::Own => {
                words.extend([own.into(), "demo".into(), "--authorities".into(), authorities.into()]);
                for target in [
                    format!("{ALLOWED}:{port}"),
                    format!("{REFUSED}:{port}"),
                    format!("{REFUSED}:{port}@{ALLOWED}"),
                ] {
                    words.extend(["--fetch".into(), OsString::from(target)]);
                }
            }
        }
        words
    }

    /// The command line that asks for the allowed name alone.
    pub fn request(self, own: &Path, port: u16, authorities: &Path) -> Vec<OsString> {
        let words = self.words(own, port, authorities);
        // What is behind the first request.
        let count = match self {
            Self::Curl => words.iter().position(|word| word == "--next"),
            Self::Own => words.iter().rposition(|word| word == "--fetch").map(|last| last - 2),
        };
        words.into_iter().take(count.unwrap_or(usize::MAX)).collect()
    }

    /// The gist of that.
    pub fn shown_request(self, port: u16) -> String {
        match self {
            Self::Curl => format!("curl https://{ALLOWED}:{port}/"),
            Self::Own => format!("weft demo --fetch {ALLOWED}:{port}"),
        }
    }

    /// The gist of the command line.
    pub fn shown(self, port: u16) -> String {
        match self {
            Self::Curl => format!(
                "curl https://{ALLOWED}:{port}/ --next https://{REFUSED}:{port}/ \\\n    \
                 --next --connect-to {REFUSED}:{port}:{ALLOWED}:{port} https://{REFUSED}:{port}/"
            ),
            Self::Own => format!(
                "weft demo --fetch {ALLOWED}:{port} --fetch {REFUSED}:{port} --fetch {REFUSED}:{port}@{ALLOWED}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::directory::Directory;
    use super::super::servers::Servers;
    use super::*;
    use std::process::Command;

    #[test]
    fn curl_understands_what_it_is_told() {
        if Program::find() == Program::Own {
            eprintln!("skipped, missing: curl");
            return;
        }
        let servers = Servers::start([ALLOWED, REFUSED]).unwrap();
        let directory = Directory::make().unwrap();
        let authorities = directory.write("authorities.pem", servers.certificates()).unwrap();
        let port = servers.address().port();
        let words = Program::Curl.words(Path::new("weft"), port, &authorities);
        // No resolver here: both names are pinned, for each of the three transfers.
        let mut pinned = Vec::new();
        for word in &words {
            if word.to_string_lossy().starts_with("https://") {
                for name in [ALLOWED, REFUSED] {
                    pinned.extend(["--resolve".into(), OsString::from(format!("{name}:{port}:127.0.0.1"))]);
                }
            }
            pinned.push(word.clone());
        }
        let output = Command::new(&pinned[0]).args(&pinned[1..]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text, format!("hello from {ALLOWED}\nhello from {REFUSED}\nhello from {REFUSED}\n"));
        assert_eq!(servers.requests(), [1, 2]);
    }
}
