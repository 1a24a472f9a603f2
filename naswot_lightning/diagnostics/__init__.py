"""Networks of a run built once more and looked at: kernels, Jacobians, scores under other conditions."""
