use std::str::FromStr as _;
use std::time::Duration;

use super::super::restores::Mark;
use super::super::second_factors::FactorChange;
use super::super::tests::Scratch;
use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn begun() -> Timestamp {
    Timestamp::from_unix(1_000_000_000)
}

fn name(text: &str) -> Subject {
    Subject::from_str(text).unwrap()
}

fn session(letter: char) -> SessionId {
    letter.to_string().repeat(22).parse().unwrap()
}

fn browser(number: usize, seen_at: Timestamp) -> KnownBrowser {
    KnownBrowser {
        id: format!("{number:0>22}").parse().unwrap(),
        agent: Some("Firefox on Linux".to_owned()),
        since: seen_at,
        seen_at,
    }
}

/// Dana, seen in a browser of this digest.
async fn seen(scratch: &Scratch, digest: &'static str, number: usize, at: Timestamp) -> Before {
    let see =
        move |sql: &Sql<'_>| sql.see_browser(&name("dana"), (digest, &session('s')), &browser(number, at));
    scratch.store.write(see).await.unwrap()
}

fn shown(scratch: &Scratch, of: &str, now: Timestamp) -> Vec<BrowserId> {
    let known = scratch.store.read(|sql| sql.known_browsers(&name(of), now)).unwrap();
    known.into_iter().map(|one| one.id).collect()
}

#[tokio::test]
async fn a_browser_is_one_persons_and_keeps_its_name_when_it_is_seen_again() {
    let scratch = Scratch::new("known-browser");
    assert_eq!(seen(&scratch, "a", 1, begun()).await, Before::Unknown);
    let later = begun().plus(DAY);
    assert_eq!(seen(&scratch, "a", 2, later).await, Before::Known);
    let known = scratch.store.read(|sql| sql.known_browsers(&name("dana"), later)).unwrap();
    assert_eq!(known, [KnownBrowser { seen_at: later, ..browser(1, begun()) }]);
    assert!(shown(&scratch, "nils", later).is_empty());
    let seen_at =
        |of: &str, digest: &str| scratch.store.read(|sql| sql.browser_seen_at(&name(of), digest)).unwrap();
    assert_eq!(seen_at("dana", "a"), Some(later));
    assert_eq!((seen_at("nils", "a"), seen_at("dana", "b")), (None, None));
    let id = browser(1, later).id;
    let forget = |of: &'static str| {
        let id = id.clone();
        scratch.store.write(move |sql| sql.forget_browser(&name(of), &id))
    };
    assert_eq!(forget("nils").await.unwrap(), Used::Before, "nobody forgets another's");
    assert_eq!(forget("dana").await.unwrap(), Used::Now);
    assert_eq!(seen_at("dana", "a"), None);
}

#[tokio::test]
async fn what_was_not_seen_for_ninety_days_is_not_known_and_is_forgotten() {
    let scratch = Scratch::new("known-long-ago");
    let desk: ClientId = "desk".parse().unwrap();
    seen(&scratch, "a", 1, begun()).await;
    let used = desk.clone();
    scratch.store.write(move |sql| sql.use_client(&name("dana"), &used, begun())).await.unwrap();
    let over = begun().plus(KNOWN_FOR);
    let before = over.minus(Duration::from_secs(1));
    let kept = |now: Timestamp| {
        let desk = desk.clone();
        scratch.store.write(move |sql| {
            sql.tidy(DAY, now)?;
            let browser = sql.browser_seen_at(&name("dana"), "a")?;
            Ok::<_, StoreError>((browser, sql.client_used_at(&name("dana"), &desk)?))
        })
    };
    assert_eq!(kept(before).await.unwrap(), (Some(begun()), Some(begun())));
    assert_eq!(shown(&scratch, "dana", before).len(), 1);
    assert!(shown(&scratch, "dana", over).is_empty(), "before it is tidied up, too");
    assert_eq!(seen(&scratch, "a", 2, over).await, Before::Unknown);
    assert_eq!(kept(over).await.unwrap(), (Some(over), None));
    assert_eq!(kept(over.plus(KNOWN_FOR)).await.unwrap(), (None, None));
}

