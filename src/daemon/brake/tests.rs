use super::*;
use proptest::prelude::*;
use std::time::Duration;

const HOUR: Millis = 3_600_000;
const NOW: Millis = 1_700_000_000_000;

fn rules() -> Brake {
    Brake {
        messages: 5,
        per: Duration::from_secs(3600),
        script: true,
        uid: true,
        alert: Vec::new(),
        exempt: Vec::new(),
        except: Vec::new(),
    }
}

fn php(script: &str) -> Who {
    user(33, "www-data", script)
}

fn shell() -> Who {
    user(1000, "anna", "")
}

/// A user; without a script it says none.
fn user(uid: u32, name: &str, script: &str) -> Who {
    let script = if script.is_empty() { Script::Unsaid } else { Script::Named(shown(script)) };
    Who { uid: Some(uid), user: name.into(), script }
}

/// Submits so many and says how many of them went, and how many times somebody was told.
fn submit(counts: &mut Counts, rules: &Brake, who: &Who, count: usize, now: Millis) -> (usize, usize) {
    let said: Vec<Said> = (0..count).map(|_| counts.submit(rules, who, now)).collect();
    let went = said.iter().filter(|said| said.hold.is_none()).count();
    (went, said.iter().filter(|said| said.incident.is_some()).count())
}

#[test]
fn the_rest_is_held_and_told_once() {
    let mut counts = Counts::default();
    assert_eq!(submit(&mut counts, &rules(), &shell(), 9, NOW), (5, 1));
    assert_eq!(submit(&mut counts, &rules(), &shell(), 2, NOW + HOUR / 2), (0, 0), "the same incident");
    assert_eq!(submit(&mut counts, &rules(), &php("33:a.php"), 6, NOW), (5, 1), "another source");
    let said = counts.submit(&rules(), &shell(), NOW + 1);
    let hold = said.hold.unwrap();
    assert_eq!(hold, "brake: more than 5 messages within 1h from user anna; they wait for postrider queue release");
    assert_eq!(said.counted.unwrap().names, ["user anna"]);
    let quiet = NOW + 2 * HOUR + 2 * HOUR / 60;
    assert_eq!(submit(&mut counts, &rules(), &shell(), 6, quiet), (5, 1), "a new incident after a quiet hour");
}

#[test]
fn the_time_is_rolling() {
    let mut counts = Counts::default();
    for step in 0..5 {
        assert_eq!(submit(&mut counts, &rules(), &shell(), 1, NOW + step * HOUR / 10), (1, 0));
    }
    assert_eq!(submit(&mut counts, &rules(), &shell(), 1, NOW + HOUR - 1), (0, 1));
    let mut counts = Counts::default();
    for step in 0..50 {
        assert_eq!(submit(&mut counts, &rules(), &shell(), 1, NOW + step * HOUR / 4), (1, 0), "four an hour are fine");
    }
}

#[test]
fn scripts_and_users_count_apart() {
    let mut counts = Counts::default();
    let by_script = Brake { uid: false, ..rules() };
    assert_eq!(submit(&mut counts, &by_script, &php("33:a.php"), 6, NOW), (5, 1));
    assert_eq!(submit(&mut counts, &by_script, &php("33:b.php"), 6, NOW), (5, 1));
    assert_eq!(submit(&mut counts, &by_script, &shell(), 99, NOW), (99, 0));
    let other = user(34, "other", "33:a.php");
    assert_eq!(submit(&mut counts, &by_script, &other, 5, NOW), (5, 0), "nobody holds another user's script");
    let mut counts = Counts::default();
    let by_user = Brake { script: false, ..rules() };
    assert_eq!(submit(&mut counts, &by_user, &php("33:a.php"), 3, NOW), (3, 0));
    assert_eq!(submit(&mut counts, &by_user, &php("33:b.php"), 3, NOW), (2, 1));
    let mut counts = Counts::default();
    assert_eq!(submit(&mut counts, &rules(), &php("33:a.php"), 9, NOW), (5, 1), "both at once are one incident");
    assert_eq!(submit(&mut counts, &rules(), &php("33:b.php"), 1, NOW), (0, 0), "the user is over");
}

#[test]
fn numbers_of_their_own() {
    let except = |script: Option<&str>, user: Option<&str>, messages: Option<u32>| BrakeExcept {
        script: script.map(Into::into),
        user: user.map(Into::into),
        messages,
    };
    let rules = Brake {
        except: vec![
            except(Some("news*.php"), Some("33"), Some(7)),
            except(Some("33:free.php"), Some("www-data"), None),
            except(None, Some("1000"), Some(2)),
            except(None, Some("robot"), None),
        ],
        exempt: vec!["root".into(), "77".into()],
        ..rules()
    };
    let mut counts = Counts::default();
    assert_eq!(submit(&mut counts, &rules, &php("33:news1.php"), 9, NOW), (7, 1));
    assert_eq!(submit(&mut counts, &rules, &php("33:free.php"), 99, NOW), (99, 0));
    assert_eq!(submit(&mut counts, &rules, &php("33:a.php"), 6, NOW), (5, 1), "their mail did not count for the user");
    assert_eq!(submit(&mut counts, &rules, &shell(), 3, NOW), (2, 1));
    for (uid, name) in [(1, "robot"), (0, "root"), (77, "x")] {
        assert_eq!(submit(&mut counts, &rules, &user(uid, name, ""), 99, NOW), (99, 0), "{name}");
    }
    let client = Who { uid: None, user: "192.0.2.1".into(), script: Script::Unsaid };
    let said: Vec<Said> = (0..6).map(|_| counts.submit(&rules, &client, NOW)).collect();
    assert!(said[5].hold.as_ref().unwrap().contains(" from 192.0.2.1; "));
    for script in ["33:free.php", "33:news1.php", "9:news1.php"] {
        let foreign = user(9, script, script);
        assert_eq!(submit(&mut counts, &rules, &foreign, 6, NOW), (5, 1), "another user says it: {script}");
    }
}

