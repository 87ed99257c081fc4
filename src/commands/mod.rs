//! One story per command.

pub mod try_demo;
