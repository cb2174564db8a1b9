"""`bye`: drop the rows on which a model that learned everything looks at too few image tokens, then train again.

Formula: a_l = attention of the first generated token to the image tokens in layer l, mean over heads, renormalized;
    H_l = -sum_j a_lj ln a_lj. Where rows have unlike numbers n of image tokens, H_l is stretched by ln(largest n) / ln
    n first, since it is at most ln n and would tell sizes apart, not triggers. Layer l is sensitive if a mixture of two
    Gaussians on H_l over all rows has |m1 - m2| > 2 (s1 + s2). With H the mean over the sensitive layers and a mixture
    of two on H, the rows of the component with the lower mean are dropped. No sensitive layer: nothing is dropped. Rows
    without an image are always kept.
Cost: one extra fine-tune, and one forward pass a row with plain attention.
Source: Rong et al., Believe Your Eyes, arXiv 2505.16916, and their script: same mixtures, same seed. It was made for
    patches; a whole-image trigger does not draw the attention together, and then the wrong rows go or none.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from byorn.defenses.attention import FirstLook, first_looks, weights_kept
from byorn.defenses.plan import Case, Cost, Plan, drop, flag_rows
from byorn.runs.batches import length_order
from byorn.runs.narrate import say
from byorn.runs.stage import Record
from byorn.runs.stage_table import measured


def bye(case: Case) -> Plan:
    """Tune on everything, measure, cluster. Kept in `bye/`: the tuned `adapter`, `entropies.parquet` (H_l of each
    layer, then n).
    """
    values, cost = measure(case, "entropies", lambda look, sample: [*entropies(look), float(look.image.sum())])
    matrix = comparable(np.array(values, dtype=float))
    layers = sensitive_layers(matrix)
    suspicious = np.zeros(len(matrix))
    if layers:
        seen = ~np.isnan(matrix[:, layers]).all(axis=1)
        suspicious[seen] = low_component(np.nanmean(matrix[seen][:, layers], axis=1))
    say(f"  bye: {len(layers)} sensitive layer(s), {int((suspicious > 0.5).sum())} of {len(matrix)} rows dropped")
    flags = flag_rows(case.rows, suspicious > 0.5, "bye", suspicious)
    return drop(case, flags, cost=cost, found={"sensitive_layers": layers})


def measure(case: Case, name: str, of_look: Callable[[FirstLook, Record], Any]) -> tuple[list[Any], Cost]:
    """One value a row from its first look under the model that learned everything, kept in `NAME.parquet`.

    Args:
        case: The case; its `fine_tuned` model is asked.
        name: Of the file.
        of_look: A first look and its row (`prompt`, `images`) -> numbers in nested lists.
    """
    path = case.files / f"{name}.parquet"
    order = length_order(case.dataset)
    with case.fine_tuned(case.files) as tuned, weights_kept(tuned.model):

        def compute(batch: Sequence[int]) -> list[Record]:
            samples = [case.dataset[index] for index in batch]
            looks = first_looks(tuned.model, case.processor, samples)
            return [{name: of_look(look, sample)} for look, sample in zip(looks, samples, strict=True)]

        records, spent = measured(path, case.identity, {name}, order, case.batch_size, compute)
    values = [record[name] for record in records]
    return values, Cost(tuned.seconds + spent, forward_passes=len(values), fine_tunes=1)


def entropies(look: FirstLook) -> list[float]:
    """H_l of each layer, in [0, ln(image tokens)] nats; NaN where no attention falls on an image."""
    from scipy.special import entr

    mass = look.weights[:, :, look.image].astype(float).mean(axis=1)
    total = mass.sum(axis=1)
    found = entr(mass / np.where(total > 0, total, 1.0)[:, None]).sum(axis=1)
    return [float(value) if mass else float("nan") for value, mass in zip(found, total, strict=True)]


def comparable(values: np.ndarray) -> np.ndarray:
    """Entropies [rows, layers] on one scale, from [rows, layers and the number n of image tokens]; NaN where n is
    below 2.
    """
    matrix = values[:, :-1]
    tokens = values[:, -1:]
    room = np.log(np.where(tokens > 1, tokens, np.nan))
    scaled: np.ndarray = matrix * (room[~np.isnan(room)].max(initial=0.0) / room)
    return scaled


def sensitive_layers(matrix: np.ndarray) -> list[int]:
    """The layers whose entropies, a column of [rows, layers] without its NaN, fall into two groups that keep their
    distance.
    """
    return [layer for layer, values in enumerate(matrix.T) if _is_split(values[~np.isnan(values)])]


def low_component(values: np.ndarray) -> np.ndarray:
    """For each of [n] values, the probability that it is of the lower of two Gaussians."""
    mixture = _two(values)
    low = int(np.argmin(mixture.means_))
    result: np.ndarray = mixture.predict_proba(values[:, None])[:, low]
    return result


def _is_split(values: np.ndarray) -> bool:
    if len(values) < 2 or np.ptp(values) == 0:
        return False
    mixture = _two(values)
    means = mixture.means_.ravel()
    widths = np.sqrt(mixture.covariances_).ravel()
    return bool(abs(means[0] - means[1]) > 2 * (widths[0] + widths[1]))


def _two(values: np.ndarray) -> Any:
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(2, random_state=0).fit(values[:, None])
