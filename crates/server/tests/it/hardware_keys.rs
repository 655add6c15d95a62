//! Passkeys that hardware keeps, by the word of a maker of our own. Rows A05 and A07 of the corpus.

use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chartgate_protocol::webauthn::authenticator::{DEVICE_BOUND, Maker, SoftPasskey, Statement};
use serde_json::{Value, json};

use crate::browser::{App, Browser, USER_SCOPE, form_of, part};
use crate::gateway::{Gateway, Person};
use crate::passkeys::{
    Ask, after_making, asking, at_sign_in, is_signed_in, last, other_than_suspected, send, sign_in, soft,
};
use crate::wire::{Answer, Call, encode};

const MODEL: [u8; 16] = [0x5a; 16];
const MODEL_NAME: &str = "5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a";
const NEEDED: &str = "needs a hardware key of a kind that is known here, and you have none yet";
const NOT_ENOUGH: &str = "That passkey is not enough here: use your hardware key";

/// Wants hardware of privacy officers, of this model, by the word of this maker.
async fn believe(gateway: &Gateway, maker: &Maker, model: &str, in_force: impl AsyncFn() -> bool) {
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    let (before, _) = text.split_once("\n[sign_in]").unwrap_or((&text, ""));
    let roots = gateway.folder().join("roots.pem");
    std::fs::write(&roots, maker.root()).unwrap();
    let sign_in = format!(
        "[sign_in]\nhardware_key_roles = [\"privacy-officer\"]\nauthenticator_roots = {roots:?}\n\
         authenticator_models = [\"{model}\"]\n"
    );
    std::fs::write(gateway.config(), format!("{before}\n{sign_in}")).unwrap();
    gateway.hang_up();
    let begun = Instant::now();
    while !in_force().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", gateway.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A key of this model, of which its maker says so.
fn hardware(gateway: &Gateway, maker: &Maker, seed: u64) -> SoftPasskey {
    let mut key = soft(gateway, seed);
    (key.flags, key.model) = (DEVICE_BOUND, MODEL);
    key.statement = Statement::Makers(maker.attests(MODEL, 2090));
    key
}

/// By which a maker's certificate is known.
fn digest_of(maker: &Maker) -> String {
    let root = maker.root();
    let body: String = root.lines().filter(|line| !line.starts_with('-')).collect();
    URL_SAFE_NO_PAD.encode(digest(&SHA256, &STANDARD.decode(body.trim()).unwrap()))
}

/// Adds a passkey on a page that asks for one, and shows it there.
async fn add(gateway: &Gateway, browser: &mut Browser, page: &Answer, key: &mut SoftPasskey) -> Answer {
    let ask = Ask::of(page, "/login/new-passkey");
    let page = send(browser, gateway, ask.call(&key.create(&ask.options), &[])).await;
    let (_, page) = after_making(gateway, browser, page).await;
    let ask = Ask::of(&page, "/login/passkey");
    send(browser, gateway, ask.call(&key.get(&ask.options), &[])).await
}

fn passkeys_of(gateway: &Gateway, person: &Person) -> Value {
    let shown = gateway.command(&["user", "show", &person.name, "--output", "json"]);
    serde_json::from_str::<Value>(&shown).unwrap()["passkeys"].clone()
}

#[tokio::test]
async fn a05_whoever_needs_a_hardware_key_adds_one_that_is_known_and_nothing_else_opens() {
    let gateway = &Gateway::demo("hardware-keys", &[]);
    let (pia, maker) = (gateway.demo_person("pia"), Maker::new("Keys of tests"));
    let mut at_pia = Browser::default();
    assert!(is_signed_in(&at_pia.sign_in(gateway, &pia).await));
    let model = format!("{MODEL_NAME} Key of tests");
    let is_out = async || at_pia.clone().get(gateway, "/account").await.status == 303;
    believe(gateway, &maker, &model, is_out).await;
    let discovery = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    assert_eq!(discovery["acr_values_supported"][2], "phrh");

    // What is no hardware, or says so itself, is not added.
    let page = at_pia.sign_in(gateway, &pia).await;
    assert!(page.text().contains(NEEDED), "{}", page.text());
    let ask = Ask::of(&page, "/login/new-passkey");
    let options: Value = serde_json::from_str(&ask.options).unwrap();
    assert_eq!((&options["attestation"], &options["hints"]), (&json!("direct"), &json!(["security-key"])));
    let mut own_word = soft(gateway, 2);
    (own_word.flags, own_word.model, own_word.statement) = (DEVICE_BOUND, MODEL, Statement::Own);
    for mut other in [soft(gateway, 1), own_word, hardware(gateway, &Maker::new("Keys of tests"), 3)] {
        let page = send(&mut at_pia, gateway, ask.call(&other.create(&ask.options), &[])).await;
        assert!(page.text().contains("That was not added: it is no hardware key"), "{}", page.text());
        let denied = last(&gateway.audit(&["--user", &pia.name]), "factor.add");
        assert_eq!(
            (&denied["outcome"], &denied["decision"]["reason"]),
            (&json!("deny"), &json!("hardware-key-needed"))
        );
    }
    assert_eq!(passkeys_of(gateway, &pia), 0);

    let mut key = hardware(gateway, &maker, 4);
    assert!(is_signed_in(&add(gateway, &mut at_pia, &page, &mut key).await));
    let records = gateway.audit(&["--user", &pia.name]);
    let added = json!({
        "factor": "hardware-key", "passkey": "device-bound", "model": MODEL_NAME,
        "attested_by": "CN=Keys of tests", "recovery_codes": "10", "after": "password",
        "root": digest_of(&maker),
    });
    assert_eq!(last(&records, "factor.add")["detail"], added);
    let signed_in = last(&records, "login");
    assert_eq!((&signed_in["acr"], &signed_in["detail"]["factor"]), (&json!("phrh"), &json!("hardware-key")));
    assert_eq!(signed_in["amr"], json!(["pwd", "pop", "hwk", "user", "mfa"]));
    let settings = at_pia.get(gateway, "/account/factors").await;
    let kept = "It is kept by hardware that gives it to nobody: Key of tests. CN=Keys of tests vouches";
    assert!(settings.text().contains(kept), "{}", settings.text());
    // The last one stays, and nothing but such a key confirms a change.
    let confirm = Ask::of(&settings, "/account/factors");
    let remove = [("change", other_than_suspected(&settings))];
    let remove = remove.each_ref().map(|(name, value)| (*name, value.as_str()));
    let refused = send(&mut at_pia, gateway, confirm.call(&key.get(&confirm.options), &remove)).await;
    assert!(refused.text().contains("You have to have a hardware key: add another"), "{}", refused.text());
    let tokens = App::public(USER_SCOPE).tokens_in(gateway, &mut at_pia, &pia).await.claims();
    assert_eq!(tokens["acr"], "phrh");

    // A model that does not count any more is a passkey like others: at the next sign-in another one is needed.
    let other = "eeeeeeee-0000-0000-0000-000000000001";
    let told = async || at_pia.clone().get(gateway, "/account/factors").await;
    believe(gateway, &maker, other, async || told().await.text().contains("does not count here any more"))
        .await;
    let (_, page) = sign_in(gateway, &mut key).await;
    assert!(page.text().contains(NEEDED), "{}", page.text());
}

#[tokio::test]
async fn a05_who_asks_for_phrh_gets_hardware_of_whoever_has_another_passkey_and_no_less_after_that() {
    let gateway = &Gateway::demo("hardware-keys-asked", &[]);
    let (nils, maker) = (gateway.demo_person("nils"), Maker::new("Keys of tests"));
    believe(gateway, &maker, MODEL_NAME, async || knows_hardware(gateway).await).await;
    let mut browser = Browser::default();
    assert!(is_signed_in(&browser.sign_in(gateway, &nils).await), "no role of theirs needs more");
    let page = browser.get(gateway, "/account/factors").await;
    let fields = [("password", nils.password.as_str()), ("change", "add-passkey")];
    let page = browser.submit(gateway, &page, &fields).await;
    let mut phone = soft(gateway, 1);
    let settings = add(gateway, &mut browser, &page, &mut phone).await;
    assert!(!settings.text().contains("It is kept by hardware"), "{}", settings.text());

    // With the passkey alone, which is not enough: it adds the first that is.
    let app = App::public(USER_SCOPE);
    let start = asking(&app, gateway, "acr_values", "phrh");
    let mut browser = Browser::default();
    let page = browser.follow(gateway, &start).await;
    let ask = Ask::of(&page, "/login/passkey");
    let brought = phone.get(&ask.options);
    let page = send(&mut browser, gateway, ask.call(&brought, &[])).await;
    assert!(page.text().contains(NEEDED), "{}", page.text());
    assert!(!browser.cookies.contains_key("__Host-session"));
    let again = send(&mut browser.clone(), gateway, ask.call(&brought, &[])).await;
    assert!(again.text().contains("That passkey did not sign you in"), "it is used up: {}", again.text());
    let mut key = hardware(gateway, &maker, 2);
    let page = add(gateway, &mut browser, &page, &mut key).await;
    assert!(page.text().contains("action=\"/login/consent\""), "{}", page.text());
    let signed_in = last(&gateway.audit(&["--user", &nils.name]), "login");
    assert_eq!(signed_in["amr"], json!(["pop", "hwk", "user", "mfa"]), "there was no password");
    let redirect = browser.lead(gateway, &start, &nils, None).await;
    let tokens = app.exchange_call(&redirect.get("code").unwrap()).to(gateway).await.json();
    assert_eq!(part(tokens["access_token"].as_str().unwrap(), 1)["acr"], "phrh");

    // From now on the other one opens what it opened before, and neither this nor a further key.
    let (mut elsewhere, page) = sign_in(gateway, &mut phone).await;
    assert!(is_signed_in(&page), "{}", page.text());
    let page = elsewhere.follow(gateway, &start).await;
    let ask = Ask::of(&page, "/login/passkey");
    let brought = phone.get(&ask.options);
    let page = send(&mut elsewhere, gateway, ask.call(&brought, &[])).await;
    assert!(page.text().contains(NOT_ENOUGH), "{}", page.text());
    let refused = last(&gateway.audit(&["--user", &nils.name]), "login.failed");
    assert_eq!(refused["decision"]["reason"], "hardware-key-needed");
    let again = send(&mut elsewhere.clone(), gateway, ask.call(&brought, &[])).await;
    assert!(again.text().contains("That passkey did not sign you in"), "it is used up: {}", again.text());
    // Nor does it put another key beside this, or take this away, though no role of theirs needs hardware.
    let page = elsewhere.get(gateway, "/account/factors").await;
    let ask = Ask::of(&page, "/account/factors");
    let options: Value = serde_json::from_str(&ask.options).unwrap();
    assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1);
    // It is no wrong one, so that however often it is shown the session goes on.
    let more = vec![("add-passkey".to_owned(), "factor.add"); 2];
    for (change, event) in [vec![(newest_removal(&page), "factor.remove")], more].concat() {
        let page = elsewhere.get(gateway, "/account/factors").await;
        let ask = Ask::of(&page, "/account/factors");
        let call = ask.call(&phone.get(&ask.options), &[("change", &change)]);
        let refused = send(&mut elsewhere, gateway, call.clone()).await;
        assert!(refused.text().contains(NOT_ENOUGH), "{}", refused.text());
        let denied = last(&gateway.audit(&["--user", &nils.name]), event);
        assert_eq!(denied["decision"]["reason"], "hardware-key-needed");
        let again = send(&mut elsewhere, gateway, call).await;
        assert!(again.text().contains("That passkey did not do"), "it is used up: {}", again.text());
    }
    assert_eq!(passkeys_of(gateway, &nils), 2);
    let page = elsewhere.follow(gateway, &start).await;
    // After the password the browser is asked for the key alone.
    let filled = [("username", nils.name.as_str()), ("password", nils.password.as_str())];
    let page = elsewhere.submit(gateway, &page, &filled).await;
    let ask = Ask::of(&page, "/login/passkey");
    let options: Value = serde_json::from_str(&ask.options).unwrap();
    assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1);
    let page = send(&mut elsewhere, gateway, ask.call(&key.get(&ask.options), &[])).await;
    assert!(!page.text().contains(NOT_ENOUGH), "{}", page.text());
    // A key that is enough for more is enough for less, and any of them will do there.
    let (mut home, ask) = at_sign_in(gateway).await;
    key.sign_count = 9;
    assert!(is_signed_in(&send(&mut home, gateway, ask.call(&key.get(&ask.options), &[])).await));
    // Once it is out of use nothing less takes its place, and its person is told whom to ask.
    key.sign_count = 3;
    assert!(!is_signed_in(&sign_in(gateway, &mut key).await.1));
    let mut browser = Browser::default();
    let page = browser.follow(gateway, &start).await;
    let ask = Ask::of(&page, "/login/passkey");
    let page = send(&mut browser, gateway, ask.call(&phone.get(&ask.options), &[])).await;
    assert!(
        page.text().contains("your hardware key is out of use: ask your administrator"),
        "{}",
        page.text()
    );
}

