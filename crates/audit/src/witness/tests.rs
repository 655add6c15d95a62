use std::collections::BTreeMap;

use chartgate_values::{Secret, SeededEntropy};
use proptest::prelude::*;

use super::*;
use crate::note::LogSigner;
use crate::tree::{Nodes, subtree_root};
use crate::vectors;

/// A tree whose entries are numbers, or from `forked_at` on other ones.
#[derive(Clone, Copy)]
struct Entries {
    forked_at: u64,
}

impl Nodes for Entries {
    type Error = std::convert::Infallible;

    fn node(&mut self, height: u32, index: u64) -> Result<Hash, Self::Error> {
        if height == 0 {
            let other = if index >= self.forked_at { "other " } else { "" };
            return Ok(Hash::of_entry(format!("{other}{index}").as_bytes()));
        }
        let below = height.strict_sub(1);
        let left = self.node(below, index.strict_mul(2))?;
        Ok(Hash::of_node(&left, &self.node(below, index.strict_mul(2).strict_add(1))?))
    }
}

const HONEST: Entries = Entries { forked_at: u64::MAX };

/// What it remembers, in memory.
#[derive(Default)]
struct Remembered(BTreeMap<String, Vec<u8>>, bool);

impl WitnessState for Remembered {
    fn last(&self, origin: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.get(origin).cloned())
    }

    fn remember(&mut self, checkpoint: &SignedCheckpoint) -> io::Result<()> {
        if self.1 {
            return Err(io::Error::other("full"));
        }
        self.0.insert(checkpoint.checkpoint().origin.clone(), checkpoint.note().as_bytes().to_vec());
        Ok(())
    }
}

pub(super) fn log() -> LogSigner {
    LogSigner::from_seed("gate.test/audit", &Secret::new([7; 32])).unwrap()
}

pub(super) fn witness(seed: u8) -> WitnessSigner {
    WitnessSigner::from_seed(&format!("witness.test/{seed}"), &Secret::new([seed; 32])).unwrap()
}

fn checkpoint(mut entries: Entries, size: u64) -> SignedCheckpoint {
    let Ok(root) = subtree_root(&mut entries, 0..size);
    SignedCheckpoint::sign(&log(), size, root)
}

fn request(mut entries: Entries, old: u64, size: u64) -> AddCheckpoint {
    let Ok(proof) = consistency_proof(&mut entries, old, size);
    AddCheckpoint { old, proof, note: checkpoint(entries, size).note().as_bytes().to_vec() }
}

fn now() -> Timestamp {
    Timestamp::from_unix(1_793_836_800)
}

fn ask(state: &mut Remembered, request: &AddCheckpoint) -> Result<String, Refusal> {
    let logs = [log().verifier_key().clone()];
    add_checkpoint(request.to_string().as_bytes(), &logs, &witness(1), state, now())
}

fn status(state: &mut Remembered, request: &AddCheckpoint) -> u16 {
    ask(state, request).map_or_else(|refusal| refusal.status(), |_| 200)
}

#[test]
fn a_growing_log_is_cosigned_and_the_line_stands_beside_its_own() {
    let mut state = Remembered::default();
    for (old, size) in [(0, 0), (0, 3), (3, 3), (3, 8), (8, 9), (9, 300)] {
        let line = ask(&mut state, &request(HONEST, old, size)).unwrap();
        let signed = checkpoint(HONEST, size);
        let cosigned = signed.cosigned(line.as_bytes(), witness(1).verifier_key()).unwrap();
        assert_eq!(cosigned.cosigned_at(witness(1).verifier_key()), Ok(1_793_836_800));
        let read = SignedCheckpoint::open(cosigned.note().as_bytes(), log().verifier_key()).unwrap();
        assert_eq!(read, cosigned);
        assert!(cosigned.note().starts_with(signed.note()));
        // Asked again, the line takes the place of the former.
        assert_eq!(cosigned.cosigned(line.as_bytes(), witness(1).verifier_key()).unwrap(), cosigned);
    }
}

