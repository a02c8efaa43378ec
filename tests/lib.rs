//! Checks over the whole tree.