#[tokio::test]
async fn a07_where_hardware_is_needed_nothing_less_confirms_a_change() {
    let gateway = &Gateway::demo("hardware-keys-changes", &[]);
    let (pia, maker) = (gateway.demo_person("pia"), Maker::new("Keys of tests"));
    let mut browser = Browser::default();
    browser.sign_in(gateway, &pia).await;
    let page = browser.get(gateway, "/account/factors").await;
    let fields = [("password", pia.password.as_str()), ("change", "add-passkey")];
    let page = browser.submit(gateway, &page, &fields).await;
    let mut phone = soft(gateway, 1);
    let ask = Ask::of(&page, "/login/new-passkey");
    let page = send(&mut browser, gateway, ask.call(&phone.create(&ask.options), &[])).await;
    let (codes, page) = after_making(gateway, &mut browser, page).await;
    let ask = Ask::of(&page, "/login/passkey");
    let settings = send(&mut browser, gateway, ask.call(&phone.get(&ask.options), &[])).await;
    assert!(settings.text().contains("type=\"password\""), "{}", settings.text());
    let is_out = async || browser.clone().get(gateway, "/account").await.status == 303;
    believe(gateway, &maker, MODEL_NAME, is_out).await;
    // The passkey that they have is enough to add the key that they need.
    let (mut browser, page) = sign_in(gateway, &mut phone).await;
    assert!(page.text().contains(NEEDED), "{}", page.text());
    let mut key = hardware(gateway, &maker, 2);
    let page = add(gateway, &mut browser, &page, &mut key).await;
    assert!(is_signed_in(&page), "{}", page.text());
    let page = browser.get(gateway, "/account/factors").await;
    let ask = Ask::of(&page, "/account/factors");
    let options: Value = serde_json::from_str(&ask.options).unwrap();
    assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1);
    let refused =
        send(&mut browser, gateway, ask.call(&phone.get(&ask.options), &[("change", "add-passkey")])).await;
    assert!(refused.text().contains(NOT_ENOUGH), "{}", refused.text());
    let denied = || last(&gateway.audit(&["--user", &pia.name]), "factor.add");
    assert_eq!(denied()["decision"]["reason"], "hardware-key-needed");
    // Nor do password and code, whatever is changed; nobody is asked for them.
    let code = codes[0].replace('-', "");
    let with = |change| [("password", pia.password.as_str()), ("code", &code), ("change", change)];
    for (place, wish, event) in [
        ("/account/factors", "recovery", "factor.recovery-codes"),
        ("/account/factors", "add", "factor.add"),
        ("/approve/phone", "add", "factor.add"),
    ] {
        let page = browser.get(gateway, place).await;
        assert!(!page.text().contains("type=\"password\""), "{}", page.text());
        let call = Ask::of(&page, place).call("", &with(wish));
        let refused = send(&mut browser, gateway, call).await;
        assert!(refused.text().contains("That takes your hardware key, and nothing else"), "{place} {wish}");
        let denied = last(&gateway.audit(&["--user", &pia.name]), event);
        assert_eq!(denied["decision"]["reason"], "hardware-key-needed", "{place} {wish}");
        assert_eq!(denied["outcome"], "deny");
    }
    let page = browser.get(gateway, "/account/factors").await;
    let ask = Ask::of(&page, "/account/factors");
    let call = ask.call(&key.get(&ask.options), &[("change", "add-passkey")]);
    let page = send(&mut browser, gateway, call).await;
    assert!(page.text().contains("action=\"/login/new-passkey\""), "{}", page.text());
    // Nobody typed a password for the next one, and nobody says so.
    let mut second = hardware(gateway, &maker, 3);
    let settings = add(gateway, &mut browser, &page, &mut second).await;
    assert!(settings.text().contains("It is kept by hardware"), "{}", settings.text());
    let signed_in = last(&gateway.audit(&["--user", &pia.name]), "login");
    assert_eq!(signed_in["amr"], json!(["pop", "hwk", "user", "mfa"]));
}

