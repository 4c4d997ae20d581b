//! Child processes that are killed when an event is set.
//!
//! The thread that waits cannot block in `Child::wait`: that takes the child for as long as it blocks, and nothing in
//! the standard library kills a child by other means. It asks `try_wait`, and waits for the event in between: a
//! stop wakes it at once, only the child's own end is noticed up to a pause later. A pause is at most an eighth of the time for which the
//! child has run, from 0.1 to 10 ms.
//!
//! The output is read in the same loop, without blocking, and not by threads of its own: one would be left
//! behind, blocked, when the child is killed while a process that it had started holds the pipe open.
//!
//! How a child is ended, and that it is signalled at no time after it was reaped: `process_child`.

use super::process_child::{Ending, Pause, Running};
#[cfg(unix)]
use super::{
    process_child::Look, process_ending::StoppableCommand, process_output::StopOutputError,
};
use crate::StopEvent;
use std::io;
use std::process::{Command, ExitStatus};
#[cfg(unix)]
use std::time::Duration;

/// Child processes that are killed when a stop event is set; for [`Command`].
///
/// The child alone is killed, with [`Child::kill`](std::process::Child::kill), not what it has started in turn, and it cannot clean up (SIGKILL on
/// unix, `TerminateProcess` on Windows). On unix there is more choice:
///
/// - [`own_group`](Self::own_group): what the child has started in turn is killed as well. (Without it, `sh -c 'exec program'` puts a program in
///   the shell's place.)
/// - [`terminate_first`](Self::terminate_first): it is asked to end, with SIGTERM, and has some time to do so.
///
/// On Windows there is neither: it has no signals, and groups are job objects, for which the standard library has
/// no call. There, or to ask a child in its own way, such as through its input, use an [`on_set`](StopEvent::on_set) callback.
///
/// What is promised of kills and of the end holds unless the process ignores SIGCHLD, or somebody in it waits for any child
/// (`waitpid` of -1). Then the system forgets how children end, and an error says so.
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
    /// When it returns, the child has ended and was reaped: no zombie is left, and no thread. One that has
    /// ended by itself before the stop is noticed counts as ended. If `stop` is set already, nothing is started.
    ///
    /// Blocks the thread. A stop wakes it at once; the child's own end is noticed up to 10 ms late (an eighth of its running time,
    /// if that is less), and so long as it runs this looks for it about a hundred times a second. What the kernel
    /// cannot kill, such as a child in an uninterruptible sleep or, after a change of its user, one that this process may not
    /// kill, is waited for even after the stop.
    ///
    /// # Errors
    ///
    /// Those of [`Command::spawn`] and of waiting; and, once the child has been killed, the one made from [`Stopped`](crate::Stopped).
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

    /// Starts the child in a process group of its own, and lets a stop end all of the group: the child, and what it has
    /// started in turn; unix only.
    ///
    /// When `status_or_stopped` or `output_or_stopped` returns because of a stop, all of them have been sent SIGKILL. The child has
    /// been reaped; the others are reaped by whoever has adopted them, such as `init`, and may be seen as zombies until then. Not
    /// reached is who has left the group (`setsid`, daemons, the jobs of a shell with job control), and who may not be signalled by this
    /// process. If there is no stop, the end of the child is the end, as ever: those that it leaves behind live on.
    ///
    /// A group is signalled only before its leader, the child, is reaped: its number cannot be another's by then.
    ///
    /// At a terminal the group is in the background: Ctrl-C does not reach it, so let an event do that (feature `ctrlc`),
    /// and who reads from the terminal is put to sleep, so give it another standard input. If this process ends
    /// without a stop, such as by `exit` or SIGKILL, the group lives on.
    ///
    /// The command is left with that setting ([`process_group`](std::os::unix::process::CommandExt::process_group) of 0).
    #[cfg(unix)]
    fn own_group(&mut self) -> StoppableCommand<'_>;

    /// Lets a stop ask the child to end, with SIGTERM, and kill it only if it has not done so after `grace`; unix only.
    ///
    /// In this time `status_or_stopped` and `output_or_stopped` go on waiting, so they return up to `grace` after the stop, as soon as the
    /// child has ended, and with the same error. What it writes meanwhile is read, and kept by `output_or_stopped`, whose error tells how it
    /// ended. A child that is asleep by SIGSTOP does not get the signal, and is killed at the end of its grace.
    ///
    /// Together with [`own_group`](Self::own_group), all of the group are asked. The grace is the child's: once it has ended, what is
    /// left of its group is killed, only `output_or_stopped` waits on for the end of the output, within the grace. Shells end
    /// at once on SIGTERM, without a thought for their programs: give a script a `trap`, as in `trap 'wait' TERM; program & wait`, or `exec` the program.
    /// On systems other than Linux, Android and Apple's the whole grace is waited for, since there the end of the child cannot
    /// be seen without setting free the number of the group.
    #[cfg(unix)]
    fn terminate_first(&mut self, grace: Duration) -> StoppableCommand<'_>;
}

impl StopCommand for Command {
    fn status_or_stopped(&mut self, stop: &StopEvent) -> io::Result<ExitStatus> {
        status(self, Ending::default(), stop)
    }

    #[cfg(unix)]
    fn output_or_stopped(
        &mut self,
        stop: &StopEvent,
    ) -> Result<std::process::Output, StopOutputError> {
        super::process_output::run(self, Ending::default(), stop)
    }

    #[cfg(unix)]
    fn own_group(&mut self) -> StoppableCommand<'_> {
        StoppableCommand::new(self).own_group()
    }

    #[cfg(unix)]
    fn terminate_first(&mut self, grace: Duration) -> StoppableCommand<'_> {
        StoppableCommand::new(self).terminate_first(grace)
    }
}

pub(super) fn status(
    command: &mut Command,
    ending: Ending,
    stop: &StopEvent,
) -> io::Result<ExitStatus> {
    stop.check()?;
    let mut running = Running::spawn(command, ending)?;
    drop(running.child.stdin.take());
    let pause = Pause::new();
    let mut stopped = Ok(());
    loop {
        // After the stop once more: it may have ended in the pause.
        if let Some(status) = running.try_wait()? {
            return Ok(status);
        }
        if let Err(stopped) = stopped {
            #[cfg(unix)]
            running.end(|| Ok(Look::NOTHING))?;
            #[cfg(not(unix))]
            running.kill()?;
            return Err(io::Error::from(stopped));
        }
        stopped = pause.wait(stop);
    }
}
