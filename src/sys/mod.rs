//! The operating system: safe opening, child processes, users, clock, random, spool. The only unsafe-adjacent room.

pub mod clock;
pub mod descriptors;
pub mod env;
pub mod exec;
pub mod files;
pub mod identity;
pub mod install;
pub mod memory;
pub mod owners;
pub mod patient;
pub mod person;
pub mod process;
pub mod random;
pub mod rights;
pub mod signals;
pub mod space;
pub mod spawn;
pub mod spool;
pub mod stdin;
pub mod terminal;
pub mod users;
pub mod zoneinfo;
