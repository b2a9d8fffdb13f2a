//! Who may do what: identity, intent, queries, admission into a sandbox.
