//! The cell of a task: one allocation for its stop node, its lifecycle, its closure and, after it,
//! its value.
//!
//! A [`TaskRef`] is one counted pointer to a cell whose types have been forgotten. What needs the
//! types (running the closure, moving the value out) goes through the cell's table of functions, in
//! `task/contents.rs`. A cell lies alone, as those of this file do, or in a slab, as those of
//! `task/slab.rs`.
#![allow(
    unsafe_code,
    reason = "a closure and then its value live in one place behind a thin pointer"
)]

use super::contents::{Contents, Table};
pub(crate) use super::contents::{Left, Payload};
use super::context;
use super::group;
use super::home::{Home, home_of};
use super::slab;
use super::stash;
use super::state::{State, WAITED, Word};
use crate::report::TaskId;
use crate::report::tick::Tick;
use crate::stop::StopEvent;
use crate::stop::node::{Kind, Node, NodeRef, Side, Solo};
use crate::stop::timer::Timer;
use crate::stop::wait::Registration;
use crate::sync::{Arc, Mutex, UnsafeCell};
use std::alloc::Layout;
use std::fmt;
use std::mem::{MaybeUninit, offset_of};
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

/// What all cells that lie alone begin with.
#[repr(C)]
struct Header {
    node: Solo,
    id: TaskId,
}

#[repr(C)]
struct Cell<F, T, X> {
    header: Header,
    contents: UnsafeCell<Contents<F, T>>,
    /// Behind what every worker and joiner touches, so that these touch few cache lines.
    side: Side,
    extra: X,
}

/// What most tasks do without, and so have no room for.
#[derive(Debug)]
pub(crate) struct Extra {
    pub(crate) name: Option<Arc<str>>,
    /// How long it may run.
    pub(crate) timeout: Option<Duration>,
    /// When it has to have begun.
    pub(crate) start_before: Option<Instant>,
    /// Where these were given.
    pub(crate) location: &'static Location<'static>,
    /// When it was submitted, if anybody wants to know.
    pub(crate) submitted: Option<Tick>,
    /// Listens for an event of the user's while the task is pending.
    pub(crate) watch: Mutex<Option<Registration>>,
}

impl Extra {
    #[track_caller]
    pub(crate) fn new() -> Self {
        Extra {
            name: None,
            timeout: None,
            start_before: None,
            location: Location::caller(),
            submitted: None,
            watch: Mutex::new(None),
        }
    }
}

/// Whether a cell has room for an [`Extra`].
pub(crate) trait Room: Send + Sync + 'static {
    /// Whether there may be something, or the task may be a member of a group.
    const ANY: bool;
    fn extra(&self) -> Option<&Extra>;
    fn submitted(&self) -> Option<Tick>;
}

/// What lies in the room of a cell that has one.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    extra: Option<&'a Extra>,
    submitted: Option<Tick>,
}

impl Room for () {
    const ANY: bool = false;
    fn extra(&self) -> Option<&Extra> {
        None
    }
    fn submitted(&self) -> Option<Tick> {
        None
    }
}

impl Room for Extra {
    const ANY: bool = true;
    fn extra(&self) -> Option<&Extra> {
        Some(self)
    }
    fn submitted(&self) -> Option<Tick> {
        self.submitted
    }
}

/// The task may be a member of a group, and it may be known when it was submitted.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) submitted: Option<Tick>,
}

impl Room for Noted {
    const ANY: bool = true;
    fn extra(&self) -> Option<&Extra> {
        None
    }
    fn submitted(&self) -> Option<Tick> {
        self.submitted
    }
}

/// Ties a table and a kind to their types, so that they can be borrowed for ever.
struct Of<F, T, X>(F, T, X);

impl<F, T, X> Of<F, T, X>
where
    F: FnOnce(&StopEvent) -> T,
    X: Room,
{
    const TABLE: &'static Table = &Table::of::<F, T>(
        offset_of!(Cell<F, T, X>, contents),
        if X::ANY { Some(find::<F, T, X>) } else { None },
    );
    const KIND: &'static Kind = &super::life::kind(
        free_cell::<F, T, X>,
        offset_of!(Cell<F, T, X>, side),
        Self::TABLE,
    );
}

