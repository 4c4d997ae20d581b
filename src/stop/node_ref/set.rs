//! Setting a node, and why it is set. The cause is written once, by the one who set `CAUSED`; all others wait for that.
#![allow(
    unsafe_code,
    reason = "the right to write the cause comes with the bit `CAUSED`"
)]

use super::NodeRef;
use crate::stop::cause::StopCause;
use crate::stop::clock::Stamp;
use crate::stop::node::{CAUSED, SET};
use crate::sync::{Ordering, Tries};
use std::iter;

impl NodeRef {
    /// Sets this node with `cause` unless it reads set already. True for the one call that did.
    ///
    /// When it returns, the node reads set and has its cause, whoever won; the winner has told
    /// every listener.
    pub(crate) fn raise(&self, cause: &StopCause) -> bool {
        if self.reads_set() {
            return false;
        }
        // Release: partner is the Acquire in `confirm`, so that all that the setter did before is
        // visible. Acquire: partner is the Release half of the RMW in `listen`, so that the list that
        // it made is visible.
        let before = self.word().fetch_or(SET | CAUSED, Ordering::AcqRel);
        let won = before & (SET | CAUSED) == 0;
        if won {
            // SAFETY: the line above set `CAUSED`, which is set once.
            unsafe { self.write_cause(cause) };
        }
        if before & SET == 0 {
            self.tell_stop(before);
        }
        won
    }

    /// Writes the cause.
    ///
    /// # Safety
    ///
    /// The caller has set `CAUSED`, or has made the node with it, and calls this once.
    pub(crate) unsafe fn write_cause(&self, cause: &StopCause) {
        let side = self.side_or_new();
        // SAFETY: the bit is set once, and so this is called once.
        unsafe { side.cause.write(cause) };
    }

    /// The cause, when the node reads set. The first answer stays the answer.
    pub(crate) fn cause(&self) -> Option<StopCause> {
        if !self.reads_set() {
            return None;
        }
        // Relaxed: the exchange below settles it, and what came before the set was seen above.
        if self.word().load(Ordering::Relaxed) & CAUSED == 0 {
            // Set by an ancestor: of several by the first that was. Its cause becomes ours for good, so that
            // a later look cannot find another one. (None if the node was set itself since we looked.)
            let cause = self.causes_above().min_by_key(|cause| cause.at);
            if let Some(cause) = cause {
                // Relaxed: the cause is published by its own store, and the bit orders nothing.
                let before = self.word().fetch_or(CAUSED, Ordering::Relaxed);
                if before & CAUSED == 0 {
                    // SAFETY: the line above set `CAUSED`.
                    unsafe { self.write_cause(&cause) };
                }
            }
        }
        Some(self.await_cause())
    }

    /// Notes when the one to whom this node was given first saw it set.
    pub(crate) fn stamp_seen(&self) {
        let now = Stamp::now();
        if self.head().is_none() {
            self.solo().seen.note(now);
        } else {
            self.apart_or_new().seen.note(now);
        }
        // Relaxed: a hint. What is seen now was set by an ancestor, and that one's cause is to stay, though another
        // be set later whose cause is older. A node that was set itself has its cause, or is about to get it: nobody waits for that.
        if self.word().load(Ordering::Relaxed) & CAUSED == 0 {
            let _ = self.cause();
        }
    }

    /// When that was.
    pub(crate) fn seen_at(&self) -> Option<Stamp> {
        match self.head() {
            Some(_) => self.member().apart.get()?.seen.get(),
            None => self.solo().seen.get(),
        }
    }

    /// The causes of those ancestors whose own flag is set. What is above one of them is left out: a task
    /// that was refused has its own cause, though an event above it was set before.
    fn causes_above(&self) -> impl Iterator<Item = StopCause> {
        let mut chain = self.chain();
        chain.next();
        iter::from_fn(move || {
            loop {
                let node = chain.next()?;
                if let Some(cause) = node.own_cause() {
                    chain.leave_out_above(node);
                    return Some(cause);
                }
            }
        })
    }

    /// The cause of a node whose own flag is set.
    fn own_cause(&self) -> Option<StopCause> {
        // Relaxed: the cause, which is written by this setter or by the one above that a look found first, brings all that came
        // before that one's set with it.
        let set = self.word().load(Ordering::Relaxed) & SET != 0;
        set.then(|| self.await_cause())
    }

    /// The cause, which is there, or about to be written by a thread that is a few instructions away.
    fn await_cause(&self) -> StopCause {
        let mut tries = Tries::default();
        loop {
            if let Some(cause) = self.side().and_then(|side| side.cause.get()) {
                return cause;
            }
            tries.again();
        }
    }
}
