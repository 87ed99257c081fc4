//! What an msmtprc account changes in a message: the envelope sender, and the `set_*_header` switches. Pure.

use super::choose::is_pattern;
use super::plan::{Request, Said};
use super::substitute::{Facts, substitute};
use super::RouteError;
use crate::config::{Account, AutoOnOff, SetTo};
use crate::envelope::ReversePath;
use crate::exit::Status;
use crate::message::Message;
use crate::message::address::{self, Address};
use crate::message::rewrite::{self, Completion};

/// MAIL FROM by msmtp's rule: `-f` where the account lets it, else `from`, else the From header, else the caller.
pub(super) fn reverse_path(
    request: &Request<'_>,
    said: &Said,
    account: &Account,
    header: Option<Address>,
) -> Result<ReversePath, RouteError> {
    if let Some(path) = said.envelope.as_ref().filter(|_| account.allow_from_override) {
        return Ok(path.clone());
    }
    let Some(from) = account.from.as_deref().filter(|from| !is_pattern(from)) else {
        // A pattern is no address: it only chooses the account.
        return Ok(ReversePath::Address(header.unwrap_or_else(|| said.caller.clone())));
    };
    let facts = Facts {
        user: &request.who.name,
        host: request.hostname,
        canonical: request.hostname,
        mailname: request.mailname.unwrap_or(request.hostname),
        from: header.as_ref(),
    };
    let text = substitute(from, &facts);
    address::parse_reverse_path(&text, request.domain)
        .map_err(|error| RouteError::new(Status::Config, format!("{}: from {from}: {error}", account.place)))
}

/// Adds and removes what the account's switches say; the changes in plain words.
pub(super) fn complete(account: &Account, message: &mut Message, completion: &Completion<'_>) -> Vec<String> {
    let mut changes = Vec::new();
    if account.remove_bcc_headers {
        changes.extend(rewrite::strip_bcc(message));
    }
    if account.set_date_header {
        changes.extend(rewrite::add_date(message, completion));
    }
    if account.set_msgid_header {
        changes.extend(rewrite::add_message_id(message, completion));
    }
    changes
}
