//! The life of a task: one atomic word, and every transition of it.
//!
//! | state | event | next state | who |
//! |---|---|---|---|
//! | Pending | a worker claims it | Running | [`State::claim`] |
//! | Pending | it is cancelled, by whatever | `NeverStarted`, with `SET` | [`State::cancel`] |
//! | Running | its closure ends | Completed, Cancelled or Panicked | [`State::finish`] |
//! | Running | it is asked to stop | Running, with `SET` | [`State::ask`] |
//! | Running | it sees its stop | Running, with `SEEN` | [`State::note_seen`] |
//! | Pending | its pool hands it back | Pending, with `TAKEN`: its new owner claims it | [`State::take`], [`State::claim_taken`] |
//! | none | it is made without a pool | Pending, with `TAKEN` | [`State::taken`] |
//! | any | its handle is dropped | the same, without `HANDLE` | [`State::drop_handle`] |
//! | an end | its handle is ready as a future | the same, without `HANDLE` | [`State::spend_handle`] |
//!
//! No other file changes these bits. The stop bits below them are the node's; `cancel` sets `SET`
//! in the same step, so that there is one transition between start and cancel, and no state between.
//!
//! Who may touch the cell's contents: while Pending nobody, the claimer after `claim`, the canceller
//! after `cancel`, the claimer until `finish`; from then on the handle, if `HANDLE` was set in the
//! word that `finish` replaced, else the claimer.

use crate::report::TaskStatus;
use crate::stop::node::{CAUSED, IN_SLAB, SET};
use crate::sync::{AtomicU32, Ordering};

const PHASE_SHIFT: u32 = 8;
const PHASE: u32 = 0b111 << PHASE_SHIFT;
const PENDING: u32 = 0;
const RUNNING: u32 = 1 << PHASE_SHIFT;
const COMPLETED: u32 = 2 << PHASE_SHIFT;
const CANCELLED: u32 = 3 << PHASE_SHIFT;
const NEVER_STARTED: u32 = 4 << PHASE_SHIFT;
const PANICKED: u32 = 5 << PHASE_SHIFT;
/// The closure returned, and its value is in the cell.
const VALUE: u32 = 1 << 11;
/// The task saw its stop event set while it ran.
const SEEN: u32 = 1 << 12;
/// Somebody holds the task's handle, and with it the right to the outcome.
const HANDLE: u32 = 1 << 13;
/// Somebody may be listening for the start or the end.
pub(crate) const WAITED: u32 = 1 << 14;

/// It was handed back by its pool, or has none: not that one's to start, nor to count. Never cleared.
const TAKEN: u32 = 1 << 15;
/// It was submitted under an event besides its pool's, or to a group that is under one, which may be set at any
/// time. Never cleared.
const UNDER: u32 = 1 << 16;

/// How a closure ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It returned, and its value is in the cell.
    Returned { seen: bool },
    /// It was unwound by `unwind_if_stopped`.
    Unwound,
    /// It panicked, and the payload is in the cell.
    Panicked,
}

impl End {
    /// What the task has become by it.
    pub(crate) fn status(self) -> TaskStatus {
        Word(self.word()).status()
    }

    fn word(self) -> u32 {
        match self {
            End::Returned { seen: false } => COMPLETED | VALUE,
            End::Returned { seen: true } => CANCELLED | VALUE,
            End::Unwound => CANCELLED,
            End::Panicked => PANICKED,
        }
    }
}

/// The word as it was at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u32);

impl Word {
    pub(crate) fn status(self) -> TaskStatus {
        match self.0 & PHASE {
            PENDING => TaskStatus::Pending,
            RUNNING => TaskStatus::Running,
            COMPLETED => TaskStatus::Completed,
            CANCELLED => TaskStatus::Cancelled,
            NEVER_STARTED => TaskStatus::NeverStarted,
            _ => TaskStatus::Panicked,
        }
    }

    pub(crate) fn is_done(self) -> bool {
        self.0 & PHASE > RUNNING
    }

    pub(crate) fn has_begun(self) -> bool {
        self.0 & PHASE != PENDING
    }

    pub(crate) fn has_value(self) -> bool {
        self.0 & VALUE != 0
    }

    pub(crate) fn has_handle(self) -> bool {
        self.0 & HANDLE != 0
    }

    pub(crate) fn seen(self) -> bool {
        self.0 & SEEN != 0
    }

    /// Whether it runs, and has not seen its stop.
    pub(crate) fn is_unseen(self) -> bool {
        self.0 & PHASE == RUNNING && !self.seen()
    }

