//! `chartgate audit verify`: whether a log holds, and extends what is known of it elsewhere.
//!
//! Of the configuration's own log the store keeps the last signed checkpoint, so that a folder that was put back to how it
//! stood before is noticed here as it is by `serve`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use chartgate_audit::checkpoint::{Checkpoint, SignedCheckpoint};
use chartgate_audit::note::VerifierKey;
use chartgate_audit::storage::{Object, Objects};
use chartgate_audit::verify::{Verified, VerifyError, verify};
use clap::Args;

use super::{print, verifier_key, witnessed};
use crate::cli::load;
use crate::journal_fs::{ObjectFolder, SegmentFolder};
use crate::store::checkpoint::log_checkpoint_at;

/// What is to be checked, and by what.
#[derive(Debug, Args)]
pub(in crate::cli) struct Asked {
    /// The log's folder; without it, the configuration's, which has to extend the checkpoint that the store keeps.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The log's public key, or a file with it; without it, `log.vkey` in the folder.
    #[arg(long)]
    key: Option<String>,
    /// A checkpoint that was kept elsewhere, which the log has to extend.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// A policy (C2SP tlog-policy): whose cosignatures the log has to have, and which log it has to be.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// How old a record may be, in seconds, that the quorum has not seen: witnesses are asked every few seconds
    #[arg(long, value_name = "SECONDS", requires = "policy")]
    cosigned_within: Option<u64>,
}

pub(super) fn check(asked: &Asked, config: &Path) -> anyhow::Result<ExitCode> {
    let (dir, store) = match &asked.dir {
        Some(dir) => (dir.clone(), None),
        None => {
            let config = load(config)?;
            (config.audit.dir, Some(config.store))
        }
    };
    let key = verifier_key(&dir, asked.key.as_deref())?;
    if asked.dir.is_some() && asked.key.is_none() {
        eprintln!("chartgate: the folder's own key is believed, for no --key is given: {key}");
    }
    // Before the log is walked, which may grow meanwhile.
    let kept = store.map(|store| kept(&store, &key)).transpose()?;
    let given = asked.checkpoint.as_deref().map(|path| given(path, &key)).transpose()?;
    let question =
        asked.policy.as_deref().map(|policy| witnessed::question(&dir, &key, policy)).transpose()?;
    let found = match &kept {
        Some(kept) => walk_as_kept(&dir, &key, kept, kept.checkpoint()).and_then(|found| match &given {
            Some(given) => walk_as_kept(&dir, &key, kept, given),
            None => Ok(found),
        }),
        None => walk(&ObjectFolder::of_copy(&dir), &dir, &key, given.as_ref()),
    };
    match found {
        Ok(found) => {
            print::line(&format!(
                "verified: {} records under the checkpoint of {}, {} under none yet{}",
                found.checkpoint.size,
                found.checkpoint.origin,
                found.uncovered,
                if found.torn_bytes > 0 { ", and a batch that was being written" } else { "" }
            ));
            match question {
                None => Ok(ExitCode::SUCCESS),
                Some(question) => {
                    let within = asked.cosigned_within.map(Duration::from_secs);
                    witnessed::check(&question, found.checkpoint.size, within)
                }
            }
        }
        Err(error) => {
            let put_back = kept.is_some() && matches!(error, VerifyError::OlderThanKnown { .. });
            let why = if put_back { ": the store keeps it, and the folder was put back" } else { "" };
            eprintln!("chartgate: the log does not hold: {error}{why}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn given(path: &Path, key: &VerifierKey) -> anyhow::Result<Checkpoint> {
    let note = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
    let opened = SignedCheckpoint::open(&note, key).with_context(|| format!("{}", path.display()))?;
    Ok(opened.checkpoint().clone())
}

/// The checkpoint that the store keeps. Without it nobody could tell a folder that was put back.
fn kept(store: &Path, key: &VerifierKey) -> anyhow::Result<SignedCheckpoint> {
    let unknown = || {
        format!(
            "whether the log is older than it was cannot be told by {}; --dir checks its folder by itself",
            store.display()
        )
    };
    let note = log_checkpoint_at(store).with_context(unknown)?;
    let note = note.context("it keeps no checkpoint yet").with_context(unknown)?;
    SignedCheckpoint::open(note.as_bytes(), key).with_context(|| {
        format!(
            "the folder is another log's: its key is {key}, and the checkpoint that the store keeps does not open under it"
        )
    })
}

fn walk(
    objects: &dyn Objects,
    dir: &Path,
    key: &VerifierKey,
    known: Option<&Checkpoint>,
) -> Result<Verified, VerifyError> {
    verify(objects, &SegmentFolder::of_copy(dir), key, known)
}

/// The gateway keeps a checkpoint once its tiles are stored, and publishes it a moment later, or at its next start: so the
/// log may hold up to what is kept while what is published is older. One that was put back does not.
fn walk_as_kept(
    dir: &Path,
    key: &VerifierKey,
    kept: &SignedCheckpoint,
    known: &Checkpoint,
) -> Result<Verified, VerifyError> {
    let folder = ObjectFolder::of_copy(dir);
    match walk(&folder, dir, key, Some(known)) {
        Err(older @ VerifyError::OlderThanKnown { .. }) => {
            let objects = AsKept { folder, key, kept };
            walk(&objects, dir, key, Some(known)).map_err(|error| match error {
                VerifyError::Tile(_) => older,
                other => other,
            })
        }
        found => found,
    }
}

/// The log as the next start publishes it: under the checkpoint that is kept, where that is the newer one.
struct AsKept<'a> {
    folder: ObjectFolder,
    key: &'a VerifierKey,
    kept: &'a SignedCheckpoint,
}

impl Objects for AsKept<'_> {
    fn put(&self, objects: &[Object]) -> io::Result<()> {
        self.folder.put(objects)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let found = self.folder.read(path)?;
        let is_older = || {
            let published = SignedCheckpoint::open(&found, self.key);
            published.is_ok_and(|published| published.size() < self.kept.size())
        };
        if path == CHECKPOINT && is_older() { Ok(self.kept.note().as_bytes().to_vec()) } else { Ok(found) }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.folder.list(folder)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.folder.remove(path)
    }
}

/// Where the log publishes its newest checkpoint.
const CHECKPOINT: &str = "checkpoint";
