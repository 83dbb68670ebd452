//! `brodmann plot`.

use brodmann::pipeline::PipelineError;
use brodmann::pipeline::histology::SlideOptions;
use brodmann::pipeline::picture::{PictureOutline, PictureRequest, PictureShape, draw_file, draw_losses};
use brodmann::plot::{Bound, ColorMap, PlotError};

use brodmann_kernels::OptionError;

use super::Context;
use crate::args::{OutlineArg, PlotArgs, ShapeArg};
use crate::failure::Failure;

#[derive(serde::Serialize)]
struct Report {
    out: String,
    colors: Vec<String>,
}

pub fn run(context: &Context<'_>, args: &PlotArgs) -> Result<(), Failure> {
    let positive = |option: &'static str, value: f64| {
        if value.is_finite() && value > 0.0 {
            return Ok(());
        }
        Err(Failure::from(OptionError::new(option, value, "a number above 0")))
    };
    if let Some(size) = args.spot_size {
        positive("spot_size", size)?;
    }
    positive("panel_size", args.panel_size)?;
    positive("dpi", args.dpi)?;
    if let Some(alpha) = args.alpha.filter(|alpha| !(0.0..=1.0).contains(alpha)) {
        let error = OptionError::new("alpha", alpha, "a number from 0 to 1");
        return Err(error.advise("give 1 to hide what is below").into());
    }
    if let Some(run) = &args.loss {
        draw_losses(&args.input, &args.out, run, args.dpi, context.terminal)?;
        let report = Report { out: args.out.display().to_string(), colors: vec![format!("losses of {run}")] };
        return context.print(&report, || vec![format!("{}: {}", report.out, report.colors.join(", "))]);
    }
    let request = PictureRequest {
        source: args.source.options(),
        colors: args.color.clone(),
        layer: args.layer.clone(),
        denoised: args.denoised.clone(),
        spatial_key: args.spatial_key.clone(),
        library_key: args.library_key.clone(),
        shape: match args.shape {
            ShapeArg::Auto => None,
            ShapeArg::Circle => Some(PictureShape::Circle),
            ShapeArg::Square => Some(PictureShape::Square),
            ShapeArg::Hexagon => Some(PictureShape::Hexagon),
            ShapeArg::Cells => Some(PictureShape::Cells),
            ShapeArg::Nuclei => Some(PictureShape::Nuclei),
        },
        spot_size: args.spot_size,
        image: !args.no_image,
        slide: SlideOptions {
            image: args.image.clone(),
            image_scale: args.image_scale,
            image_transform: args.image_transform.clone(),
            ..SlideOptions::default()
        },
        alpha: args.alpha,
        outline: args.outline.map(|outline| match outline {
            OutlineArg::Spots => PictureOutline::Spots,
            OutlineArg::Domains => PictureOutline::Domains,
        }),
        basis: args.basis.clone(),
        components: components(args.components.as_deref())?,
        lowest: bound("vmin", args.vmin.as_deref())?,
        highest: bound("vmax", args.vmax.as_deref())?,
        colormap: args
            .cmap
            .as_deref()
            .map(str::parse::<ColorMap>)
            .transpose()
            .map_err(PipelineError::from)?,
        match_colors: !args.no_match,
        title: args.title.clone().unwrap_or_default(),
        columns: args.columns,
        panel_px: args.panel_size,
        dpi: args.dpi,
    };
    draw_file(&args.input, &args.out, &request, context.terminal)?;
    let report = Report { out: args.out.display().to_string(), colors: args.color.clone() };
    context.print(&report, || vec![format!("{}: {}", report.out, report.colors.join(", "))])
}

/// An end of the colours of numbers.
fn bound(option: &'static str, text: Option<&str>) -> Result<Option<Bound>, Failure> {
    let read = |text: &str| {
        let wrong =
            |_: PlotError| OptionError::new(option, text, "a number, or a percentile from p0 to p100");
        text.parse::<Bound>().map_err(wrong)
    };
    Ok(text.map(read).transpose()?)
}

/// Two columns, counted from 0.
fn components(given: Option<&[usize]>) -> Result<[usize; 2], Failure> {
    match given {
        None => Ok([0, 1]),
        Some(&[a, b]) if a > 0 && b > 0 => Ok([a - 1, b - 1]),
        Some(other) => {
            let found = other.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
            Err(OptionError::new("components", found, "two columns, the first being 1: 1,2").into())
        }
    }
}
