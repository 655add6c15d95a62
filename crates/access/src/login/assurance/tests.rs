use chartgate_values::Timestamp;

use super::*;
use crate::principal::UserState;

fn user(roles: &[&str]) -> User {
    User {
        name: "dana".parse().unwrap(),
        state: UserState::Enabled,
        roles: roles.iter().map(|role| role.parse().unwrap()).collect(),
        fhir_user: None,
        email: None,
        created_at: Timestamp::EPOCH,
    }
}

#[test]
fn a05_whoever_has_a_factor_shows_it_and_whoever_lacks_one_that_is_needed_enrols() {
    use Assurance::{HardwareKey, OneFactor, PhishingResistant, TwoFactors};
    for (holds, needed, next) in [
        (Holds::Nothing, HardwareKey, Next::EnrolAPasskey),
        (Holds::Codes, HardwareKey, Next::Prove),
        (Holds::APasskey, HardwareKey, Next::Prove),
        (Holds::AHardwareKey, OneFactor, Next::Prove),
        (Holds::AHardwareKey, HardwareKey, Next::Prove),
        (Holds::Nothing, OneFactor, Next::Session),
        (Holds::Nothing, TwoFactors, Next::Enrol),
        (Holds::Nothing, PhishingResistant, Next::EnrolAPasskey),
        (Holds::Codes, OneFactor, Next::Prove),
        (Holds::Codes, TwoFactors, Next::Prove),
        (Holds::Codes, PhishingResistant, Next::Prove),
        (Holds::APasskey, OneFactor, Next::Prove),
        (Holds::APasskey, TwoFactors, Next::Prove),
        (Holds::APasskey, PhishingResistant, Next::Prove),
    ] {
        assert_eq!(after_password(holds, needed), next, "{holds:?} {needed:?}");
    }
}

#[test]
fn a05_a_code_opens_nothing_that_needs_a_passkey_and_enrols_no_second_one() {
    use Assurance::{HardwareKey, OneFactor, PhishingResistant, TwoFactors};
    for (holds, needed, next) in [
        (Holds::Codes, HardwareKey, Next::EnrolAPasskey),
        (Holds::APasskey, HardwareKey, Next::Prove),
        (Holds::AHardwareKey, PhishingResistant, Next::Prove),
        (Holds::AHardwareKey, TwoFactors, Next::Session),
        (Holds::Codes, OneFactor, Next::Session),
        (Holds::Codes, TwoFactors, Next::Session),
        (Holds::Codes, PhishingResistant, Next::EnrolAPasskey),
        (Holds::APasskey, TwoFactors, Next::Session),
        (Holds::APasskey, PhishingResistant, Next::Prove),
    ] {
        assert_eq!(after_code(holds, needed), next, "{holds:?} {needed:?}");
    }
}

#[test]
fn a05_where_hardware_is_needed_another_passkey_opens_nothing_and_enrols_the_first_alone() {
    use Assurance::{HardwareKey, OneFactor, PhishingResistant, TwoFactors};
    for (shown, holds, needed, next) in [
        (PhishingResistant, Holds::APasskey, OneFactor, Next::Session),
        (PhishingResistant, Holds::APasskey, PhishingResistant, Next::Session),
        (PhishingResistant, Holds::APasskey, HardwareKey, Next::EnrolAPasskey),
        (PhishingResistant, Holds::AHardwareKey, TwoFactors, Next::Session),
        (PhishingResistant, Holds::AHardwareKey, PhishingResistant, Next::Session),
        (PhishingResistant, Holds::AHardwareKey, HardwareKey, Next::Prove),
        (HardwareKey, Holds::AHardwareKey, PhishingResistant, Next::Session),
        (HardwareKey, Holds::AHardwareKey, HardwareKey, Next::Session),
    ] {
        assert_eq!(after_passkey(shown, holds, needed), next, "{shown:?} {holds:?} {needed:?}");
    }
}

#[test]
fn methods_say_how_strong_a_sign_in_was() {
    assert_eq!(Assurance::of(&["pwd".to_owned()]).acr(), None);
    for factor in [SecondFactor::AuthenticatorApp, SecondFactor::RecoveryCode] {
        assert_eq!(factor.amr(), ["pwd", "otp", "mfa"]);
        assert_eq!(Assurance::of(&factor.amr()).acr(), Some(TWO_FACTORS_ACR));
    }
    assert_eq!(SecondFactor::Passkey.amr(), ["pwd", "pop", "user", "mfa"]);
    assert_eq!(SecondFactor::Passkey.without_password(), ["pop", "user", "mfa"]);
    assert_eq!(SecondFactor::HardwareKey.without_password(), ["pop", "hwk", "user", "mfa"]);
    assert_eq!(SecondFactor::HardwareKey.after_passkey(), ["pop", "hwk", "user", "mfa"]);
    let app_after_passkey = SecondFactor::AuthenticatorApp.after_passkey();
    assert_eq!(app_after_passkey, ["pop", "user", "otp", "mfa"]);
    assert_eq!(Assurance::of(&app_after_passkey), Assurance::PhishingResistant);
    for (factor, acr) in
        [(SecondFactor::Passkey, PHISHING_RESISTANT_ACR), (SecondFactor::HardwareKey, HARDWARE_KEY_ACR)]
    {
        for amr in [factor.amr(), factor.without_password()] {
            assert_eq!(Assurance::of(&amr).acr(), Some(acr));
        }
    }
    // Hardware without a key that signs for this place alone is none of these.
    let methods = ["pwd", "otp", "hwk", "mfa"].map(str::to_owned);
    assert_eq!(Assurance::of(&methods), Assurance::TwoFactors);
    assert_eq!(SecondFactor::Phone.amr(), ["pwd", "mca", "mfa"]);
    assert_eq!(Assurance::of(&SecondFactor::Phone.amr()), Assurance::TwoFactors);
    // A key without anybody who was verified is one factor.
    assert_eq!(Assurance::of(&["pop".to_owned(), "user".to_owned()]), Assurance::OneFactor);
}

