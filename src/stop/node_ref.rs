//! A counted pointer to a node, and the way to what lies around it.
#![allow(
    unsafe_code,
    reason = "counted pointers to allocations of different types"
)]

use super::cause::{StopCause, StopReason};
use super::clock::Stamp;
use super::listeners::{Key, Listen, Listeners, Topic};
use super::node::{
    Apart, CAUSED, Head, IN_SLAB, Kind, LISTENED, Member, NESTED, Node, SET, SPECIAL, STEP, Side,
    Solo, TIMED,
};
use super::timer::{self, Timer};
use super::wait::Place;
use crate::sync::{Arc, AtomicU32, Ordering, Tries};
use std::collections::BTreeSet;
use std::fmt;
use std::iter;
use std::mem::{ManuallyDrop, offset_of};
use std::ops::Deref;
use std::panic::Location;
use std::process;
use std::ptr::{self, NonNull};
use std::task::Context;
use std::time::Instant;

/// With more references to a node than this the process ends.
const MOST_REFERENCES: u32 = u32::MAX / 2;

/// A node of its own.
static PLAIN: Kind = Kind {
    free: free_plain,
    raise: |node, cause| node.raise(cause),
    saw: |_| {},
    reason: StopReason::Requested,
    others: Kind::NO_OTHERS,
    polled: Kind::NOT_COUNTED,
    expire: Kind::NEVER_EXPIRES,
    side: offset_of!(Plain, side),
    embedder: Kind::NO_EMBEDDER,
};

/// A node that stands alone.
#[repr(C)]
struct Plain {
    node: Solo,
    side: Side,
}

/// # Safety
///
/// As [`Kind::free`] says; the node was made by [`NodeRef::plain`].
unsafe fn free_plain(node: NonNull<Node>, _others: &mut Vec<NodeRef>) -> Option<NodeRef> {
    // SAFETY: a plain node came from a `Box<Plain>` in `NodeRef::plain`, and the caller vouches
    // that nobody else points to it any more.
    let mut plain = unsafe { Box::from_raw(node.cast::<Plain>().as_ptr()) };
    plain.node.take_parent()
}

/// One counted pointer to a node.
///
/// Invariant 6: it owns one of the node's counts (of its slab's, if it is in one), and the pointer may
/// be used for the whole allocation that the node is in. The node is at the start of a `Solo`, with a
/// `Side` where its kind says, or, if it has `IN_SLAB`, of a `Member` that lies as far behind a `Head`
/// as the node says.
pub(crate) struct NodeRef(NonNull<Node>);

// SAFETY: a node and what is around it are `Sync` (atomics, a `CauseCell`, `OnceArc`s of `Send + Sync`
// values, a `NodeRef`), and what embeds them vouches for the rest in `NodeRef::from_raw`. The last
// count may be given up on any thread, which `from_raw` demands too.
unsafe impl Send for NodeRef {}
// SAFETY: as above.
unsafe impl Sync for NodeRef {}

impl NodeRef {
    /// A new node that stands alone, under `parent` if there is one.
    pub(crate) fn plain(parent: Option<NodeRef>) -> NodeRef {
        let node = Box::new(Plain {
            node: Solo::new(0, 1, &PLAIN, parent),
            side: Side::new(),
        });
        // SAFETY: the pointer is that of a whole `Box<Plain>`, which `PLAIN.free` gives back; the one
        // count that the node was born with is this reference's; a `Plain` is `Send` and `Sync`.
        unsafe { NodeRef::from_raw(NonNull::from(Box::leak(node)).cast()) }
    }

    /// Takes over one count of the node.
    ///
    /// # Safety
    ///
    /// The caller owns that count and gives it up. The pointer is valid for the whole allocation
    /// that the node's kind frees, and that allocation may be used and freed from any thread. What
    /// invariant 6 says of the node's surroundings holds.
    pub(crate) unsafe fn from_raw(node: NonNull<Node>) -> NodeRef {
        NodeRef(node)
    }

