//! What witnesses have seen of a log.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chartgate_audit::checkpoint::SignedCheckpoint;
use chartgate_audit::note::{NoteError, VerifierKey};
use chartgate_audit::reader::Reader;
use chartgate_audit::storage::Objects;
use chartgate_audit::witness::COSIGNED;
use chartgate_audit::witness::policy::{Policy, Seen};
use chartgate_values::{Clock as _, Timestamp};

use super::print;
use crate::clock::SystemClock;
use crate::journal_fs::{ObjectFolder, SegmentFolder};

/// The checkpoint that witnesses cosigned last; none if none ever did.
pub(super) fn cosigned(objects: &dyn Objects, key: &VerifierKey) -> anyhow::Result<Option<SignedCheckpoint>> {
    match objects.read(COSIGNED) {
        Ok(note) => Ok(Some(SignedCheckpoint::open(&note, key).context(COSIGNED)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(COSIGNED),
    }
}

/// What a policy is asked about.
pub(super) struct Question {
    shown: String,
    policy: Policy,
    checkpoint: SignedCheckpoint,
    reader: Reader,
    asked_at: Timestamp,
}

/// Reads a policy, and of the log what it is to judge: before the log is verified, which may grow meanwhile.
pub(super) fn question(dir: &Path, key: &VerifierKey, policy: &Path) -> anyhow::Result<Question> {
    let (shown, policy) = read(policy, key)?;
    let objects: Arc<dyn Objects> = Arc::new(ObjectFolder::of_copy(dir));
    let reader = Reader::new(Arc::clone(&objects), Arc::new(SegmentFolder::of_copy(dir)), key.clone(), None);
    let checkpoint = match cosigned(&*objects, key)? {
        Some(cosigned) => cosigned,
        None => reader.checkpoint()?,
    };
    Ok(Question { shown, policy, checkpoint, reader, asked_at: SystemClock.now() })
}

/// A policy that may be asked about this log, and what it is called.
fn read(path: &Path, key: &VerifierKey) -> anyhow::Result<(String, Policy)> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| shown.clone())?;
    let policy = Policy::parse(&bytes).with_context(|| shown.clone())?;
    if !policy.logs().is_empty() && !policy.logs().contains(key) {
        bail!("{shown} is not about this log, whose key is {key}");
    }
    Ok((shown, policy))
}

/// Who has cosigned the checkpoint of a proof, in words.
///
/// # Errors
/// If that is not the quorum.
pub(super) fn of_proof(
    policy: &Path,
    key: &VerifierKey,
    checkpoint: &SignedCheckpoint,
) -> anyhow::Result<String> {
    let (shown, policy) = read(policy, key)?;
    let verdict = policy.judge(checkpoint);
    let witnesses: Vec<String> = verdict.witnesses.iter().map(told).collect();
    let of = format!("the checkpoint of the proof: {}", witnesses.join(", "));
    if !verdict.met {
        bail!("the quorum of {shown} has not cosigned {of}");
    }
    Ok(format!("witnessed: the quorum of {shown} has cosigned {of}"))
}

/// Whether a log of `size` records, all of which hold, extends a checkpoint that the quorum has cosigned; and where there is a
/// bound, whether no record that was older than it when the question was asked is beyond that: whoever signs the log could
/// have written such records anew.
pub(super) fn check(question: &Question, size: u64, within: Option<Duration>) -> anyhow::Result<ExitCode> {
    let Question { shown, policy, checkpoint, reader, asked_at } = question;
    let refused = |why: &str| {
        eprintln!("chartgate: {why}");
        Ok(ExitCode::FAILURE)
    };
    let known = checkpoint.checkpoint();
    if known.size > size {
        return refused(&format!(
            "the log has {size} entries, fewer than the {} that were cosigned",
            known.size
        ));
    }
    if reader.root_at(known.size)? != known.root {
        return refused(&format!("the first {} entries are not those that were cosigned", known.size));
    }
    let verdict = policy.judge(checkpoint);
    let witnesses: Vec<String> = verdict.witnesses.iter().map(told).collect();
    let of = format!("{} of {size} records: {}", known.size, witnesses.join(", "));
    if !verdict.met {
        return refused(&format!("the quorum of {shown} has not cosigned {of}"));
    }
    let unseen = size.saturating_sub(known.size);
    let first = if unseen > 0 { reader.entry(known.size)? } else { None };
    let since = first.map(|entry| entry.record.time);
    if let (Some(since), Some(within)) = (since, within)
        && since.plus(within) < *asked_at
    {
        return refused(&format!(
            "the quorum of {shown} has cosigned {of}; no quorum has seen the other {unseen}, the first of which is of {since}"
        ));
    }
    print::line(&format!("witnessed: the quorum of {shown} has cosigned {of}"));
    if let Some(since) = since {
        print::line(&format!("no quorum has seen the newest {unseen} yet, the first of which is of {since}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn told(seen: &Seen) -> String {
    match seen.at {
        Ok(at) => {
            let at = Timestamp::from_unix(i64::try_from(at).unwrap_or(i64::MAX));
            format!("{} at {at}", seen.name)
        }
        Err(NoteError::BadSignature) => format!("{} with a signature that does not verify", seen.name),
        Err(_) => format!("{} not", seen.name),
    }
}
