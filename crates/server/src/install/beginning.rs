//! The beginning of an installation: it comes to its end, or the next one begins as if it had not been.
//!
//! While it is under way the configuration has another name, and a file beside it lists the folders that were empty when it
//! began. What lies in them when another begins is set aside before they are filled again: it is the first one's as a rule, but
//! who knows what was put there since. A data folder that the environment puts elsewhere says itself whose beginning it is of.
//! Nothing is ever removed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::app::DataLock;
use crate::private_file;

/// The folders that a beginning fills.
const FILLED: [&str; 3] = ["data", "secrets", "tls"];
/// What may lie in an empty folder: our lock, and what a file system has at its top.
const NOTHING: [&str; 2] = ["lock", "lost+found"];
/// The file that says that a beginning is under way.
const UNDER_WAY: &str = ".beginning";
/// What folders are called into which something was set aside.
const UNFINISHED: &str = "unfinished";
/// What the list says once all is made.
const WHOLE: &str = "whole\n";
/// Without these nothing that is sealed opens again.
const KEYS: [&str; 2] = ["master.key", "log.key"];

/// An installation that is being made, in a folder that nobody else works on meanwhile.
pub(crate) struct Beginning {
    dir: PathBuf,
    lock: DataLock,
}

impl Beginning {
    /// Begins in a folder, which is made if it is not there. There is none to begin where an installation is.
    ///
    /// # Errors
    /// If somebody else begins there, or there are keys.
    pub(crate) fn of(dir: &Path) -> anyhow::Result<Option<Self>> {
        let dir = std::path::absolute(dir)?;
        if file(&dir).exists() {
            return Ok(None);
        }
        for folder in ["", "data"] {
            make(&dir.join(folder))?;
        }
        let lock = DataLock::take(&dir.join("data"))
            .with_context(|| format!("{}: is somebody else beginning here?", dir.display()))?;
        match fs::read_to_string(list(&dir)) {
            Ok(text) if text == WHOLE && hidden(&dir).exists() => {
                // CRASH: it was whole, and had only not got its name.
                name(&dir)?;
                return Ok(None);
            }
            Ok(text) => {
                let aside = aside_in(&dir);
                for folder in FILLED.iter().filter(|folder| text.lines().any(|line| line == **folder)) {
                    let from = dir.join(folder);
                    set_aside(&from, &aside.join(folder)).with_context(|| format!("{}", from.display()))?;
                }
                say_where(&aside);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{}", list(&dir).display())),
        }
        without_keys(&dir.join("data"))?;
        let mut own = String::new();
        for folder in FILLED {
            if is_empty(&dir.join(folder)).with_context(|| format!("{}", dir.join(folder).display()))? {
                own.push_str(folder);
                own.push('\n');
            }
        }
        let fresh = fresh(&dir);
        fs::write(&fresh, own).and_then(|()| fs::rename(&fresh, list(&dir)))?;
        Ok(Some(Self { dir, lock }))
    }

    /// Where the configuration is written and read until all is made.
    pub(crate) fn file(&self) -> PathBuf {
        hidden(&self.dir)
    }

    /// The lock of the data folder, which may be another than that of the beginning if the environment says so. It has nothing
    /// in it then of a beginning here that was not finished.
    ///
    /// # Errors
    /// If somebody else has it, or there are keys of another installation.
    pub(crate) fn into_lock(self, data_dir: &Path) -> anyhow::Result<(Begun, DataLock)> {
        if fs::canonicalize(data_dir).ok() == fs::canonicalize(self.dir.join("data")).ok() {
            return Ok((Begun { dir: self.dir, elsewhere: None }, self.lock));
        }
        let lock = DataLock::take(data_dir)?;
        let (mark, own) = (data_dir.join(UNDER_WAY), self.dir.as_os_str().as_encoded_bytes());
        match fs::read(&mark) {
            Ok(whose) if whose == own => {
                let aside = aside_in(data_dir);
                set_aside(data_dir, &aside).with_context(|| format!("{}", data_dir.display()))?;
                say_where(&aside);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{}", mark.display())),
        }
        without_keys(data_dir)?;
        let fresh = fresh(data_dir);
        fs::write(&fresh, own)
            .and_then(|()| fs::rename(&fresh, &mark))
            .with_context(|| format!("{}", mark.display()))?;
        Ok((Begun { dir: self.dir, elsewhere: Some(Elsewhere { mark, _held: self.lock }) }, lock))
    }
}

/// An installation that is made but for its name.
#[must_use = "without its name it is made anew"]
pub(crate) struct Begun {
    dir: PathBuf,
    elsewhere: Option<Elsewhere>,
}

/// Data that lie elsewhere.
struct Elsewhere {
    /// What says so there until all is made.
    mark: PathBuf,
    /// Nobody else begins here meanwhile.
    _held: DataLock,
}

impl Begun {
    /// Where the configuration is until then.
    pub(crate) fn file(&self) -> PathBuf {
        hidden(&self.dir)
    }

    /// All is made: from now on it is an installation.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        // CRASH: what has its name is whole after a power cut too. Keys and store have seen to that themselves.
        let fresh = fresh(&self.dir);
        fs::write(&fresh, WHOLE).with_context(|| format!("{}", fresh.display()))?;
        for path in [self.file(), fresh.clone()] {
            let synced = File::open(&path).and_then(|file| file.sync_all());
            synced.with_context(|| format!("{}", path.display()))?;
        }
        for folder in ["policies", "secrets", "tls"].map(|name| self.dir.join(name)) {
            private_file::sync(&folder).with_context(|| format!("{}", folder.display()))?;
        }
        // CRASH: a data folder elsewhere is a whole one's then, and another beginning touches nothing of it.
        if let Some(Elsewhere { mark, .. }) = &self.elsewhere {
            fs::remove_file(mark).with_context(|| format!("{}", mark.display()))?;
        }
        // From here on nothing of it is set aside again, whatever happens.
        fs::rename(&fresh, list(&self.dir)).and_then(|()| sync_folder(&self.dir))?;
        name(&self.dir)?;
        Ok(sync_folder(&self.dir)?)
    }
}

/// The configuration of a whole installation.
pub(crate) fn file(dir: &Path) -> PathBuf {
    dir.join("chartgate.toml")
}

fn hidden(dir: &Path) -> PathBuf {
    dir.join(".chartgate.toml.new")
}

fn list(dir: &Path) -> PathBuf {
    dir.join(UNDER_WAY)
}

/// Where the list, or a mark, is written before it has its name.
fn fresh(dir: &Path) -> PathBuf {
    dir.join(".beginning.new")
}

fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Where what is found in a folder is set aside.
fn aside_in(folder: &Path) -> PathBuf {
    let numbered =
        (1_u32..).map(|number| folder.join(format!("{UNFINISHED}-{number}"))).find(|path| !path.exists());
    numbered.unwrap_or_else(|| folder.join(UNFINISHED))
}

fn say_where(aside: &Path) {
    if aside.exists() {
        eprintln!("chartgate: what a beginning that was not finished had made is in {} now", aside.display());
    }
}

/// Where there are keys, something is sealed that no other key opens.
fn without_keys(data_dir: &Path) -> anyhow::Result<()> {
    match KEYS.iter().map(|key| data_dir.join(key)).find(|key| key.exists()) {
        Some(key) => {
            bail!("{} is there already, of another installation; nothing was changed", key.display())
        }
        None => Ok(()),
    }
}

fn name(dir: &Path) -> anyhow::Result<()> {
    fs::rename(hidden(dir), file(dir)).with_context(|| format!("{}", file(dir).display()))?;
    Ok(fs::remove_file(list(dir))?)
}

/// Makes a folder of ours, if it is not there.
pub(super) fn make(folder: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).with_context(|| format!("{}", folder.display()))
}

fn is_empty(folder: &Path) -> io::Result<bool> {
    Ok(content(folder)?.is_empty())
}

/// Moves what is in a folder into another one.
fn set_aside(folder: &Path, aside: &Path) -> anyhow::Result<()> {
    for path in content(folder)? {
        make(aside)?;
        fs::rename(&path, aside.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

fn content(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let was_set_aside = name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) && path.is_dir();
        if !was_set_aside && name != UNDER_WAY && !NOTHING.iter().any(|nothing| name == *nothing) {
            found.push(path);
        }
    }
    Ok(found)
}
