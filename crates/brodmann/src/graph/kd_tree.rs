//! A balanced k-d tree over 2-D and 3-D points whose answers break ties by index.
//!
//! Every node knows its bounding box and the lowest index in it. A box is entered only when it could hold a
//! pair `(squared distance, index)` below the worst kept so far, so a lattice (many equal distances) or a
//! pile of duplicates costs no more than points in general position, and the lowest indices win exactly.

/// Points in a leaf: small enough that scanning it costs less than one more level.
const LEAF_POINTS: usize = 8;
/// Below this many points a subtree is built on one thread.
const PARALLEL_BUILD: usize = 1 << 14;

#[derive(Clone, Copy)]
struct Node<const D: usize> {
    low: [f64; D],
    high: [f64; D],
    min_id: u32,
    start: u32,
    end: u32,
}

/// Points in tree order with a perfect binary tree above them, nodes in preorder.
pub(crate) struct KdTree<const D: usize> {
    points: Vec<([f64; D], u32)>,
    nodes: Vec<Node<D>>,
    levels: u32,
}

/// The `k` lowest `(squared distance, index)` pairs seen so far, rising.
pub(crate) struct Nearest {
    k: usize,
    found: Vec<(f64, u32)>,
}

impl Nearest {
    pub(crate) fn new(k: usize) -> Self {
        Self { k, found: Vec::with_capacity(k + 1) }
    }

    pub(crate) fn clear(&mut self) {
        self.found.clear();
    }

    pub(crate) fn pairs(&self) -> &[(f64, u32)] {
        &self.found
    }

    /// Could a point no nearer than `d2` and no lower than `id` still enter?
    #[inline]
    fn admits(&self, d2: f64, id: u32) -> bool {
        if self.found.len() < self.k {
            return true;
        }
        let (worst_d2, worst_id) = self.found[self.k - 1];
        d2 < worst_d2 || (d2 == worst_d2 && id < worst_id)
    }

    #[inline]
    fn offer(&mut self, d2: f64, id: u32) {
        if !self.admits(d2, id) {
            return;
        }
        if self.found.len() == self.k {
            self.found.pop();
        }
        // Insertion from the back: the list is short and new entries land near its end.
        let mut at = self.found.len();
        while at > 0 && (d2, id) < self.found[at - 1] {
            at -= 1;
        }
        self.found.insert(at, (d2, id));
    }
}

/// `Σ (a − b)²` in coordinate order: the one definition of distance that ties refer to.
#[inline]
pub(crate) fn squared_distance<const D: usize>(a: &[f64; D], b: &[f64; D]) -> f64 {
    let mut sum = 0.0;
    for axis in 0..D {
        let difference = a[axis] - b[axis];
        sum += difference * difference;
    }
    sum
}

impl<const D: usize> Node<D> {
    // Rounding is monotone, so this never exceeds the computed distance to a point in the box.
    #[inline]
    fn squared_distance(&self, query: &[f64; D]) -> f64 {
        let mut sum = 0.0;
        for axis in 0..D {
            let outside = (self.low[axis] - query[axis]).max(query[axis] - self.high[axis]).max(0.0);
            sum += outside * outside;
        }
        sum
    }

    // Monotone likewise: never below the computed distance to a point in the box.
    #[inline]
    fn largest_squared_distance(&self, query: &[f64; D]) -> f64 {
        let mut sum = 0.0;
        for axis in 0..D {
            let far = (query[axis] - self.low[axis]).abs().max((self.high[axis] - query[axis]).abs());
            sum += far * far;
        }
        sum
    }
}

impl<const D: usize> KdTree<D> {
    /// Indexes finite points; O(n log n).
    pub(crate) fn new(points: &[[f64; D]]) -> Self {
        let mut entries: Vec<([f64; D], u32)> =
            points.iter().enumerate().map(|(id, &point)| (point, id as u32)).collect();
        let mut levels = 0;
        while entries.len() >> levels > LEAF_POINTS {
            levels += 1;
        }
        let empty = Node { low: [0.0; D], high: [0.0; D], min_id: u32::MAX, start: 0, end: 0 };
        let mut nodes = vec![empty; (2 << levels) - 1];
        build(&mut entries, &mut nodes, 0, levels);
        Self { points: entries, nodes, levels }
    }

    /// Place of each point in the tree's order.
    pub(crate) fn positions(&self) -> Vec<u32> {
        let mut positions = vec![0u32; self.points.len()];
        for (at, entry) in self.points.iter().enumerate() {
            positions[entry.1 as usize] = at as u32;
        }
        positions
    }

    /// The point and index stored at place `position` of the tree's order, in which neighbours lie close.
    #[inline]
    pub(crate) fn entry(&self, position: usize) -> ([f64; D], u32) {
        self.points[position]
    }

