//! A certificate authority for one test.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs;

/// The authority; `openssl` does its work.
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
}

/// A certificate with its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Authority {
    /// Makes an authority in `directory`.
    ///
    /// # Panics
    ///
    /// Where `openssl` fails.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        let authority = Self { directory: directory.to_owned() };
        authority.request("authority", &["-subj", "/CN=weft interop authority"]);
        authority
    }

    /// The authority's own certificate, for clients to trust.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.directory.join("authority.pem")
    }

    /// Issues a certificate for `names`.
    ///
    /// # Panics
    ///
    /// Where `openssl` fails.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Certificate {
        let names_listed: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
        let alternatives = format!("subjectAltName={}", names_listed.join(","));
        let (issuer, issuer_key) = (self.certificate(), self.directory.join("authority.key"));
        self.request(
            names[0],
            &[
                "-subj",
                &format!("/CN={}", names[0]),
                "-addext",
                &alternatives,
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-CA",
                &issuer.to_string_lossy(),
                "-CAkey",
                &issuer_key.to_string_lossy(),
            ],
        )
    }

    fn request(&self, stem: &str, options: &[&str]) -> Certificate {
        let made = Certificate {
            certificate: self.directory.join(format!("{stem}.pem")),
            key: self.directory.join(format!("{stem}.key")),
        };
        let done = Command::new(programs::path("openssl"))
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(options)
            .arg("-keyout")
            .arg(&made.key)
            .arg("-out")
            .arg(&made.certificate)
            .output()
            .expect("openssl runs");
        assert!(done.status.success(), "openssl req: {}", String::from_utf8_lossy(&done.stderr));
        made
    }
}
