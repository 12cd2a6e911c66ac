//! What papers put on a residual network for training: where it is in a file, and how it becomes a head of Maskroom's, if it is of the same
//! make.

use std::collections::BTreeSet;

use super::super::dino_head;
use super::super::listing::Listing;
use super::super::plan::{Plan, Take};
use super::super::site::{Site, Sites, is_average};
use super::kind::Kind;
use super::mlp::{Mlp, Sizes, copied};

/// A head that was taken.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Its settings in a recipe's `decoder`.
    pub settings: Vec<(&'static str, String)>,
    /// Biases that are not taken, because the norm behind them takes them away again.
    pub subtracted: BTreeSet<String>,
    /// The average has no predictor, and got that of the trained network.
    pub lent_predictor: bool,
}

/// Takes the heads of all networks of a file, if each has one of the make that the method has here.
pub(super) fn take(kind: Kind, sites: &Sites, listing: &Listing, width: usize, plan: &mut Plan) -> Option<Head> {
    let (head, takes) = match kind {
        Kind::Dino => {
            let sizes = dino_head::take(sites, listing, width, plan)?;
            let lengths = if listing.flag("norm_last_layer") == Some(false) { "free" } else { "one" };
            let counts =
                [("layers", sizes.layers), ("hidden", sizes.hidden), ("bottleneck", sizes.bottleneck), ("prototypes", sizes.prototypes)];
            let mut settings: Vec<_> = counts.map(|(key, count)| (key, count.to_string())).into();
            settings.extend([("batch_norm", sizes.batch_norm.to_string()), ("lengths", lengths.to_owned())]);
            return Some(Head { settings, ..Head::default() });
        }
        Kind::SwAV => prototypes(sites, listing, width)?,
        Kind::MocoV1 | Kind::MocoV2 | Kind::SimClr => projector(kind, sites, listing, width, false)?,
        Kind::MocoV3 | Kind::SimSiam | Kind::Byol => projector(kind, sites, listing, width, true)?,
        Kind::Converted | Kind::BarlowTwins | Kind::VicReg | Kind::Classifier | Kind::Plain => return None,
    };
    takes.into_iter().for_each(|take| plan.take(take.ours, take.shape, take.made));
    Some(head)
}

/// Whether a network has something to project with, of whatever make.
pub(super) fn has_projector(sites: &Sites, listing: &Listing) -> bool {
    projectors(&sites.raw, listing, false).iter().any(|stem| is_there(listing, stem))
}

/// The same for what predicts.
pub(super) fn has_predictor(sites: &Sites, listing: &Listing) -> bool {
    predictors(&sites.raw).iter().any(|stem| is_there(listing, stem))
}

/// Whether a name, or a part of it, is one of a head.
pub(super) fn is_of_head(name: &str) -> bool {
    const WORDS: [&str; 6] = ["head", "proj", "predict", "prototypes", "fc", "mlp"];
    name.split('.').any(|part| WORDS.iter().any(|word| part.contains(word)))
}

fn is_there(listing: &Listing, stem: &str) -> bool {
    let below = format!("{stem}.");
    listing.shapes.range(below.clone()..).next().is_some_and(|(name, _)| name.starts_with(&below))
}

/// What stands before a network's names without the last word of it, and that word.
fn split(prefix: &str) -> (&str, &str) {
    let words = prefix.strip_suffix('.').unwrap_or(prefix);
    words.rfind('.').map_or(("", words), |dot| words.split_at(dot + 1))
}

/// Where a network's projector may be: in the place of its classifier, or beside it. `single` is whether a single layer there is one.
fn projectors(site: &Site, listing: &Listing, single: bool) -> Vec<String> {
    const OF_AVERAGE: [&str; 4] = ["momentum_projector", "projection_head_momentum", "target_projector", "teacher_projection_head"];
    const OF_RAW: [&str; 4] = ["projector", "projection_head", "online_projector", "online_encoder.projector"];
    let (parent, own) = split(&site.prefix);
    let fc = format!("{}fc", site.prefix);
    let has_fc = single || is_there(listing, &format!("{fc}.0"));
    let within = has_fc.then_some(fc).into_iter().chain([format!("{}projection_head", site.prefix)]);
    let beside = if is_average(own) { OF_AVERAGE } else { OF_RAW };
    within.chain(beside.map(|word| format!("{parent}{word}"))).collect()
}

fn predictors(site: &Site) -> Vec<String> {
    let parent = split(&site.prefix).0;
    ["predictor", "prediction_head", "online_predictor"].map(|word| format!("{parent}{word}")).into()
}

