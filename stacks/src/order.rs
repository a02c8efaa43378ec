//! The order of steps: a topological order that stays as near to the order of the files as the edges allow.
//!
//! It knows nothing of resources. The invariant it keeps: the same nodes and edges give the same order.

use std::collections::BTreeSet;

/// A graph of `keys.len()` nodes; among nodes that may come next, the one with the smallest key does.
pub(crate) struct Graph {
    keys: Vec<usize>,
    after: Vec<Vec<usize>>,
    before: Vec<Vec<usize>>,
}

impl Graph {
    /// A graph without edges.
    pub fn new(keys: Vec<usize>) -> Graph {
        let n = keys.len();
        Graph { keys, after: vec![Vec::new(); n], before: vec![Vec::new(); n] }
    }

    /// `first` comes before `then`.
    pub fn edge(&mut self, first: usize, then: usize) {
        self.after[first].push(then);
        self.before[then].push(first);
    }

    /// All nodes in order.
    ///
    /// # Errors
    /// The nodes of one cycle, in the direction of the edges.
    pub fn sort(&self) -> Result<Vec<usize>, Vec<usize>> {
        let mut open: Vec<usize> = self.before.iter().map(Vec::len).collect();
        let mut ready: BTreeSet<(usize, usize)> =
            (0..open.len()).filter(|n| open[*n] == 0).map(|n| (self.keys[n], n)).collect();
        let mut order = Vec::with_capacity(open.len());
        while let Some((_, node)) = ready.pop_first() {
            order.push(node);
            for then in &self.after[node] {
                open[*then] -= 1;
                if open[*then] == 0 {
                    ready.insert((self.keys[*then], *then));
                }
            }
        }
        if order.len() == open.len() { Ok(order) } else { Err(self.cycle(&open)) }
    }

    /// A cycle among the nodes that still wait: each has a predecessor that waits too.
    fn cycle(&self, open: &[usize]) -> Vec<usize> {
        let mut path = Vec::new();
        let mut place = vec![usize::MAX; open.len()];
        let mut at = open.iter().position(|o| *o > 0);
        while let Some(node) = at {
            if place[node] != usize::MAX {
                let mut cycle = path.split_off(place[node]);
                cycle.reverse();
                let least = (0..cycle.len()).min_by_key(|i| self.keys[cycle[*i]]).unwrap_or(0);
                cycle.rotate_left(least);
                return cycle;
            }
            place[node] = path.len();
            path.push(node);
            at = self.before[node].iter().copied().filter(|b| open[*b] > 0).max();
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(n: usize, edges: &[(usize, usize)]) -> Result<Vec<usize>, Vec<usize>> {
        let mut graph = Graph::new((0..n).collect());
        edges.iter().for_each(|(a, b)| graph.edge(*a, *b));
        graph.sort()
    }

    #[test]
    fn the_order_of_the_files_is_kept_where_it_may() {
        assert_eq!(sorted(4, &[]), Ok(vec![0, 1, 2, 3]));
        assert_eq!(sorted(4, &[(3, 0)]), Ok(vec![1, 2, 3, 0]));
        assert_eq!(sorted(3, &[(2, 1), (1, 0), (2, 0)]), Ok(vec![2, 1, 0]));
    }

    #[test]
    fn a_cycle_is_named_by_its_members() {
        assert_eq!(sorted(5, &[(0, 1), (1, 3), (3, 1), (3, 4)]), Err(vec![1, 3]));
        assert_eq!(sorted(2, &[(1, 1)]), Err(vec![1]));
        assert_eq!(sorted(4, &[(1, 2), (2, 3), (3, 1)]), Err(vec![1, 2, 3]));
    }
}
