use proptest::prelude::*;

use super::*;
use crate::tree::{Edge, Hash, Nodes as _, consistency_proof, inclusion_proof};
use crate::vectors;

#[test]
fn paths_are_those_of_the_specification() {
    let path = |index| TilePath::new(Content::Hashes(0), index, Width::Full).to_string();
    assert_eq!(path(0), "tile/0/000");
    assert_eq!(path(1_234_067), "tile/0/x001/x234/067");
    let partial = TilePath::new(Content::Entries, 273, Width::Partial(112));
    assert_eq!(partial.to_string(), "tile/entries/273.p/112");
    assert_eq!(partial.partials_folder(), "tile/entries/273.p");
}

#[test]
fn another_spelling_of_a_path_is_refused() {
    for text in [
        "tile/0/0",
        "tile/0/1000",
        "tile/0/x000/001",
        "tile/00/000",
        "tile/64/000",
        "tile/0/x001",
        "tile/0/001/002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/+01",
        "tile/0/../../keys/2026-11.json",
        "tile/entries/000.p/1/",
        "checkpoint",
        "",
    ] {
        assert_eq!(text.parse::<TilePath>(), Err(ParseTilePathError), "{text}");
    }
}

proptest! {
    #[test]
    fn a_path_is_read_as_it_was_written(level in 0..64_u8, index in 0..u64::MAX / 1000, width in 0..=255_u8) {
        let width = if width == 0 { Width::Full } else { Width::Partial(width) };
        for content in [Content::Entries, Content::Hashes(level)] {
            let path = TilePath::new(content, index, width);
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }
    }

    #[test]
    fn a_bundle_is_read_as_it_was_written(entries: Vec<Vec<u8>>) {
        let mut bundle = Vec::new();
        for entry in &entries {
            push_entry(&mut bundle, entry).unwrap();
        }
        prop_assert_eq!(parse_bundle(&bundle).unwrap(), entries.clone());
        if !bundle.is_empty() {
            bundle.pop();
            let cut = parse_bundle(&bundle).is_err() || parse_bundle(&bundle).unwrap().len() < entries.len();
            prop_assert!(cut);
        }
    }
}

#[test]
fn an_entry_of_65536_bytes_fits_in_no_bundle() {
    let mut bundle = Vec::new();
    assert_eq!(push_entry(&mut bundle, &vec![0; MAX_ENTRY]), Ok(()));
    let before = bundle.clone();
    assert_eq!(push_entry(&mut bundle, &vec![0; MAX_ENTRY.strict_add(1)]), Err(BundleError::TooLong));
    assert_eq!(bundle, before);
}

#[test]
fn tiles_and_roots_of_the_log_of_300_are_recomputed_from_its_entries() {
    let Some(disk) = vectors::load("own-300/log") else { return };
    let proofs = vectors::json("own-300/proofs.json").unwrap();
    let mut edge = Edge::default();
    let mut entries = read_entries(&disk, 0, Width::Full).unwrap();
    entries.extend(read_entries(&disk, 1, Width::Partial(44)).unwrap());
    for (index, entry) in entries.iter().enumerate() {
        if let Some(root) = proofs["roots"].get(index.to_string()) {
            assert_eq!(edge.root(), root.as_str().unwrap().parse().unwrap(), "root of {index}");
        }
        if let Some(hash) = proofs["leaf_hashes"].get(index.to_string()) {
            assert_eq!(Hash::of_entry(entry), hash.as_str().unwrap().parse().unwrap(), "entry {index}");
        }
        for tile in edge.push(Hash::of_entry(entry)) {
            assert_eq!(read_hashes(&disk, tile.level, tile.index, Width::Full).unwrap(), tile.hashes);
        }
    }
    assert_eq!(edge.root(), proofs["roots"]["300"].as_str().unwrap().parse().unwrap());
    assert_eq!(read_hashes(&disk, 0, 1, Width::Partial(44)).unwrap(), edge.partial_tiles()[0]);
    assert_eq!(read_hashes(&disk, 1, 0, Width::Partial(1)).unwrap(), edge.partial_tiles()[1]);
}

#[test]
fn proofs_made_from_the_tiles_of_300_are_those_of_the_vectors() {
    let Some(disk) = vectors::load("own-300/log") else { return };
    let proofs = vectors::json("own-300/proofs.json").unwrap();
    let mut nodes = StoredNodes::new(&disk, 300);
    let texts = |proof: Vec<Hash>| serde_json::json!(proof.iter().map(Hash::to_string).collect::<Vec<_>>());
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    for case in proofs["inclusion"].as_array().unwrap() {
        let proof = inclusion_proof(&mut nodes, number(&case["index"]), number(&case["size"])).unwrap();
        assert_eq!(texts(proof), case["proof"], "{} in {}", case["index"], case["size"]);
    }
    for case in proofs["consistency"].as_array().unwrap() {
        let proof = consistency_proof(&mut nodes, number(&case["size1"]), number(&case["size2"])).unwrap();
        assert_eq!(texts(proof), case["proof"], "{} to {}", case["size1"], case["size2"]);
    }
    assert!(nodes.node(0, 300).is_err(), "a node outside the tree");
}

#[test]
fn the_full_tile_stands_in_for_a_partial_one_that_is_gone() {
    let Some(disk) = vectors::load("own-300/log") else { return };
    assert_eq!(read_hashes(&disk, 0, 0, Width::Partial(7)).unwrap().len(), 7);
    assert_eq!(read_entries(&disk, 0, Width::Partial(7)).unwrap().len(), 7);
    assert!(matches!(read_hashes(&disk, 0, 1, Width::Partial(45)), Err(TileError::Unreadable { .. })));
}
