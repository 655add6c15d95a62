//! Entry points for fuzzing: each takes whatever bytes come and must neither panic nor take long. What is read
//! must be written as it was read.

use chartgate_values::Secret;

use crate::backup::{BackupPath, Label, Manifest};
use crate::checkpoint::SignedCheckpoint;
use crate::journal::{BatchHeader, Point, SegmentHeader};
use crate::leaf::Leaf;
use crate::note::{LogSigner, Note, VerifierKey, WitnessSigner};
use crate::outward::{audit_event, otlp};
use crate::proof::TlogProof;
use crate::tile::{TilePath, parse_bundle, push_entry};
use crate::tree::Hash;
use crate::witness::AddCheckpoint;
use crate::witness::policy::Policy;

/// A leaf.
pub fn leaf(bytes: &[u8]) {
    if let Ok(leaf) = Leaf::parse(bytes) {
        let _ = (leaf.blob(), leaf.sealed_in(), leaf.clear_record());
    }
}

/// What receivers of exports answer.
pub fn export_answer(bytes: &[u8]) {
    let collected = otlp::all_taken(bytes).is_ok();
    // Whoever says that all was taken says it of so many as there were.
    let taken = (0..4).filter(|count| audit_event::all_taken(bytes, *count).is_ok()).count();
    assert!(taken <= 1 && (collected || !bytes.is_empty()));
}

/// A signed note.
pub fn note(bytes: &[u8]) {
    if let (Ok(note), Some(key)) = (Note::parse(bytes), key()) {
        let _ = note.verify(&key);
    }
}

/// A checkpoint.
pub fn checkpoint(bytes: &[u8]) {
    if let Some(key) = key() {
        let _ = SignedCheckpoint::open(bytes, &key);
    }
}

/// A proof file.
pub fn proof(bytes: &[u8]) {
    if let Some(Ok(proof)) = key().map(|key| TlogProof::parse(bytes, &key)) {
        let _ = proof.verify(bytes);
    }
}

/// A verifier key.
pub fn verifier_key(bytes: &[u8]) {
    if let Some(Ok(key)) = std::str::from_utf8(bytes).ok().map(str::parse::<VerifierKey>) {
        assert_eq!(key.to_string().as_bytes(), bytes);
    }
}

/// The path of a tile.
pub fn tile_path(bytes: &[u8]) {
    if let Some(Ok(path)) = std::str::from_utf8(bytes).ok().map(str::parse::<TilePath>) {
        assert_eq!(path.to_string().as_bytes(), bytes);
    }
}

/// An entry bundle.
pub fn bundle(bytes: &[u8]) {
    if let Ok(entries) = parse_bundle(bytes) {
        let mut written = Vec::new();
        let pushed = entries.into_iter().try_for_each(|entry| push_entry(&mut written, entry));
        assert_eq!((pushed, written.as_slice()), (Ok(()), bytes));
    }
}

/// A segment of the journal: its header and its first batch.
pub fn segment(bytes: &[u8]) {
    if let Some(header) = SegmentHeader::parse(bytes) {
        let mut written = Vec::new();
        header.encode(&mut written);
        assert!(bytes.starts_with(&written));
    }
    for start in [0, SegmentHeader::LENGTH] {
        let batch = bytes.get(start..).unwrap_or_default();
        if let Some(header) = BatchHeader::parse(batch) {
            let body = batch.get(header.own_length()..).unwrap_or_default();
            let _ = header.verify(&Point::beginning_at(0), body, None);
        }
    }
}

/// What a log asks of a witness.
pub fn add_checkpoint(bytes: &[u8]) {
    if let Ok(request) = AddCheckpoint::parse(bytes) {
        assert_eq!(request.to_string().as_bytes(), bytes);
    }
}

/// A policy, and its judgement of a checkpoint.
pub fn witness_policy(bytes: &[u8]) {
    if let (Ok(policy), Some(checkpoint)) = (Policy::parse(bytes), checkpoint_of_ours()) {
        let verdict = policy.judge(&checkpoint);
        assert!(verdict.witnesses.iter().all(|seen| seen.at.is_err()));
    }
}

/// A witness's answer.
pub fn cosignatures(bytes: &[u8]) {
    let witness = WitnessSigner::from_seed("witness.test", &Secret::new([9; 32])).ok();
    if let (Some(witness), Some(checkpoint)) = (witness, checkpoint_of_ours())
        && let Ok(cosigned) = checkpoint.cosigned(bytes, witness.verifier_key())
    {
        assert!(cosigned.cosigned_at(witness.verifier_key()).is_ok());
        assert_eq!(cosigned.text(), checkpoint.text());
    }
}

/// The manifest of a backup, and a path in one.
pub fn backup_manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.to_string().as_bytes(), bytes);
        assert!(manifest.files.keys().all(leads_nowhere_else));
    }
    if let Some(Ok(path)) = std::str::from_utf8(bytes).ok().map(str::parse::<BackupPath>) {
        assert!(leads_nowhere_else(&path));
    }
}

fn leads_nowhere_else(path: &BackupPath) -> bool {
    let path = std::path::Path::new(path.as_str());
    path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// What a backup says of itself.
pub fn backup_label(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Some(label) = Label::parse(&lines) {
        assert_eq!(label.lines(), lines);
    }
    if let Some(key) = key() {
        let _ = Label::open(bytes, &key);
    }
}

fn checkpoint_of_ours() -> Option<SignedCheckpoint> {
    let signer = LogSigner::from_seed("gate.test/audit", &Secret::new([7; 32])).ok()?;
    Some(SignedCheckpoint::sign(&signer, 0, Hash::of_empty_tree()))
}

/// The key of the specification's example, whose private half nobody here has.
fn key() -> Option<VerifierKey> {
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k".parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TARGETS: &[fn(&[u8])] = &[
        leaf,
        note,
        checkpoint,
        proof,
        verifier_key,
        tile_path,
        bundle,
        segment,
        export_answer,
        add_checkpoint,
        witness_policy,
        cosignatures,
        backup_manifest,
        backup_label,
    ];

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_panic(
            bytes: Vec<u8>,
            text in "[-+a-z0-9/.\u{2014} \n\"{}:,]{0,200}",
        ) {
            for target in TARGETS {
                target(&bytes);
                target(text.as_bytes());
            }
        }
    }
}
