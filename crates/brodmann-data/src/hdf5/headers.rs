//! Object headers: where an object lies, what its attributes say, how its array is laid out.
//!
//! The library's public reader gives a group's attributes only where they are single texts, so the headers are
//! followed here with its public decoders of the on-disk records: superblock, symbol tables, links, messages,
//! heaps. Every address comes from the file, so each step is bounded.
//!
//! Format: <https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html>

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use rust_hdf5::format::btree_v1::BTreeV1Node;
use rust_hdf5::format::dense_attr::read_dense_attributes;
use rust_hdf5::format::dense_link::read_dense_links;
use rust_hdf5::format::global_heap::{GlobalHeapCollection, decode_vlen_reference, vlen_reference_size};
use rust_hdf5::format::local_heap::{LocalHeapHeader, local_heap_get_string};
use rust_hdf5::format::messages::attr_info::AttributeInfoMessage;
use rust_hdf5::format::messages::attribute::AttributeMessage;
use rust_hdf5::format::messages::link::{LinkMessage, LinkTarget};
use rust_hdf5::format::messages::link_info::LinkInfoMessage;
use rust_hdf5::format::superblock::{
    SuperblockV0V1, SuperblockV2V3, SymbolTableCache, detect_superblock_version,
};
use rust_hdf5::format::symbol_table::SymbolTableNode;
use rust_hdf5::format::{BlockReader, FormatContext, FormatError, FormatResult, UNDEF_ADDR};

/// Message types of an object header.
pub(crate) const DATASPACE: u16 = 0x01;
const LINK_INFO: u16 = 0x02;
pub(crate) const DATATYPE: u16 = 0x03;
pub(crate) const EXTERNAL_FILES: u16 = 0x07;
const LINK: u16 = 0x06;
pub(crate) const LAYOUT: u16 = 0x08;
pub(crate) const FILTERS: u16 = 0x0B;
const ATTRIBUTE: u16 = 0x0C;
const CONTINUATION: u16 = 0x10;
const SYMBOL_TABLE: u16 = 0x11;
const ATTRIBUTE_INFO: u16 = 0x15;

/// The message's body is elsewhere (a committed datatype, a shared-message heap).
const SHARED: u8 = 0x02;
/// A header spread over more blocks than this is damaged.
const MAX_BLOCKS: usize = 4096;
/// A name reached over more soft links than this is a cycle.
const MAX_LINKS: usize = 32;
/// Depth of B-trees and groups beyond which a file is damaged.
const MAX_DEPTH: u8 = 16;
/// The largest metadata block taken in one read.
const MAX_BLOCK: usize = 1 << 30;

/// A header message with its body.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) kind: u16,
    pub(crate) flags: u8,
    pub(crate) data: Vec<u8>,
}

impl Message {
    pub(crate) fn is_shared(&self) -> bool {
        self.flags & SHARED != 0
    }
}

/// Reads at addresses relative to the base of the file.
///
/// Clones share one descriptor: every read names its place, so none moves another's.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    file: Arc<File>,
    base: u64,
    size: u64,
}

impl BlockReader for Blocks {
    fn read_block(&mut self, offset: u64, len: usize) -> FormatResult<Vec<u8>> {
        self.read(offset, len)
    }
}

impl Blocks {
    /// At most `len` bytes at `offset`: fewer where the file ends.
    fn read(&self, offset: u64, len: usize) -> FormatResult<Vec<u8>> {
        let start = self.base.checked_add(offset).ok_or_else(|| damaged("an address beyond the file"))?;
        if start >= self.size {
            return Err(damaged("an address beyond the end of the file"));
        }
        let available = usize::try_from(self.size - start).unwrap_or(usize::MAX);
        let len = len.min(available).min(MAX_BLOCK);
        let mut buffer = vec![0; len];
        read_at(&self.file, &mut buffer, start).map_err(|e| damaged(&e.to_string()))?;
        Ok(buffer)
    }