/// # Safety
///
/// As [`Kind::free`] says; and the cell is a `Cell<F, T, X>`.
unsafe fn free_cell<F, T, X>(node: NonNull<Node>, _others: &mut Vec<NodeRef>) -> Option<NodeRef> {
    let mut place = node.cast::<Cell<F, T, X>>();
    // SAFETY: the cell was written by `TaskRef::new` with these types, and nobody else points to it any
    // more.
    let cell = unsafe { place.as_mut() };
    let parent = cell.header.node.take_parent();
    // What is not dropped: the contents, a union, since whoever ended the task or held its handle has
    // moved them out or dropped them; and a side that nobody has touched, and that is not touched here.
    if cell.header.node.has_side(WAITED) {
        // SAFETY: it is not used again.
        unsafe { ptr::drop_in_place(&raw mut cell.side) };
    }
    // SAFETY: as above.
    unsafe { ptr::drop_in_place(&raw mut cell.extra) };
    // SAFETY: `TaskRef::new` got the place for this layout from `allocate`, and it is not used again.
    unsafe { stash::give_back(parent, place.cast(), Layout::new::<Cell<F, T, X>>()) }
}

fn find<F, T, X: Room>(task: &TaskRef) -> Found<'_> {
    let cell = task.0.as_ptr().cast::<Cell<F, T, X>>().as_ptr();
    // SAFETY: this function is called through the task's own table alone, so the types are right; the
    // cell lives as long as `task` is borrowed, and its extra is only ever shared. (A borrow of the
    // whole cell would borrow what a closure or value of a scope borrows; this does not.)
    let room: &X = unsafe { &(*cell).extra };
    Found {
        extra: room.extra(),
        submitted: room.submitted(),
    }
}

/// What a new task is made of, besides its closure.
pub(crate) struct Birth<X> {
    /// The home, or a node under it.
    pub(crate) parent: NodeRef,
    pub(crate) id: TaskId,
    /// The first word of its lifecycle.
    pub(crate) word: u32,
    /// How many references it is born with.
    pub(crate) count: u32,
    pub(crate) extra: X,
}

/// One counted pointer to a task.
///
/// Invariant: its node is the first field of a cell that [`TaskRef::new`] made, or lies in a slab
/// that `task/slab.rs` made, and the pointer may be used for all of that.
#[repr(transparent)]
pub(crate) struct TaskRef(NodeRef);

impl TaskRef {
    /// A new task, and one of the references that it is born with; [`twin`](Self::twin) gives the
    /// others.
    ///
    /// # Safety
    ///
    /// The closure and the value are gone before anything that they borrow ends. (Trivially so when
    /// both are `'static`.)
    pub(crate) unsafe fn new<F, T, X>(birth: Birth<X>, closure: F) -> TaskRef
    where
        F: FnOnce(&StopEvent) -> T + Send,
        T: Send,
        X: Room,
    {
        let Birth {
            parent,
            id,
            word,
            count,
            extra,
        } = birth;
        let cell = Cell::<F, T, X> {
            header: Header {
                node: Solo::new(word, count, Of::<F, T, X>::KIND, Some(parent)),
                id,
            },
            contents: Contents::closure(closure),
            side: Side::new(),
            extra,
        };
        let place = stash::allocate(Layout::new::<Cell<F, T, X>>()).cast();
        // SAFETY: the place is for a value of this layout, and nobody else's.
        unsafe { place.write(cell) };
        let node = place.cast::<Node>();
        // SAFETY: the node is at the start of the header, which is at the start of the cell (both
        // are `repr(C)`), so the pointer is one to the node and valid for the whole cell. The cell
        // may be used and freed on any thread: closure, value and payload are `Send` and touched by
        // one thread at a time; the header is atomics and shared data; `X` is `Send` and `Sync`.
        // This reference takes one of the counts.
        TaskRef(unsafe { NodeRef::from_raw(node) })
    }

    /// One more of the references that the task was born with.
    ///
    /// # Safety
    ///
    /// The task was born with a count for each reference that is made by this, and one more.
    pub(crate) unsafe fn twin(&self) -> TaskRef {
        // SAFETY: the caller vouches for the count; the pointer is this reference's.
        TaskRef(unsafe { NodeRef::from_raw(self.0.as_ptr()) })
    }

    /// The task behind a node of a task's kind, which are the only kinds that call this.
    pub(super) fn behind(node: &NodeRef) -> TaskRef {
        TaskRef(node.clone())
    }

    /// The task at `node`, without a count of its own.
    ///
    /// # Safety
    ///
    /// The pointer is that of a living task's [`TaskRef`], and what this returns is not dropped.
    pub(super) unsafe fn lent(node: NonNull<Node>) -> TaskRef {
        // SAFETY: the pointer is a `NodeRef`'s, so it is valid for the whole cell; the count that it
        // would give up is not given up, as the caller vouches.
        TaskRef(unsafe { NodeRef::from_raw(node) })
    }

    /// The task whose node that is.
    ///
    /// # Safety
    ///
    /// The node is that of a task.
    pub(super) unsafe fn from_node(node: NodeRef) -> TaskRef {
        TaskRef(node)
    }

    pub(super) fn into_node(self) -> NodeRef {
        self.0
    }

