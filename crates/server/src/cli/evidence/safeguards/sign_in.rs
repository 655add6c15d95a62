//! Safeguards of signing in, and of being signed out. 45 CFR 164.312(a)(2)(iii) and (d), and the sign-in parts of
//! 164.308(a)(5).

use chartgate_access::approval::known::KNOWN_FOR;
use chartgate_audit::record::Event;

use super::{HOUR, Known, span};
use crate::admin::in_force::{ProviderInForce, RouteInForce, SessionLimits, SignIn, SignOutInForce};
use crate::cli::evidence::Safeguard;

pub(super) fn automatic_logoff(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C05", "164.312(a)(2)(iii)", "addressable", "Automatic logoff");
    let (sessions, tokens) = (&settings.sessions, &settings.tokens);
    let of_all = [
        ("after one factor", sessions.one_factor),
        ("after two factors", sessions.two_factors),
        ("after a passkey", sessions.phishing_resistant),
    ];
    let alike = of_all.iter().all(|(_, limits)| *limits == sessions.one_factor);
    for (which, SessionLimits { idle, absolute }) in of_all.into_iter().take(if alike { 1 } else { 3 }) {
        let session = if alike { "A session".to_owned() } else { format!("A session {which}") };
        tell.force(format!(
            "{session} ends after {} without use, and {} after it began, with its tokens and open streams.",
            span(idle),
            span(absolute)
        ));
        tell.miss_if(
            idle > HOUR,
            format!("{session} may be idle for {}, longer than an hour (NIST SP 800-63B-4).", span(idle)),
        );
        tell.miss_if(
            absolute > 24 * HOUR,
            format!("{session} may last {}, longer than a day (NIST SP 800-63B-4).", span(absolute)),
        );
    }
    tell.force(format!("An access token is good for {}.", span(tokens.access)));
    for ProviderInForce { issuer, sign_out, .. } in &settings.identity_providers {
        let sent = match sign_out {
            SignOutInForce::Always => "is sent there to sign out too",
            SignOutInForce::Offered => "is asked whether to sign out there too",
            SignOutInForce::Never => "stays signed in there",
        };
        tell.force(format!(
            "Whoever came by {issuer} and signs out here {sent}; who signs out there, and of whom it tells this gateway so, is signed out here at once."
        ));
        tell.miss_if(
            *sign_out == SignOutInForce::Never,
            format!("After a sign-out, whoever is next at the same screen gets in by what is open at {issuer} (`identity_provider.sign_out`)."),
        );
    }
    tell.show("Sessions that ended", seen.done(Event::SessionEnded));
    tell.count("Ended, by reason", &seen.ends);
    tell.show("Sign-outs", seen.done(Event::Logout));
    tell
}

pub(super) fn sign_in_attempts(known: &Known<'_>) -> Safeguard {
    let Known { seen, .. } = known;
    let mut tell =
        Safeguard::new("C06", "164.308(a)(5)(ii)(C), (D)", "addressable", "Failed sign-ins, passwords");
    tell.force(format!(
        "After {} failed tries the pause before the next one doubles; after {} no waiting helps.",
        chartgate_access::login::throttle::FREE,
        chartgate_access::login::throttle::LIMIT
    ));
    tell.show("Failed sign-ins", seen.of(Event::LoginFailed));
    tell.count("Failed, by reason", &seen.failures);
    tell.show("Passwords set", seen.done(Event::PasswordSet));
    tell
}

