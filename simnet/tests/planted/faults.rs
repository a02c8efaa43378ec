//! The table of planted faults: one wrong line each, in the logic that ships.
//!
//! A line reads `planted!(N)` in the file that the table names; `tests/tidy/planted.rs` sees to it that lines and table
//! agree. A fault changes what a node does: one that no test could ever tell from the right line does not belong here.

/// One wrong line.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The number in `planted!(N)`.
    pub number: u32,
    /// What it is called in listings.
    pub name: &'static str,
    /// The file it stands in, from the root of the tree.
    pub place: &'static str,
    /// What the line does wrong.
    pub wrong: &'static str,
    /// What is tried first: a seed of a life or the name of a story. It saves time and proves nothing.
    pub hint: Hint,
}

/// What is tried first against a fault.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "each kind is there for whoever writes the next row")]
pub enum Hint {
    /// Nothing in particular.
    None,
    /// The life from this seed.
    Seed(u64),
    /// The story of this name.
    Story(&'static str),
}

/// How many there are to be.
pub const PLANTED: usize = 20;
/// How many of twenty must be found.
pub const FOUND_OF_TWENTY: usize = 19;
/// Those that the suite does not find, by number. Each is told in docs/simulation.md with the reason.
pub const MISSED: &[u32] = &[];

const fn fault(
    number: u32,
    name: &'static str,
    place: &'static str,
    wrong: &'static str,
    hint: Hint,
) -> Fault {
    Fault { number, name, place, wrong, hint }
}

/// The first ten were written beside the suite, the others without looking at it.
pub const FAULTS: &[Fault] = &[
    fault(
        1,
        "unsigned records",
        "crdt/src/record.rs",
        "a record's author must be a key, but the signature is not checked",
        Hint::Story("audit::an_entry_that_was_bent_without_the_key_is_found"),
    ),
    fault(
        2,
        "no depth cut",
        "spanner/src/authority/mod.rs",
        "a revoke reaches keys that stand beside or above whoever signed it",
        Hint::Story("authority::rings_of_revokes_end_alike_on_all_nodes_in_all_orders"),
    ),
    fault(
        3,
        "one record too many",
        "node/src/intake.rs",
        "a frame of records is closed one record too late, and its receiver hangs up on it",
        Hint::Story("edges::a_node_that_was_away_takes_more_than_a_frame_of_records"),
    ),
    fault(
        4,
        "first come, first served",
        "spanner/src/roster.rs",
        "of two machines that were given one name or one use, the first heard of keeps it",
        Hint::Story("authority::a_name_taken_in_two_partitions_is_one_machines_everywhere"),
    ),
    fault(
        5,
        "the last run is not kept",
        "node/src/tell.rs",
        "what the last run came to is told and not persisted: a restart counts from one again",
        Hint::Story("edges::runs_are_counted_on_after_a_restart"),
    ),
    fault(
        6,
        "requests die with a connection",
        "swarm/src/exchange/mod.rs",
        "what was asked for on a connection that ended is not asked for again",
        Hint::Seed(12),
    ),
    fault(
        7,
        "epochs without ids",
        "node/src/follow.rs",
        "against the publish that was last run, only the epoch of another is looked at and not its id",
        Hint::Story("stories::a_partition_heals_and_a_fork_of_epochs_has_one_winner"),
    ),
    fault(
        8,
        "stale digests",
        "crdt/src/replica.rs",
        "what no longer counts, or counts again, goes on in the digest that was made before",
        Hint::Seed(12),
    ),
    fault(
        9,
        "up to, and not including",
        "spanner/src/authority/nodes.rs",
        "whom a bolt let in last before its revoker looked falls with it",
        Hint::Story("edges::whom_a_bolt_let_in_last_outlives_it"),
    ),
    fault(
        10,
        "anybody may keep",
        "spanner/src/authority/mod.rs",
        "a keep saves from every revoke, however high the revoker stands above whoever signed the keep",
        Hint::Story("edges::a_keep_saves_from_revokes_of_its_own_depth_and_below_alone"),
    ),
    fault(
        11,
        "the latest stamp wins",
        "crdt/src/replica.rs",
        "of a register's values the one with the latest stamp counts, and not the last that was written",
        Hint::Story("edges2::what_a_machine_says_counts_after_its_clock_was_set_back"),
    ),
    fault(
        12,
        "sight of the tips alone",
        "spanner/src/authority/judge.rs",
        "a revoker is taken to have seen the ends of a thread only, not what stands before them",
        Hint::Story("trouble::what_stands_before_the_last_that_a_revoker_saw_was_seen_too"),
    ),
    fault(
        13,
        "names of the revoked",
        "spanner/src/authority/nodes.rs",
        "a node that was revoked keeps its name: a new machine does not get it",
        Hint::Story("edges2::the_name_of_a_revoked_machine_is_its_successors"),
    ),
    fault(
        14,
        "the best address alone",
        "swarm/src/peers/book.rs",
        "of a peer's addresses only the best is ever dialed, however often that fails",
        Hint::Story("edges2::a_bolt_that_gave_up_one_of_its_addresses_is_found_at_the_other"),
    ),
    fault(
        15,
        "links of those who left",
        "swarm/src/gossip/links.rs",
        "the gossip link to one who was a member and is none now stays open",
        Hint::Story("gossip::strangers_and_the_revoked_are_cut"),
    ),
    fault(
        16,
        "after the least parent",
        "content/src/config/view.rs",
        "a publish after two others has the epoch after the lower one's, not after the higher one's",
        Hint::Seed(13),
    ),
    fault(
        17,
        "a policy that waits",
        "node/src/follow.rs",
        "a policy that came while a run was under way is not run at once but after the interval",
        Hint::Story("edges2::a_publish_in_the_middle_of_a_run_is_run_at_once"),
    ),
    fault(
        18,
        "anybody's word",
        "node/src/intake.rs",
        "a node with an old disk takes up its writing after any peer's word, where a bolt's is needed",
        Hint::Story("power::a_bolt_with_an_old_disk_that_meets_an_envoy_first_is_no_clone"),
    ),
    fault(
        19,
        "fetches know old peers",
        "node/src/session.rs",
        "a peer that comes while something is fetched is not asked for it",
        Hint::Seed(9),
    ),
    fault(
        20,
        "logs of the revoked",
        "node/src/audit/mod.rs",
        "the logs of bolts that were revoked are not reconciled between the others",
        Hint::Story("edges2::a_bolt_that_was_away_gets_the_log_of_one_that_was_revoked_meanwhile"),
    ),
];
