//! Where the chunks of an array lie: the indexes a layout message may point to.
//!
//! Files of AnnData and h5py use the version 1 B-tree, those this crate writes the fixed array, and the extensible array
//! where they grew. Others (version 2 B-trees, chunks out of the natural order) are left to the library.
//!
//! Format: <https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html>, "Chunk indexing"

use rust_hdf5::format::btree_v1::ChunkBTreeV1Node;
use rust_hdf5::format::checksum::checksum_metadata;
use rust_hdf5::format::chunk_index::extensible_array::{
    EaGeometry, ExtensibleArrayDataBlock, ExtensibleArrayHeader,
};
use rust_hdf5::format::chunk_index::fixed_array::FixedArrayHeader;
use rust_hdf5::format::messages::data_layout::{ChunkIndexType, DataLayoutMessage, EarrayParams};
use rust_hdf5::format::{FormatError, FormatResult, UNDEF_ADDR};

use super::headers::{Headers, little_endian};

/// A chunk index deeper than this refers to itself.
const MAX_DEPTH: u8 = 16;
/// Signature, version and class before the address of the header.
const SIGNATURE: usize = 6;
/// Checksum at the end.
const CHECKSUM: usize = 4;

/// One stored chunk.
pub(super) struct Stored {
    /// First element it holds, along each axis.
    pub(super) offsets: Vec<u64>,
    pub(super) address: u64,
    pub(super) size: usize,
    /// Filters that were not applied.
    pub(super) mask: u32,
}

fn damaged(what: &str) -> FormatError {
    FormatError::InvalidData(what.to_owned())
}

/// The chunks of an array of this `shape`, cut into chunks of `chunk`, that take `chunk_bytes` unfiltered; `None` for an
/// index left to the library.
pub(super) fn stored_chunks(
    headers: &Headers,
    message: &DataLayoutMessage,
    shape: &[usize],
    chunk: &[usize],
    chunk_bytes: usize,
    is_filtered: bool,
) -> FormatResult<Option<Vec<Stored>>> {
    let n_chunks: usize = shape.iter().zip(chunk).map(|(&n, &c)| n.div_ceil(c)).product();
    let places = match message {
        DataLayoutMessage::ChunkedV3 { b_tree_address, .. } if *b_tree_address != UNDEF_ADDR => {
            let mut chunks = Vec::new();
            follow_tree(headers, *b_tree_address, shape.len(), MAX_DEPTH, &mut chunks)?;
            return Ok(Some(chunks));
        }
        // Chunks at the edge may be stored without their filters, which the index does not say.
        DataLayoutMessage::ChunkedV4 { flags, .. } if is_filtered && flags & 0x01 != 0 => return Ok(None),
        DataLayoutMessage::ChunkedV4 {
            index_type,
            index_address,
            earray_params,
            single_chunk_filter,
            ..
        } if *index_address != UNDEF_ADDR => {
            let index = Index { headers, address: *index_address, n_chunks, chunk_bytes };
            match (index_type, earray_params, single_chunk_filter) {
                (ChunkIndexType::SingleChunk, _, Some(filtered)) if n_chunks == 1 => {
                    let size = usize::try_from(filtered.nbytes).unwrap_or(usize::MAX);
                    Some(vec![(*index_address, size, filtered.filter_mask)])
                }
                (ChunkIndexType::SingleChunk, _, None) if n_chunks == 1 && !is_filtered => {
                    Some(vec![(*index_address, chunk_bytes, 0)])
                }
                (ChunkIndexType::FixedArray, ..) => index.fixed_array()?,
                // With more than one axis the numbering depends on which of them may grow.
                (ChunkIndexType::ExtensibleArray, Some(params), _) if shape.len() == 1 => {
                    index.extensible_array(params)?
                }
                _ => None,
            }
        }
        _ => None,
    };
    let Some(places) = places.filter(|p| p.iter().all(|place| place.0 != UNDEF_ADDR)) else {
        return Ok(None);
    };
    let chunks = places.into_iter().enumerate().map(|(number, (address, size, mask))| {
        let mut offsets = vec![0u64; shape.len()];
        let mut rest = number;
        for axis in (0..shape.len()).rev() {
            let along = shape[axis].div_ceil(chunk[axis]);
            offsets[axis] = (rest % along * chunk[axis]) as u64;
            rest /= along;
        }
        Stored { offsets, address, size, mask }
    });
    Ok(Some(chunks.collect()))
}

