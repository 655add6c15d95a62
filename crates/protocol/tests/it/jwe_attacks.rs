//! The attacks on readers of encrypted tokens, by their names in the threat model.

use std::sync::LazyLock;

use chartgate_protocol::base64url;
use chartgate_protocol::jose::jwe::{
    self, Encrypted, Message, NestError, Recipient, key_wrap, sign_and_encrypt,
};
use chartgate_protocol::jose::{
    ContentEncryption, DecryptionKey, DecryptionKeySet, EncryptionKey, JweError, KeyManagement, KeySet,
    Presentation, ProtectedTokenVerifier, Protection, ReaderKeys, Rejection, jws,
};
use chartgate_values::{Secret, SeededEntropy, Timestamp};
use serde_json::{Value, json};

use crate::forge::{Forge, NOW, claims};

/// A reader with a key of each kind, one of which everybody knows, so that any header can be put on anything.
struct Reader {
    forge: Forge,
    keys: DecryptionKeySet,
    verifier: ProtectedTokenVerifier,
}

const KNOWN: [u8; 32] = [7; 32];
const CONTENT: ContentEncryption = ContentEncryption::A256Gcm;

fn known_key() -> DecryptionKey {
    let jwk = json!({"kty": "oct", "alg": "A256GCM", "kid": "known", "k": base64url::encode(&KNOWN)});
    let jwk = Secret::new(jwk.to_string().into_bytes());
    DecryptionKey::from_private_jwk(KeyManagement::Direct(CONTENT), &jwk).unwrap()
}

/// Slow to make, so made once.
static RSA: LazyLock<Value> = LazyLock::new(|| private_jwk(KeyManagement::RsaOaep256));

fn private_jwk(management: KeyManagement) -> Value {
    let key = DecryptionKey::generate(management, &mut SeededEntropy::new(3)).unwrap();
    serde_json::from_slice(key.to_private_jwk().unwrap().expose()).unwrap()
}

fn named(management: KeyManagement, kid: &str) -> DecryptionKey {
    let mut jwk = match management {
        KeyManagement::RsaOaep256 => RSA.clone(),
        _ => private_jwk(management),
    };
    jwk["kid"] = json!(kid);
    DecryptionKey::from_private_jwk(management, &Secret::new(jwk.to_string().into_bytes())).unwrap()
}

impl Reader {
    fn new() -> Self {
        let forge = Forge::new();
        let keys = DecryptionKeySet::from_iter([
            known_key(),
            named(KeyManagement::EcdhEs, "es"),
            named(KeyManagement::EcdhEsA256Kw, "es-kw"),
            named(KeyManagement::RsaOaep256, "rsa"),
            named(KeyManagement::A256Kw, "kw"),
        ]);
        let protection = Protection::SignedAndEncrypted(ContentEncryption::ALL.to_vec());
        let verifier = ProtectedTokenVerifier { verifier: forge.verifier.clone(), protection };
        Self { forge, keys, verifier }
    }

    fn key(&self, kid: &str) -> &EncryptionKey {
        self.keys.get(kid).unwrap().encryption_key()
    }

    /// A good access token, encrypted in the way of this key.
    fn good(&self, kid: &str) -> String {
        self.enclose(kid, &self.forge.with_claims(&json!({})))
    }

    fn enclose(&self, kid: &str, signed: &str) -> String {
        let message = Message { typ: None, cty: Some("JWT"), plaintext: signed.as_bytes() };
        let to = Recipient { key: self.key(kid), content: CONTENT };
        jwe::encrypt(to, &message, &mut SeededEntropy::new(1)).unwrap()
    }

    fn verify(&self, token: &str) -> Result<String, Rejection> {
        let keys = ReaderKeys { verifying: &self.forge.keys, decrypting: &self.keys };
        self.verifier
            .verify_signed(token, keys, Presentation::BEARER, Timestamp::from_unix(NOW))
            .map(|(claims, _)| claims.sub.as_str().to_owned())
    }

    #[track_caller]
    fn refuses(&self, token: &str, cause: impl Into<Rejection>) {
        assert_eq!(self.verify(token), Err(cause.into()), "{token:.300}");
    }

    /// A good access token under any header.
    fn under(&self, header: impl AsRef<[u8]>) -> String {
        seal(header, self.forge.with_claims(&json!({})).as_bytes())
    }
}

