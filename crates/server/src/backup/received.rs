//! A backup as it came: nothing in it is believed before it was held against what the log's key has signed.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chartgate_audit::backup::{BackupPath, Digesting, Label, Manifest};
use chartgate_audit::note::VerifierKey;
use chartgate_audit::open::VERIFIER_KEY;
use chartgate_audit::tree::Hash;

use super::{LOG, MANIFEST, NOTE};

/// How much is read at once.
pub(super) const CHUNK: usize = 256 << 10;
/// A label has a line for each file that the configuration names.
const LONGEST_NOTE: u64 = 1 << 20;
/// No part of a backup lies deeper.
const DEEPEST: usize = 16;

/// A backup whose label and list hold.
pub(super) struct Received {
    root: PathBuf,
    pub(super) label: Label,
    pub(super) key: VerifierKey,
    pub(super) manifest: Manifest,
}

impl Received {
    /// Opens a backup that `key` has signed; without one, the key that lies in it, which the operator has to know.
    ///
    /// # Errors
    /// What does not hold, by the file's name.
    pub(super) fn open(root: &Path, key: Option<VerifierKey>) -> anyhow::Result<Self> {
        let note = read(root, NOTE, LONGEST_NOTE)?;
        let key = match key {
            Some(key) => key,
            None => {
                let name = format!("{LOG}/{VERIFIER_KEY}");
                let text = String::from_utf8(read(root, &name, LONGEST_NOTE)?);
                text.ok()
                    .and_then(|text| text.trim().parse().ok())
                    .with_context(|| format!("{name} is no key"))?
            }
        };
        let label = Label::open(&note, &key).context(NOTE)?;
        let bytes = read(root, MANIFEST, label.manifest.length)?;
        if Hash::of(&[&bytes]) != label.manifest.digest {
            bail!("{MANIFEST} is not what was signed");
        }
        let manifest = Manifest::parse(&bytes)?;
        let received = Self { root: root.to_owned(), label, key, manifest };
        received.check_names()?;
        Ok(received)
    }

    /// The digest of the manifest, which is the backup's name.
    pub(super) fn id(&self) -> Hash {
        self.label.manifest.digest
    }

    /// Every file is listed, and every one that is listed is there.
    fn check_names(&self) -> anyhow::Result<()> {
        let mut there = BTreeSet::new();
        list(&self.root, "", DEEPEST, &mut there)?;
        let ours = |name: &String| name == NOTE || name == MANIFEST;
        let listed = |name: &String| {
            name.parse::<BackupPath>().is_ok_and(|path| self.manifest.files.contains_key(&path))
        };
        if let Some(name) = there.iter().find(|name| !ours(name) && !listed(name)) {
            bail!("{name:?} is in the folder and not in the manifest");
        }
        if let Some(path) = self.manifest.files.keys().find(|path| !there.contains(path.as_str())) {
            bail!("{path} is in the manifest and not in the folder");
        }
        Ok(())
    }

    /// Writes the content of a file into another, and says if it is not what was signed.
    pub(super) fn copy(&self, path: &BackupPath, to: &mut File) -> anyhow::Result<()> {
        let shown = || path.to_string();
        let mut from = open(&self.root.join(path.as_str())).with_context(shown)?;
        let expected = self.manifest.files.get(path).copied().with_context(shown)?;
        let (mut digesting, mut chunk) = (Digesting::default(), vec![0; CHUNK]);
        loop {
            let read = from.read(&mut chunk).with_context(shown)?;
            let piece = chunk.get(..read).unwrap_or_default();
            if piece.is_empty() || digesting.length() > expected.length {
                break;
            }
            digesting.add(piece);
            to.write_all(piece).with_context(shown)?;
        }
        if digesting.finish() != expected {
            bail!("{path} is not what was signed");
        }
        Ok(())
    }
}

/// The names of all files below a folder. What is neither file nor folder, such as a link, is refused.
fn list(root: &Path, within: &str, depth: usize, names: &mut BTreeSet<String>) -> anyhow::Result<()> {
    let folder = root.join(within);
    let depth = depth.checked_sub(1).with_context(|| format!("{within} lies too deep"))?;
    for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().into_string();
        let name = name.map_err(|name| anyhow::anyhow!("{name:?} in {} is not UTF-8", folder.display()))?;
        let name = if within.is_empty() { name } else { format!("{within}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(root, &name, depth, names)?;
        } else if kind.is_file() {
            names.insert(name);
        } else {
            bail!("{name:?} is neither a file nor a folder");
        }
    }
    Ok(())
}

/// Opens what is a file, and no link to one.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("is no file")) }
}

fn read(root: &Path, name: &str, longest: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more, so that what is longer than it may be is not taken for its beginning.
    let longest = longest.saturating_add(1);
    let read = open(&root.join(name)).and_then(|file| file.take(longest).read_to_end(&mut bytes));
    read.with_context(|| format!("{}", root.join(name).display()))?;
    Ok(bytes)
}
