//! What is kept and delivered later, through the real program.

mod backup;
mod own;
mod served;
mod troubles;
