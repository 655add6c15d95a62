//! A person at a browser: cookies, forms with their hidden fields, redirects. And what the application behind does.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartgate_protocol::form::Form;
use chartgate_protocol::jose::{SigningKey, jws};
use serde_json::{Value, json};

use crate::gateway::{Gateway, Person};
use crate::parallel::{FIFTY, at_once};
use crate::wire::{Answer, Call, encode};

/// Where applications of the demo wait for their code: loopback, any port.
pub(crate) const CALLBACK: &str = "http://127.0.0.1:9999/callback";
/// RFC 7636 appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A browser with its cookies.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) async fn send(&mut self, gateway: &Gateway, call: Call) -> Answer {
        let answer = self.with_cookies(call).to(gateway).await;
        for set in answer.headers.get_all("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    fn with_cookies(&self, call: Call) -> Call {
        let line: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if line.is_empty() { call } else { call.header("cookie", &line.join("; ")) }
    }

    /// Ends what ends with it: all but what it was told to keep.
    pub(crate) fn close(&mut self) {
        self.cookies.retain(|name, _| ["__Host-known", "__Host-phone"].contains(&name.as_str()));
    }

    pub(crate) async fn get(&mut self, gateway: &Gateway, path: &str) -> Answer {
        self.send(gateway, Call::get(path)).await
    }

    /// Goes where redirects lead, as long as it is here.
    pub(crate) async fn follow(&mut self, gateway: &Gateway, path: &str) -> Answer {
        let mut answer = self.get(gateway, path).await;
        while answer.status == 303 && answer.header("location").starts_with('/') {
            let next = answer.header("location").to_owned();
            answer = self.get(gateway, &next).await;
        }
        answer
    }

    /// Sends the form of a page with some fields filled in, and goes where that leads.
    pub(crate) async fn submit(
        &mut self,
        gateway: &Gateway,
        page: &Answer,
        filled: &[(&str, &str)],
    ) -> Answer {
        let answer = self.submit_only(gateway, page, filled).await;
        match answer.header("location") {
            here if answer.status == 303 && here.starts_with('/') => {
                let here = here.to_owned();
                self.follow(gateway, &here).await
            }
            _ => answer,
        }
    }

    /// The same without going on.
    pub(crate) async fn submit_only(
        &mut self,
        gateway: &Gateway,
        page: &Answer,
        filled: &[(&str, &str)],
    ) -> Answer {
        self.send(gateway, filled_in(page, filled)).await
    }

    /// Sends a page's form fifty times at once, as so many windows would.
    pub(crate) async fn submit_at_once(
        &self,
        gateway: &Gateway,
        page: &Answer,
        filled: &[(&str, &str)],
    ) -> Vec<Answer> {
        at_once(gateway, FIFTY, |_| self.with_cookies(filled_in(page, filled))).await
    }

    /// Goes through the pages that an authorization request leads to, up to the redirect back.
    pub(crate) async fn lead(
        &mut self,
        gateway: &Gateway,
        start: &str,
        person: &Person,
        patient: Option<&str>,
    ) -> Redirect {
        let mut page = self.follow(gateway, start).await;
        for _ in 0..6 {
            if page.status == 303 {
                return Redirect::of(&page);
            }
            assert_eq!(page.status, 200, "{}", page.text());
            let text = page.text();
            let filled: &[(&str, &str)] = if text.contains("name=\"password\"") {
                &[("username", &person.name), ("password", &person.password)]
            } else if text.contains("action=\"/login/patient\"") {
                &[("patient", patient.unwrap_or_default())]
            } else {
                &[("decision", "approve")]
            };
            page = self.submit(gateway, &page, filled).await;
        }
        panic!("the pages do not end: {}", page.text());
    }

    /// Signs in at `/login`, with no application waiting.
    pub(crate) async fn sign_in(&mut self, gateway: &Gateway, person: &Person) -> Answer {
        let page = self.follow(gateway, "/login").await;
        self.submit(gateway, &page, &[("username", &person.name), ("password", &person.password)]).await
    }
}

/// The form of a page with some fields filled in.
fn filled_in(page: &Answer, filled: &[(&str, &str)]) -> Call {
    let (action, hidden) = form_of(page);
    let mut fields: Vec<(&str, &str)> =
        hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.extend(filled);
    Call::form(&action, &fields)
}

/// Where the form of a page goes, and its hidden fields.
pub(crate) fn form_of(page: &Answer) -> (String, Vec<(String, String)>) {
    let text = page.text();
    let between = |text: &str, before: &str, after: &str| {
        let (_, rest) = text.split_once(before)?;
        rest.split_once(after).map(|(found, _)| found.to_owned())
    };
    let action = between(text, "<form method=\"post\" action=\"", "\"")
        .unwrap_or_else(|| panic!("no form: {} {text}", page.status));
    let first = text.split("</form>").next().unwrap();
    let hidden = first
        .split("<input type=\"hidden\" ")
        .skip(1)
        .map(|input| (between(input, "name=\"", "\"").unwrap(), between(input, "value=\"", "\"").unwrap()));
    (action, hidden.collect())
}

/// An application that lets a person sign in.
#[derive(Clone, Debug)]
pub(crate) struct App<'a> {
    pub(crate) client: &'a str,
    pub(crate) secret: Option<&'a str>,
    pub(crate) scope: &'a str,
    /// Whom the person picks, where they are asked.
    pub(crate) patient: Option<&'a str>,
    /// The route that the tokens shall be good for.
    pub(crate) route: &'a str,
}

/// What every application of a physician asks for, in the order in which it is granted.
pub(crate) const USER_SCOPE: &str = "fhirUser openid user/*.cruds";

