//! The policies in force. A change on disk takes effect by itself; one that does not validate is refused as a whole and
//! what was in force stays.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartgate_access::pdp::account::PolicySets;
use chartgate_access::pdp::decide::Pdp;
use chartgate_access::pdp::policy_set::{Policies, PolicyError, PolicyFile};
use chartgate_access::pdp::policy_test::PolicyTests;

/// The policies in force, and those that are only asked what they would decide.
pub(crate) struct LivePolicies {
    folder: Folder,
    in_force: RwLock<Arc<Pdp>>,
    shadow: RwLock<Option<Shadow>>,
}

/// Policies on trial.
struct Shadow {
    folder: Arc<Folder>,
    /// The last that were valid.
    on_trial: Option<Arc<Pdp>>,
}

/// A folder that is looked at again and again.
struct Folder {
    dir: PathBuf,
    seen: RwLock<Seen>,
}

/// States of a folder: the digest of what is in it, or what was wrong with it.
#[derive(Default)]
struct Seen {
    /// What the last look found.
    last: String,
    /// What was last judged.
    judged: String,
}

/// When a change is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum When {
    /// As it is found: somebody says that it is whole.
    AtOnce,
    /// When two looks in a row find the same: files may be on their way, and a policy that moves from one to another is in
    /// neither for a moment.
    Settled,
}

type Digest = String;

/// What a look at a folder found.
#[derive(Debug)]
pub(crate) enum Look {
    /// What was there.
    Same,
    /// New policies, put to use now.
    Changed(Changed),
    /// New policies that do not validate; the old ones stay.
    Refused(Vec<PolicyError>),
}

/// New policies.
#[derive(Debug)]
pub(crate) struct Changed {
    /// How many.
    pub(crate) count: usize,
    /// Their name.
    pub(crate) revision: String,
}

impl LivePolicies {
    /// Reads and validates the folder.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn load(dir: &Path) -> Result<Self, Vec<PolicyError>> {
        let folder = Folder { dir: dir.to_owned(), seen: RwLock::default() };
        match folder.look(When::AtOnce) {
            Found::New(pdp, _) => Ok(Self { folder, in_force: RwLock::new(pdp), shadow: RwLock::default() }),
            Found::Wrong(errors) => Err(errors),
            Found::Same => Err(Vec::new()),
        }
    }

    /// The decision point in force.
    pub(crate) fn current(&self) -> Arc<Pdp> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The decision point in force, and the one on trial.
    pub(crate) fn sets(&self) -> PolicySets {
        let shadow = self.shadow.read().unwrap_or_else(PoisonError::into_inner);
        let on_trial = shadow.as_ref().and_then(|shadow| shadow.on_trial.clone());
        PolicySets { in_force: self.current(), shadow: on_trial }
    }

    /// From now on the policies of this folder are on trial, or none. They are read at the next look.
    pub(crate) fn try_out(&self, dir: Option<&Path>) {
        let mut shadow = self.shadow.write().unwrap_or_else(PoisonError::into_inner);
        if shadow.as_ref().map(|shadow| shadow.folder.dir.as_path()) != dir {
            let folder = |dir: &Path| Arc::new(Folder { dir: dir.to_owned(), seen: RwLock::default() });
            *shadow = dir.map(|dir| Shadow { folder: folder(dir), on_trial: None });
        }
    }

    /// Looks whether the folder has changed, and puts into force what is new and valid.
    pub(crate) fn look(&self, when: When) -> Look {
        let found = self.folder.look(when);
        found.taken(|pdp| *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = pdp)
    }

    /// The same for the policies on trial.
    pub(crate) fn look_at_shadow(&self, when: When) -> Look {
        let shadow = self.shadow.read().unwrap_or_else(PoisonError::into_inner);
        let Some(folder) = shadow.as_ref().map(|shadow| Arc::clone(&shadow.folder)) else {
            return Look::Same;
        };
        drop(shadow);
        let found = folder.look(when);
        found.taken(|pdp| {
            let mut shadow = self.shadow.write().unwrap_or_else(PoisonError::into_inner);
            // Another folder may be on trial by now.
            if let Some(shadow) = shadow.as_mut().filter(|shadow| Arc::ptr_eq(&shadow.folder, &folder)) {
                shadow.on_trial = Some(pdp);
            }
        })
    }
}

/// What a folder has.
enum Found {
    Same,
    New(Arc<Pdp>, usize),
    Wrong(Vec<PolicyError>),
}

