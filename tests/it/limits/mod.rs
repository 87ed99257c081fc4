//! Sending limits through the real program: without the daemon, with it, and in the configuration.

mod damaged;
mod direct;
mod explained;
mod killed;
mod real;
mod rules;
mod served;

use crate::support::run::Home;
use crate::support::server::Server;

/// A sender at a server, with further keys.
fn sender(name: &str, server: &Server, keys: &str) -> String {
    format!(
        "[[sender]]\nname = \"{name}\"\nfrom = \"{name}@example.com\"\nserver = \"smtp+plain://127.0.0.1:{}\"\n{keys}\n",
        server.port
    )
}

/// A home without a daemon, whose counters are in it.
fn home(general: &str, senders: &str) -> Home {
    let home = Home::new();
    let file = home.path("limits.db");
    home.config(&format!(
        "domain = \"host.example\"\nlog = {{ to = \"off\" }}\n{general}\n[limits]\nfile = \"{}\"\n{senders}",
        file.display()
    ))
}

/// A message from a sender.
pub fn mail(sender: &str) -> String {
    format!("From: {sender}@example.com\nSubject: a message\n\nhello\n")
}

/// So many recipients of all messages that the server took.
fn taken(server: &Server) -> usize {
    server.messages().iter().map(|message| message.recipients.len()).sum()
}
