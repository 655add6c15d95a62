use chartgate_values::Secret;

use super::*;
use crate::vectors;

#[test]
fn what_was_signed_opens_and_says_the_same() {
    let signer = LogSigner::from_seed("gate.test/audit", &Secret::new([7; 32])).unwrap();
    let signed = SignedCheckpoint::sign(&signer, 0, Hash::of_empty_tree());
    let text =
        "gate.test/audit\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\u{2014} gate.test/audit ";
    assert!(signed.note().starts_with(text));
    assert_eq!(SignedCheckpoint::open(signed.note().as_bytes(), signer.verifier_key()), Ok(signed));
}

#[test]
fn every_checkpoint_of_tessera_s_log_opens() {
    let Some(folder) = vectors::tlog().map(|folder| folder.join("tessera-small-log")) else { return };
    let key = std::fs::read_to_string(folder.join("vkey.txt")).unwrap().trim().parse().unwrap();
    for size in 0..=15 {
        let note = std::fs::read(folder.join(format!("checkpoint.{size}"))).unwrap();
        assert_eq!(SignedCheckpoint::open(&note, &key).unwrap().size(), size);
    }
}

#[test]
fn sizes_have_one_spelling() {
    assert_eq!(parse_decimal("0"), Some(0));
    assert_eq!(parse_decimal("9223372036854775807"), Some(i64::MAX.unsigned_abs()));
    for text in ["", "00", "01", "+1", "-1", " 1", "1 ", "0x1", "9223372036854775808"] {
        assert_eq!(parse_decimal(text), None, "{text:?}");
    }
}
