//! Channels whose waits a stop event ends. (Feature `crossbeam-channel`.)
//!
//! [`recv_or_stopped`] and [`send_or_stopped`] wait for one channel or the stop. For `select!` over several,
//! [`stop_receiver`] makes a receiver that becomes ready on stop:
//!
//! ```
//! use crossbeam_channel::{select, unbounded};
//! use stoppable::ThreadPool;
//! use stoppable::interop::crossbeam_channel::stop_receiver;
//!
//! let pool = ThreadPool::new(1);
//! let (send, numbers) = unbounded();
//! let (told, names) = unbounded();
//! let task = pool.submit(move |stop| {
//!     let stopped = stop_receiver(stop);
//!     let mut sum = 0;
//!     loop {
//!         select! {
//!             recv(numbers) -> number => sum += number.unwrap_or(0),
//!             recv(names) -> name => println!("{}", name.unwrap_or("nobody")),
//!             recv(stopped) -> _ => {
//!                 // The look at the event itself is what counts as seeing it.
//!                 stop.check()?;
//!             }
//!         }
//!         if sum > 5 { return Ok::<u32, stoppable::Stopped>(sum) }
//!     }
//! });
//! send.send(1).unwrap();
//! told.send("Ada").unwrap();
//! task.cancel();
//! assert!(task.join().is_err());
//! ```

use crate::{StopCallback, StopEvent, Stopped};
use ::crossbeam_channel::{
    Receiver, Select, SendError, Sender, TryRecvError, TrySendError, bounded,
};
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A receiver that is ready once an event is set: never a message, but the end of the channel.
///
/// It is made by [`stop_receiver`], and is a [`Receiver`] by reference, for `select!` and `Select`. Once ready, it stays so.
/// That it is ready does not count as the task seeing its stop; look at the event then.
///
/// A clone is the same. Dropping the last one takes the callback off the event, and waits for it if it runs just then.
/// A bare receiver that was cloned out of it, through the reference, ends at that moment too, though nothing was stopped.
#[derive(Clone)]
pub struct StopReceiver {
    receiver: Receiver<Infallible>,
    /// Has the sender in it.
    _callback: Arc<StopCallback>,
}

impl Deref for StopReceiver {
    type Target = Receiver<Infallible>;

    fn deref(&self) -> &Receiver<Infallible> {
        &self.receiver
    }
}

impl fmt::Debug for StopReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopReceiver").finish_non_exhaustive()
    }
}

/// A receiver that becomes ready when `stop` is set: its channel ends. It is ready at once if `stop` is set already,
/// and never for [`StopEvent::never`].
///
/// A few allocations, and a place on the list of each event above: make one for a loop, not for a turn of it.
pub fn stop_receiver(stop: &StopEvent) -> StopReceiver {
    let (sender, receiver) = bounded(0);
    let callback = stop.on_set(move || drop(sender));
    StopReceiver {
        receiver,
        _callback: Arc::new(callback),
    }
}

/// Why nothing was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecvOrStopped {
    /// The event was set. Messages may be left in the channel.
    Stopped(Stopped),
    /// The channel is empty, and all senders are gone.
    Disconnected,
}

impl fmt::Display for RecvOrStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvOrStopped::Stopped(stopped) => stopped.fmt(f),
            RecvOrStopped::Disconnected => f.write_str("all senders are gone"),
        }
    }
}

impl Error for RecvOrStopped {}

/// Why a message was not sent; it is given back.
#[derive(Clone, PartialEq, Eq)]
pub enum SendOrStopped<T> {
    /// The event was set.
    Stopped(T, Stopped),
    /// All receivers are gone.
    Disconnected(T),
}

impl<T> SendOrStopped<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        match self {
            SendOrStopped::Stopped(message, _) | SendOrStopped::Disconnected(message) => message,
        }
    }
}

impl<T> fmt::Debug for SendOrStopped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendOrStopped::Stopped(_, stopped) => f
                .debug_tuple("Stopped")
                .field(stopped)
                .finish_non_exhaustive(),
            SendOrStopped::Disconnected(_) => f.debug_tuple("Disconnected").finish_non_exhaustive(),
        }
    }
}

