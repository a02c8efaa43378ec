//! Fleets of nodes that do not all know the same, and what they then say to each other.
//!
//! A node that knows no sketches is the shipped one, told so by its options, as its operator could. It decides nothing and
//! draws no dice.

use crate::{Figures, Fleet, Ix};

impl Fleet {
    /// One in so many of the machines that are added from now on runs a version that knows no sketches.
    pub fn with_older_nodes(mut self, one_in: usize) -> Fleet {
        self.older = one_in;
        self
    }

    pub(crate) fn is_older(&self, ix: Ix) -> bool {
        self.older > 0 && ix % self.older == self.older - 1
    }

    /// Measures from now on what these machines say to each other.
    pub fn measure(&mut self, members: &[Ix]) {
        let now = self.now();
        self.meter.begin(now, members.iter().copied());
    }

    /// What was measured.
    pub fn figures(&self) -> Figures {
        self.meter.figures(self.machines.len())
    }
}

/// The branch that a frame shows, if it is worth naming.
pub(crate) fn shown_by(frame: &[u8]) -> Option<&'static str> {
    // An array of two: the number of the frame, then what it says.
    match frame {
        [0x82, 4, ..] => Some("sets were compared by ranges"),
        [0x82, 16, ..] => Some("a sketch was asked for"),
        [0x82, 18, ..] => Some("records were asked for by short names"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use vigo_node::crdt::Space;
    use vigo_node::swarm::frame::{Bytes, Frame};

    use super::*;

    #[test]
    fn branches_are_told_by_how_their_frames_begin() {
        let frames = [
            Frame::Compare(Space::config(), Bytes::from(vec![1])),
            Frame::Sketch(Space::config(), 64),
            Frame::want_short(Space::config(), &[]),
            Frame::PeersPlease,
        ];
        let shown = frames.map(|frame| shown_by(&frame.encode()).map(|what| &what[..4]));
        assert_eq!(shown, [Some("sets"), Some("a sk"), Some("reco"), None]);
    }
}
