use std::sync::Arc;

use chartgate_access::grant::Grant;
use chartgate_access::ids::GrantId;
use chartgate_access::session::{AuthTime, Elsewhere, Session};
use chartgate_protocol::jose::logout_token::SignedOutOf;
use serde_json::json;

use super::super::half_sign_ins::{First, HalfSignIn, Stage, There};
use super::super::restores::Mark;
use super::super::tests::Scratch;
use super::*;

const CLINIC: &str = "https://login.clinic.example";
const CAMPUS: &str = "https://login.campus.example";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds.saturating_add(10_000))
}

fn session(id: char, name: &str, issuer: Option<&str>, amr: &[&str]) -> Session {
    Session {
        id: id.to_string().repeat(22).parse().unwrap(),
        subject: name.parse().unwrap(),
        auth_time: at(0),
        last_seen: at(0),
        ended_at: None,
        amr: amr.iter().map(ToString::to_string).collect(),
        agent: None,
        elsewhere: issuer.map(|issuer| Elsewhere { issuer: issuer.to_owned(), auth_time: AuthTime::Said }),
    }
}

/// What the ids here are told apart by.
fn first_of(id: &str) -> char {
    id.chars().next().unwrap()
}

fn there(sid: Option<&str>, asked_at: i64) -> SessionThere {
    SessionThere { sid: sid.map(str::to_owned), asked_at: at(asked_at), id_token: Some(vec![1, 2, 3]) }
}

fn out(jti: &str, sid: Option<&str>, sub: Option<&str>) -> SignedOutThere {
    let name = |text: &str| text.parse::<Identifier>().unwrap();
    let sub = sub.map(name);
    let of = match sid {
        Some(sid) => SignedOutOf::Session(name(sid), sub),
        None => SignedOutOf::Everything(sub.unwrap()),
    };
    SignedOutThere { jti: name(jti), issued_at: at(10), of }
}

/// Dana (`d-1` at both providers) with three sessions from the clinic and one from the campus, Nils (`n-1`) with one, and one of
/// Dana's that began here.
fn people(scratch: &Scratch) {
    let kept = scratch.store.write_blocking(|sql| {
        for name in ["dana", "nils", "omar"] {
            let _ = sql.add_user(&super::super::tests::user(name))?;
        }
        for (issuer, subject, user) in
            [(CLINIC, "d-1", "dana"), (CAMPUS, "d-1", "dana"), (CLINIC, "n-1", "nils")]
        {
            let _ = sql.link_provider((issuer, subject), &user.parse().unwrap(), at(0))?;
        }
        for (id, name, issuer, sid) in [
            ('a', "dana", Some(CLINIC), Some("s-a")),
            ('b', "dana", Some(CLINIC), Some("s-b")),
            ('c', "dana", Some(CLINIC), None),
            ('d', "dana", Some(CAMPUS), Some("s-a")),
            ('e', "nils", Some(CLINIC), Some("s-e")),
            ('f', "dana", None, None),
        ] {
            let amr: &[&str] = if issuer.is_some() { &[] } else { &["pwd"] };
            let session = session(id, name, issuer, amr);
            sql.add_session(&session, &format!("cookie {id}"))?;
            if issuer.is_some() {
                sql.note_session_there(&session.id, &there(sid, 0))?;
            }
        }
        Ok::<_, StoreError>(())
    });
    kept.unwrap();
}

#[test]
fn a10_a_sign_out_elsewhere_ends_what_began_with_that_and_nothing_else() {
    let scratch = Scratch::new("signed-out-there");
    people(&scratch);
    for (sid, sub, ended) in [
        (Some("s-a"), None, "a"),
        // One that has no name there may be the one that is meant.
        (Some("s-a"), Some("d-1"), "ac"),
        (None, Some("d-1"), "abc"),
        (None, Some("n-1"), "e"),
        (Some("s-x"), None, ""),
        (Some("s-x"), Some("x"), ""),
        (None, Some("x"), ""),
        (None, Some("dana"), ""),
    ] {
        let about = out("j", sid, sub);
        let found = scratch.store.read(|sql| sql.sessions_signed_out_there(CLINIC, &about)).unwrap();
        let mut found: Vec<_> = found.iter().map(|(id, _)| first_of(id.as_str())).collect();
        found.sort_unstable();
        assert_eq!(found.into_iter().collect::<String>(), ended, "{sid:?} {sub:?}");
    }
    let ids: Vec<SessionId> = ['a', 'f'].map(|id| id.to_string().repeat(22).parse().unwrap()).into();
    let token = |id: &SessionId| scratch.store.read(|sql| sql.provider_id_token(id)).unwrap();
    assert_eq!((token(&ids[0]), token(&ids[1])), (Some(vec![1, 2, 3]), None));
    let ending = ids[0].clone();
    scratch.store.write_blocking(move |sql| sql.end_session(&ending, at(20))).unwrap();
    let kept: Option<Vec<u8>> = scratch
        .store
        .read(|sql| {
            let text = "SELECT provider_id_token AS kept FROM sessions WHERE id = ?1";
            sql.first("sessions", text, &[ids[0].as_str().into()], |row| row.get("kept"))
        })
        .unwrap()
        .flatten();
    assert_eq!(kept, None, "a session that has ended keeps nothing to sign out with");
    let about = out("j", Some("s-a"), None);
    assert_eq!(scratch.store.read(|sql| sql.sessions_signed_out_there(CLINIC, &about)).unwrap(), []);
}

