//! The integration target: every test drives the real binary.
