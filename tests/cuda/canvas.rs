//! Whole frames of `sway`: the bytes of the CPU.

use stir::models::sway::motion::{ControlFrame, MotionFrame};

use crate::drawn_figure::{Scene, everything, gust, with};
use crate::harness::device;

/// Lids come and go, light changes, and what lies beyond the borders comes into sight. Frames are under way together, as in a run.
#[test]
fn frames_have_the_bytes_of_the_cpu() {
    for scene in [Scene::portrait(), Scene { width: 1281, height: 67, face: (600.0, 30.0, 20.0), ..Scene::portrait() }]
    {
        // One for each way: what lies beyond the borders is out of focus from the first frame on that zooms out.
        let [(_, mut by_cpu), (_, mut renderer)] = [scene.renderer(), scene.renderer()];
        let mut canvas = renderer.canvas_on(device()).unwrap().expect("a GPU draws");
        let rest = MotionFrame::default();
        let out =
            with(ControlFrame { zoom: -1.0, roll: 0.8, blink_right: 0.5, warmth: 0.7, ..ControlFrame::default() });
        let gusty = MotionFrame { hair_field: gust(2.0), ..out };
        let motions = [rest, everything(), rest, out, gusty, everything(), rest].map(|motion| (motion, 1.0));
        let expected = motions.map(|(motion, cover)| by_cpu.render_covered(&motion, cover));
        let (mut begun, mut drawn) = (motions.iter(), Vec::new());
        loop {
            while canvas.takes_more()
                && let Some((motion, cover)) = begun.next()
            {
                renderer.begin_on(canvas.as_mut(), motion, *cover).unwrap();
            }
            let Some(frame) = canvas.finish().unwrap() else { break };
            drawn.push(frame);
        }
        assert!(drawn == expected, "{}x{}", scene.width, scene.height);
    }
}
