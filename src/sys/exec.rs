//! Becoming another program: this process goes on as `postrider`.

#![expect(clippy::disallowed_methods, reason = "the program to become is named here")]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Where it is looked for besides this program's own directory. `PATH` is not asked: whoever calls may have set it.
const PLACES: [&str; 2] = ["/usr/bin/postrider", "/usr/local/bin/postrider"];

/// Becomes `postrider`, called by that name with these arguments, and with that file as standard input where one is given.
/// Returns only where that is not possible: why, one line.
#[must_use]
pub fn postrider(name: &OsStr, arguments: &[OsString], input: Option<File>) -> String {
    let own = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("postrider")));
    let place =
        own.into_iter().chain(PLACES.iter().map(|place| Path::new(place).to_owned())).find(|path| path.exists());
    let Some(place) = place else { return format!("there is no {}", PLACES[0]) };
    let mut command = Command::new(&place);
    command.arg0(name).args(arguments);
    if let Some(input) = input {
        command.stdin(input);
    }
    format!("{} cannot be started: {}", place.display(), command.exec())
}
