//! The administration socket: for the owner of the data folder alone. The gateway says first who it is, then a line of JSON
//! goes in and a line of JSON comes out.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::client::own_uid;
use super::{Administrator, Command, Operator};
use crate::crypto_module::VERSION;

/// A command's line may have this many bytes: an import of a large care table is one.
pub(super) const LONGEST: usize = 64 << 20;
/// And it has to come within this time.
pub(super) const TIME: Duration = Duration::from_secs(30);
/// The account that may read and write everything anyway.
const ROOT: u32 = 0;
/// The longest path that a socket can be bound to; the kernel's limit is 107.
const LONGEST_PATH: usize = 100;

/// What the gateway says to whoever connects, before it is asked: where nobody says it, nobody listens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Greeting {
    /// Of the program that runs.
    pub(crate) version: String,
}

/// A command on its way. A program that has no greeting gives it bare, and is not understood.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given<C> {
    pub(crate) command: C,
}

/// What the socket answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Done(Value),
    Failed(String),
}

/// A path to the socket that is short enough, and the link that made it so.
pub(crate) struct ShortPath {
    pub(crate) path: PathBuf,
    link: Option<PathBuf>,
}

impl ShortPath {
    /// The socket of a data folder; a long path goes through a link in the folder for temporary files.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn of(data_dir: &Path) -> io::Result<Self> {
        let direct = data_dir.join("admin.sock");
        if direct.as_os_str().len() <= LONGEST_PATH {
            return Ok(Self { path: direct, link: None });
        }
        let name =
            format!("chartgate-{}", crate::entropy::digest_of(opaque()).chars().take(16).collect::<String>());
        let link = std::env::temp_dir().join(name);
        std::os::unix::fs::symlink(std::path::absolute(data_dir)?, &link)?;
        Ok(Self { path: link.join("admin.sock"), link: Some(link) })
    }
}

fn opaque() -> String {
    crate::entropy::opaque_secret().expose().clone()
}

impl Drop for ShortPath {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            let _ = std::fs::remove_file(link);
        }
    }
}

/// Listens in the data folder, whose lock the caller holds.
///
/// # Errors
/// What the disk says.
pub(crate) fn bind(data_dir: &Path) -> io::Result<UnixListener> {
    let short = ShortPath::of(data_dir)?;
    match std::fs::remove_file(&short.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&short.path)?;
    std::fs::set_permissions(&short.path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves commands until `stop` turns true. What has come by then is carried out and answered before this ends; whoever drops
/// it before breaks that off.
pub(crate) async fn serve(
    listener: UnixListener,
    administrator: Arc<Administrator>,
    stop: watch::Receiver<bool>,
) {
    let mut under_way = JoinSet::new();
    let mut stopped = stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = under_way.join_next() => continue,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (administrator, stop) = (Arc::clone(&administrator), stop.clone());
                under_way.spawn(async move {
                    if let Err(error) = answer(stream, &administrator, stop).await {
                        tracing::warn!(%error, "administration socket");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "administration socket");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    while under_way.join_next().await.is_some() {}
}

async fn answer(
    stream: UnixStream,
    administrator: &Administrator,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let operator = Operator { uid: stream.peer_cred()?.uid() };
    // Whoever connected before the socket had its mode.
    if operator.uid != ROOT && operator.uid != own_uid().map_err(io::Error::other)? {
        return Err(io::Error::other(format!("account {} gives no commands here", operator.uid)));
    }
    let (read, mut write) = stream.into_split();
    say(&mut write, &Greeting { version: VERSION.to_owned() }).await?;
    let heard = tokio::select! {
        biased;
        heard = hear(read) => heard?,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    };
    let reply = match heard {
        Heard::Command(command) => match administrator.carry_out(operator, *command).await {
            Ok(value) => Reply::Done(value),
            Err(error) => Reply::Failed(error.to_string()),
        },
        Heard::Nothing => return Ok(()),
        Heard::Else(why) => Reply::Failed(format!("the gateway does not understand the command: {why}")),
    };
    say(&mut write, &reply).await?;
    write.shutdown().await
}

/// What somebody said who connected.
enum Heard {
    Command(Box<Command>),
    /// They went again: they wanted to know whether somebody listens.
    Nothing,
    Else(String),
}

async fn hear(read: OwnedReadHalf) -> io::Result<Heard> {
    let mut line = Vec::new();
    let longest = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    let mut reader = BufReader::new(read.take(longest));
    Ok(match tokio::time::timeout(TIME, reader.read_until(b'\n', &mut line)).await {
        Err(_) => Heard::Else(format!("it did not come within {} s", TIME.as_secs())),
        Ok(Err(error)) => return Err(error),
        Ok(Ok(0)) => Heard::Nothing,
        Ok(Ok(_)) => match serde_json::from_slice::<Given<Box<Command>>>(&line) {
            Ok(given) => Heard::Command(given.command),
            Err(error) => Heard::Else(error.to_string()),
        },
    })
}

async fn say(write: &mut OwnedWriteHalf, what: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(what).map_err(io::Error::other)?;
    text.push(b'\n');
    write.write_all(&text).await
}
