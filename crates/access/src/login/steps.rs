//! From an authorization request to an approved grant, one page at a time.

use chartgate_protocol::fhir::name::ResourceId;
use chartgate_protocol::oauth::authorization_details::EmergencyAccess;
use chartgate_protocol::oauth::scope::ScopeSet;
use chartgate_protocol::smart::scope::{Level, SmartScope};
use chartgate_values::Timestamp;

use crate::client::{AuthMethod, Client, Consent};
use crate::emergency::{self, Declared};
use crate::grant::authorization_code::{
    AskAgain, ConsentGiven, EncounterPick, PendingAuthorization, ReplyTo, Said,
};
use crate::grant::launch::{LAUNCH, LAUNCH_ENCOUNTER};
use crate::ids::{FhirUser, PatientId, SessionId, Subject};
use crate::login::assurance::Assurance;
use crate::principal::User;
use crate::session::{Session, Timeouts};

/// The scope that asks for a patient picker. SMART App Launch 2.2.
pub const LAUNCH_PATIENT: &str = "launch/patient";

/// What has to happen next.
#[derive(Debug)]
pub enum Step {
    /// Show who you are.
    SignIn,
    /// Say whose record the app shall see.
    PickPatient,
    /// Say in which of the patient's encounters, or in none.
    PickEncounter,
    /// Say whether the app may.
    Consent,
    /// Say why it is an emergency, and show again who you are.
    Emergency,
    /// Nothing: the grant is approved.
    Done(Approved),
}

/// A person said yes to what they can give. Only [`next`] makes one.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Approved {
    /// Who.
    pub subject: Subject,
    /// In which session.
    pub session: SessionId,
    /// Signed in when, if that is known.
    pub auth_time: Option<Timestamp>,
    /// When the sign-in stands from, known or not.
    pub stands_since: Timestamp,
    /// With the word of which provider, by its issuer.
    pub provider: Option<String>,
    /// Signed in how.
    pub amr: Vec<String>,
    /// How strongly, as tokens call it.
    pub assurance: Assurance,
    /// What was granted in the end.
    pub scope: ScopeSet,
    /// Whose record the client shall see, where its scope needs one.
    pub patient: Option<PatientId>,
    /// The encounter that was picked.
    pub encounter: Option<ResourceId>,
}

/// Somebody in a session that was checked.
#[derive(Clone, Copy, Debug)]
pub struct SignedIn<'a> {
    /// The person.
    pub user: &'a User,
    /// Their session.
    pub session: &'a Session,
    /// How strongly they have to sign in, whoever asks.
    pub needed: Assurance,
}

/// The next step of a pending request.
#[must_use]
pub fn next(
    pending: &PendingAuthorization,
    client: &Client,
    signed_in: Option<SignedIn<'_>>,
    consented_before: &ScopeSet,
    timeouts: Timeouts,
    now: Timestamp,
) -> Step {
    let Some(SignedIn { user, session, needed }) = signed_in else { return Step::SignIn };
    // Where a provider does not say when, it may have been long ago, whatever came after.
    let is_since = |since| session.known_auth_time().is_some_and(|auth_time| auth_time >= since);
    let too_old = pending.signed_in_since.is_some_and(|since| !is_since(since));
    if too_old || session.check(timeouts, now).is_err() || session.subject != user.name {
        return Step::SignIn;
    }
    // RFC 9470 section 4: who signed in less strongly than is asked for does so again. ATTACKS A05: the session says how
    // strongly, and it is asked here, before anything is approved.
    if session.assurance() < needed.max(pending.assurance) {
        return Step::SignIn;
    }
    // A launch is for whoever sat before the EHR.
    let launch = pending.launch.as_ref();
    if launch.and_then(|launch| launch.user.as_ref()).is_some_and(|launcher| *launcher != user.name) {
        return Step::SignIn;
    }
    // OpenID Connect Core section 3.1.2.1: an answer about somebody else is none.
    if pending.about.as_ref().is_some_and(|about| *about != user.name) {
        return Step::SignIn;
    }
    if let Some(asked) = emergency::asked(&pending.authorization_details) {
        return emergency_step(pending, asked, SignedIn { user, session, needed });
    }
    let said = pending.said_by(&user.name);
    let scope = sayable_of(user, (pending, &said), &grantable_by_a_person(&pending.scope));
    let picked = patient_of(pending, user).filter(|_| needs_patient(&scope));
    let patient = launch.and_then(|launch| launch.patient.clone()).or(picked);
    if needs_patient(&scope) && patient.is_none() {
        return Step::PickPatient;
    }
    let encounter = match &said.encounter {
        _ if launch.is_some() || !scope.contains(LAUNCH_ENCOUNTER) => None,
        EncounterPick::NotYet => return Step::PickEncounter,
        EncounterPick::One(encounter) => Some(encounter.clone()),
        EncounterPick::None => None,
    };
    // RFC 8252 section 8.6: anybody can say that they are a public client, so what it was given before says nothing.
    // Nor of one that registered itself: nobody here has looked at it, and what it says of itself changes.
    let is_known = client.token_endpoint_auth_method != AuthMethod::None && !client.is_self_registered();
    // Details name records, and are looked at each time; so is what is asked for by name, and for which purpose: what was
    // given for treatment was not given for research.
    let plain = pending.authorization_details.is_empty()
        && pending.claims.is_empty()
        && pending.purpose_of_use.is_none();
    let again = is_known && plain && pending.ask_again == AskAgain::No;
    let covered = again && scope.is_subset_of(consented_before);
    // RFC 8628 section 5.4: a code may have come from anybody, so its person is asked in any case.
    let asks = match &pending.reply_to {
        ReplyTo::Redirect(_) => client.consent,
        ReplyTo::Device(_) => Consent::Ask,
    };
    match (asks, said.consent) {
        (Consent::Never, _) | (_, ConsentGiven::Approved) => {}
        (Consent::Ask, ConsentGiven::NotYet) if covered => {}
        (Consent::Ask, ConsentGiven::NotYet) => return Step::Consent,
    }
    Step::Done(Approved {
        subject: user.name.clone(),
        session: session.id.clone(),
        auth_time: session.known_auth_time(),
        stands_since: session.auth_time,
        provider: session.elsewhere.as_ref().map(|elsewhere| elsewhere.issuer.clone()),
        amr: session.amr.clone(),
        assurance: called(pending, session),
        scope,
        patient,
        encounter,
    })
}

