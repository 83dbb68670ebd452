//! Geometries as well-known binary: <https://libgeos.org/specifications/wkb/>

/// What a geometry consists of.
enum Part<'a> {
    Point([f64; 2]),
    Ring { points: &'a [[f64; 2]], is_hole: bool },
}

/// Bytes of a geometry, taken from the front.
struct Wkb<'a> {
    bytes: &'a [u8],
}

impl Wkb<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or("a geometry that ends too early")?;
        self.bytes = rest;
        Ok(*head)
    }

    fn u32(&mut self, big: bool) -> Result<u32, String> {
        self.take().map(if big { u32::from_be_bytes } else { u32::from_le_bytes })
    }

    fn f64(&mut self, big: bool) -> Result<f64, String> {
        self.take().map(if big { f64::from_be_bytes } else { f64::from_le_bytes })
    }

    fn point(&mut self, big: bool, extra: usize) -> Result<[f64; 2], String> {
        let point = [self.f64(big)?, self.f64(big)?];
        (0..extra).try_for_each(|_| self.f64(big).map(drop))?;
        Ok(point)
    }
}

/// Twice the area and the moments of what was gathered, relative to a point of it: far from the origin their
/// differences would lose the digits that matter.
#[derive(Default)]
struct Gathered {
    origin: Option<[f64; 2]>,
    area: f64,
    moment: [f64; 2],
    /// Of points, where there is no area.
    points: Vec<[f64; 2]>,
}

impl Gathered {
    fn add(&mut self, part: &Part<'_>) {
        let (points, is_hole) = match *part {
            Part::Point(point) => {
                self.origin.get_or_insert(point);
                self.points.push(point);
                return;
            }
            Part::Ring { points, is_hole } => (points, is_hole),
        };
        let Some(&first) = points.first() else { return };
        let [ox, oy] = *self.origin.get_or_insert(first);
        let (mut area, mut moment) = (0.0, [0.0; 2]);
        for (a, b) in points.iter().zip(points.iter().skip(1).chain([&first])) {
            let ([ax, ay], [bx, by]) = ([a[0] - ox, a[1] - oy], [b[0] - ox, b[1] - oy]);
            let cross = ax * by - bx * ay;
            area += cross;
            moment[0] += (ax + bx) * cross;
            moment[1] += (ay + by) * cross;
        }
        // Whichever way round a ring goes: outer rings count for, holes against.
        let sign = if (area < 0.0) == is_hole { 1.0 } else { -1.0 };
        self.area += sign * area;
        self.moment[0] += sign * moment[0];
        self.moment[1] += sign * moment[1];
        if !is_hole {
            self.points.extend_from_slice(points);
        }
    }
}

/// The middle of a point, polygon or several polygons: by area, and holes count against it.
///
/// # Errors
/// In words, for bytes that are no such geometry.
pub(crate) fn centroid(wkb: &[u8]) -> Result<[f64; 2], String> {
    let mut gathered = Gathered::default();
    each_part(&mut Wkb { bytes: wkb }, 0, &mut |part| gathered.add(&part))?;
    let [ox, oy] = gathered.origin.ok_or("a geometry of nothing")?;
    if gathered.area != 0.0 {
        let by = 3.0 * gathered.area;
        return Ok([ox + gathered.moment[0] / by, oy + gathered.moment[1] / by]);
    }
    let n = gathered.points.len() as f64;
    let mean = |k: usize| gathered.points.iter().map(|p| p[k]).sum::<f64>() / n;
    Ok([mean(0), mean(1)])
}

/// The outer ring of the largest polygon; empty where there is none.
///
/// # Errors
/// As [`centroid`].
pub(crate) fn largest_ring(wkb: &[u8]) -> Result<Vec<[f64; 2]>, String> {
    let (mut largest, mut most) = (Vec::new(), f64::NEG_INFINITY);
    each_part(&mut Wkb { bytes: wkb }, 0, &mut |part| {
        let Part::Ring { points, is_hole: false } = part else { return };
        let mut alone = Gathered::default();
        alone.add(&part);
        if alone.area > most {
            most = alone.area;
            largest = points.to_vec();
        }
    })?;
    Ok(largest)
}

