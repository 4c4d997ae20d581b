//! surrounding
