//! `[msmtp]`: whether every caller of the name msmtp may name programs and files. Values only, but for `options_of`, which
//! looks into the machine's own file.

use super::account::Builder;
use super::error::Place;
use super::toml::{RawConfig, RawMsmtp, Source};
use crate::sys::{files, owners};
use std::path::Path;
use zeroize::Zeroizing;

/// `[msmtp] options`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MsmtpOptions {
    /// Options that name programs and files are for root and for a person at a terminal.
    #[default]
    Guarded,
    /// They are for everybody.
    All,
}

impl Builder<'_> {
    pub(super) fn msmtp(&mut self, raw: RawMsmtp) -> MsmtpOptions {
        let options = self.field("msmtp.options", raw.options, |text| match text {
            "guarded" => Ok(MsmtpOptions::Guarded),
            "all" => Ok(MsmtpOptions::All),
            _ => Err("one of \"guarded\", \"all\""),
        });
        options.unwrap_or_default()
    }
}

/// What `[msmtp]` of that file says to a user with these groups. Nothing, where he cannot read it, could have written it
/// himself, or where it is faulty.
#[must_use]
pub fn options_of(path: &Path, uid: u32, gids: Vec<u32>) -> MsmtpOptions {
    if owners::could_have_written(path, uid, gids).unwrap_or(true) {
        return MsmtpOptions::Guarded;
    }
    let Ok((data, _)) = files::read(path) else { return MsmtpOptions::Guarded };
    let data = Zeroizing::new(data);
    let Ok(text) = std::str::from_utf8(&data) else { return MsmtpOptions::Guarded };
    let place = Place::new(path, 0);
    let source = Source { text, file: &place, quote: false };
    let said: Option<RawConfig> = source.parse().ok();
    let mut build = Builder::new(source, None);
    said.and_then(|raw| raw.msmtp).map_or(MsmtpOptions::Guarded, |raw| build.msmtp(raw))
}
