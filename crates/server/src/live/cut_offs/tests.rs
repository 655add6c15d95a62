use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

/// A clock that shows another second each time, and ends the store the second time.
struct Hastening {
    store: Arc<Store>,
    shown: AtomicI64,
}

impl Clock for Hastening {
    fn now(&self) -> Timestamp {
        let shown = self.shown.fetch_add(1, Ordering::SeqCst);
        if shown == 1 {
            self.store.close();
        }
        Timestamp::from_unix(1_800_000_000_i64.saturating_add(shown))
    }
}

/// What was committed is done, whether or not it can be written once more for a second that began meanwhile.
#[tokio::test]
async fn an_act_that_is_committed_and_in_force_is_not_told_as_one_that_is_not() {
    let folder = std::env::temp_dir().join(format!("chartgate-unkept-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let store = Arc::new(Store::open(&folder.join("db")).unwrap());
    let clock = Hastening { store: Arc::clone(&store), shown: AtomicI64::new(0) };
    let cut_offs = LiveCutOffs::load(store, Arc::new(clock)).unwrap();
    let target = Target::Subject("dana".parse().unwrap());
    let of = target.clone();
    let act = move |_: &Sql<'_>, now| Ok((7, vec![CutOff::UpTo { target: of, not_before: now }]));
    assert_eq!(cut_offs.cut::<_, StoreError, _>(act).await.unwrap(), 7);
    let in_force = [CutOff::UpTo { target, not_before: Timestamp::from_unix(1_800_000_001) }];
    assert_eq!(cut_offs.news(None).cut_offs, in_force);
    for _ in 0..2 {
        assert!(cut_offs.forget().await.is_err(), "it is tried again");
        assert_eq!(*cut_offs.unkept(), in_force);
    }
    std::fs::remove_dir_all(folder).unwrap();
}
