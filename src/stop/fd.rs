//! A file descriptor that becomes readable when an event is set, for code that waits with `poll`.

use super::callback::StopCallback;
use super::event::StopEvent;
use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;

impl StopEvent {
    /// A file descriptor that is readable once the event is set, and stays so: for `poll`, `epoll`, `kqueue`
    /// and `select`, beside the descriptors that the code waits for anyway. At once, if the event is set
    /// already; that of [`never`](Self::never) never is. Unix only.
    ///
    /// That it is readable is all there is to it: it carries no data, and is for waiting only. A task that is
    /// woken by it has not yet seen its stop; a poll of the event makes it so.
    ///
    /// Each call makes a connected pair of sockets, which are closed when the [`StopFd`] is dropped: make it
    /// once, not at each wait.
    ///
    /// # Errors
    ///
    /// Those of the operating system, such as too many open files.
    ///
    /// ```
    /// use std::fs::File;
    /// use std::io::Read;
    /// use std::os::fd::AsFd;
    /// use std::thread;
    /// use stoppable::StopEvent;
    ///
    /// let stop = StopEvent::new();
    /// let fd = stop.fd()?;
    /// // In place of `poll` or `epoll`: a read that blocks for as long as there is nothing to read.
    /// let mut wait = File::from(fd.as_fd().try_clone_to_owned()?);
    /// let waiter = thread::spawn(move || wait.read(&mut [0]));
    /// stop.set();
    /// assert_eq!(waiter.join().unwrap()?, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn fd(&self) -> io::Result<StopFd> {
        let (watched, held) = UnixStream::pair()?;
        let callback = self.on_set(move || {
            // A process that was forked meanwhile and has not called `exec` may hold the socket open too.
            // If this fails, the close that follows it does the same for all but such processes.
            let _ = held.shutdown(Shutdown::Both);
        });
        Ok(StopFd {
            watched,
            _callback: callback,
        })
    }
}

/// A file descriptor that is readable once a stop event is set; made by [`StopEvent::fd`].
///
/// It is closed in processes that are started (close-on-exec). Dropping it closes it, and leaves nothing
/// behind in the event; a duplicate of it is readable from then on.
#[must_use = "dropping it closes the descriptor"]
pub struct StopFd {
    /// Reads the end of the stream when the other socket is shut down or closed.
    watched: UnixStream,
    /// Owns the other socket until it runs.
    _callback: StopCallback,
}

impl AsFd for StopFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watched.as_fd()
    }
}

impl AsRawFd for StopFd {
    fn as_raw_fd(&self) -> RawFd {
        self.watched.as_raw_fd()
    }
}

impl fmt::Debug for StopFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StopFd").field(&self.as_raw_fd()).finish()
    }
}