    /// The nearest points to `query` except the one numbered `exclude`.
    pub(crate) fn nearest(&self, query: &[f64; D], exclude: u32, nearest: &mut Nearest) {
        nearest.clear();
        if nearest.k > 0 && !self.points.is_empty() {
            self.visit(0, self.levels, query, exclude, nearest);
        }
    }

    fn visit(&self, node: usize, level: u32, query: &[f64; D], exclude: u32, nearest: &mut Nearest) {
        if level == 0 {
            let leaf = &self.nodes[node];
            for (point, id) in &self.points[leaf.start as usize..leaf.end as usize] {
                if *id != exclude {
                    nearest.offer(squared_distance(point, query), *id);
                }
            }
            return;
        }
        let (left, right) = (node + 1, node + (1usize << level));
        let left_d2 = self.nodes[left].squared_distance(query);
        let right_d2 = self.nodes[right].squared_distance(query);
        let children = if right_d2 < left_d2 {
            [(right, right_d2), (left, left_d2)]
        } else {
            [(left, left_d2), (right, right_d2)]
        };
        for (child, d2) in children {
            if nearest.admits(d2, self.nodes[child].min_id) {
                self.visit(child, level - 1, query, exclude, nearest);
            }
        }
    }

    /// Number of points within `radius` of `query`, one at `query` itself included.
    pub(crate) fn count_within(&self, query: &[f64; D], radius: f64) -> usize {
        if self.points.is_empty() { 0 } else { self.visit_count(0, self.levels, query, radius) }
    }

    fn visit_count(&self, node: usize, level: u32, query: &[f64; D], radius: f64) -> usize {
        let bounds = &self.nodes[node];
        if bounds.squared_distance(query).sqrt() > radius {
            return 0;
        }
        if bounds.largest_squared_distance(query).sqrt() <= radius {
            return (bounds.end - bounds.start) as usize;
        }
        if level == 0 {
            return self.points[bounds.start as usize..bounds.end as usize]
                .iter()
                .filter(|(point, _)| squared_distance(point, query).sqrt() <= radius)
                .count();
        }
        self.visit_count(node + 1, level - 1, query, radius)
            + self.visit_count(node + (1usize << level), level - 1, query, radius)
    }

    /// Calls `found(index, distance)` for every point within `radius` of `query` except `exclude`.
    pub(crate) fn within(
        &self,
        query: &[f64; D],
        exclude: u32,
        radius: f64,
        found: &mut impl FnMut(u32, f64),
    ) {
        if !self.points.is_empty() {
            self.visit_within(0, self.levels, query, exclude, radius, found);
        }
    }

    fn visit_within(
        &self,
        node: usize,
        level: u32,
        query: &[f64; D],
        exclude: u32,
        radius: f64,
        found: &mut impl FnMut(u32, f64),
    ) {
        // Roots are compared, not squares: a spot at exactly `radius` must count as it will be reported.
        if self.nodes[node].squared_distance(query).sqrt() > radius {
            return;
        }
        if level == 0 {
            let leaf = &self.nodes[node];
            for (point, id) in &self.points[leaf.start as usize..leaf.end as usize] {
                let distance = squared_distance(point, query).sqrt();
                if *id != exclude && distance <= radius {
                    found(*id, distance);
                }
            }
            return;
        }
        self.visit_within(node + 1, level - 1, query, exclude, radius, found);
        self.visit_within(node + (1usize << level), level - 1, query, exclude, radius, found);
    }
}

fn build<const D: usize>(entries: &mut [([f64; D], u32)], nodes: &mut [Node<D>], start: usize, levels: u32) {
    let (mut low, mut high, mut min_id) = ([f64::INFINITY; D], [f64::NEG_INFINITY; D], u32::MAX);
    for (point, id) in entries.iter() {
        for axis in 0..D {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
        min_id = min_id.min(*id);
    }
    nodes[0] = Node { low, high, min_id, start: start as u32, end: (start + entries.len()) as u32 };
    if levels == 0 {
        return;
    }
    let mut axis = 0;
    for other in 1..D {
        if high[other] - low[other] > high[axis] - low[axis] {
            axis = other;
        }
    }
    let n_entries = entries.len();
    let middle = n_entries / 2;
    // Ordered by (coordinate, index): duplicates split by index, so the lowest ones share few nodes.
    entries.select_nth_unstable_by(middle, |a, b| a.0[axis].total_cmp(&b.0[axis]).then(a.1.cmp(&b.1)));
    let (left, right) = entries.split_at_mut(middle);
    let (left_nodes, right_nodes) = nodes[1..].split_at_mut((1usize << levels) - 1);
    if n_entries < PARALLEL_BUILD {
        build(left, left_nodes, start, levels - 1);
        build(right, right_nodes, start + middle, levels - 1);
    } else {
        rayon::join(
            || build(left, left_nodes, start, levels - 1),
            || build(right, right_nodes, start + middle, levels - 1),
        );
    }
}
