//! The middle of each label of a picture of labels.

use std::collections::HashMap;

use super::{Instances, scales};
use crate::DataError;
use crate::store::Store;
use crate::zarr::ZarrReader;

/// Pixels taken at once, unless a row of chunks has more.
const PIXELS: usize = 1 << 20;

/// Every label and the mean of its pixels' centres, chunk by chunk. A pixel is one unit wide, so that the centre of the
/// first lies at one half.
pub(super) fn instances(store: &ZarrReader, path: &str) -> Result<Instances, DataError> {
    let Some(finest) = scales(store, path)?.into_iter().next() else {
        return Ok(Instances { ids: Vec::new(), places: Vec::new(), radii: Vec::new() });
    };
    let by_name = |name: &str| finest.axes.iter().position(|a| a == name);
    let ([height, width], Some(0), Some(1)) = (&finest.shape[..], by_name("y"), by_name("x")) else {
        return Err(DataError::Shape {
            element: path.to_owned(),
            found: finest.shape,
            expected: "labels with the axes y and x".to_owned(),
        });
    };
    let (height, width) = (*height, *width);
    let Some(mut rows) = store.sequence::<i64>(&finest.path)? else {
        return Err(DataError::Encoding {
            element: path.to_owned(),
            encoding: format!("{:?}", store.info(&finest.path)?.element),
        });
    };
    // Sums of x and y and the number of pixels; whole numbers, so that no order of adding matters.
    let mut sums: HashMap<i64, [u128; 3]> = HashMap::new();
    let mut next = 0;
    while next < height && width > 0 {
        let n = (PIXELS / width).clamp(1, height - next);
        let pixels = rows.take(n)?;
        for (y, row) in (next..).zip(pixels.chunks_exact(width)) {
            let mut start = 0;
            for run in row.chunk_by(|a, b| a == b) {
                let (len, end) = (run.len() as u128, start + run.len());
                let sum = sums.entry(run[0]).or_default();
                // Twice the sum of x: the first and the last, as often as there are pixels.
                sum[0] += (start as u128 + end as u128 - 1) * len;
                sum[1] += 2 * y as u128 * len;
                sum[2] += len;
                start = end;
            }
        }
        next += n;
    }
    let mut labels: Vec<(i64, [u128; 3])> = sums.into_iter().collect();
    labels.sort_unstable();
    let mut found = Instances { ids: Vec::new(), places: Vec::new(), radii: Vec::new() };
    for (label, [x, y, n]) in labels {
        let middle = |twice: u128| twice as f64 / (2.0 * n as f64) + 0.5;
        found.ids.push(label.to_string());
        found.places.push(finest.to_element.apply([middle(x), middle(y)]));
    }
    Ok(found)
}
