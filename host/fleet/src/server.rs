//! How the servers are reached: addresses, TLS, credentials.

use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{Client, ConnectOptions, Event, Subscriber};
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a request or a publication waits for its answer.
pub const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How often the server is asked whether it is there. Two that it does not answer end the connection.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// The longest wait between two attempts to connect.
const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
/// The bound of addresses that are given.
pub const SERVERS_MAX: usize = 16;
/// The bound of a credentials file, in bytes.
const CREDENTIALS_BYTES_MAX: u64 = 64 << 10;
/// How many messages wait to be read of what is listened to: of changes, the first is enough.
const MESSAGES_MAX: usize = 4_096;
/// How many commands wait for a connection's socket. What is published waits for its answer, so there are few.
const COMMANDS_MAX: usize = 2_048;

/// Where the servers are, and how they are told who is there.
///
/// ```
/// let access = fleet::Access::new(vec!["tls://nats.example.com".into()]);
/// assert!(access.credentials.is_none());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The addresses, as `nats://HOST[:PORT]` or `tls://HOST[:PORT]`.
    pub servers: Vec<String>,
    /// A file in PEM with the authorities whose certificates a server may show; those of the system where not given.
    pub authorities: Option<PathBuf>,
    /// Files in PEM with the certificate to show and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// A file of credentials: a JWT and the seed that signs for it.
    pub credentials: Option<PathBuf>,
    /// Under which subjects answers come, `_INBOX` unless told otherwise. Who may listen there sees all of them, so that a
    /// host that is not to see others' has its own.
    pub inbox: Option<String>,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ServerError {
    /// An address cannot be understood, or there are none, or too many; what is wrong.
    Address(String),
    /// A file cannot be used; which, and why.
    File(PathBuf, String),
    /// The server does not answer, or refuses; why.
    Connect(String),
    /// A stream, a bucket or a message cannot be had; what was tried, and why it failed.
    Request(&'static str, String),
    /// A stream holds more bytes than it would be allowed to; which, how many it holds, and how many it would.
    Held(String, u64, u64),
    /// A stream takes no more of what is shipped; which, how many bytes it may hold, and how many of them are kept free.
    Full(&'static str, u64, u64),
}

/// A connection, which is made anew as often as it is lost.
#[derive(Clone, Debug)]
pub struct Link {
    client: Client,
    jetstream: jetstream::Context,
    /// How often a connection came to be, and the last reason why none did.
    connections: watch::Receiver<Connections>,
}

/// What became of attempts to connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// How many came to be.
    pub count: u64,
    /// Whether there is one.
    pub is_up: bool,
    /// Why there is none, where that was told.
    pub reason: Option<String>,
}

impl Access {
    /// These servers, without TLS of one's own choosing and without credentials.
    #[must_use]
    pub fn new(servers: Vec<String>) -> Self {
        Self { servers, ..Self::default() }
    }

    /// Connects, once.
    ///
    /// # Errors
    ///
    /// Where no server takes the connection.
    pub async fn connect(&self) -> Result<Link, ServerError> {
        self.link(false).await
    }

    /// Connects as often as needed: it returns at once, and whether there is a connection is told by the link.
    ///
    /// # Errors
    ///
    /// Where an address or a file cannot be used.
    pub async fn keep_connected(&self) -> Result<Link, ServerError> {
        self.link(true).await
    }

    async fn link(&self, keep: bool) -> Result<Link, ServerError> {
        let addresses = self.addresses()?;
        let (told, connections) = watch::channel(Connections::default());
        let told = Arc::new(told);
        let options = self.options()?.event_callback(move |event| {
            tell(&told, &event);
            std::future::ready(())
        });
        let options = if keep { options.retry_on_initial_connect() } else { options };
        let connected = options.connect(addresses).await;
        let client = connected.map_err(|error| ServerError::Connect(chain(&error)))?;
        let jetstream = ContextBuilder::new().timeout(ANSWER_WAIT).build(client.clone());
        Ok(Link { client, jetstream, connections })
    }

    fn addresses(&self) -> Result<Vec<async_nats::ServerAddr>, ServerError> {
        if self.servers.is_empty() || self.servers.len() > SERVERS_MAX {
            let text = format!("give 1 to {SERVERS_MAX} servers, as nats://HOST:PORT or tls://HOST:PORT");
            return Err(ServerError::Address(text));
        }
        let parse = |text: &String| {
            // What stands before an @ may be a password, and is not repeated.
            if text.contains('@') {
                let text = "an address has no user in it: give credentials in a file".to_owned();
                return Err(ServerError::Address(text));
            }
            let address = text.parse::<async_nats::ServerAddr>();
            address.map_err(|error| ServerError::Address(format!("'{text}' is no server: {error}")))
        };
        self.servers.iter().map(parse).collect()
    }

    fn options(&self) -> Result<ConnectOptions, ServerError> {
        let mut options = ConnectOptions::new()
            .name("weft")
            .ping_interval(PING_INTERVAL)
            .connection_timeout(ANSWER_WAIT)
            .request_timeout(Some(ANSWER_WAIT))
            .client_capacity(COMMANDS_MAX)
            .subscription_capacity(MESSAGES_MAX)
            .reconnect_delay_callback(|attempts| {
                let doublings = u32::try_from(attempts.saturating_sub(1).min(8)).unwrap_or(8);
                let delay =
                    if attempts <= 1 { Duration::ZERO } else { Duration::from_millis(25 << doublings) };
                delay.min(RECONNECT_WAIT_MAX)
            });
        if let Some(inbox) = &self.inbox {
            options = options.custom_inbox_prefix(inbox);
        }
        let is_readable = |path: &Path| {
            let read = fs::File::open(path).map(drop);
            read.map_err(|error| ServerError::File(path.to_owned(), error.to_string()))
        };
        if let Some(path) = &self.authorities {
            is_readable(path)?;
            options = options.add_root_certificates(path.clone()).require_tls(true);
        }
        if let Some((certificate, key)) = &self.certificate {
            is_readable(certificate)?;
            check_secret(key)?;
            options = options.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
        }
        if let Some(path) = &self.credentials {
            check_secret(path)?;
            let refuse = |error: std::io::Error| ServerError::File(path.clone(), error.to_string());
            if fs::metadata(path).map_err(refuse)?.len() > CREDENTIALS_BYTES_MAX {
                let text = format!("credentials have at most {CREDENTIALS_BYTES_MAX} bytes");
                return Err(ServerError::File(path.clone(), text));
            }
            let text = fs::read_to_string(path).map_err(refuse)?;
            options = options.credentials(&text).map_err(refuse)?;
        }
        Ok(options)
    }
}

/// A file that signs for its owner is used only where nobody else can read it, as with keys of `weft key`.
fn check_secret(path: &Path) -> Result<(), ServerError> {
    let refuse = |text: String| ServerError::File(path.to_owned(), text);
    let mode = fs::metadata(path).map_err(|error| refuse(error.to_string()))?.permissions().mode();
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(refuse(format!("others may read it: chmod 600 {}", path.display()))),
    }
}