impl<T> fmt::Display for SendOrStopped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendOrStopped::Stopped(_, stopped) => stopped.fmt(f),
            SendOrStopped::Disconnected(_) => f.write_str("all receivers are gone"),
        }
    }
}

impl<T> Error for SendOrStopped<T> {}

/// Waits for a message, or until `stop` is set. If both are there, the stop comes first, and the
/// message stays where it is.
///
/// A message that is there costs two polls more than `recv`. To wait costs a few allocations besides, and a place
/// on the list of the event. A task that gives its own event has seen its stop when it gets the error.
///
/// # Errors
///
/// [`RecvOrStopped`]: the event was set, or the channel is empty and its senders are gone.
///
/// ```
/// use stoppable::StopEvent;
/// use stoppable::interop::crossbeam_channel::{RecvOrStopped, recv_or_stopped};
///
/// let stop = StopEvent::new();
/// let (send, numbers) = crossbeam_channel::unbounded();
/// send.send(7).unwrap();
/// assert_eq!(recv_or_stopped(&numbers, &stop), Ok(7));
/// stop.set();
/// assert!(matches!(recv_or_stopped(&numbers, &stop), Err(RecvOrStopped::Stopped(_))));
/// ```
pub fn recv_or_stopped<T>(receiver: &Receiver<T>, stop: &StopEvent) -> Result<T, RecvOrStopped> {
    let mut stopped = None;
    loop {
        stop.check().map_err(RecvOrStopped::Stopped)?;
        match receiver.try_recv() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Disconnected) => return Err(RecvOrStopped::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        let stopped: &StopReceiver = stopped.get_or_insert_with(|| stop_receiver(stop));
        let mut select = Select::new();
        let message = select.recv(receiver);
        select.recv(stopped);
        let ready = select.select();
        if ready.index() == message {
            return ready
                .recv(receiver)
                .map_err(|_| RecvOrStopped::Disconnected);
        }
        // It has no messages, only an end. Then the event is set.
        let _ = ready.recv(stopped);
    }
}

/// Waits until the message is in the channel (or, if that has no room of its own, with a receiver), or until
/// `stop` is set. If both are possible, the stop comes first.
///
/// Costs as [`recv_or_stopped`].
///
/// # Errors
///
/// [`SendOrStopped`], with the message in it: the event was set, or the receivers are gone.
///
/// ```
/// use stoppable::StopEvent;
/// use stoppable::interop::crossbeam_channel::send_or_stopped;
///
/// let stop = StopEvent::new();
/// let (numbers, _receive) = crossbeam_channel::bounded(1);
/// assert!(send_or_stopped(&numbers, 7, &stop).is_ok());
/// // Now it is full, and would wait.
/// stop.set();
/// assert_eq!(send_or_stopped(&numbers, 8, &stop).unwrap_err().into_inner(), 8);
/// ```
pub fn send_or_stopped<T>(
    sender: &Sender<T>,
    message: T,
    stop: &StopEvent,
) -> Result<(), SendOrStopped<T>> {
    let mut message = message;
    let mut stopped = None;
    loop {
        if let Err(stopped) = stop.check() {
            return Err(SendOrStopped::Stopped(message, stopped));
        }
        message = match sender.try_send(message) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Disconnected(message)) => {
                return Err(SendOrStopped::Disconnected(message));
            }
            Err(TrySendError::Full(message)) => message,
        };
        let stopped: &StopReceiver = stopped.get_or_insert_with(|| stop_receiver(stop));
        let mut select = Select::new();
        let room = select.send(sender);
        select.recv(stopped);
        let ready = select.select();
        if ready.index() == room {
            let sent = ready.send(sender, message);
            return sent.map_err(|SendError(message)| SendOrStopped::Disconnected(message));
        }
        // It has no messages, only an end. Then the event is set.
        let _ = ready.recv(stopped);
    }
}
