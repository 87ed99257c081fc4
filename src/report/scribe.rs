//! Lines that are written behind the work: into a bounded buffer at once, and from there by a thread, so that a log that
//! does not move keeps neither an answer nor a message back.
//!
//! What finds no room, or cannot be written, is counted and told of once it goes on. A process without threads writes its
//! lines when it ends.

use crate::sys::clock::Deadline;
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most that waits, lines and octets.
const LINES: usize = 8192;
const OCTETS: usize = 2 << 20;
/// How long the thread is at one line, before it looks whether something else is wanted of it.
const STEP: Duration = Duration::from_millis(200);
/// How long it rests before it tries the same line again.
const REST: Duration = Duration::from_millis(20);

/// Whether this process may have threads for it.
static THREADS: AtomicBool = AtomicBool::new(false);

/// From now on lines are written by threads, when they come.
pub fn use_threads() {
    THREADS.store(true, Ordering::Relaxed);
}

/// Where the lines of one kind go.
pub trait Pen: Send {
    /// A line with what is needed to write it.
    type Line: Send;

    /// Its length, octets.
    fn length(line: &Self::Line) -> usize;

    /// Writes a line, which may take that long.
    ///
    /// # Errors
    /// `TimedOut` where it may go later; otherwise it never does.
    fn write(&mut self, line: &Self::Line, patience: Duration) -> io::Result<()>;

    /// Something else that can be done with a line that cannot be written; whether it was.
    fn otherwise(&mut self, line: &Self::Line, error: &io::Error) -> bool;

    /// Tells of lines that were lost, now that it goes on.
    fn tell(lost: u64, why: &str);
}

/// A buffer, and who writes what is in it.
#[derive(Debug)]
pub struct Scribe<P: Pen + 'static> {
    name: &'static str,
    state: Mutex<State<P::Line>>,
    pen: Mutex<P>,
    /// For the thread: a line came. For who waits for the end: all is written.
    bell: Condvar,
}

#[derive(Debug)]
struct State<L> {
    lines: VecDeque<L>,
    octets: usize,
    /// A line is out of the buffer and not yet written.
    busy: bool,
    threaded: bool,
    /// The last try came to nothing: nobody reads.
    stuck: bool,
    lost: u64,
    told: u64,
    why: String,
}

