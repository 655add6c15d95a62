use std::sync::Arc;

use chartgate_access::approval::known::Acquaintance;
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
        acquaintance: Acquaintance::Used,
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
    let say = |answer, decided| {
        let approval = SignInApproval { answer, ..kept("one", "half", NOW).approval };
        store.write(move |sql| sql.answer_sign_in("one", &approval, Some(decided)))
    };
    assert_eq!(say(SignInAnswer::Approved, Decided::Yes).await.unwrap(), Took::Nothing, "nobody decided");
    let decide = |decided| store.write(move |sql| sql.decide_question("one", decided, NOW));
    assert_eq!(decide(Decided::Yes).await.unwrap(), Took::Nothing, "it is not on record that it was asked");
    store.write(|sql| sql.put_question("one")).await.unwrap();
    assert_eq!(decide(Decided::Yes).await.unwrap(), Took::It);
    assert_eq!(decide(Decided::No).await.unwrap(), Took::Nothing, "it is decided once");
    assert_eq!(say(SignInAnswer::Denied, Decided::No).await.unwrap(), Took::Nothing);
    assert_eq!(use_it("half", NOW).await.unwrap(), Took::Nothing, "what was decided is not on record yet");
    assert_eq!(say(SignInAnswer::Approved, Decided::Yes).await.unwrap(), Took::It);
    assert_eq!(
        say(SignInAnswer::Approved, Decided::Yes).await.unwrap(),
        Took::Nothing,
        "it is answered once"
    );
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
            let after = SignInApproval { answer, ..kept.approval };
            sql.put_question(name)?;
            let decided = (answer == SignInAnswer::Denied).then_some(Decided::No);
            if let Some(decided) = decided {
                assert_eq!(sql.decide_question(name, decided, NOW)?, Took::It);
            }
            assert_eq!(sql.answer_sign_in(name, &after, decided)?, Took::It);
            sql.use_sign_in_approval(name, NOW)
        });
        assert_eq!(came.await.unwrap(), Took::Nothing);
    }
}

#[tokio::test]
async fn o20_at_most_three_wait_and_who_was_left_alone_too_often_waits_alone() {
    let scratch = Scratch::new("together");
    let asked = scratch.store.write(|sql| {
        let ask = |id: &str, client: &str, at| {
            let asked = sql.add_backchannel_request(id, &request(client, Answer::Waiting, at))?;
            sql.put_question(id).map(|()| asked)
        };
        assert_eq!((ask("a", "a", NOW)?, ask("b", "b", NOW)?), (Asked::Yes, Asked::Yes));
        assert_eq!(sql.ask_sign_in(&kept("one", "half", NOW))?, Asked::Yes);
        assert_eq!(sql.ask_sign_in(&kept("two", "other", NOW))?, Asked::No(Flood::AnotherWaits));
        let fourth = ask("c", "c", NOW)?;
        for (id, at) in [("a2", 300), ("a3", 600)] {
            assert_eq!(ask(id, "a", after(at))?, Asked::Yes);
        }
        let (noisy, other) = (ask("a4", "a", after(900))?, ask("d", "d", after(900))?);
        // Half an hour after the first of them was left alone, it is as if it had not been.
        Ok::<_, StoreError>((fourth, noisy, other, ask("a5", "a", after(2100))?))
    });
    let expected = (Asked::No(Flood::TooManyWait), Asked::No(Flood::Unanswered), Asked::Yes, Asked::Yes);
    assert_eq!(asked.await.unwrap(), expected);
}