    /// Exactly `len` bytes at `address`.
    pub(super) fn exact(&self, address: u64, len: usize) -> FormatResult<Vec<u8>> {
        let block = self.read(address, len)?;
        if block.len() == len { Ok(block) } else { Err(damaged("data end before their stated length")) }
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], start: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, start)
}

#[cfg(windows)]
fn read_at(file: &File, mut buffer: &mut [u8], mut start: u64) -> std::io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !buffer.is_empty() {
        let n = file.seek_read(buffer, start)?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[n..];
        start += n as u64;
    }
    Ok(())
}

// A panic elsewhere leaves nothing half done in what these hold.
pub(super) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn damaged(what: &str) -> FormatError {
    FormatError::InvalidData(what.to_owned())
}

#[derive(Clone, Debug)]
enum Target {
    Object(u64),
    Soft(String),
    Other,
}

/// Links of a group, by name and in the order of names.
type Links = IndexMap<String, Target>;

/// Follows the object headers of one file.
pub(crate) struct Headers {
    blocks: Blocks,
    context: FormatContext,
    root: u64,
    sym_leaf_k: u16,
    btree_k: u16,
    /// Links of each group met, by header address.
    links: Mutex<HashMap<u64, Arc<Links>>>,
    /// The heap collection met last: the strings of one attribute usually share it.
    heap: Mutex<Option<Heap>>,
}

/// A heap collection with the place of each object by its number: thousands of strings may share one.
struct Heap {
    address: u64,
    collection: GlobalHeapCollection,
    places: HashMap<u16, usize>,
}

/// Why a file cannot be followed from its first bytes.
pub(crate) enum OpenError {
    NotHdf5,
    Truncated { expected: u64, found: u64 },
    Io(std::io::Error),
    Format(FormatError),
}

const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

impl Headers {
    pub(crate) fn open(file: Arc<File>) -> Result<Self, OpenError> {
        let size = file.metadata().map_err(OpenError::Io)?.len();
        let mut offset = 0;
        // The signature lies at 0, 512, 1024, 2048, ... (a user block may come first, as mudata writes one).
        let first = loop {
            if offset >= size {
                return Err(OpenError::NotHdf5);
            }
            let mut block = Vec::new();
            (&*file).seek(SeekFrom::Start(offset)).map_err(OpenError::Io)?;
            (&*file).take(256).read_to_end(&mut block).map_err(OpenError::Io)?;
            if block.starts_with(&SIGNATURE) {
                break block;
            }
            offset = if offset == 0 { 512 } else { offset * 2 };
        };
        let version = detect_superblock_version(&first).map_err(OpenError::Format)?;
        let (context, base, end, root, sym_leaf_k, btree_k);
        if version < 2 {
            let s = SuperblockV0V1::decode(&first).map_err(OpenError::Format)?;
            context = FormatContext { sizeof_addr: s.sizeof_offsets, sizeof_size: s.sizeof_lengths };
            (base, end, root) =
                (s.base_address, s.end_of_file_address, s.root_symbol_table_entry.obj_header_addr);
            (sym_leaf_k, btree_k) = (s.sym_leaf_k, s.btree_internal_k);
        } else {
            let s = SuperblockV2V3::decode(&first).map_err(OpenError::Format)?;
            context = FormatContext { sizeof_addr: s.sizeof_offsets, sizeof_size: s.sizeof_lengths };
            (base, end, root) = (s.base_address, s.end_of_file_address, s.root_group_object_header_address);
            (sym_leaf_k, btree_k) = (4, 16);
        }
        if end != UNDEF_ADDR && end > size {
            return Err(OpenError::Truncated { expected: end, found: size });
        }
        Ok(Self {
            blocks: Blocks { file, base, size },
            context,
            root,
            sym_leaf_k,
            btree_k,
            links: Mutex::default(),
            heap: Mutex::default(),
        })
    }

    pub(crate) fn context(&self) -> &FormatContext {
        &self.context
    }

    pub(crate) fn file_size(&self) -> u64 {
        self.blocks.size
    }

    pub(crate) fn block(&self, address: u64, len: usize) -> FormatResult<Vec<u8>> {
        self.blocks.read(address, len)
    }

