//! Giving a command: to the running gateway, or, where none runs, carried out here under the folder's lock.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::socket::{Given, Greeting, LONGEST, Reply, ShortPath, TIME};
use super::{Command, Operator};
use crate::app::{App, DataLock, LockError};
use crate::config::Config;
use crate::crypto_module::VERSION;

/// How long a command waits for a folder that is in use while nobody listens: another command works on it, or a gateway
/// starts or ends.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a gateway waits for one: a command that works alone may have a large table to read.
const PATIENCE_OF_A_GATEWAY: Duration = Duration::from_secs(30);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A gateway that listens says so within this time.
const GREETING_TIME: Duration = Duration::from_secs(10);

const SILENT: &str = "the data folder is in use, but its administration socket does not answer";

/// Gives a command and waits for its answer.
///
/// # Errors
/// Why it was not carried out, for whoever gave it.
pub(crate) async fn give(config: Config, command: Command) -> anyhow::Result<Value> {
    match reach(&config.data_dir, PATIENCE).await? {
        Reached::Nobody(lock) => alone(config, lock, command).await,
        Reached::Gateway(stream) => over_socket(stream, &command).await,
        Reached::Silent(error) => Err(error).context(SILENT),
    }
}

/// Gives a command to the running gateway, and to nobody in its place.
///
/// # Errors
/// If none runs; else as [`give`].
pub(crate) async fn ask_running(config: &Config, command: &Command) -> anyhow::Result<Value> {
    match reach(&config.data_dir, PATIENCE).await? {
        Reached::Nobody(_) => bail!(
            "no gateway runs on {}: what is in force is asked of a running one",
            config.data_dir.display()
        ),
        Reached::Gateway(stream) => over_socket(stream, command).await,
        Reached::Silent(error) => Err(error).context(SILENT),
    }
}

/// Takes the data folder for a gateway. A command that works on it alone is waited for, another gateway is not.
///
/// # Errors
/// If it stays in use.
pub(crate) async fn take_for_gateway(data_dir: &Path) -> anyhow::Result<DataLock> {
    match reach(data_dir, PATIENCE_OF_A_GATEWAY).await? {
        Reached::Nobody(lock) => Ok(lock),
        Reached::Gateway(_) | Reached::Silent(_) => Err(LockError::Held.into()),
    }
}

/// Who works on a data folder.
enum Reached {
    /// Nobody did, and now we do.
    Nobody(DataLock),
    Gateway(UnixStream),
    /// Somebody who does not listen.
    Silent(io::Error),
}

async fn reach(data_dir: &Path, patience: Duration) -> Result<Reached, LockError> {
    let mut waited = Duration::ZERO;
    loop {
        match DataLock::take(data_dir) {
            Ok(lock) => return Ok(Reached::Nobody(lock)),
            Err(LockError::Held) => {}
            Err(error @ LockError::File(_)) => return Err(error),
        }
        match connect(data_dir).await {
            Ok(stream) => return Ok(Reached::Gateway(stream)),
            Err(error) if waited >= patience => return Ok(Reached::Silent(error)),
            Err(_) => {}
        }
        if waited.is_zero() {
            tracing::info!("the data folder is in use: waiting for it");
        }
        tokio::time::sleep(LOOK_EVERY).await;
        waited = waited.saturating_add(LOOK_EVERY);
    }
}

async fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    let short = ShortPath::of(data_dir)?;
    UnixStream::connect(&short.path).await
}

async fn alone(config: Config, lock: DataLock, command: Command) -> anyhow::Result<Value> {
    let app = tokio::task::spawn_blocking(move || App::open(config, lock)).await??;
    let operator = Operator { uid: own_uid()? };
    let done = app.administrator.carry_out(operator, command).await;
    tokio::task::spawn_blocking(move || app.close()).await?;
    Ok(done?)
}

/// Gives a command to whoever listens. How long it may take is the command's affair; that somebody listens is told at once.
async fn over_socket(stream: UnixStream, command: &Command) -> anyhow::Result<Value> {
    let mut line = serde_json::to_vec(&Given { command })?;
    line.push(b'\n');
    if line.len() > LONGEST {
        bail!(
            "the command has {} MiB, and a gateway that runs takes {} MiB at the most: give it in parts, or while the \
             gateway is stopped",
            line.len().div_ceil(1 << 20),
            LONGEST >> 20
        );
    }
    let mut stream = BufReader::new(stream);
    let mut greeting = Vec::new();
    let greeted = tokio::time::timeout(GREETING_TIME, stream.read_until(b'\n', &mut greeting)).await;
    greeted.context(SILENT)?.context(SILENT)?;
    let Greeting { version } = serde_json::from_slice(&greeting).context(SILENT)?;
    if version != VERSION {
        bail!(
            "the gateway that runs is version {version}, and this is {VERSION}: restart the gateway, or give the command \
             by its own program"
        );
    }
    tokio::time::timeout(TIME, stream.write_all(&line)).await.context(SILENT)?.context(SILENT)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.context(UNANSWERED)?;
    match serde_json::from_slice(&reply).context(UNANSWERED)? {
        Reply::Done(value) => Ok(value),
        Reply::Failed(reason) => bail!(reason),
    }
}

const UNANSWERED: &str = "the gateway ended before it answered: look whether the command was carried out";

/// Our own account, as a socket would see it.
pub(crate) fn own_uid() -> anyhow::Result<u32> {
    let (one, _other) = UnixStream::pair()?;
    Ok(one.peer_cred()?.uid())
}
