//! Mutations by number: the same number gives the same file, on any machine.

/// Random numbers that are a function of a name, an index and a counter.
pub struct Draws {
    key: u64,
    counter: u64,
}

impl Draws {
    pub fn of(name: &str, index: u64) -> Self {
        let key = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Self { key: mixed(key ^ mixed(index)), counter: 0 }
    }

    pub fn next(&mut self) -> u64 {
        self.counter += 1;
        mixed(self.key.wrapping_add(self.counter.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Below `n`; 0 where there is nothing below.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next() % n as u64) as usize }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What stands in a text where nobody expects it.
const WORDS: [&str; 22] = [
    "nan",
    "inf",
    "-inf",
    "1e400",
    "-1",
    "0",
    "99999999999999999999",
    "1.5",
    "\"",
    "\"\"",
    "\n",
    "\r\n",
    ",",
    "\t",
    "",
    " ",
    "\u{feff}",
    "\u{1b}[31m",
    "complex",
    "%%",
    "{",
    "腫瘍",
];
/// Whole numbers at the edges of their types.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
    1 << 40,
];

/// `bytes` with one to four changes; `other` lends parts.
pub fn mutated(bytes: &[u8], other: &[u8], draws: &mut Draws) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=draws.below(4) {
        let at = draws.below(out.len());
        let len = 1 + draws.below(64.min(out.len().max(1)));
        let end = (at + len).min(out.len());
        match draws.below(10) {
            0 if !out.is_empty() => out[at] ^= 1 << draws.below(8),
            1 if !out.is_empty() => out[at] = EDGES[draws.below(5)] as u8,
            2 => out.truncate(at),
            3 => drop(out.drain(at..end)),
            4 => {
                let part = out[at..end].to_vec();
                out.splice(at..at, part);
            }
            5 => {
                let width = [2, 4, 8][draws.below(3)];
                let edge = EDGES[draws.below(EDGES.len())].to_le_bytes();
                for (o, b) in out.iter_mut().skip(at).zip(edge).take(width) {
                    *o = b;
                }
            }
            6 | 7 => {
                // A word in the place of one, or in between.
                let word = WORDS[draws.below(WORDS.len())];
                let stop = if draws.below(2) == 0 { at } else { word_end(&out, at) };
                out.splice(at..stop, word.bytes());
            }
            8 => {
                let from = draws.below(other.len());
                let part = other[from..(from + len).min(other.len())].to_vec();
                out.splice(at..end, part);
            }
            _ => {
                let n = 1 << draws.below(12);
                let byte = out.get(at).copied().unwrap_or(0);
                out.splice(at..at, std::iter::repeat_n(byte, n));
            }
        }
    }
    out
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at.min(bytes.len())..];
    at + rest
        .iter()
        .take(64)
        .position(|b| matches!(b, b',' | b'\t' | b'\n' | b' '))
        .unwrap_or(rest.len().min(8))
}
