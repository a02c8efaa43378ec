//! Wrong lines, planted on purpose to see whether tests find them. Compiled only under the feature `planted`.
//!
//! A place of the logic that can be made wrong reads `if planted!(7) { wrong } else { right }`. Without the feature
//! the condition is the constant `false`. With it, [`with`] chooses one number for the code that it runs on this
//! thread, and counts how often that code came by the wrong line. What each number does wrong stands in the table of
//! `simnet/tests/planted`.
//!
//! This is the one piece of state that the pure crates keep outside their values. It never reaches a program that
//! ships: no crate enables the feature, and `daemon` does not compile with it. Invariant: after [`with`] the thread's
//! choice is what it was before, also after a panic.

use std::cell::Cell;

thread_local! {
    /// The number chosen on this thread (0 for none), and how often its line was reached.
    static CHOSEN: Cell<(u32, u64)> = const { Cell::new((0, 0)) };
}

/// Puts a thread's choice back.
struct Before((u32, u64));

impl Drop for Before {
    fn drop(&mut self) {
        CHOSEN.set(self.0);
    }
}

/// Runs `code` with the wrong line of this number chosen on this thread, 0 for none. Gives what it returned and how
/// often the wrong line was reached; a panic is handed on, so catch it inside.
pub fn with<T>(number: u32, code: impl FnOnce() -> T) -> (T, u64) {
    let _before = Before(CHOSEN.replace((number, 0)));
    let done = code();
    (done, CHOSEN.get().1)
}

/// Whether the wrong line of this number is to be taken. For `planted!`.
pub fn chosen(number: u32) -> bool {
    let (chosen, reached) = CHOSEN.get();
    let wrong = chosen == number;
    if wrong {
        CHOSEN.set((chosen, reached + 1));
    }
    wrong
}
