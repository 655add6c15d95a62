//! Signing in: which step comes next, and how often it may be tried.

pub mod assurance;
pub mod blocklist;
pub mod kinds;
pub mod logout;
pub mod provider;
pub mod recovery;
pub mod steps;
pub mod throttle;
pub mod wishes;
