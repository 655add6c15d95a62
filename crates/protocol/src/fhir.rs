//! The REST interface of FHIR R4, R4B and R5 as far as it is offered: read, vread, history, search of one type, create, update,
//! patch, delete and capabilities. HL7 FHIR 4.0.1, http.html and search.html; what differs in other versions is data
//! ([`version`]).
//!
//! A request becomes a closed type ([`interaction`]), one function says whose record a resource is
//! ([`membership`]), and an answer leaves only as it was taken apart and put together again ([`searchset`],
//! [`resource`]). All else of FHIR is refused by name ([`refusal`]).

pub mod base;
pub mod batch;
pub mod binary;
pub mod birth;
pub mod bulk;
pub mod bundle;
pub mod care;
pub mod consent;
pub mod content;
mod elements;
pub mod everything;
pub mod history;
pub mod interaction;
pub mod labels;
pub mod mask;
pub mod membership;
pub mod name;
pub mod operation;
pub mod outcome;
pub mod paging;
mod parameters;
pub mod patch;
pub mod period;
pub mod reference;
pub mod refusal;
pub mod resource;
pub mod search;
pub mod searchset;
pub mod shape;
pub mod token;
pub mod version;
pub mod view;
pub mod write;
