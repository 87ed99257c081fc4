//! What an msmtprc account changes in a message: the envelope sender, and the `set_*_header` switches. Pure.

use super::RouteError;
use super::choose::is_pattern;
use super::plan::{Request, Said};
use super::substitute::{Facts, substitute};
use crate::config::{Account, AutoOnOff, SetTo};
use crate::envelope::ReversePath;
use crate::exit::Status;
use crate::message::Message;
use crate::message::address::{self, Address, Mailbox};
use crate::message::header::format_mailbox;
use crate::message::rewrite::{Completion, Switches};

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

/// Does what the account's `set_*_header` switches say, and tells the completion what is left to do.
pub(super) fn header(
    account: &Account,
    message: &mut Message,
    completion: &mut Completion<'_>,
    recipients: &[Mailbox],
) -> Vec<String> {
    let mut changes = Vec::new();
    completion.switches = Switches {
        date: account.set_date_header,
        message_id: account.set_msgid_header,
        from: account.set_from_header != AutoOnOff::Off,
        strip_bcc: account.remove_bcc_headers,
    };
    let header = &mut message.header;
    if account.set_from_header == AutoOnOff::On {
        let value = format_mailbox(completion.from_name, completion.from);
        header.replace("From", &value);
        changes.push(format!("From is now {value} (set_from_header on)"));
    }
    if account.set_to_header != SetTo::Off && header.first("To").is_none() {
        let value = match account.set_to_header {
            SetTo::On => recipients.iter().map(|to| to.address.to_string()).collect::<Vec<_>>().join(", "),
            _ => "undisclosed-recipients:;".to_owned(),
        };
        header.prepend("To", &value);
        changes.push(format!("added To: {value}"));
    }
    changes
}
