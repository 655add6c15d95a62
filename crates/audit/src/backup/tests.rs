use std::collections::BTreeMap;
use std::io;

use chartgate_values::{Phi, SeededEntropy, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::checkpoint::SignedCheckpoint;
use crate::journal::OPEN_INTENTS;
use crate::note::LogSigner;
use crate::open::OpenError;
use crate::record::{Event, Record};
use crate::sequencer::{CHECKPOINT, SettleError};
use crate::storage::memory::MemoryDisk;
use crate::storage::{CheckpointKeeper as _, Object, Objects as _};
use crate::testing::{Bench, record};
use crate::tree::Hash;
use crate::verify::{VerifyError, verify};

fn label() -> Label {
    Label {
        made: Timestamp::from_unix(1_793_836_800),
        version: "0.1.0".into(),
        begun: 290,
        size: 300,
        root: Hash::of_entry(b"a"),
        manifest: Content { digest: Hash::of_entry(b"b"), length: 17 },
        places: vec![
            (Place::Config, "chartgate.toml".parse().unwrap()),
            (Place::Store, "data/chartgate.db".parse().unwrap()),
        ],
        needs: vec!["the master key: the file data/master.key".into()],
    }
}

#[test]
fn a_path_leads_to_no_other_place() {
    for good in ["a", "log/tile/0/x001/234.p/7", "policies/Klinik Süd.cedar", ".hidden", "a..b"] {
        assert_eq!(good.parse::<BackupPath>().unwrap().as_str(), good);
    }
    let long = "a/".repeat(600);
    let part = "a".repeat(256);
    for bad in [
        "",
        "/",
        "/etc/passwd",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/./b",
        "a\\..\\b",
        "a\0b",
        "a\nb",
        &long,
        &part,
    ] {
        assert_eq!(bad.parse::<BackupPath>(), Err(ParsePathError), "{bad:?}");
    }
    let folder: BackupPath = "log".parse().unwrap();
    assert!(folder.join("tile/0/000").is_ok() && folder.join("../a").is_err() && folder.join("").is_err());
    let path: BackupPath = "log/keys/a".parse().unwrap();
    assert_eq!(path.within("log").unwrap().as_str(), "keys/a");
    assert_eq!((path.within("lo"), path.within("log/keys/a")), (None, None));
}

#[test]
fn a_manifest_has_one_spelling() {
    let digest = Hash::of_entry(b"x").to_hex();
    let line = |path: &str| format!("{digest} 12 {path}\n");
    let good = line("a") + &line("b c/d");
    assert_eq!(Manifest::parse(good.as_bytes()).unwrap().to_string(), good);
    assert!(Manifest::parse(b"").unwrap().files.is_empty());
    for (bad, why) in [
        (good.trim_end().to_owned(), ManifestError::NotText),
        (line("b") + &line("a"), ManifestError::Disordered(2)),
        (line("a") + &line("a"), ManifestError::Disordered(2)),
        (line("../a"), ManifestError::Malformed(1)),
        (line("a") + "\n", ManifestError::Malformed(2)),
        (good.replacen("12", "012", 1), ManifestError::Malformed(1)),
        (good.replacen("12", "-12", 1), ManifestError::Malformed(1)),
        (good.to_uppercase(), ManifestError::Malformed(1)),
        (good.replacen(' ', "  ", 1), ManifestError::Malformed(1)),
    ] {
        assert_eq!(Manifest::parse(bad.as_bytes()), Err(why), "{bad}");
    }
    assert_eq!(Manifest::parse(b"\xff\n"), Err(ManifestError::NotText));
}

#[test]
fn a_label_is_read_as_it_was_signed_and_as_nothing_else() {
    let mut entropy = SeededEntropy::new(1);
    let (signer, _) = LogSigner::generate("gate.test/audit", &mut entropy).unwrap();
    let key = signer.verifier_key();
    let note = label().sign(&signer).unwrap();
    assert_eq!(Label::open(note.as_bytes(), key).unwrap(), label());
    let checkpoint = SignedCheckpoint::sign(&signer, 0, Hash::of_empty_tree());
    assert!(Label::open(checkpoint.note().as_bytes(), key).is_err());
    let two_lines = Label { needs: vec!["a\nplace store ../b".into()], ..label() };
    assert!(two_lines.sign(&signer).is_err());

    // What the key has signed is not believed to the letter either.
    let lines = label().lines();
    assert_eq!(Label::parse(&lines).unwrap(), label());
    for (line, other) in [
        (0, "made yesterday"),
        (2, "begun 0290"),
        (2, "version 0.1.0"),
        (3, "checkpoint 0300 aa"),
        (5, "place store ../chartgate.db"),
        (5, "place store data/other.db"),
        (5, "place elsewhere a"),
        (7, "wants something"),
    ] {
        let mut altered = lines.clone();
        altered[line] = other.to_owned();
        assert_eq!(Label::parse(&altered), None, "{other}");
    }
    for gone in 0..5 {
        let mut shorter = lines.clone();
        shorter.remove(gone);
        assert_eq!(Label::parse(&shorter), None);
    }
    let mut disordered = lines.clone();
    disordered.swap(6, 7);
    assert_eq!(Label::parse(&disordered), None);
}

proptest! {
    #[test]
    fn every_path_stays_below_its_folder(text in "[a./\\\\ \u{0}é]{0,12}") {
        if let Ok(path) = text.parse::<BackupPath>() {
            let joined = std::path::Path::new("/root").join(path.as_str());
            prop_assert!(joined.starts_with("/root") && joined.components().count() > 2);
            prop_assert!(!joined.components().any(|part| part == std::path::Component::ParentDir));
        }
    }

    #[test]
    fn manifests_are_read_as_they_were_written(
        files in prop::collection::btree_map("[a-z .]{1,4}(/[a-zé]{1,3}){0,2}", (any::<u32>(), any::<[u8; 32]>()), 0..20),
    ) {
        let files: BTreeMap<BackupPath, Content> = files
            .into_iter()
            .filter_map(|(path, (length, digest))| {
                let content = Content { digest: Hash::from_bytes(digest), length: length.into() };
                Some((path.parse().ok()?, content))
            })
            .collect();
        let manifest = Manifest { files };
        prop_assert_eq!(Manifest::parse(manifest.to_string().as_bytes()).unwrap(), manifest);
    }
}

/// Copies a log into an empty disk.
fn copied(bench: &Bench, checkpoint: &SignedCheckpoint) -> Result<MemoryDisk, CopyError> {
    let copy = MemoryDisk::new();
    copy.put(&read_marks(&bench.disk)?).unwrap();
    copy_log(&bench.disk, checkpoint, &mut |path, bytes| {
        copy.put(&[Object { path: path.to_owned(), bytes: bytes.to_vec() }])
    })?;
    Ok(copy)
}

fn published(bench: &Bench) -> SignedCheckpoint {
    SignedCheckpoint::open(&bench.disk.read(CHECKPOINT).unwrap(), &bench.key()).unwrap()
}

#[test]
fn a_copy_up_to_a_checkpoint_holds_and_opens_whatever_came_after() {
    for (size, later) in
        [(0, 0), (0, 3), (1, 0), (255, 1), (256, 0), (256, 300), (300, 0), (300, 700), (600, 1)]
    {
        let bench = Bench::new();
        let mut log = bench.open().unwrap();
        for n in 0..size {
            // Every ninth is so long that its sealed part lies in a file of its own.
            let many = if n % 9 == 0 { 5000 } else { 1 };
            let patients = (0..many).map(|patient| Phi::new(format!("patient-{patient}"))).collect();
            log.append(&Record { patients, ..record(n) });
        }
        log.sequencer.sequence_once(bench.now()).unwrap();
        let checkpoint = published(&bench);
        assert_eq!(checkpoint.size(), size);
        for n in size..size + later {
            log.append(&record(n));
            log.sequencer.sequence_once(bench.now()).unwrap();
        }
        let copy = copied(&bench, &checkpoint).unwrap();
        let verified =
            verify(&copy, &MemoryDisk::new(), &bench.key(), Some(checkpoint.checkpoint())).unwrap();
        assert_eq!((verified.checkpoint.size, verified.uncovered), (size, 0), "{size} and {later}");
        log.stop();

        // What was restored goes on, with what is on record.
        let restored = Bench { keeper: copy.clone(), disk: copy, ..Bench::new() };
        let mut log = restored.open().unwrap();
        assert_eq!((log.recovered.size, log.recovered.replayed), (size, 0));
        assert_eq!(log.append(&record(9999)), size);
        log.sequencer.sequence_once(restored.now()).unwrap();
        let known = checkpoint.checkpoint();
        let verified = verify(&restored.disk, &restored.disk, &restored.key(), Some(known)).unwrap();
        assert_eq!(verified.checkpoint.size, size + 1);
        log.stop();
    }
}

/// As a store is copied before the log is.
#[test]
fn a_copy_opens_beside_any_older_kept_checkpoint_and_no_other() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    let mut kept = vec![published(&bench)];
    for n in 0..700 {
        log.append(&record(n));
        if n % 29 == 0 {
            log.sequencer.sequence_once(bench.now()).unwrap();
            kept.push(published(&bench));
        }
    }
    log.sequencer.sequence_once(bench.now()).unwrap();
    let checkpoint = published(&bench);
    kept.push(checkpoint.clone());
    for older in &kept {
        let copy = copied(&bench, &checkpoint).unwrap();
        let keeper = MemoryDisk::new();
        keeper.advance(None, older).unwrap();
        let restored = Bench { keeper, disk: copy, ..Bench::new() };
        assert_eq!(restored.open().unwrap().recovered.size, 700, "beside the one over {}", older.size());
    }
    let other = Bench::new();
    let mut log = other.open().unwrap();
    log.append(&record(1));
    log.sequencer.sequence_once(other.now()).unwrap();
    let keeper = MemoryDisk::new();
    keeper.advance(None, &published(&other)).unwrap();
    let restored = Bench { keeper, disk: copied(&bench, &checkpoint).unwrap(), ..Bench::new() };
    assert!(matches!(restored.open(), Err(OpenError::Settle(SettleError::Inconsistent(1)))));
}

