//! Hearing of a set, and of what else happens to a node. Anybody may listen; who makes the thing happen tells all
//! of them, if the word says that there may be some.

use super::NodeRef;
use crate::stop::listeners::{Key, Listen, Listeners, Topic};
use crate::stop::node::LISTENED;
use crate::stop::wait::Place;
use crate::sync::{Arc, Ordering};
use std::task::Context;

impl NodeRef {
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
        // First: it is the user's code, and what it unwinds from has not been touched.
        let waker = context.waker().clone();
        let list = &self.side_or_new().listeners;
        let list = list.get_or_init(|| Arc::new(Listeners::new()));
        list.keep_waker(Some(waker));
        // Release: as in `listen`. If it has happened, what came before it is read when the caller has looked at the word again.
        let happened = happened(self.word().fetch_or(bit, Ordering::Release));
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
    pub(in crate::stop) fn keep(&self, above: Vec<Place>) {
        if let Some(list) = self.listeners() {
            list.keep(above);
        }
    }

    /// Takes a listener off the list. False: it has heard, or is about to.
    pub(crate) fn unlisten(&self, key: Key) -> bool {
        self.listeners().is_some_and(|list| list.remove(key))
    }
}
