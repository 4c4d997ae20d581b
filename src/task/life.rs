//! What happens to a task: it runs, or it is stopped before it could. Every end is counted in the
//! ledger and told to those who wait, once.
//!
//! # Order of events at an end
//!
//! First the ledger counts it, then the word changes in one atomic step, then listeners are told, and
//! last what nobody will fetch is dropped. (For a task that never started the first two are one hold
//! of the book's lock, and what is dropped is the closure.) No foreign code runs under a lock.
#![allow(
    unsafe_code,
    reason = "rights to a cell's contents are passed on from the transitions that give them"
)]

use super::cell::{Left, TaskRef};
use super::contents::Table;
use super::group::{GroupRef, group_of};
use super::home::Home;
use super::slab::Lent;
use super::slot::Slot;
use super::state::{Cancel, Claim, End, State, WAITED, Word};
use super::trace;
use crate::report::TaskStatus;
use crate::report::latency::Latency;
use crate::report::ledger::{Entry, Lane, Times};
use crate::report::tick::Tick;
use crate::stop::clock::Stamp;
use crate::stop::listeners::{Listen, Topic};
use crate::stop::node::{Kind, LISTENED, Node, NodeRef, SET};
use crate::stop::timer::{Timer, on_timer_thread};
use crate::stop::wait::Registration;
use crate::stop::{StopCause, StopEvent, StopReason};
use crate::sync::{Arc, Mutex};
use std::borrow::Borrow;
use std::ptr::NonNull;

/// The right to run a task, and the duty.
#[must_use = "a claimed task has to be run"]
pub(crate) struct Claimed<R = TaskRef> {
    task: R,
    before: Word,
}

/// Claims a pending task. The caller's lane is busy.
pub(crate) fn claim(task: TaskRef) -> Result<Claimed, TaskRef> {
    let claim = task.state().claim();
    claimed(task, claim)
}

/// As [`claim`], of a task that most likely nobody has touched since it was made, and whose word is
/// therefore known without a look.
#[inline]
pub(crate) fn claim_fresh(task: TaskRef, has_handle: bool) -> Result<Claimed, TaskRef> {
    match task.state().try_claim(State::pending(has_handle)) {
        Ok(before) => Ok(Claimed { task, before }),
        // Looked at meanwhile; or there is a time before which it has to begin, or an event.
        Err(_) if calls_off(&task).is_some() => Err(task),
        Err(_) => claim(task),
    }
}

/// Claims a task that was handed back to the caller.
pub(crate) fn claim_taken(task: TaskRef) -> Result<Claimed, TaskRef> {
    let claim = task.state().claim_taken();
    claimed(task, claim)
}

/// Runs a task that was handed back or has no pool, to its end, unless it has begun or is stopped. Says how it
/// stands then.
pub(crate) fn run_taken(task: &TaskRef) -> TaskStatus {
    let cause = match task.expired() {
        Some(location) => Some(StopCause::at(StopReason::Deadline, location)),
        None => task.node().cause(),
    };
    if let Some(cause) = cause {
        // It may have begun.
        let _ = doom(task, &cause);
    } else if let Ok(claimed) = claim_taken(task.clone()) {
        // Nobody counts it, and nobody looks.
        claimed.run(&Lane::new(), &Slot::new(false));
    }
    task.state().load().status()
}

/// As [`claim_fresh`], of a task that lies in a slab.
#[inline]
pub(crate) fn claim_lent(task: Lent<'_>) -> Result<Claimed<Lent<'_>>, Lent<'_>> {
    let claim = task.state().claim_expecting(State::pending_in_slab());
    claimed(task, claim)
}

/// Lets a new task, which has room for an [`Extra`](super::cell::Extra), be doomed by what it must not
/// wait for: a time, or an event of the user's.
pub(crate) fn await_start(task: &TaskRef, under: Option<&StopEvent>) {
    task.await_start();
    bury_husk(task);
    if let Some(event) = under.and_then(StopEvent::node) {
        Watch::keep(task, event);
    }
}

/// Dooms a task that is not in the queue, where a member of a group that has been stopped never comes.
pub(crate) fn doom_unqueued(task: &TaskRef, cause: &StopCause) {
    // Nobody else knows of it but its handle.
    if doom(task, cause).is_ok() {
        task.home().ledger.book().uncount_husks(1);
    }
}

