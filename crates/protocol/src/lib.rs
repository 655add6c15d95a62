//! Bytes and text in, types out: JOSE, OAuth, SMART, FHIR.
