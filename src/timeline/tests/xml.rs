//! As much of an XML parser as it takes to see that a picture is one, and where its parts are.

use std::collections::BTreeMap;

/// An element, and how deep in the others it is.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) text: String,
    pub(super) depth: usize,
}

impl Element {
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.attributes.get(name)?.parse().ok()
    }

    pub(super) fn class(&self) -> &str {
        self.attributes.get("class").map_or("", String::as_str)
    }
}

/// All elements in the order in which they begin. Panics unless it is well-formed.
pub(super) fn parse(mut rest: &str) -> Vec<Element> {
    let bad = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{fffe}' | '\u{ffff}');
    assert!(!rest.contains(bad));
    let (mut elements, mut open) = (Vec::<Element>::new(), Vec::<usize>::new());
    while let Some(at) = rest.find('<') {
        let text = unescape(&rest[..at]);
        match open.last() {
            Some(last) => elements[*last].text.push_str(&text),
            None => assert_eq!(text.trim(), ""),
        }
        let end = at + rest[at..].find('>').expect("an end of the tag");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop().expect("a beginning of the element");
            assert_eq!(elements[last].name, name);
            continue;
        }
        let (tag, is_whole) = tag
            .strip_suffix('/')
            .map_or((tag, false), |tag| (tag, true));
        assert!(!open.is_empty() || elements.is_empty(), "one root");
        elements.push(element(tag, open.len()));
        if !is_whole {
            open.push(elements.len() - 1);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty());
    elements
}

fn element(tag: &str, depth: usize) -> Element {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    assert!(name.chars().all(|c| c.is_ascii_alphabetic()), "{name:?}");
    let mut attributes = BTreeMap::new();
    while !rest.trim().is_empty() {
        let (key, value) = rest.split_once("=\"").expect("a value");
        let (value, after) = value.split_once('"').expect("an end of the value");
        assert!(after.is_empty() || after.starts_with(' '), "{tag}");
        let twice = attributes.insert(key.trim().to_owned(), unescape(value));
        assert_eq!(twice, None, "{tag}");
        rest = after;
    }
    Element {
        name: name.to_owned(),
        attributes,
        text: String::new(),
        depth,
    }
}

fn unescape(text: &str) -> String {
    let entities = ["&amp;", "&lt;", "&gt;", "&quot;"];
    for (at, _) in text.match_indices('&') {
        let known = entities.iter().any(|entity| text[at..].starts_with(entity));
        assert!(known, "{text:?}");
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&quot;", "\"").replace("&amp;", "&")
}
