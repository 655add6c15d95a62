//! Trying a backup out: it is restored aside as it would be in need, its keys are tried, and what would be lost is counted.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use chartgate_audit::backup::Place;
use chartgate_audit::checkpoint::Checkpoint;
use chartgate_audit::data_keys::DataKeys;
use chartgate_audit::note::VerifierKey;
use chartgate_audit::reader::Reader;
use chartgate_audit::storage::Objects;
use chartgate_values::{Clock, Timestamp};
use serde::{Deserialize, Serialize};

use super::restore::{Restored, Wanted, extends, restore};
use crate::config::Config;
use crate::journal_fs::{ObjectFolder, SegmentFolder};
use crate::live::policies;
use crate::secrets::Secrets;

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drilled {
    /// The backup's name.
    pub(crate) id: String,
    pub(crate) made: Timestamp,
    /// Records of the log in it.
    pub(crate) size: u64,
    /// Records that came after it: they would be lost now.
    pub(crate) after: u64,
    /// How long it took, in milliseconds, until everything was in place and had been tried.
    pub(crate) milliseconds: u64,
}

/// Restores a backup of what runs here into the folder `scratch`, which must not be there, and removes it again. The
/// restored log is read and never written to: it would sign another history with the same key.
///
/// # Errors
/// Why the backup would not do.
pub(crate) fn drill(
    config: &Config,
    from: &Path,
    scratch: &Path,
    clock: &dyn Clock,
) -> anyhow::Result<Drilled> {
    let live = ObjectFolder::of_copy(&config.audit.dir);
    let key = key(&live)?;
    let wanted =
        Wanted { from, dir: scratch, key: Some(key.clone()), checkpoint: None, by: "drill".to_owned() };
    let begun = clock.now();
    let restored = restore(&wanted, begun)?;
    let tried = try_out(config, scratch, &restored);
    let took = clock.now().since(begun);
    std::fs::remove_dir_all(scratch).with_context(|| format!("{}", scratch.display()))?;
    tried?;

    // What runs has to have begun as the backup did: else it is a backup of another history.
    let reader =
        Reader::new(Arc::new(live.clone()), Arc::new(SegmentFolder::of_copy(&config.audit.dir)), key, None);
    let now = reader.checkpoint()?;
    let label = &restored.label;
    if now.size() < label.size {
        bail!("the log that runs has {} records, fewer than the {} of the backup", now.size(), label.size);
    }
    let begins = Checkpoint { origin: restored.key.name().to_owned(), size: label.size, root: label.root };
    extends(&live, now.size(), &begins)?;
    // Records that no checkpoint covers yet would be lost as well.
    let durable = reader
        .entries(now.size())
        .try_fold(now.size(), |end, entry| entry.map(|entry| end.max(entry.index.saturating_add(1))))?;
    Ok(Drilled {
        id: restored.id.to_hex(),
        made: label.made,
        size: label.size,
        after: durable.saturating_sub(label.size),
        milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    })
}

fn key(live: &ObjectFolder) -> anyhow::Result<VerifierKey> {
    let text = live.read(chartgate_audit::open::VERIFIER_KEY).context(chartgate_audit::open::VERIFIER_KEY)?;
    Ok(std::str::from_utf8(&text)?.trim().parse()?)
}

/// Whether the keys in a restored folder open, and its policies can be put in force.
fn try_out(config: &Config, dir: &Path, restored: &Restored) -> anyhow::Result<()> {
    let place =
        |place| restored.label.place(place).map(|path| dir.join(path.as_str())).context("a place is missing");
    let secrets = Secrets::load_from(config, &place(Place::Keys)?)
        .context("the backup's keys cannot be opened: it would be of no use")?;
    let objects: Arc<dyn Objects> = Arc::new(ObjectFolder::of_copy(&place(Place::Log)?));
    let keys = DataKeys::new(objects, &secrets.master)?;
    for month in keys.months()? {
        keys.for_opening(&month)?;
    }
    let found = policies::read(&place(Place::Policies)?).and_then(|folder| folder.pdp().map(drop));
    found.map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the backup's policies cannot be put in force: {}", lines.join("; "))
    })
}
