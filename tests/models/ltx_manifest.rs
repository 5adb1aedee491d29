//! `models/ltx/manifest.toml`: recipes that fit the networks they are for.

use crate::fixture::repository;

fn releases() -> toml::Table {
    let text = std::fs::read_to_string(repository("models/ltx/manifest.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&text).unwrap();
    assert_eq!(manifest["name"].as_str(), Some("ltx"));
    manifest["release"].as_table().unwrap().clone()
}

/// Every value under `name`, at any depth.
fn all<'a>(value: &'a toml::Value, name: &str) -> Vec<&'a toml::Value> {
    match value {
        toml::Value::Table(table) => {
            let own = table.get(name).into_iter();
            own.chain(table.values().flat_map(|value| all(value, name))).collect()
        }
        toml::Value::Array(values) => values.iter().flat_map(|value| all(value, name)).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_release_says_where_its_levels_come_from() {
    for (name, release) in releases() {
        let (schedules, sigmas) = (all(&release, "schedule"), all(&release, "sigmas"));
        assert!(!schedules.is_empty() || !sigmas.is_empty(), "{name}");
        for schedule in schedules {
            assert!(["shifted", "linear-quadratic", "metadata"].contains(&schedule.as_str().unwrap()), "{name}");
        }
        for levels in sigmas {
            let levels: Vec<f64> = levels.as_array().unwrap().iter().map(|level| level.as_float().unwrap()).collect();
            assert!(levels.windows(2).all(|pair| pair[0] > pair[1]), "{name}: {levels:?}");
            assert!(levels[0] <= 1.0 && levels[levels.len() - 1] > 0.0, "{name}: {levels:?}");
        }
    }
}

#[test]
fn perturbed_blocks_exist() {
    for (name, release) in releases() {
        let layers = if name.starts_with("13b") { 48 } else { 28 };
        for blocks in all(&release, "blocks") {
            let blocks = blocks.as_array().unwrap();
            assert!(
                blocks.iter().all(|block| (0..layers).contains(&block.as_integer().unwrap())),
                "{name}: {blocks:?}"
            );
        }
        for mode in all(&release, "mode") {
            assert_eq!(mode.as_str(), Some("attention_values"), "{name}");
        }
    }
}

#[test]
fn piecewise_guidance_goes_from_noise_to_clean() {
    let releases = releases();
    let plans: Vec<_> = releases.values().flat_map(|release| all(release, "guidance")).collect();
    assert!(!plans.is_empty());
    for plan in plans {
        let levels: Vec<f64> = plan.as_array().unwrap().iter().map(|row| row["down_to"].as_float().unwrap()).collect();
        assert!(levels[0] == 1.0 && levels.windows(2).all(|pair| pair[0] > pair[1]), "{levels:?}");
    }
}
