r"""The methods of a run, in LaTeX: its own recipe in sentences and equations, and nothing that it has not.

A template's `<name>` is a setting of the section that it describes. No number stands in a template but
those of an equation's form: what a run was trained with comes from its recipe.
"""

from collections.abc import Iterator
from typing import Any

from timbrespace.evaluation.statistics import CONFIDENCE
from timbrespace.features.pair import CHANNELS, EXPONENT
from timbrespace.features.phase import Recovery
from timbrespace.recipe.objective import ObjectiveSection
from timbrespace.writeup.evidence import Evidence
from timbrespace.writeup.latex import escape, fill, plain

FEATURES = {
    "log_mel": r"""A sound, at <sample_rate> Hz, is seen as a log-mel picture of <mels> bands and <frames>
frames~\cite{slaney1998}. From the power $P_{ft}$ of a short-time Fourier transform (Hann windows of
<n_fft> samples, every <hop> samples) in mel bands, levels are taken in decibels below the loudest cell
of the sound, cut at $D = <floor_db>$ dB:
\begin{equation}
  x_{ft} = 1 - \frac{2}{D} \max\Bigl(D,\; 10 \log_{10} \frac{P_{ft}}{\max P}\Bigr) \in [-1, 1].
\end{equation}""",
    "spectrogram": r"""A sound, at <sample_rate> Hz, is seen as a spectrogram of <frames> frames. From the
power $P_{ft}$ of a short-time Fourier transform (Hann windows of <n_fft> samples, every <hop> samples),
levels are taken in decibels below the loudest cell of the sound, cut at $D = <floor_db>$ dB:
\begin{equation}
  x_{ft} = 1 - \frac{2}{D} \max\Bigl(D,\; 10 \log_{10} \frac{P_{ft}}{\max P}\Bigr) \in [-1, 1].
\end{equation}""",
    "waveform": r"""A sound, at <sample_rate> Hz, is seen as its <samples> samples $x \in [-1, 1]$, at a
level that all sounds share.""",
    "pair": r"""A pair is a dry and a wet sound of <samples> samples, at <sample_rate> Hz, seen as pictures
<scale> (Hann windows of <n_fft> samples, every <hop> samples). The channels are: <channels>.""",
}
SCALES = {  # of the pictures of a pair, and their level
    "log_mel": "of <mels> mel bands in decibels down to <floor_db> dB",
    "power": "of the magnitudes to the power of <exponent>",
    "each": ", each sound against its own loudest cell",
    "common": ", both sounds against the loudest cell of the dry one",
}
INVERSION = r"""Pictures become sound by a <inversion> inversion of the filters, phase from heap
integration~\cite{prusa2017} and <rounds> rounds of fast Griffin--Lim~\cite{perraudin2013}."""
INVERSION_LINEAR = r"""Pictures become sound by phase from heap integration~\cite{prusa2017} and <rounds>
rounds of fast Griffin--Lim~\cite{perraudin2013}."""

NETS = {
    "conv2d": "convolutions over time and frequency, from the picture inwards of <channels> channels, "
    "each halving both sides",
    "frames": "convolutions over time that take the bands of the picture as channels, from the picture "
    "inwards of <channels> channels, each halving both sides",
    "principal": "a linear map of the picture's first <components> principal components beside a network "
    "of <layers> layers of <hidden> units (<activation>), which begin as the best linear code of the "
    "pictures",
    "conv1d": "convolutions over the samples, from the sound inwards of <channels> channels at strides of "
    "<strides>",
    "mel2d": "convolutions over a log-mel picture of the samples (<mels> bands, windows of <n_fft> samples, "
    "every <hop> samples), from the picture inwards of <channels> channels",
    "siamese": "one network for the dry and the wet sound, convolutions inwards of <channels> channels, each "
    "halving both sides, whose outputs are subtracted",
    "wet": "convolutions over the wet sound's pictures alone, inwards of <channels> channels, each halving "
    "both sides",
    "harmonic": r"harmonics and filtered noise~\cite{serra1990,engel2020}, <partials> partials and "
    "<bands> bands whose levels are given every <hop> samples, on the first <components> principal "
    "components of these curves and a network of <layers> layers of <hidden> units (<activation>)",
}
DETAILS = {  # of a network, where the recipe has them
    "residual": "<residual> residual blocks a level",
    "attention": r"attention~\cite{vaswani2017} between the innermost places",
    "film": r"the condition told to every level as scale and shift~\cite{perez2018}",
    "skip": "the latent told to every level",
    "dropout": "a dropout of <dropout>",
    "stiff": "partials that may be spread as those of a stiff string",
}

