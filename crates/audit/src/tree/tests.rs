#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::vectors;

/// The Merkle tree hash straight from its definition, RFC 6962 section 2.1.
fn root_by_definition(entries: &[Hash]) -> Hash {
    match entries {
        [] => Hash::of_empty_tree(),
        [only] => *only,
        more => {
            let k = more.len().next_power_of_two() / 2;
            Hash::of_node(&root_by_definition(&more[..k]), &root_by_definition(&more[k..]))
        }
    }
}

struct Entries(Vec<Hash>);

impl Nodes for Entries {
    type Error = std::convert::Infallible;

    fn node(&mut self, height: u32, index: u64) -> Result<Hash, Self::Error> {
        let start = usize::try_from(index << height).unwrap();
        Ok(root_by_definition(&self.0[start..start.strict_add(1 << height)]))
    }
}

fn entries(count: u16) -> Vec<Hash> {
    (0..count).map(|i| Hash::of_entry(&i.to_be_bytes())).collect()
}

fn edge_of(entries: &[Hash]) -> Edge {
    let mut edge = Edge::default();
    for entry in entries {
        edge.push(*entry);
    }
    edge
}

#[test]
fn hashes_are_those_of_rfc_6962() {
    let hex = |hash: Hash| hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(hex(Hash::of_empty_tree()).starts_with("e3b0c442"));
    assert!(hex(Hash::of_entry(b"")).starts_with("6e340b9c"));
    assert!(hex(Hash::of_entry(b"")).ends_with("a01d"));
}

#[test]
fn a_growing_edge_has_the_root_of_the_whole_tree() {
    let all = entries(600);
    let mut edge = Edge::default();
    assert_eq!(edge.root(), Hash::of_empty_tree());
    let mut filled = Vec::new();
    for (count, entry) in all.iter().enumerate() {
        filled.extend(edge.push(*entry));
        assert_eq!(edge.root(), root_by_definition(&all[..=count]));
    }
    let places: Vec<_> = filled.iter().map(|tile| (tile.level, tile.index)).collect();
    assert_eq!(places, [(0, 0), (0, 1)]);
    assert_eq!(filled[1].hashes, all[256..512]);
    assert_eq!(
        edge.partial_tiles()[1],
        [root_by_definition(&all[..256]), root_by_definition(&all[256..512])]
    );
}

#[test]
fn tiles_of_a_high_level_fill_in_their_place() {
    let mut edge = Edge::default();
    let mut places = Vec::new();
    for _ in 0..65_536 {
        places.extend(edge.push(Hash::of_entry(b"")).into_iter().map(|tile| (tile.level, tile.index)));
    }
    assert_eq!(places.len(), 257);
    assert_eq!(places[255..], [(0, 255), (1, 0)]);
    assert_eq!(Edge::partial_widths(70_000).collect::<Vec<_>>(), [112, 17, 1]);
    assert_eq!(Edge::from_partial_tiles(65_536, edge.partial_tiles().to_vec()), Some(edge.clone()));
    assert_eq!(Edge::from_partial_tiles(65_537, edge.partial_tiles().to_vec()), None);
}

proptest! {
    #[test]
    fn every_inclusion_proof_holds_for_its_entry_alone(size in 1..700_u16, pick: u16) {
        let index = pick % size;
        let mut all = Entries(entries(size));
        let root = edge_of(&all.0).root();
        let proof = inclusion_proof(&mut all, index.into(), size.into()).unwrap();
        let entry = Hash::of_entry(&index.to_be_bytes());
        prop_assert_eq!(verify_inclusion(&entry, index.into(), size.into(), &proof, &root), Ok(()));
        let other = Hash::of_entry(b"another");
        prop_assert!(verify_inclusion(&other, index.into(), size.into(), &proof, &root).is_err());
        let beside = u64::from(index ^ 1);
        prop_assert!(verify_inclusion(&entry, beside, size.into(), &proof, &root).is_err());
    }

    #[test]
    fn every_consistency_proof_holds_for_its_trees_alone(new in 1..700_u16, pick: u16) {
        let old = (pick % new).max(1);
        let mut all = Entries(entries(new));
        let (old_root, new_root) = (edge_of(&all.0[..old.into()]).root(), edge_of(&all.0).root());
        let proof = consistency_proof(&mut all, old.into(), new.into()).unwrap();
        let holds = |a: u16, root: &Hash| verify_consistency((a.into(), root), (new.into(), &new_root), &proof);
        prop_assert_eq!(holds(old, &old_root), Ok(()));
        prop_assert!(holds(old, &Hash::of_entry(b"forged")).is_err());
        if old > 1 {
            prop_assert!(holds(old - 1, &old_root).is_err());
        }
    }
}