/// What to do with a task that could not be claimed: if it is pending, then because it must not begin any
/// more.
pub(crate) fn bury_husk(task: &TaskRef) {
    if let Some(cause) = calls_off(task) {
        // Somebody else may have been faster.
        let _ = doom(task, &cause);
    }
}

/// Why a pending task must not begin any more, though nobody has doomed it yet: its time to begin has
/// passed; or an event of the user's that it is under is set, and who sets it is about to come to it.
/// So what has run before on this worker, and has seen that event set, is not followed by this one. (Between this look and
/// the claim the event may be set: who sees it set then may yet see the task begin.)
pub(crate) fn calls_off(task: &TaskRef) -> Option<StopCause> {
    if let Some(location) = task.expired() {
        return Some(StopCause::at(StopReason::Deadline, location));
    }
    let word = task.state().load();
    if word.is_under() && !word.has_begun() {
        return task.node().cause();
    }
    None
}

fn claimed<R>(task: R, claim: Claim) -> Result<Claimed<R>, R> {
    match claim {
        Claim::Claimed(before) => Ok(Claimed { task, before }),
        Claim::Gone => Err(task),
    }
}

impl<R: Borrow<TaskRef>> Claimed<R> {
    /// Runs the task, on a worker that counts in `lane` and shows what it runs in `slot`. Whatever
    /// the closure and the drops do, this returns.
    pub(crate) fn run(self, lane: &Lane, slot: &Slot) {
        let started = slot.start();
        self.tell_of_start();
        let task = self.task.borrow();
        trace::running(task, || {
            // SAFETY: this is the one use of the claim, which `self` was.
            let left = slot.showing(task, || unsafe { task.call() });
            end(task, left, lane, started);
        });
    }

    /// As [`run`](Self::run), for a worker that shows the task already.
    pub(crate) fn run_shown(self, lane: &Lane, slot: &Slot) {
        let started = slot.start();
        self.tell_of_start();
        let task = self.task.borrow();
        trace::running(task, || {
            // SAFETY: this is the one use of the claim, which `self` was.
            let left = unsafe { task.call() };
            end(task, left, lane, started);
        });
    }

    fn tell_of_start(&self) {
        self.task.borrow().begin();
        if self.before.is_waited() {
            self.task.borrow().node().tell(&[Topic::Started]);
        }
    }
}

/// Ends a task whose closure has.
#[inline]
fn end(task: &TaskRef, left: Left, lane: &Lane, started: Option<Tick>) {
    // As it is for most tasks, there is nothing more to them.
    let has_room = task.has_room();
    if has_room {
        task.stand_down();
    }
    // What is seen from here on does not count.
    let word = task.state().load();
    let seen = word.seen();
    let end = match left {
        Left::Value => End::Returned { seen },
        Left::Nothing => End::Unwound,
        Left::Payload(_) => End::Panicked,
    };
    let message = match left {
        Left::Payload(message) => message,
        _ => None,
    };
    let asked = task.node().reads_set();
    if !word.is_taken() {
        if end == (End::Returned { seen: false }) && !asked && started.is_none() {
            lane.complete();
        } else {
            count(task, lane, end, asked, message, started);
        }
    }
    let before = if task.node().is_only() {
        task.state().finish_alone(end)
    } else {
        task.state().finish(end)
    };
    let was_asked = before.bits() & SET != 0 && !asked;
    if end == (End::Returned { seen: false }) && was_asked && !word.is_taken() {
        // It was asked between the count and the end.
        let latency = times_of(task, true, None).latency;
        task.home().ledger.book().completed_late(latency);
    }
    if before.is_waited() {
        task.node().tell(&[Topic::Started, Topic::Done]);
    }
    trace::ended(task, end.status());
    if !before.has_handle() {
        let word = task.state().load();
        // SAFETY: the task has ended and had no handle when it did, so the outcome is the claimer's,
        // and this is its one use.
        unsafe { task.drop_outcome(word) };
    }
    if has_room {
        task.give_up();
    }
}

