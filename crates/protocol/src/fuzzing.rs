//! Entry points for fuzzing. They take any bytes; what they promise is that nothing panics, and that what is
//! accepted keeps the promises of its type.

use std::time::Duration;

use chartgate_values::{Secret, SeededEntropy, Timestamp};

use crate::base64url;
use crate::form::Form;
use crate::jose::claims::AccessTokenClaims;
use crate::jose::foreign_token::{ClaimPath, ForeignTokenVerifier, Mapped, Names};
use crate::jose::inspect::Inspector;
use crate::jose::jwe::{self, Ciphertext, Encrypted, Message, Recipient};
use crate::jose::{
    AccessTokenVerifier, Algorithm, Claimed, ContentEncryption, DecryptionKey, DecryptionKeySet,
    ExpectedAudience, KeyManagement, KeySet, Presentation, ProtectedTokenVerifier, Protection, ReaderKeys,
    Thumbprint, TokenType, jws,
};
use crate::json::{self, JsonError};
use crate::oauth::authorization::{Addressed, AuthorizationRequest};
use crate::oauth::authorization_details::AuthorizationDetail;
use crate::oauth::device::{DeviceAuthorizationRequest, UserCode};
use crate::oauth::dpop::{Credentials, Freshness, MAX_JTI_BYTES, ProofVerifier, ProvenRequest, TargetUri};
use crate::oauth::introspection::IntrospectionRequest;
use crate::oauth::mtls::{CertificateSubject, ClientCertificate, DistinguishedName, RegisteredCertificates};
use crate::oauth::request_object::{Holds, NotBefore, ObjectType, RequestObjectVerifier};
use crate::oauth::scope::ScopeSet;
use crate::oauth::token::TokenRequest;
use crate::oidc::ciba::BackchannelAuthenticationRequest;
use crate::oidc::logout::LogoutRequest;
use crate::revocations::{RevocationsRequest, RevocationsVerifier};

mod clients;
mod content;
mod fhir;
mod launch;
mod oidc;
mod sign_in;

pub use clients::fuzz_client_metadata;
pub use content::{fuzz_fhir_bulk, fuzz_fhir_content, fuzz_fhir_entries, fuzz_fhir_operation};
pub use fhir::{
    fuzz_fhir_batch, fuzz_fhir_bundle, fuzz_fhir_care, fuzz_fhir_consent, fuzz_fhir_mask, fuzz_fhir_patch,
    fuzz_fhir_url, fuzz_fhir_write, fuzz_smart_scope,
};
pub use launch::fuzz_launch_request;
pub use oidc::{fuzz_claims_request, fuzz_identity_provider, fuzz_logout_token};
pub use sign_in::{fuzz_languages, fuzz_passkey, fuzz_push_subscription, fuzz_sign_in_code};

/// Any text as a token: taken apart, verified, and its payload judged as if the signature were good.
pub fn fuzz_jws(data: &[u8]) {
    let (verifier, keys, now) = (verifier(), keys(), now());
    let line = Inspector { verifier: &verifier, keys: &keys, now }.line(data);
    assert!(serde_json::to_vec(&line).is_ok(), "a verdict is always written");
    if let Ok(object) = json::Object::parse(data, jws::MAX_JSON_DEPTH)
        && let Ok(claims) = verifier.accept(&object, Presentation::BEARER, now)
    {
        // Details may hold fractions, which serde_json does not read back to the last bit.
        let claims = AccessTokenClaims { authorization_details: Vec::new(), ..claims };
        let written = serde_json::to_vec(&claims).unwrap_or_default();
        let again = json::Object::parse(&written, jws::MAX_JSON_DEPTH)
            .map(|object| verifier.accept(&object, Presentation::BEARER, now));
        assert!(again == Ok(Ok(claims)), "accepted claims are written as they were read");
    }
    if let Ok(token) = std::str::from_utf8(data) {
        let _ = verifier.verify(token, &keys, Presentation::BEARER, now);
        let _ = Claimed::read(token);
    }
}

/// A way to claims in the first line and any claims after it, as another issuer's.
pub fn fuzz_foreign_token(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (line, claims) = data.split_at(end);
    let path = std::str::from_utf8(line).ok().and_then(|text| text.parse::<ClaimPath>().ok());
    let foreign = ForeignTokenVerifier {
        verifier: AccessTokenVerifier { token_type: TokenType::PlainJwt, ..verifier() },
        claims: path.into_iter().map(|path| (Mapped::Roles, path)).collect(),
        roles: Names::Same,
        scopes: Names::Same,
    };
    let Ok(object) = json::Object::parse(claims, jws::MAX_JSON_DEPTH) else { return };
    if let Ok(accepted) =
        foreign.accept(&object, "", Presentation::BEARER, Timestamp::from_unix(1_760_000_000))
    {
        assert_eq!(accepted.iss, foreign.verifier.issuer);
        assert_eq!(accepted.grant_id, None);
    }
}

