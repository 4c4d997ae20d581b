//! The trace events: valid JSON, one event or two for each task, with its times.

use super::made_up::{blank, life, ran, seconds, wild};
use crate::report::TaskStatus;
use crate::timeline::Timeline;
use serde_json::{Value, json};

fn events(timeline: &Timeline) -> Vec<Value> {
    let text = timeline.trace_json();
    let mut value: Value = serde_json::from_str(&text).expect("valid JSON");
    match value["traceEvents"].take() {
        Value::Array(events) => events,
        other => panic!("{other}"),
    }
}

fn phase<'a>(events: &'a [Value], phase: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["ph"] == phase).collect()
}

#[test]
fn a_task_is_a_slice_with_its_moments() {
    let mut task = ran(3, 0.25, 0.75);
    task.status = TaskStatus::Cancelled;
    (task.asked, task.seen) = (Some(seconds(0.5)), Some(seconds(0.6)));
    (task.name, task.cause) = (Some("a \"b\"\n\\\u{1}".into()), Some("deadline".to_owned()));
    let timeline = Timeline::new(Some("p".into()), 1, seconds(1.0), vec![task], 0);
    let events = events(&timeline);
    assert_eq!(events[0]["args"]["name"], "p");
    let args = json!({
        "id": 3, "status": "cancelled", "waited_us": 250_000.0, "ran_us": 500_000.0, "cause": "deadline",
        "asked_at_us": 500_000.0, "asked_to_seen_us": 100_000.0, "asked_to_ended_us": 250_000.0,
    });
    let slice = json!({
        "name": "a \"b\"\n\\\u{1}", "cat": "cancelled", "ph": "X", "ts": 250_000.0, "dur": 500_000.0,
        "pid": 1, "tid": 2, "args": args,
    });
    assert_eq!(phase(&events, "X"), [&slice]);
    let moments = phase(&events, "i");
    let moments: Vec<_> = moments
        .iter()
        .map(|event| (&event["name"], &event["ts"]))
        .collect();
    assert_eq!(
        moments,
        [
            (&json!("asked"), &json!(500_000.0)),
            (&json!("seen"), &json!(600_000.0))
        ]
    );
}

#[test]
fn what_never_began_has_a_track_of_its_own() {
    let mut never = blank(0, TaskStatus::NeverStarted);
    never.ended = Some(seconds(0.5));
    let pending = blank(1, TaskStatus::Pending);
    let timeline = Timeline::new(None, 2, seconds(1.0), vec![never, pending], 0);
    let events = events(&timeline);
    let ticks = phase(&events, "i");
    let ticks: Vec<_> = ticks
        .iter()
        .map(|event| (&event["tid"], &event["ts"]))
        .collect();
    assert_eq!(
        ticks,
        [(&json!(5), &json!(500_000.0)), (&json!(6), &json!(1e6))]
    );
    let named = events.iter().filter(|event| event["name"] == "thread_name");
    let named: Vec<_> = named.map(|event| &event["args"]["name"]).collect();
    assert_eq!(named, ["worker 0", "worker 1", "never started", "pending"]);
}

#[test]
fn what_no_worker_ran_may_overlap() {
    let tasks = [ran(0, 0.1, 0.5), ran(1, 0.2, 0.7)];
    let tasks = tasks.map(|mut task| {
        task.lane = None;
        task
    });
    let events = events(&Timeline::new(None, 1, seconds(1.0), tasks.into(), 0));
    assert_eq!(
        (phase(&events, "b").len(), phase(&events, "e").len()),
        (2, 2)
    );
    assert_eq!(phase(&events, "X").len(), 0);
}

#[test]
fn slices_of_a_worker_are_nested_or_apart() {
    let timeline = life(3, 500, 2.0, 1);
    let events = events(&timeline);
    assert_eq!(
        phase(&events, "X").len(),
        timeline
            .tasks()
            .iter()
            .filter(|task| task.has_begun())
            .count()
    );
    let nanos = |value: &Value| (value.as_f64().expect("a number") * 1_000.0).round() as u64;
    let mut slices: Vec<_> = phase(&events, "X")
        .into_iter()
        .map(|event| {
            let (from, length) = (nanos(&event["ts"]), nanos(&event["dur"]));
            (
                event["tid"].as_u64(),
                from,
                std::cmp::Reverse(from + length),
            )
        })
        .collect();
    slices.sort();
    let mut open = Vec::<(Option<u64>, u64)>::new();
    for (thread, from, std::cmp::Reverse(to)) in slices {
        open.retain(|(other, end)| *other == thread && *end > from);
        assert!(open.iter().all(|(_, end)| to <= *end));
        open.push((thread, to));
    }
}

#[test]
fn whatever_was_recorded_is_valid_and_inside_of_the_time() {
    for seed in 0..150 {
        let timeline = wild(seed, seed * 2);
        let most = timeline.length().as_secs_f64() * 1e6 + 1e-3;
        for event in events(&timeline) {
            let at = event["ts"].as_f64().unwrap_or(0.0) + event["dur"].as_f64().unwrap_or(0.0);
            assert!(at <= most, "{event}");
        }
    }
}
