//! The suite as a list of trials, in the order in which they are tried against a fault.
//!
//! Random lives first, then statements in all orders (R11), then every other story of `simnet/tests/it`. A story that
//! is added there is added here; `tests/tidy/planted.rs` says so when it was forgotten.

use std::panic::{AssertUnwindSafe, catch_unwind};

use vigo_simnet::{Life, Scenario};

use crate::quiet;

/// How many random lives are tried against a fault.
pub const LIVES: u64 = 40;

/// Something that can find a fault.
#[derive(Debug, Clone, Copy)]
pub enum Trial {
    /// A random life from a seed.
    Life(u64),
    /// A story, by name.
    Story(&'static str, fn()),
}

macro_rules! stories {
    ($($module:ident: $($name:ident)+;)*) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), crate::$module::$name as fn()),)+)*]
    };
}

/// Every story, those in all orders first.
pub const STORIES: &[(&str, fn())] = stories! {
    authority:
        rings_of_revokes_end_alike_on_all_nodes_in_all_orders
        a_thief_ends_alike_on_all_nodes_in_all_orders
        a_revoked_operators_publishes_count_as_far_as_the_revoker_knew
        the_second_bolt_is_the_firsts_equal
        asking_at_one_bolt_and_approved_at_another
        a_setting_changes_how_often_everyone_converges
        a_name_taken_in_two_partitions_is_one_machines_everywhere
        an_invite_used_up_in_two_partitions_lets_one_in_everywhere
        a_restored_bolt_learns_whom_the_lost_one_let_in_and_they_outlive_it;
    stories:
        ten_nodes_converge_on_a_publish
        drift_is_put_back_by_the_next_run
        a_partition_heals_and_a_fork_of_epochs_has_one_winner
        a_late_node_catches_up_from_peers_while_every_bolt_is_down
        a_node_asleep_for_a_year_comes_back
        a_cloned_node_is_suspended
        a_revoked_node_is_cut_off_and_learns_why
        one_that_only_dials_is_served_through_bolts_and_serves_through_them
        a_node_with_an_old_disk_does_not_fork_itself
        time_begins_where_it_is_said_to;
    edges:
        runs_are_counted_on_after_a_restart
        a_node_that_was_away_takes_more_than_a_frame_of_records
        whom_a_bolt_let_in_last_outlives_it
        a_keep_saves_from_revokes_of_its_own_depth_and_below_alone;
    edges2:
        what_a_machine_says_counts_after_its_clock_was_set_back
        the_name_of_a_revoked_machine_is_its_successors
        a_bolt_that_gave_up_one_of_its_addresses_is_found_at_the_other
        a_publish_in_the_middle_of_a_run_is_run_at_once
        a_bolt_that_was_away_gets_the_log_of_one_that_was_revoked_meanwhile;
    hostile:
        a_member_that_floods_with_frames_is_cut_off
        a_member_that_floods_with_records_fills_nobody
        what_one_bolt_withholds_comes_from_others
        rotten_chunks_of_one_member_do_not_stop_the_others;
    power:
        a_bolt_loses_power_at_every_output
        an_envoy_loses_power_at_every_output
        a_bolt_with_an_old_disk_forgets_nobody
        a_bolt_with_an_old_disk_that_meets_an_envoy_first_is_no_clone
        what_was_run_is_not_undone_when_a_record_rots
        a_publisher_keeps_what_no_bolt_holds_yet
        a_machine_that_comes_back_in_1970_dials_again;
    lan:
        ten_nodes_that_know_no_address_find_each_other
        without_beacons_they_stay_alone
        a_fleet_setting_switches_beacons_off
        two_fleets_on_one_lan_do_not_mix
        a_node_that_only_dials_asks_and_is_answered
        an_interface_that_comes_later_is_spoken_on_at_once
        a_victim_that_beacons_name_is_dialed_once_a_minute
        a_machine_finds_the_fleet_on_its_lan_and_asks_to_join
        of_several_fleets_none_is_chosen_and_none_is_an_answer_too
        machines_that_all_moved_while_they_were_off_find_each_other_although_their_books_are_wrong;
    gossip:
        every_session_gets_its_link_and_a_setting_is_everywhere_at_once
        what_gossip_loses_reconciliation_brings_and_without_gossip_all_comes_too
        links_come_back_after_cuts_and_crashes
        a_node_that_only_dials_out_takes_part
        strangers_and_the_revoked_are_cut
        one_seed_tells_one_story;
    sketch:
        scattered_differences_heal_for_few_bytes_and_with_an_older_node_for_more;
    skew:
        a_wrong_clock_is_warned_of_until_it_is_right
        others_that_are_set_right_are_believed_at_their_next_ping;
    audit:
        an_edited_entry_is_found
        an_entry_that_was_bent_without_the_key_is_found
        a_dropped_entry_is_found
        entries_in_another_order_are_found
        a_log_that_was_cut_is_found
        a_disk_rolled_back_is_found
        two_histories_for_two_peers_are_found
        anchors_tell_of_what_was_taken_from_every_disk
        restarts_and_partitions_raise_no_alarm
        what_is_done_is_written_down_once_by_every_bolt
        who_knocks_for_ever_does_not_fill_a_log
        an_old_bolt_that_never_returns_keeps_its_log_and_a_new_one_gets_it
        words_that_come_late_raise_no_alarm;
    trouble:
        a_clogged_link_holds_everything_back_and_lets_it_go_in_order
        a_narrow_and_lossy_network_is_slower_and_converges
        nothing_behind_a_commit_happens_before_a_slow_disk_has_it
        commits_that_fail_are_tried_again_and_nothing_is_acknowledged_meanwhile
        what_rots_is_named_at_the_start_and_comes_back_from_peers
        an_envoy_without_its_address_book_waits_for_a_word_before_it_writes
        a_disk_that_lies_is_found_out_and_its_node_goes_on_or_is_named
        only_dialing_out_is_enough
        a_forger_is_believed_by_nobody
        a_replayer_changes_nothing
        a_withholder_keeps_nothing_from_anybody
        an_equivocator_is_found_and_suspended
        a_flood_leaves_equal_nodes
        rotten_chunks_stop_nobody
        stale_words_cost_little
        a_change_made_after_one_that_was_cut_off_counts_everywhere
        what_stands_before_the_last_that_a_revoker_saw_was_seen_too;
};

