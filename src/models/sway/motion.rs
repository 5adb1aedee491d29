//! What the codec decodes for one frame, and the renderer draws: control values by name, and two coarse displacement fields.

/// Rows and columns of the coarse displacement fields.
pub const GRID: usize = 6;

/// A coarse displacement field `[row][column][x, y]`: value 1 is a displacement of 0.16 head radii, right and down, where flexibility is 1.
///
/// Control points of a uniform cubic B-spline; point (row, column) stands at `((column + 0.5) / 6, (row + 0.5) / 6)` of the picture.
// Spelt out, because rustc 1.95 stops with an internal error on closures that capture the type with named constants.
pub type Field = [[[f32; 2]; 6]; 6];

/// Control values of one frame, in the units of the control channels; all zero means: the picture as it is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ControlFrame {
    /// Closure of the eye with the smaller x on the screen: 0 open, 1 closed. Slight overshoot is clamped.
    pub blink_left: f32,
    /// Closure of the other eye.
    pub blink_right: f32,
    /// Content moves right by 8 % of the width, evenly.
    pub pan_x: f32,
    /// Content moves down by 8 % of the height, evenly.
    pub pan_y: f32,
    /// Like `pan_x`, near content moves more.
    pub truck_x: f32,
    /// Like `pan_y`, near content moves more.
    pub truck_y: f32,
    /// Logarithm of the zoom factor divided by `ln 1.2`, even; negative zooms out.
    pub zoom: f32,
    /// Like `zoom`, near content grows more.
    pub push: f32,
    /// Camera roll: content turns clockwise by 1.5 degrees.
    pub roll: f32,
    /// The face shifts right by 0.05 head radii, as in a slight turn.
    pub head_yaw: f32,
    /// The face shifts down by 0.05 head radii, as in a slight nod.
    pub head_pitch: f32,
    /// The head turns clockwise about the neck by 2 degrees.
    pub head_roll: f32,
    /// The head moves down by 0.02 head radii.
    pub head_bob: f32,
    /// 1 is a full in-breath: the shoulders rise by 0.03 head radii.
    pub breath: f32,
    /// 1 brightens by 12 %.
    pub light_gain: f32,
    /// 1 makes the light warmer by 5 %.
    pub warmth: f32,
}

/// All motion of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MotionFrame {
    /// Rigid and scalar motion.
    pub control: ControlFrame,
    /// Displacement of hair.
    pub hair_field: Field,
    /// Displacement of cloth.
    pub cloth_field: Field,
}
