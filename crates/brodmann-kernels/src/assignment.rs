//! The best matching of two sets of names.

/// For each row the column assigned to it, one to one, so that the sum of `gain` is greatest. With more rows than
/// columns some rows get none.
///
/// # Inputs
/// `gain`: rows of equal length, values ≥ 0 that sum to less than 2⁶².
/// # Cost
/// O(r² c) for `r` the shorter side (shortest augmenting paths).
/// # Source
/// Kuhn 1955; the form with potentials is Jonker & Volgenant 1987, Computing 38:325.
pub fn best_assignment(gain: &[Vec<i64>]) -> Vec<Option<usize>> {
    let (rows, columns) = (gain.len(), gain.first().map_or(0, Vec::len));
    if rows == 0 || columns == 0 {
        return vec![None; rows];
    }
    // Each of the shorter side is matched; the loop below wants that as rows.
    if rows <= columns {
        let matched = match_rows(rows, columns, |i, j| -gain[i][j]);
        return matched.into_iter().map(Some).collect();
    }
    let mut result = vec![None; rows];
    for (column, row) in match_rows(columns, rows, |j, i| -gain[i][j]).into_iter().enumerate() {
        result[row] = Some(column);
    }
    result
}

/// The column of each row at least total cost, `rows <= columns`.
fn match_rows(rows: usize, columns: usize, cost: impl Fn(usize, usize) -> i64) -> Vec<usize> {
    const NONE: usize = usize::MAX;
    let (mut row_price, mut column_price) = (vec![0i64; rows], vec![0i64; columns]);
    let mut owner = vec![NONE; columns];
    for new in 0..rows {
        // Dijkstra over columns, from the new row to the first column without an owner.
        let (mut shortest, mut before) = (vec![i64::MAX; columns], vec![NONE; columns]);
        let mut done = vec![false; columns];
        let (mut row, mut last) = (new, NONE);
        let free = loop {
            let (mut nearest, mut least) = (NONE, i64::MAX);
            let at = if last == NONE { 0 } else { shortest[last] };
            for j in (0..columns).filter(|&j| !done[j]) {
                let through = at + cost(row, j) - row_price[row] - column_price[j];
                if through < shortest[j] {
                    shortest[j] = through;
                    before[j] = last;
                }
                if shortest[j] < least {
                    (nearest, least) = (j, shortest[j]);
                }
            }
            done[nearest] = true;
            if owner[nearest] == NONE {
                break nearest;
            }
            (row, last) = (owner[nearest], nearest);
        };
        let total = shortest[free];
        row_price[new] += total;
        for j in (0..columns).filter(|&j| done[j] && j != free) {
            row_price[owner[j]] += total - shortest[j];
            column_price[j] -= total - shortest[j];
        }
        // Turn the path round.
        let mut column = free;
        while before[column] != NONE {
            owner[column] = owner[before[column]];
            column = before[column];
        }
        owner[column] = new;
    }
    let mut matched = vec![NONE; rows];
    for (column, &row) in owner.iter().enumerate().filter(|(_, row)| **row != NONE) {
        matched[row] = column;
    }
    matched
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    fn total(gain: &[Vec<i64>], matched: &[Option<usize>]) -> i64 {
        gain.iter().zip(matched).filter_map(|(row, m)| m.map(|j| row[j])).sum()
    }

    /// Over all one-to-one matchings.
    fn brute_force(gain: &[Vec<i64>], row: usize, used: &mut Vec<bool>) -> i64 {
        if row == gain.len() {
            return 0;
        }
        let mut best = brute_force(gain, row + 1, used);
        for j in 0..used.len() {
            if !used[j] {
                used[j] = true;
                best = best.max(gain[row][j] + brute_force(gain, row + 1, used));
                used[j] = false;
            }
        }
        best
    }

    #[test]
    fn matchings_are_the_best_there_are() {
        for case in 0..400u64 {
            let (rows, columns) = (1 + (case % 5) as usize, 1 + (case / 5 % 6) as usize);
            let gain: Vec<Vec<i64>> = (0..rows)
                .map(|i| (0..columns).map(|j| (Seed(case).word((i * 7 + j) as u64) % 9) as i64).collect())
                .collect();
            let matched = best_assignment(&gain);
            let mut columns_used: Vec<usize> = matched.iter().flatten().copied().collect();
            columns_used.sort_unstable();
            columns_used.dedup();
            assert_eq!(columns_used.len(), rows.min(columns));
            assert_eq!(total(&gain, &matched), brute_force(&gain, 0, &mut vec![false; columns]), "{gain:?}");
        }
    }

    #[test]
    fn nothing_matches_nothing() {
        assert!(best_assignment(&[]).is_empty());
        assert_eq!(best_assignment(&[vec![], vec![]]), [None, None]);
    }
}
