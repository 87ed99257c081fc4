//! `postrider import`: what other programs' configurations become, and that they send what the original would.

mod golden;
mod originals;
mod place;
mod sends;
mod writes;

use crate::support::run::{Finished, Home};

/// Imports files of `source` in the home.
fn import(home: &Home, program: &str, files: &[&str], more: &[&str]) -> Finished {
    let files: Vec<String> =
        files.iter().map(|file| home.path(&format!("source/{file}")).display().to_string()).collect();
    let mut arguments = vec!["import", program];
    arguments.extend(files.iter().map(String::as_str));
    arguments.extend(more);
    home.run("postrider", &arguments, "")
}
