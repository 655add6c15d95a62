use std::path::Path;

use chartgate_values::{Entropy, Secret, SeededEntropy};

use crate::fhir::bundle::Links;
use crate::fhir::patch::Patch;
use crate::fhir::resource::Resource;
use crate::fhir::searchset::{Companions, Disposition, Searchset, Sought};
use crate::fhir::view::View;
use crate::fhir::write::Draft;
use crate::form::Form;
use crate::jose::inspect::{Inspector, Verdict};
use crate::jose::jwe::Encrypted;
use crate::jose::{
    Algorithm, ContentEncryption, DecryptionKey, JweError, KeyManagement, Presentation,
    ProtectedTokenVerifier, Protection, ReaderKeys, Rejection,
};
use crate::json::Object;
use crate::oauth::authorization::{AuthorizationRequest, RequestError};
use crate::oauth::authorization_details::{AuthorizationDetail, MalformedDetails};
use crate::oauth::mtls::{CertificateSubject, ClientCertificate, RegisteredCertificates};
use crate::smart::launch::LaunchRequest;
use crate::smart::scope::SmartScope;

fn seeds(target: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target)
}

/// Feeds every committed seed, and many mutations of each, through an entry point.
fn run(target: &str, entry: fn(&[u8])) {
    let mut paths: Vec<_> =
        std::fs::read_dir(seeds(target)).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 5, "seeds of {target}");
    let seeds: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let mut dice = Dice(SeededEntropy::new(1));
    for seed in &seeds {
        entry(seed);
        for _ in 0..MUTATIONS {
            let mut mutant = seed.clone();
            for _ in 0..=dice.below(3) {
                dice.mutate(&mut mutant, &seeds);
            }
            entry(&mutant);
        }
    }
}

struct Dice(SeededEntropy);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        usize::from_le_bytes(bytes).checked_rem(bound).unwrap_or(0)
    }

    fn mutate(&mut self, text: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(text.len());
        let (front, back) = text.split_at(at);
        *text = match self.below(6) {
            0 => front.to_vec(),
            1 => back.to_vec(),
            2 => [front, back, back].concat(),
            3 => [front, self.token(), back].concat(),
            4 => {
                let other = &seeds[self.below(seeds.len())];
                [front, &other[self.below(other.len())..]].concat()
            }
            _ => {
                let byte = u8::try_from(self.below(256)).unwrap();
                [front, &[byte], back.get(1..).unwrap_or_default()].concat()
            }
        };
    }

    /// Pieces that mean something to the readers under test.
    fn token(&mut self) -> &'static [u8] {
        const TOKENS: [&[u8]; 26] = [
            b"\"",
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b".",
            b"=",
            b"null",
            b"1e308",
            b"-0",
            b"\\ud800",
            b"\xff",
            b"\"kid\":\"es\",",
            b"\"d\":\"AA\",",
            b"/",
            b"..",
            b"%2e",
            b"&",
            b"?",
            b"Patient/b",
            b"\"reference\":\"Patient/b\",",
            b"\"resourceType\":\"Patient\",",
            b"patient=",
            b":not",
        ];
        TOKENS[self.below(TOKENS.len())]
    }
}