/// Counts a task that ends, with all that is to be known of it.
#[cold]
fn count(
    task: &TaskRef,
    lane: &Lane,
    end: End,
    asked: bool,
    message: Option<Arc<str>>,
    started: Option<Tick>,
) {
    let times = times_of(task, asked, started);
    if let Some(started) = started {
        lane.keep_times(times);
        record(task, end.status(), Some((lane, started)));
    }
    let book = || {
        let mut book = task.home().ledger.book();
        book.note_latency(times.latency);
        book
    };
    match end {
        End::Returned { seen: false } => {
            if asked {
                book().completed_late(None);
            }
            lane.complete();
        }
        End::Returned { seen: true } | End::Unwound => {
            book().cancelled(task.id(), || entry(task, times));
        }
        End::Panicked => {
            let entry = || Entry {
                message,
                ..entry(task, times)
            };
            book().panicked(task.id(), entry);
        }
    }
}

fn entry(task: &TaskRef, times: Times) -> Entry {
    Entry {
        id: task.id(),
        name: task.shared_name().cloned(),
        cause: task.node().cause(),
        message: None,
        times,
    }
}

/// How long things took with a task that ends now.
fn times_of(task: &TaskRef, asked: bool, started: Option<Tick>) -> Times {
    let latency = || {
        let now = Stamp::now();
        let cause = task.node().cause()?;
        let asked = Stamp::of(cause.at);
        Some(Latency {
            seen: task.node().seen_at().map(|seen| seen.since(asked)),
            ended: now.since(asked),
        })
    };
    Times {
        ran: started.map(|started| Tick::now().since(started)),
        waited: started.and_then(|started| Some(started.since(task.submitted()?))),
        latency: if asked { latency() } else { None },
    }
}

/// Records, for a picture, a task that ends, or will never begin.
#[cfg(feature = "timeline")]
fn record(task: &TaskRef, status: TaskStatus, run: Option<(&Lane, Tick)>) {
    let home = task.home();
    home.host.record(home, task, status, run);
}

#[cfg(not(feature = "timeline"))]
fn record(_task: &TaskRef, _status: TaskStatus, _run: Option<(&Lane, Tick)>) {}

/// The entry of a task that will never start.
fn entry_of_doomed(task: &TaskRef) -> Entry {
    let waited = || {
        let submitted = task.submitted()?;
        Some(Tick::now().since(submitted))
    };
    let times = Times {
        waited: waited(),
        ..Times::default()
    };
    entry(task, times)
}

/// What came of asking a task to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It was pending and will never run. What it had captured has been dropped.
    NeverStarted,
    /// It is running, and its stop event is set.
    Requested,
    /// It had ended already, like this. Nothing was changed.
    AlreadyDone(TaskStatus),
}

/// The kind of a task's node that is freed by `free`, and, if it stands alone, has its side so many
/// bytes behind it.
pub(super) const fn kind(
    free: unsafe fn(NonNull<Node>, &mut Vec<NodeRef>) -> Option<NodeRef>,
    side: usize,
    table: &'static Table,
) -> Kind {
    Kind {
        free,
        raise,
        saw,
        reason: StopReason::Requested,
        others: Kind::NO_OTHERS,
        polled: Kind::NOT_COUNTED,
        expire,
        side,
        embedder: table,
    }
}

/// Notes that a task has seen its stop, and when.
fn saw(node: &NodeRef) {
    let state = State::new(node.word());
    if state.load().is_unseen() {
        node.stamp_seen();
        state.note_seen();
        trace::seen(&TaskRef::behind(node));
    }
}

/// Sets the event of a task, whatever state it is in. True for the one call that did.
fn raise(node: &NodeRef, cause: &StopCause) -> bool {
    if node.reads_set() {
        return false;
    }
    match doom(&TaskRef::behind(node), cause) {
        Ok(won) => won,
        // It has begun, or ended.
        Err(_) => node.raise(cause),
    }
}

/// A time has come: in which the task was to begin, or to end.
fn expire(node: &NodeRef, timer: Timer, cause: &StopCause) {
    let task = TaskRef::behind(node);
    if timer == Timer::Start {
        // Begun or ended: nothing is to be done.
        let _ = doom(&task, cause);
    } else {
        cancel(&task, cause);
    }
}