    /// Exactly `len` bytes at `address`.
    pub(crate) fn exact(&self, address: u64, len: usize) -> FormatResult<Vec<u8>> {
        self.blocks.exact(address, len)
    }

    /// The same place of the same file, for a reader on another thread.
    pub(super) fn blocks(&self) -> Blocks {
        self.blocks.clone()
    }

    /// All messages of the header at `address`, over all its blocks.
    pub(crate) fn messages(&self, address: u64) -> FormatResult<Vec<Message>> {
        let prefix = self.block(address, 64)?;
        let mut messages = Vec::new();
        let mut blocks: Vec<(u64, usize)> = Vec::new();
        let version2 = prefix.starts_with(b"OHDR");
        let mut with_order = false;
        if version2 {
            let flags = *prefix.get(5).ok_or_else(|| damaged("a header cut short"))?;
            with_order = flags & 0x04 != 0;
            let mut at = 6;
            at += if flags & 0x20 != 0 { 16 } else { 0 };
            at += if flags & 0x10 != 0 { 4 } else { 0 };
            let width = 1usize << (flags & 0x03);
            let size = little_endian(&prefix, at, width)?;
            self.collect_v2(address + (at + width) as u64, size, with_order, &mut messages, &mut blocks)?;
        } else if prefix.first() == Some(&1) {
            let size = little_endian(&prefix, 8, 4)?;
            self.collect_v1(address + 16, size, &mut messages, &mut blocks)?;
        } else {
            return Err(damaged("an object header of unknown version"));
        }
        let mut followed = 0;
        while let Some((at, len)) = blocks.pop() {
            followed += 1;
            if followed > MAX_BLOCKS {
                return Err(damaged("an object header that refers to itself"));
            }
            if version2 {
                if !self.block(at, 4)?.starts_with(b"OCHK") || len < 8 {
                    return Err(damaged("a header continuation without its signature"));
                }
                // Signature before, checksum after.
                self.collect_v2(at + 4, len - 8, with_order, &mut messages, &mut blocks)?;
            } else {
                self.collect_v1(at, len, &mut messages, &mut blocks)?;
            }
        }
        Ok(messages)
    }

    fn collect_v1(
        &self,
        address: u64,
        len: usize,
        messages: &mut Vec<Message>,
        blocks: &mut Vec<(u64, usize)>,
    ) -> FormatResult<()> {
        let body = self.exact(address, len)?;
        let mut at = 0;
        while at + 8 <= body.len() {
            let kind = little_endian(&body, at, 2)? as u16;
            let size = little_endian(&body, at + 2, 2)?;
            let flags = body[at + 4];
            at += 8;
            let data = body.get(at..at + size).ok_or_else(|| damaged("a header message cut short"))?;
            self.keep(Message { kind, flags, data: data.to_vec() }, messages, blocks)?;
            at += size.next_multiple_of(8);
        }
        Ok(())
    }

    fn collect_v2(
        &self,
        address: u64,
        len: usize,
        with_order: bool,
        messages: &mut Vec<Message>,
        blocks: &mut Vec<(u64, usize)>,
    ) -> FormatResult<()> {
        let body = self.exact(address, len)?;
        let head = if with_order { 6 } else { 4 };
        let mut at = 0;
        // What is left when no message head fits is a gap.
        while at + head <= body.len() {
            let kind = u16::from(body[at]);
            let size = little_endian(&body, at + 1, 2)?;
            let flags = body[at + 3];
            at += head;
            let data = body.get(at..at + size).ok_or_else(|| damaged("a header message cut short"))?;
            self.keep(Message { kind, flags, data: data.to_vec() }, messages, blocks)?;
            at += size;
        }
        Ok(())
    }

    fn keep(
        &self,
        message: Message,
        messages: &mut Vec<Message>,
        blocks: &mut Vec<(u64, usize)>,
    ) -> FormatResult<()> {
        match message.kind {
            0 => {}
            CONTINUATION => {
                let (a, s) = (self.context.sizeof_addr as usize, self.context.sizeof_size as usize);
                let address = little_endian(&message.data, 0, a)? as u64;
                blocks.push((address, little_endian(&message.data, a, s)?));
            }
            _ => messages.push(message),
        }
        Ok(())
    }