GAUSSIAN = r"""Gaussian posterior
$q(z|x) = \mathcal{N}(\mu, \operatorname{diag} \sigma^2)$, from which $z = \mu + \sigma \epsilon$ is drawn in
training~\cite{kingma2014}; with the prior $\mathcal{N}(0, I)$ a sound costs
\begin{equation}
  \mathrm{KL} = \frac{1}{2} \sum_j \bigl(\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2\bigr) \text{ nats.}
\end{equation}"""
BOTTLENECKS = {
    "gaussian": "The latent has <latent> numbers. The encoder gives a " + GAUSSIAN,
    "divided": r"""The latent has two parts: <latent> numbers come of all pictures of a pair, and are those that
heads read and that are drawn together, and <dry> numbers come, through a network of their own, of the dry
sound alone, which is decoded from these alone; what lies between the sounds is decoded from both. Each
network gives a """
    + GAUSSIAN,
    "hierarchical": r"""The latent has levels of <levels> numbers from the top down, each with a prior that
those above it shape~\cite{sonderby2016,vahdat2020}: $z_l = m_l(z_{<l}) + s_l(z_{<l})\, u_l$ with
$u_l \sim \mathcal{N}(0, I)$ and networks of <hidden> units. With posteriors
$q(u_l | x, u_{<l}) = \mathcal{N}(\mu_l, \operatorname{diag} \sigma_l^2)$ a sound costs
\begin{equation}
  \mathrm{KL} = \frac{1}{2} \sum_l \sum_j \bigl(\mu_{lj}^2 + \sigma_{lj}^2 - 1 - \log \sigma_{lj}^2\bigr)
  \text{ nats.}
\end{equation}""",
    "vq": r"""The latent has <positions> positions of <dim> numbers, each of which becomes the nearest of
<codebook> learnt codes~\cite{oord2017}, on levels: <levels>; the gradient goes through as it
is~\cite{bengio2013}. The rate is the same for every sound, that of even use of all codes.""",
    "fsq": r"""The latent has <positions> positions, at each of which numbers are rounded to <steps>
values~\cite{mentzer2024}; the gradient goes through as it is~\cite{bengio2013}. The rate is the same for
every sound, that of even use of all codes.""",
}
LEARNT = {
    "ema": "Codes are running means, of decay <decay>, of what they stand for.",
    "gradient": "Codes are learnt by gradient.",
}

