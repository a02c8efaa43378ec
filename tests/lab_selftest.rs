//! The lab, tried on itself (being written).