#[test]
fn what_is_stronger_meets_what_asks_for_less_and_never_the_other_way_round() {
    let levels =
        [Assurance::OneFactor, Assurance::TwoFactors, Assurance::PhishingResistant, Assurance::HardwareKey];
    assert!(levels.is_sorted());
    for (place, level) in levels.into_iter().enumerate() {
        for (wanted, acr) in [(1, TWO_FACTORS_ACR), (2, PHISHING_RESISTANT_ACR), (3, HARDWARE_KEY_ACR)] {
            assert_eq!(level.meets_one_of(&[acr.to_owned()]), place >= wanted, "{level:?} {acr}");
        }
        for unknown in ["phrhh", "gold", ""] {
            assert!(!level.meets_one_of(&[unknown.to_owned()]), "{level:?} {unknown}");
        }
        assert!(!level.meets_one_of(&[]));
    }
}

#[test]
fn a_request_gets_what_it_names_and_hears_a_word_that_it_named() {
    use Assurance::{HardwareKey, PhishingResistant, TwoFactors};
    let (mfa, phr, phrh) = (TWO_FACTORS_ACR, PHISHING_RESISTANT_ACR, HARDWARE_KEY_ACR);
    for (offered, named, asked) in [
        (Offered::HardwareKeys, vec![phrh], Some((HardwareKey, HardwareKey))),
        (Offered::HardwareKeys, vec![phrh, phr], Some((PhishingResistant, HardwareKey))),
        (Offered::Passkeys, vec![phrh], None),
        (Offered::Passkeys, vec![mfa], Some((TwoFactors, TwoFactors))),
        (Offered::Passkeys, vec![phr], Some((PhishingResistant, PhishingResistant))),
        (Offered::Passkeys, vec![phr, "gold", mfa], Some((TwoFactors, PhishingResistant))),
        (Offered::Passkeys, vec!["gold", "1"], None),
        (Offered::CodesAlone, vec![phr, mfa], Some((TwoFactors, TwoFactors))),
        (Offered::CodesAlone, vec![phr], None),
    ] {
        let found = offered.asked_by(named.iter().copied());
        assert_eq!(found.map(|found| (found.at_least, found.called)), asked, "{offered:?} {named:?}");
    }
}

#[test]
fn a05_where_more_than_a_password_is_needed_the_strongest_is_shown_once_more() {
    use Assurance::{HardwareKey, OneFactor, PhishingResistant, TwoFactors};
    for (has, needed, shown) in [
        (Holds::AHardwareKey, OneFactor, OnceMore::Password),
        (Holds::AHardwareKey, TwoFactors, OnceMore::Passkey),
        (Holds::AHardwareKey, HardwareKey, OnceMore::Passkey),
        (Holds::APasskey, OneFactor, OnceMore::Password),
        (Holds::Codes, OneFactor, OnceMore::Password),
        (Holds::Nothing, OneFactor, OnceMore::Password),
        (Holds::Nothing, TwoFactors, OnceMore::Nothing),
        (Holds::Nothing, PhishingResistant, OnceMore::Nothing),
        (Holds::Codes, TwoFactors, OnceMore::PasswordAndCode),
        (Holds::Codes, PhishingResistant, OnceMore::PasswordAndCode),
        (Holds::APasskey, TwoFactors, OnceMore::Passkey),
        (Holds::APasskey, PhishingResistant, OnceMore::Passkey),
    ] {
        assert_eq!(once_more(has, needed), shown, "{has:?} {needed:?}");
    }
}

#[test]
fn a_role_of_many_is_enough_to_need_one() {
    let roles = |names: &[&str]| Whom::OfRoles(names.iter().map(|name| name.parse().unwrap()).collect());
    let required = Required {
        two_factors: roles(&["privacy-officer"]),
        phishing_resistant: roles(&["administrator"]),
        hardware_key: roles(&["root"]),
    };
    assert_eq!(required.of(&user(&["root", "administrator"])), Assurance::HardwareKey);
    assert_eq!(required.of(&user(&["physician", "privacy-officer"])), Assurance::TwoFactors);
    assert_eq!(required.of(&user(&["administrator", "privacy-officer"])), Assurance::PhishingResistant);
    assert_eq!(required.of(&user(&["administrator"])), Assurance::PhishingResistant);
    assert_eq!(required.of(&user(&["physician"])), Assurance::OneFactor);
    let everybody = Required {
        two_factors: Whom::Everybody,
        phishing_resistant: Whom::nobody(),
        hardware_key: Whom::nobody(),
    };
    assert_eq!(everybody.of(&user(&[])), Assurance::TwoFactors);
}
