"""The spaces of NDS (Radosavovic et al., 2019): cells in one skeleton, and stages of equal blocks."""
