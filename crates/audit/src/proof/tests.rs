use super::*;
use crate::note::NoteError;
use crate::tile::{Width, read_entries};
use crate::vectors;

fn log_of_300() -> Option<(crate::storage::memory::MemoryDisk, SignedCheckpoint, VerifierKey)> {
    let disk = vectors::load("own-300/log")?;
    let key = vectors::json("own-300/keys.json")?["log"]["vkey"].as_str().unwrap().parse().unwrap();
    let checkpoint = SignedCheckpoint::open(&disk.read("checkpoint").unwrap(), &key).unwrap();
    Some((disk, checkpoint, key))
}

#[test]
fn a_proof_is_read_as_it_was_written_and_holds_for_its_entry_alone() {
    let Some((disk, checkpoint, key)) = log_of_300() else { return };
    let entries = read_entries(&disk, 1, Width::Partial(44)).unwrap();
    let proof = TlogProof::prove(&disk, 257, checkpoint).unwrap();
    let read = TlogProof::parse(proof.to_string().as_bytes(), &key).unwrap();
    assert_eq!(read, proof);
    assert_eq!(read.index(), 257);
    assert_eq!(read.verify(&entries[1]), Ok(()));
    assert_eq!(read.verify(&entries[2]), Err(ProofError::WrongRoot));
}

#[test]
fn extra_data_is_allowed_and_dropped() {
    let Some((disk, checkpoint, key)) = log_of_300() else { return };
    let proof = TlogProof::prove(&disk, 0, checkpoint).unwrap();
    let text = proof.to_string().replace("index 0", "extra YWJj\nindex 0");
    assert_eq!(TlogProof::parse(text.as_bytes(), &key), Ok(proof));
}

#[test]
fn what_is_no_proof_is_refused() {
    let Some((disk, checkpoint, key)) = log_of_300() else { return };
    let text = TlogProof::prove(&disk, 7, checkpoint.clone()).unwrap().to_string();
    for (from, to) in [
        ("index 7", "index 07"),
        ("index 7", "index"),
        ("index 7", "extra !\nindex 7"),
        ("index 7\n", ""),
        ("index 7\n", "index 7\nAAAA\n"),
        ("\n\n", "\n"),
    ] {
        let altered = text.replacen(from, to, 1);
        assert_eq!(
            TlogProof::parse(altered.as_bytes(), &key),
            Err(ParseProofError::Malformed),
            "{from:?} {to:?}"
        );
    }
    let altered = text.replace("proof@v1", "proof@v2");
    assert_eq!(TlogProof::parse(altered.as_bytes(), &key), Err(ParseProofError::WrongHeader));
    let altered = text.replace("\n300\n", "\n301\n");
    let bad = ParseProofError::Checkpoint(CheckpointError::Note(NoteError::BadSignature));
    assert_eq!(TlogProof::parse(altered.as_bytes(), &key), Err(bad));
    let moved = TlogProof::parse(text.replace("index 7", "index 6").as_bytes(), &key).unwrap();
    let entries = read_entries(&disk, 0, Width::Full).unwrap();
    assert!(moved.verify(&entries[6]).is_err() && moved.verify(&entries[7]).is_err());
    assert!(matches!(TlogProof::prove(&disk, 300, checkpoint), Err(ProveError::NotCovered { .. })));
}