/// The button that removes the passkey which was added last.
fn newest_removal(page: &Answer) -> String {
    let (_, rest) = page.text().rsplit_once("value=\"remove-").unwrap();
    format!("remove-{}", rest.split('"').next().unwrap())
}

/// Where a passkey can be added in place of an application.
fn passkey_instead(page: &Answer) -> Option<String> {
    let (_, rest) = page.text().split_once("<a href=\"/login/new-passkey?")?;
    Some(format!("/login/new-passkey?{}", rest.split('"').next().unwrap().replace("&#38;", "&")))
}

async fn knows_hardware(gateway: &Gateway) -> bool {
    let discovery = Call::get("/.well-known/openid-configuration").to(gateway).await.json();
    discovery["acr_values_supported"].as_array().unwrap().len() == 3
}

/// Sends the form in which factors are changed.
async fn change(gateway: &Gateway, browser: &mut Browser, fields: &[(&str, &str)]) -> Answer {
    let page = browser.get(gateway, "/account/factors").await;
    let ask = Ask::of(&page, "/account/factors");
    send(browser, gateway, ask.call("", fields)).await
}

#[tokio::test]
async fn a07_an_application_that_a_code_is_enough_for_is_no_door_to_a_further_passkey() {
    let gateway = &Gateway::demo("hardware-keys-door", &[]);
    let (nils, maker) = (gateway.demo_person("nils"), Maker::new("Keys of tests"));
    believe(gateway, &maker, MODEL_NAME, async || knows_hardware(gateway).await).await;
    let mut browser = Browser::default();
    browser.sign_in(gateway, &nils).await;
    let password = ("password", nils.password.as_str());
    // With nothing but a password, the one is as good as the other.
    let page = browser.get(gateway, "/account/factors").await;
    let page = browser.submit(gateway, &page, &[password, ("change", "add")]).await;
    let door = passkey_instead(&page).expect("whoever has none may");
    let page = browser.follow(gateway, &door).await;
    let ask = Ask::of(&page, "/login/new-passkey");
    let mut key = hardware(gateway, &maker, 1);
    let page = send(&mut browser, gateway, ask.call(&key.create(&ask.options), &[])).await;
    let (codes, page) = after_making(gateway, &mut browser, page).await;
    let ask = Ask::of(&page, "/login/passkey");
    let settings = send(&mut browser, gateway, ask.call(&key.get(&ask.options), &[])).await;
    assert!(settings.text().contains("It is kept by hardware"), "{}", settings.text());

    // Whoever sits there with the password and a code may add an application, and no key of their own.
    let fields = [password, ("code", codes[0].as_str()), ("change", "add")];
    let page = change(gateway, &mut browser, &fields).await;
    assert!(page.text().contains("action=\"/login/factor\""), "{}", page.text());
    assert_eq!(passkey_instead(&page), None);
    let (_, hidden) = form_of(&page);
    let mut fields: Vec<_> = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let door = format!("/login/new-passkey?{}", encode(&fields));
    assert_eq!(browser.get(gateway, &door).await.status, 400);
    fields.push(("credential", "{}"));
    assert_eq!(send(&mut browser, gateway, Call::form("/login/new-passkey", &fields)).await.status, 400);
    assert_eq!(passkeys_of(gateway, &nils), 1);

    // A configuration that is not used changes nothing of what is believed.
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    let other = text.replace(MODEL_NAME, "eeeeeeee-0000-0000-0000-000000000001");
    std::fs::write(gateway.folder().join("nobody.pem"), "nobody").unwrap();
    let refused = other.replace("[tls]", "[tls]\nclient_ca = \"nobody.pem\"");
    assert_ne!(refused, other);
    std::fs::write(gateway.config(), refused).unwrap();
    gateway.hang_up();
    let begun = Instant::now();
    while !gateway.output().contains("the new configuration is not used") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", gateway.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let settings = browser.get(gateway, "/account/factors").await;
    assert!(settings.text().contains("It is kept by hardware"), "{}", settings.text());
}