/// Asks a task to stop.
pub(crate) fn cancel(task: &TaskRef, cause: &StopCause) -> CancelOutcome {
    match doom(task, cause) {
        Ok(_) => CancelOutcome::NeverStarted,
        Err(TaskStatus::Running) => ask(task, cause),
        Err(done) => CancelOutcome::AlreadyDone(done),
    }
}

/// Asks a task that has begun. It answers `Requested` only if the task's event was set while it ran,
/// and then the task will be counted as asked.
fn ask(task: &TaskRef, cause: &StopCause) -> CancelOutcome {
    // In this order: if it runs after it has been seen set, it was set while it ran.
    if task.node().reads_set() && task.state().load().status() == TaskStatus::Running {
        return CancelOutcome::Requested;
    }
    match task.state().ask() {
        Ok(before) => {
            write_cause(task, before, cause);
            task.node().tell_stop(before.bits());
            trace::asked(task, cause);
            CancelOutcome::Requested
        }
        Err(done) => CancelOutcome::AlreadyDone(done),
    }
}

/// Pending → `NeverStarted`, and all that this entails; says whether the cause is ours. Or the status
/// that the task has instead.
pub(crate) fn doom(task: &TaskRef, cause: &StopCause) -> Result<bool, TaskStatus> {
    let doomed = doom_alone(task, cause)?;
    let won = !doomed.before.has_cause();
    doomed.bury();
    Ok(won)
}

/// As [`doom`], but leaves the drop of the closure to the caller.
fn doom_alone<'a>(task: &'a TaskRef, cause: &StopCause) -> Result<Doomed<&'a TaskRef>, TaskStatus> {
    let word = task.state().load();
    if word.has_begun() {
        return Err(word.status());
    }
    let home = task.home();
    let is_left = on_timer_thread();
    if is_left {
        home.host.hold();
    }
    let doomed = doom_now(task, home, cause, word.is_taken());
    if is_left && doomed.is_err() {
        home.host.let_be();
    }
    doomed
}

fn doom_now<'a>(
    task: &'a TaskRef,
    home: &Home,
    cause: &StopCause,
    is_taken: bool,
) -> Result<Doomed<&'a TaskRef>, TaskStatus> {
    let (before, husks) = {
        // One that was handed back stays so, and is not the ledger's.
        let mut book = (!is_taken).then(|| home.ledger.book());
        let before = match task.state().cancel() {
            Cancel::NeverStarted(before) => before,
            Cancel::Running => return Err(TaskStatus::Running),
            Cancel::Done(status) => return Err(status),
        };
        write_cause(task, before, cause);
        // One that was handed back is neither counted nor in the queue.
        let husks = book.as_mut().filter(|_| !before.is_taken()).map(|book| {
            book.never_started(task.id(), || entry_of_doomed(task));
            book.count_husk()
        });
        (before, husks)
    };
    tell(task, before);
    trace::ended(task, TaskStatus::NeverStarted);
    if let Some(husks) = husks {
        record(task, TaskStatus::NeverStarted, None);
        // Its room is given back before its captures are dropped, which may want some.
        home.host.left_queue(home, husks);
    }
    Ok(Doomed { task, before })
}

/// Writes the cause of a task that has just been cancelled, unless it has one.
fn write_cause(task: &TaskRef, before: Word, cause: &StopCause) {
    if !before.has_cause() {
        // SAFETY: the transition that replaced `before` set `CAUSED`, and its one caller is here.
        unsafe { task.node().write_cause(cause) };
    }
}

/// Wakes everyone who waits for a task that will never start, or for its event.
fn tell(task: &TaskRef, before: Word) {
    if is_listened(before) {
        Telling(task.clone()).tell();
    }
}

fn is_listened(before: Word) -> bool {
    before.is_waited() || before.bits() & LISTENED != 0
}

