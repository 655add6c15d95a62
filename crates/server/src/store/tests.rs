use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chartgate_access::client::{Client, ClientKind, ClientOptions};
use chartgate_access::emergency::{Disposition, Limits};
use chartgate_access::grant::authorization_code::PendingAuthorization;
use std::str::FromStr as _;

use chartgate_access::ids::{ClientId, Subject};
use chartgate_access::login::throttle::Failures;
use chartgate_access::principal::{User, UserState};
use chartgate_access::session::Session;
use chartgate_access::token::revocation::{CutOff, Target};
use chartgate_protocol::oauth::authorization_details::EmergencyReason;
use chartgate_values::Timestamp;

use super::emergency::{EmergencyUse, Review};
use super::half_sign_ins::{First, HALF_LIFE, HalfSignIn, Stage};
use super::login_failures::{PAUSES, Tried};
use super::passkeys::{Backup, StoredPasskey, Use};
use super::pending::Took;
use super::restores::Mark;
use super::second_factors::{FactorChange, FactorKind, RecoveryCount, StoredFactor, Used};
use super::used_assertions::FirstUse;
use super::users::Added;
use super::*;
use crate::registration::{NewClient, settle};

const NOW: Timestamp = Timestamp::EPOCH;

/// A store in a folder of its own, which goes with it.
pub(super) struct Scratch {
    pub(super) store: Arc<Store>,
    path: PathBuf,
}

impl Scratch {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("chartgate-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self { store: Arc::new(Store::open(&path.join("db")).unwrap()), path }
    }

