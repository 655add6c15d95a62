//! Giving a command: to the running gateway, or, where none runs, carried out here under the folder's lock.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::socket::{Reply, ShortPath};
use super::{Command, Operator};
use crate::app::{App, DataLock, LockError};
use crate::config::Config;

/// Gives a command and waits for its answer.
///
/// # Errors
/// Why it was not carried out, for whoever gave it.
pub(crate) async fn give(config: Config, command: Command) -> anyhow::Result<Value> {
    match DataLock::take(&config.data_dir) {
        Ok(lock) => alone(config, lock, command).await,
        Err(LockError::Held) => over_socket(&config.data_dir, &command).await,
        Err(error @ LockError::File(_)) => Err(error.into()),
    }
}

/// Gives a command to the running gateway, and to nobody in its place.
///
/// # Errors
/// If none runs; else as [`give`].
pub(crate) async fn ask_running(config: &Config, command: &Command) -> anyhow::Result<Value> {
    match DataLock::take(&config.data_dir) {
        Ok(_) => bail!(
            "no gateway runs on {}: what is in force is asked of a running one",
            config.data_dir.display()
        ),
        Err(LockError::Held) => over_socket(&config.data_dir, command).await,
        Err(error @ LockError::File(_)) => Err(error.into()),
    }
}

async fn alone(config: Config, lock: DataLock, command: Command) -> anyhow::Result<Value> {
    let app = tokio::task::spawn_blocking(move || App::open(config, lock)).await??;
    let operator = Operator { uid: own_uid()? };
    let done = app.administrator.carry_out(operator, command).await;
    tokio::task::spawn_blocking(move || app.close()).await?;
    Ok(done?)
}

async fn over_socket(data_dir: &Path, command: &Command) -> anyhow::Result<Value> {
    let short = ShortPath::of(data_dir)?;
    let silent = "the data folder is in use, but its administration socket does not answer";
    let mut stream = UnixStream::connect(&short.path).await.context(silent)?;
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    stream.write_all(&line).await.context(silent)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.context(silent)?;
    match serde_json::from_slice(&reply).context(silent)? {
        Reply::Done(value) => Ok(value),
        Reply::Failed(reason) => bail!(reason),
    }
}

/// Our own account, as a socket would see it.
pub(crate) fn own_uid() -> anyhow::Result<u32> {
    let (one, _other) = UnixStream::pair()?;
    Ok(one.peer_cred()?.uid())
}