    /// A reference to a node that may be about to be freed, unless it is.
    ///
    /// # Safety
    ///
    /// The node, with all that is around it, has not been freed, and is not before this returns. The
    /// pointer is as in [`from_raw`](Self::from_raw).
    #[cfg(not(loom))]
    pub(super) unsafe fn revive(node: NonNull<Node>) -> Option<NodeRef> {
        // SAFETY: as the caller vouches it may be looked at; the count that it does not own is not
        // given up.
        let lent = ManuallyDrop::new(unsafe { NodeRef::from_raw(node) });
        let references = lent.references();
        // Relaxed: the exchange settles it.
        let mut count = references.load(Ordering::Relaxed);
        while count > 0 {
            // Relaxed: as in `clone`.
            match references.compare_exchange_weak(
                count,
                count + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(ManuallyDrop::into_inner(lent)),
                Err(other) => count = other,
            }
        }
        None
    }

    /// Gives up this reference, but not its count, which the caller now owns.
    pub(crate) fn into_raw(self) -> NonNull<Node> {
        ManuallyDrop::new(self).0
    }

    pub(crate) fn as_ptr(&self) -> NonNull<Node> {
        self.0
    }

    /// The head of the slab that the node is in, if it is in one.
    #[inline]
    pub(crate) fn head(&self) -> Option<NonNull<Head>> {
        // Relaxed: the bit and the distance were written before the node was shared, and stay.
        if self.word().load(Ordering::Relaxed) & IN_SLAB == 0 {
            return None;
        }
        let steps = self.count.load(Ordering::Relaxed) as usize;
        // SAFETY: by invariant 6 the head lies so far before the node, in the same allocation.
        Some(unsafe { self.0.byte_sub(steps * STEP) }.cast())
    }

    #[inline]
    fn head_ref(&self) -> Option<&Head> {
        // SAFETY: by invariant 6 there is a head, which lives as long as this reference, and is only
        // ever shared.
        self.head().map(|head| unsafe { head.as_ref() })
    }

    fn solo(&self) -> &Solo {
        debug_assert!(self.head().is_none(), "a node in a slab");
        // SAFETY: by invariant 6 a node that is in no slab is at the start of a `Solo`, which lives as
        // long as this reference, and is only ever shared.
        unsafe { self.0.cast().as_ref() }
    }

    fn solo_side(&self) -> &Side {
        let side = self.solo().kind.side;
        // SAFETY: by invariant 6 a node that is in no slab has its `Side` there, in the same allocation.
        let side = unsafe { self.0.byte_add(side) };
        // SAFETY: as above; it lives as long as this reference, and is only ever shared.
        unsafe { side.cast().as_ref() }
    }

    fn member(&self) -> &Member {
        debug_assert!(self.head().is_some(), "a node in no slab");
        // SAFETY: by invariant 6 a node in a slab is at the start of a `Member`; the rest as above.
        unsafe { self.0.cast().as_ref() }
    }

    /// Where the node's references are counted.
    #[inline]
    fn references(&self) -> &AtomicU32 {
        match self.head_ref() {
            Some(head) => &head.count,
            None => &self.count,
        }
    }

    /// Counts so many more references, which the caller must hand out.
    #[inline]
    fn add_references(&self, more: u32) {
        // Relaxed: a new count is made from a live one, as in `Arc`.
        let before = self.references().fetch_add(more, Ordering::Relaxed);
        if before > MOST_REFERENCES {
            // As `Arc` does: so many are a leak, and a count that wraps round would be unsound.
            process::abort();
        }
    }

