//! The choices of how a stop ends a child process. Unix only.

use super::process::status;
use super::process_child::Ending;
use super::process_output::{self, StopOutputError};
use crate::StopEvent;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

/// A command, and how a stop ends its child; made by [`own_group`](crate::StopCommand::own_group) and
/// [`terminate_first`](crate::StopCommand::terminate_first). Unix only.
///
/// ```
/// use std::process::Command;
/// use std::time::Duration;
/// use stoppable::{StopCommand, StopEvent, Stopped};
///
/// let stop = StopEvent::new();
/// stop.set_after(Duration::from_millis(20));
/// let error = Command::new("sh")
///     .args(["-c", "sleep 3600 & sleep 3600"])
///     .own_group()
///     .terminate_first(Duration::from_secs(2))
///     .status_or_stopped(&stop)
///     .unwrap_err();
/// // Neither the shell nor one of its children is left.
/// assert!(error.downcast::<Stopped>().is_ok());
/// ```
#[derive(Debug)]
#[must_use = "it is not started before it is waited for"]
pub struct StoppableCommand<'a> {
    command: &'a mut Command,
    ending: Ending,
}

impl<'a> StoppableCommand<'a> {
    pub(super) fn new(command: &'a mut Command) -> Self {
        let ending = Ending::default();
        StoppableCommand { command, ending }
    }

    /// As [`StopCommand::own_group`](crate::StopCommand::own_group).
    pub fn own_group(mut self) -> Self {
        self.command.process_group(0);
        self.ending.group = true;
        self
    }

    /// As [`StopCommand::terminate_first`](crate::StopCommand::terminate_first).
    pub fn terminate_first(mut self, grace: Duration) -> Self {
        self.ending.grace = Some(grace);
        self
    }

    /// As [`StopCommand::status_or_stopped`](crate::StopCommand::status_or_stopped), but a stop ends the child in
    /// this way.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn status_or_stopped(&mut self, stop: &StopEvent) -> io::Result<ExitStatus> {
        status(self.command, self.ending, stop)
    }

    /// As [`StopCommand::output_or_stopped`](crate::StopCommand::output_or_stopped), but a stop ends the child in
    /// this way. What it writes in its grace is kept, too.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn output_or_stopped(&mut self, stop: &StopEvent) -> Result<Output, StopOutputError> {
        process_output::run(self.command, self.ending, stop)
    }
}
