//! `[staging]`: nothing leaves for real recipients. Values only, but for `elsewhere`, which looks for it in the files that
//! a configuration does not come from.

use super::account::Builder;
use super::error::{ConfigError, Place};
use super::load::{Sources, is_there};
use super::pattern::Pattern;
use super::toml::{Field, RawConfig, RawStaging, Source, Strings};
use crate::message::address::Address;
use crate::sys::files;
use ::toml::Spanned;
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The name of the mailbox file of `capture = "file"`, in the queue's directory.
const MAILBOX: &str = "staging.mbox";

/// `[staging]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staging {
    /// Where mail goes instead.
    pub to: StagingTarget,
    /// `allow`: recipients that are let through.
    pub allow: Vec<Pattern>,
}

/// Where mail goes instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StagingTarget {
    /// `capture = "maildir:/path"`.
    Maildir(PathBuf),
    /// `capture = "mbox:/path"`.
    Mbox(PathBuf),
    /// `redirect_to`: over the same account, to this address.
    Redirect(Address),
}

impl Staging {
    /// Whether a recipient is let through.
    #[must_use]
    pub fn allows(&self, recipient: &Address) -> bool {
        self.allow.iter().any(|pattern| pattern.matches(recipient))
    }
}

impl fmt::Display for Staging {
    /// Where mail goes: `maildir:/path`, `mbox:/path`, or the address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            StagingTarget::Maildir(path) => write!(f, "maildir:{}", path.display()),
            StagingTarget::Mbox(path) => write!(f, "mbox:{}", path.display()),
            StagingTarget::Redirect(address) => address.fmt(f),
        }
    }
}

impl Builder<'_> {
    /// A faulty `[staging]` is an error, and the configuration is not used: mail must not leave by a slip of the pen.
    pub(super) fn staging(&mut self, raw: Option<Spanned<RawStaging>>, queue: &Path) -> Option<Staging> {
        let raw = raw?;
        let place = self.source.place(&raw);
        let raw = raw.into_inner();
        let allow = self.allowed(raw.allow);
        let to = match (raw.capture, raw.redirect_to) {
            (Some(capture), None) => self.field("staging.capture", Some(capture), |text| capture_to(text, queue)),
            (None, Some(to)) => {
                self.field("staging.redirect_to", Some(to), Address::parse).map(StagingTarget::Redirect)
            }
            (None, None) => {
                self.fault(&place, "[staging] needs capture = \"maildir:/path\" or redirect_to = \"address\"")
            }
            (Some(_), Some(_)) => self.fault(&place, "[staging] has capture or redirect_to, not both"),
        };
        to.map(|to| Staging { to, allow })
    }

    fn allowed(&mut self, field: Field<Strings>) -> Vec<Pattern> {
        let Some(field) = field else { return Vec::new() };
        let place = self.source.place(&field);
        let mut patterns = Vec::new();
        for (span, text) in field.into_inner().0 {
            let at = span.map_or_else(|| place.clone(), |span| self.source.at(span.start));
            match Pattern::parse(&text) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => self.note(&at, format!("staging.allow: {error}")),
            }
        }
        patterns
    }
}

fn capture_to(text: &str, queue: &Path) -> Result<StagingTarget, &'static str> {
    const FORM: &str = "\"maildir:/path\", \"mbox:/path\" or \"file\", with an absolute path";
    if text == "file" {
        return Ok(StagingTarget::Mbox(queue.join(MAILBOX)));
    }
    let (kind, path) = text.split_once(':').ok_or(FORM)?;
    if !path.starts_with('/') || path.contains('\0') {
        return Err(FORM);
    }
    match kind {
        "maildir" => Ok(StagingTarget::Maildir(path.into())),
        "mbox" | "file" => Ok(StagingTarget::Mbox(path.into())),
        _ => Err(FORM),
    }
}

/// The `[staging]` of postrider.toml for a configuration that has none and does not come from there: an msmtprc, or a
/// user's own file. A file that the caller may not read says nothing; one that mentions staging and cannot be understood
/// is an error.
///
/// # Errors
/// What is wrong with it.
pub(super) fn elsewhere(sources: &Sources, files: &[PathBuf]) -> Result<Option<Staging>, Vec<ConfigError>> {
    for path in files {
        let in_home = !path.starts_with(&sources.etc);
        if !is_there(path, in_home) {
            continue;
        }
        let Ok((data, _)) = files::read(path) else { continue };
        let data = Zeroizing::new(data);
        let text = String::from_utf8_lossy(&data);
        if !text.lines().any(|line| line.trim_start().trim_start_matches('[').trim_start().starts_with("staging")) {
            continue;
        }
        let place = Place::new(path, 0);
        let source = Source { text: &text, file: &place, quote: false };
        let mut build = Builder::new(source, sources.home.as_deref());
        let mut raw: RawConfig = source.parse().map_err(|error| vec![error])?;
        let queue = build.queue(raw.queue.take().unwrap_or_default());
        let staging = build.staging(raw.staging.take(), &queue.directory);
        if !build.errors.is_empty() {
            return Err(build.errors);
        }
        if staging.is_some() {
            return Ok(staging);
        }
    }
    Ok(None)
}