#[test]
fn each_refusal_has_the_status_of_the_specification_and_changes_nothing() {
    let mut state = Remembered::default();
    ask(&mut state, &request(HONEST, 0, 10)).unwrap();
    let before = state.0.clone();
    let with_note = |note: String| AddCheckpoint { note: note.into_bytes(), ..request(HONEST, 10, 12) };
    let foreign = LogSigner::from_seed("gate.test/audit", &Secret::new([8; 32])).unwrap();
    let unknown = LogSigner::from_seed("other.test/audit", &Secret::new([7; 32])).unwrap();
    let root = checkpoint(HONEST, 12).checkpoint().root;
    let mut proven_too_much = request(HONEST, 10, 12);
    proven_too_much.proof.push(root);
    let mut same_with_proof = request(HONEST, 10, 10);
    same_with_proof.proof.push(root);
    let forked = Entries { forked_at: 9 };
    let cases = [
        ("unknown origin", 404, with_note(SignedCheckpoint::sign(&unknown, 12, root).note().to_owned())),
        ("another key", 403, with_note(SignedCheckpoint::sign(&foreign, 12, root).note().to_owned())),
        ("old above new", 400, request(HONEST, 10, 9)),
        ("old that is not the last", 409, request(HONEST, 0, 12)),
        ("old beyond the last", 409, request(HONEST, 11, 12)),
        ("older than the last", 409, request(HONEST, 5, 8)),
        ("same size, another tree", 409, request(forked, 10, 10)),
        ("another tree", 422, request(forked, 10, 12)),
        ("one hash too many", 422, proven_too_much),
        ("a proof where none belongs", 422, same_with_proof),
    ];
    for (name, expected, request) in cases {
        assert_eq!(status(&mut state, &request), expected, "{name}");
        assert_eq!(state.0, before, "{name}");
    }
    let mut same_with_proof = request(HONEST, 10, 10);
    same_with_proof.proof.push(root);
    assert!(matches!(ask(&mut state, &same_with_proof), Err(Refusal::NeedlessProof)));
    assert!(matches!(
        ask(&mut state, &request(forked, 10, 10)),
        Err(Refusal::Conflict { size: 10, forked: true })
    ));
    assert!(matches!(
        ask(&mut state, &request(HONEST, 2, 12)),
        Err(Refusal::Conflict { size: 10, forked: false })
    ));
}

#[test]
fn a_first_checkpoint_has_no_proof_and_an_empty_log_the_empty_root() {
    let mut first = request(HONEST, 0, 5);
    first.proof.push(Hash::of_empty_tree());
    assert_eq!(status(&mut Remembered::default(), &first), 422);
    let lie = SignedCheckpoint::sign(&log(), 0, checkpoint(HONEST, 3).checkpoint().root);
    let lie = AddCheckpoint { old: 0, proof: Vec::new(), note: lie.note().as_bytes().to_vec() };
    assert_eq!(status(&mut Remembered::default(), &lie), 409);
}

#[test]
fn what_cannot_be_remembered_is_not_cosigned() {
    let mut state = Remembered(BTreeMap::new(), true);
    assert_eq!(status(&mut state, &request(HONEST, 0, 5)), 500);
    state.0.insert("gate.test/audit".to_owned(), b"garbage".to_vec());
    assert_eq!(status(&mut state, &request(HONEST, 0, 5)), 500);
}

#[test]
fn bodies_that_are_none_are_refused() {
    let body = request(HONEST, 3, 7).to_string();
    let note = checkpoint(HONEST, 7).note().to_owned();
    assert_eq!(AddCheckpoint::parse(body.as_bytes()).unwrap().to_string(), body);
    let hash = Hash::of_empty_tree();
    for wrong in [
        String::new(),
        note.clone(),
        body.replace("old 3", "old 03"),
        body.replace("old 3", "old  3"),
        body.replace("old 3", "old +3"),
        body.replace("old 3", "new 3"),
        body.replace("old 3", "old 9223372036854775808"),
        body.replacen('\n', "\r\n", 1),
        body.replacen("old 3\n", "old 3\nAAAA\n", 1),
        format!("old 3\n{}\n{note}", format!("{hash}\n").repeat(64)),
        format!("old 0\n{note}"),
        format!("old 0\n\n\n{note}"),
        format!("old 0\n\n{}", note.trim_end()),
    ] {
        let mut state = Remembered::default();
        let logs = [log().verifier_key().clone()];
        let answer = add_checkpoint(wrong.as_bytes(), &logs, &witness(1), &mut state, now());
        assert!(matches!(answer, Err(Refusal::Malformed)), "{wrong:?}: {answer:?}");
    }
}

#[test]
fn answers_of_others_add_nothing() {
    let signed = checkpoint(HONEST, 5);
    let line = |seed| format!("{}\n", witness(seed).cosign(&signed, now()));
    let one = signed.cosigned(line(1).as_bytes(), witness(1).verifier_key()).unwrap();
    let both = one.cosigned(line(2).as_bytes(), witness(2).verifier_key()).unwrap();
    assert!(both.cosigned_at(witness(1).verifier_key()).is_ok());
    assert!(both.cosigned_at(witness(2).verifier_key()).is_ok());
    let mixed = signed.cosigned((line(2) + &line(1)).as_bytes(), witness(1).verifier_key()).unwrap();
    assert_eq!(mixed, one);
    let another = witness(1).cosign(&checkpoint(HONEST, 6), now()) + "\n";
    for (answer, key) in [
        (line(2), witness(1).verifier_key().clone()),
        (String::new(), witness(1).verifier_key().clone()),
        (another, witness(1).verifier_key().clone()),
        (line(1) + "\n" + &line(1), witness(1).verifier_key().clone()),
        (signed.note().to_owned(), log().verifier_key().clone()),
    ] {
        assert!(signed.cosigned(answer.as_bytes(), &key).is_err(), "{answer:?}");
    }
}