/// What tokens call the sign-in. Whoever asks for a value of `acr` compares texts (OpenID Connect Core section 5.5.1.1, RFC
/// 9470 section 4): they get the strongest that they named, even where the person showed more.
#[must_use]
pub fn called(pending: &PendingAuthorization, session: &Session) -> Assurance {
    let own = session.assurance();
    pending.called.map_or(own, |called| own.min(called))
}

/// Emergency access has a page of its own, which is its consent as well. What somebody declared there counts for them alone.
fn emergency_step(pending: &PendingAuthorization, asked: &EmergencyAccess, by: SignedIn<'_>) -> Step {
    let declared: Option<&Declared> = pending.emergency.as_ref().filter(|said| said.by == by.user.name);
    let (Some(declared), Ok(patient)) = (declared, asked.patient.parse()) else { return Step::Emergency };
    Step::Done(Approved {
        subject: by.user.name.clone(),
        session: by.session.id.clone(),
        auth_time: Some(declared.at),
        stands_since: declared.at,
        provider: by.session.elsewhere.as_ref().map(|elsewhere| elsewhere.issuer.clone()),
        amr: by.session.amr.clone(),
        assurance: called(pending, by.session),
        scope: emergency::scope_beside(&pending.scope),
        patient: Some(patient),
        encounter: None,
    })
}

/// The patient that this person picked, or the only one that there is to pick.
#[must_use]
pub fn patient_of(pending: &PendingAuthorization, user: &User) -> Option<PatientId> {
    pending.said_by(&user.name).patient.or_else(|| own_record(user))
}

/// Patients need not say whose record: there is but one that is theirs.
fn own_record(user: &User) -> Option<PatientId> {
    user.fhir_user.as_ref().and_then(FhirUser::patient)
}

/// People cannot give what only a client for itself may have: `system/` scopes.
#[must_use]
pub fn grantable_by_a_person(scope: &ScopeSet) -> ScopeSet {
    scope.iter().filter(|token| level(token) != Some(Level::System)).collect()
}

/// What there is something to say for. SMART App Launch 2.2, requirement 197: whom no FHIR resource represents, none is named
/// for; nor is there a launch where no EHR told of one, nor an encounter where neither EHR nor person did.
fn sayable_of(user: &User, (pending, said): (&PendingAuthorization, &Said), scope: &ScopeSet) -> ScopeSet {
    let launch = pending.launch.as_ref();
    let is_there = |token: &&str| match *token {
        "fhirUser" => user.fhir_user.is_some(),
        LAUNCH => launch.is_some(),
        LAUNCH_ENCOUNTER => match launch {
            Some(launch) => launch.encounter.is_some(),
            None => said.encounter != EncounterPick::None,
        },
        _ => true,
    };
    scope.iter().filter(is_there).collect()
}

/// Whether a patient has to be in context: `launch/patient`, any `patient/` scope, or an encounter, which is somebody's.
#[must_use]
pub fn needs_patient(scope: &ScopeSet) -> bool {
    scope.contains(LAUNCH_PATIENT)
        || scope.contains(LAUNCH_ENCOUNTER)
        || scope.iter().any(|token| level(token) == Some(Level::Patient))
}

fn level(token: &str) -> Option<Level> {
    token.parse::<SmartScope>().ok().map(|scope| scope.level)
}
