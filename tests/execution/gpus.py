"""A search whose processes take the CPU for their GPU."""

from naswot_lightning.scorer import ScoreEvaluator


class OnGpus(ScoreEvaluator):
    """Scores on a GPU in this process, and on the CPU in any other."""

    def __reduce__(self):
        make, (*arguments, _, precision, criteria, units) = super().__reduce__()
        return make, (*arguments, "cpu", precision, criteria, units)


def scores_on_gpus(context):
    names = [part.name for criterion in context.criteria for part in criterion.parts]
    return OnGpus(context.space, context.load_probes(), names, context.config.seed, context.device)
