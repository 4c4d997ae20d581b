//! Readers and writers that fail once an event is set.

use crate::StopEvent;
use std::io::{self, BufRead, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};

/// A reader whose calls fail once an event is set, so that a loop over it, such as [`io::copy`], ends.
///
/// Each call polls the event before it reads, and reads nothing if it is set. A call that blocks in the operating
/// system is not interrupted: it ends when the data comes, and only the next one fails. For sockets there
/// is [`StopStream`](crate::StopStream), which is interrupted; for pipes and terminals, wait with `poll` on them and on
/// [`StopEvent::fd`] before each read (unix); or set a time limit on the source, such as
/// [`TcpStream::set_read_timeout`](std::net::TcpStream::set_read_timeout).
///
/// The error is made from [`Stopped`](crate::Stopped): [`io::Error::downcast`] gives it back. Its kind is not
/// [`Interrupted`](io::ErrorKind::Interrupted), which the standard library would retry.
///
/// What was read before is not given back by those methods that do not anyway when they fail: `read_to_string`,
/// `read_exact` and `lines` may lose the beginning of what they were collecting; `read_to_end` and `read_until` keep it.
///
/// Around a file or a socket, put it outside of the `BufReader`, so that the poll is for each call, or inside of it, so
/// that it is for each refill. A poll is cheap enough for either.
///
/// ```
/// use std::io;
/// use stoppable::{StopEvent, StopReader, Stopped};
///
/// let stop = StopEvent::new();
/// let mut zeros = StopReader::new(io::repeat(0), &stop);
/// stop.set_after(std::time::Duration::from_millis(5));
/// // Without a stop it would never end.
/// let error = io::copy(&mut zeros, &mut io::sink()).unwrap_err();
/// assert!(error.downcast::<Stopped>().is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct StopReader<R> {
    inner: R,
    stop: StopEvent,
}

impl<R> StopReader<R> {
    /// Reads from `inner` until `stop` is set. Costs a clone of the event.
    pub fn new(inner: R, stop: &StopEvent) -> Self {
        StopReader {
            inner,
            stop: stop.clone(),
        }
    }

    /// The inner reader.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The inner reader, which a stop does not keep from being read.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// The inner reader, at the place where this one is.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for StopReader<R> {
    /// # Errors
    ///
    /// A [`Stopped`](crate::Stopped) once the event is set, and those of the inner reader.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stop.check()?;
        self.inner.read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.stop.check()?;
        self.inner.read_vectored(bufs)
    }
}

impl<R: BufRead> BufRead for StopReader<R> {
    /// # Errors
    ///
    /// A [`Stopped`](crate::Stopped) once the event is set, even if there is data in the buffer; and those of the
    /// inner reader.
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.stop.check()?;
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
    }
}

/// Moves without a look at the event: where the work was stopped may be worth knowing.
impl<R: Seek> Seek for StopReader<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

/// A writer whose calls fail once an event is set, so that a loop over it, such as [`io::copy`], ends.
///
/// Each call polls the event before it writes, and writes nothing if it is set; `flush` too. A call that blocks in the
/// operating system, such as a write to a full pipe, is not interrupted: see [`StopReader`].
///
/// What was written before a stop stays written, and may end in the middle of a record. To keep what is in
/// a buffer, put this one outside of the `BufWriter`, and flush [`get_mut`](Self::get_mut), which looks at no event;
/// a `BufWriter` around this one cannot write its rest after a stop.
///
/// ```
/// use std::io::{BufWriter, Write};
/// use stoppable::{StopEvent, StopWriter};
///
/// let stop = StopEvent::new();
/// let mut out = StopWriter::new(BufWriter::new(Vec::new()), &stop);
/// out.write_all(b"one")?;
/// stop.set();
/// assert!(out.write_all(b"two").is_err() && out.flush().is_err());
/// assert_eq!(out.into_inner().into_inner()?, b"one");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StopWriter<W> {
    inner: W,
    stop: StopEvent,
}

impl<W> StopWriter<W> {
    /// Writes to `inner` until `stop` is set. Costs a clone of the event.
    pub fn new(inner: W, stop: &StopEvent) -> Self {
        StopWriter {
            inner,
            stop: stop.clone(),
        }
    }

    /// The inner writer.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The inner writer, which a stop does not keep from being written to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// The inner writer. Nothing is flushed.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> Write for StopWriter<W> {
    /// # Errors
    ///
    /// A [`Stopped`](crate::Stopped) once the event is set, and those of the inner writer.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stop.check()?;
        self.inner.write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stop.check()?;
        self.inner.write_vectored(bufs)
    }

    /// # Errors
    ///
    /// A [`Stopped`](crate::Stopped) once the event is set, and those of the inner writer.
    fn flush(&mut self) -> io::Result<()> {
        self.stop.check()?;
        self.inner.flush()
    }
}

/// Moves without a look at the event: where the work was stopped may be worth knowing. (A `BufWriter` writes its buffer
/// before it moves.)
impl<W: Seek> Seek for StopWriter<W> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}
