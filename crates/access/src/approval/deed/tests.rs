use super::*;

fn roles(names: &[&str]) -> BTreeSet<Role> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn act() -> Act {
    Act {
        asker: "dana".parse().unwrap(),
        client_id: "till".parse().unwrap(),
        agents: Vec::new(),
        session: Some("1".repeat(32).parse().unwrap()),
        fhir_user: Some("Practitioner/dana".parse().unwrap()),
        purpose_of_use: Some("TREAT".into()),
        approver: Approver::Another(roles(&["privacy-officer", "chief"])),
        route: "orders".into(),
        method: "POST".into(),
        target: "/orders/17/release?to=lab".into(),
        headers: vec![("if-match".into(), "\"3\"".into())],
        content: Content::of(Some("application/json, SHA-256 abc"), b"{}"),
    }
}

fn deed() -> Deed {
    Deed {
        act: act(),
        reason: "the lab\ncalled".into(),
        from: "203.0.113.9".parse().unwrap(),
        asked_at: Timestamp::from_unix(1_795_000_000),
    }
}

fn user(name: &str, of: &[&str], fhir_user: Option<&str>) -> User {
    User {
        name: name.parse().unwrap(),
        state: UserState::Enabled,
        roles: roles(of),
        fhir_user: fhir_user.map(|user| user.parse().unwrap()),
        email: None,
        created_at: Timestamp::from_unix(0),
    }
}

#[test]
fn a_deed_is_told_with_all_that_is_known_of_it() {
    let question = deed().question("4f", &"pia".parse().unwrap());
    assert_eq!(
        question.displayed_text(),
        "Who asks: dana, through the application till\nWhat for: POST /orders/17/release?to=lab\n\
         What is sent: SHA-256 RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o, 2 bytes\n\
         Called by its sender: application/json, SHA-256 abc\nWith: if-match: \"3\"\n\
         Where: The route orders\nWhy: “the lab called”\nPurpose: For treatment\nFrom where: 203.0.113.9\n\
         Good for: This once, until 2026-11-18 11:26:40 UTC\nAnswer until: 2026-11-18 11:16:40 UTC\n"
    );
    let by_agent = Act { agents: vec!["helper".into()], ..act() };
    assert_eq!(by_agent.who(), "The agent helper, which acts for dana");
    let program = Act { asker: "till".parse().unwrap(), ..act() };
    assert_eq!(program.who(), "The program till, for itself");
}

#[test]
fn another_value_of_a_header_that_goes_on_is_another_deed() {
    let with = |headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Act { headers, ..act() }.digest()
    };
    let all = [
        with(&[]),
        with(&[("if-match", "\"3\"")]),
        with(&[("if-match", "\"4\"")]),
        with(&[("if-match", "\"3\""), ("accept", "text/csv")]),
        with(&[("content-type", "a/b"), ("content-type", "c/d")]),
        with(&[("content-type", "c/d"), ("content-type", "a/b")]),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn a_no_counts_from_the_end_of_its_question() {
    let (past, first) = (deed().past(DeedState::Denied), deed().asked_at);
    let again = |minutes: u64| {
        super::super::flood::check(
            std::slice::from_ref(&past),
            &past.by,
            first.plus(Duration::from_mins(minutes)),
        )
    };
    assert!(again(7).is_err() && again(14).is_err(), "whenever within its ten minutes somebody said no");
    assert!(again(16).is_ok());
}

#[test]
fn somebody_else_with_the_role_says_yes_and_never_who_asks() {
    let may = |user: &User| act().may_be_approved_by(user);
    assert!(may(&user("pia", &["privacy-officer"], Some("Practitioner/pia"))));
    assert!(may(&user("carl", &["chief", "physician"], None)));
    assert!(!may(&user("nils", &["nurse"], None)), "another role");
    assert!(
        !may(&user("dana", &["privacy-officer", "administrator"], None)),
        "whoever asks, whatever they are"
    );
    assert!(!may(&user("dana-too", &["privacy-officer"], Some("Practitioner/dana"))), "by another name");
    assert!(!may(&User { state: UserState::Disabled, ..user("pia", &["privacy-officer"], None) }));
    let by_agent = Act { agents: vec!["pia".into()], ..act() };
    assert!(!by_agent.may_be_approved_by(&user("pia", &["privacy-officer"], None)), "who acts for them");
}

#[test]
fn what_an_agent_asks_in_somebodys_name_they_say_yes_to_and_nobody_else() {
    let own = Act { approver: Approver::WhomItActsFor, agents: vec!["helper".into()], ..act() };
    assert!(own.may_be_approved_by(&user("dana", &["nurse"], None)));
    assert!(!own.may_be_approved_by(&user("pia", &["privacy-officer"], None)));
    let disabled = User { state: UserState::Disabled, ..user("dana", &["nurse"], None) };
    assert!(!own.may_be_approved_by(&disabled));
    let alone = Act { agents: Vec::new(), ..own.clone() };
    assert!(!alone.may_be_approved_by(&user("dana", &["nurse"], None)), "their own, without an agent");
    let itself = Act { agents: vec!["dana".into()], ..own.clone() };
    assert!(!itself.may_be_approved_by(&user("dana", &["nurse"], None)));
    assert_ne!(own.counted_as(), act().counted_as(), "what it asks keeps them from asking nothing");
}

#[test]
fn o20_agents_of_one_person_share_their_limits_however_many_they_are() {
    let by = |agents: &[&str], asker: &str| {
        let agents = agents.iter().map(|agent| (*agent).to_owned()).collect();
        Act { agents, asker: asker.parse().unwrap(), ..act() }.counted_as()
    };
    let one = by(&["helper"], "dana");
    assert_eq!(one, by(&["other"], "dana"));
    assert_eq!(one, by(&["third", "helper"], "dana"), "nor by calling one another");
    assert_ne!(one, by(&["helper"], "nils"), "and nobody else's");
    assert_ne!(one, by(&[], "dana"));
}

#[test]
fn a_yes_is_for_one_act_and_no_other() {
    let others = [
        Act { asker: "nils".parse().unwrap(), ..act() },
        Act { client_id: "other".parse().unwrap(), ..act() },
        Act { agents: vec!["helper".into()], ..act() },
        Act { session: Some("2".repeat(32).parse().unwrap()), ..act() },
        Act { session: None, ..act() },
        Act { purpose_of_use: Some("HPAYMT".into()), ..act() },
        Act { approver: Approver::Another(roles(&["chief"])), ..act() },
        Act { approver: Approver::WhomItActsFor, ..act() },
        Act { route: "other".into(), ..act() },
        Act { method: "PUT".into(), ..act() },
        Act { target: "/orders/18/release?to=lab".into(), ..act() },
        Act { target: "/orders/17/release".into(), ..act() },
        Act { content: None, ..act() },
        Act { content: Content::of(Some("application/json"), b"[]"), ..act() },
        Act { content: Content::of(Some("text/plain"), b"{}"), ..act() },
    ];
    for other in others {
        assert_ne!(other.digest(), act().digest(), "{other:?}");
    }
    assert_eq!(act().digest(), act().digest());
    let elsewhere = Deed { from: "203.0.113.8".parse().unwrap(), reason: "another".into(), ..deed() };
    assert_eq!(elsewhere.act.digest(), deed().act.digest(), "from where, and why, was asked once");
}