#[test]
fn the_seeds_reach_the_end_of_what_they_are_for() {
    let read = |name: &str| std::fs::read(seeds("jws").join(name)).unwrap();
    let (verifier, keys, now) = (super::verifier(), super::keys(), super::now());
    let line = Inspector { verifier: &verifier, keys: &keys, now }.line(&read("line"));
    assert_eq!(line.verdict, Verdict::Accept);
    let accept = |text: &[u8]| {
        verifier.accept(&Object::parse(text, 32).unwrap(), Presentation::BEARER, now).map(|claims| claims.cnf)
    };
    assert_eq!(accept(&read("claims")), Ok(None));
    assert_eq!(accept(&read("bound_claims")), Err(Rejection::Confirmation));
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_tokens() {
    run("jws", super::fuzz_jws);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_tokens_of_others() {
    run("foreign_token", super::fuzz_foreign_token);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_encrypted_tokens() {
    run("jwe", super::fuzz_jwe);
}

#[test]
fn the_encrypted_seeds_reach_the_end_of_what_they_are_for() {
    let read = |name: &str| std::fs::read_to_string(seeds("jwe").join(name)).unwrap();
    let (verifying, decrypting) = (super::keys(), super::decryption_keys());
    let protection = Protection::SignedAndEncrypted(ContentEncryption::ALL.to_vec());
    let verifier = ProtectedTokenVerifier { verifier: super::verifier(), protection };
    let keys = ReaderKeys { verifying: &verifying, decrypting: &decrypting };
    for name in ["agreed", "wrapped", "direct"] {
        let accepted = verifier.verify_signed(&read(name), keys, Presentation::BEARER, super::now());
        assert!(accepted.is_ok(), "{name} {accepted:?}");
    }
    let token = read("other_curve");
    let token = Encrypted::parse(&token, &ContentEncryption::ALL, usize::MAX).unwrap();
    assert_eq!(token.decrypt_with(&decrypting).unwrap_err(), JweError::Undecryptable);
    for (name, management) in
        [("private_ec", KeyManagement::EcdhEs), ("private_shared", KeyManagement::A256Kw)]
    {
        assert!(DecryptionKey::from_private_jwk(management, &Secret::new(read(name).into_bytes())).is_ok());
    }
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_key_sets() {
    run("jwk_set", super::fuzz_jwk_set);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_json() {
    run("json", super::fuzz_json);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_fhir_requests() {
    run("fhir_url", super::fuzz_fhir_url);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_fhir_answers() {
    run("fhir_bundle", super::fuzz_fhir_bundle);
    run("fhir_entries", super::fuzz_fhir_entries);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_fhir_bodies() {
    run("fhir_write", super::fuzz_fhir_write);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_batches() {
    run("fhir_batch", super::fuzz_fhir_batch);
}

#[test]
fn seeds_and_their_mutations_relate_nobody_who_does_not_stand_in_them() {
    run("fhir_care", super::fuzz_fhir_care);
}

#[test]
fn seeds_and_their_mutations_say_no_more_than_a_consent_might() {
    run("fhir_consent", super::fuzz_fhir_consent);
}

#[test]
fn any_mask_of_any_record() {
    run("fhir_mask", super::fuzz_fhir_mask);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_patches() {
    run("fhir_patch", super::fuzz_fhir_patch);
    run("fhir_content", super::fuzz_fhir_content);
    run("fhir_bulk", super::fuzz_fhir_bulk);
    run("fhir_operation", super::fuzz_fhir_operation);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_forms() {
    run("form", super::fuzz_form);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_authorization_requests() {
    run("oauth_authorization", super::fuzz_oauth_authorization);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_proofs() {
    run("dpop", super::fuzz_dpop);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_what_clients_say_of_themselves() {
    run("client_metadata", super::fuzz_client_metadata);
}

#[test]
fn the_feed_of_cut_offs_stands_any_text() {
    run("revocations", super::fuzz_revocations);
    let seed = std::fs::read(seeds("revocations").join("all_kinds")).unwrap();
    let verifier = crate::revocations::RevocationsVerifier {
        issuer: "https://gate.test",
        asked_at: super::now(),
        skew: std::time::Duration::ZERO,
    };
    let claims = Object::parse(&seed, 32).unwrap();
    assert_eq!(verifier.accept(&claims, super::now()).unwrap().cut_offs.len(), 6);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_request_objects() {
    run("request_object", super::fuzz_request_object);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_client_certificates() {
    run("client_certificate", super::fuzz_client_certificate);
}

#[test]
fn the_seeds_of_proofs_objects_and_certificates_reach_the_end_of_what_they_are_for() {
    let read = |target: &str, name: &str| std::fs::read(seeds(target).join(name)).unwrap();
    let text = |target: &str, name: &str| String::from_utf8(read(target, name)).unwrap();
    let target = "https://resource.example.org/protectedresource".parse().unwrap();
    let (request, now) = (super::proven_request(&target), super::proofs_now());
    assert!(super::PROOFS.verify(&text("dpop", "resource"), request, now).is_ok());
    let claims = read("dpop", "claims");
    let claims = Object::parse(&claims, 32).unwrap();
    assert!(
        super::PROOFS.accept((&super::target_thumbprint(), Algorithm::ES256), &claims, request, now).is_ok()
    );
    let (protection, verifying) = (Protection::Signed, super::request_object_keys());
    let keys = ReaderKeys { verifying: &verifying, decrypting: &Default::default() };
    let verifier = super::request_objects(&protection);
    let signed = verifier.verify(&text("request_object", "signed"), &Form::default(), keys, super::now());
    // Its details are of a type that is another server's.
    let said = AuthorizationRequest::read(&signed.unwrap().parameters);
    assert_eq!(said.map(drop), Err(RequestError::Details(MalformedDetails)));
    let claims = read("request_object", "claims");
    assert!(verifier.accept(&Object::parse(&claims, 32).unwrap(), super::now()).is_ok());
    let names = read("client_certificate", "names");
    let certificate = ClientCertificate::parse(&names).unwrap();
    let name = CertificateSubject::registered("tls_client_auth_subject_dn", "CN=app,O=Clinic").unwrap();
    assert_eq!(name.check(&certificate), Ok(()));
    let registered = RegisteredCertificates::parse(&read("client_certificate", "key_set")).unwrap();
    assert_eq!(registered.check(&certificate), Ok(()));
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_what_is_asked_for_by_name() {
    run("claims_request", super::fuzz_claims_request);
    let essential = std::fs::read_to_string(seeds("claims_request").join("demands")).unwrap();
    let (asked, demands) = crate::oidc::claims_request::ClaimsRequest::read(&essential).unwrap();
    assert!(demands.subject.is_some() && demands.acr_values.len() == 2 && asked.is_empty());
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_what_providers_say() {
    run("identity_provider", super::fuzz_identity_provider);
    let read = |seed: &str| std::fs::read(seeds("identity_provider").join(seed)).unwrap();
    assert!(
        crate::oidc::provider::ProviderMetadata::parse(&read("metadata"), "https://login.example.org")
            .is_ok()
    );
    assert!(crate::oidc::provider::id_token_of(&read("answer")).is_ok());
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_sign_outs_elsewhere() {
    run("logout_token", super::fuzz_logout_token);
    let verifier = crate::jose::logout_token::LogoutTokenVerifier {
        issuer: "https://login.example.org",
        client_id: "gate",
        skew: std::time::Duration::from_secs(30),
    };
    let accepted = |seed: &str| {
        let claims = std::fs::read(seeds("logout_token").join(seed)).unwrap();
        let claims = crate::json::Object::parse(&claims, 16).unwrap();
        verifier.accept(&claims, chartgate_values::Timestamp::from_unix(1_760_000_000)).is_ok()
    };
    assert!(["session", "person"].into_iter().all(accepted));
    assert!(!["id_token", "no_event"].into_iter().any(accepted));
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_requests_to_launch() {
    run("launch_request", super::fuzz_launch_request);
    let read = |seed: &str| {
        let text = std::fs::read_to_string(seeds("launch_request").join(seed)).unwrap();
        LaunchRequest::read(&Form::parse(&text).ok()?).ok()
    };
    for (seed, items) in [("whole", 1), ("app_alone", 0), ("identifier", 2), ("twin", 2), ("deep", 1)] {
        assert_eq!(read(seed).unwrap().context.fhir_context.len(), items, "{seed}");
    }
    for seed in ["encounter", "long_intent", "repeated", "deeper"] {
        assert_eq!(read(seed), None, "{seed}");
    }
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_codes_of_sign_ins() {
    run("sign_in_code", super::fuzz_sign_in_code);
    run("passkey", super::fuzz_passkey);
    run("languages", super::fuzz_languages);
}

#[test]
fn push_subscription_seeds() {
    run("push_subscription", super::fuzz_push_subscription);
}

#[test]
fn seeds_and_their_mutations_break_nothing_that_reads_scopes() {
    run("smart_scope", super::fuzz_smart_scope);
}

#[test]
fn the_fhir_seeds_reach_the_end_of_what_they_are_for() {
    let read = |target: &str, name: &str| std::fs::read(seeds(target).join(name)).unwrap();
    let bases = super::fhir::bases().unwrap();
    let page = read("fhir_bundle", "page");
    let searchset =
        Searchset::parse(&page, Sought::Type("Observation".parse().unwrap(), Companions::None), &bases)
            .unwrap();
    assert!(searchset.next().is_some());
    let links = Links { own: "x", next: None };
    assert_eq!(
        searchset
            .release(links, &bases, |resource, _| Disposition::Release(View::whole(resource), ()))
            .released,
        2
    );
    assert!(Draft::of_update(&read("fhir_write", "update"), &"Observation/a".parse().unwrap()).is_ok());
    for (seed, expected) in [("each", true), ("moves_id", false), ("grows", false), ("escaped", true)] {
        let text = String::from_utf8(read("fhir_patch", seed)).unwrap();
        let (patch, record) = text.split_once('\n').unwrap();
        let record = Resource::parse(record.as_bytes(), &"Observation/a".parse().unwrap(), None).unwrap();
        let patch = Patch::parse(patch.as_bytes()).unwrap();
        assert_eq!(patch.apply(&record, 1 << 16).is_ok(), expected, "{seed}");
    }
    for (seed, expected) in
        [("laboratory", true), ("vital_signs", false), ("status", true), ("escaped", true)]
    {
        let text = String::from_utf8(read("smart_scope", seed)).unwrap();
        let (scope, record) = text.split_once('\n').unwrap();
        let record = crate::json::parse(record.as_bytes(), 16).unwrap();
        assert_eq!(scope.parse::<SmartScope>().unwrap().holds(&record), expected, "{seed}");
    }
    let form = Form::parse(std::str::from_utf8(&read("oauth_authorization", "smart")).unwrap()).unwrap();
    assert!(AuthorizationRequest::read(&form).is_ok());
    let details = String::from_utf8(read("oauth_authorization", "details")).unwrap();
    assert!(AuthorizationDetail::read(&details).is_ok());
}

/// For each seed.
const MUTATIONS: usize = 2000;
