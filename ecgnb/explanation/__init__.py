"""What the VAE of a condition looks at, and whether to believe it."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "attribution": ["declare_targets", "grad_cam"],
        "audit": [
            "RULES",
            "audit_maps",
            "exchange_curves",
            "judge_audit",
            "rank_tests",
            "ranking_agreement",
        ],
        "comparisons": [
            "alike_healthy",
            "alike_ranges",
            "compare_groups",
            "compare_matched",
            "compare_with_healthy",
            "count_survivors",
            "equal_numbers",
            "recorded_shares",
            "survive",
        ],
        "group_scores": ["real_ratios", "score_group", "summarise_scores", "whole_groups"],
        "groups": [
            "describe_fit",
            "explain_group",
            "fit_group",
            "has_group",
            "load_group",
            "relevance_maps",
            "save_group",
        ],
        "shares": [
            "N_LEAST",
            "densest_waves",
            "lead_ranks_of",
            "summarise_shares",
            "waves_of",
            "widen",
        ],
        "vae": [
            "VaeOptions",
            "elbo_terms",
            "first_patient",
            "interpolate",
            "latents_in_use",
            "sample_prior",
            "side_by_side",
            "traverse",
        ],
        "windows": ["SAMPLING_RATE", "collect_windows"],
    },
)