/// Any text as an encrypted token; any bytes as a header, as a content, and as a private key.
pub fn fuzz_jwe(data: &[u8]) {
    let decrypting = decryption_keys();
    if let Ok(token) = std::str::from_utf8(data) {
        let protection = Protection::SignedAndEncrypted(ContentEncryption::ALL.to_vec());
        let verifier = ProtectedTokenVerifier { verifier: verifier(), protection };
        let keys = ReaderKeys { verifying: &keys(), decrypting: &decrypting };
        let _ = verifier.verify_signed(token, keys, Presentation::BEARER, now());
    }
    let read = |token: &str| {
        let token = Encrypted::parse(token, &ContentEncryption::ALL, usize::MAX)?;
        token.decrypt_with(&decrypting).map(|read| read.plaintext().to_vec())
    };
    for content in ContentEncryption::ALL {
        let Ok(key) = decrypting.get("kw") else { return };
        let message = Message { typ: None, cty: None, plaintext: data };
        let to = Recipient { key: key.encryption_key(), content };
        let token = jwe::encrypt(to, &message, &mut SeededEntropy::new(1));
        assert!(
            token.is_err() || token.is_ok_and(|token| read(&token).as_deref() == Ok(data)),
            "what was encrypted is read"
        );
    }
    let protected = base64url::encode(data);
    let sealed = ContentEncryption::A256Gcm.encrypt(&[0; 32], &[0; 12], protected.as_bytes(), b"content");
    if let Some(Ciphertext { iv, body, tag }) = sealed {
        let [iv, body, tag] = [iv, body, tag].map(|part| base64url::encode(&part));
        let token = format!("{protected}..{iv}.{body}.{tag}");
        let is_meant = Encrypted::parse(&token, &ContentEncryption::ALL, usize::MAX).is_ok_and(|token| {
            let header = token.header();
            header.kid.as_deref() == Some("dir")
                && header.management == KeyManagement::Direct(ContentEncryption::A256Gcm)
        });
        assert!(
            is_meant == (read(&token).as_deref() == Ok(b"content")),
            "a header is covered by its tag, whatever it is"
        );
    }
    let jwk = Secret::new(data.to_vec());
    for management in KeyManagement::ALL {
        if let Ok(key) = DecryptionKey::from_private_jwk(management, &jwk) {
            let again = key.to_private_jwk().map(|jwk| DecryptionKey::from_private_jwk(management, &jwk));
            let same = matches!(&again, Ok(Ok(again)) if again.kid() == key.kid() && again.public_jwk() == key.public_jwk());
            assert!(same, "a key is written as it was read");
        }
    }
}

/// Any bytes as the claims of the feed of cut-offs, as the feed itself, and as a question for it.
pub fn fuzz_revocations(data: &[u8]) {
    let verifier = RevocationsVerifier { issuer: "https://gate.test", asked_at: now(), skew: Duration::ZERO };
    if let Ok(object) = json::Object::parse(data, jws::MAX_JSON_DEPTH)
        && let Ok(read) = verifier.accept(&object, now())
    {
        let written = serde_json::to_vec(&read).unwrap_or_default();
        let again =
            json::Object::parse(&written, jws::MAX_JSON_DEPTH).map(|object| verifier.accept(&object, now()));
        assert!(again == Ok(Ok(read)), "what was accepted is written as it was read");
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = verifier.verify(text, &keys(), now());
        let _ = Form::parse(text).map(|query| RevocationsRequest::read(&query));
    }
}

/// Any bytes as a set of keys.
pub fn fuzz_jwk_set(data: &[u8]) {
    if let Ok(set) = KeySet::parse(data) {
        let written = serde_json::to_vec(&set).unwrap_or_default();
        let again = KeySet::parse(&written).map(|again| (again.keys().count(), again.skipped().len()));
        assert!(again == Ok((set.keys().count(), 0)), "a usable key is published as a usable key");
        for key in set.keys() {
            assert_eq!(key.jwk().thumbprint().len(), 43, "a SHA-256 in base64url");
        }
    }
}

