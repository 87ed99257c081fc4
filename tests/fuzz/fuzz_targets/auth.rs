//! The AUTH dialogue of a listener: what a client says between EHLO and its login, in any pieces. The same comes out in
//! pieces of any size; whoever logs in has a usable name and never another's; nobody sends without a login, or logs in
//! twice; no password is in a reply or in what is printed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::smtp::server::{Action, Credentials, Features, Limits, Session};

const USER: &str = "tim";
const PASSWORD: &str = "tanstaaf";

/// What has happened, in the order of the session.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Said(String),
    Tried(String, Option<String>, String, bool),
    Sender,
    Ended,
}

fn session(flags: u8) -> Session {
    let features = Features {
        auth: true,
        auth_in_clear: flags & 1 == 0,
        starttls: flags & 2 != 0,
        require_auth: true,
        in_turn: flags & 4 != 0,
        ..Features::named("mx.test")
    };
    let limits = Limits { command_line: 512, auth_line: 1024, errors: 8, commands: 60, ..Limits::default() };
    Session::new(limits, features, flags & 8 != 0)
}

fn good(login: &Credentials) -> bool {
    let itself = login.act_as.as_deref().is_none_or(|identity| identity == login.user);
    login.user == USER && login.password.expose() == PASSWORD && itself
}

/// What is so whatever a client says.
fn judge(login: &Credentials) {
    let names = || std::iter::once(login.user.as_str()).chain(login.act_as.as_deref());
    assert!(names().all(|name| !name.is_empty() && !name.contains(char::is_control)));
    assert!(matches!(login.mechanism, "PLAIN" | "LOGIN"));
    let password = login.password.expose();
    let shown = format!("{login:?}");
    assert!(password.len() < 8 || names().any(|name| name.contains(password)) || !shown.contains(password));
}

fn talk(flags: u8, input: &[u8], piece: usize) -> Vec<Event> {
    let (mut session, mut events, mut logged_in) = (session(flags), Vec::new(), false);
    let mut secrets: Vec<String> = Vec::new();
    for part in input.chunks(piece) {
        session.feed(part);
        while let Some(action) = session.poll() {
            match action {
                Action::Reply(reply) => {
                    let text = String::from_utf8(reply).expect("ASCII");
                    assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())), "{text}");
                    events.push(Event::Said(text));
                }
                Action::Auth(login) => {
                    assert!(!logged_in && (flags & 1 == 0 || flags & 8 != 0));
                    judge(&login);
                    let secret = login.password.expose().to_owned();
                    // Our own texts have no such characters.
                    if secret.len() >= 8 && secret.contains(['~', '|', '{', '}']) {
                        secrets.push(secret.clone());
                    }
                    logged_in = good(&login);
                    events.push(Event::Tried(login.user.clone(), login.act_as.clone(), secret, logged_in));
                    if logged_in { session.accept() } else { session.reject(535, (5, 7, 8), "invalid") }
                }
                Action::Mail(_) => {
                    assert!(logged_in, "nobody sends without a login");
                    events.push(Event::Sender);
                    session.accept();
                }
                Action::Rcpt(_) | Action::DataBegin | Action::DataEnd(_) => session.accept(),
                Action::StartTls => {
                    // What follows depends on where the pieces end: it is lost.
                    events.push(Event::Ended);
                    return events;
                }
                Action::Quit => {
                    events.push(Event::Ended);
                    return events;
                }
                Action::Hello { .. } | Action::Data(_) | Action::Reset => {}
            }
        }
    }
    events
}

fuzz_target!(|data: &[u8]| {
    let [flags, piece, input @ ..] = data else { return };
    // That a client speaks too early is seen by what comes along with its hello: pieces make a difference there.
    let flags = flags & !4;
    let whole = talk(flags, input, usize::MAX);
    assert_eq!(whole, talk(flags, input, usize::from(*piece).max(1)));
    talk(flags | 4, input, usize::from(*piece).max(1));
    let tries = whole.iter().filter(|event| matches!(event, Event::Tried(.., false))).count();
    assert!(tries <= 9, "refused logins end the session");
});
