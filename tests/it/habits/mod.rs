//! What an administrator lives with day by day: manual pages, completions, one way of speaking.

mod manual;
mod pages;
mod voice;