impl Found {
    fn taken(self, take: impl FnOnce(Arc<Pdp>)) -> Look {
        match self {
            Self::Same => Look::Same,
            Self::Wrong(errors) => Look::Refused(errors),
            Self::New(pdp, count) => {
                let revision = pdp.revision().to_owned();
                take(pdp);
                Look::Changed(Changed { count, revision })
            }
        }
    }
}

impl Folder {
    /// Whether it is in a state that has to be judged now; remembers it.
    fn is_new(&self, state: &str, when: When) -> bool {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        let is_settled = when == When::AtOnce || seen.last == state;
        state.clone_into(&mut seen.last);
        let is_new = is_settled && seen.judged != state;
        if is_new {
            state.clone_into(&mut seen.judged);
        }
        is_new
    }

    fn look(&self, when: When) -> Found {
        let files = match read(&self.dir) {
            Ok(files) => files,
            Err(errors) => {
                // Said once, not at every look.
                let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                return if self.is_new(&lines.join("\n"), when) { Found::Wrong(errors) } else { Found::Same };
            }
        };
        if !self.is_new(&files.digest(), when) {
            return Found::Same;
        }
        match files.pdp() {
            Ok((pdp, ids)) => Found::New(Arc::new(pdp), ids.len()),
            Err(errors) => Found::Wrong(errors),
        }
    }
}

/// A folder of policies.
pub(crate) struct PolicyFolder {
    pub(crate) schema: PolicyFile,
    pub(crate) policies: Vec<PolicyFile>,
}

impl PolicyFolder {
    /// A decision point over these policies, and their ids.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn pdp(&self) -> Result<(Pdp, BTreeSet<String>), Vec<PolicyError>> {
        let policies = Policies::read(&self.schema, &self.policies)?;
        let ids = policies.ids();
        Ok((Pdp::new(policies, self.digest()), ids))
    }

    fn digest(&self) -> Digest {
        let mut all = Vec::new();
        for file in std::iter::once(&self.schema).chain(&self.policies) {
            for part in [&file.name, &file.text] {
                all.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                all.extend_from_slice(part.as_bytes());
            }
        }
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &all))
    }
}

/// Reads `schema.cedarschema` and every `*.cedar` of a folder.
///
/// # Errors
/// Everything that cannot be read, and policies' files that are empty.
pub(crate) fn read(dir: &Path) -> Result<PolicyFolder, Vec<PolicyError>> {
    let schema = file(&dir.join("schema.cedarschema")).map_err(|e| vec![e])?;
    let mut errors = Vec::new();
    let mut policies = Vec::new();
    for path in list(dir, "cedar").map_err(|e| vec![e])? {
        match file(&path) {
            // It would parse, and is what a file is whose text is still on its way.
            Ok(PolicyFile { name, text }) if text.trim().is_empty() => {
                let problem = "it is empty: remove it, or say in a comment why it has no policy".to_owned();
                errors.push(PolicyError { file: name, problem });
            }
            Ok(file) => policies.push(file),
            Err(e) => errors.push(e),
        }
    }
    if errors.is_empty() { Ok(PolicyFolder { schema, policies }) } else { Err(errors) }
}

/// Reads every `tests/*.json` of a folder.
///
/// # Errors
/// Everything that cannot be read.
pub(crate) fn read_tests(dir: &Path) -> Result<Vec<(String, PolicyTests)>, Vec<PolicyError>> {
    let mut errors = Vec::new();
    let mut tests = Vec::new();
    for path in list(&dir.join("tests"), "json").map_err(|e| vec![e])? {
        match file(&path) {
            Ok(file) => match serde_json::from_str(&file.text) {
                Ok(parsed) => tests.push((file.name, parsed)),
                Err(e) => errors.push(PolicyError { file: file.name, problem: e.to_string() }),
            },
            Err(e) => errors.push(e),
        }
    }
    if errors.is_empty() { Ok(tests) } else { Err(errors) }
}

fn list(dir: &Path, extension: &str) -> Result<Vec<PathBuf>, PolicyError> {
    let error = |e: std::io::Error| PolicyError { file: dir.display().to_string(), problem: e.to_string() };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(error)? {
        let path = entry.map_err(error)?.path();
        if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn file(path: &Path) -> Result<PolicyFile, PolicyError> {
    let name =
        path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(PolicyFile { name, text }),
        Err(e) => Err(PolicyError { file: path.display().to_string(), problem: e.to_string() }),
    }
}

#[cfg(test)]
mod tests;
