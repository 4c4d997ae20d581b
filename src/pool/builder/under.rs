//! A pool that stops with an event.

use crate::pool::lifecycle::Fallen;
use crate::pool::shared::Core;
use crate::report::Shutdown;
use crate::stop::StopEvent;
use crate::stop::listeners::Listen;
use crate::stop::node::NodeRef;
use crate::stop::timer::on_timer_thread;
use crate::stop::wait::Registration;
use crate::sync::{Arc, Mutex};

/// Shuts a pool down when the event that it stops with is set.
struct Under {
    core: Core,
    event: StopEvent,
    mode: Shutdown,
    /// What is to be dropped when everyone who listens for the event has been told.
    fallen: Mutex<Vec<Fallen>>,
}

impl Listen for Under {
    fn notify(&self) {
        // An event that was set has its cause.
        if let Some(cause) = self.event.node().and_then(NodeRef::cause) {
            if on_timer_thread() {
                self.core.begin_and_leave(self.mode, &cause);
            } else {
                let fallen = self.core.begin(self.mode, &cause);
                self.fallen.lock().push(fallen);
            }
        }
    }

    fn afterwards(&self) {
        let fallen = std::mem::take(&mut *self.fallen.lock());
        for fallen in fallen {
            fallen.drop_closures();
        }
        if !on_timer_thread() {
            // A worker may have been faster, which leaves the drops to others.
            self.core.shared.tend_graveyard();
        }
    }
}

/// Listens for the event for as long as the pool has threads. If it is set already, the pool is shut
/// down now.
pub(super) fn listen_to(core: &Core, event: StopEvent, mode: Shutdown) {
    let Some(node) = event.node().cloned() else {
        return;
    };
    let under = Arc::new(Under {
        core: core.clone(),
        event,
        mode,
        fallen: Mutex::new(Vec::new()),
    });
    let listener: Arc<dyn Listen> = under.clone();
    match Registration::on_chain(&node, &listener) {
        Some(registration) => core.shared.keep_registration(registration),
        None => {
            under.notify();
            under.afterwards();
        }
    }
}