fn hash(value: &Value) -> Result<Hash, ParseHashError> {
    value.as_str().unwrap_or_default().parse()
}

/// A root of the vectors; some are words of other lengths where the verdict does not depend on them.
fn root(value: &Value) -> Hash {
    hash(value).unwrap_or_else(|_| Hash::of(&[value.as_str().unwrap_or_default().as_bytes()]))
}

fn hashes(value: &Value) -> Result<Vec<Hash>, ParseHashError> {
    value.as_array().map_or(&[][..], Vec::as_slice).iter().map(hash).collect()
}

#[test]
fn inclusion_vectors_are_judged_as_they_say() {
    let Some(cases) = vectors::json("merkle-proofs/inclusion.json") else { return };
    for case in cases.as_array().unwrap() {
        let judged = (|| {
            let (index, size) = (case["leafIdx"].as_u64().unwrap(), case["treeSize"].as_u64().unwrap());
            let (entry, root) = (hash(&case["leafHash"]).ok()?, hash(&case["root"]).ok()?);
            verify_inclusion(&entry, index, size, &hashes(&case["proof"]).ok()?, &root).ok()
        })();
        assert_eq!(
            judged.is_none(),
            case["wantErr"].as_bool().unwrap(),
            "{}: {}",
            case["case"],
            case["desc"]
        );
    }
    println!("{} inclusion vectors", cases.as_array().unwrap().len());
}

#[test]
fn consistency_vectors_are_judged_as_they_say() {
    let Some(cases) = vectors::json("merkle-proofs/consistency.json") else { return };
    for case in cases.as_array().unwrap() {
        let judged = (|| {
            let (old, new) = (case["size1"].as_u64().unwrap(), case["size2"].as_u64().unwrap());
            let (old_root, new_root) = (root(&case["root1"]), root(&case["root2"]));
            verify_consistency((old, &old_root), (new, &new_root), &hashes(&case["proof"]).ok()?).ok()
        })();
        assert_eq!(
            judged.is_none(),
            case["wantErr"].as_bool().unwrap(),
            "{}: {}",
            case["case"],
            case["desc"]
        );
    }
    println!("{} consistency vectors", cases.as_array().unwrap().len());
}

#[test]
fn the_proofs_of_the_log_of_300_hold() {
    let Some(proofs) = vectors::json("own-300/proofs.json") else { return };
    for case in proofs["inclusion"].as_array().unwrap() {
        let (index, size) = (case["index"].as_u64().unwrap(), case["size"].as_u64().unwrap());
        let (entry, root) = (hash(&case["leaf_hash"]).unwrap(), hash(&case["root"]).unwrap());
        let proof = hashes(&case["proof"]).unwrap();
        assert_eq!(verify_inclusion(&entry, index, size, &proof, &root), Ok(()), "{index} in {size}");
    }
    for case in proofs["consistency"].as_array().unwrap() {
        let (old, new) = (case["size1"].as_u64().unwrap(), case["size2"].as_u64().unwrap());
        let (old_root, new_root) = (hash(&case["root1"]).unwrap(), hash(&case["root2"]).unwrap());
        let proof = hashes(&case["proof"]).unwrap();
        let verified = verify_consistency((old, &old_root), (new, &new_root), &proof);
        assert_eq!(verified, Ok(()), "{old} to {new}");
    }
}
