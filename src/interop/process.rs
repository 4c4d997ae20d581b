//! Child processes that are killed when an event is set.
//!
//! A kill must not come after the child was reaped: by then its number may be another process's. So the thread that waits is the
//! only one that has the `Child`, and it kills, and reaps after that, itself.
//!
//! Therefore it cannot block in `Child::wait`: that takes the child for as long as it blocks, and nothing in
//! the standard library kills a child by other means. It asks `try_wait`, and waits for the event in between: a
//! stop wakes it at once, only the child's own end is noticed up to a pause later. A pause is at most an eighth of the time for which the
//! child has run, from 0.1 to 10 ms.
//!
//! The output is read in the same loop, without blocking, and not by threads of its own: one would be left
//! behind, blocked, when the child is killed while a process that it had started holds the pipe open.

#[cfg(unix)]
use super::process_output::StopOutputError;
use crate::{StopEvent, Stopped};
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// Child processes that are killed when a stop event is set; for [`Command`].
///
/// The child alone is killed, with [`Child::kill`] (SIGKILL on unix: it cannot clean up), not what it has started in turn: for that
/// the standard library has no means. With a shell, `sh -c 'exec program'` puts the program in the shell's place. A child that
/// must not be killed in the middle is better asked in its own way, through its input or a signal, from an
/// [`on_set`](StopEvent::on_set) callback.
///
/// ```
/// # #[cfg(unix)] {
/// use std::process::Command;
/// use std::time::Duration;
/// use stoppable::{StopCommand, StopEvent, Stopped};
///
/// let stop = StopEvent::new();
/// assert!(Command::new("true").status_or_stopped(&stop).unwrap().success());
///
/// stop.set_after(Duration::from_millis(20));
/// let error = Command::new("sleep").arg("3600").status_or_stopped(&stop).unwrap_err();
/// assert!(error.downcast::<Stopped>().is_ok());
/// # }
/// ```
pub trait StopCommand {
    /// Runs the command and waits for its end, as [`Command::status`] does; kills it if `stop` is set before.
    ///
    /// When it returns, the child has ended and was reaped: no zombie is left, and no thread. One that had
    /// ended by itself before the stop was noticed counts as ended. If `stop` is set already, nothing is started.
    ///
    /// Blocks the thread. A stop wakes it at once; the child's own end is noticed up to 10 ms late (an eighth of its running time,
    /// if that is less), and so long as it runs this looks for it about a hundred times a second. What the kernel
    /// cannot kill, such as a child in an uninterruptible sleep or, after a change of its user, one that this process may not
    /// kill, is waited for even after the stop.
    ///
    /// # Errors
    ///
    /// Those of [`Command::spawn`] and of waiting; and, once the child has been killed, the one made from [`Stopped`].
    fn status_or_stopped(&mut self, stop: &StopEvent) -> io::Result<ExitStatus>;

    /// As [`status_or_stopped`](Self::status_or_stopped), with all that the child writes to its standard output and error; unix only.
    ///
    /// Both are collected in memory. The standard input is as the command has it: inherited, unless set otherwise
    /// (a pipe is closed at once). As with [`Command::output`], the output has ended when nobody can write to it any
    /// more, so a process that the child leaves behind is waited for if it has it; but not after a stop.
    /// The command is left with its output and error set to pipes.
    ///
    /// # Errors
    ///
    /// [`StopOutputError::Stopped`], with the output so far, once the child has been killed, or was never started;
    /// [`StopOutputError::Io`] for those of [`Command::spawn`], of reading and waiting. The child has been killed and reaped then,
    /// too.
    ///
    /// ```
    /// use std::process::Command;
    /// use std::time::Duration;
    /// use stoppable::{StopCommand, StopEvent, StopOutputError};
    ///
    /// let stop = StopEvent::new();
    /// stop.set_after(Duration::from_millis(300));
    /// let result = Command::new("sh").args(["-c", "echo begun; exec sleep 3600"]).output_or_stopped(&stop);
    /// match result {
    ///     Err(StopOutputError::Stopped { output: Some(output), .. }) => print!("{}", String::from_utf8_lossy(&output.stdout)),
    ///     other => println!("{other:?}"),
    /// }
    /// ```
    #[cfg(unix)]
    fn output_or_stopped(
        &mut self,
        stop: &StopEvent,
    ) -> Result<std::process::Output, StopOutputError>;
}

impl StopCommand for Command {
    fn status_or_stopped(&mut self, stop: &StopEvent) -> io::Result<ExitStatus> {
        stop.check()?;
        let mut child = Reaped(self.spawn()?);
        drop(child.0.stdin.take());
        let mut pause = Pause::new();
        loop {
            if let Some(status) = child.0.try_wait()? {
                return Ok(status);
            }
            if let Err(stopped) = pause.wait(stop) {
                child.kill()?;
                return Err(stopped.into());
            }
        }
    }

    #[cfg(unix)]
    fn output_or_stopped(
        &mut self,
        stop: &StopEvent,
    ) -> Result<std::process::Output, StopOutputError> {
        super::process_output::run(self, stop)
    }
}

/// A child that is reaped when this is dropped, and killed before, if it has not ended.
pub(super) struct Reaped(pub(super) Child);

impl Reaped {
    /// After this it has been reaped.
    pub(super) fn kill(&mut self) -> io::Result<ExitStatus> {
        // Of one that may not be killed the end is awaited. One that has been reaped is left alone.
        let _ = self.0.kill();
        self.0.wait()
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        // Does nothing if it was reaped: the standard library remembers the status.
        let _ = self.kill();
    }
}

/// The pauses between two looks.
pub(super) struct Pause {
    last_news: Instant,
}

impl Pause {
    const LEAST: Duration = Duration::from_micros(100);
    const MOST: Duration = Duration::from_millis(10);

    pub(super) fn new() -> Self {
        Pause {
            last_news: Instant::now(),
        }
    }

    /// Begins with short ones again: there will be more soon.
    #[cfg(unix)]
    pub(super) fn shorten(&mut self) {
        self.last_news = Instant::now();
    }

    /// Waits for a pause, or the stop.
    pub(super) fn wait(&mut self, stop: &StopEvent) -> Result<(), Stopped> {
        let since = self.last_news.elapsed();
        stop.sleep((since / 8).clamp(Self::LEAST, Self::MOST))
    }
}