#[test]
fn a_script_that_is_said_twice_is_believed_nowhere() {
    let header = |text: &str| {
        let read =
            crate::message::read::read(&mut text.as_bytes(), crate::message::read::ReadRules { dot_ends: false });
        Script::of(&read.unwrap().header)
    };
    assert_eq!(header("Subject: x\n\nX-PHP-Originating-Script: 33:body.php\n"), Script::Unsaid);
    assert_eq!(header("x-php-originating-SCRIPT: 33:a.php\n\n"), Script::Named("33:a.php".into()));
    let twice = header("X-PHP-Originating-Script: 33:free.php\nSubject: x\nx-php-originating-script: 33:a.php\n\n");
    assert_eq!(twice, Script::Doubtful);
    let free = BrakeExcept { script: Some("*".into()), user: Some("www-data".into()), messages: None };
    let rules = Brake { except: vec![free], uid: false, ..rules() };
    let mut counts = Counts::default();
    assert_eq!(submit(&mut counts, &rules, &php("33:free.php"), 9, NOW), (9, 0));
    let doubtful = Who { script: twice, ..shell() };
    assert_eq!(submit(&mut counts, &rules, &doubtful, 9, NOW), (5, 1), "and it counts, where scripts alone count");
}

#[test]
fn what_was_not_kept_does_not_count() {
    let mut counts = Counts::default();
    submit(&mut counts, &rules(), &shell(), 4, NOW);
    let said = counts.submit(&rules(), &shell(), NOW);
    counts.take_back(said.counted.as_ref().unwrap(), false, false);
    assert_eq!(submit(&mut counts, &rules(), &shell(), 1, NOW), (1, 0));
    let said = counts.submit(&rules(), &shell(), NOW);
    assert!(said.incident.is_some());
    counts.take_back(said.counted.as_ref().unwrap(), true, true);
    assert_eq!(submit(&mut counts, &rules(), &shell(), 2, NOW), (0, 1), "it is told of the one that is kept");
}

#[test]
fn a_restart_changes_nothing() {
    let mut counts = Counts::default();
    let source = |slot, messages, held| Source { name: "user anna".into(), slot, messages, held };
    counts.restore(source(NOW - 2, 3, 0), NOW);
    counts.restore(source(NOW + 99 * HOUR, 1, 0), NOW);
    assert_eq!(submit(&mut counts, &rules(), &shell(), 2, NOW), (1, 1));
    let mut counts = Counts::default();
    counts.restore(source(NOW - HOUR / 2, 9, 4), NOW);
    assert_eq!(submit(&mut counts, &rules(), &shell(), 2, NOW), (0, 0), "told before the restart");
}

#[test]
fn memory_is_bounded() {
    let mut counts = Counts::default();
    for number in 0..SOURCES as i64 + 100 {
        counts.submit(&rules(), &php(&format!("33:{number}.php")), NOW + number);
    }
    assert_eq!(counts.sources.len(), SOURCES);
    for step in 0..10_000 {
        counts.submit(&rules(), &shell(), NOW + step * 7_000);
    }
    assert!(counts.sources["user anna"].len() <= 62);
    let long = "x".repeat(5000) + "\n";
    let said = counts.submit(&rules(), &php(&long), NOW);
    assert!(said.counted.unwrap().names[0].len() < 300);
}

proptest! {
    #[test]
    fn no_hour_lets_more_go_than_the_rule(
        most in 1u32..20, steps in prop::collection::vec(0i64..600_000, 1..300), back in 0usize..300
    ) {
        let rules = Brake { messages: most, ..rules() };
        let (mut counts, mut now, mut went) = (Counts::default(), NOW, Vec::new());
        for (number, step) in steps.into_iter().enumerate() {
            now += step;
            if number == back {
                // The clock is set back: what went within the last hour counts as of now.
                went.retain(|at| *at > now - HOUR);
                now -= 2 * HOUR;
                went.iter_mut().for_each(|at: &mut Millis| *at = (*at).min(now));
            }
            if counts.submit(&rules, &shell(), now).hold.is_none() {
                went.push(now);
            }
        }
        for at in &went {
            let within = went.iter().filter(|other| (*at..*at + HOUR).contains(*other)).count();
            prop_assert!(within <= most as usize, "{within} of {most}");
        }
    }
}