    #[inline]
    pub(crate) fn kind(&self) -> &'static Kind {
        match self.head_ref() {
            Some(head) => head.kind,
            None => self.solo().kind,
        }
    }

    fn side(&self) -> Option<&Side> {
        match self.head() {
            Some(_) => Some(&self.member().apart.get()?.side),
            None => Some(self.solo_side()),
        }
    }

    fn side_or_new(&self) -> &Side {
        match self.head() {
            Some(_) => &self.apart_or_new().side,
            None => self.solo_side(),
        }
    }

    fn apart_or_new(&self) -> &Apart {
        let apart = &self.member().apart;
        apart.get_or_init(|| Arc::new(Apart::new()))
    }

    fn listeners(&self) -> Option<&Listeners> {
        self.side()?.listeners.get()
    }

    /// Whether this is the only reference. It then stays so for as long as it is neither cloned nor
    /// shown in a slot (`task/slot.rs`), since new references are made from old ones, or from what is
    /// shown. Cheaper than an atomic subtraction. Never so for a node in a slab: its distance from
    /// the head, which is there in place of the count, is more than one step.
    #[inline]
    pub(crate) fn is_only(&self) -> bool {
        // Acquire: partner is the Release of the subtraction that gave up the last but one reference,
        // after which all that was done through it is visible: the bit `TIMED` too, with which a node may
        // get another reference from the timers at any time. (Relaxed, by this.)
        self.count.load(Ordering::Acquire) == 1 && self.word().load(Ordering::Relaxed) & TIMED == 0
    }

    /// Whether there is one reference at this moment.
    #[cfg(feature = "testing")]
    pub(crate) fn has_one(&self) -> bool {
        // Acquire: as above.
        self.references().load(Ordering::Acquire) == 1
    }

    pub(crate) fn same(&self, other: &NodeRef) -> bool {
        ptr::eq(self.0.as_ptr(), other.0.as_ptr())
    }

    /// Sets the node in the way of its kind.
    pub(crate) fn raise_as_kind(&self, cause: &StopCause) -> bool {
        (self.kind().raise)(self, cause)
    }

    /// A time has come that is the node's kind's matter.
    #[cfg(not(loom))]
    pub(super) fn expire(&self, timer: Timer, cause: &StopCause) {
        (self.kind().expire)(self, timer, cause);
    }

    /// Sets a timer. Of several of the same sort the earliest stays.
    pub(crate) fn set_timer(
        &self,
        timer: Timer,
        at: Instant,
        location: &'static Location<'static>,
    ) {
        timer::set(self, timer, at, location);
    }

    /// Takes a timer of the node off the list, if it is there.
    #[inline]
    pub(crate) fn forget_timer(&self, timer: Timer) {
        // Relaxed: who set a timer that we should know of told us, or gave up a reference before us.
        if self.word().load(Ordering::Relaxed) & TIMED != 0 {
            timer::forget(self.as_ptr(), timer);
        }
    }

    /// Takes all timers of the node off the list.
    #[inline]
    pub(crate) fn forget_timers(&self) {
        self.forget_timer(Timer::Start);
        self.forget_timer(Timer::Stop);
        self.forget_timer(Timer::Cancel);
    }

    /// Notes that the one to whom this node was given has seen it set.
    pub(crate) fn note_seen(&self) {
        (self.kind().saw)(self);
    }

    /// This node and its ancestors, each once: after one of which it is a parent, the first
    /// parents first. Always in the same order.
    pub(crate) fn chain(&self) -> Chain<'_> {
        Chain {
            next: Some(self),
            others: Vec::new(),
            known: BTreeSet::new(),
        }
    }

    /// Whether the node or an ancestor is set. When it says true, everything before the `set` is
    /// visible.
    #[inline]
    pub(crate) fn reads_set(&self) -> bool {
        self.look::<false>()
    }

    /// As [`reads_set`](Self::reads_set), on behalf of the user's code: this is the poll. One relaxed load
    /// for this node and one for each ancestor, no write.
    #[inline]
    pub(crate) fn poll(&self) -> bool {
        self.look::<true>()
    }

    #[inline]
    fn look<const POLL: bool>(&self) -> bool {
        let mut node: &Node = self;
        loop {
            // Relaxed: an unset event says nothing about other memory. See `confirm` for a set one.
            if node.word().load(Ordering::Relaxed) & (SET | SPECIAL) != 0 {
                // From the start again, so that this loop has nothing to remember.
                return self.look_closely(POLL);
            }
            match node.parent() {
                Some(parent) => node = parent,
                None => return false,
            }
        }
    }

    /// The walk again, when there is something on the way.
    #[cold]
    #[inline(never)]
    fn look_closely(&self, poll: bool) -> bool {
        debug_assert!(
            iter::successors(Some(self), |node| node.parent())
                .any(|node| node.is_set_itself() || node.is_special()),
            "there is nothing on the way"
        );
        let mut node = self;
        loop {
            // Relaxed: the bits were written before the node was shared, and stay.
            let word = node.word().load(Ordering::Relaxed);
            if word & NESTED != 0 {
                // There may be many ways to one node: with a list of those that were looked at.
                return node.chain().any(|node| node.look_at(poll));
            }
            if word & SPECIAL != 0 {
                let kind = node.kind();
                if poll {
                    // It may set the node.
                    (kind.polled)(node);
                }
                // None of their ancestors is special.
                let mut others = (kind.others)(node).iter();
                if others.any(|other| other.chain().any(|node| node.confirm())) {
                    return true;
                }
            }
            if node.confirm() {
                return true;
            }
            match node.parent() {
                Some(parent) => node = parent,
                None => return false,
            }
        }
    }

    /// One step of the walk.
    fn look_at(&self, poll: bool) -> bool {
        if poll {
            (self.kind().polled)(self);
        }
        self.confirm()
    }
}

