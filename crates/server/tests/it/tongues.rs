//! Pages in the language of whoever reads them. OpenID Connect Core section 3.1.2.1, RFC 9110 sections 8.5 and 12.5.4.

use crate::browser::{App, Browser};
use crate::gateway::{Gateway, Person};
use crate::shared;
use crate::wire::{Answer, Call, encode};

/// Says that its person reads this.
fn reading(call: Call, languages: &str) -> Call {
    call.header("accept-language", languages)
}

fn is_in(language: &str, page: &Answer) -> bool {
    let is_marked = page.text().contains(&format!("<html lang=\"{language}\">"));
    assert_eq!(is_marked, page.header("content-language") == language, "{}", page.text());
    assert_eq!(page.header("vary"), "accept-language, cookie");
    is_marked
}

/// Words that no sentence in Spanish has, outside of what is marked as English.
fn is_spanish(page: &Answer) {
    assert!(is_in("es", page), "{}", page.text());
    let text = page.text().split_once("<main>").unwrap().1;
    let english = text.split_once(" lang=\"en\"").map_or(text, |(before, _)| before);
    let shown: String = english
        .split('<')
        .flat_map(|part| part.split_once('>').map(|(_, text)| text))
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase();
    for word in shown.split(|letter: char| !letter.is_alphabetic()) {
        assert!(
            !["the", "you", "your", "of", "and", "is", "sign", "with"].contains(&word),
            "{word} in {shown}"
        );
    }
}

fn start(gateway: &Gateway, more: &[(&str, &str)]) -> String {
    let request = App::public("openid launch/patient patient/*.rs").request(gateway);
    let mut fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.extend(more);
    format!("/authorize?{}", encode(&fields))
}

#[tokio::test]
async fn a_page_is_in_the_language_that_its_browser_says() {
    let gateway = shared::demo();
    let page = async |languages: &str| reading(Call::get("/login"), languages).to(gateway).await;
    assert!(is_in("en", &Call::get("/login").to(gateway).await));
    let spanish = page("es-MX, es;q=0.9, en;q=0.5").await;
    assert!(is_in("es", &spanish));
    assert!(spanish.text().contains("<h1>Iniciar sesión</h1>"), "{}", spanish.text());
    assert!(spanish.text().contains("Contraseña</label>"));
    for languages in ["en, es", "es;q=0.4, en", "fr", "*", "es; q", "es;q=0"] {
        assert!(is_in("en", &page(languages).await), "{languages}");
    }
}

#[tokio::test]
async fn what_an_application_asks_for_is_kept_through_the_sign_in_and_no_longer() {
    let gateway = shared::demo();
    let person = gateway.demo_person("dana");
    let mut browser = Browser::default();
    let page = browser
        .follow(gateway, &start(gateway, &[("ui_locales", "fr-CA es en"), ("prompt", "consent")]))
        .await;
    assert!(page.text().contains("Iniciar sesión"), "{}", page.text());
    is_spanish(&page);
    let wrong = browser.submit(gateway, &page, &[("username", &person.name), ("password", "x")]).await;
    assert!(
        wrong.text().contains("El nombre de usuario o la contraseña no son correctos."),
        "{}",
        wrong.text()
    );
    let picker =
        browser.submit(gateway, &wrong, &[("username", &person.name), ("password", &person.password)]).await;
    assert!(picker.text().contains("Elegir paciente"), "{}", picker.text());
    is_spanish(&picker);
    let patient = gateway.patients()[0];
    let consent = browser.submit(gateway, &picker, &[("patient", patient)]).await;
    assert!(consent.text().contains("¿Permitir el acceso?"), "{}", consent.text());
    assert!(
        consent.text().contains("Ver y buscar cualquier dato de la historia clínica del paciente elegido")
    );
    is_spanish(&consent);
    // One that asks for none of ours speaks as the browser does.
    let page = browser.follow(gateway, &start(gateway, &[("ui_locales", "se"), ("prompt", "login")])).await;
    assert!(is_in("en", &page), "{}", page.text());
    assert_eq!(browser.cookies.get("__Host-language"), None);
}