/// Anything under any header, by the key that everybody knows.
fn seal(header: impl AsRef<[u8]>, plaintext: &[u8]) -> String {
    let protected = base64url::encode(header.as_ref());
    let sealed = CONTENT.encrypt(&KNOWN, &[1; 12], protected.as_bytes(), plaintext).unwrap();
    let encode = |part: &Vec<u8>| base64url::encode(part);
    format!("{protected}..{}.{}.{}", encode(&sealed.iv), encode(&sealed.body), encode(&sealed.tag))
}

/// A good header, changed. A member set to `null` is taken out.
fn header(change: &Value) -> String {
    let mut header = json!({"alg": "dir", "enc": "A256GCM", "kid": "known", "cty": "JWT"});
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            header.as_object_mut().unwrap().remove(name);
        } else {
            header[name] = value.clone();
        }
    }
    header.to_string()
}

fn header_of(token: &str) -> Value {
    serde_json::from_slice(&base64url::decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

/// A token with one of its five parts replaced.
fn with_part(token: &str, at: usize, part: &str) -> String {
    let mut parts: Vec<_> = token.split('.').collect();
    parts[at] = part;
    parts.join(".")
}

/// A token with a part whose first byte is another.
fn with_flip(token: &str, at: usize) -> String {
    let mut part = base64url::decode(token.split('.').nth(at).unwrap()).unwrap();
    part[0] ^= 1;
    with_part(token, at, &base64url::encode(&part))
}

#[test]
fn a_good_token_is_accepted_by_each_key() {
    let reader = Reader::new();
    for kid in ["known", "es", "es-kw", "rsa", "kw"] {
        assert_eq!(reader.verify(&reader.good(kid)).as_deref(), Ok("user-1"), "{kid}");
    }
    assert_eq!(reader.verify(&reader.under(header(&json!({})))).as_deref(), Ok("user-1"));
    let made = sign_and_encrypt(
        &reader.forge.key,
        "at+jwt",
        &claims(),
        Recipient { key: reader.key("es-kw"), content: CONTENT },
        &mut SeededEntropy::new(1),
    )
    .unwrap();
    assert_eq!(reader.verify(&made).as_deref(), Ok("user-1"));
}

#[test]
fn where_tokens_are_encrypted_a_plain_one_is_refused_and_where_they_are_not_an_encrypted_one() {
    let mut reader = Reader::new();
    let plain = reader.forge.with_claims(&json!({}));
    let encrypted = reader.good("es");
    reader.refuses(&plain, Rejection::NotEncrypted);
    reader.refuses(&format!("{plain}.a"), JweError::Malformed);
    reader.verifier.protection = Protection::Signed;
    assert_eq!(reader.verify(&plain).as_deref(), Ok("user-1"));
    reader.refuses(&encrypted, Rejection::Encrypted);
    reader.refuses(&format!("{plain}.a"), Rejection::Malformed);
    reader.verifier.protection = Protection::SignedAndEncrypted(Vec::new());
    reader.refuses(&plain, Rejection::NotEncrypted);
    reader.refuses(&encrypted, JweError::EncryptionNotAllowed);
}

#[test]
fn j01_encryption_is_no_signature() {
    let reader = Reader::new();
    let none = format!(
        "{}.{}.",
        base64url::encode(br#"{"alg":"none","typ":"at+jwt","kid":"x"}"#),
        base64url::encode(claims().to_string().as_bytes())
    );
    reader.refuses(&reader.enclose("rsa", &none), Rejection::AlgorithmNotAllowed);
    reader.refuses(&reader.enclose("rsa", &claims().to_string()), Rejection::Malformed);
    let stranger = Forge::new().with_header(&json!({"kid": reader.forge.key.kid()}));
    reader.refuses(&reader.enclose("rsa", &stranger), Rejection::BadSignature);
    for change in [json!({"cty": null}), json!({"cty": "json"}), json!({"cty": 7}), json!({"cty": ""})] {
        reader.refuses(&reader.under(header(&change)), JweError::ContentType);
    }
    reader.refuses(&seal(header(&json!({})), b"\xff.\xff.\xff"), JweError::ContentType);
    for cty in ["JWT", "jwt", "application/jwt"] {
        assert!(reader.verify(&reader.under(header(&json!({ "cty": cty })))).is_ok(), "{cty}");
    }
}

#[test]
fn j02_a_public_key_is_never_a_shared_secret() {
    let reader = Reader::new();
    let jwk = serde_json::to_vec(reader.keys.get("rsa").unwrap().public_jwk().unwrap()).unwrap();
    for alg in ["dir", "A256KW"] {
        let header = header(&json!({"alg": alg, "kid": "rsa"}));
        reader.refuses(&seal(&header, &jwk), JweError::KeyMismatch);
    }
}

#[test]
fn j03_the_key_says_how_it_is_used_and_the_reader_how_the_content_is_encrypted() {
    let mut reader = Reader::new();
    let epk = header_of(&reader.good("es"))["epk"].clone();
    for (kid, own) in [("known", "dir"), ("es", "ECDH-ES"), ("es-kw", "ECDH-ES+A256KW"), ("kw", "A256KW")] {
        for alg in ["dir", "ECDH-ES", "ECDH-ES+A256KW", "RSA-OAEP-256", "A256KW"] {
            if alg != own {
                let change = json!({"alg": alg, "kid": kid, "epk": epk});
                reader.refuses(&reader.under(header(&change)), JweError::KeyMismatch);
            }
        }
    }
    for enc in ["A128GCM", "A128CBC-HS256", "A256CBC-HS512"] {
        let change = json!({ "enc": enc });
        reader.refuses(&reader.under(header(&change)), JweError::KeyMismatch);
    }
    for alg in ["RSA1_5", "RSA-OAEP", "RSA-OAEP-384", "A128KW", "A192KW", "A128GCMKW", "A256GCMKW"]
        .into_iter()
        .chain(["ECDH-ES+A128KW", "ECDH-ES+A192KW", "ecdh-es", "dir ", "DIR", "none", ""])
    {
        reader.refuses(&reader.under(header(&json!({ "alg": alg }))), JweError::ManagementNotAllowed);
    }
    for enc in ["A192GCM", "A192CBC-HS384", "a256gcm", "A256GCM ", "none", "dir", ""] {
        reader.refuses(&reader.under(header(&json!({ "enc": enc }))), JweError::EncryptionNotAllowed);
    }
    reader.verifier.protection = Protection::SignedAndEncrypted(vec![ContentEncryption::A128CbcHs256]);
    reader.refuses(&reader.good("es"), JweError::EncryptionNotAllowed);
}

#[test]
fn j04_what_the_outer_header_says_decides_nothing() {
    let reader = Reader::new();
    let outer =
        json!({"iss": "https://idp.test", "sub": "user-2", "aud": "https://fhir.test", "typ": "at+jwt"});
    assert_eq!(reader.verify(&reader.under(header(&outer))).as_deref(), Ok("user-1"));
    let without = reader.forge.with_claims(&json!({"aud": null}));
    reader.refuses(&seal(header(&outer), without.as_bytes()), Rejection::MissingClaim("aud"));
    let id_token = reader.forge.with_header(&json!({"typ": "JWT"}));
    reader.refuses(&seal(header(&outer), id_token.as_bytes()), Rejection::Type);
    let (known, other) = (reader.under(header(&json!({}))), reader.under(header(&outer)));
    let exchanged = with_part(&known, 0, other.split('.').next().unwrap());
    reader.refuses(&exchanged, JweError::Undecryptable);
}

#[test]
fn j05_a_kid_is_looked_up_as_it_is() {
    let reader = Reader::new();
    for kid in ["../../dev/null", "' OR '1'='1", "known\0", " known", "KNOWN", "", &"x".repeat(10_000)] {
        reader.refuses(&reader.under(header(&json!({ "kid": kid }))), JweError::UnknownKid);
    }
    reader.refuses(&reader.under(header(&json!({"kid": null}))), JweError::MissingKid);
    for kid in [json!(7), json!(["known"]), json!({"known": 1})] {
        reader.refuses(&reader.under(header(&json!({ "kid": kid }))), JweError::MalformedHeader);
    }
}

#[test]
fn j07_a_kid_that_names_two_keys_names_none() {
    let mut reader = Reader::new();
    let token = reader.good("known");
    reader.keys = DecryptionKeySet::from_iter([known_key(), known_key(), named(KeyManagement::EcdhEs, "es")]);
    reader.refuses(&token, JweError::AmbiguousKid);
    assert_eq!(reader.keys.keys().count(), 1);
}

#[test]
fn j08_j09_keys_and_addresses_in_the_header_are_ignored() {
    let reader = Reader::new();
    let own = json!({"kty": "oct", "k": base64url::encode(&[9; 32]), "kid": "known"});
    for (name, value) in [
        ("jwk", own),
        ("jku", json!("http://169.254.169.254/latest/meta-data")),
        ("x5u", json!("file:///etc/passwd")),
        ("x5c", json!(["AAAA"])),
    ] {
        let header = header(&json!({ name: value }));
        assert!(reader.verify(&reader.under(&header)).is_ok(), "{name}");
        let protected = base64url::encode(header.as_bytes());
        let sealed = CONTENT.encrypt(&[9; 32], &[1; 12], protected.as_bytes(), b"x").unwrap();
        let [iv, body, tag] = [sealed.iv, sealed.body, sealed.tag].map(|part| base64url::encode(&part));
        reader.refuses(&format!("{protected}..{iv}.{body}.{tag}"), JweError::Undecryptable);
    }
}

#[test]
fn j10_no_extension_is_critical() {
    let reader = Reader::new();
    for crit in [json!(["exp"]), json!([]), json!("b64"), json!({}), json!(false)] {
        reader.refuses(&reader.under(header(&json!({ "crit": crit }))), JweError::Critical);
    }
    let nulled = r#"{"alg":"dir","enc":"A256GCM","kid":"known","cty":"JWT","crit":null}"#;
    reader.refuses(&reader.under(nulled), JweError::Critical);
}

#[test]
fn j11_nothing_is_inflated() {
    let reader = Reader::new();
    for zip in [json!("DEF"), json!("none"), json!(""), json!(7)] {
        reader.refuses(&reader.under(header(&json!({ "zip": zip }))), JweError::Compressed);
    }
    let message = "x".repeat(jwe::MAX_TOKEN_BYTES);
    let message = Message { typ: None, cty: None, plaintext: message.as_bytes() };
    let to = Recipient { key: reader.key("kw"), content: CONTENT };
    let refused = jwe::encrypt(to, &message, &mut SeededEntropy::new(1));
    assert_eq!(refused, Err(jwe::EncryptError::TooLarge), "what nobody here would read is not written");
}

#[test]
fn j12_no_token_says_how_long_its_reader_works() {
    let reader = Reader::new();
    for alg in ["PBES2-HS256+A128KW", "PBES2-HS384+A192KW", "PBES2-HS512+A256KW"] {
        let change = json!({"alg": alg, "p2c": 2_147_483_647, "p2s": "AAAAAAAAAAA"});
        reader.refuses(&reader.under(header(&change)), JweError::ManagementNotAllowed);
    }
    let ignored = header(&json!({"p2c": 2_147_483_647, "p2s": "AAAAAAAAAAA"}));
    assert!(reader.verify(&reader.under(ignored)).is_ok());
}

#[test]
fn j13_what_is_no_token_is_refused_for_its_size_or_shape() {
    let reader = Reader::new();
    reader.refuses(&"a".repeat(1 << 20), JweError::TooLarge);
    reader.refuses(&".".repeat(1 << 20), JweError::TooLarge);
    for token in [".".repeat(10_000), "....".into(), ".....".into(), "a.b.c.d".into(), String::new()] {
        reader.refuses(&token, JweError::Malformed);
    }
    reader.refuses("a.a.a.a.a", JweError::Encoding);
    let good = reader.good("kw");
    for at in 1..5 {
        reader.refuses(&with_part(&good, at, ""), JweError::Undecryptable);
        for length in [1, 7, 8, 12, 15, 16, 17, 24, 40, 64, 1000] {
            let part = base64url::encode(&vec![0; length]);
            reader.refuses(&with_part(&good, at, &part), JweError::Undecryptable);
        }
    }
    for kid in ["es", "known"] {
        let token = with_part(&reader.good(kid), 1, &base64url::encode(&[0; 40]));
        reader.refuses(&token, JweError::Undecryptable);
    }
    for text in ["", "[]", "7", "{", "null", r#"{"alg":"dir"}"#, r#"{"enc":"A256GCM"}"#, "\u{feff}{}"] {
        let token = with_part(&good, 0, &base64url::encode(text.as_bytes()));
        let cause = if text.is_empty() { JweError::Malformed } else { JweError::MalformedHeader };
        reader.refuses(&token, cause);
    }
    let wide = |count: usize| {
        let mut change = json!({});
        for i in 0..count {
            change[format!("x{i}")] = json!(0);
        }
        reader.under(header(&change))
    };
    assert!(reader.verify(&wide(60)).is_ok(), "64 members");
    reader.refuses(&wide(61), JweError::TooManyHeaderMembers);
    let deep = |levels: usize| {
        let nest = format!(r#"{{"x":{}{},"#, "[".repeat(levels), "]".repeat(levels));
        reader.under(header(&json!({})).replacen('{', &nest, 1))
    };
    assert!(reader.verify(&deep(31)).is_ok(), "32 levels");
    reader.refuses(&deep(32), JweError::TooDeep);
    reader.refuses(&deep(3000), JweError::TooDeep);
}

#[test]
fn j13_the_longest_signed_token_can_be_encrypted_for_any_key_and_is_read() {
    let reader = Reader::new();
    let longest = |length: usize| reader.forge.with_claims(&json!({"x": "y".repeat(length)}));
    let pad = (0..16_384).rfind(|length| longest(*length).len() <= jws::MAX_TOKEN_BYTES).unwrap();
    for kid in ["known", "es", "es-kw", "rsa", "kw"] {
        assert!(reader.verify(&reader.enclose(kid, &longest(pad))).is_ok(), "{kid}");
    }
    reader.refuses(&reader.enclose("kw", &longest(pad + 3)), Rejection::TooLarge);
    let claims = json!({"x": "y".repeat(jws::MAX_TOKEN_BYTES)});
    let to = Recipient { key: reader.key("kw"), content: CONTENT };
    let made = sign_and_encrypt(&reader.forge.key, "at+jwt", &claims, to, &mut SeededEntropy::new(1));
    assert_eq!(made, Err(NestError::Encrypt(jwe::EncryptError::TooLarge)));
    let twice = reader.enclose("kw", &reader.good("kw"));
    reader.refuses(&twice, Rejection::Malformed);
}

#[test]
fn j14_whatever_keeps_a_token_from_decrypting_is_the_same_cause() {
    let reader = Reader::new();
    for kid in ["es-kw", "rsa", "kw"] {
        for content in ContentEncryption::ALL {
            let message = Message { typ: None, cty: None, plaintext: b"fifteen letters" };
            let to = Recipient { key: reader.key(kid), content };
            let token = jwe::encrypt(to, &message, &mut SeededEntropy::new(1)).unwrap();
            let decrypt = |token: &str| {
                Encrypted::parse(token, &ContentEncryption::ALL, jwe::MAX_TOKEN_BYTES)
                    .and_then(|token| token.decrypt_with(&reader.keys))
                    .map(|decrypted| decrypted.plaintext().to_vec())
            };
            assert_eq!(decrypt(&token).unwrap(), message.plaintext);
            for at in 1..5 {
                assert_eq!(decrypt(&with_flip(&token, at)), Err(JweError::Undecryptable), "{kid} {at}");
                let shorter = base64url::decode(token.split('.').nth(at).unwrap()).unwrap();
                let shorter = base64url::encode(&shorter[..shorter.len() - 1]);
                assert_eq!(
                    decrypt(&with_part(&token, at, &shorter)),
                    Err(JweError::Undecryptable),
                    "{kid} {at}"
                );
            }
        }
    }
    assert_eq!(JweError::Undecryptable.public(), Rejection::BadSignature.public());
}

#[test]
fn j14_padding_is_looked_at_after_the_tag_and_its_faults_look_the_same() {
    let content = ContentEncryption::A128CbcHs256;
    let key: Vec<u8> = (0..32).collect();
    let good = content.encrypt(&key, &[0; 16], b"aad", b"fifteen letters").unwrap();
    assert_eq!(content.decrypt(&key, b"aad", good.clone()).unwrap().expose(), b"fifteen letters");
    // With one bit of the vector changed the padding stays good, with another it does not: neither is seen.
    for (at, bit) in [(0, 1), (15, 1), (15, 2), (15, 16)] {
        let mut changed = good.clone();
        changed.iv[at] ^= bit;
        assert!(content.decrypt(&key, b"aad", changed).is_none());
    }
    // A tag that is good over a text that is not padded, which only a holder of the key can make.
    let mut unpadded = good;
    unpadded.body = vec![0; 16];
    let mut context = aws_lc_rs::hmac::Context::with_key(&aws_lc_rs::hmac::Key::new(
        aws_lc_rs::hmac::HMAC_SHA256,
        &key[..16],
    ));
    for part in [b"aad".as_slice(), &unpadded.iv, &unpadded.body, &24_u64.to_be_bytes()] {
        context.update(part);
    }
    unpadded.tag = context.sign().as_ref()[..16].to_vec();
    assert!(content.decrypt(&key, b"aad", unpadded).is_none());
}

#[test]
fn j14_a_wrapped_key_of_another_length_is_no_key() {
    let reader = Reader::new();
    let jwk: Value =
        serde_json::from_slice(reader.keys.get("kw").unwrap().to_private_jwk().unwrap().expose()).unwrap();
    let kek = base64url::decode(jwk["k"].as_str().unwrap()).unwrap();
    let header = header(&json!({"alg": "A256KW", "kid": "kw"}));
    for length in [16, 24, 32, 64] {
        let protected = base64url::encode(header.as_bytes());
        let wrapped = key_wrap::wrap(&kek, &KNOWN.repeat(2)[..length]).unwrap();
        let token = with_part(&reader.under(&header), 1, &base64url::encode(&wrapped));
        assert_eq!(reader.verify(&with_part(&token, 0, &protected)).is_ok(), length == 32, "{length}");
    }
}

#[test]
fn j15_an_ephemeral_key_that_is_no_point_of_the_curve_is_refused() {
    let reader = Reader::new();
    for kid in ["es", "es-kw"] {
        let token = reader.good(kid);
        let with_epk = |epk: Value| {
            let mut header = header_of(&token);
            header["epk"] = epk;
            with_part(&token, 0, &base64url::encode(header.to_string().as_bytes()))
        };
        let epk = header_of(&token)["epk"].clone();
        let changed = |name: &str, value: &str| {
            let mut epk = epk.clone();
            epk[name] = json!(value);
            with_epk(epk)
        };
        let off_curve = json!({"kty": "EC", "crv": "P-256",
            "x": "gTli65eTQ7z-Bh147ff8K3m7k2UiDiG2LpYkWAaFJCc",
            "y": "cLAnjKa4bzjD7DJVPwa9EPrRzMG7rONgsiUD-kf30Fs"});
        reader.refuses(&with_epk(off_curve), JweError::MalformedHeader);
        let [zero, most, long] = [vec![0; 32], vec![0xff; 32], vec![1; 48]].map(|x| base64url::encode(&x));
        let infinity = json!({"kty": "EC", "crv": "P-256", "x": zero, "y": zero});
        reader.refuses(&with_epk(infinity), JweError::MalformedHeader);
        for (name, value) in
            [("x", &zero), ("y", &zero), ("x", &most), ("x", &long), ("x", &String::new()), ("d", &zero)]
        {
            reader.refuses(&changed(name, value), JweError::MalformedHeader);
        }
        for (name, value) in
            [("crv", "P-384"), ("crv", "P-521"), ("crv", "X25519"), ("kty", "OKP"), ("kty", "RSA")]
        {
            reader.refuses(&changed(name, value), JweError::MalformedHeader);
        }
        for epk in [json!("P-256"), json!([]), json!({}), json!(7), Value::Null] {
            reader.refuses(&with_epk(epk), JweError::MalformedHeader);
        }
        let other_curve =
            DecryptionKey::generate_on(reader.key(kid).management(), chartgate_protocol::jose::Curve::P384);
        let other_curve = serde_json::to_value(other_curve.unwrap().public_jwk().unwrap()).unwrap();
        reader.refuses(&with_epk(other_curve), JweError::Undecryptable);
        let other = header_of(&Reader::new().good(kid))["epk"].clone();
        reader.refuses(&with_epk(other), JweError::Undecryptable);
        let mut missing = header_of(&token);
        missing.as_object_mut().unwrap().remove("epk");
        let missing = with_part(&token, 0, &base64url::encode(missing.to_string().as_bytes()));
        reader.refuses(&missing, JweError::MalformedHeader);
    }
}

#[test]
fn j15_party_info_is_part_of_the_agreement() {
    let reader = Reader::new();
    let token = reader.good("es");
    for (name, value, cause) in [
        ("apu", json!("QWxpY2U"), JweError::Undecryptable),
        ("apv", json!("Qm9i"), JweError::Undecryptable),
        ("apu", json!("QWxpY2U="), JweError::MalformedHeader),
        ("apv", json!(7), JweError::MalformedHeader),
    ] {
        let mut header = header_of(&token);
        header[name] = value;
        let token = with_part(&token, 0, &base64url::encode(header.to_string().as_bytes()));
        reader.refuses(&token, cause);
    }
}

#[test]
fn j19_what_is_no_access_token_is_none_for_being_encrypted() {
    let reader = Reader::new();
    for typ in ["JWT", "logout+jwt", "dpop+jwt", "secevent+jwt", "at+jwt+x"] {
        let inner = reader.forge.with_header(&json!({ "typ": typ }));
        reader.refuses(&reader.enclose("es", &inner), Rejection::Type);
    }
    let nested = reader.forge.with_header(&json!({"cty": "JWT"}));
    reader.refuses(&reader.enclose("es", &nested), Rejection::ContentType);
}

#[test]
fn j20_a_header_that_repeats_a_name_says_nothing() {
    let reader = Reader::new();
    for repeated in [
        r#"{"alg":"dir","alg":"dir","enc":"A256GCM","kid":"known","cty":"JWT"}"#,
        r#"{"alg":"dir","enc":"A256GCM","kid":"known","cty":"JWT","\u0061lg":"RSA1_5"}"#,
        r#"{"alg":"dir","enc":"A256GCM","kid":"known","cty":"JWT","epk":{"d":1,"d":2}}"#,
    ] {
        reader.refuses(&reader.under(repeated), JweError::DuplicateName);
    }
    for folded in [r#"{"Alg":"dir","enc":"A256GCM","kid":"known"}"#, r#"{"alg":"dir","ENC":"A256GCM"}"#] {
        reader.refuses(&reader.under(folded), JweError::MalformedHeader);
    }
    reader.refuses(
        &reader.under(b"{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"x\":\"\xff\"}"),
        JweError::MalformedHeader,
    );
}

#[test]
fn j21_a_token_has_one_text() {
    let reader = Reader::new();
    let token = reader.good("es");
    for other in [
        format!("{token} "),
        format!(" {token}"),
        format!("{token}="),
        format!("{token}\n"),
        token.replacen('.', "=.", 1),
        token.replacen('.', " .", 1),
    ] {
        reader.refuses(&other, JweError::Encoding);
    }
    reader.refuses(&format!("{token}."), JweError::Malformed);
    let mut cut = token;
    cut.truncate(cut.len() - 2);
    reader.refuses(&cut, JweError::Undecryptable);
}

#[test]
fn a_public_set_holds_no_private_and_no_shared_key_and_verifies_nothing() {
    let reader = Reader::new();
    let published: Value = serde_json::to_value(&reader.keys).unwrap();
    let keys = published["keys"].as_array().unwrap();
    assert_eq!(keys.iter().map(|key| &key["kid"]).collect::<Vec<_>>(), ["es", "es-kw", "rsa"]);
    for key in keys {
        assert_eq!(key["use"], "enc");
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(key.get(private).is_none(), "{private}");
        }
    }
    let text = published.to_string();
    assert_eq!(KeySet::parse(text.as_bytes()).unwrap().keys().count(), 0);
    for management in KeyManagement::PUBLIC {
        let found = EncryptionKey::first_of(text.as_bytes(), management).unwrap().unwrap();
        assert_eq!(found.management(), management);
        let message = Message { typ: None, cty: Some("JWT"), plaintext: b"for the reader" };
        let to = Recipient { key: &found, content: CONTENT };
        let token = jwe::encrypt(to, &message, &mut SeededEntropy::new(2)).unwrap();
        let read = Encrypted::parse(&token, &[CONTENT], jwe::MAX_TOKEN_BYTES).unwrap();
        assert_eq!(read.decrypt_with(&reader.keys).unwrap().plaintext(), b"for the reader");
    }
}