/// See [`NodeRef::chain`].
pub(crate) struct Chain<'a> {
    next: Option<&'a NodeRef>,
    others: Vec<&'a NodeRef>,
    /// The nodes that were found, from the first one with several parents on: before that there is one way only.
    known: BTreeSet<NonNull<Node>>,
}

impl Chain<'_> {
    /// Goes on beside that node, which it has just come to.
    fn leave_out_above(&mut self, node: &NodeRef) {
        self.next = None;
        if node.is_special() {
            let above = (node.kind().others)(node).len();
            self.others.truncate(self.others.len() - above);
        }
    }
}

impl<'a> Iterator for Chain<'a> {
    type Item = &'a NodeRef;

    fn next(&mut self) -> Option<&'a NodeRef> {
        loop {
            let node = self.next.take().or_else(|| self.others.pop())?;
            if node.is_special() || !self.known.is_empty() {
                if !self.known.insert(node.as_ptr()) {
                    continue;
                }
                if node.is_special() {
                    self.others.extend((node.kind().others)(node).iter().rev());
                }
            }
            self.next = node.parent();
            return Some(node);
        }
    }
}

/// Setting, and hearing of it.
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

    /// Tells those who listen for the stop, if the word as it was before `SET` says that there may
    /// be some.
    pub(crate) fn tell_stop(&self, before: u32) {
        if before & LISTENED != 0 {
            self.tell(&[Topic::Stop]);
        }
    }

    /// Tells those who listen for `topics`. The word says that there may be some.
    #[cold]
    pub(crate) fn tell(&self, topics: &[Topic]) {
        debug_assert!(self.listeners().is_some(), "who said so has made a list");
        if let Some(listeners) = self.listeners() {
            listeners.notify(topics);
        }
    }

    /// Puts `listener` on the list and sets `bit` of the word. `happened` looks at the word as it
    /// was before and says whether what is listened for had happened by then.
    ///
    /// `Some(key)`: it is on the list and hears, or has been taken off it to hear. `None`: the
    /// thing had happened, and the listener does not hear of it from here.
    ///
    /// Why none is lost and none hears twice: this RMW and the one that makes the thing happen are
    /// on one word, so one of them is first. If ours is, the other one sees the bit, and tells. If
    /// theirs is, we see that it happened, and take the listener off again; should it be gone, the
    /// other side saw the bit from somebody else, has taken it, and tells.
    pub(crate) fn listen(
        &self,
        topic: Topic,
        bit: u32,
        happened: impl FnOnce(u32) -> bool,
        listener: Arc<dyn Listen>,
    ) -> Option<Key> {
        let list = &self.side_or_new().listeners;
        let list = list.get_or_init(|| Arc::new(Listeners::new()));
        let key = list.add(topic, listener);
        // Release: the list that was made above is visible to who sees the bit. Acquire: when it
        // has happened already, what came before it is visible to us.
        let before = self.word().fetch_or(bit, Ordering::AcqRel);
        (!happened(before) || !list.remove(key)).then_some(key)
    }

    /// As [`listen`](Self::listen), for `Topic::Done`, with the context's waker, in place of the one
    /// that was there. Says whether the thing had happened.
    pub(crate) fn listen_with_waker(
        &self,
        bit: u32,
        happened: impl FnOnce(u32) -> bool,
        context: &Context<'_>,
    ) -> bool {
        let list = &self.side_or_new().listeners;
        let list = list.get_or_init(|| Arc::new(Listeners::new()));
        list.keep_waker(Some(context.waker().clone()));
        // As in `listen`.
        let happened = happened(self.word().fetch_or(bit, Ordering::AcqRel));
        if happened {
            list.keep_waker(None);
        }
        happened
    }

    /// Drops the waker that is there, unless it is being woken.
    pub(crate) fn forget_waker(&self) {
        if let Some(list) = self.listeners() {
            list.keep_waker(None);
        }
    }

    /// Keeps places on the lists of ancestors for as long as there is the node, to which somebody has
    /// listened.
    pub(super) fn keep(&self, above: Vec<Place>) {
        if let Some(list) = self.listeners() {
            list.keep(above);
        }
    }

    /// Takes a listener off the list. False: it has heard, or is about to.
    pub(crate) fn unlisten(&self, key: Key) -> bool {
        self.listeners().is_some_and(|list| list.remove(key))
    }

    /// The cause, when the node reads set. The first answer stays the answer.
    pub(crate) fn cause(&self) -> Option<StopCause> {
        if !self.reads_set() {
            return None;
        }
        // Acquire: as in `confirm`.
        if self.word().load(Ordering::Acquire) & CAUSED == 0 {
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
        // Acquire: as in `confirm`.
        let set = self.word().load(Ordering::Acquire) & SET != 0;
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

impl Clone for NodeRef {
    #[inline]
    fn clone(&self) -> Self {
        self.add_references(1);
        NodeRef(self.0)
    }
}

impl Drop for NodeRef {
    #[inline]
    fn drop(&mut self) {
        if self.is_only() || self.references().fetch_sub(1, Ordering::AcqRel) == 1 {
            // Release of the subtraction: what this thread did with the node happens before it is
            // freed. Acquire, for the last one: what all others did is visible to it.
            free_chain(self.0);
        }
    }
}

/// Frees a node of which the caller owned the last count, and then each ancestor whose last count that was: in
/// a loop, so that a chain of any length is freed in a constant amount of stack.
#[cold]
fn free_chain(node: NonNull<Node>) {
    let mut next = Some(node);
    // Other parents than the first.
    let mut more = Vec::new();
    while let Some(node) = next {
        // SAFETY: this thread owned the last count of `node`, and so alone still points to it. The
        // count is gone, so what is lent here is not dropped.
        let last = ManuallyDrop::new(unsafe { NodeRef::from_raw(node) });
        last.forget_timers();
        let kind = last.kind();
        // SAFETY: `kind` is the node's own, and nobody else points to the node.
        let parent = unsafe { (kind.free)(node, &mut more) };
        next = parent.and_then(give_up);
        while next.is_none() {
            match more.pop() {
                Some(other) => next = give_up(other),
                None => return,
            }
        }
    }
}

/// Gives up a reference. The node, if that was the last one.
fn give_up(node: NodeRef) -> Option<NonNull<Node>> {
    let node = ManuallyDrop::new(node);
    // As in `NodeRef::drop`; the count is still ours, so the node is alive.
    let was_last = node.references().fetch_sub(1, Ordering::AcqRel) == 1;
    was_last.then_some(node.0)
}

/// References to one node that are not in use: they are taken and given back without touching its
/// count, which is corrected by the dozen.
///
/// Invariant 7: it owns `spare` of the node's counts besides the one that `node` owns.
pub(crate) struct Hoard {
    node: NodeRef,
    spare: u32,
}

/// How many counts are added at once, and how many above that are kept.
const DOZENS: u32 = 256;

impl Hoard {
    pub(crate) fn new(node: NodeRef) -> Hoard {
        Hoard { node, spare: 0 }
    }

    pub(crate) fn is_of(&self, node: &NodeRef) -> bool {
        self.node.same(node)
    }

    #[inline]
    pub(crate) fn take(&mut self) -> NodeRef {
        if self.spare == 0 {
            self.node.add_references(DOZENS);
            self.spare = DOZENS;
        }
        self.spare -= 1;
        // SAFETY: by invariant 7 we own the count that the new reference takes over.
        unsafe { NodeRef::from_raw(self.node.0) }
    }

    /// Takes a reference to the same node into store.
    #[inline]
    pub(crate) fn give(&mut self, node: NodeRef) {
        debug_assert!(self.is_of(&node), "another node");
        // From here on its count is ours.
        let _ = node.into_raw();
        self.spare += 1;
        if self.spare > 2 * DOZENS {
            self.release(DOZENS);
        }
    }

    fn release(&mut self, counts: u32) {
        self.spare -= counts;
        // Release: as in `NodeRef::drop`. The count of `node` is left, so nothing is to be freed.
        self.node.references().fetch_sub(counts, Ordering::Release);
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        self.release(self.spare);
    }
}

impl Deref for NodeRef {
    type Target = Node;

    #[inline]
    fn deref(&self) -> &Node {
        // SAFETY: by invariant 6 we own a count, so the node is alive, and it is only ever shared.
        unsafe { self.0.as_ref() }
    }
}

impl fmt::Debug for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("set", &(self.word().load(Ordering::Relaxed) & SET != 0))
            .field("cause", &self.side().and_then(|side| side.cause.get()))
            .field("has_parent", &self.parent().is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::any::any;
    use super::*;

    fn references(node: &NodeRef) -> u32 {
        node.references().load(Ordering::Relaxed)
    }

    #[test]
    fn the_only_reference_is_known_to_be() {
        let node = NodeRef::plain(None);
        assert!(node.is_only());
        let other = node.clone();
        assert!(!node.is_only() && !other.is_only());
        drop(other);
        assert!(node.is_only());
        node.word()
            .fetch_or(SET | CAUSED | LISTENED, Ordering::Relaxed);
        assert!(node.is_only());
        // The timers may make another one.
        node.word().fetch_or(TIMED, Ordering::Relaxed);
        assert!(!node.is_only());
    }

    #[test]
    fn two_thousand_million_references_are_not_too_many() {
        let node = NodeRef::plain(None);
        for more in [MOST_REFERENCES - 1, MOST_REFERENCES] {
            node.references().store(more, Ordering::Relaxed);
            let other = node.clone();
            assert_eq!(references(&node), more + 1);
            drop(other);
        }
        node.references().store(1, Ordering::Relaxed);
    }

    #[test]
    fn references_are_taken_and_given_back_by_the_dozen() {
        let node = NodeRef::plain(None);
        let mut hoard = Hoard::new(node.clone());
        assert_eq!(references(&node), 2);
        let taken: Vec<_> = (0..DOZENS).map(|_| hoard.take()).collect();
        assert_eq!(references(&node), 2 + DOZENS);
        taken.into_iter().for_each(|it| hoard.give(it));
        assert_eq!(references(&node), 2 + DOZENS);
        // One that comes from elsewhere is kept too, up to a certain number.
        (0..DOZENS).for_each(|_| hoard.give(node.clone()));
        assert_eq!(references(&node), 2 + 2 * DOZENS);
        hoard.give(node.clone());
        assert_eq!(references(&node), 2 + DOZENS + 1);
        drop(hoard);
        assert!(node.is_only());
    }

    #[test]
    fn a_hoard_is_of_one_node() {
        let [one, other] = [(); 2].map(|()| NodeRef::plain(None));
        let hoard = Hoard::new(one.clone());
        assert!(hoard.is_of(&one) && !hoard.is_of(&other));
    }

    /// In the order of their birth.
    fn diamond() -> [NodeRef; 5] {
        let top = NodeRef::plain(None);
        let [left, right] = [(); 2].map(|()| NodeRef::plain(Some(top.clone())));
        let both = any(left.clone(), vec![right.clone()]);
        let bottom = NodeRef::plain(Some(both.clone()));
        [top, left, right, both, bottom]
    }

    /// Two causes, the earlier one first.
    fn causes() -> [StopCause; 2] {
        ["earlier", "later"].map(|words| StopCause::now(StopReason::custom(words)))
    }

    fn reason(node: &NodeRef) -> Option<StopReason> {
        node.cause().map(|cause| cause.reason)
    }

    #[test]
    fn of_several_causes_the_earliest_counts_but_for_those_above_a_node_that_was_set() {
        let [earlier, later] = causes();
        let [_, left, right, _, bottom] = diamond();
        assert!(left.raise(&later) && right.raise(&earlier));
        assert_eq!(reason(&bottom), Some(earlier.reason.clone()));

        let [_, _, right, both, bottom] = diamond();
        assert!(both.raise(&later) && right.raise(&earlier));
        assert_eq!(reason(&bottom), Some(later.reason));
    }

    #[test]
    fn the_first_look_fixes_the_cause() {
        let [earlier, later] = causes();
        let [_, left, right, _, bottom] = diamond();
        assert!(left.raise(&later));
        bottom.stamp_seen();
        assert!(right.raise(&earlier));
        assert_eq!(reason(&bottom), Some(later.reason));
    }

    #[test]
    fn each_ancestor_is_in_the_chain_once() {
        let [top, left, right, both, bottom] = diamond();
        let expected = [&bottom, &both, &left, &top, &right];
        assert!(
            bottom
                .chain()
                .map(|node| node.0)
                .eq(expected.map(|node| node.0))
        );
    }
}
