use chartgate_values::{Secret, SeededEntropy};
use proptest::prelude::*;

use super::*;
use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::vectors;

const SPEC_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

fn signer() -> LogSigner {
    LogSigner::from_seed("gate.test/audit", &Secret::new([7; 32])).unwrap()
}

#[test]
fn the_key_of_the_specification_is_read_and_printed() {
    let key: VerifierKey = SPEC_KEY.parse().unwrap();
    assert_eq!(key.name(), "example.com/foo");
    assert_eq!(key.id(), [0x53, 0x0d, 0x90, 0x3a]);
    assert_eq!(key.to_string(), SPEC_KEY);
}

#[test]
fn an_altered_key_is_refused() {
    for text in [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+BukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ] {
        assert_eq!(text.parse::<VerifierKey>(), Err(ParseVerifierKeyError), "{text}");
    }
}

#[test]
fn a_signed_note_verifies_under_its_key_alone() {
    let note = signer().sign("text\n");
    let parsed = Note::parse(note.as_bytes()).unwrap();
    assert_eq!(parsed.verify(signer().verifier_key()), Ok("text\n"));
    let other = LogSigner::from_seed("gate.test/audit", &Secret::new([8; 32])).unwrap();
    assert_eq!(parsed.verify(other.verifier_key()), Err(NoteError::Unsigned));
    assert_eq!(Note::parse(&vec![b'a'; MAX_LENGTH.strict_add(1)]), Err(NoteError::TooLarge));
}

#[test]
fn a_generated_key_is_the_one_of_its_seed() {
    let (signer, seed) = LogSigner::generate("gate.test/audit", &mut SeededEntropy::new(1)).unwrap();
    let again = LogSigner::from_seed("gate.test/audit", &seed).unwrap();
    assert_eq!(signer.verifier_key(), again.verifier_key());
    assert_ne!(signer.verifier_key(), super::tests::signer().verifier_key());
}

#[test]
fn a_signer_with_an_impossible_name_is_refused() {
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\nb"] {
        assert_eq!(LogSigner::from_seed(name, &Secret::new([7; 32])).unwrap_err(), WrongName, "{name:?}");
    }
}

proptest! {
    #[test]
    fn one_changed_bit_is_noticed(position: prop::sample::Index, bit in 0..8_u8) {
        let mut note = signer().sign("gate.test/audit\n7\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n").into_bytes();
        let at = position.index(note.len());
        note[at] ^= 1 << bit;
        prop_assert!(SignedCheckpoint::open(&note, signer().verifier_key()).is_err());
    }
}

#[test]
fn notes_and_checkpoints_of_the_vectors_are_judged_as_they_say() {
    let Some(vectors) = vectors::json("own-300/notes.json") else { return };
    let key: VerifierKey = vectors["vkey"].as_str().unwrap().parse().unwrap();
    for case in vectors["cases"].as_array().unwrap() {
        let opened = SignedCheckpoint::open(case["note"].as_str().unwrap().as_bytes(), &key);
        match case["expect"].as_str().unwrap() {
            "accept" => assert!(opened.is_ok(), "{}: {opened:?}", case["name"]),
            "reject" => assert!(opened.is_err(), "{}", case["name"]),
            // The stricter of two sound readings.
            _ => assert_eq!(opened, Err(CheckpointError::Note(NoteError::BadSignature)), "{}", case["name"]),
        }
    }
    println!("{} notes", vectors["cases"].as_array().unwrap().len());
}

#[test]
fn cosignatures_of_the_vectors_are_judged_as_they_say() {
    let Some(vectors) = vectors::json("own-300/notes.json") else { return };
    let witness: VerifierKey = vectors["witness_vkey"].as_str().unwrap().parse().unwrap();
    let text = vectors["checkpoint_text"].as_str().unwrap();
    for case in vectors["cosignature_cases"].as_array().unwrap() {
        let note = format!("{text}\n{}", case["line"].as_str().unwrap());
        let verified = Note::parse(note.as_bytes()).and_then(|note| note.verify(&witness).map(str::to_owned));
        assert_eq!(verified.is_ok(), case["expect"] == "accept", "{}: {verified:?}", case["name"]);
    }
    println!("{} cosignatures", vectors["cosignature_cases"].as_array().unwrap().len());
}

#[test]
fn the_specification_s_example_of_a_cosigned_message_is_what_we_verify() {
    let Some(examples) = vectors::json("c2sp-spec-examples.json") else { return };
    let texts: Vec<_> = examples.as_array().unwrap().iter().map(|e| e["text"].as_str().unwrap()).collect();
    assert!(texts.contains(&SPEC_KEY));
    let checkpoint = texts.iter().find(|text| text.starts_with("example.com/behind-the-sofa\n")).unwrap();
    assert!(texts.contains(&format!("cosignature/v1\ntime 1679315147\n{checkpoint}").as_str()));
    let lines = texts.iter().find(|text| text.starts_with("\u{2014} example.com/behind-the-sofa")).unwrap();
    assert_eq!(Note::parse(format!("{checkpoint}\n\n{lines}\n").as_bytes()).unwrap().signatures.len(), 2);
}
