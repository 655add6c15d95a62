//! The administration socket: a line of JSON in, a line of JSON out, for the owner of the data folder alone.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::{Administrator, Command, Operator};

/// A command line may have this many bytes: an import of a large care table is one.
const LONGEST: u64 = 64 << 20;
/// And it has to come within this time.
const TIME: Duration = Duration::from_secs(30);
/// The longest path that a socket can be bound to; the kernel's limit is 107.
const LONGEST_PATH: usize = 100;

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

/// Serves commands until `stop` turns true.
pub(crate) async fn serve(
    listener: UnixListener,
    administrator: Arc<Administrator>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let administrator = Arc::clone(&administrator);
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, &administrator).await {
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
}

async fn answer(stream: UnixStream, administrator: &Administrator) -> io::Result<()> {
    let operator = Operator { uid: stream.peer_cred()?.uid() };
    let (read, mut write) = stream.into_split();
    let mut line = Vec::new();
    let mut reader = BufReader::new(read.take(LONGEST));
    tokio::time::timeout(TIME, reader.read_until(b'\n', &mut line)).await??;
    let reply = match serde_json::from_slice::<Command>(&line) {
        Ok(command) => match administrator.carry_out(operator, command).await {
            Ok(value) => Reply::Done(value),
            Err(error) => Reply::Failed(error.to_string()),
        },
        Err(error) => Reply::Failed(format!("the gateway does not understand the command: {error}")),
    };
    let mut text = serde_json::to_vec(&reply).map_err(io::Error::other)?;
    text.push(b'\n');
    write.write_all(&text).await?;
    write.shutdown().await
}