    fn reopen(&mut self) {
        self.store.close();
        self.store = Arc::new(Store::open(&self.path.join("db")).unwrap());
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.store.close();
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

pub(super) fn user(name: &str) -> User {
    User {
        name: name.parse().unwrap(),
        state: UserState::Enabled,
        roles: std::iter::once("nurse".parse().unwrap()).collect(),
        fhir_user: None,
        email: None,
        created_at: NOW,
    }
}

fn write<T: Send + 'static>(
    store: &Store,
    act: impl FnOnce(&Sql<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    store.write_blocking(act)
}

#[test]
fn what_was_answered_is_there_after_a_restart() {
    let mut scratch = Scratch::new("restart");
    assert_eq!(write(&scratch.store, |sql| sql.add_user(&user("dana"))).unwrap(), Added::Yes);
    scratch.reopen();
    let found = scratch.store.read(|sql| sql.user(&"dana".parse().unwrap())).unwrap();
    assert_eq!(found, Some(user("dana")));
}

#[test]
fn a_write_that_fails_is_undone_alone() {
    let scratch = Scratch::new("savepoint");
    let failed = write(&scratch.store, |sql| {
        let _ = sql.add_user(&user("dana"))?;
        Err::<(), _>(StoreError::Closed)
    });
    assert!(matches!(failed, Err(StoreError::Closed)));
    assert_eq!(write(&scratch.store, |sql| sql.add_user(&user("nils"))).unwrap(), Added::Yes);
    let names =
        |sql: &Sql<'_>| sql.users().map(|users| users.into_iter().map(|u| u.name.to_string()).collect());
    let names: Vec<String> = scratch.store.read(names).unwrap();
    assert_eq!(names, ["nils"]);
}

/// A disk that is full in the middle of a batch: SQLite undoes all of it, and who comes next is in a transaction again.
#[test]
fn what_sqlite_undoes_by_itself_takes_nobody_along_who_comes_after_it() {
    type Act = fn(&Sql<'_>) -> Result<(), StoreError>;
    const ACTS: [Act; 3] = [
        |sql| sql.add_user(&user("ada")).map(drop),
        |sql| {
            sql.query("", "PRAGMA max_page_count = 1", &[], |_| Ok(()))?;
            sql.execute("INSERT INTO filler VALUES (zeroblob(1000000))", &[]).map(drop)
        },
        |sql| {
            sql.query("", "PRAGMA max_page_count = 1000000", &[], |_| Ok(()))?;
            sql.add_user(&user("nils")).map(drop)
        },
    ];
    let scratch = Scratch::new("undone");
    let store = &scratch.store;
    let (begun, has_begun) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let hold = move |sql: &Sql<'_>| {
        sql.execute("CREATE TABLE filler (content BLOB)", &[])?;
        begun.send(()).unwrap();
        // Until all of them wait.
        gone.recv().unwrap();
        Ok::<_, StoreError>(())
    };
    store.submit(hold, drop).unwrap();
    has_begun.recv().unwrap();
    let (answers, answered) = mpsc::channel();
    for act in ACTS {
        let answers = answers.clone();
        store.submit(act, move |answer| answers.send(answer).unwrap()).unwrap();
    }
    go.send(()).unwrap();
    let next = || answered.recv().unwrap();
    assert!(matches!(next(), Err(StoreError::Commit(_))), "what was undone is told as undone");
    assert!(matches!(next(), Err(StoreError::Database(_))));
    assert!(next().is_ok(), "and what is kept as kept");
    let names: Vec<String> = store
        .read(|sql| sql.users().map(|all| all.into_iter().map(|one| one.name.to_string()).collect()))
        .unwrap();
    assert_eq!(names, ["nils"]);
}

#[test]
fn a13_a_name_is_given_once_to_people_and_clients_alike() {
    let scratch = Scratch::new("names");
    assert_eq!(write(&scratch.store, |sql| sql.add_user(&user("dana"))).unwrap(), Added::Yes);
    assert_eq!(write(&scratch.store, |sql| sql.add_user(&user("dana"))).unwrap(), Added::NameTaken);
    let client = r#"{"client_id":"dana","kind":"public","token_endpoint_auth_method":"none","redirect_uris":[],
        "grant_types":[],"scope":"","audience":null,"roles":[],"jwks":null,"consent":"ask"}"#;
    let client = serde_json::from_str(client).unwrap();
    let added = write(&scratch.store, move |sql| sql.add_client(&client, None, NOW)).unwrap();
    assert_eq!(added, Added::NameTaken);
}

#[test]
fn of_fifty_parallel_uses_of_a_link_one_wins() {
    let scratch = Scratch::new("enrol");
    write(&scratch.store, |sql| {
        let _ = sql.add_user(&user("dana"))?;
        sql.add_enrolment("digest", &"dana".parse().unwrap(), Timestamp::from_unix(100))
    })
    .unwrap();
    let uses: Vec<_> = (0..50)
        .map(|_| {
            let store = Arc::clone(&scratch.store);
            std::thread::spawn(move || {
                write(&store, |sql| sql.use_enrolment("digest", Timestamp::from_unix(1))).unwrap()
            })
        })
        .collect();
    let winners = uses.into_iter().filter_map(|thread| thread.join().unwrap()).count();
    assert_eq!(winners, 1);
}

#[test]
fn of_fifty_uses_at_once_as_many_begin_as_may() {
    let scratch = Scratch::new("emergency");
    let uses: Vec<_> = (0..50)
        .map(|number| {
            let store = Arc::clone(&scratch.store);
            std::thread::spawn(move || {
                let limits = Limits {
                    duration: Duration::from_mins(60),
                    unreviewed: 3,
                    review_within: Duration::from_hours(1),
                };
                let id = format!("{number:032x}");
                let new = EmergencyUse {
                    id: id.parse().unwrap(),
                    subject: "dana".parse().unwrap(),
                    client_id: "app".parse().unwrap(),
                    patient: format!("p{number}").parse().unwrap(),
                    reason: EmergencyReason::Covering,
                    explanation: vec![1],
                    grant: id.parse().unwrap(),
                    session: id.parse().unwrap(),
                    began_at: Timestamp::from_unix(1),
                    until: Timestamp::from_unix(3601),
                    ended_at: None,
                    review: None,
                    told: None,
                };
                write(&store, move |sql| sql.begin_emergency(&new, &limits, &["webhook"])).unwrap()
            })
        })
        .collect();
    let begun = uses.into_iter().filter_map(|thread| thread.join().unwrap().ok()).count();
    assert_eq!(begun, 3);
    let store = &scratch.store;
    let (uses, due) = store
        .read(|sql| {
            Ok::<_, StoreError>((
                sql.emergencies(100)?,
                sql.due_emergency_notices(Timestamp::from_unix(1), 100)?,
            ))
        })
        .unwrap();
    assert_eq!((uses.len(), due.len()), (3, 3), "nobody is told of those that did not begin");

    // One review counts, of another's, and none of one's own.
    let review = |by: &str, disposition| Review {
        at: Timestamp::from_unix(9),
        by: by.parse().unwrap(),
        disposition,
        note: vec![2],
    };
    let id = uses[0].id.clone();
    let by = move |by: &str, disposition| {
        let (id, review) = (id.clone(), review(by, disposition));
        write(store, move |sql| sql.review_emergency(&id, &review)).unwrap()
    };
    assert_eq!(by("dana", Disposition::Appropriate), Took::Nothing);
    assert_eq!(by("pia", Disposition::NeedsFollowUp), Took::It);
    assert_eq!(by("pia", Disposition::Inappropriate), Took::It);
    assert_eq!(by("pia", Disposition::Appropriate), Took::Nothing);
}

#[test]
fn a_cut_off_is_kept_and_never_moves_back() {
    let mut scratch = Scratch::new("cut-offs");
    for at in [1000, 900] {
        let target = Target::Subject("dana".parse().unwrap());
        let cut = CutOff::UpTo { target, not_before: Timestamp::from_unix(at) };
        write(&scratch.store, move |sql| sql.add_cut_off(&cut, NOW)).unwrap();
    }
    scratch.reopen();
    let table = scratch.store.read(|sql| sql.cut_offs()).unwrap();
    let wait =
        table.wait_before_issuing(&[Target::Subject("dana".parse().unwrap())], Timestamp::from_unix(1000));
    assert_eq!(wait, Duration::from_secs(1));
}

#[test]
fn a_database_of_a_later_version_is_left_alone() {
    let scratch = Scratch::new("later");
    scratch.store.close();
    let path = scratch.path.join("db");
    Connection::open(&path)
        .unwrap()
        .execute("INSERT INTO schema_version (version) VALUES (1000)", [])
        .unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::TooNew { found: 1000, .. })));
}

