use proptest::prelude::*;

use super::*;

fn question() -> Question {
    Question {
        id: "4f".into(),
        client: Some("desk".parse().unwrap()),
        acquaintance: Acquaintance::Used,
        actor: "dana".parse().unwrap(),
        action: Action::Act,
        patient: None,
        data_class: "openid user/Observation.rs".into(),
        audience: Some("https://gate.example/fhir".into()),
        purpose: Some("TREAT".parse().unwrap()),
        message: Some("Desk 7".into()),
        from: Some("203.0.113.9".parse().unwrap()),
        expiry: Timestamp::from_unix(1_795_000_000),
    }
}

#[test]
fn a_question_says_who_asks_in_whose_name_for_what_whose_why_from_where_and_until_when() {
    assert_eq!(
        question().displayed_text(),
        "Who asks: The application desk\nIn whose name: dana\n\
         What for: Know who you are; See and search Observation entries in the records that you may see\n\
         Whose records: All that you may see\nWhere: https://gate.example/fhir\nWhy: For treatment\nFrom where: 203.0.113.9\nMessage: “Desk 7”\n\
         Until: 2026-11-18 11:06:40 UTC\n"
    );
    let new = Question { acquaintance: Acquaintance::NeverUsed, ..question() }.displayed_text();
    let said = "Who asks: The application desk\nKnown to you: No, you have not used this application in the last ninety days\nIn whose name";
    assert!(new.starts_with(said), "{new}");
    let own = Question {
        data_class: "openid patient/*.rs".into(),
        patient: Some("p1".parse().unwrap()),
        from: Some("2001:db8::7".parse().unwrap()),
        ..question()
    };
    let text = own.displayed_text();
    assert!(text.contains("Whose records: Your own, and nobody else's\n"), "{text}");
    assert!(text.contains("From where: 2001:db8::/64\n"), "{text}");
    let unnamed = Question { data_class: "openid records".into(), ..question() };
    let text = unnamed.displayed_text();
    assert!(
        text.contains("Whose records: Whatever that place gives to somebody signed in as you\n"),
        "{text}"
    );
    let sign_in = Question { action: Action::SignIn, data_class: String::new(), purpose: None, ..question() };
    let text = sign_in.displayed_text();
    assert!(text.starts_with("Who asks: Somebody who knows your password, on the way to"), "{text}");
    assert!(text.contains("What for: Sign in as you\n"), "{text}");
}

#[test]
fn emergency_access_is_told_by_whom_of_whom_why_from_where_and_when() {
    let opened = Opened {
        at: Timestamp::from_unix(1_795_000_000),
        ends: Timestamp::from_unix(1_795_003_600),
        reason: "Another reason",
        explanation: Some("asked by\nnight".into()),
    };
    let told = Question {
        action: Action::Opened(opened),
        patient: Some("pat-17".parse().unwrap()),
        data_class: String::new(),
        ..question()
    };
    assert_eq!(
        told.displayed_text(),
        "What happened: Emergency access was opened in your name\nIn whose name: dana\nWhose record: Patient pat-17\n\
         Through: The application desk\nWhy: Another reason: “asked by night”\nFrom where: 203.0.113.9\n\
         When: 2026-11-18 11:06:40 UTC\nEnds: 2026-11-18 12:06:40 UTC\nAnswer until: 2026-11-18 11:06:40 UTC\n"
    );
}

/// By hand, as another program would write it: RFC 8785 section 3.2.
#[test]
fn what_is_signed_has_the_one_spelling_of_rfc_8785() {
    let question = Question { message: Some("a\"b\\c\u{7f}é".into()), ..question() };
    let signed = question.signed_text();
    let value: serde_json::Value = serde_json::from_str(&signed).unwrap();
    let members = value.as_object().unwrap();
    let mut names: Vec<_> = members.keys().cloned().collect();
    names.sort();
    let by_hand: Vec<String> = names.iter().map(|name| format!("\"{name}\":{}", members[name])).collect();
    assert_eq!(signed, format!("{{{}}}", by_hand.join(",")));
    assert!(signed.contains("“a\\\"b\\\\c é”"), "{signed}");
    assert_eq!(members["displayed_text"], question.displayed_text());
    assert_eq!(members["expiry"], 1_795_000_000);
}

