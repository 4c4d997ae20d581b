//! Collecting what a child process writes, without blocking in a read.
//!
//! The pipes are read by the thread that waits, as far as there is something in them. `O_NONBLOCK` is set by way
//! of `UnixStream`: it is a property of our end of the pipe, whatever kind of file that is, and the child's end does not have it.

use super::process_child::{Ending, Look, Pause, Running};
use crate::{StopEvent, Stopped};
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};

/// Why there is no complete output of a child process; from
/// [`output_or_stopped`](crate::StopCommand::output_or_stopped). Unix only.
///
/// It converts into [`io::Error`], for use with `?`; a stop then is the error made from [`Stopped`], and the output is
/// dropped.
#[derive(Debug)]
#[non_exhaustive]
pub enum StopOutputError {
    /// The event was set, and the child was killed.
    #[non_exhaustive]
    Stopped {
        /// Why.
        stopped: Stopped,
        /// What the child had written by then, and how it ended: killed, or by itself in the very moment. `None` if
        /// it was never started, since the event was set already.
        output: Option<Output>,
    },
    /// The child could not be started, read from or waited for.
    Io(io::Error),
}

impl fmt::Display for StopOutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopOutputError::Stopped { stopped, .. } => stopped.fmt(f),
            StopOutputError::Io(error) => error.fmt(f),
        }
    }
}

impl Error for StopOutputError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            StopOutputError::Stopped { stopped, .. } => Some(stopped),
            StopOutputError::Io(error) => Some(error),
        }
    }
}

impl From<StopOutputError> for io::Error {
    fn from(error: StopOutputError) -> Self {
        match error {
            StopOutputError::Stopped { stopped, .. } => stopped.into(),
            StopOutputError::Io(error) => error,
        }
    }
}

impl From<io::Error> for StopOutputError {
    fn from(error: io::Error) -> Self {
        StopOutputError::Io(error)
    }
}

pub(super) fn run(
    command: &mut Command,
    ending: Ending,
    stop: &StopEvent,
) -> Result<Output, StopOutputError> {
    if let Err(stopped) = stop.check() {
        let output = None;
        return Err(StopOutputError::Stopped { stopped, output });
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::spawn(command, ending)?;
    drop(running.child.stdin.take());
    let out = running.child.stdout.take().map(OwnedFd::from);
    let err = running.child.stderr.take().map(OwnedFd::from);
    let mut pipes = [Pipe::new(out)?, Pipe::new(err)?];
    let mut pause = Pause::new();
    let mut stopped = Ok(());
    loop {
        let Look { news, all } = read_some(&mut pipes)?;
        // It has ended, too, or closed its output and goes on.
        let status = if all { running.try_wait()? } else { None };
        if let Some(status) = status {
            return Ok(output(status, pipes));
        }
        // After the look: it may have ended in the pause.
        if let Err(stopped) = stopped {
            let status = running.end(|| read_some(&mut pipes))?;
            // What is in the pipes by now, and not what others who have them may still write.
            read_some(&mut pipes)?;
            let output = Some(output(status, pipes));
            return Err(StopOutputError::Stopped { stopped, output });
        }
        // While there is more to read there is no pause, but the event is looked at.
        stopped = if news {
            pause = Pause::new();
            stop.check()
        } else {
            pause.wait(stop)
        };
    }
}

/// Reads what full pipes hold, at most.
fn read_some(pipes: &mut [Pipe; 2]) -> io::Result<Look> {
    let mut news = false;
    for pipe in &mut *pipes {
        news |= pipe.read_some()?;
    }
    let all = pipes.iter().all(Pipe::has_ended);
    Ok(Look { news, all })
}

fn output(status: std::process::ExitStatus, [out, err]: [Pipe; 2]) -> Output {
    Output {
        status,
        stdout: out.read,
        stderr: err.read,
    }
}

/// Our end of a pipe, and what was read from it.
struct Pipe {
    /// `None` when it has ended.
    file: Option<File>,
    read: Vec<u8>,
}

impl Pipe {
    fn new(fd: Option<OwnedFd>) -> io::Result<Pipe> {
        let file = match fd {
            Some(fd) => {
                let stream = UnixStream::from(fd);
                stream.set_nonblocking(true)?;
                Some(File::from(OwnedFd::from(stream)))
            }
            None => None,
        };
        Ok(Pipe {
            file,
            read: Vec::new(),
        })
    }

    fn has_ended(&self) -> bool {
        self.file.is_none()
    }

    /// Reads what a full pipe holds, at most. Says whether there was any.
    fn read_some(&mut self) -> io::Result<bool> {
        /// More than a pipe holds by default.
        const MOST: u64 = 1 << 17;
        let Some(file) = &mut self.file else {
            return Ok(false);
        };
        let before = self.read.len();
        match file.take(MOST).read_to_end(&mut self.read) {
            // It is the end, and not the limit.
            Ok(read) if (read as u64) < MOST => self.file = None,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(self.read.len() > before)
    }
}
