//! What the frames look like: exactness of the first, sharpness, stillness of what must be still, and what the encoder sees.

use stir::models::sway::class_map::ClassMap;
use stir::models::sway::decoder::FrameRenderer;
use stir::picture::Picture;

use super::measures::{AffineFit, Node, nodes, root_mean_square};
use super::stage::{EvaluationPicture, SampledMotion, Stage};
use super::{Count, Gate, eyes_found};

const BACKGROUND: u8 = 0;
const FACE: u8 = 2;
const EYE: u8 = 5;

/// Frames that are measured: after the start, and spread over the clip.
const MEASURED: [usize; 5] = [30, 60, 90, 120, 149];

fn renderer(picture: &EvaluationPicture) -> FrameRenderer {
    let map = ClassMap::from_tensor(&picture.image.tensors["probabilities"]).unwrap();
    FrameRenderer::new(picture.picture.clone(), &map)
}

fn displacement(
    renderer: &FrameRenderer,
    picture: &EvaluationPicture,
    motion: &SampledMotion,
    frame: usize,
) -> Vec<Node> {
    let grid = renderer.displacements(&motion.frames[frame], motion.covers[frame]);
    nodes(&grid, picture.clip.width, picture.clip.height)
}

/// Mean length of the displacement over the picture and the clip, in pixels.
pub fn mean_flow(picture: &EvaluationPicture, motion: &SampledMotion) -> f64 {
    let renderer = renderer(picture);
    let lengths = MEASURED.iter().map(|frame| {
        let nodes = displacement(&renderer, picture, motion, *frame);
        nodes.iter().map(|node| node.dx.hypot(node.dy)).sum::<f64>() / nodes.len() as f64
    });
    lengths.sum::<f64>() / MEASURED.len() as f64
}

/// Exactness of frame 0, sharpness, the face's shape and the background's stillness, on the first `count` pictures with a face.
pub fn frames(stage: &Stage, count: usize) -> Vec<Gate> {
    let mut exact = Count::default();
    let (mut sharpness, mut residual, mut drift) = (f64::INFINITY, 0f64, 0f64);
    for (seed, picture) in stage.pictures.iter().filter(|picture| picture.share(&[FACE]) > 0.01).take(count).enumerate()
    {
        let mut renderer = renderer(picture);
        let motion = stage.sample(picture, "hair flowing, breathing, eyes blinking [zoom in]", 1.0, seed as u64);
        let first = renderer.render_covered(&motion.frames[0], motion.covers[0]);
        exact.add(first == picture.picture);
        // Without blinks, so that only the warp is judged.
        let mut open = motion;
        for frame in &mut open.frames {
            (frame.control.blink_left, frame.control.blink_right) = (0.0, 0.0);
        }
        for frame in MEASURED {
            let drawn = renderer.render_covered(&open.frames[frame], open.covers[frame]);
            let nodes = displacement(&renderer, picture, &open, frame);
            sharpness = sharpness.min(gradient_energy(&drawn) / warped_gradient_energy(&picture.picture, &nodes));
        }
        let still_camera = stage.sample(picture, "hair flowing, breathing", 1.0, seed as u64);
        for frame in MEASURED {
            let nodes = displacement(&renderer, picture, &still_camera, frame);
            let labelled = |class: u8| -> Vec<Node> {
                nodes.iter().filter(|node| picture.label(node.x, node.y) == class).copied().collect()
            };
            residual = residual.max(AffineFit::residual(&labelled(FACE)));
            drift = drift.max(root_mean_square(&labelled(BACKGROUND)));
        }
    }
    vec![
        Gate::share("frame 0 before encoding is the picture", "exact", exact.hits, exact.of, |share| share == 1.0),
        Gate::value(
            "gradient energy of a frame against the source under the same warp, lowest",
            "at least 0.95",
            format!("{sharpness:.3}"),
            Some(sharpness >= 0.95),
        ),
        Gate::value(
            "face residual after the best affine fit, largest, at 720p",
            "at most 0.3 px rms",
            format!("{residual:.2} px"),
            Some(residual <= 0.3),
        ),
        Gate::value(
            "background drift beside flowing hair, largest, at 720p",
            "0.15 px rms",
            format!("{drift:.2} px"),
            None,
        ),
    ]
}