    pub(crate) fn has_cause(self) -> bool {
        self.0 & CAUSED != 0
    }

    pub(crate) fn is_waited(self) -> bool {
        self.0 & WAITED != 0
    }

    pub(crate) fn is_taken(self) -> bool {
        self.0 & TAKEN != 0
    }

    pub(crate) fn is_under(self) -> bool {
        self.0 & UNDER != 0
    }

    /// The bits, for the node's own part of the word.
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Word(bits)
    }
}

/// What came of an attempt to start a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "who claims a task has to run it"]
pub(crate) enum Claim {
    /// It is ours to run. The word as it was.
    Claimed(Word),
    /// Somebody else has started it, or it never will be.
    Gone,
}

/// What came of an attempt to cancel a task before its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "who cancels a pending task has to drop its closure"]
pub(crate) enum Cancel {
    /// It will never start, and its closure is ours to drop. The word as it was.
    NeverStarted(Word),
    /// It has started.
    Running,
    /// It had ended.
    Done(TaskStatus),
}

/// The lifecycle's view of a task's atomic word.
#[derive(Clone, Copy)]
pub(crate) struct State<'a>(&'a AtomicU32);

impl<'a> State<'a> {
    pub(crate) fn new(word: &'a AtomicU32) -> Self {
        State(word)
    }

    /// The word of a new task.
    pub(crate) fn pending(handle: bool) -> u32 {
        PENDING | if handle { HANDLE } else { 0 }
    }

    /// The word of a new task, if that is submitted under an event of the user's.
    pub(crate) fn under(word: u32) -> u32 {
        word | UNDER
    }

    /// The word of a new task that lies in a slab, with a handle.
    pub(crate) fn pending_in_slab() -> u32 {
        State::pending(true) | IN_SLAB
    }

    /// The word of a new task that has no pool, with a handle.
    pub(crate) fn taken() -> u32 {
        PENDING | TAKEN | HANDLE
    }

    /// The word of a task that was refused.
    pub(crate) fn refused() -> u32 {
        NEVER_STARTED | SET | CAUSED | HANDLE
    }

