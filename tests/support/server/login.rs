//! Logins at the scripted server.

use super::dialogue::Dialogue;
use super::wire::Over;
use crate::support::scram::Scram;

impl Dialogue<'_> {
    pub(super) fn auth(&mut self, rest: &str) -> Result<(), Over> {
        let (name, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let name = name.to_ascii_uppercase();
        self.note(|connection| connection.mechanism = Some(name.clone()));
        let initial = initial.to_owned();
        let login = match name.as_str() {
            _ if !self.shared.script.mechanisms.contains(&name) => return self.say("504 5.5.4 not offered"),
            "PLAIN" => {
                let Some(text) = self.response(&initial, "")? else { return Ok(()) };
                let mut parts = text.split('\0').skip(1).map(str::to_owned);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
            "LOGIN" => {
                let Some(user) = self.response(&initial, "VXNlcm5hbWU6")? else { return Ok(()) };
                let Some(password) = self.response("", "UGFzc3dvcmQ6")? else { return Ok(()) };
                (user, password)
            }
            "XOAUTH2" => {
                let Some(text) = self.response(&initial, "")? else { return Ok(()) };
                let part =
                    |key| text.split('\u{1}').find_map(|part| part.strip_prefix(key)).unwrap_or_default().to_owned();
                (part("user="), part("auth=Bearer "))
            }
            "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS" => return self.scram(&initial),
            _ => return self.answer("AUTH", "535 5.7.8 not in this script").map(drop),
        };
        if !self.shared.script.logins.contains(&login) {
            return self.answer("AUTH", "535 5.7.8 bad login").map(drop);
        }
        if self.answer("AUTH", "235 2.7.0 welcome")? {
            self.account = Some(login.0.clone());
            self.note(|connection| connection.account = Some(login.0));
        }
        Ok(())
    }

    /// SCRAM-SHA-256, or with a binding SCRAM-SHA-256-PLUS.
    fn scram(&mut self, initial: &str) -> Result<(), Over> {
        let Some(first) = self.response(initial, "")? else { return Ok(()) };
        let Some(run) = Scram::begin(&first) else { return self.say("501 5.5.2 no SCRAM") };
        if let Some(kind) = run.binding.clone() {
            self.note(|connection| connection.bindings.push(kind));
        }
        let bound = match &run.binding {
            None => Some(Vec::new()),
            Some(kind) => self.bindings.get(kind).cloned(),
        };
        let in_words = self.shared.script.bindings.as_ref().is_some_and(|(_, in_words)| *in_words);
        let Some(bound) = bound else {
            if in_words {
                let words = openssl::base64::encode_block(b"e=unsupported-channel-binding-type");
                self.response("", &words)?;
            }
            return self.say("535 5.7.8 no");
        };
        let Some(last) = self.response("", &run.challenge())? else { return Ok(()) };
        let logins = self.shared.script.logins.iter();
        let password = logins.filter(|(user, _)| *user == run.user).map(|(_, password)| password.clone()).next();
        let Some(proof) = password.and_then(|password| run.verify(&last, &password, &bound)) else {
            return self.answer("AUTH", "535 5.7.8 bad login").map(drop);
        };
        self.response("", &proof)?;
        if self.answer("AUTH", "235 2.7.0 welcome")? {
            self.account = Some(run.user.clone());
            self.note(|connection| connection.account = Some(run.user));
        }
        Ok(())
    }

    /// The initial response, or the one to this challenge; decoded. None where the script has it end here.
    fn response(&mut self, initial: &str, challenge: &str) -> Result<Option<String>, Over> {
        let text = if initial.is_empty() {
            if !self.answer("CHALLENGE", &format!("334 {challenge}"))? {
                return Ok(None);
            }
            self.line()?
        } else {
            initial.to_owned()
        };
        let octets = openssl::base64::decode_block(text.trim_end_matches('\r')).unwrap_or_default();
        Ok(Some(String::from_utf8_lossy(&octets).into_owned()))
    }
}
