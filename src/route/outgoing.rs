//! What a sender adds to its messages and takes out of them: Reply-To, its own fields, copies for an archive. Pure.

use crate::config::{AddedHeader, Outgoing, Via};
use crate::envelope::{Dsn, Notify, RecipientDsn, ReversePath};
use crate::message::Message;
use crate::message::address::{Address, Mailbox, parse_list};
use crate::message::rewrite;
use std::collections::BTreeMap;

fn of(via: Via<'_>) -> Option<&Outgoing> {
    match via {
        Via::Sender(sender) | Via::Default(sender) => Some(&sender.outgoing),
        Via::Account(_) => None,
    }
}

/// Who gets a copy besides the recipients. Nobody of a message without an envelope sender: it is a report, and reports
/// about copies would have copies. Nobody to whom it was delivered before (Delivered-To): it comes back from the archive.
pub(super) fn archive(via: Via<'_>, from: &ReversePath, message: &Message, recipients: &[Mailbox]) -> Vec<Address> {
    let Some(outgoing) = of(via).filter(|outgoing| !outgoing.bcc.is_empty() && *from != ReversePath::Null) else {
        return Vec::new();
    };
    let delivered: Vec<String> = message
        .header
        .all("Delivered-To")
        .filter_map(|field| parse_list(field.value(), "localhost").ok())
        .flatten()
        .map(|mailbox| mailbox.address.key())
        .collect();
    let named = |copy: &Address| recipients.iter().any(|to| to.address.canonical() == copy.canonical());
    let copies = outgoing.bcc.iter().filter(|copy| !named(copy) && !delivered.contains(&copy.key()));
    // Without any recipient it is an error, which a copy must not hide.
    if recipients.is_empty() { Vec::new() } else { copies.cloned().collect() }
}

/// The notifications that are asked for, without a report of success about a copy: whoever reads it would learn of the
/// archive. A failure is told all the same.
pub(super) fn quietly(dsn: Dsn, mut asked: BTreeMap<String, RecipientDsn>, archive: &[Address]) -> Dsn {
    if let Some(notify) = dsn.notify.filter(|notify| notify.success) {
        let quiet = Notify { success: false, failure: true, ..notify };
        let dsn = RecipientDsn { notify: Some(quiet), ..RecipientDsn::default() };
        asked.extend(archive.iter().map(|copy| (copy.canonical(), dsn.clone())));
    }
    Dsn { recipients: asked, ..dsn }
}

/// Changes the header as the sender says; what was changed, in plain words.
pub(super) fn fields(via: Via<'_>, message: &mut Message) -> Vec<String> {
    let Some(outgoing) = of(via) else { return Vec::new() };
    let mut changes = Vec::new();
    for name in &outgoing.remove {
        if message.header.remove(name) > 0 {
            changes.push(format!("removed {name} (remove_headers)"));
        }
    }
    for AddedHeader { name, value, replace } in &outgoing.headers {
        if rewrite::set_text(message, name, value, *replace) {
            changes.push(format!("{name} is now {value} (headers)"));
        }
    }
    if let Some(reply_to) = &outgoing.reply_to
        && rewrite::set_field(message, "Reply-To", reply_to, outgoing.reply_to_always)
    {
        changes.push(format!("Reply-To is now {reply_to} (reply_to)"));
    }
    changes
}