#[test]
fn o33_of_fifty_parallel_uses_of_a_logout_token_one_wins() {
    let scratch = Scratch::new("logout-tokens");
    let use_one = |store: &super::super::Store, issuer: &'static str| {
        store.write_blocking(move |sql| sql.use_logout_token(issuer, &out("j", Some("s"), None), at(20)))
    };
    let uses: Vec<_> = (0..50)
        .map(|_| {
            let store = Arc::clone(&scratch.store);
            std::thread::spawn(move || use_one(&store, CLINIC).unwrap())
        })
        .collect();
    let won = uses.into_iter().map(|thread| thread.join().unwrap());
    assert_eq!(won.filter(|first| *first == FirstUse::Yes).count(), 1);
    assert_eq!(use_one(&scratch.store, CAMPUS).unwrap(), FirstUse::Yes, "names are each provider's own");
    // It is remembered for as long as it could come again.
    let last = out("j", Some("s"), None).issued_at.plus(LONGEST_AGE);
    scratch.store.write_blocking(move |sql| sql.tidy(Duration::ZERO, last)).unwrap();
    assert_eq!(use_one(&scratch.store, CLINIC).unwrap(), FirstUse::No);
    let mark = Mark { made_at: Timestamp::EPOCH, begun: 1, put_back: None };
    scratch.store.write_blocking(move |sql| sql.begin_anew(&mark, at(10))).unwrap();
    for (issued_at, first) in [(10, FirstUse::No), (11, FirstUse::Yes)] {
        let about = SignedOutThere { issued_at: at(issued_at), ..out("k", Some("s"), None) };
        let used = scratch.store.write_blocking(move |sql| sql.use_logout_token(CLINIC, &about, at(20)));
        assert_eq!(used.unwrap(), first, "after a restore nobody knows which came before it");
    }
}

#[test]
fn a10_what_was_signed_out_of_elsewhere_begins_nothing_here_any_more() {
    let scratch = Scratch::new("signed-out-since");
    people(&scratch);
    let signed_out = |name: &str, there: &SessionThere, signed_in_at: Option<Timestamp>| {
        let name = name.parse().unwrap();
        let there = (there, signed_in_at);
        scratch.store.read(|sql| sql.is_signed_out_there(CLINIC, &name, there)).unwrap()
    };
    let is_out = |name: &str, there: &SessionThere| signed_out(name, there, None);
    let tell = |about: SignedOutThere| {
        let used = scratch.store.write_blocking(move |sql| sql.use_logout_token(CLINIC, &about, at(10)));
        assert_eq!(used.unwrap(), FirstUse::Yes);
    };
    assert!(!is_out("dana", &there(Some("s-a"), 0)));
    tell(out("j", Some("s-a"), Some("d-1")));
    for (sid, asked_at, expected) in [
        (Some("s-a"), 0, true),
        (Some("s-a"), 10, true),
        // Asked for later: the name was given again.
        (Some("s-a"), 11, false),
        (Some("s-b"), 0, false),
        (None, 0, true),
        (None, 10, true),
        (None, 11, false),
    ] {
        assert_eq!(is_out("dana", &there(sid, asked_at)), expected, "{sid:?} {asked_at}");
    }
    // Whenever it was asked for, what counts of a session that has a name is when it began there, where that was said.
    for (signed_in_at, expected) in [(9, true), (10, true), (11, false)] {
        let found = signed_out("dana", &there(Some("s-a"), 100), Some(at(signed_in_at)));
        assert_eq!(found, expected, "{signed_in_at}");
    }
    assert!(!is_out("nils", &there(None, 0)) && !is_out("nils", &there(Some("s-e"), 0)));
    tell(out("k", None, Some("n-1")));
    for (sid, asked_at, expected) in [(Some("s-e"), 10, true), (Some("s-e"), 11, false), (None, 10, true)] {
        assert_eq!(is_out("nils", &there(sid, asked_at)), expected, "{sid:?} {asked_at}");
    }
}

#[test]
fn a_half_sign_in_keeps_what_it_began_with_elsewhere() {
    let scratch = Scratch::new("half-elsewhere");
    for (digest, session) in
        [("a", there(Some("s"), 5)), ("b", SessionThere { id_token: None, ..there(None, 6) })]
    {
        let first = First::Elsewhere(There {
            provider: "clinic".to_owned(),
            issuer: CLINIC.to_owned(),
            auth_time: at(1),
            told: AuthTime::Presumed,
            session,
        });
        let half = HalfSignIn {
            subject: "dana".parse().unwrap(),
            first: first.clone(),
            passkey: None,
            stage: Stage::Prove,
        };
        scratch
            .store
            .write_blocking(move |sql| sql.add_half_sign_in(digest, "browser", &half, at(7)))
            .unwrap();
        let found = scratch.store.read(|sql| sql.half_sign_in(digest, "browser", at(8))).unwrap().unwrap();
        assert_eq!(found.first, first);
    }
}

