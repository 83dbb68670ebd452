//! Chapters with pictures: the same as the commands draw.

use crate::pipeline::PipelineError;
use crate::pipeline::explain::charts;
use crate::pipeline::explain::enrich::{Behind, EnrichmentMethod};
use crate::pipeline::explain::markers::{Explained, MarkersRequest};
use crate::pipeline::explain::neighborhood;
use crate::pipeline::run::Run;
use crate::pipeline::tissue::Tissue;
use crate::plot::{Part, Plot, RenderOptions, Sheet, render_sheet_svg};
use crate::report::{Graphic, Illustration, Section};

/// A plot as a picture with words for those who cannot see it.
fn illustration(plot: Plot, title: &str, alt: &str) -> Result<Illustration, PipelineError> {
    let sheet = Sheet { parts: vec![Part::Plots(vec![plot])], ..Sheet::default() };
    let svg = render_sheet_svg(&sheet, &RenderOptions::default())?;
    Ok(Illustration { title: title.to_owned(), alt: alt.to_owned(), graphic: Graphic::Svg(svg) })
}

/// The chapters beside the panels of the domains.
pub(super) fn sections(
    tissue: &Tissue,
    explained: &Explained<'_>,
    around: &neighborhood::Found,
    behind: Option<&Behind<'_>>,
    request: &MarkersRequest,
    run: &Run<'_>,
) -> Result<Vec<Section>, PipelineError> {
    run.monitor.stage("drawing", 0);
    let mut markers = Section {
        title: "What tells the domains apart".to_owned(),
        text: vec![
            "Each domain against all others: rank sums on log-normalised values, p adjusted for the number of \
             features. Spots are not independent of their neighbours, so p-values rank features rather than prove \
             them."
                .to_owned(),
        ],
        ..Section::default()
    };
    for found in &explained.found {
        if let Some(plot) = charts::dot_plot(tissue, found, explained, request) {
            let alt = "First markers of each domain in all domains: share of spots that express them as area, mean as colour. The tables of the domains hold the numbers.";
            markers.illustrations.push(illustration(
                plot,
                &format!("Markers of {}", found.modality.name),
                alt,
            )?);
        }
        if let Some(plot) = charts::violins(tissue, found, explained, request)? {
            let alt = "How the first marker of each domain is distributed in all domains.";
            markers.illustrations.push(illustration(
                plot,
                &format!("First markers of {}", found.modality.name),
                alt,
            )?);
        }
    }
    let mut sections = vec![markers];
    if let Some(plot) = behind.and_then(|behind| charts::set_bars(behind, EnrichmentMethod::Ora)) {
        let alt = "Gene sets that hold more markers of a domain than by chance. The tables of the domains hold the numbers.";
        sections.push(Section {
            title: "Which gene sets are behind them".to_owned(),
            illustrations: vec![illustration(plot, "Gene sets", alt)?],
            ..Section::default()
        });
    }
    let beside = [
        (
            charts::border_matrix(around),
            "Who borders on whom",
            "For each domain the share of its border that faces each other domain.",
        ),
        (
            charts::contact_matrix(around),
            "Contacts against chance",
            "For each pair of domains how many standard deviations their contacts are above or below chance.",
        ),
    ];
    let mut space = Section { title: "How the domains lie in space".to_owned(), ..Section::default() };
    for (plot, title, alt) in beside {
        space.illustrations.push(illustration(plot, title, alt)?);
    }
    sections.push(space);
    sections.retain(|section| !section.illustrations.is_empty());
    Ok(sections)
}
