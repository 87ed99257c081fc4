//! Telling of an incident: the configured program, without a shell, with the facts in its environment and as text on its
//! standard input. One at a time, in a thread of its own, so that no submission waits for it.

use super::About;
use super::count::{Incident, Who};
use crate::sys::spawn;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a program may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Alerts that wait for the one before; more are in the log alone.
const WAITING: usize = 32;

/// One run of the program.
struct Alert {
    command: Vec<String>,
    environment: Vec<(OsString, OsString)>,
    text: String,
}

/// The thread that runs them, once there is one.
#[derive(Debug, Default)]
pub(super) struct Alerts(Mutex<Option<SyncSender<Alert>>>);

impl Alerts {
    /// Has the program told.
    pub(super) fn tell(&self, command: &[String], incident: &Incident, per: Duration, who: &Who, about: About<'_>) {
        let per = humantime::format_duration(per).to_string();
        let facts = [
            ("REASON", incident.reason.clone()),
            ("SOURCE", incident.source.clone()),
            ("MESSAGES", incident.messages.to_string()),
            ("PER", per),
            ("UID", who.uid.map_or_else(String::new, |uid| uid.to_string())),
            ("USER", who.user.clone()),
            ("SCRIPT", who.script.name().to_owned()),
            ("ID", about.id.to_owned()),
            ("SENDER", about.sender.to_owned()),
            ("FROM", about.from.to_owned()),
        ];
        // No NUL can be in an environment, and no line end in a line.
        let facts = facts.map(|(name, value)| {
            let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect();
            (name, value)
        });
        let text = facts.iter().map(|(name, value)| format!("{}: {value}\n", name.to_lowercase())).collect();
        let environment = facts.map(|(name, value)| (format!("POSTRIDER_{name}").into(), value.into())).into();
        self.send(Alert { command: command.to_vec(), environment, text });
    }

    fn send(&self, alert: Alert) {
        let mut thread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match thread.take() {
            Some(sender) => sender,
            None => {
                let (sender, alerts) = mpsc::sync_channel::<Alert>(WAITING);
                let story = move || alerts.into_iter().for_each(|alert| run(&alert));
                if let Err(error) = std::thread::Builder::new().name("alerts".into()).spawn(story) {
                    tracing::error!(reason = %error, "no thread for the brake's alert");
                    return;
                }
                sender
            }
        };
        if sender.try_send(alert).is_err() {
            tracing::error!("the brake's alert program is too slow; this one is not told");
        }
        *thread = Some(sender);
    }
}

fn run(alert: &Alert) {
    let Some((program, arguments)) = alert.command.split_first() else { return };
    let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
    let input = alert.text.clone().into_bytes();
    match spawn::run(&PathBuf::from(program), &arguments, &alert.environment, input, LIMIT) {
        Ok(ended) if ended.status == 0 => {}
        Ok(ended) => {
            let said = String::from_utf8_lossy(&ended.stderr);
            let said = crate::report::printable(said.lines().next().unwrap_or_default());
            tracing::error!(program, status = ended.status, said, "the brake's alert failed");
        }
        Err(error) => tracing::error!(program, reason = %error, "the brake's alert failed"),
    }
}
