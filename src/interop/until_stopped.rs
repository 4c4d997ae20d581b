//! Iterators that end when an event is set.
//!
//! The poll comes before the item is asked for, and not after: an item that was taken from the inner
//! iterator is always yielded, so none is lost, and the inner iterator can go on where it was left.

use crate::{StopEvent, Stopped};
use std::iter::FusedIterator;

/// `until_stopped` for every iterator.
///
/// ```
/// use stoppable::{StopEvent, Stopped, UntilStopped};
///
/// fn total(numbers: &[u64], stop: &StopEvent) -> Result<u64, Stopped> {
///     let mut sum = 0;
///     for n in numbers.iter().until_stopped(stop).checked() {
///         sum += n?;
///     }
///     Ok(sum)
/// }
///
/// let stop = StopEvent::new();
/// assert_eq!(total(&[1, 2, 3], &stop), Ok(6));
/// stop.set();
/// assert!(total(&[1, 2, 3], &stop).is_err());
/// ```
pub trait UntilStopped: Iterator + Sized {
    /// The same items, until the event is set: then it ends.
    ///
    /// It polls before each item, so what it yields is a prefix of the iterator's items, and one that was
    /// begun is yielded. A stop does not interrupt the making of an item: put this as near to the source as you can,
    /// since a `filter` before it may look at many items between two polls.
    ///
    /// By itself the end does not say whether it is the real one. Ask [`check`](StopIter::check) afterwards,
    /// or use [`checked`](StopIter::checked) from the start.
    ///
    /// Costs a clone of the event, once, and a poll for each item. It is fused.
    ///
    /// ```
    /// use stoppable::{StopEvent, UntilStopped};
    ///
    /// let stop = StopEvent::new();
    /// let mut numbers = (1..).until_stopped(&stop);
    /// let mut seen = Vec::new();
    /// for n in &mut numbers {
    ///     seen.push(n);
    ///     if n == 3 {
    ///         stop.set();
    ///     }
    /// }
    /// assert_eq!(seen, [1, 2, 3]);
    /// assert!(numbers.check().is_err());
    /// ```
    fn until_stopped(self, stop: &StopEvent) -> StopIter<Self> {
        StopIter {
            iter: self,
            stop: stop.clone(),
            end: None,
        }
    }
}

impl<I: Iterator> UntilStopped for I {}

/// How an iterator ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Exhausted,
    Stopped,
}

/// An iterator that ends when an event is set; made by [`UntilStopped::until_stopped`].
#[derive(Clone, Debug)]
#[must_use = "iterators do nothing unless they are consumed"]
pub struct StopIter<I> {
    iter: I,
    stop: StopEvent,
    end: Option<End>,
}

impl<I> StopIter<I> {
    /// Whether a stop has ended it. False while it has not ended, and when it ran to its end first, even if
    /// the event was set later. True says that no more was asked for, not that there was more.
    ///
    /// Does not poll.
    pub fn is_stopped(&self) -> bool {
        self.end == Some(End::Stopped)
    }

    /// The same, for use with `?` after the loop.
    ///
    /// # Errors
    ///
    /// [`Stopped`], with the cause, if a stop has ended it.
    pub fn check(&self) -> Result<(), Stopped> {
        if self.is_stopped() {
            self.stop.check()
        } else {
            Ok(())
        }
    }

    /// The inner iterator, with what it has not yielded yet: after a stop, all that is left.
    pub fn into_inner(self) -> I {
        self.iter
    }
}

impl<I: Iterator> StopIter<I> {
    /// The same items as `Ok`; a stop is one `Err` in the place of the next item, and then the end.
    ///
    /// So a stop cannot be taken for the end of the items: `collect` into a `Result` fails.
    ///
    /// ```
    /// use stoppable::{StopEvent, Stopped, UntilStopped};
    ///
    /// let stop = StopEvent::new();
    /// let all: Result<Vec<_>, Stopped> = (0..3).until_stopped(&stop).checked().collect();
    /// assert_eq!(all, Ok(vec![0, 1, 2]));
    /// stop.set();
    /// let all: Result<Vec<_>, Stopped> = (0..3).until_stopped(&stop).checked().collect();
    /// assert!(all.is_err());
    /// ```
    pub fn checked(self) -> CheckedStopIter<I> {
        CheckedStopIter(self)
    }
}

impl<I: Iterator> Iterator for StopIter<I> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        if self.end.is_some() {
            return None;
        }
        if self.stop.is_set() {
            self.end = Some(End::Stopped);
            return None;
        }
        let item = self.iter.next();
        if item.is_none() {
            self.end = Some(End::Exhausted);
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.end {
            Some(_) => (0, Some(0)),
            None => (0, self.iter.size_hint().1),
        }
    }
}

impl<I: Iterator> FusedIterator for StopIter<I> {}

/// An iterator that yields an error when an event is set; made by [`StopIter::checked`].
#[derive(Clone, Debug)]
#[must_use = "iterators do nothing unless they are consumed"]
pub struct CheckedStopIter<I>(StopIter<I>);

impl<I> CheckedStopIter<I> {
    /// The inner iterator, with what it has not yielded yet: after a stop, all that is left.
    pub fn into_inner(self) -> I {
        self.0.into_inner()
    }
}

impl<I: Iterator> Iterator for CheckedStopIter<I> {
    type Item = Result<I::Item, Stopped>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // Once only: what has ended stays silent.
        if self.0.end.is_some() {
            return None;
        }
        match self.0.next() {
            Some(item) => Some(Ok(item)),
            None => self.0.check().err().map(Err),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (_, most) = self.0.size_hint();
        match self.0.end {
            Some(_) => (0, Some(0)),
            // An empty one may still yield the error.
            None => (0, most.and_then(|most| most.checked_add(1))),
        }
    }
}

impl<I: Iterator> FusedIterator for CheckedStopIter<I> {}
