"""One lead in, twelve out: methods, scores, personal models."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "browser_model": ["make_recording", "paste_average_beat", "predict_live", "score_hidden"],
        "cnn": ["HEADS", "StackedCnn", "matched_width"],
        "corrector": ["Corrector"],
        "expiry": ["load_expectation"],
        "lead_sets": ["find_set", "lead_sets"],
        "linear": ["solve_ridge"],
        "methods": [
            "ALL_INPUTS",
            "CLOSED_FORMS",
            "METHODS",
            "Method",
            "WorstCases",
            "find_worst_cases",
            "predict_test",
            "score_method",
            "score_record",
            "worst_piece",
        ],
        "model_files": ["load_personal", "save_personal"],
        "blocks": ["Work", "reconstruct_blocks", "reconstruct_file", "write_blocks"],
        "personal": [
            "CAUTION",
            "PersonalModel",
            "clean_input",
            "expect_other_day",
            "fit_personal",
            "reconstruct",
            "reconstruct_with_bands",
        ],
        "scores": [
            "compare_leads",
            "compare_methods",
            "count_hearts",
            "headline",
            "hearts_of",
            "lead_usefulness",
            "network_gains",
            "only_independent",
            "recorded_hearts",
            "score_leads",
            "score_pairs",
            "summarise",
        ],
        "set_scores": ["correlate_ranks", "find_knee", "rank_leads", "summarise_sets"],
        "streaming": ["Stream", "stream"],
    },
)
