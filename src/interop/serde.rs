//! Reports for machines: `Serialize` for all that is in one. (Feature `serde`.)
//!
//! Durations are in nanoseconds, under names that end in `_ns`. Ids of many tasks are ranges, `[first, last]`. What is not
//! known is null.

use crate::{
    Durations, Shutdown, ShutdownReport, Stats, Step, StopCause, StopLatency, StopReason,
    Straggler, TaskDetail, TaskId, TaskSnapshot, TaskStatus,
};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::time::Duration;

fn nanos(duration: Option<Duration>) -> Option<u64> {
    duration.map(|duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

impl Serialize for TaskId {
    /// As a number.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.as_u64())
    }
}

impl Serialize for TaskStatus {
    /// As `"never_started"` and the like.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            TaskStatus::Pending => "pending",
            TaskStatus::Running => "running",
            TaskStatus::Completed => "completed",
            TaskStatus::Cancelled => "cancelled",
            TaskStatus::NeverStarted => "never_started",
            TaskStatus::Panicked => "panicked",
        })
    }
}

impl Serialize for Shutdown {
    /// As `"cancel_pending"` and the like.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Shutdown::Drain => "drain",
            Shutdown::CancelPending => "cancel_pending",
            Shutdown::StopAll => "stop_all",
        })
    }
}

impl Serialize for StopReason {
    /// As its text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for StopCause {
    /// The reason, and the line of code. An instant has no meaning elsewhere.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("StopCause", 2)?;
        out.serialize_field("reason", &self.reason)?;
        out.serialize_field("location", &self.location.to_string())?;
        out.end()
    }
}

impl Serialize for Stats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Stats {
            submitted,
            pending,
            running,
            completed,
            cancelled,
            never_started,
            panicked,
            refused,
            taken,
        } = *self;
        let fields = [
            ("submitted", submitted),
            ("pending", pending),
            ("running", running),
            ("completed", completed),
            ("cancelled", cancelled),
            ("never_started", never_started),
            ("panicked", panicked),
            ("refused", refused),
            ("taken", taken),
        ];
        let mut out = serializer.serialize_struct("Stats", fields.len())?;
        for (name, count) in fields {
            out.serialize_field(name, &count)?;
        }
        out.end()
    }
}

impl Serialize for Durations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = [
            ("min_ns", self.min()),
            ("mean_ns", self.mean()),
            ("p50_ns", self.percentile(50.0)),
            ("p90_ns", self.percentile(90.0)),
            ("p99_ns", self.percentile(99.0)),
            ("max_ns", self.max()),
        ];
        let mut out = serializer.serialize_struct("Durations", 1 + fields.len())?;
        out.serialize_field("count", &self.count())?;
        for (name, duration) in fields {
            out.serialize_field(name, &nanos(duration))?;
        }
        out.end()
    }
}

impl Serialize for StopLatency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("StopLatency", 2)?;
        out.serialize_field("asked_to_seen", self.to_seen())?;
        out.serialize_field("asked_to_ended", self.to_ended())?;
        out.end()
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Step", 7)?;
        out.serialize_field("mode", &self.mode())?;
        out.serialize_field("began_ns", &nanos(Some(self.began())))?;
        out.serialize_field("took_ns", &nanos(Some(self.took())))?;
        out.serialize_field("completed", &self.completed())?;
        out.serialize_field("cancelled", &self.cancelled())?;
        out.serialize_field("never_started", &self.never_started())?;
        out.serialize_field("panicked", &self.panicked())?;
        out.end()
    }
}

impl Serialize for TaskDetail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("TaskDetail", 9)?;
        out.serialize_field("id", &self.id())?;
        out.serialize_field("name", &self.name())?;
        out.serialize_field("status", &self.status())?;
        out.serialize_field("cause", &self.cause())?;
        out.serialize_field("panic_message", &self.panic_message())?;
        out.serialize_field("waited_ns", &nanos(self.waited()))?;
        out.serialize_field("ran_ns", &nanos(self.ran()))?;
        out.serialize_field("asked_to_seen_ns", &nanos(self.asked_to_seen()))?;
        out.serialize_field("asked_to_ended_ns", &nanos(self.asked_to_ended()))?;
        out.end()
    }
}

