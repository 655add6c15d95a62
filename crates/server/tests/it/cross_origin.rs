//! Pages that register themselves from a browser, from another origin. Fetch standard, "CORS protocol"; RFC 7591, RFC 7592.

use serde_json::json;

use crate::dynamic_registration::{INVITED, OPEN, metadata, register, registered, serve, text};
use crate::wire::Call;

const ALLOWED: &str = "access-control-allow-origin";
const PAGE: &str = "https://app.example.org";

fn ask(path: &str, method: &str, origin: &str) -> Call {
    Call::new("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "authorization,content-type")
}

#[tokio::test]
async fn a_page_registers_and_manages_from_where_browsers_may_be_sent_and_from_nowhere_else() {
    let gateway = serve("cors-open", OPEN, 9);
    for origin in [PAGE, "http://localhost:6274", "http://127.0.0.1:6274"] {
        for (path, method) in
            [("/register", "POST"), ("/register/x", "GET"), ("/register/x", "PUT"), ("/register/x", "DELETE")]
        {
            let answer = ask(path, method, origin).to(&gateway).await;
            assert_eq!((answer.status, answer.header(ALLOWED)), (204, origin), "{path} {method}");
            assert!(answer.header("access-control-allow-methods").contains(method), "{path}");
            assert!(answer.header("access-control-allow-headers").contains("content-type"), "{path}");
            assert_eq!(answer.header("access-control-allow-credentials"), "", "no cookie goes along");
        }
    }
    for stranger in [
        "https://evil.example",
        "https://app.example.org.evil.example",
        "https://app.example.org:8443",
        "https://App.example.org",
        "http://app.example.org",
        "http://localhost.evil.example",
        "https://localhost:6274",
        "org.example.app:",
        "null",
        "*",
    ] {
        let answer = ask("/register", "POST", stranger).to(&gateway).await;
        assert!(answer.status >= 400 && answer.header(ALLOWED).is_empty(), "{stranger}: {}", answer.status);
        let answer = register(&json!({})).header("origin", stranger).to(&gateway).await;
        assert_eq!(answer.header(ALLOWED), "", "{stranger}: a page of theirs cannot read it");
    }
    // None of the others is opened by it.
    assert_eq!(ask("/token", "POST", PAGE).to(&gateway).await.header(ALLOWED), "");
    assert_eq!(ask("/registers", "POST", PAGE).to(&gateway).await.header(ALLOWED), "");

    let answer = register(&json!({})).header("origin", PAGE).to(&gateway).await;
    assert_eq!((answer.header(ALLOWED), answer.header("vary")), (PAGE, "origin"));
    let told = registered(&answer);
    let refused = register(&json!({ "redirect_uris": [] })).header("origin", PAGE).to(&gateway).await;
    assert_eq!((refused.error().as_str(), refused.header(ALLOWED)), ("invalid_redirect_uri", PAGE));
    let id = text(&told, "client_id");
    let place = format!("/register/{id}");
    let mut token = text(&told, "registration_access_token").to_owned();
    let read = Call::get(&place).bearer(&token).header("origin", PAGE).to(&gateway).await;
    assert_eq!((read.status, read.header(ALLOWED)), (200, PAGE));
    let body = metadata(&json!({ "client_id": id })).to_string();
    let change =
        Call::new("PUT", &place).bearer(&token).header("origin", PAGE).body("application/json", body);
    let changed = change.to(&gateway).await;
    assert_eq!((changed.status, changed.header(ALLOWED)), (200, PAGE), "{}", changed.text());
    token = text(&changed.json(), "registration_access_token").to_owned();
    let removed = Call::new("DELETE", &place).bearer(&token).header("origin", PAGE).to(&gateway).await;
    assert_eq!((removed.status, removed.header(ALLOWED)), (204, PAGE));
}

#[tokio::test]
async fn where_nobody_may_register_no_page_may_and_a_registered_one_may_where_somebody_may() {
    let add = ["client", "add", "page", "--kind", "public", "--scope", "openid", "--redirect-uri"];
    let callback = format!("{PAGE}/callback");
    let off = serve("cors-off", "", 9);
    off.command(&[&add[..], &[&callback]].concat());
    assert_eq!(ask("/token", "POST", PAGE).to(&off).await.status, 204, "it is registered");
    for path in ["/register", "/register/page"] {
        let answer = ask(path, "POST", PAGE).to(&off).await;
        assert!(answer.status >= 400 && answer.header(ALLOWED).is_empty(), "{path}: {}", answer.status);
    }
    let narrow = format!("{INVITED}redirect_hosts = [\"loopback\"]\n");
    let invited = serve("cors-invited", &narrow, 9);
    assert_eq!(ask("/register", "POST", "http://127.0.0.1:1").to(&invited).await.status, 204);
    assert!(ask("/register", "POST", PAGE).to(&invited).await.status >= 400);
    invited.command(&[&add[..], &[&callback]].concat());
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(ask("/register", "POST", PAGE).to(&invited).await.status, 204);
    // Where an invitation is asked for and nobody said which places, whoever has one may be anywhere.
    let anywhere = serve("cors-anywhere", INVITED, 9);
    assert_eq!(ask("/register", "POST", PAGE).to(&anywhere).await.status, 204);
    let answer = register(&json!({})).header("origin", PAGE).to(&anywhere).await;
    assert_eq!((answer.status, answer.header(ALLOWED)), (401, PAGE));
}
