//! loom's atomics, and how to mend a hole in its search.
//!
//! loom tries a store of one thread before a load of another if that load was the latest access. When the storing thread
//! has itself loaded the same atomic since, as counters with one writer and loops of exchanges do, or is ordered behind another
//! thread that has, it does not look further back, and leaves out the runs in which the store comes first, unless something else
//! brings them about. With `LOOM_EVERY_ORDER` set, before each access there is one to an atomic beside it, which loom takes
//! for a change, so that no two are taken for independent. It is an exchange that fails: it stores nothing that
//! anybody could be ordered behind. All this takes several times as long.

use loom::sync::atomic::{self, AtomicBool as Order, Ordering};
use std::env;
use std::fmt;
use std::sync::OnceLock;

fn every_order() -> bool {
    static SET: OnceLock<bool> = OnceLock::new();
    *SET.get_or_init(|| env::var_os("LOOM_EVERY_ORDER").is_some())
}

macro_rules! atomics {
    ($($name:ident$(<$param:ident>)?: $value:ty;)*) => {$(
        pub(crate) struct $name$(<$param>)? {
            it: atomic::$name$(<$param>)?,
            order: Order,
        }

        impl$(<$param>)? fmt::Debug for $name$(<$param>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.it.fmt(f)
            }
        }

        #[allow(dead_code, reason = "all have the same")]
        impl$(<$param>)? $name$(<$param>)? {
            pub(crate) fn new(value: $value) -> Self {
                Self { it: atomic::$name::new(value), order: Order::new(false) }
            }

            fn it(&self) -> &atomic::$name$(<$param>)? {
                if every_order() {
                    // It is never set.
                    let _ = self.order.compare_exchange(true, false, Ordering::Relaxed, Ordering::Relaxed);
                }
                &self.it
            }

            pub(crate) fn load(&self, ordering: Ordering) -> $value {
                self.it().load(ordering)
            }

            pub(crate) fn store(&self, value: $value, ordering: Ordering) {
                self.it().store(value, ordering);
            }

            pub(crate) fn swap(&self, value: $value, ordering: Ordering) -> $value {
                self.it().swap(value, ordering)
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.it().compare_exchange(current, new, success, failure)
            }

            pub(crate) fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.it().compare_exchange_weak(current, new, success, failure)
            }

            pub(crate) fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                f: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                self.it().fetch_update(set, fetch, f)
            }
        }
    )*};
}

atomics! {
    AtomicBool: bool;
    AtomicPtr<T>: *mut T;
    AtomicU32: u32;
    AtomicU64: u64;
    AtomicUsize: usize;
}

macro_rules! arithmetic {
    ($($name:ident: $value:ty: $($method:ident)*;)*) => {$(
        impl Default for $name {
            fn default() -> Self {
                Self::new(<$value>::default())
            }
        }

        #[allow(dead_code, reason = "all have the same")]
        impl $name {$(
            pub(crate) fn $method(&self, value: $value, ordering: Ordering) -> $value {
                self.it().$method(value, ordering)
            }
        )*}
    )*};
}

arithmetic! {
    AtomicBool: bool: fetch_and fetch_or;
    AtomicU32: u32: fetch_add fetch_and fetch_max fetch_min fetch_or fetch_sub;
    AtomicU64: u64: fetch_add fetch_and fetch_max fetch_min fetch_or fetch_sub;
    AtomicUsize: usize: fetch_add fetch_and fetch_max fetch_min fetch_or fetch_sub;
}
