use super::*;

fn bound(jkt: Option<&str>, x5t_s256: Option<&str>) -> Confirmation {
    Confirmation { jkt: jkt.map(str::to_owned), x5t_s256: x5t_s256.map(str::to_owned) }
}

#[test]
fn a_bound_token_counts_only_with_its_own_proof() {
    let shown = |dpop_key, certificate| Presentation { dpop_key, certificate };
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