SIGMAS = {
    "fixed": r"\frac{1}{2 s^2} \sum_c (x_c - \hat x_c)^2 \text{ with } s = <value>",
    "learned": r"\frac{1}{2 s^2} \sum_c (x_c - \hat x_c)^2 + C \log s \text{ with } s \text{ learnt}",
    "optimal": r"\frac{C}{2} \Bigl(\log \frac{1}{C} \sum_c (x_c - \hat x_c)^2 + 1\Bigr)",
}
TERMS = {
    "mean_squared": r"\frac{1}{C} \sum_c (x_c - \hat x_c)^2",
    "summed_squared": r"\sum_c (x_c - \hat x_c)^2",
    "l1": r"\sum_c |x_c - \hat x_c|",
    "bernoulli_nll": r"-\sum_c \bigl(p_c \log \hat p_c + (1 - p_c) \log (1 - \hat p_c)\bigr),\ "
    r"p = \tfrac{1}{2}(x + 1)",
    "cosine": r"1 - \frac{x \cdot \hat x}{\|x\| \|\hat x\|}",
    "output_range": r"\sum_c \max(|\hat x_c| - 1, 0)^2",
    "spectral": r"\frac{1}{2} \bigl\| |\mathcal{F} x| - |\mathcal{F} \hat x| \bigr\|^2",
    "multi_resolution_stft": r"\frac{1}{R} \sum_r \Bigl(\frac{\| S_r - \hat S_r \|}{\| S_r \|} + "
    r"\overline{\bigl| \log S_r - \log \hat S_r \bigr|}\Bigr)",
    "commitment": r"\| e - \operatorname{sg}(c) \|^2",
    "codebook": r"\| \operatorname{sg}(e) - c \|^2",
    "diversity": r"-H(\text{codes})",
    "adversary": r"-\mathrm{E} \log a(\text{label} | z)",
    "independence": r"\mathrm{HSIC}(z, \text{label})",
    "perceptual": r"1 - \frac{(\sum d \delta)^2}{\sum d^2 \sum \delta^2}",
    "effect": r"-\mathrm{E} \log h(\text{effect} | z)",
    "knobs": r"-\mathrm{E} \sum_k \log h(u_k | z)",
    "knob_kl": r"\mathrm{E} \sum_k \mathrm{KL}(h(u_k | z) \,\|\, \text{even})",
    "invariance": r"\mathrm{E} \|\mu - \mu'\|^2 / \mathrm{E} \|\mu - \mu''\|^2",
    "clusters": r"\mathrm{E} \|\mu - \mu^*\|^2 / \mathrm{E} \|\mu - \mu''\|^2",
    "audio": r"\mathrm{MRSTFT}(\mathrm{fx}(x, \hat u), y)",
    "audio_l1": r"\mathrm{E} |\mathrm{fx}(x, \hat u) - y|",
}
SOURCES = {  # of a term, where it has one
    "optimal": "rybkin2021", "bernoulli_nll": "loaiza2019", "multi_resolution_stft": "yamamoto2020",
    "commitment": "oord2017", "codebook": "oord2017", "adversary": "ganin2015",
    "independence": "gretton2005,cortes2012", "perceptual": "kruskal1964",
    "knobs": "schrittwieser2020", "audio": "spall1998",
}  # fmt: skip
SYMBOLS = {  # what stands in an equation, and is not said elsewhere
    "multi_resolution_stft": "$S_r$ are magnitudes of Fourier transforms of <sizes> samples",
    "spectral": r"$\mathcal{F}$ is the Fourier transform of the picture along <along>",
    "perceptual": r"$d$ are distances in the latent and $\delta$ the given ones, of <sounds> sounds a step",
    "commitment": r"$e$ are encodings, $c$ their codes, and $\operatorname{sg}$ stops the gradient",
    "adversary": "$a$ is a classifier that the encoder is trained against",
    "effect": "$h$ are heads that read the latent",
    "knobs": "$u_k$ is the place of a knob between its ends, told as a mean of evenly spaced places",
    "knob_kl": "$u_k$ is the place of a knob between its ends, and $h$ its distribution over evenly spaced "
    "places, that is read off the latent",
    "invariance": r"$\mu'$ has the same setting on another sound, and $\mu''$ is any of the batch",
    "clusters": r"$\mu^*$ has the same effect, and $\mu''$ is any of the batch",
    "audio": r"$\mathrm{fx}(x, \hat u)$ is the dry sound rendered with the knobs that are read off the "
    "latent, of <pairs> pairs a step, and $y$ the wet one; where an effect has no gradient it is estimated "
    "by simultaneous perturbation, and no slope counts as steeper than twice the distance per range of a knob",
}

