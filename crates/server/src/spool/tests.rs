use chartgate_values::{FixedClock, Timestamp};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;

use super::*;

fn throttle() -> Arc<Throttle> {
    Arc::new(Throttle::new(Arc::new(FixedClock::at(Timestamp::from_unix(1000)))))
}

/// A folder of one test.
fn spools(name: &str) -> (PathBuf, Arc<Spools>) {
    let folder = std::env::temp_dir().join(format!("chartgate-spool-{}-{name}", std::process::id()));
    let spools = Spools::open(&folder, throttle()).unwrap();
    (folder, Arc::new(spools))
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|place| u8::try_from((place ^ (place >> 9)) & 0xff).unwrap()).collect()
}

#[tokio::test]
async fn what_was_spooled_comes_back_whole_and_has_no_name_meanwhile() {
    let (folder, spools) = spools("whole");
    for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 17] {
        let text = text(length);
        let spooled = spools.keep(text.clone().into()).await.unwrap();
        assert_eq!(std::fs::read_dir(folder.join("spool")).unwrap().count(), 0, "no name");
        assert!(spooled.read().unwrap() == text, "{length}");
        let body = SpooledBody::from(spooled);
        assert_eq!(body.size_hint().exact(), Some(length as u64));
        assert!(body.collect().await.unwrap().to_bytes() == text, "{length}");
    }
    // In small steps it is the same.
    let mut spool = spools.begin().unwrap();
    let text = text(2 * PIECE + 5);
    text.chunks(1000).for_each(|step| spool.write(step).unwrap());
    assert!(spool.end().unwrap().read().unwrap() == text);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn on_the_disk_it_is_sealed_and_what_was_altered_or_moved_does_not_open() {
    let (folder, spools) = spools("sealed");
    let text = vec![b'x'; 2 * PIECE];
    let mut spooled = spools.keep(text.clone().into()).await.unwrap();
    let mut raw = vec![0; 2 * (PIECE + OVERHEAD)];
    spooled.file.read_exact_at(&mut raw, 0).unwrap();
    assert!(!raw.windows(8).any(|window| window == b"xxxxxxxx"), "it can be read");
    // The second piece in the place of the first.
    spooled.file.write_all_at(&raw[PIECE + OVERHEAD..], 0).unwrap();
    assert!(spooled.read().is_err());
    spooled.file.write_all_at(&raw[..PIECE + OVERHEAD], 0).unwrap();
    assert!(spooled.read().unwrap() == text);
    spooled.file.write_all_at(&[raw[100] ^ 1], 100).unwrap();
    assert!(SpooledBody::from(spooled).collect().await.is_err());
    // Cut short, it is not taken for a shorter one.
    spooled = spools.keep(text.into()).await.unwrap();
    spooled.file.set_len(offset(1)).unwrap();
    assert!(spooled.read().is_err());
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn room_is_shared_and_given_back() {
    let (folder, spools) = spools("room");
    let most = spools.room(ROOM - IN_MEMORY).await.unwrap();
    let soon = Duration::from_millis(20);
    assert!(spools.room_within(soon, 2 * IN_MEMORY).await.is_none(), "there is none for it");
    let little = spools.room(IN_MEMORY).await;
    assert!(little.is_some());
    drop(most);
    assert!(spools.room(2 * IN_MEMORY).await.is_some());
    drop(little);
    // A route that takes longer answers than there is room for brings its own.
    assert!(spools.room_within(soon, 2 * ROOM).await.is_none());
    spools.make_room_for(2 * ROOM);
    assert!(spools.room_within(soon, 2 * ROOM).await.is_some());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_start_removes_what_a_crash_left() {
    let (folder, _) = spools("left");
    let left = folder.join("spool/half-made");
    std::fs::write(&left, "").unwrap();
    drop(Spools::open(&folder, throttle()).unwrap());
    assert!(!left.exists());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn while_the_disk_is_almost_full_nothing_is_spooled() {
    let (folder, spools) = spools("full");
    spools.throttle.reserve.look(9, 10);
    assert_eq!(spools.begin().err().map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
    spools.throttle.reserve.look(10, 10);
    assert!(spools.begin().is_ok());
    std::fs::remove_dir_all(folder).unwrap();
}
