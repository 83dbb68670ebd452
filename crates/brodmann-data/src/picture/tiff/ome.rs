//! OME-XML: which directory holds which channel, what channels are called, how large a pixel is.
//!
//! <https://docs.openmicroscopy.org/ome-model/latest/ome-tiff/specification.html>. Only what these questions need is
//! read; a document that cannot be followed is as good as none.

/// The pictures that a description tells of.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ome {
    pub(super) images: Vec<OmeImage>,
    /// Of this file, where the picture is spread over several.
    uuid: Option<String>,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct OmeImage {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) n_planes: usize,
    n_channels: usize,
    n_times: usize,
    /// The letters Z, C and T, the one that changes first in front.
    order: String,
    pub(super) pixel_size_um: Option<f64>,
    pub(super) channels: Vec<OmeChannel>,
    blocks: Vec<Block>,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct OmeChannel {
    pub(super) name: String,
    pub(super) colour: Option<[u8; 3]>,
    pub(super) n_samples: usize,
}

/// Planes in a row of directories.
#[derive(Debug, Default, PartialEq)]
struct Block {
    directory: usize,
    /// Channel, plane, time of the first.
    first: [usize; 3],
    count: Option<usize>,
    file: Option<String>,
    uuid: Option<String>,
}

impl Ome {
    /// Reads a document; `None` for what is no OME-XML or tells of no picture.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut ome = Self::default();
        let mut is_ome = false;
        for tag in (Tags { rest: text }) {
            let number = |key: &str| tag.get(key).and_then(|v| v.trim().parse::<usize>().ok());
            match tag.name {
                "OME" => {
                    is_ome = true;
                    ome.uuid = tag.get("UUID");
                }
                "Pixels" => ome.images.push(OmeImage {
                    width: number("SizeX").unwrap_or(0),
                    height: number("SizeY").unwrap_or(0),
                    n_planes: number("SizeZ").unwrap_or(1).max(1),
                    n_channels: number("SizeC").unwrap_or(1).max(1),
                    n_times: number("SizeT").unwrap_or(1).max(1),
                    order: tag.get("DimensionOrder").unwrap_or_default().chars().skip(2).collect(),
                    pixel_size_um: tag
                        .get("PhysicalSizeX")
                        .and_then(|v| v.trim().parse::<f64>().ok())
                        .zip(micrometres(tag.get("PhysicalSizeXUnit").as_deref()))
                        .map(|(size, unit)| size * unit),
                    ..OmeImage::default()
                }),
                "Channel" => {
                    if let Some(image) = ome.images.last_mut() {
                        let colour = tag.get("Color").and_then(|v| v.trim().parse::<i64>().ok());
                        image.channels.push(OmeChannel {
                            name: tag.get("Name").unwrap_or_default(),
                            colour: colour.map(|c| {
                                let [r, g, b, _] = (c as u32).to_be_bytes();
                                [r, g, b]
                            }),
                            n_samples: number("SamplesPerPixel").unwrap_or(1).max(1),
                        });
                    }
                }
                "TiffData" => {
                    if let Some(image) = ome.images.last_mut() {
                        let first = ["FirstC", "FirstZ", "FirstT"].map(|key| number(key).unwrap_or(0));
                        let directory = number("IFD");
                        image.blocks.push(Block {
                            directory: directory.unwrap_or(0),
                            first,
                            count: number("PlaneCount").or(directory.map(|_| 1)),
                            ..Block::default()
                        });
                    }
                }
                "UUID" => {
                    let block = ome.images.last_mut().and_then(|image| image.blocks.last_mut());
                    if let Some(block) = block {
                        block.file = tag.get("FileName");
                        block.uuid = Some(tag.text.trim().to_owned());
                    }
                }
                _ => {}
            }
        }
        ome.images.retain(|image| image.width > 0 && image.height > 0);
        (is_ome && !ome.images.is_empty()).then_some(ome)
    }

    /// The largest picture; the others are labels and overviews.
    pub(super) fn largest(&self) -> &OmeImage {
        let area = |image: &OmeImage| image.width.saturating_mul(image.height);
        let mut largest = &self.images[0];
        for image in &self.images {
            if area(image) > area(largest) {
                largest = image;
            }
        }
        largest
    }

    /// The directory of a channel's middle plane at the first time, in the file of this name; `None` where another file
    /// has it.
    pub(super) fn directory(&self, image: &OmeImage, channel: usize, file_name: &str) -> Option<usize> {
        let wanted = image.plane_number([channel, image.n_planes / 2, 0])?;
        if image.blocks.is_empty() {
            return Some(wanted);
        }
        let is_own = |b: &&Block| {
            b.file.as_deref().is_none_or(|f| f == file_name) || (b.uuid.is_some() && b.uuid == self.uuid)
        };
        let mut own: Vec<&Block> = image.blocks.iter().filter(is_own).collect();
        // A file that was given another name since.
        if own.is_empty() && image.blocks.iter().all(|b| b.uuid == image.blocks[0].uuid) {
            own = image.blocks.iter().collect();
        }
        own.into_iter().find_map(|b| {
            let before = wanted.checked_sub(image.plane_number(b.first)?)?;
            b.count.is_none_or(|n| before < n).then(|| b.directory.checked_add(before))?
        })
    }
}

impl OmeImage {
    /// Channels that have planes of their own.
    pub(super) fn n_own_channels(&self) -> usize {
        let per_channel = self.channels.first().map_or(1, |c| c.n_samples);
        (self.n_channels / per_channel).max(1)
    }