FREE_BITS = {
    "total": r"Of the mean KL of a batch $\lambda = <free_bits>$ nats are free~\cite{kingma2016}: "
    r"$\max(\mathrm{KL}, \lambda)$ takes its place.",
    "sound": r"Of each sound's KL $\lambda = <free_bits>$ nats are free~\cite{kingma2016}: "
    r"$\max(\mathrm{KL}, \lambda)$ takes its place.",
    "dimension": r"Of the KL of each dimension, meant over the batch, $\lambda = <free_bits>$ nats are "
    r"free~\cite{kingma2016}: $\sum_j \max(\mathrm{KL}_j, \lambda)$ takes its place.",
}

MEASURES = {  # of an answered question, what it stands on
    "heard": r"What is heard is compared by a multi-resolution STFT distance~\cite{yamamoto2020}.",
    "pitch": r"Pitch is tracked by yin~\cite{cheveigne2002}<network>.",
    "swap": r"In the swap test families are named by nearest recordings in the embedding of "
    r"musicnn~\cite{pons2019}.",
    "structure": r"How families hold together is told by silhouettes~\cite{rousseeuw1987}.",
    "disentanglement": r"Disentanglement is told by MIG~\cite{chen2018}, SAP~\cite{kumar2018} and "
    r"DCI~\cite{eastwood2018}.",
    "posterior": r"The rate is taken apart as by \cite{hoffman2016} and \cite{chen2018}.",
    "axes": r"Descriptors of timbre are those of the Timbre Toolbox~\cite{peeters2011}.",
    "effects": "What the latent knows of effects is read by nearest neighbours, logistic regression, ridge "
    "regression and forests, fitted on training pairs.",
    "distribution": r"Sets of sounds are compared in the embedding of musicnn~\cite{pons2019} by kernel "
    r"and Fr\'{e}chet audio distance~\cite{binkowski2018,kilgour2019}, density and "
    r"coverage~\cite{naeem2020}.",
    "perception": r"Agreement with listeners is that of a benchmark of rated "
    r"dissimilarities~\cite{tian2025}.",
}


def methods(found: Evidence) -> str:
    """The paragraphs of one run."""
    parts = {
        "Data": _data, "Picture": _picture, "Networks": _networks, "Latent": _latent,
        "Objective": _objective, "Training": _training, "Measures": _measures,
    }  # fmt: skip
    paragraphs = ((title, " ".join(part(found))) for title, part in parts.items())
    return "\n\n".join(f"\\paragraph{{{title}.}} {text}" for title, text in paragraphs) + "\n"


def _data(found: Evidence) -> Iterator[str]:
    source = (found.bank or {}).get("source", {}).get("name")
    if source:
        yield fill(
            r"The sounds are notes of sampled instruments, rendered from <source>~\cite{fluidr3} in the "
            r"layout of NSynth~\cite{engel2017}.",
            {"source": source},
        )
    splits = {name: found.splits.get(name, 0) for name in ("train", "valid", "test")}
    by = found.corpus.get("split_by")
    divided = {None: "", "source": ", divided as their source says"}.get(by, ", divided by <by>")
    yield fill(
        f"Of them <train> are trained on, <valid> validate and <test> are kept for tests{divided}.",
        {**splits, "by": by},
    )
    shared = found.at("probes.instruments_shared_with_training")
    known = {None: "", 0: ", none of them trained on"}.get(
        shared,
        f", {found.number('probes.instruments_shared_with_training')} of them trained on",
    )
    yield fill("Figures are of the <split> split: ", found.metrics) + (
        f"{found.number('sounds')} sounds of {found.number('distortion.groups')} instruments or "
        f"files{known}."
    )


def _picture(found: Evidence) -> Iterator[str]:
    feature = found.run.recipe.feature
    settings = feature.model_dump()
    if feature.kind == "pair":
        scale = SCALES[feature.picture] + SCALES[feature.level]
        settings["scale"] = fill(scale, {**settings, "exponent": EXPONENT})
        names = [
            *CHANNELS[feature.channels],
            *(f"the same in windows of {n}" for n in feature.resolutions),
        ]
        settings["channels"] = ", ".join(names)
    yield fill(FEATURES[feature.kind], settings)
    recovery = Recovery()
    if feature.kind == "log_mel":
        yield fill(INVERSION, vars(recovery))
    elif feature.kind == "spectrogram":
        yield fill(INVERSION_LINEAR, vars(recovery))


