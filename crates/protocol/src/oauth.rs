//! OAuth 2.0 and 2.1 on the wire: requests in, typed values out; typed values in, answers out.

pub mod authorization;
pub mod authorization_details;
pub mod client_authentication;
pub mod client_metadata;
pub mod device;
pub mod dpop;
pub mod error;
pub mod https_uri;
pub mod introspection;
pub mod metadata;
pub mod mtls;
pub mod pkce;
pub mod purpose_of_use;
pub mod pushed;
pub mod redirect;
pub mod request_object;
pub mod response_mode;
pub mod scope;
pub mod security_event;
pub mod status_list;
pub mod token;
pub mod token_exchange;