/// What the encoder finds: eyes where the drawing has them, and none where it has none.
pub fn seeing(stage: &Stage) -> Vec<Gate> {
    let (mut found, mut false_eyes) = (Count::default(), Count::default());
    for picture in &stage.pictures {
        if picture.share(&[EYE]) > 0.001 {
            found.add(eyes_found(picture) > 0);
        } else {
            false_eyes.add(eyes_found(picture) > 0);
        }
    }
    vec![
        Gate::value(
            "pictures with open eyes where eyes are found",
            "reported",
            format!("{} of {}", found.hits, found.of),
            None,
        ),
        Gate::value(
            "pictures without open eyes where eyes are found",
            "at most 2 % (stage 2)",
            format!("{} of {}", false_eyes.hits, false_eyes.of),
            None,
        ),
    ]
}

fn brightness(picture: &Picture, x: usize, y: usize) -> f64 {
    let [red, green, blue] = picture.pixel(x, y).map(f64::from);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/// Central differences of the brightness.
fn gradient(picture: &Picture, x: usize, y: usize) -> [f64; 2] {
    [
        (brightness(picture, x + 1, y) - brightness(picture, x - 1, y)) / 2.0,
        (brightness(picture, x, y + 1) - brightness(picture, x, y - 1)) / 2.0,
    ]
}

fn gradient_energy(picture: &Picture) -> f64 {
    let mut sum = 0.0;
    for y in 1..picture.height() - 1 {
        for x in 1..picture.width() - 1 {
            let [gx, gy] = gradient(picture, x, y);
            sum += gx * gx + gy * gy;
        }
    }
    sum
}

/// The energy that the source's own gradients have after the warp: `|J^T grad I(p + d(p))|^2` with `J = 1 + grad d`, and the gradient read at the
/// nearest pixel, so that reading it blurs nothing.
fn warped_gradient_energy(source: &Picture, nodes: &[Node]) -> f64 {
    const STEP: usize = stir::ops::warp::STEP;
    let columns = source.width().div_ceil(STEP);
    let node = |column: usize, row: usize| {
        let index = row * columns + column;
        (index < nodes.len()).then(|| nodes[index])
    };
    let rows = nodes.len() / columns;
    let mut sum = 0.0;
    for y in 1..source.height() - 1 {
        for x in 1..source.width() - 1 {
            let fraction = |pixel: usize, count: usize| {
                let place = ((pixel as f64 + 0.5) / STEP as f64 - 0.5).clamp(0.0, (count - 2) as f64 + 0.999);
                (place as usize, place.fract())
            };
            let ((column, across), (row, down)) = (fraction(x, columns), fraction(y, rows));
            let corner =
                |right: usize, below: usize| node(column + right, row + below).expect("nodes cover the picture");
            let (a, b, c, d) = (corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1));
            let mix = |a: f64, b: f64, c: f64, d: f64| {
                (a * (1.0 - across) + b * across) * (1.0 - down) + (c * (1.0 - across) + d * across) * down
            };
            let step = STEP as f64;
            let slope_x = |a: f64, b: f64, c: f64, d: f64| ((b - a) * (1.0 - down) + (d - c) * down) / step;
            let slope_y = |a: f64, b: f64, c: f64, d: f64| ((c - a) * (1.0 - across) + (d - b) * across) / step;
            let source_x = x as f64 + mix(a.dx, b.dx, c.dx, d.dx);
            let source_y = y as f64 + mix(a.dy, b.dy, c.dy, d.dy);
            let read = |place: f64, side: usize| (place.round().max(1.0) as usize).min(side - 2);
            let [gx, gy] = gradient(source, read(source_x, source.width()), read(source_y, source.height()));
            let along_x = (1.0 + slope_x(a.dx, b.dx, c.dx, d.dx)) * gx + slope_x(a.dy, b.dy, c.dy, d.dy) * gy;
            let along_y = slope_y(a.dx, b.dx, c.dx, d.dx) * gx + (1.0 + slope_y(a.dy, b.dy, c.dy, d.dy)) * gy;
            sum += along_x * along_x + along_y * along_y;
        }
    }
    sum
}