fn each_part(wkb: &mut Wkb<'_>, depth: usize, take: &mut dyn FnMut(Part<'_>)) -> Result<(), String> {
    let [order] = wkb.take::<1>()?;
    let big = order == 0;
    let code = wkb.u32(big)?;
    // Two ways to say that points have a third or fourth number, and one to say that a reference system follows.
    let (flags, code) = (code & 0xE000_0000, code & 0x1FFF_FFFF);
    let extra = usize::from(flags & 0x8000_0000 != 0)
        + usize::from(flags & 0x4000_0000 != 0)
        + match code / 1000 {
            0 => 0,
            1 | 2 => 1,
            _ => 2,
        };
    if flags & 0x2000_0000 != 0 {
        wkb.u32(big)?;
    }
    match code % 1000 {
        1 => {
            take(Part::Point(wkb.point(big, extra)?));
        }
        3 => {
            for ring in 0..wkb.u32(big)? {
                let n = wkb.u32(big)?;
                let mut points = Vec::new();
                for _ in 0..n {
                    points.push(wkb.point(big, extra)?);
                }
                take(Part::Ring { points: &points, is_hole: ring > 0 });
            }
        }
        4 | 6 | 7 if depth < 8 => {
            for _ in 0..wkb.u32(big)? {
                each_part(wkb, depth + 1, take)?;
            }
        }
        other => return Err(format!("a geometry of the kind {other}; expected points and polygons")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(points: &[[f64; 2]]) -> Vec<u8> {
        let mut bytes = (points.len() as u32).to_le_bytes().to_vec();
        points.iter().flatten().for_each(|v| bytes.extend(v.to_le_bytes()));
        bytes
    }

    fn polygon(rings: &[&[[f64; 2]]]) -> Vec<u8> {
        let mut bytes = vec![1, 3, 0, 0, 0];
        bytes.extend((rings.len() as u32).to_le_bytes());
        for points in rings {
            bytes.extend(ring(points));
        }
        bytes
    }

    const SQUARE: [[f64; 2]; 5] = [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0], [0.0, 0.0]];

    #[test]
    fn the_middle_is_weighted_by_area_and_holes_count_against_it() {
        assert_eq!(centroid(&polygon(&[&SQUARE])), Ok([2.0, 2.0]));
        let mut back = SQUARE;
        back.reverse();
        assert_eq!(centroid(&polygon(&[&back])), Ok([2.0, 2.0]));
        // Without its right half, whichever way the hole goes round.
        let hole = [[2.0, 0.0], [4.0, 0.0], [4.0, 4.0], [2.0, 4.0], [2.0, 0.0]];
        let middle = centroid(&polygon(&[&SQUARE, &hole])).expect("a polygon");
        assert!((middle[0] - 1.0).abs() < 1e-12 && (middle[1] - 2.0).abs() < 1e-12, "{middle:?}");
        // Two polygons, the second of a quarter of the area.
        let far = [[10.0, 0.0], [12.0, 0.0], [12.0, 2.0], [10.0, 2.0]];
        let mut several = vec![1, 6, 0, 0, 0, 2, 0, 0, 0];
        several.extend(polygon(&[&SQUARE]));
        several.extend(polygon(&[&far]));
        let middle = centroid(&several).expect("polygons");
        assert!((middle[0] - (16.0 * 2.0 + 4.0 * 11.0) / 20.0).abs() < 1e-12, "{middle:?}");
        // Of these the first is the outline, and a hole is none.
        assert_eq!(largest_ring(&several).expect("polygons"), SQUARE);
        assert_eq!(largest_ring(&polygon(&[&far, &SQUARE])).expect("a polygon"), far);
    }

    #[test]
    fn broken_geometries_are_refused() {
        let whole = polygon(&[&SQUARE]);
        for end in 0..whole.len() {
            assert!(centroid(&whole[..end]).is_err() && largest_ring(&whole[..end]).is_err());
        }
        let mut huge = whole.clone();
        huge[5..9].fill(0xFF);
        assert!(centroid(&huge).is_err());
        let mut line = whole;
        line[1] = 2;
        assert!(centroid(&line).is_err());
        let nested: Vec<u8> = [1, 7, 0, 0, 0, 1, 0, 0, 0].repeat(1000);
        assert!(centroid(&nested).is_err());
    }
}
