//! AUTH (RFC 4954): drives a mechanism's exchange over the session. The secret goes from the payload to the wire, and
//! nowhere else: the transcript shows `[hidden]`, and a server that repeats it, then or later in the session, is not quoted.

use super::{Cause, Failure, Session};
use crate::net::deadline::Timed;
use crate::smtp::auth::hidden::Hidden;
use crate::smtp::auth::{AuthPayload, Credentials, Exchange, Mechanism, decode};
use crate::smtp::dialogue::Event;
use crate::smtp::phase::Phase;
use crate::smtp::reply::Reply;
use zeroize::Zeroizing;

/// The most challenges that are answered.
const ROUNDS: usize = 10;
/// The longest AUTH command, octets with its line end (RFC 4954 section 4).
const COMMAND: usize = 12_288;

impl<W: Timed> Session<'_, W> {
    /// Logs in with the first of the mechanisms; with the next only where the server does not want the mechanism, or its
    /// channel binding, as such. A refused login is never tried in another way: that would count twice at the server.
    /// Returns the mechanism's name.
    ///
    /// # Errors
    /// The server refuses, or the connection is lost.
    pub fn login(
        &mut self,
        mechanisms: &[&'static Mechanism],
        credentials: Credentials<'_>,
    ) -> Result<&'static str, Failure> {
        let mut result = Err(Failure::new(Phase::Auth, Cause::Config("no login method is left".into())));
        let ways = mechanisms.iter().flat_map(|one| credentials.ways(one).into_iter().map(move |way| (one, way)));
        self.hidden = Hidden::default();
        for (mechanism, credentials) in ways {
            let mut proven = false;
            self.in_login = true;
            result = self.exchange(mechanism, credentials, &mut proven).map(|()| mechanism.name);
            match &result {
                Err(Failure { cause: Cause::Refused(reply), .. }) if declines_mechanism(reply) => {}
                // Many servers have no other word for a binding that they do not know.
                Err(Failure { cause: Cause::Refused(reply), .. })
                    if mechanism.binds && !proven && reply.code == 535 => {}
                Err(Failure { cause: Cause::RefusedBecause(_, why), .. }) if declines_binding(why) => {}
                _ => break,
            }
        }
        self.in_login = false;
        result
    }

    /// `proven` tells whether a challenge was answered: before that no password can have been judged by a mechanism that
    /// binds.
    fn exchange(
        &mut self,
        mechanism: &Mechanism,
        credentials: Credentials<'_>,
        proven: &mut bool,
    ) -> Result<(), Failure> {
        let begun = (mechanism.begin)(credentials);
        let mut run = begun.map_err(|why| Failure::new(Phase::Auth, Cause::Config(why)))?;
        self.hidden.add(&credentials);
        let command = format!("AUTH {}", mechanism.name);
        let first = run.initial().filter(|first| command.len() + first.expose().len() + 3 <= COMMAND);
        let mut reply = match first {
            Some(payload) => self.secretly(&command, &payload)?,
            None => self.command(Phase::Auth, &command)?,
        };
        for _ in 0..ROUNDS {
            match reply.code {
                235 => return run.finish().map_err(|why| Failure::new(Phase::Auth, Cause::Protocol(why))),
                334 => {
                    *proven = true;
                    reply = self.answer(run.as_mut(), &reply)?;
                }
                _ => return Err(self.refusal(reply, run.as_ref())),
            }
        }
        Err(Failure::new(Phase::Auth, Cause::Protocol("the server does not stop asking".into())))
    }

    /// Answers a challenge, or cancels with `*` where it makes no sense.
    fn answer(&mut self, run: &mut dyn Exchange, challenge: &Reply) -> Result<Reply, Failure> {
        let text = challenge.lines.first().map_or("", String::as_str);
        // LOGIN's prompts are words to look at only; some servers do not encode them.
        let raw = decode(text).unwrap_or_else(|| text.as_bytes().to_vec());
        match run.respond(&raw) {
            Ok(payload) => {
                if let Some(why) = run.explanation() {
                    let note = format!("the server's reason: {}", self.hidden.redacted(why));
                    self.transcript.event(&Event::Note(&note));
                }
                self.secretly("", &payload)
            }
            Err(why) => {
                self.command(Phase::Auth, "*")?;
                Err(Failure::new(Phase::Auth, Cause::Protocol(why)))
            }
        }
    }

    /// Sends a command with a payload behind it, or a payload alone, and waits for the reply.
    fn secretly(&mut self, command: &str, payload: &AuthPayload) -> Result<Reply, Failure> {
        let secret = payload.expose();
        let gap = if command.is_empty() { "" } else { " " };
        // An empty initial response is `=`; an empty answer is an empty line.
        let said = if secret.is_empty() && !command.is_empty() { "=" } else { secret };
        let mut line = Zeroizing::new(String::with_capacity(command.len() + gap.len() + said.len() + 2));
        for part in [command, gap, said, "\r\n"] {
            line.push_str(part);
        }
        let shown = if secret.is_empty() { said } else { "[hidden]" };
        self.transcript.event(&Event::Client(&format!("{command}{gap}{shown}")));
        self.hidden.add_payload(payload);
        self.begin(Phase::Auth);
        let written = self.wire.write_all(line.as_bytes()).and_then(|()| self.wire.flush());
        written.map_err(|error| self.lost(Phase::Auth, Failure::io(Phase::Auth, &error).cause))?;
        self.reply(Phase::Auth)
    }

    /// A refused login, with the reason that the mechanism carried, where it did.
    fn refusal(&self, reply: Reply, run: &dyn Exchange) -> Failure {
        match run.explanation() {
            Some(why) if matches!(reply.code / 100, 4 | 5) => {
                Failure::new(Phase::Auth, Cause::RefusedBecause(reply.short(), self.hidden.redacted(why)))
            }
            _ => Failure::refused(Phase::Auth, reply),
        }
    }
}

/// Whether the server knows SCRAM, but not this channel binding (RFC 5802 section 7): no password was judged.
fn declines_binding(why: &str) -> bool {
    matches!(why, "unsupported-channel-binding-type" | "channel-binding-not-supported")
}

/// Whether the server does not know the mechanism, or does not want it, whoever logs in (RFC 4954 section 6).
fn declines_mechanism(reply: &Reply) -> bool {
    matches!(reply.code, 500..=504 | 534)
}
