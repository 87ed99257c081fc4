//! The daemon and the way to it: a unix socket over which messages are handed over and the queue is steered.

pub mod protocol;
