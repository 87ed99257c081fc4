//! What is wrong with the text of a configuration file by itself: nothing that it names is opened, looked up or run.

use super::build::{self, FileConfig};
use super::error::{ConfigError, Place};
use super::listen::Listener;
use super::toml::Source;
use crate::limits::zone::Zone;
use crate::rules::Rules;
use std::path::Path;

type Parse = dyn Fn(Source<'_>, Option<&Path>) -> (FileConfig, Vec<ConfigError>);

/// The faults of a text as a postrider.toml. Errors name the file `postrider.toml`, and quote keys of the text.
#[must_use]
pub fn main_file(text: &str) -> Vec<ConfigError> {
    faults(text, &build::main_file)
}

/// The faults of a text as a file of `senders.d`.
#[must_use]
pub fn fragment(text: &str) -> Vec<ConfigError> {
    faults(text, &|source, home| build::fragment(source, home, &Zone::Local))
}

/// The listeners of a text as a postrider.toml.
///
/// # Errors
/// Its faults; what concerns other tables is not looked at.
pub fn listeners(text: &str) -> Result<Vec<Listener>, Vec<ConfigError>> {
    let file = Place::new("postrider.toml", 0);
    let (config, errors) = build::main_file(Source { text, file: &file, quote: true }, None);
    if errors.is_empty() { Ok(config.listen) } else { Err(errors) }
}

/// The rules of a text as a postrider.toml.
///
/// # Errors
/// Its faults; what concerns several tables is not looked at.
pub fn rules(text: &str) -> Result<Rules, Vec<ConfigError>> {
    let file = Place::new("postrider.toml", 0);
    let (config, errors) = build::main_file(Source { text, file: &file, quote: true }, None);
    if errors.is_empty() { Ok(config.rules) } else { Err(errors) }
}

fn faults(text: &str, parse: &Parse) -> Vec<ConfigError> {
    let file = Place::new("postrider.toml", 0);
    parse(Source { text, file: &file, quote: true }, None).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_their_place() {
        assert_eq!(fragment("[[sender]]\nfrom = \"a@b.test\"\nserver = \"smtp://b.test\"\n"), []);
        let faults = main_file("\nsendr = 1\n");
        assert!(faults[0].to_string().starts_with("postrider.toml:2: "), "{faults:?}");
    }
}