#[tokio::test]
async fn what_is_not_put_waits_for_nobody_and_what_was_decided_for_nobody_more() {
    let scratch = Scratch::new("put");
    let seen = scratch.store.write(|sql| {
        let _ = sql.ask_sign_in(&kept("one", "half", NOW))?;
        let _ = sql.add_backchannel_request("two", &request("a", Answer::Waiting, NOW))?;
        let dana = "dana".parse().unwrap();
        let seen = || {
            let sign_ins = sql.waiting_sign_ins(&dana, NOW)?.len();
            let (own, all) =
                (sql.backchannel_requests_to(&dana, NOW)?.len(), sql.backchannel_requests(NOW)?.len());
            Ok::<_, StoreError>((sign_ins, own, all))
        };
        let before = seen()?;
        for id in ["one", "two"] {
            sql.put_question(id)?;
        }
        let put = seen()?;
        assert_eq!(sql.answer_backchannel("two", Answer::Denied, NOW)?, Took::Nothing, "nobody decided");
        for id in ["one", "two"] {
            assert_eq!(sql.decide_question(id, Decided::No, NOW)?, Took::It);
        }
        let decided = seen()?;
        assert_eq!(sql.answer_backchannel("two", Answer::Denied, NOW)?, Took::It);
        // The other was decided and never answered: that it lapsed says so.
        let lapsed = sql.lapsed(after(300))?;
        let lapsed: Vec<_> = lapsed.into_iter().map(|one| (one.id, one.why)).collect();
        Ok::<_, StoreError>((before, put, decided, lapsed))
    });
    let (before, put, decided, lapsed) = seen.await.unwrap();
    assert_eq!((before, put, decided), ((0, 0, 0), (1, 1, 1), (0, 0, 0)));
    assert_eq!(lapsed, [("one".to_owned(), WhyLapsed::AnswerLost)]);
}

#[tokio::test]
async fn o20_what_nobody_saw_was_not_left_and_a_no_that_was_lost_was_said() {
    let scratch = Scratch::new("unseen");
    let dana: Subject = "dana".parse().unwrap();
    let asked = scratch.store.write(move |sql| {
        let mut asked = Vec::new();
        for (round, id) in (0_u64..).zip(["one", "two", "three"]) {
            let at = after(round * 180);
            let _ = sql.ask_sign_in(&kept(id, "half", at))?;
            asked.push(sql.may_be_asked(&dana, &Asker::SignIn, at)?);
        }
        let why: Vec<_> = sql.lapsed(after(540))?.into_iter().map(|one| one.why).collect();
        // Three lapsed, and nobody saw one of them.
        asked.push(sql.may_be_asked(&dana, &Asker::SignIn, after(540))?);
        // Of what they saw they said no to one, and then the power went.
        let _ = sql.ask_sign_in(&kept("four", "half", after(540)))?;
        sql.put_question("four")?;
        assert_eq!(sql.decide_question("four", Decided::No, after(541))?, Took::It);
        asked.push(sql.may_be_asked(&dana, &Asker::SignIn, after(730))?);
        Ok::<_, StoreError>((asked, why))
    });
    let (asked, why) = asked.await.unwrap();
    let waits = Err(Flood::AnotherWaits);
    assert_eq!(asked, [waits, waits, waits, Ok(()), Err(Flood::SaidNo)]);
    assert_eq!(why, [WhyLapsed::NeverPut; 3]);
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

/// As after a gateway was down for longer than questions are kept: it tidies before it looks for what lapsed.
#[tokio::test]
async fn what_nobody_answered_is_forgotten_after_it_is_told_not_before() {
    let scratch = Scratch::new("told-first");
    let seen = scratch.store.write(|sql| {
        let _ = sql.ask_sign_in(&kept("one", "half", NOW))?;
        let _ = sql.add_backchannel_request("two", &request("a", Answer::Waiting, NOW))?;
        let _ = sql.add_backchannel_request("three", &request("b", Answer::Denied, NOW))?;
        let later = after(2 * 3600);
        let left = || {
            sql.tidy(Duration::ZERO, later)?;
            let (one, two) = (sql.sign_in_approval("one")?, sql.backchannel_request("two")?);
            Ok::<_, StoreError>([one.is_some(), two.is_some(), sql.backchannel_request("three")?.is_some()])
        };
        let untold = left()?;
        let lapsed: Vec<_> = sql.lapsed(later)?.into_iter().map(|one| one.id).collect();
        for id in &lapsed {
            sql.note_lapsed(id, later)?;
        }
        Ok::<_, StoreError>((untold, lapsed, left()?))
    });
    let (untold, lapsed, told) = seen.await.unwrap();
    assert_eq!((untold, told), ([true, true, false], [false; 3]));
    assert_eq!(lapsed, ["one", "two"]);
}
