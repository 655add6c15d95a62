//! Restoring a backup into a folder that is not there yet.
//!
//! No key that opens anything is needed, and no gateway: files are held against what was signed, the log is verified, and the
//! store, which says of itself that it is a backup's copy, is told what is known of that. Its first start ends what it had
//! issued and puts that on record (`crate::store::restores`).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chartgate_audit::backup::{BackupPath, Label, Place};
use chartgate_audit::checkpoint::{Checkpoint, SignedCheckpoint};
use chartgate_audit::note::VerifierKey;
use chartgate_audit::tile::StoredNodes;
use chartgate_audit::tree::{Hash, subtree_root};
use chartgate_audit::verify::verify;
use chartgate_values::Timestamp;

use super::elsewhere::{Elsewhere, elsewhere};
use super::folder::{Held, NewFolder};
use super::received::Received;
use super::since::{Since, since};
use super::{LOG, STORE};
use crate::journal_fs::{ObjectFolder, SegmentFolder};
use crate::store::restores::{Mark, PutBack};
use crate::store::{Store, StoreError};

/// What is to be restored.
pub(crate) struct Wanted<'a> {
    /// The backup.
    pub(crate) from: &'a Path,
    /// The folder that is made of it.
    pub(crate) dir: &'a Path,
    /// The log's key, as it is known elsewhere.
    pub(crate) key: Option<VerifierKey>,
    /// A checkpoint of the log that is known elsewhere, such as a witness's.
    pub(crate) checkpoint: Option<&'a Path>,
    /// Who restores it.
    pub(crate) by: String,
}

/// What was restored.
pub(crate) struct Restored {
    pub(crate) id: Hash,
    pub(crate) label: Label,
    pub(crate) key: VerifierKey,
    /// The configuration file.
    pub(crate) config: PathBuf,
    /// Parts for which it would look elsewhere than where they are.
    pub(crate) elsewhere: Elsewhere,
    /// What was done by administrators since it was begun, as far as its log knows: its store may not.
    pub(crate) since: Vec<Since>,
    /// How many records the log is known to have had.
    pub(crate) known: Option<u64>,
    /// The folder, for as long as somebody works in it.
    pub(super) held: Held,
}

/// Restores a backup.
///
/// # Errors
/// Why not, by the name of what does not hold. Nothing is left of it then.
pub(crate) fn restore(wanted: &Wanted<'_>, now: Timestamp) -> anyhow::Result<Restored> {
    let received = Received::open(wanted.from, wanted.key.clone())?;
    if now < received.label.made {
        bail!(
            "the backup is of {}, and the clock of this machine says {now}: set it first",
            received.label.made
        );
    }
    check_places(&received.label)?;
    let known = wanted.checkpoint.map(|path| known_checkpoint(path, &received.key)).transpose()?;
    let folder = NewFolder::begin(wanted.dir)?;
    for path in received.manifest.files.keys() {
        let to = place_of(path, &received.label)?;
        let mut file = folder.create(&to).with_context(|| format!("{to}, restored from {path}"))?;
        received.copy(path, &mut file)?;
    }
    let since = settle(&folder, &received, wanted, known.as_ref())?;
    let dir = std::path::absolute(wanted.dir)?;
    let config = dir.join(required(&received.label, Place::Config)?.as_str());
    let held = folder.finish().with_context(|| format!("{}", wanted.dir.display()))?;
    // Read where it will be read from: it may name its own folder as a whole.
    let elsewhere = elsewhere(&config, &dir, &received.label);
    let known = known.map(|known| known.size);
    let Received { label, key, .. } = received;
    let id = label.manifest.digest;
    Ok(Restored { id, label, key, config, elsewhere, since, known, held })
}

/// No two parts belong in one place.
fn check_places(label: &Label) -> anyhow::Result<()> {
    for (place, path) in &label.places {
        if let Some((other, _)) = label.places.iter().find(|(other, own)| other != place && own == path) {
            bail!("the backup says that its {place} and its {other} both belong at {path}");
        }
    }
    Ok(())
}

/// Where a file of the backup is restored to.
fn place_of(path: &BackupPath, label: &Label) -> anyhow::Result<BackupPath> {
    let parts =
        [(LOG, Place::Log), ("keys", Place::Keys), ("policies", Place::Policies), ("trial", Place::Trial)];
    for (part, place) in parts {
        if let Some(rest) = path.within(part) {
            return Ok(required(label, place)?.join(rest.as_str())?);
        }
    }
    if path.as_str() == STORE {
        return Ok(required(label, Place::Store)?.clone());
    }
    match path.within("config") {
        Some(_) => Ok(required(label, Place::Config)?.clone()),
        None => bail!("{path} belongs to no part that this version knows"),
    }
}

fn required(label: &Label, place: Place) -> anyhow::Result<&BackupPath> {
    label.place(place).with_context(|| format!("the backup does not say where its {place} belongs"))
}

fn known_checkpoint(path: &Path, key: &VerifierKey) -> anyhow::Result<Checkpoint> {
    let shown = || format!("{}", path.display());
    let note = std::fs::read(path).with_context(shown)?;
    Ok(SignedCheckpoint::open(&note, key).with_context(shown)?.checkpoint().clone())
}

/// Holds log and store against each other and against what was signed, and tells the store what is known of it. Gives what was
/// done since the backup was begun.
fn settle(
    folder: &NewFolder,
    received: &Received,
    wanted: &Wanted<'_>,
    known: Option<&Checkpoint>,
) -> anyhow::Result<Vec<Since>> {
    let (label, key) = (&received.label, &received.key);
    let place = |place| Ok::<_, anyhow::Error>(folder.place().join(required(label, place)?.as_str()));
    let objects = ObjectFolder::of_copy(&place(Place::Log)?);
    let store = Store::open(&place(Place::Store)?).context("the store")?;
    let settled = (|| {
        store.check()?;
        let kept = store.read(|sql| sql.log_checkpoint()).map_err(|e: StoreError| e)?;
        let kept = kept.map(|note| SignedCheckpoint::open(note.as_bytes(), key)).transpose()?;
        let segments = SegmentFolder::of_copy(&place(Place::Log)?);
        let kept = kept.as_ref().map(SignedCheckpoint::checkpoint);
        let verified = verify(&objects, &segments, key, kept).context("the log does not hold")?;
        if (verified.checkpoint.size, verified.checkpoint.root) != (label.size, label.root) {
            bail!("the log is not the one that the backup was labelled with");
        }
        if let Some(known) = known {
            extends(&objects, label.size, known)?;
        }
        let put_back = PutBack {
            backup: received.id().to_hex(),
            size: label.size,
            known: known.map(|known| known.size),
            by: wanted.by.clone(),
        };
        let mark = Mark { made_at: label.made, begun: label.begun, put_back: Some(put_back) };
        store.write_blocking(move |sql| sql.mark_as_backup(&mark)).map_err(|e: StoreError| e.into())
    })();
    store.close();
    settled.and_then(|()| since(&place(Place::Log)?, key, label.begun))
}

/// Whether a log of `size` records extends a checkpoint, where it is not the older of the two.
pub(super) fn extends(objects: &ObjectFolder, size: u64, known: &Checkpoint) -> anyhow::Result<()> {
    let older = known.size.min(size);
    if older == known.size && subtree_root(&mut StoredNodes::new(objects, size), 0..older)? != known.root {
        bail!(
            "the log does not extend the checkpoint over {} records: it is another log's, or altered",
            known.size
        );
    }
    Ok(())
}
