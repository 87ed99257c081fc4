//! Logins of clients against the `[[user]]`s: few checks at a time, and the same work whether a user exists or not.

use crate::config::User;
use crate::smtp::auth::hash;
use crate::smtp::server::Credentials;
use crate::sys::clock::Deadline;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Checks at once: each takes a processor and 19 MiB for a moment.
const CHECKS: usize = 2;
/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets few checks through at a time; one for the whole daemon.
#[derive(Debug, Default)]
pub struct Gate {
    running: Mutex<usize>,
    fewer: Condvar,
}

/// Leave to check; dropped, it is given back.
struct Turn<'g>(&'g Gate);

impl Gate {
    fn enter(&self, deadline: Deadline) -> Option<Turn<'_>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while *running >= CHECKS {
            running = self.fewer.wait_timeout(running, deadline.left()?).unwrap_or_else(PoisonError::into_inner).0;
        }
        *running += 1;
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.fewer.notify_one();
    }
}

/// What a login came to.
#[derive(Debug)]
pub enum Login<'u> {
    /// It is this user.
    Good(&'u User),
    /// Name or password are wrong.
    Bad,
    /// Too many logins at once.
    Busy,
}

/// Checks a login. An unknown name costs what a known one with a wrong password does, so that the time tells nothing.
#[must_use]
pub fn check<'u>(users: &'u [User], given: &Credentials, gate: &Gate) -> Login<'u> {
    let known = users.iter().find(|user| user.name == given.user);
    let Some(against) = known.or(users.first()) else { return Login::Bad };
    let Some(_turn) = gate.enter(Deadline::after(PATIENCE)) else { return Login::Busy };
    let fits = hash::fits(&given.password, &against.hash.0);
    let itself = given.act_as.as_deref().is_none_or(|identity| identity == given.user);
    match known {
        Some(user) if fits && itself => Login::Good(user),
        _ => Login::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Place;
    use crate::config::listen::PasswordHash;
    use crate::secret::Secret;
    use std::sync::Arc;

    fn user(name: &str, password: &str) -> User {
        let hash = hash::make(&Secret::new(password.into()), b"0123456789abcdef").unwrap();
        let hash = Arc::new(PasswordHash(Secret::new(hash)));
        User { name: name.into(), place: Place::new("x", 1), hash, senders: None }
    }

    fn given(user: &str, act_as: Option<&str>, password: &str) -> Credentials {
        let (user, act_as) = (user.to_owned(), act_as.map(str::to_owned));
        Credentials { mechanism: "PLAIN", user, act_as, password: Secret::new(password.into()) }
    }

    #[test]
    fn the_right_password_of_the_right_user() {
        let (users, gate) = ([user("tim", "tanstaaf"), user("eve", "other")], Gate::default());
        let check = |login: Credentials| match check(&users, &login, &gate) {
            Login::Good(user) => user.name.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(check(given("tim", None, "tanstaaf")), "tim");
        assert_eq!(check(given("eve", Some("eve"), "other")), "eve");
        for bad in
            [given("tim", None, "other"), given("nobody", None, "tanstaaf"), given("tim", Some("eve"), "tanstaaf")]
        {
            assert_eq!(check(bad), "Bad");
        }
        assert!(matches!(super::check(&[], &given("tim", None, "tanstaaf"), &gate), Login::Bad));
        assert_eq!(*gate.running.lock().unwrap(), 0);
    }

    #[test]
    fn few_at_a_time() {
        let gate = Gate::default();
        let long = || Deadline::after(Duration::from_secs(60));
        let (_first, second) = (gate.enter(long()).unwrap(), gate.enter(long()).unwrap());
        assert!(gate.enter(Deadline::after(Duration::from_millis(5))).is_none());
        drop(second);
        assert!(gate.enter(long()).is_some());
    }
}
