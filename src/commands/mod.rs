//! One story per command.