/// Dooms those of the tasks of one home that are still pending. Says how many they were, and gives
/// those that have somebody to be told, or a closure to be dropped; and the others are added to `others`.
pub(crate) fn doom_all(
    home: &Home,
    tasks: Vec<TaskRef>,
    cause: &StopCause,
    others: &mut Vec<TaskRef>,
) -> (usize, Vec<Doomed>) {
    let mut count = 0;
    let mut doomed = Vec::new();
    // Some at a time: what is done to a task first and last is then done while it is in the cache.
    let mut some: Vec<(TaskRef, Word)> = Vec::with_capacity(AT_A_TIME);
    let mut tasks = tasks.into_iter();
    loop {
        {
            let mut book = home.ledger.book();
            let mut any = false;
            for task in tasks.by_ref().take(AT_A_TIME) {
                any = true;
                if task.state().load().is_taken() {
                    // In a run that a worker shows still: not this pool's any more.
                    others.push(task);
                } else if let Cancel::NeverStarted(before) = task.state().cancel() {
                    write_cause(&task, before, cause);
                    book.never_started(task.id(), || entry_of_doomed(&task));
                    count += 1;
                    some.push((task, before));
                } else {
                    others.push(task);
                }
            }
            if !any {
                return (count, doomed);
            }
        }
        // Nobody listens to those that are dropped here, so it runs no foreign code, though the pool may hold a
        // lock.
        for (task, before) in some.drain(..) {
            record(&task, TaskStatus::NeverStarted, None);
            doomed.extend(Doomed { task, before }.with_duties());
        }
    }
}

/// Hands back those of the tasks of one home that are still pending; the others are added to `others`.
pub(crate) fn take_all(
    home: &Home,
    tasks: Vec<TaskRef>,
    others: &mut Vec<TaskRef>,
) -> Vec<TaskRef> {
    let mut taken = Vec::with_capacity(tasks.len());
    let mut tasks = tasks.into_iter();
    while tasks.len() > 0 {
        let mut book = home.ledger.book();
        for task in tasks.by_ref().take(AT_A_TIME) {
            if task.state().take() {
                book.taken(task.id());
                taken.push(task);
            } else {
                others.push(task);
            }
        }
    }
    taken
}

/// How many tasks are doomed in one hold of the book's lock.
const AT_A_TIME: usize = 64;

/// Dooms a task when an event is set that the task was submitted under.
pub(crate) struct Watch {
    task: TaskRef,
    event: NodeRef,
    /// What is to be dropped when everyone who listens for the event has been told.
    doomed: Mutex<Option<Doomed>>,
}

impl Watch {
    /// Registers the task, which has an [`Extra`](super::cell::Extra) to keep the registration in and
    /// is pending. If the event is set, the task is doomed now.
    pub(crate) fn keep(task: &TaskRef, event: &NodeRef) {
        let watch = Arc::new(Watch {
            task: task.clone(),
            event: event.clone(),
            doomed: Mutex::new(None),
        });
        let listener: Arc<dyn Listen> = Arc::<Watch>::clone(&watch);
        match Registration::on_chain(event, &listener) {
            Some(registration) => task.watch(registration),
            None => {
                watch.notify();
                watch.afterwards();
            }
        }
    }
}

impl Listen for Watch {
    fn notify(&self) {
        // An event that was set has its cause.
        if let Some(cause) = self.event.cause() {
            if let Ok(doomed) = doom_alone(&self.task, &cause) {
                *self.doomed.lock() = Some(doomed.to_owned());
            }
        }
    }

    fn afterwards(&self) {
        let doomed = self.doomed.lock().take();
        if let Some(doomed) = doomed {
            let Doomed { task, before } = &doomed;
            Doomed {
                task,
                before: *before,
            }
            .bury();
        }
    }
}

/// The duty to tell of, and to drop the closure of, a task that will never start.
#[must_use = "a task that will never start has to be buried"]
pub(crate) struct Doomed<R = TaskRef> {
    task: R,
    before: Word,
}

impl Doomed<&TaskRef> {
    fn to_owned(&self) -> Doomed {
        Doomed {
            task: self.task.clone(),
            before: self.before,
        }
    }

    /// Drops the closure, or leaves that to the pool if this thread is not to run such code.
    fn bury(self) {
        if on_timer_thread() {
            let home = self.task.home();
            home.host.leave(home, self.to_owned());
        } else {
            self.drop_closure();
        }
    }
}

