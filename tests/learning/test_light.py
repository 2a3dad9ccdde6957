"""Selection wants numpy and nothing else; importing the package wants nothing at all."""

import subprocess
import sys

_ALONE = """
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in ("numpy", "hiveguard_pipeline"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Nothing())
import hiveguard_pipeline.learning
assert "numpy" not in sys.modules
from hiveguard_pipeline.learning import ActiveLearner
from hiveguard_pipeline.learning.selection import STRATEGIES, select
import numpy as np
rows = np.random.default_rng(0).dirichlet(np.ones(3), 1000)
given = dict(probabilities=rows, embedding=rows, labelled_embedding=rows[:9])
for name in STRATEGIES:
    assert len(select(name, 5, committee=[rows, rows[::-1]], **given).positions) == 5
class Even:
    def predict_proba(self, X):
        return np.full((len(X), 2), 0.5)
print(len(ActiveLearner(Even()).query(5, rows)))
"""


def test_selectors_and_learner_import_and_run_with_numpy_alone() -> None:
    done = subprocess.run([sys.executable, "-c", _ALONE], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("5\n", "")
