//! The binary as its users meet it: the real program, started as they start it, called over TLS.
//!
//! One demo is shared by the tests that change nothing of which another would hear; a test that kills, fills a disk or
//! changes a configuration starts its own.

#[cfg(test)]
mod administration_socket;
#[cfg(test)]
mod approvals;
#[cfg(test)]
mod apps;
#[cfg(test)]
mod audit_index;
#[cfg(test)]
mod back_channel_logout;
#[cfg(test)]
mod backups;
#[cfg(test)]
mod backups_begun_anew;
#[cfg(test)]
mod beginnings;
#[cfg(test)]
mod binary;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod care;
#[cfg(test)]
mod certificate_flaws;
#[cfg(test)]
mod chromium;
#[cfg(test)]
mod ciba;
#[cfg(test)]
mod client_changes;
#[cfg(test)]
mod client_keys;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod codes;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod companions;
#[cfg(test)]
mod consent_page;
#[cfg(test)]
mod consents;
#[cfg(test)]
mod cross_origin;
#[cfg(test)]
mod details;
#[cfg(test)]
mod device;
#[cfg(test)]
mod dpop;
#[cfg(test)]
mod dynamic_conformance;
#[cfg(test)]
mod dynamic_registration;
#[cfg(test)]
mod edge;
#[cfg(test)]
mod ehr_launch;
#[cfg(test)]
mod emergency;
#[cfg(test)]
mod encounters;
#[cfg(test)]
mod encrypted_tokens;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod exchange;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod export;
#[cfg(test)]
mod fakes;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fhir;
#[cfg(test)]
mod fhir_batches;
#[cfg(test)]
mod fhir_conditional;
#[cfg(test)]
mod fhir_reading;
#[cfg(test)]
mod former_versions;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod granular;
#[cfg(test)]
mod hang_ups;
#[cfg(test)]
mod hardware_keys;
#[cfg(test)]
mod hashes;
#[cfg(test)]
mod held_connections;
#[cfg(test)]
mod identity_providers;
#[cfg(test)]
mod introspection;
#[cfg(test)]
mod jwt_attacks;
#[cfg(test)]
mod jwt_bearer;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod labels;
#[cfg(test)]
mod large;
#[cfg(test)]
mod late_answers;
#[cfg(test)]
mod late_keys;
#[cfg(test)]
mod localhost;
#[cfg(test)]
mod logout;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod masks;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod minors;
#[cfg(test)]
mod mirrors;
#[cfg(test)]
mod mtls;
#[cfg(test)]
mod never_seen;
#[cfg(test)]
mod openid_conformance;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod oracles;
#[cfg(test)]
mod outbox;
#[cfg(test)]
mod outside_clients;
#[cfg(test)]
mod outside_fhir_server;
#[cfg(test)]
mod outside_verifiers;
#[cfg(test)]
mod outward_http;
#[cfg(test)]
mod outward_s3;
#[cfg(test)]
mod outward_syslog;
#[cfg(test)]
mod own_account;
#[cfg(test)]
mod own_word;
#[cfg(test)]
mod page_sizes;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod par;
#[cfg(test)]
mod parallel;
#[cfg(test)]
mod passkeys;
#[cfg(test)]
mod passwords;
#[cfg(test)]
mod patch;
#[cfg(test)]
mod possession;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod proofs;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod registration;
#[cfg(test)]
mod registration_management;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod request_metrics;
#[cfg(test)]
mod reserve;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod revocations;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod second_factors;
#[cfg(test)]
mod shadow;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod sign_out_elsewhere;
#[cfg(test)]
mod signed_requests;
#[cfg(test)]
mod smart;
#[cfg(test)]
mod status_lists;
#[cfg(test)]
mod story;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod synthea;
#[cfg(test)]
mod throttled;
#[cfg(test)]
mod tongues;
#[cfg(test)]
mod trusted_issuers;
#[cfg(test)]
mod two_persons;
#[cfg(test)]
mod unwritable;
#[cfg(test)]
mod upstream_auth;
#[cfg(test)]
mod upstream_manners;
#[cfg(test)]
mod verifier;
#[cfg(test)]
mod versions;
#[cfg(test)]
mod watching;
#[cfg(test)]
mod web_push;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod without_effect;
#[cfg(test)]
mod witnesses;