    /// Makes a task that nobody else knows of yet one that was refused.
    pub(crate) fn refuse(self) {
        // Relaxed: as above.
        let kept = self.0.load(Ordering::Relaxed) & IN_SLAB;
        self.0.store(kept | State::refused(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn load(self) -> Word {
        // Acquire: partner is the Release half of `finish` and `cancel`, so that who sees an end
        // sees what the task did, and its value.
        Word(self.0.load(Ordering::Acquire))
    }

    /// Pending → Running.
    #[inline]
    pub(crate) fn claim(self) -> Claim {
        // Relaxed: the exchange settles it.
        self.claim_expecting(self.0.load(Ordering::Relaxed))
    }

    /// As [`claim`](Self::claim), if the word is this one.
    #[inline]
    pub(crate) fn try_claim(self, word: u32) -> Result<Word, Word> {
        // Relaxed: the word says that nobody waits for the start, so there is no list to be seen; and who sees Running, through
        // an Acquire load, sees the lane busy by the fence in `Lane::enter`, which comes before, and so releases what
        // came before it through this exchange.
        self.0
            .compare_exchange(word, word | RUNNING, Ordering::Relaxed, Ordering::Relaxed)
            .map(Word)
            .map_err(Word)
    }

    /// As [`claim`](Self::claim), of a task whose word most likely is `word`: its line is fetched once,
    /// to be written to, and not once more before, to be looked at.
    #[inline]
    pub(crate) fn claim_expecting(self, mut word: u32) -> Claim {
        while word & (PHASE | TAKEN) == PENDING {
            // Acquire: partner is the Release half of `Node::listen`: if the word says that somebody waits
            // for the start, the list is visible. (The closure is, by the queue.) Release: who sees Running,
            // through an Acquire load, sees the claimer's lane busy.
            match self.0.compare_exchange_weak(
                word,
                word | RUNNING,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Claim::Claimed(Word(word)),
                Err(other) => word = other,
            }
        }
        Claim::Gone
    }

    /// Hands a pending task back. False: it is not pending.
    pub(crate) fn take(self) -> bool {
        // Acquire: who finds it running is not behind its claimer's lane.
        let mut word = self.0.load(Ordering::Acquire);
        while word & (PHASE | TAKEN) == PENDING {
            // Relaxed: who has the task has had it from who took it; and nothing else depends on the bit. On failure as above.
            match self.0.compare_exchange_weak(
                word,
                word | TAKEN,
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(other) => word = other,
            }
        }
        false
    }

    /// As [`claim`](Self::claim), of a task that was handed back to the caller.
    pub(crate) fn claim_taken(self) -> Claim {
        // Relaxed: the exchange settles it.
        let mut word = self.0.load(Ordering::Relaxed);
        while word & PHASE == PENDING {
            // Acquire: as in `claim_expecting`. Release: who sees Running sees what came before the run. (It is
            // counted already, in no lane.)
            match self.0.compare_exchange_weak(
                word,
                word | RUNNING,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Claim::Claimed(Word(word)),
                Err(other) => word = other,
            }
        }
        Claim::Gone
    }

    /// Pending → `NeverStarted`. Unless the word as it was has `CAUSED`, the caller writes the cause.
    pub(crate) fn cancel(self) -> Cancel {
        // Acquire: in the case of an end, as in `load`.
        let mut word = self.0.load(Ordering::Acquire);
        while word & PHASE == PENDING {
            // Release: who sees `SET` sees what came before. Acquire on failure: it may have ended. (On success
            // the word has the value that was loaded so: a list of those who wait is visible. If it was
            // written once more since, by another one who came to wait, it is the list's lock that shows that one.)
            match self.0.compare_exchange_weak(
                word,
                word | NEVER_STARTED | SET | CAUSED,
                Ordering::Release,
                Ordering::Acquire,
            ) {
                Ok(_) => return Cancel::NeverStarted(Word(word)),
                Err(other) => word = other,
            }
        }
        if word & PHASE == RUNNING {
            Cancel::Running
        } else {
            Cancel::Done(Word(word).status())
        }
    }

    /// Sets the stop bit of a task that runs. Unless the word as it was has `CAUSED`, the caller writes
    /// the cause. Or the status that the task has instead.
    pub(crate) fn ask(self) -> Result<Word, TaskStatus> {
        // Acquire: in the case of an end, as in `load`.
        let mut word = self.0.load(Ordering::Acquire);
        while word & PHASE == RUNNING {
            // As in `cancel`.
            match self.0.compare_exchange_weak(
                word,
                word | SET | CAUSED,
                Ordering::Release,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(Word(word)),
                Err(other) => word = other,
            }
        }
        Err(Word(word).status())
    }

    /// Running → an end. One read-modify-write. The word as it was, `HANDLE` above all.
    pub(crate) fn finish(self, end: End) -> Word {
        // Only the claimer leaves Running, so the difference can be added without a look. Release:
        // partner is the Acquire in `load` and in `drop_handle`; the value is whole. Acquire:
        // partner is the Release half of `drop_handle`, after which the value is ours to drop, and
        // of `Node::listen`, whose list we are about to read.
        Word(self.0.fetch_add(end.word() - RUNNING, Ordering::AcqRel))
    }

    /// As [`finish`](Self::finish), of a task to which the caller has the only reference.
    pub(crate) fn finish_alone(self, end: End) -> Word {
        // Relaxed: alone.
        let word = self.0.load(Ordering::Relaxed);
        self.0
            .store(word + (end.word() - RUNNING), Ordering::Relaxed);
        Word(word)
    }

    /// Notes that the task has seen its stop. Does nothing once its closure has ended.
    pub(crate) fn note_seen(self) {
        // Relaxed: the exchange settles it.
        let mut word = self.0.load(Ordering::Relaxed);
        while word & PHASE == RUNNING && word & SEEN == 0 {
            // Release: partner is the Acquire in `load`; the stamp of when it was seen came before.
            match self.0.compare_exchange_weak(
                word,
                word | SEEN,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(other) => word = other,
            }
        }
    }

    /// The handle of a task that has ended gives the outcome away. If the word as it was has `HANDLE`, it
    /// was the handle's.
    pub(crate) fn spend_handle(self) -> Word {
        // Acquire: as in `load`. Nobody else looks at the bit any more.
        Word(self.0.fetch_and(!HANDLE, Ordering::Acquire))
    }

    /// The handle is dropped. If the word as it was is done, the outcome is the caller's to drop,
    /// unless the handle has given it away; else the claimer's.
    pub(crate) fn drop_handle(self) -> Word {
        let word = self.load();
        if word.is_done() {
            // Nobody looks at the bit any more.
            return word;
        }
        // Acquire: partner is the Release half of `finish`: the value that we are to drop is whole.
        // Release: partner is the Acquire half of `finish`: the drop of a value that nobody wants sees what was done before
        // the handle was dropped.
        Word(self.0.fetch_and(!HANDLE, Ordering::AcqRel))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
