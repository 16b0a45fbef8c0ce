"""Arrays and tables become Axes or HTML; nothing is fitted or read here."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "ecg": ["plot_ecg", "plot_error", "plot_reconstruction"],
        "interactive": ["show_relevance", "show_score_map"],
        "live": ["page_html"],
        "maps": [
            "plot_explained",
            "plot_power",
            "plot_randomised",
            "plot_shares",
            "plot_shares_by_condition",
        ],
        "recordings": [
            "plot_abnormality",
            "plot_amplitudes",
            "plot_beat_steps",
            "plot_by_condition",
            "plot_pairs",
            "plot_parts",
            "plot_powers",
            "plot_rank",
            "plot_singular_shares",
            "plot_steps",
            "plot_t_waves",
            "plot_truth",
            "plot_wave_intervals",
            "plot_waves",
        ],
        "scores": [
            "pair_matrix",
            "plot_curve",
            "plot_expectation",
            "plot_hearts",
            "plot_history",
            "plot_intervals",
            "plot_lead_numbers",
            "plot_lead_scores",
            "plot_matrix",
            "plot_multiverse",
            "plot_set_classes",
            "plot_told",
        ],
        "style": ["COLOURS", "PALETTE", "use_style"],
    },
)
