//! A node is told when its clock is wrong, by those of the others, and when it is right again.

use vigo_base::time::{hours, mins, secs};
use vigo_node::Event;
use vigo_simnet::{Fleet, Ix, Skew};

use crate::stories::{fleet, twice};

fn warning(fleet: &mut Fleet, ix: Ix) -> Option<String> {
    fleet.status(ix).warnings.into_iter().find(|line| line.contains("clock"))
}

fn lines(fleet: &Fleet, ix: Ix) -> usize {
    let said = |event: &Event| matches!(event, Event::Note(text) if text.contains("clock"));
    fleet.machine(ix).events.iter().filter(|(_, event)| said(event)).count()
}

#[test]
pub(crate) fn a_wrong_clock_is_warned_of_until_it_is_right() {
    twice(31, |seed| {
        let (mut fleet, all) = fleet(seed, 2, 4);
        fleet.elapse(mins(2));
        for ix in &all {
            assert_eq!(warning(&mut fleet, *ix), None, "{ix}");
        }
        // While it runs, as a person or a bad time server does.
        let wrong = all[4];
        fleet.set_wall_clock(wrong, -(hours(3) as i64));
        fleet.elapse(secs(10));
        let warned = warning(&mut fleet, wrong).expect("a warning");
        assert!(warned.contains("about 3 hours behind those of ") && warned.contains("chrony"), "{warned}");
        fleet.elapse(mins(10));
        for ix in all.iter().filter(|ix| **ix != wrong) {
            assert_eq!(warning(&mut fleet, *ix), None, "one wrong clock among others proves nothing: {ix}");
        }
        assert_eq!(lines(&fleet, wrong), 1, "said once");
        fleet.set_wall_clock(wrong, -(secs(20) as i64));
        fleet.elapse(secs(10));
        assert_eq!(warning(&mut fleet, wrong), None);
        assert_eq!(lines(&fleet, wrong), 2, "and that it is right again");
        // From its start on, as after an empty battery; then it is set.
        fleet.kill(wrong);
        fleet.machine_mut(wrong).clock = Skew { ahead: hours(2) as i64, gains: 0 };
        fleet.start(wrong);
        fleet.elapse(mins(2));
        let warned = warning(&mut fleet, wrong).expect("a warning");
        assert!(warned.contains("about 2 hours ahead of those of "), "{warned}");
        fleet.set_wall_clock(wrong, -(hours(2) as i64));
        fleet.elapse(secs(10));
        assert_eq!(warning(&mut fleet, wrong), None);
        fleet
    });
}

#[test]
pub(crate) fn others_that_are_set_right_are_believed_at_their_next_ping() {
    twice(32, |seed| {
        let (mut fleet, all) = fleet(seed, 1, 2);
        all[1..].iter().for_each(|ix| fleet.set_wall_clock(*ix, hours(1) as i64));
        fleet.elapse(mins(2));
        assert!(warning(&mut fleet, 0).is_some_and(|w| w.contains("2 of the 2")));
        all[1..].iter().for_each(|ix| fleet.set_wall_clock(*ix, 0));
        fleet.elapse(mins(2));
        assert_eq!(warning(&mut fleet, 0), None);
        fleet
    });
}
