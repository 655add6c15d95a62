//! Redirect URIs that name `localhost`: RFC 8252 section 8.3, row O01 of the corpus, and what programs that speak the Model
//! Context Protocol register.

use serde_json::{Value, json};

use crate::browser::{Browser, Tokens, VERIFIER};
use crate::dynamic_registration::{
    INVITED, OPEN, app, invite, metadata, register, registered, serve, shown, text,
};
use crate::gateway::Gateway;
use crate::wire::{Answer, Call, encode};

const HERE: &str = "http://localhost:33418/callback";
/// What looks like it, or is it by another port.
const OTHERS: [&str; 10] = [
    "http://localhost:33419/callback",
    "http://localhost/callback",
    "http://localhost:33418/callback/",
    "http://localhost:33418/callback?more=1",
    "http://LOCALHOST:33418/callback",
    "http://localhost.:33418/callback",
    "http://localhost.evil.example/",
    "http://localhost:33418@evil.example/callback",
    "http://127.0.0.1:33418/callback",
    "https://localhost:33418/callback",
];

fn start(gateway: &Gateway, told: &Value, uri: &str) -> String {
    let mut request = app(told).request(gateway);
    request.retain(|(name, _)| *name != "redirect_uri");
    request.push(("redirect_uri", uri.to_owned()));
    let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
    format!("/authorize?{}", encode(&fields))
}

fn refused(answer: &Answer) {
    assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_redirect_uri"), "{}", answer.text());
}

#[tokio::test]
async fn o01_localhost_is_matched_to_the_letter_and_by_no_other_port() {
    let gateway = serve("localhost-open", OPEN, 9);
    let told = registered(&register(&json!({ "redirect_uris": [HERE] })).to(&gateway).await);
    assert_eq!(told["redirect_uris"], json!([HERE]));
    let bea = gateway.person("billing", &[]);
    for other in OTHERS {
        let answer = Call::get(&start(&gateway, &told, other)).to(&gateway).await;
        assert_eq!((answer.status, answer.header("location")), (400, ""), "{other}");
    }
    let back = Browser::default().lead(&gateway, &start(&gateway, &told, HERE), &bea, None).await;
    assert_eq!(back.target, HERE);
    let code = back.get("code").unwrap();
    let exchange = |uri| {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", uri),
            ("code_verifier", VERIFIER),
        ];
        app(&told).token_call(&fields)
    };
    Tokens::of(&exchange(HERE).to(&gateway).await);

    // By an address of the machine a registration without a port means any, by its name it means what it says.
    let told =
        registered(&register(&json!({ "redirect_uris": ["http://localhost/callback"] })).to(&gateway).await);
    let status = async |uri: &str| Call::get(&start(&gateway, &told, uri)).to(&gateway).await.status;
    assert_eq!((status("http://localhost/callback").await, status(HERE).await), (303, 400));
}

#[tokio::test]
async fn localhost_is_for_public_clients_whoever_registers_them() {
    let gateway = serve("localhost-invited", INVITED, 9);
    let words = ["--uses", "9", "--auth-method", "none", "--auth-method", "client_secret_basic"];
    let invitation = invite(&gateway, &[&words[..], &["--redirect-host", "loopback"]].concat());
    let bearer = text(&invitation, "initial_access_token");
    let ask = |changes: Value| register(&changes).bearer(bearer);
    let told = registered(&ask(json!({ "redirect_uris": [HERE] })).to(&gateway).await);
    let secretive = json!({ "redirect_uris": [HERE], "token_endpoint_auth_method": "client_secret_basic" });
    refused(&ask(secretive).to(&gateway).await);
    // Nor by a change, and a place that was not given is not given by this name.
    let by_address = json!({ "redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": "client_secret_basic" });
    let keeps = registered(&ask(by_address).to(&gateway).await);
    let id = text(&keeps, "client_id");
    let mut changed = metadata(
        &json!({ "redirect_uris": [HERE], "client_id": id, "token_endpoint_auth_method": "client_secret_basic" }),
    );
    let change = |body: &Value| {
        Call::new("PUT", &format!("/register/{id}"))
            .bearer(text(&keeps, "registration_access_token"))
            .body("application/json", body.to_string())
    };
    refused(&change(&changed).to(&gateway).await);
    changed["redirect_uris"] = json!(["http://127.0.0.1/cb"]);
    assert_eq!(change(&changed).to(&gateway).await.status, 200);
    let elsewhere = invite(&gateway, &["--auth-method", "none", "--redirect-host", "app.example.org"]);
    let asked =
        register(&json!({ "redirect_uris": [HERE] })).bearer(text(&elsewhere, "initial_access_token"));
    refused(&asked.to(&gateway).await);
    assert_eq!(shown(&gateway, text(&told, "client_id"))["redirect_uris"], json!([HERE]));

    // By hand.
    let add = |id, kind, uri| {
        let words = ["client", "add", id, "--kind", kind, "--scope", "openid", "--redirect-uri", uri];
        gateway.try_command(&words)
    };
    assert_eq!(add("by-hand", "public", HERE).code, Some(0));
    for uri in [HERE, "http://localhost/"] {
        let done = add("web", "confidential", uri);
        assert!(done.code == Some(1) && done.err.contains("public clients"), "{done:?}");
    }
    for uri in [
        "http://LOCALHOST/cb",
        "http://localhost.evil.example/",
        "http://u@localhost/cb",
        "http://localhost:0/",
    ] {
        assert_eq!(add("other", "public", uri).code, Some(2), "{uri}");
    }
}
