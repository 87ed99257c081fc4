//! What goes over a connection of the scripted server: lines read, replies written, and the faults in both.

use super::Connection;
use super::dialogue::Dialogue;
use crate::support::script::Fault;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(super) trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// The connection is over, as the script or the client would have it.
pub(super) struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Dialogue<'_> {
    /// Answers at a point of the script; whether the answer was a positive one.
    pub(super) fn answer(&mut self, point: &str, proper: &str) -> Result<bool, Over> {
        self.answer_then(point, proper, |_| {})
    }

    pub(super) fn answer_then(
        &mut self,
        point: &str,
        proper: &str,
        taken: impl FnOnce(&mut Connection),
    ) -> Result<bool, Over> {
        let fault = self.fault(point);
        let text = match &fault {
            Some(Fault::Reply(text)) => text.clone(),
            _ => proper.to_owned(),
        };
        let positive = text.starts_with(['2', '3']);
        let silent = matches!(fault, Some(Fault::Hang | Fault::Deaf | Fault::Close | Fault::Reset | Fault::Lose));
        let answered = !silent && !matches!(fault, Some(Fault::Raw(_) | Fault::Endless));
        if positive && (answered || matches!(fault, Some(Fault::Lose))) {
            self.note(taken);
        }
        let whole = format!("{text}\r\n").into_bytes();
        match fault {
            None | Some(Fault::Reply(_)) => self.write(&whole)?,
            Some(Fault::Raw(octets)) => self.write(&octets)?,
            Some(Fault::Hang) => self.hang()?,
            Some(Fault::Deaf) => self.deaf()?,
            Some(Fault::Close | Fault::Lose) => return Err(Over),
            Some(Fault::Reset) => self.reset()?,
            Some(Fault::CloseAfter) => self.write(&whole).and(Err(Over))?,
            Some(Fault::Bytewise(pause)) => {
                for octet in whole {
                    self.write(&[octet])?;
                    std::thread::sleep(pause);
                }
            }
            Some(Fault::Inject(more)) => self.write(&[whole, more].concat())?,
            Some(Fault::Delay(time)) => {
                std::thread::sleep(time);
                self.write(&whole)?;
            }
            Some(Fault::Endless) => loop {
                self.write(&b"250-and so on\r\n".repeat(100))?;
            },
        }
        if self.shared.script.flushes {
            self.input.clear();
        }
        Ok(positive && answered)
    }

    pub(super) fn body_fault(&mut self) -> Result<(), Over> {
        let Some(fault) = self.fault("BODY") else { return Ok(()) };
        if self.input.is_empty() {
            self.fill()?;
        }
        match fault {
            Fault::Hang => self.hang(),
            Fault::Deaf => self.deaf(),
            Fault::Reset => self.reset(),
            Fault::Reply(text) => self.say(&text).and(Err(Over)),
            _ => Err(Over),
        }
    }

    pub(super) fn fault(&self, point: &str) -> Option<Fault> {
        let mut reached = self.shared.reached.lock().unwrap();
        let count = reached.entry(point.to_owned()).or_insert(0);
        *count += 1;
        let fits = |(at, nth, _): &&(String, Option<usize>, Fault)| at == point && nth.is_none_or(|nth| nth == *count);
        self.shared.script.faults.iter().find(fits).map(|(_, _, fault)| fault.clone())
    }

    /// Waits until the client has gone, or the test is over.
    pub(super) fn hang(&mut self) -> Result<(), Over> {
        loop {
            self.input.clear();
            self.fill()?;
        }
    }

    /// Reads nothing until the test is over.
    fn deaf(&mut self) -> Result<(), Over> {
        self.note(|connection| connection.ended = true);
        while !self.shared.stopped.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(Over)
    }

    pub(super) fn reset(&mut self) -> Result<(), Over> {
        rustix::net::sockopt::set_socket_linger(&self.raw, Some(Duration::ZERO)).map_err(io::Error::from)?;
        // The last descriptor's close sends the reset; a shutdown before it would send a FIN.
        self.wire = Box::new(io::Cursor::new(Vec::new()));
        let (_, other) = std::os::unix::net::UnixStream::pair()?;
        self.raw = TcpStream::from(std::os::fd::OwnedFd::from(other));
        Err(Over)
    }

    pub(super) fn say(&mut self, text: &str) -> Result<(), Over> {
        self.write(format!("{text}\r\n").as_bytes())
    }

    pub(super) fn write(&mut self, octets: &[u8]) -> Result<(), Over> {
        self.spoke = true;
        self.wire.write_all(octets)?;
        Ok(self.wire.flush()?)
    }

    /// A line without its end, recorded.
    pub(super) fn line(&mut self) -> Result<String, Over> {
        let octets = self.octets_of_line()?;
        let text = String::from_utf8_lossy(&octets).trim_end_matches(['\r', '\n']).to_owned();
        self.note(|connection| connection.commands.push(text.clone()));
        Ok(text)
    }

    /// A line with its end, which is CRLF and nothing else.
    pub(super) fn octets_of_line(&mut self) -> Result<Vec<u8>, Over> {
        let mut looked = 0;
        loop {
            if let Some(end) = memchr::memmem::find(&self.input[looked..], b"\r\n") {
                return Ok(self.input.drain(..looked + end + 2).collect());
            }
            looked = self.input.len().saturating_sub(1);
            self.fill()?;
        }
    }

    pub(super) fn fill(&mut self) -> Result<(), Over> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.wire.read(&mut buffer) {
                Ok(0) => return Err(Over),
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    if std::mem::take(&mut self.spoke) {
                        self.note(|connection| connection.flights += 1);
                    }
                    return Ok(());
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.shared.stopped.load(Ordering::SeqCst) {
                        return Err(Over);
                    }
                }
                Err(_) => return Err(Over),
            }
        }
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut Connection)) {
        change(&mut self.shared.connections.lock().unwrap()[self.number]);
    }
}