#[test]
fn o22_a_pushed_request_ends_at_its_deadline_not_after_it() {
    let scratch = Scratch::new("pushed");
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let request: PendingAuthorization = serde_json::from_value(serde_json::json!({
        "client_id": "app", "scope": "openid", "audience": "https://g/fhir", "signed_in_since": null,
        "reply_to": { "redirect": { "redirect_uri": "https://a/cb", "state": null,
            "code_challenge": challenge, "nonce": null } },
        "ask_again": "no", "pages": "allowed", "login_hint": null, "patient": null, "consent": "not_yet",
        "created_at": NOW,
    }))
    .unwrap();
    let app: ClientId = "app".parse().unwrap();
    let push_and_take = move |at| {
        scratch.store.write_blocking::<_, StoreError, _>({
            let (request, app) = (request.clone(), app.clone());
            move |sql| {
                sql.add_pushed_request("digest", &request)?;
                sql.take_pushed_request("digest", &app, Timestamp::from_unix(at))
            }
        })
    };
    assert!(push_and_take(59).unwrap().is_some());
    assert_eq!(push_and_take(60).unwrap(), None);
}

/// A client as an administrator registers it.
fn client(id: &str) -> Client {
    let kind = ClientKind::Backend;
    let asked = NewClient {
        client_id: id.parse().unwrap(),
        kind,
        redirect_uris: Vec::new(),
        grant_types: BTreeSet::new(),
        scope: "system/*.rs".parse().unwrap(),
        audience: None,
        auth_method: None,
        jwks: None,
        roles: BTreeSet::new(),
        consent: None,
        options: ClientOptions::default(),
    };
    settle(asked).unwrap()
}

#[test]
fn whoever_heard_of_a_change_of_a_client_finds_it_however_many_others_read() {
    let scratch = Scratch::new("registered");
    let store = &scratch.store;
    let lab = client("lab");
    let id = lab.client_id.clone();
    let digest = || store.registered(&id).unwrap().and_then(|found| found.secret_digest.clone());
    assert_eq!(digest(), None);
    let added = store.write_blocking(move |sql| sql.add_client(&lab, Some("0"), NOW));
    assert!(matches!(added, Ok(Added::Yes)));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert!(digest().is_some());
                }
            });
        }
        for number in 0..300 {
            let (of, secret) = (id.clone(), number.to_string());
            store.write_blocking(move |sql| sql.set_client_secret(&of, &secret)).unwrap();
            assert_eq!(digest(), Some(number.to_string()));
        }
        done.store(true, Ordering::Relaxed);
    });
    let of = id.clone();
    store.write_blocking(move |sql| sql.remove_client(&of, NOW)).unwrap();
    assert_eq!(digest(), None);
}

