//! Backups: made by the gateway itself, restored into a folder that is not there yet, and tried out. `docs/backup.md`.
//!
//! A backup is a folder: `backup.note`, signed with the log's key, names the checkpoint and the manifest's digest; `manifest`
//! names every other file with its digest; then a folder for each part. What is in it lies as it lay: what was sealed is
//! sealed, and the master key is not there.

pub(crate) mod drill;
pub(crate) mod elsewhere;
pub(crate) mod folder;
pub(crate) mod make;
mod needs;
mod received;
pub(crate) mod restore;
pub(crate) mod since;

use std::path::Path;

use chartgate_audit::backup::{BackupPath, ParsePathError, Place};

use crate::config::Config;

const NOTE: &str = "backup.note";
const MANIFEST: &str = "manifest";
/// Where the store is within a backup.
const STORE: &str = "store/chartgate.db";
/// Where the log is.
const LOG: &str = "log";
/// The seed of the log's key, sealed.
const LOG_KEY: &str = "log.key";

/// Where each part lies, and where it is restored to if it lies outside the folder of the configuration.
fn parts(config: &Config) -> Vec<(Place, &Path, &'static str)> {
    let mut parts = vec![
        (Place::Config, config.file.as_path(), "chartgate.toml"),
        (Place::Keys, config.data_dir.as_path(), "data"),
        (Place::Store, config.store.as_path(), "data/chartgate.db"),
        (Place::Log, config.audit.dir.as_path(), "data/audit"),
        (Place::Policies, config.policy_dir.as_path(), "policies"),
    ];
    parts.extend(config.shadow_dir.as_deref().map(|dir| (Place::Trial, dir, "policies-on-trial")));
    parts
}

/// The path below the configuration's folder, where it lies there.
fn below(config: &Config, path: &Path) -> Result<BackupPath, ParsePathError> {
    let folder = config.file.parent().unwrap_or(Path::new("/"));
    path.strip_prefix(folder).ok().and_then(Path::to_str).ok_or(ParsePathError)?.parse()
}
