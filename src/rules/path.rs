//! The path of a rule's maildir: a fixed beginning, and behind it components with parts of the recipient's address.
//!
//! Nothing in an address can leave the fixed beginning: a part is one component, without `/`, NUL, control characters and
//! leading dots. Pure.

use crate::message::address::Address;
use std::path::{Component, Path, PathBuf};

/// Octets of one part.
const PART: usize = 200;

/// A path with the address's parts in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What the administrator wrote; links in it are followed.
    pub base: PathBuf,
    /// The components below it that hold parts of the address; links are not followed.
    pub below: Vec<String>,
}

impl Place {
    /// The whole path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.below.iter().fold(self.base.clone(), |path, part| path.join(part))
    }
}

/// What is known of the maildirs on this machine: whether one is there, or may be. A disk that is not there says nothing
/// of what is on it.
#[derive(Clone, Copy)]
pub struct Mailboxes<'m>(pub &'m dyn Fn(&Place) -> bool);

impl std::fmt::Debug for Mailboxes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailboxes")
    }
}

/// Whether the path hangs on the recipient.
#[must_use]
pub fn varies(template: &str) -> bool {
    template.replace("%%", "").contains('%')
}

/// Checks a path as it is configured: absolute, without `..`, of the substitutions `%u` `%d` `%e` `%%` alone.
///
/// # Errors
/// What is wrong with it.
pub fn check(template: &str) -> Result<(), &'static str> {
    let path = Path::new(template);
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain || template.contains('\0') || path.file_name().is_none() {
        return Err("an absolute path without .., such as \"/srv/mail/%d/%u\"");
    }
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        match rest[at + 1..].chars().next() {
            Some('u' | 'd' | 'e' | '%') => rest = &rest[at + 2..],
            _ => {
                return Err("%u is the part before the @, %d the domain, %e what stands behind a +, %% a percent sign");
            }
        }
    }
    Ok(())
}

/// The path for a recipient. Parts are in lower case, as mailboxes are.
#[must_use]
pub fn expand(template: &str, to: &Address) -> Place {
    let (mut base, mut below) = (PathBuf::from("/"), Vec::new());
    for component in template.split('/').filter(|component| !component.is_empty()) {
        let plain = component.replace("%%", "%");
        if below.is_empty() && !varies(component) {
            base.push(plain);
        } else {
            below.push(component_of(component, to));
        }
    }
    Place { base, below }
}

fn component_of(component: &str, to: &Address) -> String {
    let local = to.local().trim_matches('"').to_lowercase();
    let (user, detail) = local.split_once('+').filter(|(user, _)| !user.is_empty()).unwrap_or((&local, ""));
    let (mut out, mut chars) = (String::new(), component.chars());
    while let Some(c) = chars.next() {
        match (c, c == '%') {
            (_, true) => match chars.next() {
                Some('u') => out.push_str(&clean(user)),
                Some('d') => out.push_str(&clean(&to.domain().to_lowercase())),
                Some('e') => out.push_str(&clean(detail)),
                _ => out.push('%'),
            },
            (c, false) => out.push(c),
        }
    }
    // A component of dots alone would be another directory.
    if out.is_empty() || out.starts_with('.') && out.bytes().all(|octet| octet == b'.') { "_".into() } else { out }
}

/// A part of an address that is no more than a name.
#[must_use]
pub fn clean(part: &str) -> String {
    let dots = part.len() - part.trim_start_matches('.').len();
    let name: String = part
        .char_indices()
        .map(|(at, c)| if at < dots || c == '/' || c.is_control() || c == '\u{feff}' { '_' } else { c })
        .collect();
    name[..name.floor_char_boundary(PART)].to_owned()
}
