//! The policy decision point: scopes first, then Cedar. Everything that is not allowed is denied.
//!
//! Cedar skips a policy that fails to evaluate, so a `forbid` with an error would vanish: here any diagnostic error
//! is a denial.

pub mod account;
pub mod caller;
pub mod decide;
pub mod policy_set;
pub mod policy_test;
pub mod relation;
mod request;
pub mod scope;
