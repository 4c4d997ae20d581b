//! Listeners whose `accept` ends when an event is set. Linux and Android only.
//!
//! There a listening socket can be shut down as a connection can, which ends all calls that are blocked in it. The standard library
//! has `shutdown` for streams only, so the callback has a duplicate of the descriptor in the form of a stream. It owns that duplicate: it
//! cannot hit the descriptor of another file, whatever becomes of the listener.
//!
//! Elsewhere there is no such call. To connect to oneself wakes one thread, unless a firewall, a lack of descriptors or another
//! thread that takes the connection prevents it: not good enough to be promised here.

use crate::{StopCallback, StopEvent};
use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{self, UnixListener, UnixStream};

/// A listener that is shut down when an event is set, so that an `accept` that is blocked in it ends. Linux and Android only.
///
/// Several threads may accept at a time, and all of them end. The stop is the end of the listening socket itself, for every clone and
/// every process that has it too: later connections are refused, and those that nobody has accepted yet are reset. To keep
/// it open, or on other systems, wait with `poll` on the listener and on [`StopEvent::fd`], and accept then without blocking.
///
/// ```
/// use std::net::TcpListener;
/// use std::time::Duration;
/// use stoppable::{StopEvent, StopListener, Stopped};
///
/// let stop = StopEvent::new();
/// let listener = StopListener::new(TcpListener::bind("127.0.0.1:0")?, &stop)?;
/// stop.set_after(Duration::from_millis(5));
/// // Nobody calls.
/// let error = listener.accept().unwrap_err();
/// assert!(error.downcast::<Stopped>().is_ok());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct StopListener<L> {
    listener: L,
    stop: StopEvent,
    _callback: StopCallback,
}

impl<L: AsFd> StopListener<L> {
    /// Shuts `listener` down when `stop` is set; at once, if it is set already. Costs a descriptor, a callback and a clone
    /// of the event.
    ///
    /// # Errors
    ///
    /// Those of duplicating a descriptor, such as too many open files.
    pub fn new(listener: L, stop: &StopEvent) -> io::Result<Self> {
        // The kind of socket matters to none of the calls that are made on it.
        let duplicate = TcpStream::from(listener.as_fd().try_clone_to_owned()?);
        let callback = stop.on_set(move || {
            // It fails if the listener was shut down already.
            let _ = duplicate.shutdown(Shutdown::Both);
        });
        Ok(StopListener {
            listener,
            stop: stop.clone(),
            _callback: callback,
        })
    }

    /// The listener, for its address and settings. A stop ends calls on it as well, with an error of the operating system's.
    pub fn get_ref(&self) -> &L {
        &self.listener
    }

    /// The listener, which no stop shuts down any more. It is of no use if one already did.
    pub fn into_inner(self) -> L {
        self.listener
    }

    fn run<T>(&self, accept: impl FnOnce(&L) -> io::Result<T>) -> io::Result<T> {
        self.stop.check()?;
        accept(&self.listener).or_else(|error| {
            self.stop.check()?;
            Err(error)
        })
    }
}

impl StopListener<TcpListener> {
    /// Waits for a connection, until the event is set.
    ///
    /// # Errors
    ///
    /// The one made from [`Stopped`](crate::Stopped) once the event is set, and those of [`TcpListener::accept`]. A connection that
    /// was accepted as the stop came is returned.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.run(TcpListener::accept)
    }
}

impl StopListener<UnixListener> {
    /// Waits for a connection, until the event is set.
    ///
    /// # Errors
    ///
    /// The one made from [`Stopped`](crate::Stopped) once the event is set, and those of [`UnixListener::accept`]. A connection that
    /// was accepted as the stop came is returned.
    pub fn accept(&self) -> io::Result<(UnixStream, net::SocketAddr)> {
        self.run(UnixListener::accept)
    }
}

impl<L: fmt::Debug> fmt::Debug for StopListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("StopListener");
        out.field("listener", &self.listener)
            .field("stop", &self.stop);
        out.finish_non_exhaustive()
    }
}
