//! Sockets whose blocked calls end when an event is set.
//!
//! A callback shuts the socket down. That ends calls which are blocked in it on other threads, and makes later ones
//! return at once, so it does not matter whether a call had begun when the stop came: none is missed. The callback
//! shares the socket, and is deregistered before the socket is closed: it cannot hit the descriptor
//! of another file. It holds no lock, and no call holds one either.

use crate::{StopCallback, StopEvent};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// A connection that any thread can break, through a shared reference.
pub trait Disconnect: Send + Sync + 'static {
    /// Makes all calls that are blocked in it, and all later ones, return. Must not block.
    ///
    /// # Errors
    ///
    /// Those of the operating system, such as when it is not connected any more.
    fn disconnect(&self) -> io::Result<()>;
}

impl Disconnect for TcpStream {
    /// Shuts down both directions.
    fn disconnect(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Both)
    }
}

/// On unix.
#[cfg(unix)]
impl Disconnect for UnixStream {
    /// Shuts down both directions.
    fn disconnect(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Both)
    }
}

/// A connection that is shut down when an event is set, so that reads and writes that are blocked in it end.
///
/// A read or write fails with the error made from [`Stopped`](crate::Stopped) once the event is set ([`io::Error::downcast`]
/// gives it back), whether it was blocked then or comes later; what had been read by then is returned first. The peer sees the
/// connection close: a stop is the end of it. To leave it open, set a time limit for reading and poll the
/// event in between, or wait with `poll` and [`StopEvent::fd`].
///
/// As with [`TcpStream`], one thread may read and another write, both through `&StopStream`.
///
/// To connect is not part of it: use [`TcpStream::connect_timeout`]. The look-up of a name cannot be interrupted.
///
/// ```
/// use std::io::Read;
/// use std::net::{TcpListener, TcpStream};
/// use std::time::Duration;
/// use stoppable::{StopEvent, StopStream, Stopped};
///
/// let silent = TcpListener::bind("127.0.0.1:0")?;
/// let stop = StopEvent::new();
/// let mut stream = StopStream::new(TcpStream::connect(silent.local_addr()?)?, &stop);
/// stop.set_after(Duration::from_millis(5));
/// // The peer never says a word.
/// let error = stream.read(&mut [0; 8]).unwrap_err();
/// assert!(error.downcast::<Stopped>().is_ok());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct StopStream<S> {
    // Before the stream: it is gone when the stream is closed.
    callback: StopCallback,
    stream: Arc<S>,
    stop: StopEvent,
}

impl<S: Disconnect> StopStream<S> {
    /// Shuts `stream` down when `stop` is set; at once, if it is set already. Costs a callback, and a clone of the event.
    pub fn new(stream: S, stop: &StopEvent) -> Self {
        let stream = Arc::new(stream);
        let callback = stop.on_set({
            let stream = Arc::clone(&stream);
            move || {
                // It fails if the connection is broken anyway.
                let _ = stream.disconnect();
            }
        });
        StopStream {
            callback,
            stream,
            stop: stop.clone(),
        }
    }

    /// The connection, for its settings. A call on it that is blocked ends at a stop as well, but as if the peer
    /// had closed.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The connection, which no stop shuts down any more. `None` if a stop already did.
    pub fn into_inner(self) -> Option<S> {
        let StopStream {
            callback, stream, ..
        } = self;
        if callback.remove() {
            Arc::into_inner(stream)
        } else {
            None
        }
    }

    fn run(&self, call: impl FnOnce(&S) -> io::Result<usize>) -> io::Result<usize> {
        self.stop.check()?;
        match call(&self.stream) {
            Ok(done) if done > 0 => Ok(done),
            // The end of the stream, a failure or an empty buffer; or the stop.
            other => {
                self.stop.check()?;
                other
            }
        }
    }
}

impl<S: Disconnect> Read for &StopStream<S>
where
    for<'a> &'a S: Read,
{
    /// # Errors
    ///
    /// A [`Stopped`](crate::Stopped) once the event is set, never the end of the stream; and those of the stream.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.run(|mut stream| stream.read(buf))
    }
}

impl<S: Disconnect> Write for &StopStream<S>
where
    for<'a> &'a S: Write,
{
    /// # Errors
    ///
    /// A [`Stopped`](crate::Stopped) once the event is set, and those of the stream.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.run(|mut stream| stream.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.run(|mut stream| stream.flush().map(|()| 0)).map(drop)
    }
}

impl<S: Disconnect> Read for StopStream<S>
where
    for<'a> &'a S: Read,
{
    /// # Errors
    ///
    /// As through `&StopStream`.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl<S: Disconnect> Write for StopStream<S>
where
    for<'a> &'a S: Write,
{
    /// # Errors
    ///
    /// As through `&StopStream`.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

impl<S: fmt::Debug> fmt::Debug for StopStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("StopStream");
        out.field("stream", &self.stream).field("stop", &self.stop);
        out.finish_non_exhaustive()
    }
}