impl<'a> App<'a> {
    /// The public one.
    pub(crate) fn public(scope: &'a str) -> Self {
        Self { client: "demo-app", secret: None, scope, patient: None, route: "/fhir" }
    }

    /// The confidential one.
    pub(crate) fn web(gateway: &'a Gateway, scope: &'a str) -> Self {
        Self {
            client: "demo-web",
            secret: Some(gateway.secret("demo-web")),
            scope,
            patient: None,
            route: "/fhir",
        }
    }

    /// The authorization request, before anything is changed about it.
    pub(crate) fn request(&self, gateway: &Gateway) -> Vec<(&'static str, String)> {
        vec![
            ("response_type", "code".to_owned()),
            ("client_id", self.client.to_owned()),
            ("redirect_uri", CALLBACK.to_owned()),
            ("scope", self.scope.to_owned()),
            ("state", "state-of-the-app".to_owned()),
            ("aud", format!("{}{}", gateway.issuer, self.route)),
            ("code_challenge", CHALLENGE.to_owned()),
            ("code_challenge_method", "S256".to_owned()),
        ]
    }

    /// Leads a person through the pages, up to the redirect back.
    pub(crate) async fn authorize(
        &self,
        gateway: &Gateway,
        browser: &mut Browser,
        person: &Person,
    ) -> Redirect {
        let request = self.request(gateway);
        let fields: Vec<(&str, &str)> = request.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.authorize_with(gateway, browser, person, &fields).await
    }

    /// Its request pushed, by a client that shows with a key who it is.
    pub(crate) fn push_by_key(&self, gateway: &Gateway, key: &SigningKey, jti: &str) -> Call {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let claims = json!({
            "iss": self.client, "sub": self.client, "aud": gateway.issuer, "exp": now.saturating_add(200), "jti": jti,
        });
        let assertion = jws::sign(key, "JWT", &claims).unwrap();
        let request = self.request(gateway);
        let mut fields: Vec<(&str, &str)> =
            request.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        fields.extend([("client_assertion_type", kind), ("client_assertion", &assertion)]);
        Call::form("/par", &fields)
    }

    pub(crate) async fn authorize_with(
        &self,
        gateway: &Gateway,
        browser: &mut Browser,
        person: &Person,
        fields: &[(&str, &str)],
    ) -> Redirect {
        let start = format!("/authorize?{}", encode(fields));
        browser.lead(gateway, &start, person, self.patient).await
    }

    /// A code for a person, in a browser of its own.
    pub(crate) async fn code(&self, gateway: &Gateway, person: &Person) -> String {
        let redirect = self.authorize(gateway, &mut Browser::default(), person).await;
        redirect.get("code").unwrap_or_else(|| panic!("no code: {redirect:?}"))
    }

    /// A request to the token endpoint, by this client in its own way.
    pub(crate) fn token_call(&self, fields: &[(&str, &str)]) -> Call {
        self.call("/token", fields)
    }

    pub(crate) fn call(&self, path: &str, fields: &[(&str, &str)]) -> Call {
        match self.secret {
            Some(secret) => Call::form(path, fields).basic(self.client, secret),
            None => Call::form(path, &[fields, &[("client_id", self.client)]].concat()),
        }
    }

    pub(crate) fn exchange_call(&self, code: &str) -> Call {
        let grant = ("grant_type", "authorization_code");
        self.token_call(&[grant, ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)])
    }

    pub(crate) fn refresh_call(&self, refresh_token: &str) -> Call {
        self.token_call(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)])
    }

    /// The whole way: a person signs in, the application has its tokens.
    pub(crate) async fn tokens(&self, gateway: &Gateway, person: &Person) -> Tokens {
        self.tokens_in(gateway, &mut Browser::default(), person).await
    }

    pub(crate) async fn tokens_in(
        &self,
        gateway: &Gateway,
        browser: &mut Browser,
        person: &Person,
    ) -> Tokens {
        let redirect = self.authorize(gateway, browser, person).await;
        let code = redirect.get("code").unwrap_or_else(|| panic!("no code: {redirect:?}"));
        Tokens::of(&self.exchange_call(&code).to(gateway).await)
    }
}

/// Where a browser is sent in the end, taken apart.
#[derive(Debug)]
pub(crate) struct Redirect {
    pub(crate) target: String,
    /// All of it.
    pub(crate) location: String,
    parameters: BTreeMap<String, String>,
}

impl Redirect {
    pub(crate) fn of(answer: &Answer) -> Self {
        let location = answer.header("location");
        let (target, query) = location.split_once('?').unwrap_or((location, ""));
        let form = Form::parse(query).unwrap();
        let parameters = form.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { target: target.to_owned(), location: location.to_owned(), parameters: parameters.collect() }
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.parameters.get(name).cloned()
    }
}

/// A token answer.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) answer: Value,
}

impl Tokens {
    pub(crate) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        Self { access: answer["access_token"].as_str().unwrap().to_owned(), answer }
    }

    pub(crate) fn refresh(&self) -> &str {
        self.answer["refresh_token"].as_str().unwrap()
    }

    pub(crate) fn claims(&self) -> Value {
        part(&self.access, 1)
    }

    pub(crate) fn jti(&self) -> String {
        self.claims()["jti"].as_str().unwrap().to_owned()
    }

    pub(crate) fn session(&self) -> String {
        self.claims()["sid"].as_str().unwrap().to_owned()
    }
}

/// Header (0) or payload (1) of a JWT.
pub(crate) fn part(token: &str, number: usize) -> Value {
    let text = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}
