pub(super) fn none() {}
