//! The picture: well-formed, inside of its frame, bounded in size, and with everything in it.

use super::made_up::{blank, life, ran, seconds, wild};
use super::xml::{Element, parse};
use crate::report::TaskStatus;
use crate::timeline::frame::WIDTH;
use crate::timeline::{Timeline, TimelineTask};
use std::time::Duration;

const SIZE_MOST: usize = 2_000_000;

fn one_worker(length: f64, tasks: Vec<TimelineTask>) -> Timeline {
    Timeline::new(None, 1, seconds(length), tasks, 0)
}

/// The elements of a picture, each inside of the frame.
fn checked(svg: &str) -> Vec<Element> {
    let elements = parse(svg);
    let height = elements[0].number("height").expect("a height");
    for element in elements.iter().filter(|element| element.depth > 0) {
        let (x, y) = (element.number("x"), element.number("y"));
        let inside = |at: Option<f64>, size: Option<f64>, most: f64| {
            let at = at.unwrap_or(0.0);
            at >= 0.0 && size.unwrap_or(0.0) >= 0.0 && at + size.unwrap_or(0.0) <= most + 0.11
        };
        assert!(inside(x, element.number("width"), WIDTH), "{element:?}");
        assert!(inside(y, element.number("height"), height), "{element:?}");
        if let Some(path) = element.attributes.get("d") {
            let wrong = path.contains("NaN") || path.contains("inf");
            assert!(!wrong, "{path}");
            check_path(path, height);
        }
    }
    elements
}

/// Goes along a path, which stays in the frame.
fn check_path(path: &str, height: f64) {
    let (mut x, mut y) = (0.0_f64, 0.0_f64);
    let commands: Vec<_> = path
        .match_indices(|c: char| c.is_ascii_alphabetic())
        .collect();
    for (n, (at, command)) in commands.iter().enumerate() {
        let end = commands.get(n + 1).map_or(path.len(), |(end, _)| *end);
        let numbers = path[at + 1..end].split_whitespace();
        let numbers: Vec<f64> = numbers
            .map(|number| number.parse().expect("a number"))
            .collect();
        match (*command, &numbers[..]) {
            ("M" | "L", &[to_x, to_y]) => (x, y) = (to_x, to_y),
            ("l", &[by_x, by_y]) => (x, y) = (x + by_x, y + by_y),
            ("H", &[to]) => x = to,
            ("h", &[by]) => x += by,
            ("V", &[to]) => y = to,
            ("v", &[by]) => y += by,
            ("z", []) => {}
            _ => panic!("{path}"),
        }
        assert!(
            (-3.1..WIDTH + 3.1).contains(&x) && (-3.1..height + 3.1).contains(&y),
            "{path}"
        );
    }
}

fn of_class<'a>(elements: &'a [Element], class: &str) -> Vec<&'a Element> {
    // The legend's are outside of groups.
    let is =
        |element: &&Element| element.depth > 1 && element.class().split(' ').next() == Some(class);
    elements.iter().filter(is).collect()
}

#[test]
fn an_empty_pool_is_a_picture() {
    for (threads, length) in [(0, 0.0), (1, 0.0), (3, 1.5), (64, 1e6)] {
        let svg = Timeline::new(None, threads, seconds(length), Vec::new(), 0).svg();
        assert!(svg.contains("pool: 0 tasks"), "{svg}");
        assert_eq!(svg.matches(">worker ").count(), threads);
        checked(&svg);
    }
}

#[test]
fn every_task_is_a_bar_where_there_is_room() {
    let timeline = life(4, 40, 2.3, 7);
    let elements = checked(&timeline.svg());
    let bars = [
        ("c", TaskStatus::Completed),
        ("x", TaskStatus::Cancelled),
        ("p", TaskStatus::Panicked),
        ("r", TaskStatus::Running),
        ("n", TaskStatus::NeverStarted),
    ];
    for (class, status) in bars {
        let count = timeline.count(status);
        let bars = of_class(&elements, class).len();
        let never_started = status == TaskStatus::NeverStarted;
        assert!(
            bars == count || never_started && bars > 0,
            "{status}: {bars}, {count}"
        );
    }
}

#[test]
fn a_bar_is_as_long_as_the_task_ran_and_marked_where_it_was_asked() {
    let mut task = ran(3, 0.25, 0.75);
    task.status = TaskStatus::Cancelled;
    (task.asked, task.seen) = (Some(seconds(0.5)), Some(seconds(0.6)));
    let elements = checked(&one_worker(1.0, vec![task]).svg());
    let bar = of_class(&elements, "x")[0];
    assert_eq!(
        (bar.number("x"), bar.number("width")),
        (Some(361.0), Some(537.4))
    );
    let hatched = of_class(&elements, "h")[0];
    assert_eq!(
        (hatched.number("x"), hatched.number("width")),
        (Some(630.0), Some(268.4))
    );
    assert!(of_class(&elements, "a")[0].attributes["d"].starts_with("M630 "));
    assert!(of_class(&elements, "s")[0].attributes["d"].starts_with("M737.6 "));
    let title = elements
        .iter()
        .rev()
        .find(|element| element.name == "title")
        .expect("a tooltip");
    assert_eq!(
        title.text,
        "#3 (cancelled)\nwaited 250 ms, ran 500 ms from 250 ms\nasked at 500 ms, seen 100 ms later, ended 250 ms later"
    );
}

