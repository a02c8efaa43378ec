//! Causal pasts, as sets of bits.
//!
//! The past of a statement is everything that can be reached over `after`. It walks over statements that do not
//! count as well: having seen something is a fact, whatever it is worth. The set is a function of the statements
//! known, never of the order in which they came.

use std::collections::BTreeMap;
use std::sync::Arc;

use vigo_base::Hash;

use crate::admissions::Said;

/// Numbers for the statements known.
pub(super) struct Index<'a> {
    statements: &'a BTreeMap<Hash, Arc<Said>>,
    ids: Vec<Hash>,
}

/// The statements that one statement has seen, itself not among them.
pub(super) struct Past(Vec<u64>);

impl<'a> Index<'a> {
    pub(super) fn new(statements: &'a BTreeMap<Hash, Arc<Said>>) -> Index<'a> {
        Index { statements, ids: statements.keys().copied().collect() }
    }

    fn number(&self, id: &Hash) -> Option<usize> {
        self.ids.binary_search(id).ok()
    }

    /// Everything reachable from these heads, the heads too.
    pub(super) fn past(&self, heads: &[Hash]) -> Past {
        let mut bits = vec![0u64; self.ids.len().div_ceil(64)];
        let mut open: Vec<usize> = heads.iter().filter_map(|id| self.number(id)).collect();
        while let Some(n) = open.pop() {
            let (word, bit) = (n / 64, 1 << (n % 64));
            if bits[word] & bit != 0 {
                continue;
            }
            bits[word] |= bit;
            if let Some(said) = self.statements.get(&self.ids[n]) {
                open.extend(said.statement.after().iter().filter_map(|id| self.number(id)));
            }
        }
        Past(bits)
    }

    /// Whether `id` is in `past`.
    pub(super) fn holds(&self, past: &Past, id: &Hash) -> bool {
        self.number(id).is_some_and(|n| past.0[n / 64] & (1 << (n % 64)) != 0)
    }
}