fn follow_tree(
    headers: &Headers,
    address: u64,
    rank: usize,
    depth: u8,
    chunks: &mut Vec<Stored>,
) -> FormatResult<()> {
    let a = headers.context().sizeof_addr as usize;
    let head = headers.exact(address, 8)?;
    let entries = little_endian(&head, 6, 2)?;
    let key = 8 + 8 * (rank + 1);
    let block = headers.block(address, 8 + 2 * a + entries * (key + a) + key)?;
    let node = ChunkBTreeV1Node::decode(&block, a, rank, u16::MAX)?;
    for (key, &child) in node.keys.iter().zip(&node.children) {
        if node.level > 0 {
            if depth == 0 {
                return Err(damaged("a chunk index that refers to itself"));
            }
            follow_tree(headers, child, rank, depth - 1, chunks)?;
        } else {
            let offsets = key.offsets.get(..rank).ok_or_else(|| damaged("a chunk without a place"))?.to_vec();
            chunks.push(Stored {
                offsets,
                address: child,
                size: key.chunk_size as usize,
                mask: key.filter_mask,
            });
        }
        // Every chunk takes at least one byte of the file.
        if chunks.len() as u64 > headers.file_size() {
            return Err(damaged("a chunk index that refers to itself"));
        }
    }
    Ok(())
}

/// Address, stored bytes and filter mask of a chunk.
type Entry = (u64, usize, u32);

/// An array of chunk entries in the file.
struct Index<'a> {
    headers: &'a Headers,
    address: u64,
    n_chunks: usize,
    chunk_bytes: usize,
}

