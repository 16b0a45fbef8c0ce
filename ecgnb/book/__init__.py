"""Notebooks and recorded tables become the site and its verdicts."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "chapter": ["open_chapter", "read_shares", "show_source", "show_text", "version_table"],
        "claims": ["add_own_run", "score_claims"],
        "provenance": ["checksums", "commit_of", "recorded_runs"],
        "questions": ["answer_questions", "show_answers"],
        "scorecard": ["VERDICTS", "plot_verdicts", "show_cards", "verdict"],
    },
)
