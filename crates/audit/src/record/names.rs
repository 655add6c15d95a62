//! The names that records use on the wire.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text names nothing that this version knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a name that this version knows")]
pub struct UnknownName;

/// An enum whose variants have one name each, printed, parsed and serialised by it.
macro_rules! named {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownName),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use named;

named! {
    /// What kind of act a record is about.
    Event {
        /// A request that reached a route: exactly one for each.
        Access = "access",
        /// A write that is about to be sent upstream.
        AccessIntent = "access.intent",
        /// A stream that could not be withheld has closed.
        AccessEnd = "access.end",
        /// Requests of one address that were refused for their rate, in one minute.
        AccessThrottled = "access.throttled",
        /// A batch or transaction whose entries have a record each.
        Batch = "batch",
        /// A person signed in.
        LoginSucceeded = "login",
        /// A person did not sign in.
        LoginFailed = "login.failed",
        /// A person signed out.
        Logout = "logout",
        /// A session was ended by another than its person.
        SessionEnded = "session.end",
        /// A client is told that a session ended, or was told in vain.
        LogoutTold = "logout.tell",
        /// A person asked for emergency access.
        EmergencyRequested = "emergency.request",
        /// They got it.
        EmergencyGranted = "emergency.grant",
        /// It was ended before its time.
        EmergencyEnded = "emergency.end",
        /// Its person said that it was they.
        EmergencyAcknowledged = "emergency.acknowledge",
        /// They said that it was not, and it was ended.
        EmergencyDisowned = "emergency.disown",
        /// Somebody reviewed it.
        EmergencyReviewed = "emergency.review",
        /// Uses of emergency access were looked at.
        EmergencyRead = "emergency.read",
        /// A privacy officer is told of emergency access, or was told in vain.
        EmergencyTold = "emergency.tell",
        /// A client pushed an authorization request.
        RequestPushed = "authorization.push",
        /// A device asked for its person.
        DeviceRequested = "device.request",
        /// A person let a client act.
        ConsentGranted = "consent",
        /// A person did not let a client act.
        ConsentDenied = "consent.denied",
        /// A person took an application's access away.
        AppDisconnected = "app.disconnect",
        /// An EHR began the launch of an application.
        LaunchCreated = "launch.create",
        /// Tokens were issued.
        TokenIssued = "token.issue",
        /// Tokens were issued for a refresh token.
        TokenRefreshed = "token.refresh",
        /// A refresh token was used again, and its family ended.
        TokenReuse = "token.reuse",
        /// A token or grant was revoked.
        TokenRevoked = "token.revoke",
        /// A service learned what was cut off.
        RevocationsRead = "revocations.read",
        /// A client asked what a token is worth.
        TokenIntrospected = "token.introspect",
        /// No token was issued.
        TokenDenied = "token.denied",
        /// Someone was asked to approve.
        ApprovalRequested = "approval.request",
        /// They approved.
        ApprovalGranted = "approval.approve",
        /// They refused.
        ApprovalDenied = "approval.deny",
        /// They refused, and say that they should not have been asked.
        ApprovalReported = "approval.report",
        /// They did not answer in time.
        ApprovalLapsed = "approval.expire",
        /// A one-time link to enrol was made.
        EnrolmentIssued = "enrolment.issue",
        /// It was used.
        EnrolmentUsed = "enrolment.use",
        /// Somebody asked for a link in place of what they lost.
        RecoveryAsked = "recovery.ask",
        /// Somebody showed one of the proofs by which they get in again.
        RecoveryProven = "recovery.prove",
        /// A person was added.
        UserAdded = "user.add",
        /// A person's entry was changed.
        UserChanged = "user.change",
        /// A person was shut out.
        UserDisabled = "user.disable",
        /// A person was let in again.
        UserEnabled = "user.enable",
        /// A person's password was set.
        PasswordSet = "user.set-password",
        /// A person enrolled a second factor.
        FactorAdded = "factor.add",
        /// A person removed one.
        FactorRemoved = "factor.remove",
        /// A person calls one something else.
        FactorRenamed = "factor.rename",
        /// A passkey was put out of use: its counter went back, so there may be two of it.
        FactorSuspected = "factor.clone-suspected",
        /// A person got new recovery codes.
        RecoveryCodesMade = "factor.recovery-codes",
        /// A person's second factors were removed.
        FactorsReset = "user.reset-mfa",
        /// A person was told of a change to how they sign in, or was told in vain.
        PersonTold = "user.tell",
        /// A client was registered.
        ClientAdded = "client.add",
        /// A client's registration was changed.
        ClientChanged = "client.change",
        /// A client read its registration.
        ClientRead = "client.read",
        /// A client was removed.
        ClientRemoved = "client.remove",
        /// Somebody may register clients.
        ClientInvited = "client.invite",
        /// They may not any more.
        ClientUninvited = "client.uninvite",
        /// Who cares for whom was changed.
        CareChanged = "care.change",
        /// A key took another's place.
        KeyRotated = "key.rotate",
        /// A key was ended with all that it signed, for somebody else may have it.
        KeyCompromised = "key.compromise",
        /// Nothing of the log may be ended until that is released.
        HoldPlaced = "audit.hold",
        /// A hold was released.
        HoldReleased = "audit.release",
        /// A data key of the log was destroyed, and what it sealed with it.
        DataKeyShredded = "audit.shred",
        /// New policies are in force.
        PolicyReloaded = "policy.reload",
        /// New policies were refused; the old ones stay in force.
        PolicyRejected = "policy.rejected",
        /// A new configuration is in force.
        ConfigReloaded = "config.reload",
        /// A new configuration was refused; the old one stays in force.
        ConfigRejected = "config.rejected",
        /// The log is handed on to another tool from now on.
        ExportBegun = "export.begin",
        /// Another tool has not had what is older than it may be.
        ExportBehind = "export.behind",
        /// It has had all again.
        ExportCaughtUp = "export.caught-up",
        /// Records are not handed on that should have been.
        ExportSkipped = "export.skip",
        /// A witness remembers another log than ours.
        WitnessContradicted = "witness.contradict",
        /// Watching began, or goes on by other rules.
        WatchBegun = "watch.begin",
        /// The rules of today were applied to what is on record already.
        WatchRun = "watch.run",
        /// Somebody should look at what was done.
        WatchFinding = "watch.finding",
        /// Family names of patients were asked for, to compare them.
        WatchNames = "watch.names",
        /// A privacy officer is told of findings, or was told in vain.
        WatchTold = "watch.tell",
        /// Findings were looked at.
        WatchRead = "watch.read",
        /// Somebody said what they make of a finding.
        WatchClosed = "watch.close",
        /// A backup is begun: what is copied from here on leaves the data folder.
        BackupBegun = "backup.begin",
        /// It is whole, or failed.
        BackupMade = "backup.make",
        /// A backup was restored aside, to see that it can be, and how long that takes.
        BackupDrilled = "backup.drill",
        /// What runs was restored from a backup, and what was issued before is at an end.
        BackupRestored = "backup.restore",
        /// The log was read.
        AuditRead = "audit.read",
        /// The gateway started.
        Started = "gateway.start",
        /// The gateway stopped.
        Stopped = "gateway.stop",
        /// The gateway found the log as a crash had left it, and went on.
        Recovered = "gateway.recover",
    }
}

named! {
    /// How an act was decided or ended.
    Outcome {
        /// It was allowed.
        Allow = "allow",
        /// It was denied.
        Deny = "deny",
        /// It failed.
        Error = "error",
    }
}

named! {
    /// What kind of actor.
    #[derive(Default)]
    ActorKind {
        /// A person.
        Human = "human",
        /// A program that acts for itself.
        Workload = "workload",
        /// A program that acts for a person.
        Agent = "agent",
        /// Someone with an account on the gateway's machine, or the gateway itself.
        Local = "local",
        /// Nobody knows who.
        #[default]
        Anonymous = "anonymous",
    }
}