    /// How many planes come before that of a channel, plane and time.
    fn plane_number(&self, [channel, plane, time]: [usize; 3]) -> Option<usize> {
        let order = if self.order.len() == 3 { self.order.as_str() } else { "CZT" };
        let (mut number, mut stride) = (0usize, 1usize);
        for axis in order.chars() {
            let (at, len) = match axis {
                'C' => (channel, self.n_own_channels()),
                'Z' => (plane, self.n_planes),
                _ => (time, self.n_times),
            };
            number = number.checked_add(at.checked_mul(stride)?)?;
            stride = stride.checked_mul(len)?;
        }
        Some(number)
    }
}

/// Micrometres in a unit of length.
pub(in super::super) fn micrometres(unit: Option<&str>) -> Option<f64> {
    Some(match unit.map(str::trim) {
        None | Some("µm" | "μm" | "um" | "micrometer" | "micrometre" | "micron") => 1.0,
        Some("nm" | "nanometer" | "nanometre") => 1e-3,
        Some("mm" | "millimeter" | "millimetre") => 1e3,
        Some("cm" | "centimeter" | "centimetre") => 1e4,
        Some("m" | "meter" | "metre") => 1e6,
        _ => return None,
    })
}

/// An opening tag, and the text up to the next tag.
struct Tag<'a> {
    /// Without a prefix.
    name: &'a str,
    attributes: &'a str,
    text: &'a str,
}

impl Tag<'_> {
    /// The value of an attribute.
    fn get(&self, key: &str) -> Option<String> {
        let mut rest = self.attributes;
        loop {
            let (name, after) = rest.split_once('=')?;
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            let (value, after) = after[1..].split_once(quote)?;
            if name.trim() == key {
                return Some(plain(value));
            }
            rest = after;
        }
    }
}

/// Text with its entities replaced.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let Some((entity, after)) = after.split_once(';') else {
            rest = after;
            continue;
        };
        let code = entity.strip_prefix("#x").map(|h| u32::from_str_radix(h, 16));
        let code = code.or_else(|| entity.strip_prefix('#').map(str::parse));
        out.push(match (entity, code) {
            ("amp", _) => '&',
            ("lt", _) => '<',
            ("gt", _) => '>',
            ("quot", _) => '"',
            ("apos", _) => '\'',
            (_, Some(Ok(code))) => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
            _ => char::REPLACEMENT_CHARACTER,
        });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The opening tags of a document, in order.
struct Tags<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        loop {
            let (_, after) = self.rest.split_once('<')?;
            if let Some(comment) = after.strip_prefix("!--") {
                self.rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
                continue;
            }
            let mut quote = None;
            let end = after.find(|c: char| match (quote, c) {
                (None, '"' | '\'') => {
                    quote = Some(c);
                    false
                }
                (Some(q), c) => {
                    if q == c {
                        quote = None;
                    }
                    false
                }
                (None, c) => c == '>',
            })?;
            let (inside, rest) = (&after[..end], &after[end + 1..]);
            self.rest = rest;
            if inside.starts_with(['/', '?', '!']) {
                continue;
            }
            let inside = inside.strip_suffix('/').unwrap_or(inside);
            let (name, attributes) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
            let name = name.rsplit_once(':').map_or(name, |(_, name)| name);
            let text = rest.split_once('<').map_or(rest, |(text, _)| text);
            return Some(Tag { name, attributes, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_follow_the_order_of_dimensions_and_the_file_they_are_in() {
        let text = r#"<?xml version="1.0"?><!-- <OME> --><OME xmlns="a" UUID="urn:uuid:1"><Image ID="Image:0">
            <Pixels DimensionOrder="XYZCT" SizeX="9" SizeY="8" SizeZ="3" SizeC="2" SizeT="1"
             PhysicalSizeX="250" PhysicalSizeXUnit="nm"><Channel ID="0" Name="DAPI &amp; &#x3b1;>" Color="-16776961"
             SamplesPerPixel="1"/><Channel Name='b'/><TiffData/></Pixels></Image></OME>"#;
        let ome = Ome::parse(text).expect("OME");
        let image = ome.largest();
        assert_eq!((image.width, image.height, image.pixel_size_um), (9, 8, Some(0.25)));
        assert_eq!(
            (image.channels[0].name.as_str(), image.channels[0].colour),
            ("DAPI & α>", Some([255, 0, 0]))
        );
        // The middle of three planes: the second of a channel's three.
        assert_eq!([0, 1].map(|c| ome.directory(image, c, "x.tif")), [Some(1), Some(4)]);

        let block = |c: usize, file: &str| {
            format!(r#"<TiffData FirstC="{c}" IFD="7"><UUID FileName="{file}">urn:{file}</UUID></TiffData>"#)
        };
        let of = |blocks: &str| {
            let head =
                r#"<OME UUID="urn:b.tif"><Pixels SizeX="9" SizeY="8" SizeC="2" DimensionOrder="XYCZT">"#;
            Ome::parse(&format!("{head}{blocks}</Pixels></OME>")).expect("OME")
        };
        let spread = of(&(block(0, "a.tif") + &block(1, "b.tif")));
        let at = |name| [0, 1].map(|c| spread.directory(spread.largest(), c, name));
        assert_eq!(at("a.tif"), [Some(7), Some(7)]);
        assert_eq!(at("b.tif"), [None, Some(7)]);
        let renamed = of(&block(0, "a.tif"));
        assert_eq!(renamed.directory(renamed.largest(), 0, "other.tif"), Some(7));
    }

    #[test]
    fn what_is_no_ome_is_none() {
        for text in
            ["", "<", "<OME", "<OME>", "<OME a=><Pixels SizeX='1' SizeY=\"2></OME>", "text <b>", "<!--", "&"]
        {
            assert_eq!(Ome::parse(text), None, "{text}");
        }
        assert_eq!(plain("a&b;&;&#x110000;&lt"), "a\u{FFFD}\u{FFFD}\u{FFFD}lt");
    }
}
