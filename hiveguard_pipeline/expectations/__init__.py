"""What must hold of labels before they are exported, as Great Expectations run inside the database."""

from hiveguard_pipeline.expectations.suite import EXPECTATIONS, Expectation, Judgement, judge_labels

__all__ = ["EXPECTATIONS", "Expectation", "Judgement", "judge_labels"]
