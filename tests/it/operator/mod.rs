//! The operator's side: the queue looked at and steered through the real programs, and the files that services are run by.

mod queue;
mod samples;