/// Any bytes as JSON.
pub fn fuzz_json(data: &[u8]) {
    for max_depth in [0, 2, 32, json::DEEPEST] {
        let (checked, read) = (json::check(data, max_depth), json::parse(data, max_depth));
        assert!(
            checked.err() == read.as_ref().err().copied(),
            "the same is refused with and without a value"
        );
        if let Ok(node) = read {
            let value: serde_json::Value = serde_json::from_slice(data).unwrap_or_default();
            let written = serde_json::to_vec(&value).unwrap_or_default();
            // A fraction may be read one bit off, and so beyond the largest double, which is a fault of
            // syntax.
            let again = json::check(&written, max_depth).map(|_| ());
            assert!(
                matches!(again, Ok(()) | Err(JsonError::Syntax)),
                "what was read is read again: {again:?}"
            );
            assert!(node == json::Node::from(&value), "both readers read the same");
        }
    }
}

/// Any text as a form.
pub fn fuzz_form(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(form) = Form::parse_repeating(text) {
        assert!(Form::parse_repeating(&form.encode()) == Ok(form), "a form is written as it was read");
    }
    let _ = Form::parse(text);
}

/// Any query as an authorization request, and as each of the requests that clients post.
pub fn fuzz_oauth_authorization(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(form) = Form::parse(text) else { return };
    let _ = (Addressed::read(&form), DeviceAuthorizationRequest::read(&form));
    if let Ok(details) = AuthorizationDetail::read(text) {
        let again = serde_json::to_string(&details).unwrap_or_default();
        assert!(AuthorizationDetail::read(&again) == Ok(details), "details are written as they were read");
    }
    if let Ok(code) = text.parse::<UserCode>() {
        assert!(code.to_string().parse() == Ok(code), "a code is read as it is shown");
    }
    let _ = (TokenRequest::read(&form), IntrospectionRequest::read(&form), LogoutRequest::read(&form));
    if let Ok(request) = AuthorizationRequest::read(&form) {
        let again: Result<ScopeSet, _> = request.scope.to_string().parse();
        assert!(again == Ok(request.scope), "a scope is written as it was read");
    }
}

/// Any text as a proof, as its claims, as its header, and as the URI in it.
pub fn fuzz_dpop(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(uri) = text.parse::<TargetUri>() {
        assert!(uri.as_str().parse().as_ref() == Ok(&uri), "the one form is its own form");
    }
    let _ = Credentials::read(text, [text]);
    let Ok(target) = "https://resource.example.org/protectedresource".parse() else { return };
    let (request, now) = (proven_request(&target), proofs_now());
    if let Ok(key) = PROOFS.verify(text, request, now) {
        assert!(key.thumbprint.as_str().parse().as_ref() == Ok(&key.thumbprint), "a key has a name");
    }
    if let Ok(claims) = json::Object::parse(data, jws::MAX_JSON_DEPTH)
        && let Ok(key) = PROOFS.accept((&target_thumbprint(), Algorithm::ES256), &claims, request, now)
    {
        assert!(key.jti.as_str().len() <= MAX_JTI_BYTES, "a name is remembered");
        assert!(PROOFS.freshness.ends(key.iat) > now, "until it is refused for its age");
    }
    let unsigned = format!("{}.e30.", base64url::encode(data));
    assert!(PROOFS.verify(&unsigned, request, now).is_err(), "a header alone proves nothing");
}

/// Any text as a signed request object, and as the claims of one.
pub fn fuzz_request_object(data: &[u8]) {
    let (protection, now) = (Protection::Signed, now());
    let verifier = request_objects(&protection);
    if let Ok(text) = std::str::from_utf8(data) {
        let (verifying, decrypting) = (request_object_keys(), DecryptionKeySet::default());
        let keys = ReaderKeys { verifying: &verifying, decrypting: &decrypting };
        let _ = verifier.verify(text, &Form::default(), keys, now);
    }
    let question = RequestObjectVerifier { holds: Holds::BackchannelAuthentication, ..verifier };
    if let Ok(claims) = json::Object::parse(data, jws::MAX_JSON_DEPTH)
        && let Ok(read) = question.accept(&claims, now)
    {
        assert!(
            read.jti.is_some() && read.parameters.get("response_type").is_none(),
            "a question says all of itself"
        );
        let _ = BackchannelAuthenticationRequest::read(&read.parameters);
    }
    if let Ok(claims) = json::Object::parse(data, jws::MAX_JSON_DEPTH)
        && let Ok(read) = verifier.accept(&claims, now)
    {
        assert!(read.parameters.get("client_id") == Some("app"), "a request is of its client");
        assert!(read.exp.is_after(now), "a request is valid");
        let again = Form::parse(&read.parameters.encode());
        assert!(again == Ok(read.parameters.clone()), "what was signed is what a query could say");
        let _ = Addressed::read(&read.parameters).map(|_| AuthorizationRequest::read(&read.parameters));
    }
}

