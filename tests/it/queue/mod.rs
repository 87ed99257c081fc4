//! What is kept and delivered later, through the real program.

mod brake;
mod lanes;
mod own;
mod served;
