//! What concerns several values of `[[listen]]` and `[[user]]` at once: TLS and certificates, logins and users, purposes
//! and what belongs to them, addresses that collide. Values only.

use super::super::error::{ConfigError, Place};
use super::super::model::Config;
use super::super::nearest;
use super::{ADDRESSES, ListenAddress, ListenAuth, ListenTls, Listener, Purpose};
use std::collections::HashMap;

/// Adds what is wrong.
pub fn validate(config: &Config, errors: &mut Vec<ConfigError>) {
    let mut taken: HashMap<&ListenAddress, &Place> = HashMap::new();
    for listener in &config.listen {
        tls(listener, errors);
        logins(config, listener, errors);
        purpose(listener, errors);
        let free = |address: &ListenAddress| matches!(address, ListenAddress::Ip(ip) if ip.port() == 0);
        for address in listener.addresses.iter().filter(|address| !free(address)) {
            if let Some(first) = taken.insert(address, &listener.place) {
                let what = format!("address {address} stands here twice; the other one is at {first}");
                errors.push(ConfigError::at(&listener.place, what));
            }
        }
    }
    if let Some(last) = config.listen.last().filter(|_| addresses(config) > ADDRESSES) {
        let what = format!("{} addresses to listen at, and there may be {ADDRESSES}", addresses(config));
        errors.push(ConfigError::at(&last.place, what));
    }
    users(config, errors);
}

fn addresses(config: &Config) -> usize {
    config.listen.iter().map(|listener| listener.addresses.len()).sum()
}

fn tls(listener: &Listener, errors: &mut Vec<ConfigError>) {
    let what = match (listener.tls, &listener.identity) {
        (ListenTls::Off, Some(_)) => "certificate without tls; say tls = \"starttls\" or \"implicit\"",
        (ListenTls::StartTls | ListenTls::Implicit, None) => {
            "tls without certificate; give certificate = \"/path/fullchain.pem\" and key = \"/path/key.pem\""
        }
        _ => return,
    };
    errors.push(ConfigError::at(&listener.place, what));
}

fn logins(config: &Config, listener: &Listener, errors: &mut Vec<ConfigError>) {
    let mut fault = |what: &str| errors.push(ConfigError::at(&listener.place, what));
    let local = listener.addresses.iter().all(ListenAddress::is_local);
    if listener.plaintext_auth && !local {
        fault("allow_plaintext_auth goes only with addresses of this machine (127.0.0.1, [::1], unix:)");
    }
    if listener.auth == ListenAuth::Off {
        if listener.plaintext_auth {
            fault("allow_plaintext_auth without auth; say auth = \"optional\" or \"required\"");
        }
        return;
    }
    if listener.tls == ListenTls::Off && !listener.plaintext_auth {
        fault("auth without tls would send passwords in clear; give tls, or on loopback allow_plaintext_auth = true");
    }
    if config.users.is_empty() {
        fault("auth, and nobody can log in; add a [[user]] (`postrider passwd NAME` prints one)");
    }
}

fn purpose(listener: &Listener, errors: &mut Vec<ConfigError>) {
    let named = !listener.domains.is_empty() || !listener.recipients.is_empty();
    let what = match listener.purpose {
        Purpose::Submission if named => "domains and addresses go with purpose = \"incoming\"",
        Purpose::Incoming if !named => "purpose = \"incoming\" needs domains or addresses: for whom is mail taken in?",
        Purpose::Incoming if listener.auth != ListenAuth::Off => "auth goes with purpose = \"submission\"",
        Purpose::Incoming if !listener.networks.is_empty() => "networks go with purpose = \"submission\"",
        _ => return,
    };
    errors.push(ConfigError::at(&listener.place, what));
}

/// One name, one user; and every sender that a user may use is there.
fn users(config: &Config, errors: &mut Vec<ConfigError>) {
    let mut names: HashMap<&str, &Place> = HashMap::new();
    for user in &config.users {
        if let Some(first) = names.insert(&user.name, &user.place) {
            let what = format!("two users have the name {}; the other one is at {first}", user.name.escape_debug());
            errors.push(ConfigError::at(&user.place, what));
        }
        for name in user.senders.iter().flatten().filter(|name| *name != "default") {
            if config.senders.iter().any(|sender| sender.name == *name) {
                continue;
            }
            let near = nearest::name(name, config.senders.iter().map(|sender| sender.name.as_str()));
            let near = near.map_or(String::new(), |near| format!("; did you mean \"{}\"?", near.escape_debug()));
            let what = format!("senders: no sender is named \"{}\"{near}", name.escape_debug());
            errors.push(ConfigError::at(&user.place, what));
        }
    }
}