impl Serialize for Straggler {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Straggler", 8)?;
        out.serialize_field("id", &self.id())?;
        out.serialize_field("name", &self.name())?;
        out.serialize_field("cause", &self.cause())?;
        out.serialize_field("asked_ago_ns", &nanos(self.asked_ago()))?;
        out.serialize_field("has_looked", &self.has_looked())?;
        out.serialize_field("asked_to_seen_ns", &nanos(self.asked_to_seen()))?;
        out.serialize_field("waited_ns", &nanos(self.waited()))?;
        out.serialize_field("running_for_ns", &nanos(self.running_for()))?;
        out.end()
    }
}

impl Serialize for TaskSnapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("TaskSnapshot", 9)?;
        out.serialize_field("id", &self.id())?;
        out.serialize_field("name", &self.name())?;
        out.serialize_field("status", &self.status())?;
        out.serialize_field("cause", &self.cause())?;
        out.serialize_field("asked_ago_ns", &nanos(self.asked_ago()))?;
        out.serialize_field("has_looked", &self.has_looked())?;
        out.serialize_field("asked_to_seen_ns", &nanos(self.asked_to_seen()))?;
        out.serialize_field("waited_ns", &nanos(self.waited()))?;
        out.serialize_field("running_for_ns", &nanos(self.running_for()))?;
        out.end()
    }
}

/// Ids that rise, as ranges.
fn ranges(ids: impl Iterator<Item = TaskId>) -> Vec<[u64; 2]> {
    let mut ranges: Vec<[u64; 2]> = Vec::new();
    for id in ids.map(TaskId::as_u64) {
        match ranges.last_mut() {
            Some([_, last]) if *last + 1 == id => *last = id,
            _ => ranges.push([id, id]),
        }
    }
    ranges
}

/// The ids of a report, by what became of their tasks. Those that completed are the rest.
struct Ids<'a>(&'a ShutdownReport);

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let of = |status| ranges(self.0.ids(status));
        let fields = [
            ("cancelled", of(TaskStatus::Cancelled)),
            ("never_started", of(TaskStatus::NeverStarted)),
            ("panicked", of(TaskStatus::Panicked)),
            ("pending", of(TaskStatus::Pending)),
            ("running", of(TaskStatus::Running)),
            ("refused", ranges(self.0.refused_ids())),
            ("taken", ranges(self.0.taken_ids())),
        ];
        let mut out = serializer.serialize_struct("Ids", fields.len())?;
        for (name, ranges) in &fields {
            out.serialize_field(name, ranges)?;
        }
        out.end()
    }
}

impl Serialize for ShutdownReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("ShutdownReport", 13)?;
        out.serialize_field("pool", &self.pool_name())?;
        out.serialize_field("mode", &self.mode())?;
        out.serialize_field("is_final", &self.is_final())?;
        out.serialize_field("counts", &self.stats())?;
        out.serialize_field("completed_though_asked", &self.completed_though_asked())?;
        out.serialize_field("ids", &Ids(self))?;
        out.serialize_field("stop_latency", self.stop_latency())?;
        out.serialize_field("waited", &self.waited())?;
        out.serialize_field("ran", &self.ran())?;
        out.serialize_field("steps", self.steps())?;
        out.serialize_field("stragglers", self.stragglers())?;
        out.serialize_field("details", &self.details().collect::<Vec<_>>())?;
        out.serialize_field("details_left_out", &self.details_left_out())?;
        out.end()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::{Shutdown, ThreadPool};
    use serde_json::{Value, json};

    #[test]
    fn a_report_as_json() {
        let pool = ThreadPool::builder().threads(1).name("index").timings(true);
        let pool = pool.build().unwrap();
        let scan = pool.task().name("scan").submit(crate::StopEvent::wait);
        scan.wait_started();
        for _ in 0..3 {
            drop(pool.submit(|_| ()));
        }
        drop(scan);
        let report = pool.shutdown(Shutdown::StopAll);
        let json: Value = serde_json::to_value(&report).unwrap();
        assert_eq!(json["pool"], "index");
        assert_eq!(json["mode"], "stop_all");
        assert_eq!(json["counts"]["submitted"], 4);
        assert_eq!(json["ids"]["never_started"], json!([[1, 3]]));
        assert_eq!(json["ids"]["panicked"], json!([]));
        assert_eq!(json["stop_latency"]["asked_to_seen"]["count"], 1);
        assert_eq!(json["details"][0]["name"], "scan");
        assert_eq!(json["details"][0]["cause"]["reason"], "shut down");
        assert!(json["details"][0]["ran_ns"].is_u64());
        assert_eq!(json["stragglers"], json!([]));
        let task = serde_json::to_value(pool.tasks()).unwrap();
        assert_eq!(task, json!([]));
    }
}
