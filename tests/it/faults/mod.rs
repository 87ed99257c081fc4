//! Servers that misbehave, in tables: for each fault the exit status, the words on standard error, an end in bounded
//! time and memory, and that no message was lost or doubled.

mod binding;
mod dns;
mod limits;
mod phases;
mod pipelining;
mod recipients;
mod replies;
mod runner;
mod tls;

use runner::Scenario;

/// All tables together; each is run by a test of its own.
fn tables() -> Vec<Vec<Scenario>> {
    vec![phases::table(), replies::table(), tls::table(), recipients::table(), limits::table(), pipelining::table()]
}

#[test]
fn scenarios_are_many_and_each_has_its_own_name() {
    let mut names: Vec<String> = tables().into_iter().flatten().map(|scenario| scenario.name).collect();
    let count = names.len();
    assert!(count >= 130, "{count}");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}
