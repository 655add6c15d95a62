//! The few secrets on disk: the master key, and what is sealed under it. Readable by their owner alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use chartgate_values::seal::{MasterKey, SealError};
use chartgate_values::{Entropy, Secret};
use zeroize::Zeroizing;

use crate::app::log_origin;
use crate::config::Config;
use crate::entropy::SystemEntropy;
use master::NoMasterKey;

mod master;

const MASTER: &str = "master.key";
const LOG_SEED: &str = "log.key";

/// What the installation keeps secret.
pub(crate) struct Secrets {
    pub(crate) master: MasterKey,
    /// The seed of the log's signing key.
    pub(crate) log_seed: Secret<[u8; 32]>,
}

/// Why the secrets cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretsError {
    /// The disk.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the disk says.
        source: io::Error,
    },
    /// The file has another content.
    #[error("{}: {problem}", .path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The master key.
    #[error(transparent)]
    Master(#[from] NoMasterKey),
    /// The file was sealed under another master key, or was altered.
    #[error("{} does not open under this master key", .0.display())]
    Sealed(PathBuf),
}

impl Secrets {
    /// Makes new ones in a folder that has none.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub(crate) fn create(data_dir: &Path, origin: &str) -> Result<(), SecretsError> {
        let master = MasterKey::generate(&mut SystemEntropy);
        let seal =
            master.derive(LOG_PURPOSE).map_err(|SealError| SecretsError::Sealed(data_dir.to_owned()))?;
        let entropy: &mut dyn Entropy = &mut SystemEntropy;
        let seed = Zeroizing::new(entropy.bytes::<32>());
        let path = data_dir.join(LOG_SEED);
        let sealed = seal
            .seal(&mut SystemEntropy, origin.as_bytes(), &*seed)
            .map_err(|SealError| SecretsError::Sealed(path.clone()))?;
        write_new(&path, &sealed)?;
        write_new(&data_dir.join(MASTER), hex(master.expose()).as_bytes())
    }

    /// Reads them.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub(crate) fn load(config: &Config) -> Result<Self, SecretsError> {
        Self::load_from(config, &config.data_dir)
    }

    /// Reads those that lie in another folder, such as one that was restored, with the master key of this installation.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub(crate) fn load_from(config: &Config, data_dir: &Path) -> Result<Self, SecretsError> {
        let master = config.master_key.master_key()?;
        let origin = log_origin(config);
        let path = data_dir.join(LOG_SEED);
        let seal = master.derive(LOG_PURPOSE).map_err(|SealError| SecretsError::Sealed(path.clone()))?;
        let opened = seal
            .open(origin.as_bytes(), &read_private(&path)?)
            .map_err(|SealError| SecretsError::Sealed(path.clone()))?;
        let seed: [u8; 32] = opened
            .expose()
            .as_slice()
            .try_into()
            .map_err(|_| SecretsError::Content { path, problem: "is no seed" })?;
        Ok(Self { master, log_seed: Secret::new(seed) })
    }
}

const LOG_PURPOSE: &str = "audit log signing key";

/// Writes a new file that only its owner can read.
///
/// # Errors
/// [`SecretsError::File`], also if there is one already.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<(), SecretsError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|source| SecretsError::File { path: path.to_owned(), source })
}

/// Reads a file that nobody else can read.
fn read_private(path: &Path) -> Result<Vec<u8>, SecretsError> {
    let read = || {
        let mut file = File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        Ok((mode, content))
    };
    let (mode, content) = read().map_err(|source| SecretsError::File { path: path.to_owned(), source })?;
    if mode & 0o077 != 0 {
        let problem = "can be read by others; chmod 600 it";
        return Err(SecretsError::Content { path: path.to_owned(), problem });
    }
    Ok(content)
}

fn hex(bytes: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