fn tell(told: &watch::Sender<Connections>, event: &Event) {
    told.send_modify(|connections| match event {
        Event::Connected => {
            *connections = Connections { count: connections.count + 1, is_up: true, reason: None };
        }
        Event::Disconnected | Event::Closed => connections.is_up = false,
        Event::ClientError(error) => connections.reason = Some(error.to_string()),
        Event::ServerError(error) => connections.reason = Some(error.to_string()),
        Event::LameDuckMode | Event::Draining | Event::SlowConsumer(_) => {}
    });
}

impl Link {
    /// What carries streams and buckets.
    #[must_use]
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// Connections as they come and go.
    #[must_use]
    pub fn connections(&self) -> watch::Receiver<Connections> {
        self.connections.clone()
    }

    /// Listens to a subject, over all connections that there will be.
    pub(crate) async fn listen(&self, subject: String) -> Result<Subscriber, ServerError> {
        let subscriber = self.client.subscribe(subject).await;
        subscriber.map_err(|error| ServerError::Request("listen", chain(&error)))
    }

    /// Returns once everything that was sent has reached the server.
    ///
    /// # Errors
    ///
    /// Where there is no connection.
    pub async fn flush(&self) -> Result<(), ServerError> {
        self.client.flush().await.map_err(|error| ServerError::Request("send", chain(&error)))
    }
}

/// An error with the reasons behind it, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(reason) = next {
        let reason_text = reason.to_string();
        if !text.contains(&reason_text) {
            text += ": ";
            text += &reason_text;
        }
        next = reason.source();
    }
    text.replace('\n', " ")
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(text) => f.write_str(text),
            Self::File(path, reason) => write!(f, "{}: {reason}", path.display()),
            Self::Connect(reason) => write!(f, "no server takes the connection: {reason}"),
            Self::Request(what, reason) => write!(f, "cannot {what}: {reason}"),
            Self::Held(stream, held, bound) => write!(
                f,
                "the stream {stream} holds {held} bytes, and the server would delete what is above a limit of {bound}: nothing \
                 was changed; give a limit of {held} or more"
            ),
            Self::Full(stream, bytes_max, margin) => write!(
                f,
                "the stream {stream} is full: of its {bytes_max} bytes the last {margin} are kept free, as the server would let go \
                 of the oldest; give it more with weft fleet setup --ledger-bytes"
            ),
        }
    }
}

impl std::error::Error for ServerError {}
