//! `chartgate audit prove`: that a record stands in the log, and whether a proof of that holds. C2SP tlog-proof.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chartgate_audit::note::VerifierKey;
use chartgate_audit::proof::TlogProof;
use chartgate_audit::reader::Reader;
use chartgate_audit::storage::Objects;
use chartgate_audit::tile::{TILE_SPAN, read_bundle};
use clap::Args;

use super::{own_key, print, verifier_key, witnessed};
use crate::cli::load;
use crate::cli::report::write_for_its_owner;
use crate::config::Config;
use crate::journal_fs::{ObjectFolder, SegmentFolder};
use crate::secrets::Secrets;

/// What is to be proven, or looked at.
#[derive(Debug, Args)]
pub(in crate::cli) struct Words {
    /// The record's index.
    #[arg(required_unless_present = "check")]
    index: Option<u64>,
    /// Where to write it; without it, to standard output.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Look at this proof in place of making one: whether it is of this log, and of this record. Needs no gateway.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["index", "out"])]
    check: Option<PathBuf>,
    /// The record, as it stands in the log or as reports have it (`entry`, base64); without it, it is read in the log's folder.
    #[arg(long, value_name = "FILE", requires = "check", conflicts_with = "index")]
    entry: Option<PathBuf>,
    /// The log's folder, or a copy of it; without it, the configuration's.
    #[arg(long, requires = "check", conflicts_with = "index")]
    dir: Option<PathBuf>,
    /// The log's public key, or a file with it; without it, `log.vkey` in the folder.
    #[arg(long, requires = "check", conflicts_with = "index")]
    key: Option<String>,
    /// A policy (C2SP tlog-policy): whose cosignatures the proof has to have.
    #[arg(long, value_name = "FILE", requires = "check", conflicts_with = "index")]
    policy: Option<PathBuf>,
}

pub(super) fn carry_out(words: &Words, config: &Path) -> anyhow::Result<ExitCode> {
    match (&words.check, words.index) {
        (Some(file), _) => check(words, file, config),
        (None, Some(index)) => prove(&load(config)?, index, words.out.as_deref()),
        (None, None) => bail!("the record's index is missing"),
    }
}

fn prove(config: &Config, index: u64, out: Option<&Path>) -> anyhow::Result<ExitCode> {
    let log = Log::of_copy(&config.audit.dir, own_key(config, &Secrets::load(config)?)?);
    let checkpoint = log.reader.checkpoint()?;
    // What witnesses have cosigned convinces more people than what only we have signed.
    let cosigned = witnessed::cosigned(&*log.objects, log.reader.key())?;
    let checkpoint = cosigned.filter(|cosigned| index < cosigned.size()).unwrap_or(checkpoint);
    let entry = log.entry(index, checkpoint.size())?;
    let proof = TlogProof::prove(&*log.objects, index, checkpoint)?;
    proof.verify(&entry).with_context(|| format!("record {index} is not what the log's tree has"))?;
    match out {
        None => print::line(proof.to_string().trim_end()),
        Some(path) => write_for_its_owner(path, &proof.to_string())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a proof holds: that its checkpoint is the log's, that the record stands under it, and that the quorum has seen it.
fn check(words: &Words, file: &Path, config: &Path) -> anyhow::Result<ExitCode> {
    let dir = match (&words.dir, &words.key, &words.entry) {
        (Some(dir), _, _) => dir.clone(),
        (None, Some(_), Some(_)) => PathBuf::new(),
        (None, _, _) => {
            let found = Config::load(config).map(|config| config.audit.dir);
            found.map_err(|_| {
                anyhow::anyhow!(
                    "there is no configuration that says where the log is: give --key and --entry, or --dir"
                )
            })?
        }
    };
    let key = verifier_key(&dir, words.key.as_deref())?;
    if words.key.is_none() {
        eprintln!("chartgate: the folder's own key is believed, for no --key is given: {key}");
    }
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("{}", path.display()));
    let proof = TlogProof::parse(&read(file)?, &key).with_context(|| format!("{}", file.display()))?;
    let (index, checkpoint) = (proof.index(), proof.checkpoint());
    match &words.entry {
        Some(path) => {
            let given = read(path)?;
            // As reports have it; an entry itself is JSON, which is no base64.
            let decoded = std::str::from_utf8(&given).ok().and_then(|text| STANDARD.decode(text.trim()).ok());
            let entry = decoded.as_deref().unwrap_or(given.as_slice());
            proof.verify(entry).with_context(|| format!("{} is not record {index}", path.display()))?;
        }
        None => {
            let log = Log::of_copy(&dir, key.clone());
            let entry = log.entry(index, log.reader.checkpoint()?.size())?;
            proof.verify(&entry).with_context(|| format!("it is not of record {index} of this log"))?;
        }
    }
    let seen =
        words.policy.as_deref().map(|policy| witnessed::of_proof(policy, &key, checkpoint)).transpose()?;
    print::line(&format!(
        "proven: record {index} stands in the log of {}, under its checkpoint of {} records",
        checkpoint.checkpoint().origin,
        checkpoint.size()
    ));
    seen.iter().for_each(|seen| print::line(seen));
    Ok(ExitCode::SUCCESS)
}

/// A log's folder, or a copy of it.
struct Log {
    objects: Arc<dyn Objects>,
    reader: Reader,
}

impl Log {
    fn of_copy(dir: &Path, key: VerifierKey) -> Self {
        let objects: Arc<dyn Objects> = Arc::new(ObjectFolder::of_copy(dir));
        let segments = Arc::new(SegmentFolder::of_copy(dir));
        let reader = Reader::new(Arc::clone(&objects), segments, key, None);
        Self { objects, reader }
    }

    /// An entry under a checkpoint of this size, as it stands there.
    fn entry(&self, index: u64, size: u64) -> anyhow::Result<Vec<u8>> {
        let none = || format!("there is no record {index} under a checkpoint");
        if index >= size {
            bail!(none());
        }
        let bundle = read_bundle(&*self.objects, index / TILE_SPAN, size)?;
        bundle.into_iter().nth(usize::try_from(index % TILE_SPAN)?).with_context(none)
    }
}