/// The first MLP that is there; libraries keep its layers one name deeper.
fn first_of(stems: &[String], listing: &Listing) -> Option<Mlp> {
    let deeper = ["", ".layers", ".net"];
    stems.iter().flat_map(|stem| deeper.map(|word| format!("{stem}{word}"))).find_map(|stem| Mlp::of(listing, &stem))
}

/// A head whose directions are compared, as MoCo, SimCLR, BYOL and SimSiam have it.
fn projector(kind: Kind, sites: &Sites, listing: &Listing, width: usize, predicts: bool) -> Option<(Head, Vec<Take>)> {
    let (mut takes, mut subtracted) = (Vec::new(), BTreeSet::new());
    let mut found: Option<Sizes> = None;
    for (site, ours) in sites.each() {
        let mlp = first_of(&projectors(site, listing, kind == Kind::MocoV1), listing)?;
        let sizes = mlp.sizes(width)?;
        if found.is_some_and(|found| found != sizes) {
            return None;
        }
        found = Some(sizes);
        takes.extend(mlp.takes(&format!("{ours}head.projector")));
        subtracted.extend(mlp.subtracted().cloned());
    }
    let sizes = found?;
    let mut head = Head { subtracted, ..Head::default() };
    head.settings = vec![("layers", sizes.layers.to_string()), ("width", sizes.width.to_string()), ("last_norm", sizes.last_norm.into())];
    head.settings.extend(sizes.hidden.map(|hidden| ("hidden", hidden.to_string())));
    let mut shared = [sizes.batch_norm, sizes.bias];
    if predicts {
        // An average predicts nothing; it gets the other's, so that both are whole networks.
        let mlp = first_of(&predictors(&sites.raw), listing)?;
        let predictor = mlp.sizes(sizes.width).filter(|predictor| predictor.width == sizes.width)?;
        shared = agreed(&sizes, &predictor)?;
        sites.each().for_each(|(_, ours)| takes.extend(mlp.takes(&format!("{ours}head.predictor"))));
        head.settings.push(("predictor_layers", predictor.layers.to_string()));
        head.settings.push(("predictor_norm", predictor.last_norm.into()));
        head.settings.extend(predictor.hidden.map(|hidden| ("predictor_hidden", hidden.to_string())));
        head.subtracted.extend(mlp.subtracted().cloned());
        head.lent_predictor = sites.average.is_some();
    }
    let flags = ["batch_norm", "bias"].into_iter().zip(shared);
    head.settings.extend(flags.filter_map(|(key, flag)| Some((key, flag?.to_string()))));
    Some((head, takes))
}

/// Whether layers are normalized between, and have biases: projector and predictor must agree where both say it.
fn agreed(projector: &Sizes, predictor: &Sizes) -> Option<[Option<bool>; 2]> {
    let pairs = [(projector.batch_norm, predictor.batch_norm), (projector.bias, predictor.bias)];
    let agree = pairs.iter().all(|(one, other)| one.is_none() || other.is_none() || one == other);
    agree.then(|| pairs.map(|(one, other)| one.or(other)))
}

/// SwAV's: an MLP, and prototypes whose weights are brought back to length one.
fn prototypes(sites: &Sites, listing: &Listing, width: usize) -> Option<(Head, Vec<Take>)> {
    if sites.average.is_some() {
        return None;
    }
    let mlp = first_of(&projectors(&sites.raw, listing, false), listing)?;
    let sizes = mlp.sizes(width)?;
    let (parent, _) = split(&sites.raw.prefix);
    let name = [sites.raw.prefix.as_str(), parent]
        .map(|place| format!("{place}prototypes.weight"))
        .into_iter()
        .find(|name| listing.shapes.contains_key(name))?;
    let &[count, directions] = listing.shapes.get(&name)?.as_slice() else { return None };
    let mut takes = mlp.takes_before_prototypes("head")?;
    takes.push(copied("head.last_layer.weight_v".into(), &[count, directions], &name));
    let mut settings = vec![
        ("layers", sizes.layers.to_string()),
        ("bottleneck", sizes.width.to_string()),
        ("prototypes", count.to_string()),
        ("batch_norm", sizes.batch_norm.unwrap_or(false).to_string()),
    ];
    settings.extend(sizes.hidden.map(|hidden| ("hidden", hidden.to_string())));
    (directions == sizes.width && (2..=1 << 20).contains(&count)).then_some((Head { settings, ..Head::default() }, takes))
}
