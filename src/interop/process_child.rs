//! A child process that is waited for in turns, ended in the way that was chosen, and reaped in any case.
//!
//! A kill must not come after the child was reaped: by then its number, and that of its group, may be another's. So the thread that waits is
//! the only one that has the `Child`, and it kills, and reaps after that, itself. What may be signalled is known
//! here and nowhere else: `reaped` is set in the same breath as the child is.
//!
//! To have asked a group to end and to see its leader do so must not reap the leader: the rest of the group could not be
//! killed any more. There `waitid` looks without reaping.

#[cfg(unix)]
use super::signal;
use crate::{StopEvent, Stopped};
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How a child is ended at a stop.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ending {
    /// The child is the leader of a group of its own, all of which is ended.
    #[cfg(unix)]
    pub(super) group: bool,
    /// For how long it is waited for between SIGTERM and SIGKILL.
    #[cfg(unix)]
    pub(super) grace: Option<Duration>,
}

/// A child that is reaped when this is dropped, and killed before, if it has not ended.
pub(super) struct Running {
    pub(super) child: Child,
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is one way to end it"))]
    ending: Ending,
    /// Its number is not its own any more.
    reaped: bool,
}

impl Running {
    pub(super) fn spawn(command: &mut Command, ending: Ending) -> io::Result<Running> {
        Ok(Running {
            child: command.spawn()?,
            ending,
            reaped: false,
        })
    }

    /// How it has ended, if it has; then it was reaped.
    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let ended = self.child.try_wait();
        // The only error is that there is no such child: somebody else has reaped it, or the kernel, which does so if SIGCHLD
        // is ignored.
        self.reaped |= !matches!(ended, Ok(None));
        ended
    }

    /// Whether it has ended, without reaping it.
    #[cfg(unix)]
    fn has_ended(&mut self) -> io::Result<bool> {
        let ended = signal::has_ended(&self.child);
        self.reaped |= ended.is_err();
        ended
    }

    /// Kills it, and its group. After this it has been reaped.
    pub(super) fn kill(&mut self) -> io::Result<ExitStatus> {
        if !self.reaped {
            #[cfg(unix)]
            if self.ending.group {
                signal::kill_group(&self.child);
            }
            // The child itself in any case: it may have left the group. Of one that may not be killed the end is awaited.
            let _ = self.child.kill();
        }
        // The standard library remembers the status.
        let status = self.child.wait();
        self.reaped = true;
        status
    }

    /// Ends it in the way that was chosen. After this it has been reaped.
    ///
    /// While there is a grace, `look` is called again and again. It says whether there was news, and whether all
    /// has come.
    #[cfg(unix)]
    pub(super) fn end(
        &mut self,
        mut look: impl FnMut() -> io::Result<Look>,
    ) -> io::Result<ExitStatus> {
        let Some(grace) = self.ending.grace else {
            return self.kill();
        };
        if self.ending.group {
            signal::terminate_group(&self.child);
        } else {
            signal::terminate(&self.child);
        }
        let asked = Instant::now();
        let mut pause = Pause::new();
        while let Some(left) = grace.checked_sub(asked.elapsed()) {
            let Look { news, all } = look()?;
            let done = if self.ending.group {
                self.has_ended()? && all
            } else {
                self.try_wait()?.is_some()
            };
            if done {
                break;
            }
            if news {
                pause = Pause::new();
            } else {
                // Not `thread::sleep`: signals that come fast, each of which begins it anew, keep it from ending.
                let _ = StopEvent::never().sleep(pause.length().min(left));
            }
        }
        self.kill()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.kill();
        }
    }
}

/// What a look at a child's output has brought.
#[cfg(unix)]
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) news: bool,
    /// There will be no more.
    pub(super) all: bool,
}

#[cfg(unix)]
impl Look {
    /// There is no output to look at.
    pub(super) const NOTHING: Look = Look {
        news: false,
        all: true,
    };
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

    fn length(&self) -> Duration {
        (self.last_news.elapsed() / 8).clamp(Self::LEAST, Self::MOST)
    }

    /// Waits for a pause, or the stop.
    pub(super) fn wait(&self, stop: &StopEvent) -> Result<(), Stopped> {
        stop.sleep(self.length())
    }
}
