use chartgate_access::grant::Grant;
use chartgate_access::grant::backchannel::BackchannelRequest;
use chartgate_access::grant::polling::Answer;
use chartgate_access::token::revocation::{CutOff, Target};
use serde_json::json;

use super::*;
use crate::store::sign_in_approvals::Asked;
use crate::store::tests::Scratch;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds)
}

fn grant(id: char) -> Box<Grant> {
    let content = json!({
        "id": id.to_string().repeat(22), "client_id": "app", "subject": "dana", "session": null,
        "scope": "openid offline_access", "audience": "https://gate.example/fhir", "patient": null, "nonce": null,
        "auth_time": at(0), "approved_at": at(10), "amr": [],
    });
    serde_json::from_value(content).unwrap()
}

fn polled(answer: Answer) -> Polled {
    Polled { answer, ..Polled::default() }
}

fn device(answer: Answer) -> DeviceAuthorization {
    DeviceAuthorization {
        client_id: "app".parse().unwrap(),
        scope: "openid offline_access".parse().unwrap(),
        audience: "https://gate.example/fhir".into(),
        purpose_of_use: None,
        dpop_jkt: None,
        asked_from: "192.0.2.1".into(),
        asked_at: at(0),
        polled: polled(answer),
    }
}

fn question(answer: Answer) -> BackchannelRequest {
    let DeviceAuthorization { client_id, scope, audience, asked_at, polled, .. } = device(answer);
    BackchannelRequest {
        client_id,
        subject: "dana".parse().unwrap(),
        acquaintance: chartgate_access::approval::known::Acquaintance::Used,
        scope,
        audience,
        purpose_of_use: None,
        binding_message: None,
        dpop_jkt: None,
        notification_token: None,
        asked_from: None,
        asked_at,
        expires_at: at(300),
        polled,
    }
}

#[test]
fn o10_what_a_person_takes_back_while_its_tokens_are_made_is_never_begun() {
    let scratch = Scratch::new("redeemed");
    let (app, dana): (ClientId, Subject) = ("app".parse().unwrap(), "dana".parse().unwrap());
    let began = scratch.store.write_blocking(move |sql| {
        let _ = sql.add_device("device", "user code", &device(Answer::Approved(grant('g'))))?;
        assert!(matches!(
            sql.add_backchannel_request("ask", &question(Answer::Approved(grant('h'))))?,
            Asked::Yes
        ));
        let polls = [
            sql.poll_device("device", &app, None, at(20))?,
            sql.poll_backchannel("ask", &app, None, at(20))?,
        ];
        assert_eq!(polls, [Poll::Redeem(grant('g')), Poll::Redeem(grant('h'))]);
        // Neither has come to the grant's own row by now.
        let other = "other".parse().unwrap();
        assert!(
            sql.disconnect(&dana, &other, at(30))?.is_empty()
                && sql.disconnect(&"nils".parse().unwrap(), &app, at(30))?.is_empty()
        );
        let ended = sql.disconnect(&dana, &app, at(30))?;
        for id in ended {
            sql.add_cut_off(&CutOff::UpTo { target: Target::Grant(id), not_before: at(30) }, at(30))?;
        }
        let again = sql.poll_device("device", &app, None, at(40))?;
        assert_eq!(again, Poll::Refuse(PollError::Redeemed));
        Ok::<_, StoreError>(
            [grant('g'), grant('h'), grant('i')]
                .map(|grant| !sql.is_cut_off_before_it_began(&grant).unwrap()),
        )
    });
    assert_eq!(began.unwrap(), [false, false, true]);
}
