//! Stored bytes of a chunk to the bytes of its elements.
//!
//! blosc (with all it may hold: blosclz, lz4, snappy, zlib, zstd, byte and bit shuffle) is decoded by `rust-hdf5`, whose
//! filter is the same frame; zstd by the C library that Parquet brings, gzip and zlib by `flate2`, lz4 by `lz4_flex`. No
//! decoder makes room for more than the chunk can hold, whatever its frame says.

use std::io::Read;

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use rust_hdf5::format::messages::filter::{Filter, FilterPipeline, reverse_filters_masked_bounded};

/// HDF5's registered number of the filter.
const BLOSC: u16 = 32001;

/// One step from stored bytes to elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Gzip,
    Zlib,
    Zstd,
    Blosc,
    /// numcodecs' frame: the size in four bytes, then one block.
    Lz4,
    /// Bytes of elements of this width, sorted by their place in the element.
    Shuffle(usize),
    /// The bytes, then their checksum.
    Crc32c,
}

/// Undoes `codecs`, first to last.
///
/// # Errors
/// What is wrong with the bytes, in words; more than `limit` bytes are.
pub(super) fn decode(codecs: &[Codec], mut bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, String> {
    for (i, codec) in codecs.iter().enumerate() {
        // Between two codecs there may be a frame or a checksum around the elements.
        let limit =
            if i + 1 == codecs.len() { limit } else { limit.saturating_add(limit / 8).saturating_add(4096) };
        bytes = one(*codec, bytes, limit)?;
    }
    Ok(bytes)
}

fn one(codec: Codec, mut bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, String> {
    match codec {
        Codec::Gzip => inflate(MultiGzDecoder::new(bytes.as_slice()), limit),
        Codec::Zlib => inflate(ZlibDecoder::new(bytes.as_slice()), limit),
        Codec::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(bytes.as_slice());
            inflate(decoder.map_err(|e| e.to_string())?, limit)
        }
        Codec::Blosc => blosc(&bytes, limit),
        Codec::Lz4 => {
            let (size, block) = bytes.split_first_chunk::<4>().ok_or("an lz4 chunk without its size")?;
            let size = u32::from_le_bytes(*size) as usize;
            // A block of lz4 grows at most 255 times.
            if size > limit || size / 255 > block.len() {
                return Err(format!("an lz4 chunk of {size} bytes where {limit} belong"));
            }
            lz4_flex::block::decompress(block, size).map_err(|e| e.to_string())
        }
        Codec::Shuffle(width) => {
            let n = bytes.len().checked_div(width).unwrap_or(0);
            let mut out = vec![0; bytes.len()];
            for (i, element) in out.chunks_exact_mut(width.max(1)).take(n).enumerate() {
                for (k, byte) in element.iter_mut().enumerate() {
                    *byte = bytes[k * n + i];
                }
            }
            // What is left over is stored as it is.
            let whole = n * width;
            out[whole..].copy_from_slice(&bytes[whole..]);
            Ok(out)
        }
        Codec::Crc32c => {
            let (content, sum) = bytes.split_last_chunk::<4>().ok_or("a chunk shorter than its checksum")?;
            if crc32c(content) != u32::from_le_bytes(*sum) {
                return Err("a chunk that does not match its checksum".to_owned());
            }
            let len = content.len();
            bytes.truncate(len);
            Ok(bytes)
        }
    }
}

fn inflate(decoder: impl Read, limit: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    decoder.take(limit as u64 + 1).read_to_end(&mut out).map_err(|e| e.to_string())?;
    if out.len() > limit { Err(format!("a chunk of more than {limit} bytes")) } else { Ok(out) }
}

fn blosc(bytes: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let filter = Filter { id: BLOSC, flags: 0, cd_values: vec![2, 2, 1, 0] };
    let pipeline = FilterPipeline { filters: vec![filter] };
    reverse_filters_masked_bounded(&pipeline, bytes, 0, limit).map_err(|e| e.to_string())
}

/// The checksum of RFC 3720 (Castagnoli's polynomial, reflected).
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut value = i as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { 0x82F6_3B78 ^ (value >> 1) } else { value >> 1 };
                bit += 1;
            }
            table[i] = value;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(u32::MAX, |sum, byte| TABLE[((sum ^ u32::from(*byte)) & 0xFF) as usize] ^ (sum >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_and_frames_are_checked_before_they_are_believed() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        let mut huge = vec![0xFF; 4];
        huge.extend([0; 8]);
        for codec in [Codec::Gzip, Codec::Zlib, Codec::Zstd, Codec::Blosc, Codec::Lz4, Codec::Crc32c] {
            assert!(decode(&[codec], huge.clone(), 1 << 40).is_err(), "{codec:?}");
            assert!(decode(&[codec], Vec::new(), 16).is_err(), "{codec:?}");
        }
        let bytes = vec![1, 3, 5, 2, 4, 6, 9];
        assert_eq!(decode(&[Codec::Shuffle(2)], bytes, 7), Ok(vec![1, 2, 3, 4, 5, 6, 9]));
    }
}
