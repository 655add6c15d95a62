//! What the pages of signing in ask, and when they may not be passed over.

use std::time::{Duration, Instant};

use crate::browser::{App, Browser, Redirect, USER_SCOPE};
use crate::faults::until_recorded;
use crate::gateway::Gateway;
use crate::shared;
use crate::wire::{Answer, encode};

#[tokio::test]
async fn the_patient_picker_lists_nobody_whom_a_changed_role_may_not_see() {
    let gateway = shared::demo();
    let panel = &gateway.panel("nils")[..3];
    let person = gateway.person("nurse", panel);
    let request = App::public("openid launch/patient patient/*.rs").request(gateway);
    let query = encode(&request.iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>());
    let signed_in = async || {
        let mut browser = Browser::default();
        let page = browser.follow(gateway, &format!("/authorize?{query}")).await;
        let fields = [("username", person.name.as_str()), ("password", &person.password)];
        let picker = browser.submit(gateway, &page, &fields).await;
        assert!(picker.text().contains("action=\"/login/patient\""), "{}", picker.text());
        (browser, picker)
    };
    let listed = |page: &Answer| panel.iter().filter(|id| page.text().contains(**id)).count();
    let (_, picker) = signed_in().await;
    assert_eq!(listed(&picker), panel.len());

    gateway.command(&["user", "roles", &person.name, "--role", "researcher"]);
    let (mut browser, picker) = signed_in().await;
    assert_eq!(listed(&picker), 0, "{}", picker.text());
    let forced = browser.submit(gateway, &picker, &[("patient", panel[0])]).await;
    assert_eq!((forced.status, listed(&forced)), (200, 0), "{}", forced.text());
    assert!(forced.text().contains("not a patient whose record you may see"), "{}", forced.text());
}

#[tokio::test]
async fn the_patient_picker_asks_policy_with_the_purpose_that_the_token_will_have() {
    let gateway = &Gateway::demo("picker-purpose", &[]);
    let policy = r#"@id("not-for-operations") forbid (principal, action, resource is Chartgate::Record)
        when { context has purpose_of_use && context.purpose_of_use == "HOPERAT" };"#;
    std::fs::write(gateway.folder().join("policies/not-for-operations.cedar"), policy).unwrap();
    until_recorded(gateway, "policy.reload", 1).await;
    let patient = gateway.panel("dana")[0];
    let person = gateway.person("physician", &[patient]);
    for (purpose, is_listed) in [("TREAT", true), ("HOPERAT", false)] {
        let mut request = App::public("openid launch/patient patient/*.rs").request(gateway);
        request.push(("purpose_of_use", purpose.to_owned()));
        let query = encode(&request.iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>());
        let mut browser = Browser::default();
        browser.sign_in(gateway, &person).await;
        let picker = browser.follow(gateway, &format!("/authorize?{query}")).await;
        assert!(picker.text().contains("action=\"/login/patient\""), "{}", picker.text());
        let begun = Instant::now();
        let mut listed = picker.text().contains(patient);
        // It is recorded before it is in force.
        while listed != is_listed && begun.elapsed() < Duration::from_secs(30) {
            tokio::time::sleep(Duration::from_millis(200)).await;
            listed = browser.follow(gateway, &format!("/authorize?{query}")).await.text().contains(patient);
        }
        assert_eq!(listed, is_listed, "{purpose}: {}", picker.text());
    }
}

#[tokio::test]
async fn without_pages_a_public_client_gets_no_code_whatever_it_was_given_before() {
    let gateway = shared::demo();
    let dana = gateway.demo_person("dana");
    for (app, gets_a_code) in [(App::public(USER_SCOPE), false), (App::web(gateway, USER_SCOPE), true)] {
        let mut browser = Browser::default();
        app.tokens_in(gateway, &mut browser, &dana).await;
        let mut request = app.request(gateway);
        request.push(("prompt", "none".to_owned()));
        let query = encode(&request.iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>());
        for _ in 0..2 {
            let redirect = Redirect::of(&browser.follow(gateway, &format!("/authorize?{query}")).await);
            assert_eq!(redirect.get("code").is_some(), gets_a_code, "{}: {redirect:?}", app.client);
            let error = (!gets_a_code).then(|| "consent_required".to_owned());
            assert_eq!(redirect.get("error"), error, "{}", app.client);
        }
    }
}