#[test]
fn keys_of_witnesses_are_told_from_those_of_logs() {
    let (signer, seed) = WitnessSigner::generate("w.test", &mut SeededEntropy::new(1)).unwrap();
    assert_eq!(WitnessSigner::from_seed("w.test", &seed).unwrap().verifier_key(), signer.verifier_key());
    assert_eq!(signer.verifier_key().to_string().parse(), Ok(signer.verifier_key().clone()));
    assert!(signer.verifier_key().is_witness() && !log().verifier_key().is_witness());
    WitnessSigner::from_seed("a+b", &seed).unwrap_err();
}

#[test]
fn our_cosignature_of_the_vectors_checkpoint_is_the_one_that_others_made() {
    let (Some(keys), Some(notes)) = (vectors::json("own-300/keys.json"), vectors::json("own-300/notes.json"))
    else {
        return;
    };
    let log: VerifierKey = notes["vkey"].as_str().unwrap().parse().unwrap();
    let case = notes["cases"].as_array().unwrap().iter().find(|case| case["expect"] == "accept").unwrap();
    let signed = SignedCheckpoint::open(case["note"].as_str().unwrap().as_bytes(), &log).unwrap();
    let mut same = 0;
    for entry in keys["witnesses"].as_array().unwrap() {
        let seed = Hash::from_hex(entry["seed_hex"].as_str().unwrap()).unwrap();
        let signer =
            WitnessSigner::from_seed(entry["name"].as_str().unwrap(), &Secret::new(*seed.as_bytes()))
                .unwrap();
        assert_eq!(signer.verifier_key().to_string(), entry["vkey"].as_str().unwrap());
        for case in notes["cosignature_cases"].as_array().unwrap() {
            let line = case["line"].as_str().unwrap();
            let note = format!("{}\n{line}", signed.text());
            let Ok(at) =
                Note::parse(note.as_bytes()).and_then(|note| note.cosigned_at(signer.verifier_key()))
            else {
                continue;
            };
            let ours = signer.cosign(&signed, Timestamp::from_unix(i64::try_from(at).unwrap()));
            assert!(line.lines().any(|line| line == ours), "{ours}");
            same += 1;
        }
    }
    assert!(same > 0);
    println!("{same} cosignatures made again");
}

/// tlog-witness: every consistency proof of the vectors, as a request.
#[test]
fn consistency_proofs_of_the_vectors_are_judged_as_they_say() {
    let Some(cases) = vectors::json("merkle-proofs/consistency.json") else { return };
    let hash = |value: &serde_json::Value| value.as_str().and_then(|text| text.parse::<Hash>().ok());
    let mut judged = 0;
    for case in cases.as_array().unwrap() {
        let (Some(old), Some(new)) = (case["size1"].as_u64(), case["size2"].as_u64()) else { continue };
        let (Some(old_root), Some(new_root)) = (hash(&case["root1"]), hash(&case["root2"])) else { continue };
        let proof: Option<Vec<_>> =
            case["proof"].as_array().map_or(Some(Vec::new()), |proof| proof.iter().map(hash).collect());
        let (Some(proof), false) = (proof, old == 0) else { continue };
        let mut state = Remembered::default();
        state.remember(&SignedCheckpoint::sign(&log(), old, old_root)).unwrap();
        let note = SignedCheckpoint::sign(&log(), new, new_root).note().as_bytes().to_vec();
        let answer = ask(&mut state, &AddCheckpoint { old, proof, note });
        assert_eq!(answer.is_err(), case["wantErr"] == true, "{}: {answer:?}", case["case"]);
        judged += 1;
    }
    assert!(judged > 10);
    println!("{judged} requests");
}

proptest! {
    #[test]
    fn whatever_grows_is_cosigned_and_whatever_forks_is_not(
        sizes in prop::collection::vec(0..700_u64, 1..6),
        fork in 0..700_u64,
    ) {
        let mut sizes = sizes;
        sizes.sort_unstable();
        let mut state = Remembered::default();
        let mut last = 0;
        for size in sizes {
            prop_assert_eq!(status(&mut state, &request(HONEST, last, size)), 200);
            last = size;
        }
        let forked = Entries { forked_at: fork };
        let answer = status(&mut state, &request(forked, last, 700));
        prop_assert_eq!(answer == 200, fork >= last);
    }

    #[test]
    fn a_changed_bit_is_never_cosigned_as_another_tree(position: prop::sample::Index, bit in 0..8_u8) {
        let mut state = Remembered::default();
        ask(&mut state, &request(HONEST, 0, 5)).unwrap();
        let mut body = request(HONEST, 5, 13).to_string().into_bytes();
        let at = position.index(body.len());
        body[at] ^= 1 << bit;
        let logs = [log().verifier_key().clone()];
        prop_assert!(add_checkpoint(&body, &logs, &witness(1), &mut state, now()).is_err());
    }
}
