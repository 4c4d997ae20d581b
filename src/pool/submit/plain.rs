//! Tasks that are submitted without more ado, with a note of when they were if the pool wants to know.

use crate::pool::refusal::SubmitError;
use crate::pool::shared::Core;
use crate::report::TaskId;
use crate::report::tick::Tick;
use crate::stop::StopEvent;
use crate::task::TaskHandle;
use crate::task::cell::Noted;

/// What [`ThreadPool`](crate::ThreadPool) and [`Submitter`](crate::Submitter) call.
impl Core {
    /// When a task is submitted that is submitted now, if the pool wants to know.
    pub(in crate::pool) fn stamp(&self) -> Option<Tick> {
        self.shared.stamps.then(Tick::now)
    }

    fn noted(&self) -> Noted {
        Noted {
            submitted: self.stamp(),
        }
    }

    #[track_caller]
    pub(in crate::pool) fn submit_plain<F, T>(&self, closure: F) -> TaskHandle<T>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        if self.shared.stamps {
            return self.submit_noted(closure);
        }
        self.submit(None, (), closure)
    }

    pub(in crate::pool) fn try_submit_plain<F, T>(
        &self,
        closure: F,
    ) -> Result<TaskHandle<T>, SubmitError<F>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        if self.shared.stamps {
            return self.try_submit_noted(closure);
        }
        self.try_submit(None, (), closure)
    }

    pub(in crate::pool) fn execute_plain<F, T>(&self, closure: F) -> Result<TaskId, SubmitError<F>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        if self.shared.stamps {
            return self.execute_noted(closure);
        }
        self.execute(None, (), closure)
    }

    #[cold]
    #[track_caller]
    fn submit_noted<F, T>(&self, closure: F) -> TaskHandle<T>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit(None, self.noted(), closure)
    }

    #[cold]
    fn try_submit_noted<F, T>(&self, closure: F) -> Result<TaskHandle<T>, SubmitError<F>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.try_submit(None, self.noted(), closure)
    }

    #[cold]
    fn execute_noted<F, T>(&self, closure: F) -> Result<TaskId, SubmitError<F>>
    where
        F: FnOnce(&StopEvent) -> T + Send + 'static,
        T: Send + 'static,
    {
        self.execute(None, self.noted(), closure)
    }
}