#[tokio::test]
async fn fifty_browsers_are_known_and_the_one_seen_least_lately_gives_way() {
    let scratch = Scratch::new("known-most");
    let digests: Vec<String> = (0..51).map(|number| format!("digest-{number}")).collect();
    let all = digests.clone();
    scratch
        .store
        .write(move |sql| {
            for (number, digest) in all.iter().enumerate() {
                let at = begun().plus(Duration::from_secs(u64::try_from(number).unwrap()));
                sql.see_browser(&name("dana"), (digest, &session('s')), &browser(number, at))?;
            }
            sql.see_browser(&name("nils"), ("digest-0", &session('s')), &browser(99, begun()))
        })
        .await
        .unwrap();
    let now = begun().plus(DAY);
    assert_eq!(shown(&scratch, "dana", now).len(), 50);
    let seen_at = |of: &str| scratch.store.read(|sql| sql.browser_seen_at(&name(of), "digest-0")).unwrap();
    assert_eq!(seen_at("dana"), None, "the first was seen least lately");
    assert!(seen_at("nils").is_some(), "each has their own fifty");
}

#[tokio::test]
async fn o20_whatever_shuts_somebody_out_forgets_the_browsers_that_they_were_seen_in() {
    let scratch = Scratch::new("known-shut-out");
    let mark = Mark { made_at: begun(), begun: 1, put_back: None };
    type Shuts = Box<dyn FnOnce(&Sql<'_>) -> Result<(), StoreError> + Send>;
    let all: [(&str, Shuts); 4] = [
        ("all sessions end", Box::new(|sql: &Sql<'_>| sql.end_all_sessions(&name("dana"), begun()))),
        (
            "factors are reset",
            Box::new(|sql: &Sql<'_>| {
                sql.reset_factors(&name("dana"), FactorChange::Reset, begun()).map(drop)
            }),
        ),
        ("its session ends", Box::new(|sql: &Sql<'_>| sql.forget_browser_of(&name("dana"), &session('s')))),
        ("a restore", Box::new(move |sql: &Sql<'_>| sql.begin_anew(&mark, begun()).map(drop))),
    ];
    for (what, shut_out) in all {
        seen(&scratch, "a", 1, begun()).await;
        scratch.store.write(shut_out).await.unwrap();
        assert!(shown(&scratch, "dana", begun()).is_empty(), "{what}");
    }
    // A later session in the same browser is the one whose end forgets it.
    seen(&scratch, "a", 1, begun()).await;
    seen(&scratch, "b", 2, begun()).await;
    let of = |which: char| {
        scratch.store.write(move |sql| {
            sql.follow_browser(&name("dana"), "a", &session('t'))?;
            sql.forget_browser_of(&name("dana"), &session(which))
        })
    };
    of('s').await.unwrap();
    assert_eq!(shown(&scratch, "dana", begun()), [browser(1, begun()).id]);
    of('t').await.unwrap();
    assert!(shown(&scratch, "dana", begun()).is_empty());
    seen(&scratch, "a", 1, begun()).await;
    seen(&scratch, "b", 2, begun()).await;
    let forgotten = scratch.store.write(|sql| sql.forget_other_browsers(&name("dana"), Some("b"))).await;
    assert_eq!(forgotten.map_err(|e: StoreError| e).unwrap(), [browser(1, begun()).id]);
    assert_eq!(shown(&scratch, "dana", begun()), [browser(2, begun()).id]);
}

#[tokio::test]
async fn an_application_that_its_person_disconnects_is_not_known_any_more() {
    let scratch = Scratch::new("known-client");
    let used = scratch
        .store
        .write(|sql| {
            let desk: ClientId = "desk".parse().unwrap();
            sql.use_client(&name("dana"), &desk, begun())?;
            let before = sql.client_used_at(&name("dana"), &desk)?;
            let others = sql.client_used_at(&name("nils"), &desk)?;
            let _ = sql.disconnect(&name("dana"), &desk, begun())?;
            Ok::<_, StoreError>((before, others, sql.client_used_at(&name("dana"), &desk)?))
        })
        .await
        .unwrap();
    assert_eq!(used, (Some(begun()), None, None));
}