#[tokio::test]
async fn a_request_that_may_show_nothing_changes_no_language() {
    let gateway = shared::demo();
    let mut browser = Browser::default();
    browser.get(gateway, &start(gateway, &[("ui_locales", "es")])).await;
    assert_eq!(browser.cookies["__Host-language"], "es");
    browser.get(gateway, &start(gateway, &[("prompt", "none")])).await;
    assert_eq!(browser.cookies["__Host-language"], "es");
    browser.get(gateway, &start(gateway, &[("ui_locales", "en"), ("prompt", "none")])).await;
    assert_eq!(browser.cookies["__Host-language"], "es");
}

#[tokio::test]
async fn pushed_requests_ask_for_languages_too() {
    let gateway = shared::demo();
    let app = App::web(gateway, "openid user/*.rs");
    let mut request = app.request(gateway);
    request.push(("ui_locales", "es-419".to_owned()));
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let pushed = app.call("/par", &fields).to(gateway).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    let fields = [("client_id", app.client), ("request_uri", uri.as_str())];
    let page = Browser::default().follow(gateway, &format!("/authorize?{}", encode(&fields))).await;
    is_spanish(&page);
}

async fn signed_in(gateway: &Gateway, person: &Person) -> Browser {
    let mut browser = Browser::default();
    browser.sign_in(gateway, person).await;
    browser
}

#[tokio::test]
async fn every_page_of_an_account_is_in_spanish() {
    let gateway = shared::demo();
    let mut browser = signed_in(gateway, &gateway.person("physician", &[])).await;
    for path in [
        "/account",
        "/account/factors",
        "/account/sessions",
        "/account/accesses",
        "/account/apps",
        "/approve",
        "/approve/phone",
        "/approve/question?id=0000000000000000000000000000000000000000",
        "/emergency",
        "/device",
        "/login/code",
        "/login/enrol?token=x",
        "/end-session?state=%",
    ] {
        let page = browser.send(gateway, reading(Call::get(path), "es")).await;
        assert_ne!(page.status, 303, "{path}");
        is_spanish(&page);
    }
}

#[tokio::test]
async fn pages_that_are_a_sentence_are_said_to_whoever_asked() {
    let gateway = shared::demo();
    let said = async |path: &str| reading(Call::get(path), "es").to(gateway).await;
    let stale = said("/login?request=nothing").await;
    assert_eq!(stale.status, 400);
    assert!(stale.text().contains("<h1>Esta página ya no está disponible</h1>"), "{}", stale.text());
    is_spanish(&stale);
    let unknown = said("/authorize?client_id=nobody").await;
    assert!(unknown.text().contains("<h1>Esta solicitud de inicio de sesión no es válida</h1>"));
    assert!(is_in("es", &unknown));
    // What is wrong with a request is for whoever wrote the application.
    assert!(unknown.text().contains("El motivo, en inglés: The application"), "{}", unknown.text());
    assert!(is_in("en", &Call::get("/authorize?client_id=nobody").to(gateway).await));
}

#[tokio::test]
async fn pages_of_privacy_officers_are_in_english_and_say_so() {
    let gateway = shared::demo();
    let mut browser = signed_in(gateway, &gateway.person("privacy-officer", &[])).await;
    for path in ["/emergency/reviews", "/watch/findings"] {
        let page = browser.send(gateway, reading(Call::get(path), "es")).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        assert!(is_in("en", &page));
    }
}

#[tokio::test]
async fn discovery_names_the_languages() {
    let discovery = Call::get("/.well-known/openid-configuration").to(shared::demo()).await.json();
    assert_eq!(discovery["ui_locales_supported"], serde_json::json!(["en", "es"]));
}