    /// The header address of `path`; `None` when nothing lies there.
    pub(crate) fn locate(&self, path: &str) -> FormatResult<Option<u64>> {
        self.locate_from(self.root, path, 0)
    }

    fn locate_from(&self, start: u64, path: &str, hops: usize) -> FormatResult<Option<u64>> {
        if hops > MAX_LINKS {
            return Err(damaged("soft links that lead in a circle"));
        }
        let mut address = if path.starts_with('/') { self.root } else { start };
        for name in path.split('/').filter(|n| !n.is_empty() && *n != ".") {
            address = match self.links_of(address)?.get(name) {
                Some(Target::Object(a)) => *a,
                Some(Target::Soft(value)) => match self.locate_from(address, value, hops + 1)? {
                    Some(a) => a,
                    None => return Ok(None),
                },
                Some(Target::Other) | None => return Ok(None),
            };
        }
        Ok(Some(address))
    }

    /// Names under the group at `address`.
    pub(crate) fn names(&self, address: u64) -> FormatResult<Vec<String>> {
        Ok(self.links_of(address)?.keys().cloned().collect())
    }

    /// What the links of the group at `address` lead to, with their names; those that lead nowhere, or into another file,
    /// are left out.
    pub(super) fn targets(&self, address: u64) -> FormatResult<Vec<(String, u64)>> {
        let mut targets = Vec::new();
        for (name, target) in &*self.links_of(address)? {
            match target {
                Target::Object(a) => targets.push((name.clone(), *a)),
                Target::Soft(value) => {
                    targets.extend(self.locate_from(address, value, 1)?.map(|a| (name.clone(), a)));
                }
                Target::Other => {}
            }
        }
        Ok(targets)
    }

    /// The header address of the root group.
    pub(super) fn root(&self) -> u64 {
        self.root
    }

    fn links_of(&self, address: u64) -> FormatResult<Arc<Links>> {
        if let Some(known) = held(&self.links).get(&address) {
            return Ok(Arc::clone(known));
        }
        let mut links = Vec::new();
        for message in self.messages(address)? {
            match message.kind {
                SYMBOL_TABLE => self.symbol_table(&message.data, &mut links)?,
                LINK => links.push(link(LinkMessage::decode(&message.data, &self.context)?.0)),
                LINK_INFO => {
                    let (info, _) = LinkInfoMessage::decode(&message.data, &self.context)?;
                    if info.is_dense() {
                        let dense = read_dense_links(&info, &self.context, &mut self.blocks.clone())?;
                        links.extend(dense.into_iter().map(link));
                    }
                }
                _ => {}
            }
        }
        links.sort_by(|a, b| a.0.cmp(&b.0));
        let mut by_name = Links::with_capacity(links.len());
        for (name, target) in links {
            // Of links of one name the first counts.
            by_name.entry(name).or_insert(target);
        }
        let links = Arc::new(by_name);
        held(&self.links).insert(address, Arc::clone(&links));
        Ok(links)
    }

    fn symbol_table(&self, body: &[u8], links: &mut Vec<(String, Target)>) -> FormatResult<()> {
        let (a, s) = (self.context.sizeof_addr as usize, self.context.sizeof_size as usize);
        let tree = little_endian(body, 0, a)? as u64;
        let heap_at = little_endian(body, a, a)? as u64;
        let heap = LocalHeapHeader::decode(&self.block(heap_at, 64)?, a, s)?;
        let names = self.block(heap.data_addr, usize::try_from(heap.data_size).unwrap_or(usize::MAX))?;
        self.symbol_nodes(tree, &names, MAX_DEPTH, links)
    }