#[test]
fn a_task_that_still_runs_sticks_out() {
    let mut task = ran(0, 0.5, 1.0);
    (task.status, task.ended) = (TaskStatus::Running, None);
    let elements = checked(&one_worker(1.0, vec![task]).svg());
    assert!(of_class(&elements, "r")[0].attributes["d"].contains("H1168l9 "));
}

#[test]
fn inner_tasks_are_inside_of_the_outer_ones() {
    let mut inner = ran(1, 0.2, 0.8);
    inner.depth = 1;
    let elements = checked(&one_worker(1.0, vec![inner, ran(0, 0.0, 1.0)]).svg());
    let bars = of_class(&elements, "c");
    let span = |bar: &Element| {
        let y = bar.number("y").expect("a place");
        (y, y + bar.number("height").expect("a height"))
    };
    let ((outer_top, outer_end), (top, end)) = (span(bars[0]), span(bars[1]));
    assert!(outer_top < top && end < outer_end);
    assert_eq!(bars[1].class(), "c i");
}

#[test]
fn short_tasks_are_merged_and_counted() {
    let task = |n: u32| {
        ran(
            u64::from(n),
            0.5 + f64::from(n) * 1e-6,
            0.5 + f64::from(n) * 1e-6,
        )
    };
    let svg = one_worker(1.0, (0..100).map(task).collect()).svg();
    checked(&svg);
    assert!(svg.contains("100 tasks that began from "), "{svg}");
    assert!(svg.contains("\n100 completed</title>"), "{svg}");
}

#[test]
fn a_short_task_that_is_alone_has_a_bar() {
    let svg = one_worker(1.0, vec![ran(0, 0.3, 0.3), ran(1, 1.0, 1.0)]).svg();
    assert_eq!(of_class(&checked(&svg), "c").len(), 2);
}

#[test]
fn what_no_worker_ran_has_a_lane_of_its_own() {
    let mut task = ran(0, 0.1, 0.2);
    task.lane = None;
    let svg = one_worker(1.0, vec![task]).svg();
    assert!(svg.contains(">elsewhere</text>"));
    checked(&svg);
}

#[test]
fn tasks_left_out_are_named() {
    let svg = Timeline::new(
        Some("a<b".into()),
        2,
        seconds(90.0),
        vec![ran(0, 0.0, 1.0)],
        12_345,
    )
    .svg();
    assert!(svg.contains("pool “a&lt;b”: 1 task (12,345 more not recorded), 2 workers, 90 s<"));
}

#[test]
fn labels_are_there_where_they_fit() {
    let named = |id: u64, from: f64, to: f64, name: &str| TimelineTask {
        name: Some(name.into()),
        ..ran(id, from, to)
    };
    let tasks = vec![
        named(0, 0.0, 0.2, "fits"),
        named(1, 0.2, 0.25, "does not fit at all"),
        named(2, 0.3, 0.4, "is too long, but most of it fits"),
        ran(77, 0.5, 0.51),
    ];
    let elements = checked(&one_worker(1.0, tasks).svg());
    let labels = of_class(&elements, "t");
    let labels: Vec<_> = labels.iter().map(|label| label.text.as_str()).collect();
    assert_eq!(labels, ["fits", "does n…", "is too long, b…"]);
}

/// Tasks that were all stopped one by one, with long names and causes.
fn talkative(threads: usize, count: usize) -> Timeline {
    let rounds = (count / threads) as f64;
    let task = |n: usize| {
        let from = (n / threads) as f64 / rounds;
        let mut task = ran(n as u64, from, from + 1.0 / rounds);
        task.status = TaskStatus::Cancelled;
        task.asked = Some(seconds(from + 0.3 / rounds));
        task.seen = Some(seconds(from + 0.6 / rounds));
        task.lane = Some(n % threads);
        task.name = Some("a long name ".repeat(10).into());
        task.cause = Some("a long cause ".repeat(10));
        task
    };
    let tasks = (0..count).map(task).collect();
    Timeline::new(None, threads, seconds(1.0), tasks, 0)
}

#[test]
fn the_size_is_bounded() {
    for (threads, count) in [(4, 10_000), (64, 10_000), (64, 200_000)] {
        let svg = life(threads, count, 3.0, count).svg();
        let size = svg.len();
        assert!(
            size < SIZE_MOST,
            "{threads} lanes, {count} tasks: {size} bytes"
        );
        checked(&svg);
    }
    let size = talkative(64, 20_000).svg().len();
    assert!(size < SIZE_MOST, "{size} bytes");
    let size = wild(3, 50_000).svg().len();
    assert!(size < 2 * SIZE_MOST, "{size} bytes");
}

#[test]
fn lengths_from_nothing_to_years_are_drawn() {
    for nanos in [
        0,
        1,
        999,
        1_000,
        5_000_000,
        59_000_000_000,
        86_400_000_000_000 * 4,
        u64::MAX,
    ] {
        let length = Duration::from_nanos(nanos);
        let task = TimelineTask {
            lane: Some(0),
            started: Some(length / 3),
            ended: Some(length),
            ..blank(0, TaskStatus::Completed)
        };
        checked(&Timeline::new(None, 1, length, vec![task], 0).svg());
    }
}

#[test]
fn whatever_was_recorded_is_drawn_inside_of_the_frame() {
    for seed in 0..150 {
        checked(&wild(seed, seed * 2).svg());
    }
}