fn actions() -> impl Strategy<Value = Action> {
    let opened = (0_i64..4_000_000_000, 0_i64..3600, proptest::option::of(any::<String>()));
    let opened = opened.prop_map(|(at, lasts, explanation)| {
        let (at, ends) = (Timestamp::from_unix(at), Timestamp::from_unix(at.saturating_add(lasts)));
        Action::Opened(Opened { at, ends, reason: "Another reason", explanation })
    });
    prop_oneof![Just(Action::SignIn), Just(Action::Act), opened]
}

fn questions() -> impl Strategy<Value = Question> {
    let client = proptest::option::of("[a-z]{1,6}").prop_map(|name| name.map(|name| name.parse().unwrap()));
    let patient = proptest::option::of("[a-z0-9]{1,6}").prop_map(|id| id.map(|id| id.parse().unwrap()));
    let purpose = proptest::option::of(prop_oneof![Just("TREAT"), Just("HPAYMT")]);
    let from = proptest::option::of(any::<u32>());
    (
        ("[0-9a-f]{1,8}", client, "[a-z]{1,6}", actions(), patient, proptest::option::of("[a-z:/]{1,12}")),
        ("[a-z/.*: ]{0,12}", purpose, proptest::option::of(any::<String>()), from, 0_i64..4_000_000_000),
    )
        .prop_map(
            |(
                (id, client, actor, action, patient, audience),
                (data_class, purpose, message, from, expiry),
            )| {
                Question {
                    id,
                    client,
                    acquaintance: Acquaintance::Used,
                    actor: actor.parse().unwrap(),
                    action,
                    patient,
                    data_class,
                    audience,
                    purpose: purpose.map(|code| code.parse().unwrap()),
                    message,
                    from: from.map(|bits| IpAddr::from(bits.to_be_bytes())),
                    expiry: Timestamp::from_unix(expiry),
                }
            },
        )
}

proptest! {
    #[test]
    fn the_challenge_changes_with_each_member(one in questions(), other in questions()) {
        let same = one.challenge();
        prop_assert_eq!(one.clone().challenge(), same);
        for changed in [
            Question { id: other.id.clone(), ..one.clone() },
            Question { client: other.client.clone(), ..one.clone() },
            Question { actor: other.actor.clone(), ..one.clone() },
            Question { patient: other.patient.clone(), ..one.clone() },
            Question { data_class: other.data_class.clone(), ..one.clone() },
            Question { audience: other.audience.clone(), ..one.clone() },
            Question { purpose: other.purpose, ..one.clone() },
            Question { expiry: other.expiry, ..one.clone() },
            Question { from: other.from, ..one.clone() },
        ] {
            prop_assert_eq!(changed.challenge() == same, changed == one, "{:?}", changed);
        }
        // Of a message, and of what was opened, what is shown counts.
        for changed in [
            Question { message: other.message.clone(), ..one.clone() },
            Question { action: other.action.clone(), ..one.clone() },
        ] {
            let is_same = changed.displayed_text() == one.displayed_text() && changed.action.name() == one.action.name();
            prop_assert_eq!(changed.challenge() == same, is_same);
        }
    }

    #[test]
    fn no_value_makes_a_line_of_its_own_or_turns_its_text_around(question in questions()) {
        let text = question.displayed_text();
        prop_assert_eq!(text.lines().count(), question.lines().len());
        let turns = text.contains(['\u{202e}', '\u{2028}', '\r', '\u{200b}']);
        prop_assert!(!turns);
        for (line, shown) in text.lines().zip(question.lines()) {
            let written = format!("{}: {}", shown.name, shown.value);
            prop_assert_eq!(line, written.as_str());
        }
    }
}
