//! Our log, verified by implementations that we did not write: `signed_note` for checkpoints, `tlog_tiles` for the tree (the
//! crates of Cloudflare's Certificate Transparency log).

use std::path::PathBuf;

use chartgate_audit::note::VerifierKey;
use chartgate_audit::proof::TlogProof;
use serde_json::Value;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint, Error, Hash, HashReader as _, Tile, TileHashReader, TileReader, check_record, check_tree,
    prove_record, prove_tree, record_hash, tree_hash,
};

use crate::browser::{App, USER_SCOPE};
use crate::gateway::Gateway;
use crate::wire::Call;

/// The log's folder, as somebody else reads it.
struct Folder(PathBuf);

impl TileReader for Folder {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let read = |tile: &Tile| {
            // They write the height into the path, as the Go checksum database does; C2SP tlog-tiles has one height.
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            std::fs::read(self.0.join(path)).map_err(|_| Error::InvalidTile)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// The checkpoint, once its signature is verified.
fn checkpoint(note: &[u8], key: &str) -> Checkpoint {
    let verifiers = VerifierList::new(vec![Box::new(StandardVerifier::new(key).unwrap())]);
    let note = Note::from_bytes(note).unwrap();
    let (verified, _) = note.verify(&verifiers).unwrap();
    assert_eq!(verified.len(), 1);
    Checkpoint::from_bytes(note.text()).unwrap()
}

async fn work(gateway: &Gateway, token: &str, patient: &str, times: usize) {
    for _ in 0..times {
        Call::get(&format!("/fhir/Patient/{patient}")).bearer(token).to(gateway).await;
    }
    // Under a checkpoint, which comes about every second.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
}

#[tokio::test]
async fn the_log_holds_for_implementations_that_others_wrote() {
    let gateway = &Gateway::demo("outside-verifiers", &[]);
    let patient = gateway.panel("dana")[0];
    let dana = App::public(USER_SCOPE).tokens(gateway, &gateway.demo_person("dana")).await.access;
    let folder = Folder(gateway.ready["audit_dir"].as_str().unwrap().into());
    let read = |name: &str| std::fs::read(folder.0.join(name)).unwrap();
    let key = String::from_utf8(read("log.vkey")).unwrap().trim().to_owned();
    work(gateway, &dana, patient, 40).await;
    let earlier = checkpoint(&read("checkpoint"), &key);
    work(gateway, &dana, patient, 300).await;
    let note = read("checkpoint");
    let later = checkpoint(&note, &key);
    let (size, root) = (later.size(), *later.hash());
    assert!(earlier.size() >= 40 && size >= earlier.size().saturating_add(300), "{size}");
    assert_eq!(later.origin(), key.split('+').next().unwrap());

    // The root is that of the tiles, and the later log has all of the earlier one.
    let hashes = TileHashReader::new(size, root, &folder);
    assert_eq!(tree_hash(size, &hashes).unwrap(), root);
    let consistent = prove_tree(size, earlier.size(), &hashes).unwrap();
    check_tree(&consistent, size, root, earlier.size(), *earlier.hash()).unwrap();

    // Every entry is under it, by a proof of theirs, and so does a proof of ours say.
    let ours: VerifierKey = key.parse().unwrap();
    let bundle = read("tile/entries/000");
    let mut rest = bundle.as_slice();
    for index in 0..256_u64 {
        let (length, behind) = rest.split_first_chunk::<2>().unwrap();
        let (entry, behind) = behind.split_at(usize::from(u16::from_be_bytes(*length)));
        rest = behind;
        let proof = prove_record(size, index, &hashes).unwrap();
        check_record(&proof, size, root, index, record_hash(entry)).unwrap();
        assert!(check_record(&proof, size, root, index, record_hash(&entry[1..])).is_err());
        if index.is_multiple_of(64) {
            let text = gateway.command(&["audit", "prove", &index.to_string()]);
            let mine = TlogProof::parse(text.as_bytes(), &ours).unwrap();
            mine.verify(entry).unwrap();
            let stands: Value = serde_json::from_slice(entry).unwrap();
            assert_eq!(stands["v"], 1);
        }
    }
    assert!(rest.is_empty(), "256 entries are a bundle");
    let stored = hashes.read_hashes(&[0]).unwrap();
    assert_eq!(stored.first(), Some(&record_hash_of_first(&bundle)));

    // What was altered does not hold for them either.
    let mut altered = note.clone();
    let at = altered.iter().position(|byte| *byte == b'\n').unwrap();
    altered[at.saturating_add(1)] ^= 1;
    let verifiers = VerifierList::new(vec![Box::new(StandardVerifier::new(&key).unwrap())]);
    assert!(Note::from_bytes(&altered).unwrap().verify(&verifiers).is_err());
}

fn record_hash_of_first(bundle: &[u8]) -> Hash {
    let length = usize::from(u16::from_be_bytes([bundle[0], bundle[1]]));
    record_hash(&bundle[2..length.saturating_add(2)])
}