#[test]
fn an_intent_that_was_open_at_the_checkpoint_is_open_in_the_copy() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    log.append(&Record { event: Event::AccessIntent, ..record(0) });
    log.sequencer.sequence_once(bench.now()).unwrap();
    let (marks, checkpoint) = (read_marks(&bench.disk).unwrap(), published(&bench));
    // Its outcome comes later, and so much more that it is not looked for any more.
    for n in 0..600 {
        log.append(&record(n));
    }
    log.sequencer.sequence_once(bench.now()).unwrap();
    assert!(bench.disk.read(OPEN_INTENTS).unwrap().starts_with(b"601 "));
    let copy = MemoryDisk::new();
    copy.put(&marks).unwrap();
    let put =
        &mut |path: &str, bytes: &[u8]| copy.put(&[Object { path: path.to_owned(), bytes: bytes.to_vec() }]);
    copy_log(&bench.disk, &checkpoint, put).unwrap();
    let restored = Bench { keeper: copy.clone(), disk: copy, ..Bench::new() };
    let open = restored.open().unwrap().recovered.open_intents;
    assert_eq!(open.iter().map(|intent| intent.index).collect::<Vec<_>>(), [0]);
}

#[test]
fn what_is_missing_of_a_log_fails_its_copy_and_what_is_damaged_the_copy_s_verification() {
    let bench = Bench::new();
    let mut log = bench.open().unwrap();
    let patients: Vec<_> = (0..5000).map(|patient| Phi::new(format!("patient-{patient}"))).collect();
    for n in 0..300 {
        let patients = if n == 20 { patients.clone() } else { Vec::new() };
        log.append(&Record { patients, ..record(n) });
    }
    log.sequencer.sequence_once(bench.now()).unwrap();
    let checkpoint = published(&bench);
    let blob = format!("blob/{}", bench.disk.list("blob").unwrap()[0]);
    let files =
        ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44"];
    for file in files.into_iter().chain([blob.as_str()]) {
        let broken = Bench { disk: bench.disk.copy(), ..Bench::new() };
        broken.disk.remove(file).unwrap();
        let error = copied(&broken, &checkpoint).unwrap_err();
        assert!(error.to_string().contains(file), "{file}: {error}");

        let broken = Bench { disk: bench.disk.copy(), ..Bench::new() };
        broken.disk.tamper(file, |bytes| *bytes.last_mut().unwrap() ^= 1);
        let holds = copied(&broken, &checkpoint)
            .map(|copy| verify(&copy, &MemoryDisk::new(), &bench.key(), Some(checkpoint.checkpoint())));
        assert!(!matches!(holds, Ok(Ok(_))), "{file}");
    }
    // To what it is copied may fail too.
    let full = copy_log(&bench.disk, &checkpoint, &mut |_, _| Err(io::ErrorKind::StorageFull.into()));
    assert!(matches!(full, Err(CopyError::File { .. })));
    let other = Bench { seed: 8, ..Bench::new() };
    let copy = copied(&bench, &checkpoint).unwrap();
    assert!(matches!(verify(&copy, &copy, &other.key(), None), Err(VerifyError::Checkpoint(_))));
}
