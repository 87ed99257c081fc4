//! Logins of clients against the `[[user]]`s: few checks at a time, the same work whether a user exists or not, and less
//! and less often for who is wrong.
//!
//! ```text
//! counts   wrong logins by client and by name
//! turns    whose password is checked next, and in which memory
//! ```

mod counts;
mod turns;

pub use turns::{Denied, Turns};

use super::guard::Client;
use crate::config::User;
use crate::smtp::auth::hash;
use crate::smtp::server::Credentials;
use crate::sys::clock::Deadline;
use counts::Who;
use turns::Asked;

/// Who tries, and how much time there is.
#[derive(Clone, Copy, Debug)]
pub struct Try {
    /// Its client.
    pub client: Client,
    /// How often the connection was refused before.
    pub refused: usize,
    /// When the phase is over.
    pub phase: Deadline,
}

/// What a login came to.
#[derive(Debug)]
pub enum Login<'u> {
    /// It is this user.
    Good(&'u User),
    /// Name or password are wrong.
    Bad,
    /// Nothing was checked.
    Denied(Denied),
}

/// Checks a login. An unknown name costs what a known one with a wrong password does, so that the time tells nothing: where
/// hashes differ in what they cost, each unknown name has the costs of a user that its own hash picks, always the same.
#[must_use]
pub fn check<'u>(users: &'u [User], given: &Credentials, turns: &Turns, of: Try) -> Login<'u> {
    let name = turns.name(&given.user);
    let known = users.iter().find(|user| user.name == given.user);
    let stand_in = usize::try_from(name % users.len().max(1) as u64).unwrap_or_default();
    let Some(against) = known.or_else(|| users.get(stand_in)) else { return Login::Bad };
    let kib = hash::kib(&against.hash.0);
    let who = Who { client: of.client, name };
    let mut turn = match turns.enter(Asked { who, refused: of.refused, kib, phase: of.phase }) {
        Ok(turn) => turn,
        Err(denied) => return Login::Denied(denied),
    };
    let fits = turn.memory().is_some_and(|memory| hash::fits(&given.password, &against.hash.0, memory));
    let itself = given.act_as.as_deref().is_none_or(|identity| identity == given.user);
    let good = known.filter(|_| fits && itself);
    turn.end(good.is_some());
    good.map_or(Login::Bad, Login::Good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Place;
    use crate::config::listen::PasswordHash;
    use crate::secret::Secret;
    use std::sync::Arc;
    use std::time::Duration;

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
        let (users, turns) = ([user("tim", "tanstaaf"), user("eve", "other")], Turns::default());
        let of = Try { client: Client::Uid(7), refused: 0, phase: Deadline::after(Duration::from_secs(60)) };
        let check = |login: Credentials| match check(&users, &login, &turns, of) {
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
        assert!(matches!(super::check(&[], &given("tim", None, "tanstaaf"), &turns, of), Login::Bad));
    }
}
