use std::sync::Arc;

use chartgate_access::grant::polling::{Answer, Polled};

use super::super::tests::Scratch;
use super::*;

const NOW: Timestamp = Timestamp::EPOCH;

fn kept(id: &str, half: &str, at: Timestamp) -> KeptSignIn {
    let (subject, from) = ("dana".parse().unwrap(), "203.0.113.9".parse().unwrap());
    KeptSignIn {
        id: id.to_owned(),
        half: half.to_owned(),
        number: vec![1, 2, 3],
        approval: SignInApproval::new(subject, None, from, at),
    }
}

fn request(client: &str, answer: Answer, at: Timestamp) -> BackchannelRequest {
    BackchannelRequest {
        client_id: client.parse().unwrap(),
        subject: "dana".parse().unwrap(),
        scope: "openid".parse().unwrap(),
        audience: "https://g/fhir".to_owned(),
        purpose_of_use: None,
        binding_message: None,
        dpop_jkt: None,
        notification_token: None,
        asked_from: None,
        asked_at: at,
        expires_at: at.plus(Duration::from_secs(300)),
        polled: Polled { answer, ..Polled::default() },
    }
}

fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

#[tokio::test]
async fn a05_of_fifty_that_use_one_yes_one_wins_and_it_is_of_its_own_sign_in() {
    let scratch = Scratch::new("yes");
    let store = &scratch.store;
    let asked = store.write(|sql| sql.ask_sign_in(&kept("one", "half", NOW))).await.unwrap();
    assert_eq!(asked, Asked::Yes);
    let use_it = |half: &'static str, at| store.write(move |sql| sql.use_sign_in_approval(half, at));
    assert_eq!(use_it("half", NOW).await.unwrap(), Took::Nothing, "nobody has said anything");
    let say = |answer| {
        let approval = SignInApproval { answer, ..kept("one", "half", NOW).approval };
        store.write(move |sql| sql.answer_sign_in("one", &approval))
    };
    assert_eq!(say(SignInAnswer::Approved).await.unwrap(), Took::It);
    assert_eq!(say(SignInAnswer::Denied).await.unwrap(), Took::Nothing, "it is answered once");
    assert_eq!(use_it("other", NOW).await.unwrap(), Took::Nothing);
    assert_eq!(use_it("half", after(180)).await.unwrap(), Took::Nothing, "it ends with its time");
    let all = (0..50).map(|_| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.write(|sql| sql.use_sign_in_approval("half", NOW)).await.unwrap() })
    });
    let mut won = Vec::new();
    for one in all.collect::<Vec<_>>() {
        won.push(one.await.unwrap());
    }
    assert_eq!(won.iter().filter(|took| **took == Took::It).count(), 1);
}

#[tokio::test]
async fn a_no_is_no_yes() {
    for answer in [SignInAnswer::Denied, SignInAnswer::Failed] {
        let name = answer.state();
        let scratch = Scratch::new(name);
        let came = scratch.store.write(move |sql| {
            let kept = kept(name, name, NOW);
            let _ = sql.ask_sign_in(&kept)?;
            assert_eq!(sql.answer_sign_in(name, &SignInApproval { answer, ..kept.approval })?, Took::It);
            sql.use_sign_in_approval(name, NOW)
        });
        assert_eq!(came.await.unwrap(), Took::Nothing);
    }
}

#[tokio::test]
async fn o20_applications_and_sign_ins_are_counted_together() {
    let scratch = Scratch::new("together");
    let asked = scratch.store.write(|sql| {
        for client in ["a", "b"] {
            assert_eq!(
                sql.add_backchannel_request(client, &request(client, Answer::Waiting, NOW))?,
                Asked::Yes
            );
        }
        assert_eq!(sql.ask_sign_in(&kept("one", "half", NOW))?, Asked::Yes);
        assert_eq!(sql.ask_sign_in(&kept("two", "other", NOW))?, Asked::No(Flood::AnotherWaits));
        let fourth = sql.add_backchannel_request("c", &request("c", Answer::Waiting, NOW))?;
        // Ten minutes after all of them were left alone, it is as if they had not been.
        let late = sql.add_backchannel_request("d", &request("d", Answer::Waiting, after(400)))?;
        let later = sql.add_backchannel_request("d", &request("d", Answer::Waiting, after(900)))?;
        Ok::<_, StoreError>((fourth, late, later))
    });
    let expected = (Asked::No(Flood::TooManyWait), Asked::No(Flood::Unanswered), Asked::Yes);
    assert_eq!(asked.await.unwrap(), expected);
}

#[tokio::test]
async fn what_nobody_answered_is_told_once() {
    let scratch = Scratch::new("lapsed");
    let told = scratch.store.write(|sql| {
        let _ = sql.ask_sign_in(&kept("one", "half", NOW))?;
        let _ = sql.add_backchannel_request("two", &request("a", Answer::Waiting, NOW))?;
        let _ = sql.add_backchannel_request("three", &request("b", Answer::Denied, NOW))?;
        let ids = |at| sql.lapsed(at).map(|all| all.into_iter().map(|one| one.id).collect::<Vec<_>>());
        let (early, first, both) = (ids(after(179))?, ids(after(180))?, ids(after(300))?);
        sql.note_lapsed("one", after(300))?;
        sql.note_lapsed("two", after(300))?;
        Ok::<_, StoreError>((early, first, both, ids(after(300))?))
    });
    let (early, first, both, none) = told.await.unwrap();
    assert!(early.is_empty() && none.is_empty());
    assert_eq!((first, both), (vec!["one".to_owned()], vec!["one".to_owned(), "two".to_owned()]));
}