    #[inline]
    pub(crate) fn node(&self) -> &NodeRef {
        &self.0
    }

    #[inline]
    pub(crate) fn state(&self) -> State<'_> {
        State::new(self.0.word())
    }

    #[inline]
    pub(crate) fn home(&self) -> &Home {
        home_of(&self.0)
    }

    /// What a cell that lies alone begins with.
    fn header(&self) -> &Header {
        // SAFETY: by the invariant of `TaskRef` a node that is in no slab is the first field of a
        // header, which lives as long as this reference and is only ever shared.
        unsafe { self.0.as_ptr().cast().as_ref() }
    }

    #[inline]
    fn table(&self) -> &'static Table {
        match slab::around(self) {
            Some(slab) => slab.table(),
            None => {
                let embedder = self.node().kind().embedder;
                debug_assert!(embedder.is::<Table>());
                let table = ptr::from_ref(embedder).cast::<Table>();
                // SAFETY: a task that lies alone was made by `TaskRef::new` with a kind that `life::kind` has
                // made, whose embedder is a `Table`.
                unsafe { &*table }
            }
        }
    }

    pub(crate) fn id(&self) -> TaskId {
        match slab::around(self) {
            Some(slab) => slab.id_of(self),
            None => self.header().id,
        }
    }

    pub(super) fn extra(&self) -> Option<&Extra> {
        self.table().find.and_then(|find| find(self).extra)
    }

    /// When it was submitted, if that is known.
    pub(crate) fn submitted(&self) -> Option<Tick> {
        match slab::around(self) {
            Some(slab) => slab.submitted(),
            None => self.table().find.and_then(|find| find(self).submitted),
        }
    }

    pub(crate) fn shared_name(&self) -> Option<&Arc<str>> {
        self.extra()?.name.as_ref()
    }

    /// Keeps a registration until the task begins or is doomed.
    pub(super) fn watch(&self, registration: Registration) {
        if let Some(extra) = self.extra() {
            *extra.watch.lock() = Some(registration);
        }
        // It may have been too late to be taken off.
        if self.state().load().has_begun() {
            self.stand_down();
        }
    }

    /// Sets the timers that a task has while it is pending.
    pub(crate) fn await_start(&self) {
        if let Some((at, location)) = self
            .extra()
            .and_then(|extra| extra.start_before.zip(Some(extra.location)))
        {
            // One that has passed is for the caller to see.
            if at > Instant::now() {
                self.0.set_timer(Timer::Start, at, location);
            }
        }
    }

    /// If the task is pending and should have begun before: where that was said.
    pub(crate) fn expired(&self) -> Option<&'static Location<'static>> {
        let extra = self.extra()?;
        let expired = extra.start_before? <= Instant::now() && !self.state().load().has_begun();
        expired.then_some(extra.location)
    }

    /// The task begins.
    #[inline]
    pub(super) fn begin(&self) {
        if self.table().find.is_some() {
            self.begin_with_extra();
        }
    }

    #[cold]
    fn begin_with_extra(&self) {
        self.give_up_start();
        if let Some((timeout, location)) = self
            .extra()
            .and_then(|extra| extra.timeout.zip(Some(extra.location)))
        {
            if let Some(at) = Instant::now().checked_add(timeout) {
                self.0.set_timer(Timer::Cancel, at, location);
            }
        }
    }

    /// The task needs no timers any more, and need not listen for its start to be given up.
    #[inline]
    pub(super) fn stand_down(&self) {
        if self.table().find.is_some() {
            self.stand_down_with_extra();
        }
    }

    /// Nothing is to keep the task from starting any more.
    fn give_up_start(&self) {
        let Some(extra) = self.extra() else {
            return;
        };
        if extra.start_before.is_some() {
            self.0.forget_timer(Timer::Start);
        }
        let watch = extra.watch.lock().take();
        drop(watch);
    }

    #[cold]
    fn stand_down_with_extra(&self) {
        let Some(extra) = self.extra() else {
            return;
        };
        if extra.timeout.is_some() {
            self.0.forget_timer(Timer::Cancel);
        }
        self.give_up_start();
    }

    /// Whether there may be more to the task than its closure.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.table().find.is_some()
    }

    /// Nothing that the task borrows will be touched any more.
    #[cold]
    pub(super) fn give_up(&self) {
        if self.has_room() {
            group::give_up(self);
        }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.shared_name().map(|name| &**name)
    }

    pub(crate) fn same(&self, other: &TaskRef) -> bool {
        self.0.same(&other.0)
    }

    /// Calls the closure. Whatever it does, this returns.
    ///
    /// # Safety
    ///
    /// The caller has claimed the task, and calls this once.
    #[inline]
    pub(super) unsafe fn call(&self) -> Left {
        let table = self.table();
        // SAFETY: the table is the cell's own; the rest is passed on from our caller.
        unsafe { (table.call)(self, table.offset()) }
    }

    /// Drops the closure, with a panic of its captures contained.
    ///
    /// # Safety
    ///
    /// The caller has cancelled the task while it was pending, and calls this once.
    pub(super) unsafe fn drop_closure(&self) {
        let table = self.table();
        if let Some(drop_closure) = table.drop_closure {
            context::contained(|| {
                // SAFETY: the table is the cell's own; the rest is passed on from our caller.
                unsafe { drop_closure(self, table.offset()) }
            });
        }
    }

    /// Whether the drop of the closure does anything.
    pub(super) fn owns_something(&self) -> bool {
        self.table().drop_closure.is_some()
    }

    /// Drops what the task left, with a panic contained. Tells the host of a panic that nobody
    /// will hear of otherwise.
    ///
    /// # Safety
    ///
    /// `word` is one of the task's after its end, the right to the outcome is the caller's, and it
    /// uses it once.
    pub(super) unsafe fn drop_outcome(&self, word: Word) {
        if word.has_value() {
            let table = self.table();
            if let Some(drop_value) = table.drop_value {
                context::contained(|| {
                    // SAFETY: the table is the cell's own, the task left a value, and the rest is
                    // passed on from our caller.
                    unsafe { drop_value(self, table.offset()) }
                });
            }
        } else if word.status() == crate::report::TaskStatus::Panicked {
            // SAFETY: the task left a payload; the right to it is our caller's.
            let payload = unsafe { self.take_payload() };
            // That of a member is re-raised by whoever waits for the group.
            if group::group_of(&self.0).is_none() {
                context::contained(|| {
                    let home = self.home();
                    home.host.unhandled_panic(self.id(), self.name(), &*payload);
                });
            }
            context::contained(|| drop(payload));
        }
    }

    /// Moves the value out.
    ///
    /// # Safety
    ///
    /// `T` is the type of the task's value, the task left a value, the right to the outcome is the
    /// caller's, and it uses it once.
    pub(super) unsafe fn take_value<T>(&self) -> T {
        let mut place = MaybeUninit::<T>::uninit();
        let pointer = NonNull::from(&mut place).cast::<()>();
        let table = self.table();
        // SAFETY: the table is the cell's own; the place is a `T`'s; the rest is passed on from our
        // caller.
        unsafe { (table.move_value)(self, table.offset(), pointer) };
        // SAFETY: it was written to by the line above.
        unsafe { place.assume_init() }
    }

    /// Moves the payload out.
    ///
    /// # Safety
    ///
    /// The task panicked, the right to the outcome is the caller's, and it uses it once.
    pub(super) unsafe fn take_payload(&self) -> Payload {
        let table = self.table();
        // SAFETY: the table is the cell's own; the rest is passed on from our caller.
        unsafe { (table.take_payload)(self, table.offset()) }
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        TaskRef(self.0.clone())
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("status", &self.state().load().status())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::stop::StopReason;
    use crate::task::life::{self, first_word};
    use crate::task::samples::{cause, home, slab, task, task_of};

    #[test]
    fn a_task_is_itself_alone() {
        let home = home();
        let (one, other, slab) = (task(&home), task(&home), slab(&home, 2));
        assert!(one.same(&one.clone()) && !one.same(&other));
        assert!(slab.lend(1).same(&slab.lend(1)) && !slab.lend(0).same(&slab.lend(1)));
    }

    #[test]
    fn most_tasks_are_nothing_but_their_closure() {
        let home = home();
        let word = first_word(true, false);
        assert!(!task(&home).has_room());
        assert!(!slab(&home, 1).lend(0).has_room());
        let extra = task_of(&home, home.node(), word, Extra::new(), |_| {});
        let noted = Noted { submitted: None };
        let noted = task_of(&home, home.node(), word, noted, |_| {});
        assert!(extra.has_room() && extra.extra().is_some());
        assert!(noted.has_room() && noted.extra().is_none());
    }

    #[test]
    fn a_closure_owns_something_if_its_drop_does() {
        let home = home();
        let (number, text) = (7_u64, String::from("seven"));
        let word = first_word(true, false);
        let plain = move |_: &StopEvent| assert_eq!(number, 7);
        assert!(!task_of(&home, home.node(), word, (), plain).owns_something());
        let owner = move |_: &StopEvent| assert_eq!(text, "seven");
        let owner = task_of(&home, home.node(), word, (), owner);
        assert!(owner.owns_something());
        assert_eq!(life::doom(&owner, &cause(StopReason::Requested)), Ok(true));
    }
}
