//! What is kept and delivered later, through the real program.

mod own;
mod served;