/// Any bytes as a certificate, as a key set with certificates, and as a name.
pub fn fuzz_client_certificate(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = text.parse::<DistinguishedName>();
    }
    let name = |kind, name| CertificateSubject::registered(kind, name).ok();
    let names = [
        name("tls_client_auth_subject_dn", "CN=app,O=Clinic"),
        name("tls_client_auth_san_dns", "app.clinic.test"),
        name("tls_client_auth_san_uri", "https://clinic.test/app"),
        name("tls_client_auth_san_ip", "192.0.2.7"),
        name("tls_client_auth_san_email", "app@clinic.test"),
    ];
    let registered = RegisteredCertificates::parse(data);
    if let Ok(certificate) = ClientCertificate::parse(data) {
        for name in names.iter().flatten() {
            let _ = name.check(&certificate);
        }
        assert!(registered.is_err(), "a certificate is no key set");
    }
}

fn verifier() -> AccessTokenVerifier {
    AccessTokenVerifier::new(
        "https://idp.test",
        ExpectedAudience::OneOf(vec!["https://fhir.test".to_owned()]),
    )
}

/// When the seeds are valid.
fn now() -> Timestamp {
    Timestamp::from_unix(1_900_000_000)
}

/// What the examples of RFC 9449 are read by.
const PROOFS: ProofVerifier<'_> = ProofVerifier {
    algorithms: &Algorithm::ALL,
    freshness: Freshness { past: Duration::from_secs(60), ahead: Duration::from_secs(5) },
    nonces: None,
};

/// When they were made.
fn proofs_now() -> Timestamp {
    Timestamp::from_unix(1_562_262_620)
}

fn proven_request(target: &TargetUri) -> ProvenRequest<'_> {
    let access_token = Some("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
    ProvenRequest { method: "GET", target, access_token }
}

fn target_thumbprint() -> Thumbprint {
    Thumbprint::of_bytes(b"any key")
}

fn request_objects(protection: &Protection) -> RequestObjectVerifier<'_> {
    RequestObjectVerifier {
        holds: Holds::Authorization,
        client_id: "app",
        issuer: "https://idp.test",
        algorithms: &[Algorithm::ES256],
        protection,
        object_type: ObjectType::Explicit,
        not_before: NotBefore::Optional,
        max_lifetime: Duration::from_secs(3600),
        skew: Duration::from_secs(10),
    }
}

fn request_object_keys() -> KeySet {
    KeySet::parse(REQUEST_OBJECT_KEYS.as_bytes()).unwrap_or_default()
}

/// The key that signed the request object among the seeds. Nobody has its private half.
const REQUEST_OBJECT_KEYS: &str = r#"{"keys":[
{"kty":"EC","crv":"P-256","x":"BE4un_llKAEioNgyjfqGnD5_eW7453Qpk23LkZEN-Nw",
"y":"WFr-qD2D0dFEbdu8Oy-LJhRw-T1zxTpp9ebJKnHZ-yc","use":"sig","alg":"ES256","kid":"adEMigw4OXeLbfTk1V5BCoT1jYbLvjRp1xeODzNdxzA"}
]}"#;

fn keys() -> KeySet {
    KeySet::parse(KEYS.as_bytes()).unwrap_or_default()
}

/// The key that signed the seeds. Nobody has its private half.
const KEYS: &str = r#"{"keys":[
{"kty":"EC","crv":"P-256","x":"stPmWHjCJJCoYG7Ysu4j03g9RBA6NsptbU0d5rVCU4c",
"y":"ZqRivBi6k1IYx3Vta0AFrG2q91JYDwl4KnyNo_F7spo","use":"sig","alg":"ES256","kid":"es"}
]}"#;

fn decryption_keys() -> DecryptionKeySet {
    let read = |(management, jwk): (_, &str)| {
        DecryptionKey::from_private_jwk(management, &Secret::new(jwk.as_bytes().to_vec())).ok()
    };
    DECRYPTION_KEYS.into_iter().filter_map(read).collect()
}

/// Keys that everybody has: of nothing but zeros, and the one of RFC 7518 appendix C.
const DECRYPTION_KEYS: [(KeyManagement, &str); 3] = [
    (
        KeyManagement::Direct(ContentEncryption::A256Gcm),
        r#"{"kty":"oct","kid":"dir","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
    ),
    (KeyManagement::A256Kw, r#"{"kty":"oct","kid":"kw","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#),
    (
        KeyManagement::EcdhEsA256Kw,
        r#"{"kty":"EC","crv":"P-256","kid":"es","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
"y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck","d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"}"#,
    ),
];

#[cfg(test)]
mod tests;
