//! The policies in force. A change on disk takes effect by itself; one that does not validate is refused as a whole and
//! what was in force stays.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartgate_access::pdp::decide::Pdp;
use chartgate_access::pdp::policy_set::{Policies, PolicyError, PolicyFile};
use chartgate_access::pdp::policy_test::PolicyTests;

/// The policies in force.
pub(crate) struct LivePolicies {
    dir: PathBuf,
    in_force: RwLock<Arc<Pdp>>,
    /// The digest of what the last look found, or what was wrong with it.
    seen: RwLock<String>,
}

type Digest = String;

/// What a look at the folder found.
#[derive(Debug)]
pub(crate) enum Look {
    /// What is in force.
    Same,
    /// New policies, in force now: so many.
    Changed(usize),
    /// New policies that do not validate; the old ones stay.
    Refused(Vec<PolicyError>),
}

impl LivePolicies {
    /// Reads and validates the folder.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn load(dir: &Path) -> Result<Self, Vec<PolicyError>> {
        let files = read(dir)?;
        let digest = files.digest();
        let pdp = Pdp::new(Policies::read(&files.schema, &files.policies)?, digest.clone());
        Ok(Self { dir: dir.to_owned(), in_force: RwLock::new(Arc::new(pdp)), seen: RwLock::new(digest) })
    }

    /// The decision point in force.
    pub(crate) fn current(&self) -> Arc<Pdp> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the folder is in another state than at the last look; remembers it.
    fn is_new(&self, state: &str) -> bool {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = *seen != state;
        if is_new {
            state.clone_into(&mut seen);
        }
        is_new
    }

    /// Looks whether the folder has changed, and puts into force what is new and valid.
    pub(crate) fn look(&self) -> Look {
        let files = match read(&self.dir) {
            Ok(files) => files,
            Err(errors) => {
                // Said once, not at every look.
                let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                return if self.is_new(&lines.join("\n")) { Look::Refused(errors) } else { Look::Same };
            }
        };
        let digest = files.digest();
        if !self.is_new(&digest) {
            return Look::Same;
        }
        match Policies::read(&files.schema, &files.policies) {
            Ok(policies) => {
                let count = policies.ids().len();
                let pdp = Arc::new(Pdp::new(policies, digest));
                *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = pdp;
                Look::Changed(count)
            }
            Err(errors) => Look::Refused(errors),
        }
    }
}

/// A folder of policies.
pub(crate) struct PolicyFolder {
    pub(crate) schema: PolicyFile,
    pub(crate) policies: Vec<PolicyFile>,
}

impl PolicyFolder {
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
/// Everything that cannot be read.
pub(crate) fn read(dir: &Path) -> Result<PolicyFolder, Vec<PolicyError>> {
    let schema = file(&dir.join("schema.cedarschema")).map_err(|e| vec![e])?;
    let mut errors = Vec::new();
    let mut policies = Vec::new();
    for path in list(dir, "cedar").map_err(|e| vec![e])? {
        match file(&path) {
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