#[test]
fn what_changes_nothing_of_a_client_makes_nobody_forget_others() {
    use super::client_documents::DocumentAge;

    let scratch = Scratch::new("described");
    let store = &scratch.store;
    let describe = |client: &Client, fetched_at: Timestamp| {
        let (client, age) = (client.clone(), DocumentAge { fetched_at, fresh_until: fetched_at });
        let described = store.write_blocking(move |sql| sql.describe_client(&client, age));
        assert!(matches!(described, Ok::<_, StoreError>(Added::Yes)));
    };
    let [app, other] = ["https://app.example/a", "https://app.example/b"].map(client);
    describe(&app, NOW);
    let registered = || store.registered(&app.client_id).unwrap().unwrap();
    let (before, generation) = (registered(), store.clients_generation());
    describe(&app, NOW.plus(Duration::from_secs(60)));
    assert_eq!(store.clients_generation(), generation);
    assert!(Arc::ptr_eq(&before, &registered()));
    describe(&other, NOW);
    assert_ne!(store.clients_generation(), generation);
    assert!(Arc::ptr_eq(&before, &registered()), "a new one is none of those that are remembered");
    describe(&Client { scope: "openid".parse().unwrap(), ..app.clone() }, NOW);
    assert_eq!(registered().client.scope.to_string(), "openid");
}

#[test]
fn an_export_is_its_clients_until_it_expires_and_so_many_run_at_once() {
    use chartgate_protocol::fhir::bulk::{ExportJob, ExportOf, ExportQuery, Manifest};

    use super::exports::{ExportOwner, KeptExport};

    let scratch = Scratch::new("exports");
    let owner = |client: &str| ExportOwner { route: "ehr".to_owned(), client: client.parse().unwrap() };
    let (query, request) = (ExportQuery::default(), "x".to_owned());
    let job = ExportJob { of: ExportOf::System, query, request, upstream: None, manifest: None };
    let kept = KeptExport { job, expires_at: NOW.plus(Duration::from_secs(60)) };
    let begin = |id: &'static str, client: &str, now| {
        let (owner, kept) = (owner(client), kept.clone());
        write(&scratch.store, move |sql| sql.begin_export(id, &owner, &kept, 1, now)).unwrap()
    };
    assert!(begin("1", "a", NOW));
    assert!(!begin("2", "a", NOW), "one runs");
    assert!(begin("3", "b", NOW), "another client's do not count");
    let found =
        |id, client: &str, now| scratch.store.read(|sql| sql.export(id, &owner(client), now)).unwrap();
    assert_eq!(found("1", "a", NOW), Some(kept.clone()));
    assert_eq!((found("1", "b", NOW), found("1", "a", kept.expires_at)), (None, None));
    let manifest = Manifest { transaction_time: "x".to_owned(), files: Vec::new(), failures: 0 };
    let done = KeptExport {
        job: ExportJob { manifest: Some(manifest), ..kept.job.clone() },
        expires_at: NOW.plus(Duration::from_secs(120)),
    };
    let noted = done.clone();
    write(&scratch.store, move |sql| sql.note_export("1", &noted)).unwrap();
    assert_eq!(found("1", "a", kept.expires_at), Some(done));
    assert!(begin("4", "a", NOW), "one that is complete runs no more");
    let take = |client: &str| {
        let owner = owner(client);
        write(&scratch.store, move |sql| sql.take_export("4", &owner, NOW)).unwrap()
    };
    assert!(take("b").is_none() && take("a").is_some() && take("a").is_none());
}

#[tokio::test]
async fn after_a_restore_no_assertion_is_good_that_may_have_been_used_before_it() {
    let scratch = Scratch::new("restored-assertions");
    let at = |seconds| Timestamp::from_unix(10_000).plus(std::time::Duration::from_secs(seconds));
    let use_one = |jti: &'static str, until: Timestamp| {
        scratch.store.write(move |sql| sql.use_assertion(&"app".parse().unwrap(), jti, until))
    };
    assert_eq!(use_one("a", at(200)).await.unwrap(), FirstUse::Yes);
    let mark = Mark { made_at: NOW, begun: 1, put_back: None };
    scratch.store.write(move |sql| sql.begin_anew(&mark, at(0))).await.unwrap();
    // One of these was used between the backup and the restore, and nobody here knows which.
    for (jti, until, first) in [
        ("b", at(0), FirstUse::No),
        ("c", at(360), FirstUse::No),
        ("d", at(361), FirstUse::Yes),
        ("d", at(361), FirstUse::No),
    ] {
        assert_eq!(use_one(jti, until).await.unwrap(), first, "{jti}");
    }
}