impl<P: Pen> Scribe<P> {
    /// An empty one.
    #[must_use]
    pub const fn new(name: &'static str, pen: P) -> Self {
        let state = State {
            lines: VecDeque::new(),
            octets: 0,
            busy: false,
            threaded: false,
            stuck: false,
            lost: 0,
            told: 0,
            why: String::new(),
        };
        Self { name, state: Mutex::new(state), pen: Mutex::new(pen), bell: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<P::Line>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes where lines go; those that wait go there too.
    pub fn change(&self, change: impl FnOnce(&mut P)) {
        change(&mut self.pen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The same where nobody is writing at this moment.
    pub fn try_change(&self, change: impl FnOnce(&mut P)) {
        if let Ok(mut pen) = self.pen.try_lock() {
            change(&mut pen);
        }
    }

    /// Takes a line, at once.
    pub fn push(&'static self, line: P::Line) {
        let length = P::length(&line);
        let mut state = self.lock();
        if state.lines.len() >= LINES || (!state.lines.is_empty() && state.octets.saturating_add(length) > OCTETS) {
            state.lost += 1;
            state.why = "they came faster than they could be written".into();
            return;
        }
        state.octets = state.octets.saturating_add(length);
        state.lines.push_back(line);
        if !state.threaded && THREADS.load(Ordering::Relaxed) {
            // Without one the next line asks again, and the end writes what is left.
            let thread = std::thread::Builder::new().name(self.name.into()).stack_size(256 << 10);
            state.threaded = thread.spawn(move || self.serve()).is_ok();
        }
        drop(state);
        self.bell.notify_all();
    }

    /// How many lines were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lock().lost
    }

    fn serve(&'static self) {
        loop {
            let mut state = self.lock();
            while state.lines.is_empty() {
                state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            drop(state);
            self.one(STEP, true);
        }
    }

    /// The next line, where there is one; whether it is done with. Only one at a time is at it.
    fn one(&self, patience: Duration, stays: bool) -> bool {
        let Some(line) = self.take() else { return true };
        let mut pen = self.pen.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match pen.write(&line, patience) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut && stays => None,
            Err(error) => Some(if pen.otherwise(&line, &error) { Ok(()) } else { Err(error) }),
            Ok(()) => Some(Ok(())),
        };
        drop(pen);
        let mut state = self.lock();
        state.busy = false;
        let mut tell = None;
        let done = written.is_some();
        state.stuck = !done;
        match written {
            None => {
                state.octets = state.octets.saturating_add(P::length(&line));
                state.lines.push_front(line);
            }
            Some(Err(error)) => {
                state.lost += 1;
                state.why = error.to_string();
            }
            Some(Ok(())) if state.lost > state.told => {
                tell = Some((state.lost - state.told, std::mem::take(&mut state.why)));
                state.told = state.lost;
            }
            Some(Ok(())) => {}
        }
        drop(state);
        self.bell.notify_all();
        if let Some((lost, why)) = tell {
            P::tell(lost, &why);
        }
        if !done {
            crate::sys::clock::pause(REST);
        }
        done
    }

    fn take(&self) -> Option<P::Line> {
        let mut state = self.lock();
        let line = state.lines.pop_front()?;
        state.octets = state.octets.saturating_sub(P::length(&line));
        state.busy = true;
        Some(line)
    }

    /// Waits until all is written, or writes it itself where there is no thread; not beyond the deadline, and not for what
    /// stands still. How many lines are lost by the end of the process, and why.
    pub fn finish(&self, deadline: Deadline) -> Option<(u64, String)> {
        let mut state = self.lock();
        while !state.threaded && !state.lines.is_empty() {
            drop(state);
            self.one(deadline.left().unwrap_or_default().min(STEP), false);
            state = self.lock();
        }
        while state.busy || !state.lines.is_empty() {
            let Some(left) = deadline.left().filter(|_| !state.stuck) else { break };
            state = self.bell.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let waiting = state.lines.len() as u64 + u64::from(state.busy);
        let lost = (state.lost - state.told).saturating_add(waiting);
        let why = if waiting > 0 { "nobody reads it".to_owned() } else { state.why.clone() };
        (lost > 0).then_some((lost, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    static TOLD: AtomicU64 = AtomicU64::new(0);

    /// Takes as many lines as it is let.
    struct Stuck(usize, Vec<String>);

    impl Pen for Stuck {
        type Line = String;

        fn length(line: &String) -> usize {
            line.len()
        }

        fn write(&mut self, line: &String, _: Duration) -> io::Result<()> {
            if self.0 == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.0 -= 1;
            self.1.push(line.clone());
            Ok(())
        }

        fn otherwise(&mut self, _: &String, _: &io::Error) -> bool {
            false
        }

        fn tell(lost: u64, _: &str) {
            TOLD.fetch_add(lost, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_told_once() {
        static SCRIBE: Scribe<Stuck> = Scribe::new("test", Stuck(0, Vec::new()));
        for number in 0..LINES + 5 {
            SCRIBE.push(number.to_string());
        }
        assert_eq!(SCRIBE.lost(), 5);
        assert!(!SCRIBE.one(Duration::ZERO, true), "it stays");
        SCRIBE.change(|pen| pen.0 = 3);
        (0..3).for_each(|_| assert!(SCRIBE.one(Duration::ZERO, true)));
        assert_eq!(TOLD.load(Ordering::Relaxed), 5, "once");
        SCRIBE.change(|pen| assert_eq!(pen.1, ["0", "1", "2"], "in order"));
        let (left, why) = SCRIBE.finish(Deadline::after(Duration::ZERO)).unwrap();
        assert_eq!((left, why.is_empty()), (LINES as u64 - 3, false));
    }

    #[test]
    fn octets_are_bounded_too() {
        static SCRIBE: Scribe<Stuck> = Scribe::new("test", Stuck(0, Vec::new()));
        SCRIBE.push("x".repeat(OCTETS + 1));
        SCRIBE.push("y".into());
        assert_eq!(SCRIBE.lost(), 1, "one that is too long alone goes, and nothing beside it");
    }
}
