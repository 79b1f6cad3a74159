"""What differs between runs: planted changes are told, accidents are not, and the sentence names both."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from test_comparison import made  # noqa: F401  (a fixture)

from timbrespace import cli, verbs
from timbrespace.errors import RunError
from timbrespace.evaluation import comparison, differences
from timbrespace.recipe import differences as settings_of
from timbrespace.recipe import load

FAMILY = ("model.condition.labels={pitch: {}, family: {}}",)
HARD = np.linspace(3.0, 9.0, 80)[np.random.default_rng(0).permutation(80)]  # dB, whatever the run


@pytest.fixture
def run(made):  # noqa: F811
    """Makes a run whose sounds have these dB and bits; its headline figures follow from them."""

    def make(name, db, bits, *, instruments=20, groups=True, rows=range(80), **how):
        db, bits = np.broadcast_to(db, 80), np.broadcast_to(bits, 80)
        figures = {
            "distortion": {"rmse_db": float(np.sqrt(np.square(db).mean())), "rmse_db_at_mean": 5.0},
            "rate": {"bits_per_sound": float(bits.mean()), "active_units": 9, "dimensions": 9},
        }
        made(name, **(figures | how))
        trained = {"format": 1, "corpus_digest": how.get("corpus_digest", "c0")}
        Path(name, "provenance.json").write_text(json.dumps(trained))
        files = [f"{i},{i}.wav,{'valid' if i in rows else 'train'}" for i in range(81)]
        Path(name, "split.csv").write_text("\n".join(["row,file,split", *files, ""]))
        with open(f"{name}/evaluation/sounds.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["row", "rmse_db", "bits", *(["group"] * groups), "mr_stft"])
            for i in rows:
                group = [f"instrument {i % instruments}"] * groups
                writer.writerow([i, db[i], bits[i], *group, 2.0 + 0.01 * i if i < 40 else ""])
        return name

    return make


def sentences(*runs, **how):
    return [row["sentence"] for row in verbs.compare(list(runs), **how)]


def test_a_planted_change_is_told_with_what_the_recipe_changed(run):
    rng = np.random.default_rng(1)
    bits = np.linspace(50, 70, 80)
    plain = run("plain", HARD, bits)
    told = run("told", 0.8 * HARD, bits - 6 + 0.1 * rng.normal(size=80), settings=FAMILY)
    row = verbs.compare([plain, told])[1]
    assert row["sentence"].startswith("told beside plain (with model.condition.labels.family): ")
    assert "10 % fewer bits (60.0 to 54.0, p < 0.001) at 20 % less error (6.25 to 5.00 dB, p < 0.001)" in (
        row["sentence"]
    )  # fmt: skip
    assert (
        "and the same MR-STFT (2.20); 40 to 80 sounds of 20 instruments, one training"
        in row["sentence"]
    )
    error = row["difference"]["figures"]["rmse_db"]
    squares = np.square(0.8 * HARD) - np.square(HARD)
    assert error["difference"] == pytest.approx(squares.mean())
    assert error["low"] < squares.mean() < error["high"] < 0.0
    assert error["change"] == pytest.approx(-0.2) and error["p"] == error["least_p"] == 1e-4


def test_families_and_silhouettes_are_tested_too(run):
    """A silhouette may cross 0, so that no share of it is told."""
    nearest = {"family_across_instruments": {"z": {"mean": 0.25, "low": 0.15, "high": 0.35}}}
    places = {"1": {"z": {"mean": -0.1, "low": -0.2, "high": 0.0}}}
    better = {"family_across_instruments": {"z": {"mean": 0.5, "low": 0.4, "high": 0.6}}}
    runs = [
        run("a", HARD, 60.0, structure={"neighbours": nearest, "silhouette": places}),
        run("b", HARD, 60.0, structure={
            "neighbours": better, "silhouette": {"1": {"z": {"mean": 0.1, "low": 0.0, "high": 0.2}}},
        }),
    ]  # fmt: skip
    for name, share, place in (("a", 1, -0.1), ("b", 2, 0.1)):
        path = Path(name, "evaluation", "sounds.csv")
        head, *lines = path.read_text().splitlines()
        # one or two of the four notes of each instrument
        added = [f"{line},{int(i // 20 < share)},{place}" for i, line in enumerate(lines)]
        path.write_text("\n".join([f"{head},family_across_z,silhouette_z", *added, ""]))
    rows = verbs.compare(runs)
    assert rows[0]["family_across_interval"] == pytest.approx(0.1)
    told = "100 % more sounds whose family other instruments name (0.25 to 0.50, p < 0.001)"
    assert told in rows[1]["sentence"]
    assert "and a higher silhouette by family (-0.10 to 0.10, p < 0.001)" in rows[1]["sentence"]


def test_figures_of_some_sounds_are_said_where_they_differ_and_counted_where_not(run):
    """Each side lacks the pitch of sounds that the other has: those are left out of both."""
    swap = {"swapped": {"asked_pitch": 0.5}}
    kept = {"a": np.arange(80) % 8 < 2, "b": np.arange(80) % 8 < 6}
    runs = []
    for name, missing in (("a", range(0, 20)), ("b", range(60, 80))):
        share = float(kept[name].mean())
        told = {"pitch": {"to_original": {"model": {"within_50": share}}}, "swap": swap}
        runs.append(run(name, HARD, 60.0, **told))
        path = Path(name, "evaluation", "sounds.csv")
        head, *lines = path.read_text().splitlines()
        cells = ["" if i in missing else int(kept[name][i]) for i in range(80)]
        added = [f"{line},{cells[i]},{i // 20 % 2}" for i, line in enumerate(lines)]
        path.write_text("\n".join([f"{head},pitch_kept,swap_pitch", *added, ""]))
    row = verbs.compare(runs)[1]
    assert (
        "and 200 % more sounds that keep their pitch (0.25 to 0.75, p < 0.001)" in row["sentence"]
    )
    assert "; 1 other figure cannot be told apart; 40 to 80 sounds of 20 instr" in row["sentence"]
    assert "swaps" not in row["sentence"]
    figures = row["difference"]["figures"]
    both = slice(20, 60)
    apart = kept["b"][both].mean() - kept["a"][both].mean()
    assert figures["pitch_kept"]["difference"] == pytest.approx(apart)
    assert figures["swap_pitch"]["p"] == 1.0 and row["swap_pitch"] == 0.5


def test_a_sound_that_one_run_could_not_measure_is_left_out_of_both(run):
    runs = [run("a", HARD, 60.0), run("b", 0.5 * HARD, 60.0, rows=range(1, 80))]
    row = verbs.compare(runs)[1]
    assert "50 % less error (6.25 to 3.13 dB, p < 0.001)" in row["sentence"]
    assert row["difference"]["sounds"] == 79


def test_accidents_and_runs_beside_themselves_are_not_told(run):
    rng = np.random.default_rng(2)
    runs = [
        run("a", HARD, 60.0),
        run("b", HARD + 0.2 * rng.normal(size=80), 60.0),
        run("c", HARD, 60.0),
    ]
    _, other, same = sentences(*runs)
    assert "the same bits (60.0) at error that cannot be told apart (6.25 to 6." in other
    assert same.startswith("c beside a (the same settings): the same bits (60.0) at the same error")


def test_notes_of_one_instrument_are_one_accident(run):
    rng = np.random.default_rng(3)
    # each of 6 instruments is better or worse as a whole: 80 notes tell it with certainty, wrongly
    shift = np.array([[0.8, 0.7, 0.9, 0.6, 0.8, -0.9][i % 6] for i in range(80)])
    assert scipy.stats.ttest_rel(np.square(HARD + shift), np.square(HARD)).pvalue < 1e-6
    runs = [run("a", HARD, 60.0, instruments=6)]
    runs += [run("b", HARD + shift, 60 + rng.normal(size=80), instruments=6)]
    assert "error that cannot be told apart" in sentences(*runs)[1]


def test_too_few_instruments_to_tell_anything_are_said_to_be(run):
    few = [run(name, HARD + db, 60.0, instruments=5) for name, db in (("a", 0.0), ("b", 1.0))]
    assert (
        "5 instruments, too few to tell anything: p cannot fall below 0.062" in sentences(*few)[1]
    )
    alone = [run(name, HARD + db, 60.0, instruments=1) for name, db in (("c", 0.0), ("d", 1.0))]
    assert "not tested, since all sounds are of one instrument" in sentences(*alone)[1]


def test_what_an_earlier_version_evaluated_is_shown_and_not_tested(run):
    old, new = run("old", HARD, 60.0, groups=False), run("new", 0.5 * HARD, 60.0)
    (first, row) = verbs.compare([old, new])
    assert first["sentence"] is None and first["rmse_db_interval"] is None
    assert "50 % less error (6.25 to 3.13 dB)" in row["sentence"]
    assert row["sentence"].endswith("by instrument: evaluate new and old again")
    assert row["difference"]["figures"]["rmse_db"]["p"] is None


def test_a_run_is_held_against_the_first_that_it_compares_with(run):
    runs = [
        run("a", HARD, 60.0), run("b", HARD, 60.0, corpus_digest="c1"),
        run("c", 0.5 * HARD, 60.0), run("d", 0.5 * HARD, 60.0, corpus_digest="c1"),
    ]  # fmt: skip
    found = sentences(*runs)
    assert found[:2] == [None, None]
    assert "c beside a" in found[2] and "d beside b" in found[3]
    other = verbs.compare(["a", "b"], against="a")[1]
    assert "they do not compare" in other["sentence"] and other["difference"]["figures"] == {}


def test_sounds_of_other_instruments_are_no_pairs(run):
    runs = [run("a", HARD, 60.0, instruments=20), run("b", 0.5 * HARD, 60.0, instruments=10)]
    assert "not tested, since both need figures of the same sounds" in sentences(*runs)[1]


def test_over_seeds_another_seed_must_tell_it_too(run):
    rng = np.random.default_rng(4)

    def seeds(name, offsets, settings=()):
        return [
            run(f"{name}{i}", HARD + off + 0.01 * rng.normal(size=80), 60.0, settings=(*settings, f"seed={i}"))
            for i, off in enumerate(offsets)
        ]  # fmt: skip

    steady = seeds("a", (0.0, 0.01, -0.01)) + seeds("b", (-0.3, -0.31, -0.29), FAMILY)
    row = verbs.compare(steady, seeds=True)[1]
    assert "less error" in row["sentence"] and row["sentence"].endswith("20 instruments, 3 seeds")
    # every sound agrees, but a training that begins otherwise may do the opposite
    shaky = seeds("c", (0.0, 1.0, -1.0)) + seeds("d", (-0.3, 0.7, -1.3), FAMILY)
    row = verbs.compare(shaky, seeds=True)[1]
    error = row["difference"]["figures"]["rmse_db"]
    assert error["p"] < 0.001 < 0.5 < error["p_seeds"]
    assert "error that cannot be told apart" in row["sentence"]


def test_folds_become_one_row_and_are_compared_fold_by_fold(run):
    """Four folds of unlike difficulty, in each of which a change makes 2 % less error."""

    def folds(name, factor, settings=()):
        runs = []
        for fold in range(4):
            held = range(20 * fold, 20 * fold + 20)
            runs.append(run(
                f"{name}{fold}", factor * (1.0 + fold) * HARD, 60.0, corpus_digest=f"c{fold}",
                settings=(*settings, f"seed={fold}"), sounds=20, rows=held,
            ))  # fmt: skip
        return runs

    rows = verbs.compare(folds("a", 1.0) + folds("b", 0.98, FAMILY), seeds=True)
    assert [(row["n"], row["folds"], row["sounds"], row["group"]) for row in rows] == [
        (4, 4, 80, 1)
    ] * 2
    assert comparison.text(rows).splitlines()[1].startswith("4 folds")
    error = rows[1]["difference"]["figures"]["rmse_db"]
    assert rows[1]["sentence"].endswith("80 sounds of 20 instruments, 4 folds")
    # as seeds they would be lost in how unlike the folds are
    assert error["p"] < 0.001 and error["p_seeds"] < 0.05
    one, other = ([row["metrics"][k]["distortion"]["rmse_db"] for k in range(4)] for row in rows)
    assert (differences._welch(one, other) or 0.0) > 0.9
    truth = scipy.stats.ttest_rel(one, other).pvalue  # type: ignore
    assert error["p_seeds"] == pytest.approx(truth)
    # other files are no folds, nor are parts that overlap, and one fold twice is an accident
    lines = Path("a2/split.csv").read_text()
    Path("a2/split.csv").write_text(Path("a3/split.csv").read_text())
    assert [row["n"] for row in verbs.compare(["a0", "a2", "a3"], seeds=True)] == [1, 1, 1]
    Path("a2/split.csv").write_text(lines)
    lines = Path("a1/split.csv").read_text().replace("80,", "81,")
    Path("a1/split.csv").write_text(lines)
    assert [row["n"] for row in verbs.compare(["a0", "a1", "a2"], seeds=True)] == [2, 1]
    with pytest.raises(RunError, match="a0 and a0 have the same seed"):
        verbs.compare(["a0", "a0"], seeds=True)


def test_the_p_of_seeds_equals_scipys():
    rng = np.random.default_rng(5)
    one, other = rng.normal(size=5), rng.normal(size=3) + 2.0
    truth = scipy.stats.ttest_ind(one, other, equal_var=False).pvalue  # type: ignore
    assert differences._welch(list(one), list(other)) == pytest.approx(truth)
    assert differences._welch([1.0], [2.0, 3.0]) is None
    assert differences._welch([5.0, 5.0], [5.0, 5.0]) == 1.0


def test_all_are_held_against_the_one_that_is_named(run):
    runs = [run("a", HARD, 60.0), run("b", 0.9 * HARD, 60.0), run("c", 0.8 * HARD, 60.0)]
    assert [s and s.split(" (")[0] for s in sentences(*runs, against="b/")] == [
        "a beside b", None, "c beside b",
    ]  # fmt: skip
    # the least error first
    assert [s[0] for s in comparison.sentences(verbs.compare(runs, against="a"))] == ["c", "b"]
    with pytest.raises(RunError, match=r"d is none of the runs that are compared \(a, b, c\)"):
        verbs.compare(runs, against="d")


def test_settings_that_differ_are_named_and_many_are_counted():
    one = load("instruments")
    two = load("instruments", settings=(*FAMILY, "train.batch=17", "name=other", "seed=7"))
    found = settings_of(one, two)
    assert found["train.batch"] == (one.train.batch, 17)
    assert found["model.condition.labels.family"][0] is None
    three = load(
        "instruments", settings=("model.bottleneck={kind: fsq}", "objective.bits_per_sound=null")
    )
    assert settings_of(one, three)["model.bottleneck.kind"] == ("gaussian", "fsq")
    assert not any(key.startswith("model.bottleneck.l") for key in settings_of(one, three))
    words = differences.told({f"train.{c}": (1, 2) for c in "abcdef"})
    assert words == ", ".join(f"train.{c} 2 in place of 1" for c in "abcd") + " and 2 more"


def test_the_sentences_are_printed_written_and_told_to_machines(run, capsys):
    runs = [run("a", HARD, 60.0), run("b", 0.9 * HARD, 54.0)]
    cli.app(["compare", *runs, "--against", "a", "--out", "t.md"], standalone_mode=False)
    shown, text = capsys.readouterr().out, Path("t.md").read_text(encoding="utf-8")
    assert "10 % fewer bits (60.0 to 54.0, p < 0.001)" in shown
    assert "\n- b beside a (the same settings): 10 % fewer bits" in text
    cli.app(["compare", *runs, "--json", "--out", "t.csv"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)["runs"][1]["difference"]
    assert told["figures"]["bits_per_sound"]["change"] == pytest.approx(-0.1)
    with open("t.csv", newline="") as file:
        assert (
            next(line for line in csv.DictReader(file) if line["run"] == "b")["sentence"]
            == told["sentence"]
        )


def test_one_run_has_the_interval_that_its_evaluation_found(run):
    distortion = {"rmse_db": 6.0, "rmse_db_at_mean": 5.0, "rmse_db_interval": [5.0, 7.5]}
    (row,) = verbs.compare([run("a", HARD, 60.0, distortion=distortion)])
    assert row["rmse_db_interval"] == 1.25 and "6.00 ± 1.25" in comparison.text([row])
    on_z = {"knn": 0.4, "linear": 0.5, "knn_interval": [0.0, 0.8], "linear_interval": [0.4, 0.7]}
    (row,) = verbs.compare([run("b", HARD, 60.0, probes={"family": {"on_z": on_z}})])
    assert row["family_on_z_interval"] == pytest.approx(0.15)  # of the better reader