fn factor(name: &str) -> StoredFactor {
    StoredFactor {
        id: format!("{name:a<22}").parse().unwrap(),
        kind: FactorKind::Totp,
        label: "phone".to_owned(),
        secret: vec![1, 2, 3],
        last_step: 10,
        added_at: NOW,
        last_used_at: None,
    }
}

/// How many of fifty that do the same at once are the first.
async fn of_fifty(
    store: &Arc<Store>,
    act: impl Fn(&Sql<'_>) -> Result<Used, StoreError> + Clone + Send + 'static,
) -> usize {
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (store, act) = (Arc::clone(store), act.clone());
            tokio::spawn(async move { store.write(move |sql| act(sql)).await })
        })
        .collect();
    let mut came = Vec::new();
    for task in tasks {
        came.push(task.await.unwrap().unwrap());
    }
    came.iter().filter(|used| **used == Used::Now).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a04_of_fifty_parallel_uses_of_a_step_or_a_recovery_code_one_wins() {
    let scratch = Scratch::new("factors");
    let (store, dana) = (&scratch.store, Subject::from_str("dana").unwrap());
    let name = dana.clone();
    store
        .write(move |sql| {
            sql.add_factor(&name, &factor("one"))?;
            sql.set_recovery_codes(&name, &["first".to_owned(), "second".to_owned()], NOW)
        })
        .await
        .unwrap();
    let id = factor("one").id;
    let step = |step: i64, whose: &str| {
        let (whose, id) = (Subject::from_str(whose).unwrap(), id.clone());
        move |sql: &Sql<'_>| sql.use_step(&whose, &id, step, NOW)
    };
    for (number, whose, winners) in
        [(10, "dana", 0), (12, "nils", 0), (12, "dana", 1), (12, "dana", 0), (11, "dana", 0), (13, "dana", 1)]
    {
        assert_eq!(of_fifty(store, step(number, whose)).await, winners, "{number} {whose}");
    }
    let code = |whose: &str, digest: &'static str| {
        let whose = Subject::from_str(whose).unwrap();
        move |sql: &Sql<'_>| sql.use_recovery_code(&whose, digest, NOW)
    };
    for (whose, digest, winners) in
        [("nils", "first", 0), ("dana", "first", 1), ("dana", "first", 0), ("dana", "third", 0)]
    {
        assert_eq!(of_fifty(store, code(whose, digest)).await, winners, "{digest} {whose}");
    }
    let count = store.read(|sql| sql.recovery_codes(&dana)).unwrap();
    assert_eq!(count, RecoveryCount { left: 1, made: 2 });
}

#[tokio::test]
async fn a05_a_half_sign_in_is_one_browsers_ends_in_time_and_is_void_once_anything_changes() {
    let scratch = Scratch::new("halves");
    let (store, dana) = (&scratch.store, Subject::from_str("dana").unwrap());
    let begin = |digest: &'static str| {
        let half = HalfSignIn {
            subject: dana.clone(),
            first: First::Password,
            passkey: None,
            stage: Stage::Enrol(vec![1]),
        };
        store.write(move |sql| sql.add_half_sign_in(digest, "browser", &half, NOW))
    };
    let find = |digest: &str, browser: &str, now| {
        store.read(|sql| sql.half_sign_in(digest, browser, now)).unwrap().map(|half| half.subject)
    };
    begin("a").await.unwrap();
    let over = NOW.plus(HALF_LIFE);
    assert_eq!(find("a", "browser", over.minus(Duration::from_secs(1))), Some(dana.clone()));
    assert_eq!(find("a", "browser", over), None);
    assert_eq!(find("a", "other", NOW), None);
    assert_eq!(store.write(move |sql| sql.take_half_sign_in("a", over)).await.unwrap(), None);
    assert_eq!(store.write(|sql| sql.take_half_sign_in("a", NOW)).await.unwrap(), Some(dana.clone()));
    assert_eq!(store.write(|sql| sql.take_half_sign_in("a", NOW)).await.unwrap(), None);
    for void in [
        |sql: &Sql<'_>, of: &Subject| sql.end_all_sessions(of, NOW),
        |sql: &Sql<'_>, of: &Subject| sql.reset_factors(of, FactorChange::Reset, NOW).map(drop),
        |sql: &Sql<'_>, of: &Subject| sql.void_half_sign_ins(of),
    ] {
        begin("b").await.unwrap();
        let of = dana.clone();
        store.write(move |sql| void(sql, &of)).await.unwrap();
        assert_eq!(find("b", "browser", NOW), None);
    }
}