pub(super) fn authentication(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C12", "164.312(d)", "required", "Person or entity authentication");
    let all: u64 = seen.sign_ins.values().map(|kind| kind.count).fold(0, u64::saturating_add);
    for (methods, kind) in &seen.sign_ins {
        let methods = if methods.is_empty() { "an identity provider alone" } else { methods };
        tell.show(&format!("Sign-ins by {methods}"), kind);
    }
    let one = seen.by_one_factor.count;
    tell.miss_if(one > 0, format!("{one} of {all} sign-ins were by one factor alone."));
    tell_sign_in(&mut tell, &settings.sign_in);
    tell.show(
        "Right passwords where no phone was asked, for their person was never seen there",
        &seen.never_seen,
    );
    for route in &settings.routes {
        let RouteInForce { name, sign_in_max_age, acr_values, .. } = route;
        if let Some(age) = sign_in_max_age {
            tell.force(format!("{name} wants people who signed in within {}.", span(*age)));
        }
        if !acr_values.is_empty() {
            tell.force(format!("{name} wants a sign-in by {}.", acr_values.join(" or ")));
        }
    }
    for issuer in &settings.trusted_issuers {
        tell.force(format!("Tokens of {issuer} are believed: how its people sign in is set there."));
    }
    for provider in &settings.identity_providers {
        tell_provider(&mut tell, provider);
    }
    if settings.people_are_mailed {
        tell.force(
            "People whose address is known are told by e-mail of changes to how they sign in.".to_owned(),
        );
    } else {
        tell.miss(
            "Nobody is told by e-mail of changes to how they sign in (`mail`): their account page alone says so."
                .to_owned(),
        );
    }
    tell.show("Times somebody was told of such a change", &seen.told);
    let not_told = seen.not_told.count;
    tell.miss_if(
        not_told > 0,
        format!("Attempts to tell somebody of such a change that failed: {not_told}."),
    );
    tell.miss_if(
        settings.approvals_by_command_line,
        "Approvals can be answered at the command line (`approvals.command_line`): whoever has the machine answers for others.".to_owned(),
    );
    tell
}

/// Who may sign in elsewhere.
fn tell_provider(tell: &mut Safeguard, provider: &ProviderInForce) {
    let ProviderInForce { issuer, two_factors_count, gives_roles, adds_people, sign_out: _ } = provider;
    let counts =
        if *two_factors_count { "two factors there are two here" } else { "all of it is one factor here" };
    tell.force(format!("People sign in at {issuer}, with accounts linked by issuer and subject: {counts}."));
    if *gives_roles {
        tell.force(format!("The groups at {issuer} say at each sign-in which roles its people have here."));
    }
    tell.miss_if(
        *adds_people,
        format!("Whoever {issuer} vouches for is added: nobody here looks at them before they sign in."),
    );
}

/// Who has to sign in how.
fn tell_sign_in(tell: &mut Safeguard, sign_in: &SignIn) {
    if !sign_in.second_factor.is_empty() {
        let whom = sign_in.second_factor.join(", ");
        tell.force(format!("A second factor has to be had, and is asked for, by: {whom}."));
    }
    if !sign_in.passkey.is_empty() {
        let whom = sign_in.passkey.join(", ");
        tell.force(format!(
            "A passkey, which cannot be phished, has to be had, and is asked for, by: {whom}."
        ));
    }
    if !sign_in.hardware_key.is_empty() {
        let whom = sign_in.hardware_key.join(", ");
        tell.force(format!(
            "A passkey that hardware keeps and gives to nobody has to be had, and is asked for, by: {whom}."
        ));
    }
    if !sign_in.authenticator_roots.is_empty() {
        let (roots, models) =
            (sign_in.authenticator_roots.join("; "), sign_in.authenticator_models.join(", "));
        let of = if models.is_empty() { "of any model".to_owned() } else { format!("of: {models}") };
        tell.force(format!("Hardware is known by attestation that leads to {roots}, {of}."));
    }
    if sign_in.passkeys_offered {
        tell.force("Passkeys are offered to everybody, each with its user verified.".to_owned());
        tell.force(format!(
            "After a password a phone is asked only in a browser where its person has shown a passkey or a code in the last {}, and on the way to applications that they have used in that time; an application that they never used wakes no phone with a question of its own (CIBA).",
            span(KNOWN_FOR.as_secs())
        ));
    } else {
        tell.miss("No factor that resists phishing is offered (`sign_in.passkeys`).".to_owned());
    }
    tell.force(if sign_in.recovered_by_mail {
        "Whoever lost their password gets in again by a link to their address and their second factor; whoever \
         lost the second factor, by password and link, unless it has to resist phishing."
            .to_owned()
    } else {
        "Whoever lost their password or their second factor gets in again by an administrator alone.".to_owned()
    });
    tell.miss_if(
        sign_in.second_factor.is_empty() && sign_in.passkey.is_empty() && sign_in.hardware_key.is_empty(),
        "Nobody has to have a second factor (`sign_in.second_factor`).".to_owned(),
    );
}
