"""In what several items differ from the papers, and why."""

from __future__ import annotations

from wave_jax.experiments.jobs import Plan


def general_deviations(plan: Plan) -> list[str]:
    """Returns what holds for every item; what is an item's own stands with it."""
    scale = plan.scale
    sizes = [
        f"{scale.dim} dimensions instead of 768, at most {scale.max_length} pieces a text, at most "
        f"{scale.texts:,} texts for training and validation and {scale.test_texts:,} for the test: "
        "to fit two cores."
    ]
    return [
        *(sizes if scale.name == "small" else []),
        f"The vocabulary, of at most {scale.vocab_size:,} pieces, is learned from the texts, as "
        "BERT's need not be at hand; a checkpoint brings its own along.",
        "The papers' waves have a positional encoding of a kind that they do not name; ours have "
        "none, as none was gained by it (ablations).",
        "Our waves have a norm before the feed-forward too, so that what is read of them has the "
        "same scale for texts of every length: 2,368,516 parameters for 4 classes without the "
        "table at 768 dimensions, where one norm would make 2,366,980.",
        "What the papers leave open is ours: pooling at [CLS], how a wave is read (modulation: "
        "real part, interference: magnitude), word dropout of 0.4 for all networks but BERT.",
        "All networks learn by AdamW with weight decay 0.01 after a warm-up of 100 steps (a tenth "
        "of the run at most), with clipping at 1, in float32; the rate follows a cosine where no "
        "constant one is named. Of the table, waves and the mean update a batch's rows only, the "
        "others all. The papers name a learning rate alone.",
    ]


def without_checkpoint(plan: Plan) -> tuple[str, ...]:
    """Returns what deviates from the papers where no checkpoint was given."""
    if plan.pretrained is not None:
        return ()
    return (
        "The paper's Transformer takes its token embeddings from pre-trained BERT; no checkpoint "
        "was given (--pretrained), so it starts from random ones as the waves do.",
    )