    fn symbol_nodes(
        &self,
        tree: u64,
        names: &[u8],
        depth: u8,
        links: &mut Vec<(String, Target)>,
    ) -> FormatResult<()> {
        let (a, s) = (self.context.sizeof_addr as usize, self.context.sizeof_size as usize);
        let max = self.btree_k.saturating_mul(2);
        let size = 8 + 2 * a + usize::from(max) * (a + s) + s;
        let node = BTreeV1Node::decode(&self.block(tree, size)?, a, s, max)?;
        for &child in &node.children {
            if node.level > 0 {
                if depth == 0 || node.level > MAX_DEPTH {
                    return Err(damaged("a symbol table that refers to itself"));
                }
                self.symbol_nodes(child, names, depth - 1, links)?;
                continue;
            }
            let max = self.sym_leaf_k.saturating_mul(2);
            let size = 8 + usize::from(max) * (s + a + 24);
            for entry in SymbolTableNode::decode(&self.block(child, size)?, a, s, max)?.entries {
                let name = local_heap_get_string(names, entry.name_offset)?;
                let target = match entry.cache {
                    SymbolTableCache::SoftLink { value_offset } => {
                        Target::Soft(local_heap_get_string(names, u64::from(value_offset))?)
                    }
                    _ => Target::Object(entry.obj_header_addr),
                };
                links.push((name, target));
            }
        }
        Ok(())
    }

    /// The attributes of the object at `address` that can be decoded.
    pub(crate) fn attributes(&self, address: u64) -> FormatResult<Vec<AttributeMessage>> {
        let mut attributes = Vec::new();
        for message in self.messages(address)? {
            match message.kind {
                // An attribute of a committed type is nothing a container needs.
                ATTRIBUTE if !message.is_shared() => {
                    if let Ok((attribute, _)) = AttributeMessage::decode(&message.data, &self.context) {
                        attributes.push(attribute);
                    }
                }
                ATTRIBUTE_INFO => {
                    let (info, _) = AttributeInfoMessage::decode(&message.data, &self.context)?;
                    if info.is_dense() {
                        let dense = read_dense_attributes(&info, &self.context, &mut self.blocks.clone())?;
                        attributes.extend(dense.iter().filter_map(|e| e.decoded().ok().cloned()));
                    }
                }
                _ => {}
            }
        }
        Ok(attributes)
    }

    /// The bytes a variable-length reference points to.
    pub(crate) fn heap_object(&self, reference: &[u8]) -> FormatResult<Vec<u8>> {
        let (len, address, index) = decode_vlen_reference(reference, &self.context)?;
        if len == 0 || address == 0 || address == UNDEF_ADDR {
            return Ok(Vec::new());
        }
        let mut cached = held(&self.heap);
        if cached.as_ref().is_none_or(|heap| heap.address != address) {
            let size = GlobalHeapCollection::decode_size(&self.block(address, 32)?, &self.context)?;
            let (collection, _) = GlobalHeapCollection::decode(&self.exact(address, size)?, &self.context)?;
            let places = collection.objects.iter().enumerate().map(|(i, o)| (o.index, i)).collect();
            *cached = Some(Heap { address, collection, places });
        }
        let object = cached
            .as_ref()
            .zip(u16::try_from(index).ok())
            .and_then(|(heap, index)| heap.collection.objects.get(*heap.places.get(&index)?))
            .map(|o| o.data.as_slice())
            .ok_or_else(|| damaged("a text that is not in its heap"))?;
        // The length counts elements of one byte: the heap object may be padded.
        Ok(object.get(..len as usize).unwrap_or(object).to_vec())
    }

    pub(crate) fn reference_size(&self) -> usize {
        vlen_reference_size(&self.context)
    }
}

fn link(message: LinkMessage) -> (String, Target) {
    let target = match message.target {
        LinkTarget::Hard { address } => Target::Object(address),
        LinkTarget::Soft { target } => Target::Soft(target),
        _ => Target::Other,
    };
    (message.name, target)
}

pub(crate) fn little_endian(bytes: &[u8], at: usize, width: usize) -> FormatResult<usize> {
    let field = bytes.get(at..at + width).ok_or_else(|| damaged("a header field cut short"))?;
    let value = field.iter().rev().fold(0u64, |v, &b| (v << 8) | u64::from(b));
    usize::try_from(value).map_err(|_| damaged("a number beyond this machine's range"))
}
