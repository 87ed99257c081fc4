//! What the operator's commands ask, say and end with.

use super::*;
use crate::cli::invocation::Invocation;
use crate::cli::sendmail;
use crate::daemon::protocol::LineRecipient;
use std::cell::RefCell;

/// Answers everything alike, and remembers what it was asked.
struct Alike(Result<Reply, AskError>, RefCell<Vec<Request>>);

impl Alike {
    fn new(answer: Result<Reply, AskError>) -> Self {
        Self(answer, RefCell::default())
    }
}

impl Ask for Alike {
    fn ask(&self, request: &Request) -> Result<Reply, AskError> {
        self.1.borrow_mut().push(request.clone());
        self.0.clone()
    }
}

fn two() -> Filter {
    Filter { ids: vec![crate::queue::MessageId(1), crate::queue::MessageId(2)], ..Filter::default() }
}

#[test]
fn numbers_that_are_not_there_are_status_1() {
    let some = |count| Alike::new(Ok(Reply::Touched(count)));
    let delete = |filter| Request::Act { filter, action: Action::Delete };
    let desk = some(2);
    assert_eq!(act(&desk, two(), "deleted", delete), Status::Ok);
    assert_eq!(*desk.1.borrow(), [delete(two())]);
    assert_eq!(act(&some(1), two(), "deleted", delete), Status::Findings);
    assert_eq!(act(&some(0), Filter::default(), "deleted", delete), Status::Ok);
    let refused = Alike::new(Ok(Reply::Refused("not yours".into())));
    assert_eq!(act(&refused, two(), "deleted", delete), Status::Unavailable);
}

#[test]
fn without_a_daemon() {
    let nobody = Alike::new(Err(AskError::Absent("no daemon".into())));
    assert_eq!(status(&nobody, Form::Table), Status::Unavailable);
    assert_eq!(reload(&nobody), Status::Unavailable);
    assert_eq!(reload(&Alike::new(Ok(Reply::Refused("postrider.toml:3: no".into())))), Status::Config);
    assert_eq!(reload(&Alike::new(Ok(Reply::Touched(0)))), Status::Ok);
}

#[test]
fn a_queue_run_asks_for_what_was_named() {
    let arguments = ["-q15m", "-qI2*", "-qSshop"].map(std::ffi::OsString::from);
    let Invocation { queue, .. } = sendmail::parse(&arguments).unwrap();
    let desk = Alike::new(Ok(Reply::Touched(0)));
    assert_eq!(flush("sendmail", &desk, queue), Status::Ok);
    let filter = Filter { ids: vec![crate::queue::MessageId(2)], sender: Some("shop".into()), ..Filter::default() };
    assert_eq!(*desk.1.borrow(), [Request::Flush { filter }]);
}

#[test]
fn details_of_a_message() {
    let recipient = |due, last: Option<&str>| LineRecipient {
        address: "you@example.org".into(),
        attempts: 3,
        due,
        last: last.map(Into::into),
    };
    let line = Line {
        id: "0000001A".into(),
        size: 1500,
        created: 1_795_309_323_000,
        uid: 33,
        sender: "shop".into(),
        from: "shop@example.com".into(),
        state: "hold".into(),
        hold: Some("by hand".into()),
        paused: None,
        moved_from: None,
        waits: None,
        bulk: false,
        recipients: vec![recipient(Some(1_795_309_383_000), Some("451 later\n2")), recipient(None, None)],
        more: 7,
        staging: None,
    };
    let expected = "\
0000001A
  sender    shop
  from      shop@example.com
  size      1500 octets
  arrived   2026-11-22 01:02:03 +0000
  user      33
  state     hold: by hand
  to        you@example.org
              attempts 3, next 2026-11-22 01:03:03 +0000
              last: 451 later 2
  to        you@example.org
              attempts 3, next the next queue run
  and 7 more
";
    assert_eq!(details(&line, &chrono::Utc), expected);
}

#[test]
fn paused_senders_are_named() {
    let pause = Pause {
        lane: "shop".into(),
        until: 0,
        reason: "535 5.7.8 no\r\n".into(),
        times: 2,
        since: None,
        firm: false,
        down: None,
    };
    let text = state(1, &[pause], &[], "7 since yesterday");
    assert!(
        text.starts_with("postrider serve, process 7 since yesterday\n1 message queued\nsender shop is paused until ")
    );
    assert!(text.ends_with(" (pause 2 in a row): 535 5.7.8 no  \n"), "{text:?}");
}
