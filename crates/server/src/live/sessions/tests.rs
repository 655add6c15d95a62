use chartgate_access::principal::{User, UserState};
use chartgate_values::{FixedClock, SeededEntropy};

use super::*;

const BEGUN: Timestamp = Timestamp::EPOCH;

/// A session of somebody, in a store that has both.
fn begin(store: &Store) -> SessionId {
    let user = User {
        name: "dana".parse().unwrap(),
        state: UserState::Enabled,
        roles: std::iter::once("nurse".parse().unwrap()).collect(),
        fhir_user: None,
        email: None,
        created_at: BEGUN,
    };
    let id = SessionId::random(&mut SeededEntropy::new(1));
    let session = Session {
        id: id.clone(),
        subject: user.name.clone(),
        auth_time: BEGUN,
        last_seen: BEGUN,
        ended_at: None,
        amr: vec!["pwd".to_owned()],
        agent: None,
        elsewhere: None,
    };
    let added = store.write_blocking(move |sql| {
        let _ = sql.add_user(&user)?;
        sql.add_session(&session, "digest")
    });
    added.map_err(|error: StoreError| error).unwrap();
    id
}

#[test]
fn a_busy_session_ends_at_its_absolute_limit_whatever_the_store_says_later() {
    let path = std::env::temp_dir().join(format!("chartgate-sessions-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    let store = Arc::new(Store::open(&path.join("db")).unwrap());
    let id = begin(&store);
    let clock = Arc::new(FixedClock::at(BEGUN));
    let minutes = |count: u64| Duration::from_secs(count.saturating_mul(60));
    let limits = Limits { idle: minutes(10), absolute: minutes(30) };
    let timeouts = Timeouts { one_factor: limits, two_factors: limits, phishing_resistant: limits };
    let sessions = LiveSessions::new(Arc::clone(&store), clock.clone(), timeouts);
    for _ in 0..29 {
        clock.advance(minutes(1));
        assert_eq!(sessions.used(&id), Ok(()));
    }
    clock.advance(Duration::from_secs(59));
    assert_eq!((sessions.used(&id), sessions.look(&id)), (Ok(()), Ok(())));
    clock.advance(Duration::from_secs(1));
    assert_eq!((sessions.used(&id), sessions.look(&id)), (Err(SessionIsOver), Err(SessionIsOver)));
    drop(sessions);
    store.close();
    let _ = std::fs::remove_dir_all(&path);
}
