//! Camera commands in brackets: direction and size, measured on the displacement that frames are drawn with.

use stir::camera::CameraCommand;
use stir::models::sway::class_map::ClassMap;
use stir::models::sway::decoder::FrameRenderer;

use super::measures::{AffineFit, Node, nodes};
use super::stage::{EvaluationPicture, SampledMotion, Stage};
use super::{Count, Gate};

/// What a command does to the picture's content over the clip.
enum Effect {
    /// Moves by this share of width and height, within this share of it.
    Travel { right: f64, down: f64, tolerance: f64 },
    /// Grows by 1.2 to this power, within this difference of the power.
    Growth { power: f64, tolerance: f64 },
    /// The camera rests exactly; what else may move is another gate's matter.
    Nothing,
    /// Moves back and forth, by no more than 4 % of the width.
    Shaking,
    /// Follows: travels and grows a little.
    Following,
}

/// Content travels by 8 % and grows by a factor of 1.2; parallax spreads both about these means.
fn effect(command: CameraCommand) -> Effect {
    use CameraCommand::*;
    let even = |right, down| Effect::Travel { right, down, tolerance: 0.01 };
    let parallax = |right, down| Effect::Travel { right, down, tolerance: 0.35 };
    match command {
        PanLeft => even(0.08, 0.0),
        PanRight => even(-0.08, 0.0),
        TiltUp => even(0.0, 0.08),
        TiltDown => even(0.0, -0.08),
        TruckLeft => parallax(0.08, 0.0),
        TruckRight => parallax(-0.08, 0.0),
        PedestalUp => parallax(0.0, 0.08),
        PedestalDown => parallax(0.0, -0.08),
        ZoomIn => Effect::Growth { power: 1.0, tolerance: 0.01 },
        ZoomOut => Effect::Growth { power: -1.0, tolerance: 0.01 },
        PushIn => Effect::Growth { power: 1.0, tolerance: 0.35 },
        PullOut => Effect::Growth { power: -1.0, tolerance: 0.35 },
        StaticShot => Effect::Nothing,
        Shake => Effect::Shaking,
        TrackingShot => Effect::Following,
    }
}

/// The displacement of frame `index` at every node.
fn displacement(picture: &EvaluationPicture, motion: &SampledMotion, index: usize) -> Vec<Node> {
    let map = ClassMap::from_tensor(&picture.image.tensors["probabilities"]).unwrap();
    let renderer = FrameRenderer::new(picture.picture.clone(), &map);
    let grid = renderer.displacements(&motion.frames[index], motion.covers[index]);
    nodes(&grid, picture.clip.width, picture.clip.height)
}

/// Where the middle's content has gone, as shares of width and height, and by what factor content has grown.
fn camera(picture: &EvaluationPicture, nodes: &[Node]) -> ([f64; 2], f64) {
    let (width, height) = (picture.clip.width as f64, picture.clip.height as f64);
    let fit = AffineFit::of(nodes);
    // A node shows what stands at its place plus its displacement; the content of the middle is shown where that sum is the middle.
    let [dx, dy] = fit.at(width / 2.0, height / 2.0);
    let (grown_x, grown_y) = (1.0 / (1.0 + fit.x_slope[0]), 1.0 / (1.0 + fit.y_slope[1]));
    ([-dx * grown_x / width, -dy * grown_y / height], (grown_x * grown_y).sqrt())
}

fn obeys(picture: &EvaluationPicture, motion: &SampledMotion, effect: &Effect) -> bool {
    let ([right, down], growth) = camera(picture, &displacement(picture, motion, 149));
    let power = growth.ln() / 1.2_f64.ln();
    match *effect {
        Effect::Travel { right: to_right, down: to_down, tolerance } => {
            let size = to_right.abs().max(to_down.abs());
            (right - to_right).abs() <= tolerance * size && (down - to_down).abs() <= tolerance * size
        }
        Effect::Growth { power: wanted, tolerance } => {
            (power - wanted).abs() <= tolerance && right.abs() < 0.01 && down.abs() < 0.01
        }
        Effect::Nothing => motion.frames.iter().zip(&motion.covers).all(|(frame, cover)| {
            let control = &frame.control;
            let channels = [control.pan_x, control.pan_y, control.truck_x, control.truck_y, control.zoom, control.push];
            *cover == 1.0 && control.roll == 0.0 && channels == [0.0; 6]
        }),
        Effect::Shaking => {
            let travels: Vec<f64> =
                (10..150).step_by(7).map(|frame| camera(picture, &displacement(picture, motion, frame)).0[0]).collect();
            let turns = travels.windows(3).filter(|w| (w[1] - w[0]) * (w[2] - w[1]) < 0.0).count();
            let most = travels.iter().fold(0f64, |most, travel| most.max(travel.abs()));
            turns >= 4 && (0.003..0.04).contains(&most)
        }
        Effect::Following => right.abs() > 0.02 && power > 0.1,
    }
}

/// Every command in brackets, alone, on the first `count` pictures.
pub fn obeyed(stage: &Stage, count: usize) -> Vec<Gate> {
    let mut obedient = Count::default();
    for picture in stage.pictures.iter().take(count) {
        for command in CameraCommand::all() {
            let motion = stage.sample(picture, &format!("[{}]", command.name()), 1.0, 5);
            let obeyed = obeys(picture, &motion, &effect(command));
            if !obeyed {
                let measured = camera(picture, &displacement(picture, &motion, 149));
                eprintln!("{}: [{}] gives {measured:?}", picture.name, command.name());
            }
            obedient.add(obeyed);
        }
    }
    vec![Gate::share(
        "bracket camera and static obeyed, direction and size",
        "100 %",
        obedient.hits,
        obedient.of,
        |share| share == 1.0,
    )]
}