/// All trials in order.
pub fn all() -> Vec<Trial> {
    let lives = (1..=LIVES).map(Trial::Life);
    lives.chain(STORIES.iter().map(|(name, story)| Trial::Story(name, *story))).collect()
}

impl Trial {
    /// The story of this name.
    ///
    /// # Panics
    /// If there is none: a hint names it that was never right.
    pub fn story(name: &str) -> Trial {
        let found = STORIES.iter().find(|(known, _)| *known == name);
        let (name, story) =
            found.unwrap_or_else(|| panic!("a hint names the story {name:?}, which is not in the list"));
        Trial::Story(name, *story)
    }

    /// Tries it. What it found, if anything: a promise that was broken, or what it panicked with.
    pub fn run(self) -> Option<String> {
        let tried = quiet::panics(|| {
            catch_unwind(AssertUnwindSafe(|| match self {
                Trial::Life(seed) => Scenario::random(seed, &Life::short())
                    .run()
                    .err()
                    .map(|b| format!("{}: {}", b.promise, b.what)),
                Trial::Story(_, story) => {
                    story();
                    None
                }
            }))
        });
        tried.unwrap_or_else(|payload| Some(quiet::words(&*payload)))
    }
}

impl std::fmt::Display for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trial::Life(seed) => write!(f, "random life, seed {seed}"),
            Trial::Story(name, _) => write!(f, "{name}"),
        }
    }
}
