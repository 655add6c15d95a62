//! Making a backup of what runs.
//!
//! The store is copied first, then the log as far as a checkpoint over all that was durable by then: so the log is never
//! behind what the store relies on.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chartgate_audit::backup::{BackupPath, Content, Digesting, Label, Manifest, Place, copy_log, read_marks};
use chartgate_audit::checkpoint::SignedCheckpoint;
use chartgate_audit::journal::Journal;
use chartgate_audit::note::LogSigner;
use chartgate_audit::reader::Reader;
use chartgate_audit::tree::Hash;
use chartgate_audit::verify::verify;
use chartgate_values::Timestamp;

use super::folder::NewFolder;
use super::needs::needs;
use super::received::CHUNK;
use super::{LOG, LOG_KEY, MANIFEST, NOTE, STORE, below, parts};
use crate::config::Config;
use crate::journal_fs::{ObjectFolder, SegmentFolder};
use crate::net::reserve;
use crate::store::restores::Mark;
use crate::store::{Store, StoreError};

/// What a backup is made of.
pub(crate) struct Source<'a> {
    pub(crate) config: &'a Config,
    pub(crate) store: &'a Store,
    pub(crate) journal: &'a Journal,
    pub(crate) reader: &'a Reader,
    pub(crate) signer: &'a LogSigner,
    /// The record that says that it is begun.
    pub(crate) begun: u64,
}

/// A backup that was made.
pub(crate) struct Made {
    /// The digest of its manifest, which is its name.
    pub(crate) id: Hash,
    /// Records of the log in it.
    pub(crate) size: u64,
    pub(crate) files: usize,
    pub(crate) bytes: u64,
    pub(crate) needs: Vec<String>,
}

/// Makes a backup in the folder `out`, which must not be there.
///
/// # Errors
/// Why there is none. Nothing is left of it then.
pub(crate) fn make(source: &Source<'_>, out: &Path, now: Timestamp) -> anyhow::Result<Made> {
    let config = source.config;
    // What an earlier one left that was ended is gone by then, and its room is free.
    let folder = NewFolder::begin(out)?;
    check_room(config, out)?;
    let mut copy = Copy { folder, manifest: Manifest::default() };
    let kept = source.store.read(|sql| sql.log_checkpoint()).map_err(|e: StoreError| e)?;
    let mark = Mark { made_at: now, begun: source.begun, put_back: None };
    copy.store(source.store, &mark).context("the store")?;

    let objects = ObjectFolder::of_copy(&config.audit.dir);
    let marks = read_marks(&objects)?;
    let checkpoint = checkpoint_over(source.reader, source.journal.durable())?;
    let folder: BackupPath = LOG.parse()?;
    for mark in &marks {
        copy.bytes(&folder.join(&mark.path)?, &mark.bytes)?;
    }
    copy_log(&objects, &checkpoint, &mut |path, bytes| {
        copy.bytes(&folder.join(path).map_err(io::Error::other)?, bytes)
    })?;
    // A log that does not hold is no backup of one.
    let log = copy.folder.place().join(LOG);
    let key = source.signer.verifier_key();
    let kept = kept.map(|note| SignedCheckpoint::open(note.as_bytes(), key)).transpose()?;
    let known = kept.as_ref().map(SignedCheckpoint::checkpoint);
    verify(&ObjectFolder::of_copy(&log), &SegmentFolder::of_copy(&log), key, known)
        .context("what was copied of the log does not hold")?;

    copy.file(&format!("keys/{LOG_KEY}"), &config.data_dir.join(LOG_KEY))?;
    let name = config.file.file_name().and_then(|name| name.to_str()).unwrap_or("chartgate.toml");
    copy.file(&format!("config/{name}"), &config.file)?;
    copy.policies("policies", &config.policy_dir)?;
    if let Some(dir) = &config.shadow_dir {
        copy.policies("trial", dir)?;
    }
    let needs = needs(config);
    let label = Label {
        made: now,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        begun: source.begun,
        size: checkpoint.size(),
        root: checkpoint.checkpoint().root,
        manifest: Content { digest: Hash::of(&[]), length: 0 },
        places: places(config)?,
        needs: needs.clone(),
    };
    copy.seal(label, source.signer)
}

/// Whether the disk that it goes to has room for it: on that of the log and the store, besides what is reserved for them.
fn check_room(config: &Config, out: &Path) -> anyhow::Result<()> {
    let parent = out.parent().unwrap_or(out);
    let shown = || format!("{}", parent.display());
    let there = fs::metadata(parent).with_context(shown)?.dev();
    let mut ours = [&config.data_dir, &config.store, &config.audit.dir].into_iter();
    let is_ours = ours.any(|place| fs::metadata(place).is_ok_and(|place| place.dev() == there));
    let reserve = if is_ours { config.audit.reserve } else { 0 };
    let needed = fs::metadata(&config.store)?.len().saturating_add(size_of(&config.audit.dir)?);
    let free = reserve::free(parent).with_context(shown)?;
    if free < needed.saturating_add(reserve) {
        bail!("{}: {free} bytes are free, and {needed} are needed, besides a reserve of {reserve}", shown());
    }
    Ok(())
}