#[tokio::test]
async fn a_try_that_was_no_failure_is_taken_back_and_those_of_others_stay() {
    let scratch = Scratch::new("taken-back");
    let store = &scratch.store;
    let at = |seconds| NOW.plus(Duration::from_secs(seconds));
    let left = store
        .write(move |sql| {
            let mut left = Vec::new();
            let first = Tried { before: sql.begin_login("name", at(0))?.last, at: at(0) };
            sql.take_back_login("name", first)?;
            left.push(sql.login_failures("name")?);
            sql.begin_login("name", at(1))?;
            let second = Tried { before: sql.begin_login("name", at(2))?.last, at: at(2) };
            sql.take_back_login("name", second)?;
            left.push(sql.login_failures("name")?);
            let third = Tried { before: sql.begin_login("name", at(3))?.last, at: at(3) };
            sql.begin_login("name", at(4))?;
            sql.take_back_login("name", third)?;
            left.push(sql.login_failures("name")?);
            Ok::<_, StoreError>(left)
        })
        .await
        .unwrap();
    let failures = |count, seconds| Failures { count, last: Some(at(seconds)) };
    assert_eq!(left, [Failures::default(), failures(1, 1), failures(2, 4)]);
}

#[test]
fn many_failures_of_nobody_are_forgotten_in_time_and_those_of_a_person_are_not() {
    let scratch = Scratch::new("nobodys-failures");
    let day = Duration::from_secs(24 * 3600);
    let at = move |days: u32| NOW.plus(day * days);
    let left = write(&scratch.store, move |sql| {
        let _ = sql.add_user(&user("dana"))?;
        let device = format!("{PAUSES}codes of dana");
        for name in ["counts dana", "counts dana after a link", "counts a mistyped password", &device] {
            (0..60).try_for_each(|_| sql.add_login_failure(name, NOW))?;
        }
        let left = |now: Timestamp| {
            sql.tidy(day, now)?;
            let counted = |of: &Subject| [format!("counts {of}"), format!("counts {of} after a link")];
            sql.forget_failures_of_nobody(counted, now)?;
            let text = "SELECT name FROM login_failures ORDER BY name";
            sql.query("login_failures", text, &[], |row| row.get::<String>("name"))
        };
        Ok([left(at(1))?, left(at(2))?, left(at(90))?, left(at(365))?])
    })
    .unwrap();
    let names =
        ["counts a mistyped password", "counts dana", "counts dana after a link", "pauses codes of dana"];
    assert_eq!(left, [&names[..], &names[..3], &names[..3], &names[1..3]].map(|names| names.to_vec()));
}

#[tokio::test]
async fn recovery_codes_go_with_the_last_factor_and_a_stranger_removes_nothing() {
    let scratch = Scratch::new("removal");
    let (store, dana) = (&scratch.store, Subject::from_str("dana").unwrap());
    let name = dana.clone();
    let changes = store
        .write(move |sql| {
            let (one, two) = (factor("one"), factor("two"));
            sql.add_factor(&name, &one)?;
            sql.add_factor(&name, &two)?;
            sql.set_recovery_codes(&name, &["first".to_owned()], NOW)?;
            assert_eq!(sql.remove_factor(&Subject::from_str("nils").unwrap(), &one.id, NOW)?, Used::Before);
            assert_eq!(sql.remove_factor(&name, &one.id, NOW)?, Used::Now);
            assert_eq!(sql.remove_factor(&name, &one.id, NOW)?, Used::Before);
            assert_eq!(sql.recovery_codes(&name)?.left, 1);
            assert_eq!(sql.remove_factor(&name, &two.id, NOW)?, Used::Now);
            assert_eq!(sql.recovery_codes(&name)?, RecoveryCount::default());
            sql.factor_changes(&name, NOW)
        })
        .await
        .unwrap();
    let told: Vec<FactorChange> = changes.into_iter().map(|(_, change)| change).collect();
    use FactorChange::{Added, RecoveryCodesMade, Removed};
    assert_eq!(told, [Added, Added, RecoveryCodesMade, Removed, Removed]);
}

