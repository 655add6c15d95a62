//! Trying a backup out: it is restored aside as it would be in need, all that is sealed in it is opened, its configuration and
//! policies are read, and what would be lost is counted.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use chartgate_audit::backup::Place;
use chartgate_audit::checkpoint::Checkpoint;
use chartgate_audit::data_keys::DataKeys;
use chartgate_audit::note::VerifierKey;
use chartgate_audit::reader::{Entry, Reader};
use chartgate_audit::record::{Event, Outcome};
use chartgate_audit::storage::Objects;
use chartgate_values::{Clock, Phi, Timestamp};
use serde::{Deserialize, Serialize};

use super::restore::{Restored, Wanted, extends, restore};
use crate::config::Config;
use crate::journal_fs::{ObjectFolder, SegmentFolder};
use crate::live::keys::{PURPOSE, check_sealed};
use crate::live::policies;
use crate::secrets::Secrets;
use crate::store::{Store, StoreError};

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
    drop(restored.held);
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

/// Whether what was restored would run: its configuration, its keys, all that is sealed in its log, its policies.
fn try_out(config: &Config, dir: &Path, restored: &Restored) -> anyhow::Result<()> {
    let place =
        |place| restored.label.place(place).map(|path| dir.join(path.as_str())).context("a place is missing");
    // What it names and what is not in the backup is looked for where it is now.
    let folder = config.file.parent().unwrap_or(Path::new("/"));
    let read = Config::load_as_if_in(&place(Place::Config)?, folder).map(drop);
    read.map_err(|errors| all("the backup's configuration cannot be used", &errors))?;
    let secrets = Secrets::load_from(config, &place(Place::Keys)?)
        .context("the backup's keys cannot be opened: it would be of no use")?;
    let store = Store::open(&place(Place::Store)?).context("the store")?;
    let stored = store.read(|sql| sql.keys()).map_err(|e: StoreError| e);
    store.close();
    check_sealed(&secrets.master.derive(PURPOSE)?, &stored?)?;
    open_log(&place(Place::Log)?, &restored.key, &secrets)?;
    let found = policies::read(&place(Place::Policies)?).and_then(|folder| folder.pdp().map(drop));
    found.map_err(|errors| all("the backup's policies cannot be put in force", &errors))
}

/// Whether every key of the log and every record opens, but for months of which a record says that they were ended.
fn open_log(log: &Path, key: &VerifierKey, secrets: &Secrets) -> anyhow::Result<()> {
    let objects: Arc<dyn Objects> = Arc::new(ObjectFolder::of_copy(log));
    let keys = Arc::new(DataKeys::new(Arc::clone(&objects), &secrets.master)?);
    for month in keys.months()? {
        keys.for_opening(&month)?;
    }
    let reader = Reader::new(objects, Arc::new(SegmentFolder::of_copy(log)), key.clone(), Some(keys));
    let (mut lacking, mut ended) = (BTreeSet::new(), BTreeSet::new());
    let mut may_have_ended_any = false;
    for entry in reader.entries(0) {
        let Entry { record, sealed, .. } = entry.context("the backup's log cannot be opened")?;
        let is_end = record.event == Event::DataKeyShredded && record.outcome == Outcome::Allow;
        // Which month was ended is sealed itself, in a month that may have been ended since.
        may_have_ended_any |= is_end && sealed.is_some();
        ended.extend(record.resource.filter(|_| is_end).map(Phi::into_exposed));
        lacking.extend(sealed);
    }
    match lacking.iter().find(|month| !ended.contains(month.as_str())) {
        Some(month) if !may_have_ended_any => {
            bail!("the key of {month} is not in the backup, and no record says that it was destroyed")
        }
        Some(_) | None => Ok(()),
    }
}

fn all(what: &str, errors: &[impl fmt::Display]) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("{what}: {}", lines.join("; "))
}
