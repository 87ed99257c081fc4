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
use crate::message::header::{Header, format_mailbox};
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
    if from.contains("%F") && header.is_none() {
        return Ok(ReversePath::Address(said.caller.clone()));
    }
    let canonical = if from.contains("%C") { (request.canonical)() } else { String::new() };
    let facts = Facts {
        user: &request.who.name,
        host: request.hostname,
        canonical: &canonical,
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
    changes.extend(to(account, header, recipients));
    changes
}

/// What `set_to_header` does: `on` shows the recipients where no To does, but none that a Bcc holds;
/// `undisclosed_recipients` takes the place of To, Cc and Bcc.
fn to(account: &Account, header: &mut Header, recipients: &[Mailbox]) -> Option<String> {
    let undisclosed = || "undisclosed-recipients:;".to_owned();
    let value = match account.set_to_header {
        SetTo::Off => return None,
        SetTo::On if header.first("To").is_some() => return None,
        SetTo::On => {
            // A Bcc that cannot be read hides everybody.
            let hidden = blind(header)?;
            let shown = recipients.iter().filter(|to| !hidden.contains(&to.address.canonical()));
            let shown: Vec<String> = shown.map(|to| to.address.to_string()).collect();
            if shown.is_empty() { undisclosed() } else { shown.join(", ") }
        }
        SetTo::Undisclosed => {
            for name in ["To", "Cc", "Bcc"] {
                header.remove(name);
            }
            undisclosed()
        }
    };
    header.prepend("To", &value);
    Some(format!("To is now {value} (set_to_header)"))
}

/// The recipients of Bcc; `None` where it cannot be read.
fn blind(header: &Header) -> Option<Vec<String>> {
    let lists = header.all("Bcc").map(|field| address::parse_list(field.value(), "localhost"));
    let lists: Vec<Vec<Mailbox>> = lists.collect::<Result<_, _>>().ok()?;
    Some(lists.into_iter().flatten().map(|to| to.address.canonical()).collect())
}