#[tokio::test]
async fn a04_after_a_restore_no_code_is_good_that_may_have_been_used_before_it() {
    let scratch = Scratch::new("restored-factors");
    let (store, dana) = (&scratch.store, Subject::from_str("dana").unwrap());
    // In step 100, of which the next one's code is good already.
    let at = Timestamp::from_unix(3029);
    let mark = Mark { made_at: NOW, begun: 1, put_back: None };
    let name = dana.clone();
    let used = store
        .write(move |sql| {
            sql.add_factor(&name, &factor("one"))?;
            sql.set_recovery_codes(&name, &["first".to_owned()], NOW)?;
            let half = HalfSignIn {
                subject: name.clone(),
                first: First::Password,
                passkey: None,
                stage: Stage::Prove,
            };
            sql.add_half_sign_in("a", "browser", &half, at)?;
            sql.begin_anew(&mark, at)?;
            assert!(sql.half_sign_in("a", "browser", at)?.is_none());
            let id = factor("one").id;
            Ok::<_, StoreError>([
                sql.use_recovery_code(&name, "first", at)?,
                sql.use_step(&name, &id, 101, at)?,
                sql.use_step(&name, &id, 102, at)?,
            ])
        })
        .await
        .unwrap();
    assert_eq!(used, [Used::Before, Used::Before, Used::Now]);
    assert_eq!(store.read(|sql| sql.recovery_codes(&dana)).unwrap(), RecoveryCount { left: 0, made: 1 });
}

fn passkey(of: &str, sign_count: u32) -> StoredPasskey {
    StoredPasskey {
        id: format!("{of:a<22}").parse().unwrap(),
        of: of.parse().unwrap(),
        credential_id: of.as_bytes().to_vec(),
        label: "laptop".to_owned(),
        public_key: vec![1, 2, 3],
        sign_count,
        attested: None,
        backup: Backup::DeviceBound,
        transports: vec!["usb".to_owned()],
        added_at: NOW,
        last_used_at: None,
        suspected_at: None,
    }
}

#[tokio::test]
async fn a08_a_counter_and_a_challenge_are_used_by_one_of_many() {
    let scratch = Scratch::new("passkeys");
    let (store, one) = (&scratch.store, passkey("dana", 7));
    let (added, id, dana) = (one.clone(), one.id.clone(), one.of.clone());
    let again = StoredPasskey { of: "bea".parse().unwrap(), id: passkey("bea", 0).id, ..one.clone() };
    let came =
        store.write(move |sql| Ok::<_, StoreError>([sql.add_passkey(&added)?, sql.add_passkey(&again)?]));
    assert_eq!(
        came.await.unwrap(),
        [passkeys::Added::Now, passkeys::Added::Before],
        "what is somebody's is nobody else's"
    );
    assert_eq!(store.read(|sql| sql.passkey(b"dana")).unwrap(), Some(one));
    let by = |sign_count| Use { sign_count, backup: Backup::DeviceBound, at: NOW };
    let (name, own) = (dana.clone(), id.clone());
    assert_eq!(of_fifty(store, move |sql| sql.use_passkey(&own, &name, by(8))).await, 1);
    let until = NOW.plus(std::time::Duration::from_secs(600));
    assert_eq!(of_fifty(store, move |sql| sql.use_challenge("digest", until)).await, 1);
    let used = store.write(move |sql| {
        let used =
            [sql.use_passkey(&id, &dana, by(7))?, sql.use_passkey(&id, &"bea".parse().unwrap(), by(9))?];
        let suspected = [sql.suspect_passkey(&id, &dana, NOW)?, sql.suspect_passkey(&id, &dana, NOW)?];
        Ok::<_, StoreError>((used, suspected, sql.use_passkey(&id, &dana, by(9))?))
    });
    let (used, suspected, after) = used.await.unwrap();
    assert_eq!((used, suspected), ([Used::Before, Used::Before], [Used::Now, Used::Before]));
    assert_eq!(after, Used::Before, "it is out of use");
}

#[tokio::test]
async fn a08_after_a_restore_passkeys_are_good_and_challenges_from_before_it_are_not() {
    let scratch = Scratch::new("restored-passkeys");
    let at = |seconds| Timestamp::from_unix(10_000).plus(std::time::Duration::from_secs(seconds));
    let mark = Mark { made_at: NOW, begun: 1, put_back: None };
    let used = scratch.store.write(move |sql| {
        let one = passkey("dana", 0);
        let _ = sql.add_passkey(&one)?;
        sql.begin_anew(&mark, at(0))?;
        let by = Use { sign_count: 0, backup: Backup::DeviceBound, at: at(1) };
        Ok::<_, StoreError>([
            sql.use_challenge("a", at(600))?,
            sql.use_challenge("b", at(601))?,
            sql.use_passkey(&one.id, &one.of, by)?,
        ])
    });
    assert_eq!(used.await.unwrap(), [Used::Before, Used::Now, Used::Now]);
}

