//! Decisions: sessions, login, grants, tokens, policy.