def _networks(found: Evidence) -> Iterator[str]:
    model = found.run.recipe.model
    for part in ("encoder", "decoder"):
        net = getattr(model, part).model_dump()
        text = fill(NETS[net["kind"]], net)
        if net.get("hidden") and "<hidden>" not in NETS[net["kind"]]:
            text += fill(", mixed by a layer of <hidden> units", net)
        more = [fill(words, net) for name, words in DETAILS.items() if net.get(name)]
        yield f"The {part}: {text}" + (f"; with {', '.join(more)}." if more else ".")
    condition = model.condition
    for name, label in condition.labels.items():
        told = {"encoder": "the encoder", "decoder": "the decoder", "both": "both halves"}[label.to]
        how = (
            "as a smooth function of its number" if label.kind == "continuous"
            else "as a learnt vector for each value"
        )  # fmt: skip
        values = {
            "name": name, "told": told, "how": how, "size": condition.size, "drop": label.drop
        }  # fmt: skip
        yield fill("The label <name> is told to <told> <how>, of <size> numbers", values) + (
            fill("; a share of <drop> of the sounds is trained without it.", values)
            if label.drop
            else "."
        )
    for name, way in condition.remove.items():
        how = {"adversary": "an adversary", "independence": "an independence penalty"}[way]
        yield fill(f"The label <name> is removed from the latent by {how}.", {"name": name})


def _latent(found: Evidence) -> Iterator[str]:
    section = found.run.recipe.model.bottleneck
    settings = section.model_dump()
    yield fill(BOTTLENECKS[section.kind], settings)
    if settings.get("spread"):
        yield fill(
            "Batch normalisation gives the means a standard deviation of <spread>.", settings
        )
    if section.codebooks is not None:
        yield f"Here that is {found.number('rate.bits_per_sound', 1)} bits a sound."
    if "learn" in settings:
        yield fill(LEARNT[settings["learn"]], settings)
        if settings["levels"] > 1:
            yield r"Each level quantises what the one before it left~\cite{zeghidour2021}."


def _objective(found: Evidence) -> Iterator[str]:
    recipe = found.run.recipe
    section, codes = recipe.objective, recipe.model.bottleneck.codebooks is not None
    extra = {name: weight for name, weight in section.weights.items() if weight}
    sums = [] if codes else [r"\beta\, \mathrm{KL}"]
    sums += [
        rf"{plain(weight)}\, T_{{\mathrm{{{_symbol(name)}}}}}" for name, weight in extra.items()
    ]
    yield "Training minimises, as a mean over sounds of $C$ cells,"
    yield r"\begin{equation} \mathcal{L} = R" + "".join(f" + {one}" for one in sums)
    yield rf",\qquad R = {_term(section.reconstruction, section)}. \end{{equation}}"
    used = dict.fromkeys((section.reconstruction, *extra))
    for name in extra:
        yield (
            rf"The term {escape(name.replace('_', ' '))} is $T_{{\mathrm{{{_symbol(name)}}}}} = "
            rf"{_term(name, section)}$" + _source(name, section) + "."
        )
    if source := _source(section.reconstruction, section):
        yield f"The reconstruction term is that of{source}."
    for name in used:
        if name in SYMBOLS:
            yield "There " + fill(SYMBOLS[name], _settings(name, section)) + "."
    values = section.model_dump()
    if section.loud:
        yield fill(
            "Cells at the loudest level count <loud> times more than those at the floor.", values
        )
    if section.bands:
        bands = "; ".join(
            fill("from <low> Hz <weight>", {"low": f, "weight": w}) for f, w in section.bands
        )
        yield f"Cells are weighed by frequency ({bands})."
    if codes:
        return
    if section.bits_per_sound is not None:
        yield fill(
            r"The weight $\beta$ is found by a proportional-integral controller of $\log \beta$, which "
            "holds the rate at <bits_per_sound> bits a sound.", values
        )  # fmt: skip
    else:
        yield fill(r"The weight is $\beta = <beta>$~\cite{higgins2017}", values) + "."
    if section.warmup_steps:
        yield fill(r"It rises from zero over the first <warmup_steps> steps.", values)
    if section.cycle is not None:
        yield fill(
            r"It rises from zero in <cycles> cycles, for a share of <rise> of each~\cite{fu2019}.",
            section.cycle.model_dump(),
        )
    if section.free_bits:
        yield fill(FREE_BITS[section.free_bits_over], values)