#[tokio::test]
async fn a_password_that_was_set_meanwhile_is_not_replaced_by_another_hash_of_the_one_before() {
    let scratch = Scratch::new("hashes");
    let seen = scratch.store.write(|sql| {
        let dana = user("dana");
        let _ = sql.add_user(&dana)?;
        let replace = |old: &str, new: &str| sql.replace_password_hash(&dana.name, old, new);
        sql.set_password_hash(&dana.name, Some("old by one cost"))?;
        let anew = replace("old by one cost", "old by another")?;
        sql.set_password_hash(&dana.name, Some("new"))?;
        let late = replace("old by another", "old once more")?;
        Ok::<_, StoreError>((anew, late, sql.password_hash(&dana.name)?))
    });
    assert_eq!(seen.await.unwrap(), (Took::It, Took::Nothing, Some("new".to_owned())));
}

#[test]
fn a_grant_stays_while_it_has_a_refresh_token_that_was_not_used() {
    let scratch = Scratch::new("tidy-grants");
    let week = Duration::from_secs(7 * 24 * 3600);
    let (later, expires) = (NOW.plus(week + week), NOW.plus(week + week + week));
    let grants =
        |sql: &Sql<'_>| sql.query("grants", "SELECT id FROM grants ORDER BY id", &[], |row| row.get("id"));
    write(&scratch.store, move |sql| {
        for (grant, used_at) in [("in-use", None), ("used-up", Some(NOW))] {
            let text = "INSERT INTO grants (id, client_id, subject, content, created_at) VALUES (?1, 'app', 'dana', '{}', ?2)";
            sql.execute(text, &[grant.into(), NOW.into()])?;
            let text = "INSERT INTO refresh_tokens (digest, grant_id, client_id, expires_at, consumed_at, access_token, \
                        access_expires_at) VALUES (?1, ?1, 'app', ?2, ?3, 'a', ?2)";
            sql.execute(text, &[grant.into(), expires.into(), used_at.into()])?;
        }
        sql.tidy(week, later)
    })
    .unwrap();
    let left: Vec<String> = scratch.store.read(grants).unwrap();
    assert_eq!(left, ["in-use"]);
}

/// Sessions may go on for longer than what is over is kept.
#[test]
fn whoever_got_an_id_token_weeks_before_its_session_ends_is_told_of_that() {
    let scratch = Scratch::new("tidy-told");
    let day = Duration::from_secs(24 * 3600);
    let session = Session {
        id: "s".repeat(22).parse().unwrap(),
        subject: "dana".parse().unwrap(),
        auth_time: NOW,
        last_seen: NOW,
        ended_at: None,
        amr: Vec::new(),
        agent: None,
        elsewhere: None,
    };
    let id = session.id.clone();
    let told = write(&scratch.store, move |sql| {
        let _ = sql.add_user(&user("dana"))?;
        let mut portal = client("portal");
        portal.options.backchannel_logout_uri = "https://portal.example/logout".parse().ok();
        let _ = sql.add_client(&portal, None, NOW)?;
        sql.add_session(&session, "cookie")?;
        for (id, scope) in [("g", "launch openid user/*.rs"), ("h", "user/*.rs")] {
            let grant = serde_json::json!({
                "id": id.repeat(22), "client_id": "portal", "subject": "dana", "session": session.id, "scope": scope,
                "audience": "https://gate.example/fhir", "patient": null, "nonce": null, "auth_time": NOW, "amr": [],
            });
            sql.add_grant(&serde_json::from_value(grant).unwrap(), NOW)?;
        }
        let grants = || sql.query("grants", "SELECT id FROM grants", &[], |row| row.get::<String>("id"));
        sql.tidy(day * 30, NOW.plus(day * 20))?;
        // Of what gave no ID token nobody is told anything.
        assert_eq!(grants()?, ["g".repeat(22)]);
        sql.end_session(&session.id, NOW.plus(day * 20))?;
        let due = sql.due_logout_notices(NOW.plus(day * 20), 10)?;
        // With its session it is over, and goes with it.
        sql.tidy(day * 30, NOW.plus(day * 28))?;
        assert_eq!(grants()?, Vec::<String>::new());
        Ok(due)
    })
    .unwrap();
    let told: Vec<_> = told.into_iter().map(|one| (one.client_id.to_string(), one.session)).collect();
    assert_eq!(told, [("portal".to_owned(), id)]);
}