#[test]
fn a_browser_comes_back_from_signing_out_once_and_is_the_one_that_left() {
    let scratch = Scratch::new("sign-outs");
    let left = scratch.store.write_blocking(|sql| {
        sql.add_provider_sign_out("digest", ("browser", CLINIC), Some("https://app.example/bye"), at(0))
    });
    left.unwrap();
    let take = |digest: &'static str, browser: &'static str, issuer: &'static str, now| {
        scratch
            .store
            .write_blocking(move |sql| sql.take_provider_sign_out(digest, (browser, issuer), now))
            .unwrap()
    };
    for (digest, browser, issuer, now) in [
        ("other", "browser", CLINIC, at(1)),
        ("digest", "other", CLINIC, at(1)),
        ("digest", "browser", CAMPUS, at(1)),
        ("digest", "browser", CLINIC, at(600)),
    ] {
        assert_eq!(take(digest, browser, issuer, now), None);
        let is_there = scratch.store.read(|sql| sql.is_provider_sign_out(digest, (browser, issuer), now));
        assert!(!is_there.unwrap());
    }
    let target = take("digest", "browser", CLINIC, at(599));
    assert_eq!(target, Some(Some("https://app.example/bye".to_owned())));
    assert_eq!(take("digest", "browser", CLINIC, at(599)), None);
}

fn grant(id: char, provider: Option<&str>, changes: &serde_json::Value) -> Grant {
    let mut content = json!({
        "id": id.to_string().repeat(22), "client_id": "app", "subject": "dana", "session": null,
        "scope": "openid offline_access", "audience": "https://gate.example/fhir", "patient": null, "nonce": null,
        "auth_time": at(0), "amr": [],
    });
    if let Some(provider) = provider {
        content["provider"] = provider.into();
    }
    for (name, value) in changes.as_object().unwrap() {
        content[name] = value.clone();
    }
    serde_json::from_value(content).unwrap()
}

#[test]
fn a10_what_a_former_provider_may_have_vouched_for_ends_also_where_nobody_noted_which_that_was() {
    let scratch = Scratch::new("vouched-for");
    people(&scratch);
    scratch
        .store
        .write_blocking(|sql| {
            // From before it was noted: by a provider; by a password; by a passkey; of somebody without an account anywhere.
            for (id, name, amr) in [
                ('g', "dana", &["otp", "mfa"][..]),
                ('h', "dana", &["pwd", "otp", "mfa"][..]),
                ('i', "dana", &["pop", "user", "mfa"][..]),
                ('j', "omar", &[][..]),
                ('k', "nils", &[][..]),
            ] {
                sql.add_session(&session(id, name, None, amr), &format!("cookie {id}"))?;
            }
            let client = r#"{"client_id":"app","kind":"public","token_endpoint_auth_method":"none","redirect_uris":[],
                "grant_types":[],"scope":"","audience":null,"roles":[],"jwks":null,"consent":"ask"}"#;
            let _ = sql.add_client(&serde_json::from_str(client).unwrap(), None, at(0))?;
            for grant in [
                grant('l', Some(CLINIC), &json!({})),
                grant('m', Some(CAMPUS), &json!({})),
                grant('n', None, &json!({})),
                grant('o', None, &json!({"subject": "nils"})),
                grant('p', None, &json!({"amr": ["pwd"]})),
                grant('q', None, &json!({"amr": ["pop", "user", "mfa"]})),
                // Approved on a phone, and by what a trusted issuer says.
                grant('r', None, &json!({"auth_time": null})),
                grant('s', None, &json!({"scope": "user/*.rs"})),
            ] {
                sql.add_grant(&grant, at(0))?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let ending = |issuers: &[&str]| {
        let issuers: Vec<String> = issuers.iter().map(ToString::to_string).collect();
        let (sessions, grants) = scratch
            .store
            .read(|sql| Ok::<_, StoreError>((sql.sessions_not_of(&issuers)?, sql.grants_not_of(&issuers)?)))
            .unwrap();
        let names = |mut ids: Vec<String>| {
            ids.sort_unstable();
            ids.iter().map(|id| first_of(id)).collect::<String>()
        };
        (
            names(sessions.iter().map(|session| session.id.to_string()).collect()),
            names(grants.iter().map(|grant: &Grant| GrantId::to_string(&grant.id)).collect()),
        )
    };
    let of = |sessions: &str, grants: &str| (sessions.to_owned(), grants.to_owned());
    assert_eq!(ending(&[CLINIC, CAMPUS]), of("j", ""), "nobody vouches for whom no provider can have");
    // Dana has accounts at both: hers may be of either.
    assert_eq!(ending(&[CLINIC]), of("dgj", "mn"));
    assert_eq!(ending(&[CAMPUS]), of("abcegjk", "lno"));
    assert_eq!(ending(&[]), of("abcdegjk", "lmno"));
}