def _training(found: Evidence) -> Iterator[str]:
    recipe, status = found.run.recipe, found.metrics.get("training") or {}
    section = recipe.train
    values: dict[str, Any] = {
        **section.model_dump(), **section.augment.model_dump(), "seed": recipe.seed,
        "done": int(status.get("epoch", section.epochs)), "share": 100.0 * section.augment.layer,
        "version": found.run.provenance.get("timbrespace", ""),
        "torch": found.run.provenance.get("torch", ""),
    }  # fmt: skip
    yield fill(
        r"AdamW~\cite{loshchilov2019} with a learning rate of <learning_rate> and a weight decay of "
        "<weight_decay>, on batches of <batch> sounds for <done> of <epochs> epochs, seed <seed>.", values
    )  # fmt: skip
    if section.schedule == "cosine":
        yield r"The learning rate falls along a cosine~\cite{loshchilov2017}."
    if section.warmup_steps:
        yield fill("The learning rate rises over the first <warmup_steps> steps.", values)
    if section.clip is not None:
        yield fill("Gradients are clipped to a norm of <clip>.", values)
    if section.average:
        yield fill(
            r"The weights in use are a running average of decay <average>~\cite{polyak1992}.",
            values,
        )
    if section.patience:
        yield fill("Training stops after <patience> epochs without progress.", values)
    if section.augment.layer:
        yield fill(
            r"Of the sounds, <share> \% have another of the same pitch laid over them.", values
        )
    if section.augment.tilt_db:
        yield fill("Pictures are tilted by a smooth gain over frequency of <tilt_db> dB.", values)
    yield fill(r"Software: timbrespace <version>, torch <torch>.", values)


def _measures(found: Evidence) -> Iterator[str]:
    yield (
        "All figures are of $z$ drawn from the posterior unless they say otherwise; floors and probes "
        "are fitted on training sounds only."
    )
    if found.at("distortion.groups") > 1:
        yield fill(
            r"Intervals, of <percent> \%, are bootstraps over instruments~\cite{efron1979}.",
            {"percent": 100.0 * CONFIDENCE},
        )
    for name, words in MEASURES.items():
        answer = found.metrics.get(name)
        if answer and "why_not" not in answer:
            network = "swift" in str(answer.get("tracker"))
            words = words.replace(
                "<network>", r" and swift-f0~\cite{nieradzik2025}" if network else ""
            )
            yield words


def _term(name: str, section: ObjectiveSection) -> str:
    """A term's equation."""
    if name == "gaussian_nll":
        return fill(SIGMAS[section.sigma.kind], section.sigma.model_dump())
    return TERMS[name]


def _source(name: str, section: ObjectiveSection) -> str:
    key = SOURCES.get(section.sigma.kind if name == "gaussian_nll" else name)
    return rf"~\cite{{{key}}}" if key else ""


def _settings(name: str, section: ObjectiveSection) -> dict[str, Any]:
    """The settings of a term that has some."""
    part = {"spectral": section.spectral, "multi_resolution_stft": section.stft,
            "perceptual": section.perceptual, "audio": section.audio}.get(name)  # fmt: skip
    return {} if part is None else part.model_dump()


def _symbol(name: str) -> str:
    return name.replace("_", r"\ ")