fn size_of(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0_u64;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A file may go meanwhile: partial tiles do.
        let size = match entry.metadata() {
            Ok(about) if about.is_dir() => size_of(&entry.path())?,
            Ok(about) => about.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        bytes = bytes.saturating_add(size);
    }
    Ok(bytes)
}

/// The newest checkpoint, once it covers all that was durable.
fn checkpoint_over(reader: &Reader, durable: u64) -> anyhow::Result<SignedCheckpoint> {
    for _ in 0..LOOKS {
        let checkpoint = reader.checkpoint()?;
        if checkpoint.size() >= durable {
            return Ok(checkpoint);
        }
        thread::sleep(PAUSE);
    }
    bail!("no checkpoint comes over the log's newest records; see the gateway's own messages")
}

const LOOKS: usize = 600;
const PAUSE: Duration = Duration::from_millis(100);

fn places(config: &Config) -> anyhow::Result<Vec<(Place, BackupPath)>> {
    let place = |(place, path, elsewhere): (Place, &Path, &str)| {
        Ok((place, below(config, path).or_else(|_| elsewhere.parse())?))
    };
    parts(config).into_iter().map(place).collect()
}

/// A backup under way.
struct Copy {
    folder: NewFolder,
    manifest: Manifest,
}

impl Copy {
    fn bytes(&mut self, path: &BackupPath, bytes: &[u8]) -> io::Result<()> {
        let content = Content { digest: Hash::of(&[bytes]), length: bytes.len() as u64 };
        if self.manifest.files.get(path) == Some(&content) {
            // Two entries may name the same blob.
            return Ok(());
        }
        self.folder.create(path)?.write_all(bytes)?;
        self.manifest.files.insert(path.clone(), content);
        Ok(())
    }

    /// A file that lies elsewhere.
    fn file(&mut self, path: &str, from: &Path) -> anyhow::Result<()> {
        let shown = || format!("{}", from.display());
        let path = path.parse().with_context(shown)?;
        let mut file = self.folder.create(&path)?;
        let mut digesting = Digesting::default();
        let copied = fs::File::open(from).and_then(|mut from| {
            let mut chunk = vec![0; CHUNK];
            loop {
                let read = from.read(&mut chunk)?;
                let piece = chunk.get(..read).unwrap_or_default();
                if piece.is_empty() {
                    return Ok(());
                }
                digesting.add(piece);
                file.write_all(piece)?;
            }
        });
        copied.with_context(shown)?;
        self.manifest.files.insert(path, digesting.finish());
        Ok(())
    }

    /// A snapshot of the store, which says of itself that it is one.
    fn store(&mut self, store: &Store, mark: &Mark) -> anyhow::Result<()> {
        let path: BackupPath = STORE.parse()?;
        let unmarked: BackupPath = format!("{STORE}.unmarked").parse()?;
        // An empty file is there first, so that nobody else can read the database while it is written.
        drop(self.folder.create(&unmarked)?);
        let (file, place) = (self.folder.place().join(STORE), self.folder.place().join(unmarked.as_str()));
        store.copy_to(&place, mark)?;
        // CRASH: under the name by which a gateway would find it there is only what says that it is a copy.
        fs::rename(&place, &file)?;
        let content = Digesting::of(&mut fs::File::open(&file)?)?;
        self.manifest.files.insert(path, content);
        Ok(())
    }

    /// The files of a folder of policies that are read: the schema, policies, and their tests.
    fn policies(&mut self, part: &str, dir: &Path) -> anyhow::Result<()> {
        for (folder, extensions) in [("", &["cedarschema", "cedar"][..]), ("tests/", &["json"])] {
            let from = dir.join(folder);
            let entries = match fs::read_dir(&from) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.is_empty() => continue,
                entries => entries.with_context(|| format!("{}", from.display()))?,
            };
            for entry in entries {
                let path = entry?.path();
                let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
                if extensions.contains(&extension) {
                    let name = path.file_name().and_then(|name| name.to_str());
                    let name = name.with_context(|| format!("{} is not UTF-8", path.display()))?;
                    self.file(&format!("{part}/{folder}{name}"), &path)?;
                }
            }
        }
        Ok(())
    }

    /// Writes the manifest and the signed label, and gives the folder its name.
    fn seal(self, label: Label, signer: &LogSigner) -> anyhow::Result<Made> {
        let Self { folder, manifest } = self;
        let text = manifest.to_string();
        let content = Content { digest: Hash::of(&[text.as_bytes()]), length: text.len() as u64 };
        let label = Label { manifest: content, ..label };
        let note = label.sign(signer)?;
        folder.create(&MANIFEST.parse()?)?.write_all(text.as_bytes())?;
        folder.create(&NOTE.parse()?)?.write_all(note.as_bytes())?;
        drop(folder.finish()?);
        Ok(Made {
            id: content.digest,
            size: label.size,
            files: manifest.files.len(),
            bytes: manifest.files.values().fold(0, |sum, file| sum.saturating_add(file.length)),
            needs: label.needs,
        })
    }
}
