use proptest::prelude::*;
use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType};
use serde_json::json;

use super::*;
use crate::jose::{Algorithm, SigningKey};

/// A certificate with these names by this key.
fn certificate(key: &SigningKey, names: &[(DnType, &str)], others: &[SanType]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in names {
        params.distinguished_name.push(kind.clone(), DnValue::Utf8String((*value).to_owned()));
    }
    params.subject_alt_names = others.to_vec();
    let pair = KeyPair::try_from(key.to_pkcs8().unwrap().expose().as_slice()).unwrap();
    params.self_signed(&pair).unwrap().der().to_vec()
}

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm).unwrap()
}

fn check(der: &[u8], member: &str, name: &str) -> Result<(), WrongCertificate> {
    CertificateSubject::registered(member, name).unwrap().check(&ClientCertificate::parse(der).unwrap())
}

#[test]
fn a_subject_is_the_registered_one_or_another() {
    let names =
        [(DnType::CountryName, "US"), (DnType::OrganizationName, "Clinic"), (DnType::CommonName, "app, one")];
    let der = certificate(&key(Algorithm::ES256), &names, &[]);
    let outcome = |name| check(&der, "tls_client_auth_subject_dn", name);
    assert_eq!(outcome("CN=app\\, one,O=Clinic,C=US"), Ok(()));
    for other in [
        "CN=app\\, one",
        "CN=app\\, one,O=clinic,C=US",
        "C=US,O=Clinic,CN=app\\, one",
        "CN=app,O=Clinic,C=US",
    ] {
        assert_eq!(outcome(other), Err(WrongCertificate::Name), "{other}");
    }
    let as_host = check(&der, "tls_client_auth_san_dns", "app");
    assert_eq!(as_host, Err(WrongCertificate::Name), "a subject is no other name");
}

#[test]
fn another_name_is_the_registered_one_of_its_own_kind() {
    let text = |text: &str| text.try_into().unwrap();
    let others = [
        SanType::DnsName(text("App.Clinic.test")),
        SanType::DnsName(text("*.wild.test")),
        SanType::URI(text("https://clinic.test/app")),
        SanType::IpAddress("192.0.2.7".parse().unwrap()),
        SanType::IpAddress("2001:db8::7".parse().unwrap()),
        SanType::Rfc822Name(text("App@clinic.test")),
    ];
    let der = certificate(&key(Algorithm::ES256), &[(DnType::CommonName, "cn.clinic.test")], &others);
    for (kind, name, expected) in [
        ("dns", "app.clinic.TEST", true),
        ("dns", "clinic.test", false),
        ("dns", "a.wild.test", false),
        ("dns", "cn.clinic.test", false),
        ("dns", "192.0.2.7", false),
        ("uri", "https://clinic.test/app", true),
        ("uri", "https://Clinic.test/app", false),
        ("uri", "https://clinic.test/app/", false),
        ("ip", "192.0.2.7", true),
        ("ip", "192.0.2.8", false),
        ("ip", "2001:db8:0::7", true),
        ("ip", "::ffff:192.0.2.7", false),
        ("email", "App@Clinic.test", true),
        ("email", "app@clinic.test", false),
    ] {
        let outcome = check(&der, &format!("tls_client_auth_san_{kind}"), name);
        assert_eq!(outcome, if expected { Ok(()) } else { Err(WrongCertificate::Name) }, "{kind} {name}");
    }
}

#[test]
fn what_names_nobody_is_not_registered() {
    let registered = CertificateSubject::registered;
    for (member, name) in [
        ("subject_dn", "app"),
        ("san_dns", "*.clinic.test"),
        ("san_dns", ""),
        ("san_dns", "a b"),
        ("san_uri", "clinic"),
        ("san_ip", "192.0.2.0/24"),
        ("san_email", "clinic.test"),
    ] {
        assert_eq!(registered(&format!("tls_client_auth_{member}"), name), Err(SubjectError::Name), "{name}");
    }
    assert_eq!(registered("tls_client_auth_san_other", "x"), Err(SubjectError::Member));
}

#[test]
fn a_self_signed_certificate_is_known_by_the_key_set_of_its_client() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
        let own = key(algorithm);
        let (der, other) =
            (certificate(&own, &[], &[]), certificate(&own, &[(DnType::CommonName, "x")], &[]));
        let set = |jwk: &SigningKey, x5c: &[&str]| {
            let mut jwk = serde_json::to_value(jwk.public_jwk()).unwrap();
            jwk["x5c"] = json!(x5c);
            let set = json!({"keys": [jwk, {"kty": "oct", "k": "AA"}]}).to_string();
            RegisteredCertificates::parse(set.as_bytes()).unwrap()
        };
        let encoded = STANDARD.encode(&der);
        let registered = set(&own, &[&encoded]);
        assert_eq!(registered.check(&ClientCertificate::parse(&der).unwrap()), Ok(()), "{algorithm}");
        let refused = registered.check(&ClientCertificate::parse(&other).unwrap());
        assert_eq!(refused, Err(WrongCertificate::NotRegistered), "the same key, another certificate");
        assert!(set(&key(algorithm), &[&encoded]).is_empty(), "the certificate of another key");
        // Another alphabet, also where this certificate happens to need none of the letters in which the two differ.
        let url_safe = format!("{}-_", crate::base64url::encode(&der));
        for x5c in [&[][..], &["x"], &[&url_safe], &[&STANDARD.encode(&other), &encoded]] {
            let known = set(&own, x5c).check(&ClientCertificate::parse(&der).unwrap());
            assert_eq!(known, Err(WrongCertificate::NotRegistered), "the first of the chain counts");
        }
    }
    assert!(RegisteredCertificates::parse(b"[]").is_err());
}

#[test]
fn a_thumbprint_is_the_digest_of_the_whole_certificate_and_of_nothing_after_it() {
    let der = certificate(&key(Algorithm::ES256), &[], &[]);
    let read = ClientCertificate::parse(&der).unwrap();
    assert_eq!(read.thumbprint(), &Thumbprint::of_bytes(&der));
    for other in
        [&der[..der.len() - 1], &[der.as_slice(), &[0]].concat(), &[], &[0; MAX_CERTIFICATE_BYTES + 1]]
    {
        assert_eq!(ClientCertificate::parse(other).err(), Some(NotACertificate));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(at in any::<prop::sample::Index>(), to in any::<u8>(), junk in any::<Vec<u8>>()) {
        static DER: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let others = [SanType::IpAddress("192.0.2.7".parse().unwrap())];
            certificate(&key(Algorithm::ES256), &[(DnType::CommonName, "app")], &others)
        });
        let mut der = DER.clone();
        let at = at.index(der.len());
        der[at] = to;
        for bytes in [&der, &junk] {
            if let Ok(read) = ClientCertificate::parse(bytes) {
                let _ = CertificateSubject::Ip("192.0.2.7".parse().unwrap()).check(&read);
                let _ = CertificateSubject::Dn("CN=app".parse().unwrap()).check(&read);
                let _ = read.key();
            }
        }
    }
}
