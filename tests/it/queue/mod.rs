//! What is kept and delivered later, through the real program.

mod backup;
mod brake;
mod lanes;
mod own;
mod served;
mod steering;
mod together;
mod troubles;
