//! A password from standard input: typed without being shown where that is a terminal, else its first line.

use crate::secret::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::io::{self, BufRead, Write};
use zeroize::Zeroizing;

/// The most octets of a line.
const LONGEST: u64 = 4096;

/// Puts the terminal back as it was.
struct Restore(Termios);

impl Drop for Restore {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &self.0);
        let _ = writeln!(io::stderr());
    }
}

/// Whether somebody sits there.
#[must_use]
pub fn is_terminal() -> bool {
    isatty(rustix::stdio::stdin())
}

/// One line of standard input, without its end. On a terminal it is asked for with `prompt`, and not shown.
///
/// # Errors
/// As `read`; `UnexpectedEof` where there is no line, `InvalidData` where it is no UTF-8 or longer than 4096 octets.
pub fn password(prompt: &str) -> io::Result<Secret> {
    let _restore = hide(prompt)?;
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST as usize));
    let count = io::Read::take(io::stdin().lock(), LONGEST).read_until(b'\n', &mut line)?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() != Some(&b'\n') && count as u64 == LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than 4096 octets"));
    }
    let text = std::str::from_utf8(&line).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "no UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

fn hide(prompt: &str) -> io::Result<Option<Restore>> {
    if !is_terminal() {
        return Ok(None);
    }
    let mut err = io::stderr();
    write!(err, "{prompt}: ")?;
    err.flush()?;
    let before = tcgetattr(rustix::stdio::stdin())?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &hidden)?;
    Ok(Some(Restore(before)))
}