impl Index<'_> {
    fn address_size(&self) -> usize {
        self.headers.context().sizeof_addr as usize
    }

    /// A block of the index, its checksum at the end verified.
    fn block(&self, address: u64, len: usize) -> FormatResult<Vec<u8>> {
        let block = self.headers.exact(address, len)?;
        let content = block.len().saturating_sub(CHECKSUM);
        if little_endian(&block, content, CHECKSUM)? != checksum_metadata(&block[..content]) as usize {
            return Err(damaged("a chunk index whose checksum does not fit"));
        }
        Ok(block)
    }

    /// `n` entries of `size` bytes from `at` on: an address and, of filtered chunks, size and mask.
    fn entries(&self, block: &[u8], at: usize, n: usize, size: usize) -> FormatResult<Vec<Entry>> {
        let a = self.address_size();
        (0..n)
            .map(|k| {
                let at = at + k * size;
                let address = self.address_at(block, at)?;
                if size == a {
                    return Ok((address, self.chunk_bytes, 0));
                }
                let stored = little_endian(block, at + a, size - a - 4)?;
                Ok((address, stored, little_endian(block, at + size - 4, 4)? as u32))
            })
            .collect()
    }

    fn address_at(&self, block: &[u8], at: usize) -> FormatResult<u64> {
        let a = self.address_size();
        let undefined = block.get(at..at + a).is_some_and(|b| b.iter().all(|b| *b == 0xFF));
        if undefined { Ok(UNDEF_ADDR) } else { little_endian(block, at, a).map(|v| v as u64) }
    }

    fn addresses(&self, block: &[u8], at: usize, n: usize) -> FormatResult<Vec<u64>> {
        (0..n).map(|k| self.address_at(block, at + k * self.address_size())).collect()
    }

    /// Refuses an entry size that is neither an address nor an address with size and mask.
    fn check_entry(&self, size: usize) -> FormatResult<()> {
        let a = self.address_size();
        if size == a || (a + 5..=a + 12).contains(&size) {
            return Ok(());
        }
        Err(damaged("a chunk index with entries of an unknown size"))
    }

    fn fixed_array(&self) -> FormatResult<Option<Vec<Entry>>> {
        let head = self.headers.block(self.address, 256)?;
        let header = FixedArrayHeader::decode(&head, self.headers.context())?;
        if header.num_elmts != self.n_chunks as u64 || header.data_blk_addr == UNDEF_ADDR {
            return Ok(None);
        }
        let (a, size) = (self.address_size(), usize::from(header.element_size));
        self.check_entry(size)?;
        let prefix = SIGNATURE + a;
        if header.max_dblk_page_nelmts_bits >= 32 || !header.is_paged() {
            let block = self.block(header.data_blk_addr, prefix + self.n_chunks * size + CHECKSUM)?;
            return self.entries(&block, prefix, self.n_chunks, size).map(Some);
        }
        let per_page = 1usize << header.max_dblk_page_nelmts_bits;
        let n_pages = self.n_chunks.div_ceil(per_page);
        let prefix_len = prefix + n_pages.div_ceil(8) + CHECKSUM;
        let bitmap = self.block(header.data_blk_addr, prefix_len)?;
        let mut all = Vec::new();
        for page in 0..n_pages {
            if bitmap[prefix + page / 8] & (0x80 >> (page % 8)) == 0 {
                return Ok(None);
            }
            let n = per_page.min(self.n_chunks - page * per_page);
            let at = prefix_len + page * (per_page * size + CHECKSUM);
            let block = self.block(header.data_blk_addr.saturating_add(at as u64), n * size + CHECKSUM)?;
            all.extend(self.entries(&block, 0, n, size)?);
        }
        Ok(Some(all))
    }

    fn extensible_array(&self, params: &EarrayParams) -> FormatResult<Option<Vec<Entry>>> {
        let head = self.headers.block(self.address, 256)?;
        let header = ExtensibleArrayHeader::decode(&head, self.headers.context())?;
        if header.idx_blk_addr == UNDEF_ADDR {
            return Ok(None);
        }
        let geometry = EaGeometry::new(
            params.idx_blk_elmts,
            params.data_blk_min_elmts,
            params.sup_blk_min_data_ptrs,
            params.max_nelmts_bits,
            params.max_dblk_page_nelmts_bits,
        )?;
        let (a, size) = (self.address_size(), usize::from(header.raw_elmt_size));
        self.check_entry(size)?;
        let n_direct = usize::from(params.idx_blk_elmts);
        let (n_blocks, n_super) = (geometry.ndblk_addrs, geometry.nsblk_addrs);
        let prefix = SIGNATURE + a;
        let index_len = prefix + n_direct * size + (n_blocks + n_super) * a + CHECKSUM;
        let index = self.block(header.idx_blk_addr, index_len)?;
        let mut all = self.entries(&index, prefix, n_direct, size)?;
        let direct = self.addresses(&index, prefix + n_direct * size, n_blocks)?;
        let supers = self.addresses(&index, prefix + n_direct * size + n_blocks * a, n_super)?;
        let offset_size = ExtensibleArrayDataBlock::block_offset_size(params.max_nelmts_bits);
        for (u, row) in geometry.sblk.iter().enumerate() {
            if all.len() >= self.n_chunks {
                break;
            }
            let (n_data, per_block) = (row.ndblks as usize, row.dblk_nelmts as usize);
            // Pages come with more than a thousand chunks a block: a bitmap then says which are there.
            let n_pages = geometry.npages(u) as usize;
            let bitmap_len = if n_pages > 0 { n_data * geometry.dblk_page_init_size(u) } else { 0 };
            let (blocks, bitmap) = if u < geometry.iblock_nsblks {
                let first = row.start_dblk as usize;
                (direct.get(first..first + n_data).unwrap_or_default().to_vec(), Vec::new())
            } else {
                let Some(&at) = supers.get(u - geometry.iblock_nsblks).filter(|&&at| at != UNDEF_ADDR) else {
                    return Ok(None);
                };
                let before = prefix + offset_size;
                let block = self.block(at, before + bitmap_len + n_data * a + CHECKSUM)?;
                let blocks = self.addresses(&block, before + bitmap_len, n_data)?;
                (blocks, block[before..before + bitmap_len].to_vec())
            };
            if n_pages > 0 && bitmap.is_empty() {
                return Ok(None);
            }
            for (d, &at) in blocks.iter().enumerate() {
                if all.len() >= self.n_chunks {
                    break;
                }
                if at == UNDEF_ADDR {
                    return Ok(None);
                }
                if n_pages == 0 {
                    let before = prefix + offset_size;
                    let block = self.block(at, before + per_block * size + CHECKSUM)?;
                    all.extend(self.entries(&block, before, per_block, size)?);
                    continue;
                }
                let per_page = geometry.dblk_page_nelmts as usize;
                let page_len = per_page * size + CHECKSUM;
                let first = at.saturating_add((prefix + offset_size + CHECKSUM) as u64);
                for page in 0..n_pages {
                    let bit = d * n_pages + page;
                    if all.len() >= self.n_chunks {
                        break;
                    }
                    if bitmap.get(bit / 8).is_none_or(|b| b & (0x80 >> (bit % 8)) == 0) {
                        return Ok(None);
                    }
                    let block = self.block(first.saturating_add((page * page_len) as u64), page_len)?;
                    all.extend(self.entries(&block, 0, per_page, size)?);
                }
            }
        }
        if all.len() < self.n_chunks {
            return Ok(None);
        }
        all.truncate(self.n_chunks);
        Ok(Some(all))
    }
}
