"""TODO."""

import pandas as pd

from ecgnb import files
from ecgnb.records.labels import CONDITIONS, HEALTHY, condition_slug
from ecgnb.report import Chapter


def read_shares(chapter: Chapter) -> pd.DataFrame:
    """Return the shares that the pages of the conditions saved, one table with `condition`."""
    found = {}
    for condition in CONDITIONS:
        name = f"08_condition_{condition_slug(condition)}"
        if files.is_whole(chapter.artifacts / name / "shares.csv"):
            found[condition] = chapter.read_table(name, "shares")
    if HEALTHY not in found:
        raise files.MissingArtifactError("run 08_condition for healthy control first")
    return pd.concat([table.assign(condition=name) for name, table in found.items()])
