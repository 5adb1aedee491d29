//! Between the cells of a coarse map.

/// `plane: [height, width]` at the continuous place (x, y); cell centres at half-integers, edges repeated.
pub fn bilinear(plane: &[f32], width: usize, height: usize, x: f32, y: f32) -> f32 {
    let x = (x - 0.5).clamp(0.0, (width - 1) as f32);
    let y = (y - 0.5).clamp(0.0, (height - 1) as f32);
    let (column, row) = (x as usize, y as usize);
    let (fx, fy) = (x - column as f32, y - row as f32);
    let (next_column, next_row) = ((column + 1).min(width - 1), (row + 1).min(height - 1));
    let upper = plane[row * width + column] * (1.0 - fx) + plane[row * width + next_column] * fx;
    let lower = plane[next_row * width + column] * (1.0 - fx) + plane[next_row * width + next_column] * fx;
    upper * (1.0 - fy) + lower * fy
}