impl Doomed {
    /// A task that was born refused.
    pub(crate) fn refused(task: TaskRef, cause: &StopCause) -> Doomed {
        let before = task.state().load();
        // SAFETY: the task was born with `CAUSED`, and its maker calls this once.
        unsafe { task.node().write_cause(cause) };
        Doomed { task, before }
    }

    /// Whether the drop of the closure runs any code.
    pub(super) fn owns_something(&self) -> bool {
        self.task.owns_something()
    }

    /// Itself, if there is somebody to tell or a closure whose drop does something.
    fn with_duties(self) -> Option<Doomed> {
        let has = is_listened(self.before) || self.task.owns_something();
        (has || self.task.has_room()).then_some(self)
    }

    /// The duty to tell alone, if there is somebody to tell.
    pub(crate) fn listened(&self) -> Option<Telling> {
        is_listened(self.before).then(|| Telling(self.task.clone()))
    }

    /// Wakes everyone who waits for the task or its event.
    pub(crate) fn tell(&self) {
        tell(&self.task, self.before);
    }
}

impl<R: Borrow<TaskRef>> Doomed<R> {
    /// Drops the closure and all that it captured.
    pub(crate) fn drop_closure(self) {
        let task = self.task.borrow();
        task.stand_down();
        // SAFETY: this is the one use of the right that came with the transition to `NeverStarted`
        // (or with the birth in that state), which `self` was.
        unsafe { task.drop_closure() };
        task.give_up();
    }
}

/// Those that belong to scopes, and the others.
pub(crate) fn part_scoped(doomed: Vec<Doomed>) -> (Vec<Doomed>, Vec<Doomed>) {
    let is_scoped = |each: &Doomed| group_of(each.task.node()).is_some_and(|it| it.is_scope());
    doomed.into_iter().partition(is_scoped)
}

/// Gives closures that belong to scopes to whoever closes these.
pub(crate) fn leave_to_scopes(scoped: Vec<Doomed>) {
    for each in scoped {
        if let Some(scope) = group_of(each.task.node()).cloned() {
            scope.leave(each);
        }
    }
}

/// The groups to which some of these belong.
pub(crate) fn groups_of(doomed: &[Doomed]) -> Vec<GroupRef> {
    let mut groups: Vec<GroupRef> = Vec::new();
    for group in doomed.iter().filter_map(|each| group_of(each.task.node())) {
        if !groups.iter().any(|known| known.same(group)) {
            groups.push(group.clone());
        }
    }
    groups
}

/// Drops these closures, or leaves that to the pool if this thread is not to run such code.
pub(super) fn bury_all(doomed: Vec<Doomed>) {
    for each in doomed {
        if on_timer_thread() {
            let task = each.task.clone();
            let home = task.home();
            home.host.leave(home, each);
        } else {
            each.drop_closure();
        }
    }
}

/// As [`doom`], but leaves the drop of the closure to the caller. `None`: it has begun, or ended.
pub(super) fn doom_later(task: &TaskRef, cause: &StopCause) -> Option<Doomed> {
    let doomed = doom_alone(task, cause).ok()?;
    Some(doomed.to_owned())
}

/// The duty to tell those who wait for a task that will never start.
#[must_use = "those who wait have to be told"]
pub(crate) struct Telling(TaskRef);

impl Telling {
    pub(crate) fn tell(self) {
        let topics = [Topic::Stop, Topic::Started, Topic::Done];
        self.0.node().tell(&topics);
    }
}

/// Listens for the start or the end of a task. As [`NodeRef::listen`].
pub(crate) fn listen(
    task: &TaskRef,
    topic: Topic,
    listener: Arc<dyn Listen>,
) -> Option<crate::stop::listeners::Key> {
    let happened = |bits| has_happened(Word::from_bits(bits), topic);
    task.node().listen(topic, WAITED, happened, listener)
}

/// Whether what a topic is about has happened.
pub(crate) fn has_happened(word: Word, topic: Topic) -> bool {
    match topic {
        Topic::Started => word.has_begun(),
        Topic::Done => word.is_done(),
        Topic::Stop => unreachable!("the stop is the node's own topic"),
    }
}

/// The lifecycle word of a task that was accepted, or refused.
pub(crate) fn first_word(accepted: bool, handle: bool) -> u32 {
    if accepted {
        State::pending(handle)
    } else {
        State::refused()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
