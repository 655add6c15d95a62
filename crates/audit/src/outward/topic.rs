//! What an event is about, for formats that sort events by kinds of their own.

use crate::record::{Event, Outcome, Record};

/// What it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Topic {
    /// Records of patients.
    Access,
    /// A person comes.
    SignIn,
    /// A person goes, or is made to.
    SignOut,
    /// Tokens and what leads to them.
    Token,
    /// What a person lets a client do.
    Consent,
    /// Emergency access begins.
    EmergencyBegins,
    /// Emergency access is asked for, ends, is looked at, or told of.
    Emergency,
    /// A person.
    User,
    /// A client.
    Client,
    /// Who cares for whom.
    Care,
    /// Keys, policies, the configuration.
    Setting,
    /// The log.
    Log,
    /// What somebody should look at.
    Finding,
    /// The gateway begins or ends.
    Starts,
    /// The gateway ends.
    Stops,
}

impl Topic {
    pub(super) fn of(event: Event) -> Self {
        match event {
            Event::Access
            | Event::AccessIntent
            | Event::AccessEnd
            | Event::AccessThrottled
            | Event::Batch => Self::Access,
            Event::LoginSucceeded | Event::LoginFailed => Self::SignIn,
            Event::Logout | Event::SessionEnded => Self::SignOut,
            Event::RequestPushed
            | Event::DeviceRequested
            | Event::LaunchCreated
            | Event::TokenIssued
            | Event::TokenRefreshed
            | Event::TokenReuse
            | Event::TokenRevoked
            | Event::RevocationsRead
            | Event::TokenIntrospected
            | Event::TokenDenied
            | Event::ApprovalRequested
            | Event::ApprovalGranted
            | Event::ApprovalDenied
            | Event::ApprovalReported
            | Event::ApprovalLapsed
            // A sign-out has a record of its own, and its applications are told.
            | Event::LogoutTold => Self::Token,
            Event::ConsentGranted | Event::ConsentDenied | Event::AppDisconnected => Self::Consent,
            Event::EmergencyGranted => Self::EmergencyBegins,
            // That somebody asks begins nothing yet.
            Event::EmergencyRequested
            | Event::EmergencyEnded
            | Event::EmergencyAcknowledged
            | Event::EmergencyDisowned
            | Event::EmergencyReviewed
            | Event::EmergencyRead
            | Event::EmergencyTold => Self::Emergency,
            Event::EnrolmentIssued
            | Event::EnrolmentUsed
            | Event::RecoveryAsked
            | Event::RecoveryProven
            | Event::UserAdded
            | Event::UserChanged
            | Event::UserDisabled
            | Event::UserEnabled
            | Event::PasswordSet
            | Event::FactorAdded
            | Event::FactorRemoved
            | Event::FactorRenamed
            | Event::FactorSuspected
            | Event::RecoveryCodesMade
            | Event::FactorsReset
            | Event::PersonTold => Self::User,
            Event::ClientAdded
            | Event::ClientChanged
            | Event::ClientRead
            | Event::ClientRemoved
            | Event::ClientInvited
            | Event::ClientUninvited => Self::Client,
            Event::CareChanged => Self::Care,
            Event::KeyRotated
            | Event::KeyCompromised
            | Event::PolicyReloaded
            | Event::PolicyRejected
            | Event::ConfigReloaded
            | Event::ConfigRejected => Self::Setting,
            Event::HoldPlaced
            | Event::HoldReleased
            | Event::DataKeyShredded
            | Event::AuditRead
            | Event::BackupBegun
            | Event::BackupMade
            | Event::BackupDrilled
            | Event::BackupRestored
            | Event::ExportBegun
            | Event::ExportBehind
            | Event::ExportCaughtUp
            | Event::ExportSkipped
            | Event::WitnessContradicted
            | Event::WatchBegun
            | Event::WatchRun
            | Event::WatchNames
            | Event::WatchTold
            | Event::WatchRead => Self::Log,
            Event::WatchFinding | Event::WatchClosed => Self::Finding,
            Event::Started | Event::Recovered => Self::Starts,
            Event::Stopped => Self::Stops,
        }
    }
}

/// Which part of an act a record is about. An act has one record of its own; others stand before it and behind it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// It is about to be done: nobody knows yet whether it will be.
    Intended,
    /// It is done, or refused.
    Done,
    /// The answer to it has ended.
    Ended,
}

impl Phase {
    pub(super) fn of(event: Event) -> Self {
        match event {
            Event::AccessIntent => Self::Intended,
            Event::AccessEnd => Self::Ended,
            _ => Self::Done,
        }
    }
}

/// How it ended, in one word.
pub(super) fn outcome(record: &Record) -> &'static str {
    match Phase::of(record.event) {
        Phase::Intended => "intended",
        Phase::Done | Phase::Ended => record.outcome.as_str(),
    }
}

/// What is done to data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Crud {
    /// Made.
    Create,
    /// Read.
    Read,
    /// Changed.
    Update,
    /// Removed.
    Delete,
    /// Searched, or something else.
    Execute,
}

/// How it ended, by DICOM PS3.15 A.5 and FHIR's audit-event-outcome alike.
pub(super) fn outcome_code(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allow => "0",
        Outcome::Deny => "4",
        Outcome::Error => "8",
    }
}

impl Crud {
    /// Its letter, by DICOM PS3.15 A.5 and FHIR's audit-event-action alike.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Create => "C",
            Self::Read => "R",
            Self::Update => "U",
            Self::Delete => "D",
            Self::Execute => "E",
        }
    }

    pub(super) fn of(action: Option<&str>) -> Self {
        match action {
            Some("create" | "POST") => Self::Create,
            Some("read" | "vread" | "history" | "capabilities" | "GET" | "HEAD") => Self::Read,
            Some("update" | "patch" | "PUT" | "PATCH") => Self::Update,
            Some("delete" | "DELETE") => Self::Delete,
            Some(_) | None => Self::Execute,
        }
    }
}
