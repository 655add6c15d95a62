use super::*;

fn bound(jkt: Option<&str>, x5t_s256: Option<&str>) -> Confirmation {
    Confirmation { jkt: jkt.map(str::to_owned), x5t_s256: x5t_s256.map(str::to_owned) }
}

#[test]
fn a_bound_token_counts_only_with_its_own_proof() {
    let shown = |dpop_key, certificate| Presentation(Shown::Proofs { dpop_key, certificate });
    let dpop = bound(Some("k"), None);
    let certificate = bound(None, Some("c"));
    let both = bound(Some("k"), Some("c"));
    let unknown = bound(None, None);
    for (presentation, cnf, expected) in [
        (Presentation::BEARER, None, Ok(())),
        (shown(None, Some("c")), None, Ok(())),
        (shown(Some("k"), None), Some(&dpop), Ok(())),
        (shown(None, Some("c")), Some(&certificate), Ok(())),
        (shown(Some("k"), Some("c")), Some(&both), Ok(())),
        (shown(Some("k"), None), None, Err(Rejection::Confirmation)),
        (Presentation::BEARER, Some(&dpop), Err(Rejection::Confirmation)),
        (shown(Some("K"), None), Some(&dpop), Err(Rejection::Confirmation)),
        (shown(None, Some("k")), Some(&dpop), Err(Rejection::Confirmation)),
        (Presentation::BEARER, Some(&certificate), Err(Rejection::Confirmation)),
        (shown(None, Some("d")), Some(&certificate), Err(Rejection::Confirmation)),
        (shown(Some("k"), Some("c")), Some(&certificate), Err(Rejection::Confirmation)),
        (shown(Some("k"), None), Some(&both), Err(Rejection::Confirmation)),
        (shown(None, Some("c")), Some(&both), Err(Rejection::Confirmation)),
        (Presentation::BEARER, Some(&unknown), Err(Rejection::Confirmation)),
        (shown(None, Some("c")), Some(&unknown), Err(Rejection::Confirmation)),
    ] {
        assert_eq!(presentation.check(cnf), expected, "{presentation:?} {cnf:?}");
    }
}

#[test]
fn a_presentation_shows_what_was_proved_and_a_confirmation_binds_to_it() {
    let [k, c] = ["k", "c"].map(|text| Thumbprint::of_bytes(text.as_bytes()));
    let proven = ProvenKey {
        thumbprint: k.clone(),
        algorithm: Algorithm::ES256,
        jti: "j-1".parse().unwrap(),
        iat: Timestamp::EPOCH.into(),
        ath: Some(Thumbprint::of_bytes(b"token")),
        nonce_age: None,
    };
    let (bearer, dpop) = (Presentation::BEARER, Presentation::dpop(&proven).unwrap());
    let for_no_token = ProvenKey { ath: None, ..proven.clone() };
    assert_eq!(Presentation::dpop(&for_no_token), Err(ProofError::AccessToken));
    let bound = |key, certificate| Confirmation::to(key, certificate);
    assert_eq!(bound(None, None), None);
    for (cnf, good, bad) in [
        (bound(Some(&k), None), dpop, bearer),
        (bound(Some(&k), None), dpop.with_certificate(&c), bearer.with_certificate(&c)),
        (bound(None, Some(&c)), bearer.with_certificate(&c), bearer),
        (bound(None, Some(&c)), bearer.with_certificate(&c), dpop.with_certificate(&c)),
        (bound(None, Some(&c)), bearer.with_certificate(&c), bearer.with_certificate(&k)),
        (bound(Some(&k), Some(&c)), dpop.with_certificate(&c), dpop),
        (bound(Some(&k), Some(&c)), dpop.with_certificate(&c), bearer.with_certificate(&c)),
        (bound(Some(&c), None), dpop, dpop),
    ] {
        let is_other_key = good == bad;
        assert_eq!(good.check(cnf.as_ref()).is_ok(), !is_other_key, "{cnf:?}");
        assert_eq!(bad.check(cnf.as_ref()), Err(Rejection::Confirmation), "{cnf:?}");
    }
}
